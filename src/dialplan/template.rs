//! Text with `{variable}` in it, and the variables of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Longest value of a variable, in characters. Guess: no header value that a dialplan should carry is longer.
pub const VALUE_CHARS_MAX: usize = 512;

/// Variables of one run. Values are checked text: without control characters, so that none can end a header line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<Arc<str>, String>);

impl Variables {
    /// Sets a variable; control characters become spaces, and what is too long is cut.
    pub fn set(&mut self, name: &str, value: &str) {
        let clean = value
            .chars()
            .take(VALUE_CHARS_MAX)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.0.insert(name.into(), clean);
    }

    /// The value, or `None` if it was never set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_str()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Arc<str>),
}

/// Text in which `{name}` stands for a variable; `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: Arc<str>,
    parts: Vec<Part>,
}

/// True for a name that a variable can have: a letter, then letters, digits, `_`, `-`, `.`.
pub fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

impl Template {
    /// Parses a template; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' if chars.peek() == Some(&'{') => {
                    chars.next();
                    plain.push('{');
                }
                '}' if chars.peek() == Some(&'}') => {
                    chars.next();
                    plain.push('}');
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err("the `{` is never closed".to_owned()),
                        }
                    }
                    if !is_variable_name(&name) {
                        return Err(format!("`{{{name}}}` is not the name of a variable"));
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Variable(name.as_str().into()));
                }
                '}' => return Err("a `}` without `{`".to_owned()),
                c if c.is_control() => {
                    return Err("control characters are not allowed here".to_owned());
                }
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template {
            text: text.into(),
            parts,
        })
    }

    /// A template without variables, taking `text` as it is.
    pub fn literal(text: &str) -> Template {
        Template {
            text: text.into(),
            parts: vec![Part::Text(text.to_owned())],
        }
    }

    /// The text with every variable replaced; one that was never set is empty.
    pub fn render(&self, variables: &Variables) -> String {
        self.render_with(|name| Some(variables.get(name).unwrap_or_default()))
    }

    /// The text with the variables that are known replaced, the others left as they stand: for showing.
    pub fn preview(&self, variables: &Variables) -> String {
        self.render_with(|name| variables.get(name))
    }

    fn render_with<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable(name) => match value(name) {
                    Some(value) => out.push_str(value),
                    None => {
                        out.push('{');
                        out.push_str(name);
                        out.push('}');
                    }
                },
            }
        }
        out
    }

    /// Names of the variables in it.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(&**name),
            Part::Text(_) => None,
        })
    }

    /// The text, if it holds no variable.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_unset_ones_are_empty() {
        let mut variables = Variables::default();
        variables.set("ext", "1001");
        let template = Template::parse("x{ext}-{{{other}}}").expect("parses");
        assert_eq!(template.render(&variables), "x1001-{}");
        assert_eq!(template.preview(&variables), "x1001-{{other}}");
        assert_eq!(template.variables().collect::<Vec<_>>(), ["ext", "other"]);
    }

    #[test]
    fn values_cannot_carry_line_breaks() {
        let mut variables = Variables::default();
        variables.set("evil", "a\r\nVia: b\0");
        assert_eq!(variables.get("evil"), Some("a  Via: b "));
    }

    #[test]
    fn broken_braces_are_refused() {
        for bad in ["{", "}", "{}", "{1x}", "{a b}", "a\nb"] {
            assert!(Template::parse(bad).is_err(), "{bad:?}");
        }
    }
}
