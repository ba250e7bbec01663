//! Text with `{variable}` in it, and the variables of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Longest value of a variable, in characters. Guess: no header value that a dialplan should carry is longer.
pub const VALUE_CHARS_MAX: usize = 512;

/// Header fields of a call, as rules and templates may ask for them. Most calls have a dozen and nobody asks, so they lie in one
/// text behind one another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    text: String,
    /// Where each name and each value ends in `text`.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// Adds a header; of two with the same name the first counts. Control characters become spaces, and what is too long is cut.
    pub fn add(&mut self, name: &str, value: &str) {
        self.text.push_str(name);
        let name_end = self.text.len();
        push_clean(&mut self.text, value);
        self.ends.push((name_end, self.text.len()));
    }

    /// The value of the header with this name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut start = 0;
        for (name_end, end) in &self.ends {
            if self
                .text
                .get(start..*name_end)
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
            {
                return self.text.get(*name_end..*end);
            }
            start = *end;
        }
        None
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(all: I) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in all {
            headers.add(name, value);
        }
        headers
    }
}

/// Without control characters, and not too long.
fn push_clean(to: &mut String, value: &str) {
    if value.len() <= VALUE_CHARS_MAX && value.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        to.push_str(value);
        return;
    }
    to.extend(
        value
            .chars()
            .take(VALUE_CHARS_MAX)
            .map(|c| if c.is_control() { ' ' } else { c }),
    );
}

/// Variables of one run. Values are checked text: without control characters, so that none can end a header line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    set: BTreeMap<Arc<str>, String>,
    headers: Arc<Headers>,
}

impl Variables {
    /// None but `header.NAME` for each of these headers.
    pub fn of(headers: Arc<Headers>) -> Self {
        Variables {
            set: BTreeMap::new(),
            headers,
        }
    }

    /// Sets a variable; control characters become spaces, and what is too long is cut.
    pub fn set(&mut self, name: &str, value: &str) {
        let mut clean = String::with_capacity(value.len().min(VALUE_CHARS_MAX));
        push_clean(&mut clean, value);
        self.set.insert(name.into(), clean);
    }

    /// The value, or `None` if it was never set.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.set.get(name) {
            Some(value) => Some(value.as_str()),
            None => self.headers.get(name.strip_prefix("header.")?),
        }
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
