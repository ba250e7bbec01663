//! Patterns of numbers: exact, `X` `N` `Z` `[1-4]`, `{name:4}`, `{name}`, `re:^…$`; and which of two is more specific.

use std::fmt;
use std::sync::Arc;

use regex::Regex;

use super::template::is_variable_name;

const ALL_DIGITS: u16 = 0b11_1111_1111;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    /// One character, as it is.
    Literal(char),
    /// One digit of a set: bit n is digit n.
    Set(u16),
    /// That many digits, kept.
    Digits { name: Arc<str>, count: usize },
    /// One or more characters to the end, kept.
    Rest { name: Arc<str> },
}

#[derive(Debug, Clone)]
enum Kind {
    Elements(Vec<Element>),
    Expression(Box<Regex>),
}

/// A pattern of called or calling numbers.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Arc<str>,
    kind: Kind,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Order of specificity: the smaller is tried first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    /// 0 exact, 1 fixed length, 2 open end, 3 expression, 4 any number.
    class: u8,
    /// How many characters each position takes, from the left.
    breadth: Vec<u16>,
}

impl Specificity {
    /// Of a rule that names no number.
    pub fn any() -> Self {
        Specificity {
            class: 4,
            breadth: Vec::new(),
        }
    }
}

/// What a pattern kept, by name.
pub type Captures = Vec<(Arc<str>, String)>;

impl Pattern {
    /// Parses a pattern; the error says what is wrong and, where it can, what to write instead.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let text = text.trim();
        if let Some(expression) = text.strip_prefix("re:") {
            let expression = Regex::new(expression).map_err(|error| regex_error(&error))?;
            return Ok(Pattern {
                text: text.into(),
                kind: Kind::Expression(Box::new(expression)),
            });
        }
        if text.is_empty() {
            return Err("an empty pattern matches nothing".to_owned());
        }
        if text.starts_with('_') {
            return Err("patterns begin without `_` here: leave it out".to_owned());
        }
        let international = text.starts_with('+');
        let mut elements = Vec::new();
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if matches!(elements.last(), Some(Element::Rest { .. })) {
                return Err(
                    "`{name}` takes the rest, so nothing can follow it; `{name:4}` takes four digits"
                        .to_owned(),
                );
            }
            let element = match c {
                ' ' => continue,
                '-' | '.' | '(' | ')' | '/' if international => continue,
                'X' => Element::Set(ALL_DIGITS),
                'N' => Element::Set(ALL_DIGITS & !0b11),
                'Z' => Element::Set(ALL_DIGITS & !0b1),
                '[' => {
                    let body: String = chars.by_ref().take_while(|c| *c != ']').collect();
                    if !chars.as_str().is_empty() || text.ends_with(']') {
                        Element::Set(set(&body)?)
                    } else {
                        return Err("the `[` is never closed".to_owned());
                    }
                }
                '{' => {
                    let body: String = chars.by_ref().take_while(|c| *c != '}').collect();
                    if chars.as_str().is_empty() && !text.ends_with('}') {
                        return Err("the `{` is never closed".to_owned());
                    }
                    capture(&body, &mut names)?
                }
                ']' | '}' => return Err(format!("a `{c}` that closes nothing")),
                c if c.is_control() || c.is_whitespace() => {
                    return Err(
                        "only digits, pattern characters and SIP user characters".to_owned()
                    );
                }
                c => Element::Literal(c),
            };
            elements.push(element);
        }
        Ok(Pattern {
            text: text.into(),
            kind: Kind::Elements(elements),
        })
    }

    /// What the pattern keeps of `number`, or `None` when it does not match.
    pub fn matches(&self, number: &str) -> Option<Captures> {
        let mut captures = Vec::new();
        match &self.kind {
            Kind::Expression(expression) => {
                let found = expression.captures(number)?;
                for name in expression.capture_names().flatten() {
                    if let Some(value) = found.name(name) {
                        captures.push((name.into(), value.as_str().to_owned()));
                    }
                }
            }
            Kind::Elements(elements) => {
                let mut rest = number.chars();
                for element in elements {
                    match element {
                        Element::Literal(c) => {
                            if rest.next() != Some(*c) {
                                return None;
                            }
                        }
                        Element::Set(set) => {
                            if !in_set(rest.next()?, *set) {
                                return None;
                            }
                        }
                        Element::Digits { name, count } => {
                            let mut value = String::new();
                            for _ in 0..*count {
                                let c = rest.next()?;
                                if !c.is_ascii_digit() {
                                    return None;
                                }
                                value.push(c);
                            }
                            captures.push((name.clone(), value));
                        }
                        Element::Rest { name } => {
                            let value = rest.as_str();
                            if value.is_empty() {
                                return None;
                            }
                            captures.push((name.clone(), value.to_owned()));
                            rest = "".chars();
                        }
                    }
                }
                if rest.next().is_some() {
                    return None;
                }
            }
        }
        Some(captures)
    }

    /// The one number that it matches, if it is exact.
    pub fn as_exact(&self) -> Option<String> {
        match &self.kind {
            Kind::Expression(_) => None,
            Kind::Elements(elements) => elements
                .iter()
                .map(|element| match element {
                    Element::Literal(c) => Some(*c),
                    _ => None,
                })
                .collect(),
        }
    }

    /// Names of what it keeps.
    pub fn names(&self) -> Vec<Arc<str>> {
        match &self.kind {
            Kind::Expression(expression) => expression
                .capture_names()
                .flatten()
                .map(Arc::from)
                .collect(),
            Kind::Elements(elements) => elements
                .iter()
                .filter_map(|element| match element {
                    Element::Digits { name, .. } | Element::Rest { name } => Some(name.clone()),
                    _ => None,
                })
                .collect(),
        }
    }

    /// Its place in the order of trying.
    pub fn specificity(&self) -> Specificity {
        let Kind::Elements(elements) = &self.kind else {
            return Specificity {
                class: 3,
                breadth: Vec::new(),
            };
        };
        let mut class = 0;
        let mut breadth = Vec::new();
        for element in elements {
            match element {
                Element::Literal(_) => breadth.push(1),
                Element::Set(set) => {
                    class = class.max(1);
                    breadth.push(set.count_ones() as u16);
                }
                Element::Digits { count, .. } => {
                    class = class.max(1);
                    breadth.extend(std::iter::repeat_n(10, *count));
                }
                Element::Rest { .. } => {
                    class = 2;
                    breadth.push(u16::MAX);
                }
            }
        }
        Specificity { class, breadth }
    }

    /// True when every number that `other` matches is surely matched by this one. (Expressions only when they are the same text.)
    pub fn covers(&self, other: &Pattern) -> bool {
        if self == other {
            return true;
        }
        let (Kind::Elements(mine), Kind::Elements(theirs)) = (&self.kind, &other.kind) else {
            return false;
        };
        let (mine, my_rest) = positions(mine);
        let (theirs, their_rest) = positions(theirs);
        if my_rest {
            // The rest takes one character or more.
            if theirs.len() < mine.len() || (theirs.len() == mine.len() && !their_rest) {
                return false;
            }
        } else if their_rest || mine.len() != theirs.len() {
            return false;
        }
        mine.iter()
            .zip(&theirs)
            .all(|(mine, theirs)| match (mine, theirs) {
                (Position::Character(a), Position::Character(b)) => a == b,
                (Position::Digits(a), Position::Digits(b)) => a & b == *b,
                _ => false,
            })
    }
}

