//! Reads the values of a table that has been checked: what is absent or wrong is `None`, the check has said so already.

use std::ops::Range;
use std::sync::Arc;

use super::problem::Source;
use super::tree::{Node, Table, Value};
use super::units::duration;
use crate::base::Duration;
use crate::directory::Place;

/// A table of a file.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    /// The file.
    pub source: &'a Arc<Source>,
    /// The table.
    pub table: &'a Table,
    /// Where it begins.
    pub start: usize,
}

impl<'a> Fields<'a> {
    /// The fields of a table node.
    pub fn of(source: &'a Arc<Source>, node: &'a Node) -> Option<Fields<'a>> {
        match &node.value {
            Value::Table(table) => Some(Fields {
                source,
                table,
                start: node.span.start,
            }),
            _ => None,
        }
    }

    /// Where the table begins.
    pub fn place(&self) -> Place {
        self.place_at(self.start)
    }

    /// The place of a byte of the file.
    pub fn place_at(&self, offset: usize) -> Place {
        Place {
            file: self.source.name.clone(),
            line: self.source.position(offset).0,
        }
    }

    /// The value of a key.
    pub fn node(&self, key: &str) -> Option<&'a Node> {
        self.table.get(key)
    }

    /// Where the value of a key stands, or the table when it is absent.
    pub fn span(&self, key: &str) -> Range<usize> {
        self.node(key)
            .map_or(self.start..self.start, |node| node.span.clone())
    }

    /// A string.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        as_text(self.node(key)?)
    }

    /// A string, shared.
    pub fn shared(&self, key: &str) -> Option<Arc<str>> {
        self.text(key).map(Arc::from)
    }

    /// A string or a list of strings, each with its place.
    pub fn texts(&self, key: &str) -> Vec<(&'a str, Range<usize>)> {
        let one = |node: &'a Node| Some((as_text(node)?, node.span.clone()));
        match self.node(key) {
            Some(Node {
                value: Value::List(list),
                ..
            }) => list.iter().filter_map(one).collect(),
            Some(node) => one(node).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// A duration.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        duration(self.text(key)?).ok()
    }

    /// A whole number of any width that holds it.
    pub fn integer<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        as_integer(self.node(key)?)
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.node(key)?.value {
            Value::Float(number) => Some(number),
            Value::Integer(number) => number.map(|number| number as f64),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.node(key)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// A table.
    pub fn fields(&self, key: &str) -> Option<Fields<'a>> {
        Fields::of(self.source, self.node(key)?)
    }

    /// A list of tables.
    pub fn tables(&self, key: &str) -> Vec<Fields<'a>> {
        match self.node(key) {
            Some(Node {
                value: Value::List(list),
                ..
            }) => list
                .iter()
                .filter_map(|node| Fields::of(self.source, node))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The word of a list of names and values that a key holds.
    pub fn one_of<T: Clone>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| value.clone())
    }

    /// The tables of a table, by their names, in the order of the file; what is no table is left out.
    pub fn named_tables(&self) -> Vec<(Arc<str>, Fields<'a>)> {
        let entries = self.table.entries.iter();
        entries
            .filter_map(|entry| {
                let fields = Fields::of(self.source, &entry.node)?;
                Some((entry.key.as_str().into(), fields))
            })
            .collect()
    }

    /// A table of names and whole numbers, in the order of the file.
    pub fn levels(&self, key: &str) -> Vec<(Arc<str>, u8, Range<usize>)> {
        let Some(fields) = self.fields(key) else {
            return Vec::new();
        };
        fields
            .table
            .entries
            .iter()
            .filter_map(|entry| {
                let level = as_integer(&entry.node)?;
                Some((entry.key.as_str().into(), level, entry.key_span.clone()))
            })
            .collect()
    }
}

fn as_text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn as_integer<T: TryFrom<i64>>(node: &Node) -> Option<T> {
    match node.value {
        Value::Integer(number) => T::try_from(number?).ok(),
        _ => None,
    }
}
