//! The `if` of a rule: a small expression over variables, like `{language} == 'de' and {from} =~ '^\+49'`.

use std::fmt;
use std::sync::Arc;

use regex::Regex;

use super::pattern::regex_error;
use super::template::{Template, Variables};

/// Deepest nesting of parentheses and `not`.
const DEPTH_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Compare(Template, Operator, Template),
    Matches(Template, Box<Regex>),
    /// Neither empty nor `0` nor `false`.
    Truth(Template),
}

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Condition {
    text: Arc<str>,
    node: Node,
    variables: Vec<String>,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Match,
    Operator(Operator),
    Value(String),
}

impl Condition {
    /// Parses an expression; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Condition, String> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            next: 0,
            variables: Vec::new(),
        };
        let node = parser.any(0)?;
        if let Some(token) = parser.peek() {
            return Err(format!("{} is one thing too many", show(token)));
        }
        Ok(Condition {
            text: text.into(),
            node,
            variables: parser.variables,
        })
    }

    /// Whether it holds.
    pub fn holds(&self, variables: &Variables) -> bool {
        holds(&self.node, variables)
    }

    /// Names of the variables in it.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }
}

fn holds(node: &Node, variables: &Variables) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|node| holds(node, variables)),
        Node::Any(nodes) => nodes.iter().any(|node| holds(node, variables)),
        Node::Not(node) => !holds(node, variables),
        Node::Matches(value, expression) => expression.is_match(&value.render(variables)),
        Node::Truth(value) => !matches!(value.render(variables).as_str(), "" | "0" | "false"),
        Node::Compare(left, operator, right) => {
            let (left, right) = (left.render(variables), right.render(variables));
            match operator {
                Operator::Equal => left == right,
                Operator::NotEqual => left != right,
                // Order is of numbers; what is not a number is neither less nor greater.
                Operator::Less => numbers(&left, &right).is_some_and(|(l, r)| l < r),
                Operator::LessOrEqual => numbers(&left, &right).is_some_and(|(l, r)| l <= r),
                Operator::Greater => numbers(&left, &right).is_some_and(|(l, r)| l > r),
                Operator::GreaterOrEqual => numbers(&left, &right).is_some_and(|(l, r)| l >= r),
            }
        }
    }
}

fn numbers(left: &str, right: &str) -> Option<(f64, f64)> {
    Some((left.trim().parse().ok()?, right.trim().parse().ok()?))
}

fn show(token: &Token) -> String {
    match token {
        Token::Open => "`(`".to_owned(),
        Token::Close => "`)`".to_owned(),
        Token::And => "`and`".to_owned(),
        Token::Or => "`or`".to_owned(),
        Token::Not => "`not`".to_owned(),
        Token::Match => "`=~`".to_owned(),
        Token::Operator(_) => "a comparison".to_owned(),
        Token::Value(value) => format!("`{value}`"),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '=' if chars.next_if_eq(&'=').is_some() => Token::Operator(Operator::Equal),
            '=' if chars.next_if_eq(&'~').is_some() => Token::Match,
            '=' => return Err("one `=` compares nothing: write `==`".to_owned()),
            '!' if chars.next_if_eq(&'=').is_some() => Token::Operator(Operator::NotEqual),
            '!' => Token::Not,
            '<' if chars.next_if_eq(&'=').is_some() => Token::Operator(Operator::LessOrEqual),
            '<' => Token::Operator(Operator::Less),
            '>' if chars.next_if_eq(&'=').is_some() => Token::Operator(Operator::GreaterOrEqual),
            '>' => Token::Operator(Operator::Greater),
            '\'' | '"' => {
                let mut value = String::new();
                loop {
                    match chars.next() {
                        Some(end) if end == c => break,
                        Some(inner) => value.push(inner),
                        None => return Err(format!("the {c} is never closed")),
                    }
                }
                Token::Value(value)
            }
            c => {
                let mut word = String::from(c);
                let mut inside = c == '{';
                while let Some(next) = chars.next_if(|next| {
                    inside || !(next.is_whitespace() || "()=!<>'\"".contains(*next))
                }) {
                    match next {
                        '{' => inside = true,
                        '}' => inside = false,
                        _ => {}
                    }
                    word.push(next);
                }
                match word.as_str() {
                    "and" => Token::And,
                    "or" => Token::Or,
                    "not" => Token::Not,
                    _ => Token::Value(word),
                }
            }
        };
        out.push(token);
    }
    Ok(out)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<String>,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.next += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_MAX {
            return Err("nested too deeply".to_owned());
        }
        let mut nodes = vec![self.all(depth)?];
        while self.take(&Token::Or) {
            nodes.push(self.all(depth)?);
        }
        Ok(Node::Any(nodes))
    }

    fn all(&mut self, depth: usize) -> Result<Node, String> {
        let mut nodes = vec![self.one(depth)?];
        while self.take(&Token::And) {
            nodes.push(self.one(depth)?);
        }
        Ok(Node::All(nodes))
    }

    fn one(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_MAX {
            return Err("nested too deeply".to_owned());
        }
        if self.take(&Token::Not) {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take(&Token::Open) {
            let node = self.any(depth + 1)?;
            return if self.take(&Token::Close) {
                Ok(node)
            } else {
                Err("the `(` is never closed".to_owned())
            };
        }
        let left = self.value()?;
        match self.peek() {
            Some(Token::Operator(operator)) => {
                let operator = *operator;
                self.next += 1;
                Ok(Node::Compare(left, operator, self.value()?))
            }
            Some(Token::Match) => {
                self.next += 1;
                match self.tokens.get(self.next).cloned() {
                    Some(Token::Value(text)) => {
                        self.next += 1;
                        let expression = Regex::new(&text).map_err(|error| regex_error(&error))?;
                        Ok(Node::Matches(left, Box::new(expression)))
                    }
                    _ => Err("`=~` needs a regular expression in quotes".to_owned()),
                }
            }
            _ => Ok(Node::Truth(left)),
        }
    }

    fn value(&mut self) -> Result<Template, String> {
        match self.tokens.get(self.next) {
            Some(Token::Value(text)) => {
                let template = Template::parse(text)?;
                self.variables
                    .extend(template.variables().map(str::to_owned));
                self.next += 1;
                Ok(template)
            }
            Some(token) => Err(format!("{} stands where a value should be", show(token))),
            None => Err("a value is missing at the end".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> bool {
        let mut variables = Variables::default();
        variables.set("language", "de");
        variables.set("from", "+4930123");
        variables.set("n", "12");
        Condition::parse(text).expect(text).holds(&variables)
    }

    #[test]
    fn expressions_compare_match_and_combine() {
        for yes in [
            "{language} == 'de'",
            "{language} != \"en\"",
            "{n} > 9 and {n} <= 12",
            "{from} =~ '^\\+49'",
            "not {missing}",
            "!({n} < 3) and ({language} == 'fr' or {language} == 'de')",
            "'{language}-{n}' == de-12",
            "{n}",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in [
            "{missing}",
            "{language} < 5",
            "{n} == '9' or {n} == '10'",
            "not {n}",
        ] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn broken_expressions_are_refused() {
        for bad in [
            "",
            "{n} = 1",
            "{n} ==",
            "== 1",
            "({n}",
            "{n})",
            "{n} =~ '('",
            "{n} =~",
            "'x",
            "{n} {n}",
            "{} == 1",
        ] {
            assert!(Condition::parse(bad).is_err(), "{bad}");
        }
        assert!(Condition::parse(&"(".repeat(500)).is_err());
        assert!(Condition::parse(&"not ".repeat(500)).is_err());
    }
}