/// The last line of the library's explanation: the others draw the expression again.
pub(super) fn regex_error(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let why = last.strip_prefix("error: ").unwrap_or(last);
    format!("not a regular expression: {why}")
}

enum Position {
    Character(char),
    Digits(u16),
}

/// One entry per character, and whether more may follow.
fn positions(elements: &[Element]) -> (Vec<Position>, bool) {
    let mut out = Vec::new();
    let mut rest = false;
    for element in elements {
        match element {
            Element::Literal(c) => out.push(match c.to_digit(10) {
                Some(digit) => Position::Digits(1 << digit),
                None => Position::Character(*c),
            }),
            Element::Set(set) => out.push(Position::Digits(*set)),
            Element::Digits { count, .. } => {
                out.extend((0..*count).map(|_| Position::Digits(ALL_DIGITS)));
            }
            Element::Rest { .. } => rest = true,
        }
    }
    (out, rest)
}

fn in_set(c: char, set: u16) -> bool {
    c.to_digit(10).is_some_and(|digit| set & (1 << digit) != 0)
}

fn set(body: &str) -> Result<u16, String> {
    let wrong = || format!("`[{body}]` is not a set of digits like `[1-4]` or `[135]`");
    let mut set = 0;
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        let first = c.to_digit(10).ok_or_else(wrong)?;
        let last = if chars.next_if_eq(&'-').is_some() {
            chars
                .next()
                .and_then(|c| c.to_digit(10))
                .ok_or_else(wrong)?
        } else {
            first
        };
        if last < first {
            return Err(wrong());
        }
        for digit in first..=last {
            set |= 1 << digit;
        }
    }
    if set == 0 { Err(wrong()) } else { Ok(set) }
}

