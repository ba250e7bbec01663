//! TOML as a tree that remembers where everything stands, and keeps the order of the file.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Severity, Source};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Bytes of the file that it takes.
    pub span: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number; `None` when it does not fit.
    Integer(Option<i64>),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Flag(bool),
    /// A date or time without quotes.
    Date,
    /// An array.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

impl Value {
    /// For messages: "a string".
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Flag(_) => "true or false",
            Value::Date => "a date without quotes",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// Keys and values in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// Its value.
    pub node: Node,
}

impl Table {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The key and its value.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// Parses a file; syntax errors go to `problems`, and what could be read is returned.
pub fn parse(source: &Arc<Source>, problems: &mut Vec<Problem>) -> Node {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        problems.push(Problem::at(
            Severity::Error,
            source,
            span,
            format!("this is not TOML: {}", error.message()),
        ));
    }
    let span = table.span();
    Node {
        span,
        value: Value::Table(convert_table(table.get_ref())),
    }
}

fn convert_table(table: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, node)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: convert(node),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    Table { entries }
}

fn convert(node: &Spanned<DeValue<'_>>) -> Node {
    let value = match node.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            Value::Integer(i64::from_str_radix(digits, number.radix()).ok())
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(list) => Value::List(list.iter().map(convert).collect()),
        DeValue::Table(table) => Value::Table(convert_table(table)),
    };
    Node {
        span: node.span(),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lead_back_to_the_lines() {
        let source = Arc::new(Source::new(
            "x.toml".into(),
            "a = 1\n\n[[rule]]\nname = \"x\"\n\n[hours.office]\nzone = \"z\"\n".to_owned(),
        ));
        let mut problems = Vec::new();
        let root = parse(&source, &mut problems);
        assert_eq!(problems, []);
        let Value::Table(table) = &root.value else {
            panic!("a table");
        };
        let Value::List(rules) = &table.get("rule").expect("there").value else {
            panic!("a list");
        };
        let rule = rules.first().expect("one");
        assert_eq!(source.position(rule.span.start), (3, 1));
        let Value::Table(hours) = &table.get("hours").expect("there").value else {
            panic!("a table");
        };
        let office = hours.entry("office").expect("there");
        assert_eq!(source.position(office.key_span.start), (6, 8));
    }
}