fn capture(body: &str, names: &mut Vec<Arc<str>>) -> Result<Element, String> {
    let (name, count) = match body.split_once(':') {
        Some((name, count)) => {
            let count = count
                .trim()
                .parse::<usize>()
                .ok()
                .filter(|count| (1..=32).contains(count))
                .ok_or_else(|| {
                    format!("`{{{body}}}` keeps 1 to 32 digits: write `{{{name}:4}}` for four")
                })?;
            (name, Some(count))
        }
        None => (body, None),
    };
    if !is_variable_name(name) {
        return Err(format!(
            "`{{{body}}}` needs a name of letters, digits, `_` and `-`, like `{{ext:4}}`"
        ));
    }
    let name: Arc<str> = name.into();
    if names.contains(&name) {
        return Err(format!("`{{{name}}}` is kept twice"));
    }
    names.push(name.clone());
    Ok(match count {
        Some(count) => Element::Digits { name, count },
        None => Element::Rest { name },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    #[test]
    fn every_kind_of_element_matches_what_it_says() {
        let yes = [
            ("+44 20 7183 8750", "+442071838750"),
            ("+44 (0)20", "+44020"),
            ("1XXX", "1000"),
            ("N23", "223"),
            ("Z23", "123"),
            ("[1-4]0", "30"),
            ("[135]", "5"),
            ("*43", "*43"),
            ("alice", "alice"),
            ("re:^0[1-9]+$", "0123"),
        ];
        for (text, number) in yes {
            assert!(pattern(text).matches(number).is_some(), "{text} {number}");
        }
        let no = [
            ("1XXX", "100"),
            ("1XXX", "10000"),
            ("1XXX", "1a00"),
            ("N23", "123"),
            ("Z23", "023"),
            ("[1-4]0", "50"),
            ("+44{ext:4}", "+44123"),
            ("+44{rest}", "+44"),
            ("100", ""),
        ];
        for (text, number) in no {
            assert!(pattern(text).matches(number).is_none(), "{text} {number}");
        }
    }

    #[test]
    fn captures_are_kept_by_name() {
        let kept = pattern("+442071838{ext:3}{rest}").matches("+4420718381234x");
        assert_eq!(
            kept,
            Some(vec![
                ("ext".into(), "123".to_owned()),
                ("rest".into(), "4x".to_owned())
            ])
        );
        let kept = pattern("re:^9(?<n>[0-9]+)$").matches("9123");
        assert_eq!(kept, Some(vec![("n".into(), "123".to_owned())]));
    }

    #[test]
    fn most_specific_comes_first() {
        let mut texts = [
            "re:^1.*$", "{any}", "1{rest}", "10{rest}", "{ext:4}", "XXXX", "NXXX", "1XXX",
            "1[0-4]XX", "100X", "1001",
        ];
        texts.sort_by_key(|text| pattern(text).specificity());
        assert_eq!(
            texts,
            [
                "1001", "100X", "1[0-4]XX", "1XXX", "NXXX", "{ext:4}", "XXXX", "10{rest}",
                "1{rest}", "{any}", "re:^1.*$"
            ]
        );
    }

    #[test]
    fn covering_is_found_where_it_is_certain() {
        assert!(pattern("XXXX").covers(&pattern("1001")));
        assert!(pattern("{a:4}").covers(&pattern("{b:4}")));
        assert!(pattern("1{rest}").covers(&pattern("10")));
        assert!(pattern("{rest}").covers(&pattern("1{rest}")));
        assert!(!pattern("1{rest}").covers(&pattern("1")));
        assert!(!pattern("1001").covers(&pattern("XXXX")));
        assert!(!pattern("XXX").covers(&pattern("1001")));
        assert!(!pattern("XXXX").covers(&pattern("a001")));
        assert!(!pattern("re:.*").covers(&pattern("1")));
    }

    #[test]
    fn broken_patterns_are_refused() {
        for bad in [
            "",
            "_1XXX",
            "[",
            "[]",
            "[4-1]",
            "[a]",
            "1[2",
            "{",
            "{:4}",
            "{a:0}",
            "{a:99}",
            "{a}1",
            "{a:2}{a:2}",
            "]",
            "}",
            "re:(",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
