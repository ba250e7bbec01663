//! Every key that the files may hold, once: its kind, its default, what it means. The check and the JSON Schema are both made from these tables.

pub mod dialplan;
pub mod invite;
pub mod outbound;
pub mod parts;
pub mod people;
pub mod profile;
pub mod queue;
pub mod server;
pub mod trunk;

use crate::base::Duration;

/// What a value must be.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Any string that is not empty.
    Text,
    /// A string of a form: what it is, an example, and the parser that knows.
    Form(&'static Form),
    /// `"20s"`, within bounds.
    Duration(Duration, Duration),
    /// A whole number, within bounds.
    Integer(i64, i64),
    /// A number, within bounds.
    Number(f64, f64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A secret: a string, `{ env = "NAME" }` or `{ file = "path" }`.
    Secret,
    /// A list of such values.
    List(&'static Kind),
    /// One such value, or a list of them.
    OneOrMore(&'static Kind),
    /// Either.
    Either(&'static [Kind]),
    /// A table with these keys.
    Table(&'static Keys),
    /// A list of tables with these keys (`[[name]]`).
    Tables(&'static Keys),
    /// A table whose keys are names of the operator's choice.
    Map(&'static Kind),
    /// A list of steps.
    Steps,
    /// Known, but this version cannot do it.
    NotYet,
}

/// A string of a form.
pub struct Form {
    /// "a number like".
    pub what: &'static str,
    /// What it looks like.
    pub example: &'static str,
    /// Says what is wrong with a text.
    pub check: fn(&str) -> Result<(), String>,
}

/// One key.
#[derive(Clone, Copy)]
pub struct Key {
    /// As it stands in the file.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it means.
    pub doc: &'static str,
    /// The value when it is absent, as TOML; empty: nothing.
    pub default: &'static str,
}

/// The keys of a table.
pub struct Keys {
    /// For messages: "a trunk".
    pub what: &'static str,
    /// The keys.
    pub keys: &'static [Key],
    /// What further keys hold (menus: the digits). `None`: there are none.
    pub others: Option<(&'static Form, Kind)>,
}

/// A key that may be absent.
pub const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        required: false,
        doc,
        default: "",
    }
}

impl Key {
    /// It must be there.
    pub const fn required(mut self) -> Key {
        self.required = true;
        self
    }

    /// What holds when it is absent.
    pub const fn default(mut self, default: &'static str) -> Key {
        self.default = default;
        self
    }
}

impl Keys {
    /// Tables with these keys and no others.
    pub const fn of(what: &'static str, keys: &'static [Key]) -> Keys {
        Keys {
            what,
            keys,
            others: None,
        }
    }
}

/// A step: the key that names it, and its options.
pub struct StepKeys {
    /// The key that names the step.
    pub verb: &'static str,
    /// Its value.
    pub argument: Kind,
    /// Keys beside it.
    pub options: &'static [Key],
    /// What it does.
    pub doc: &'static str,
}

/// A kind of file: name for `strowger schema`, folder or file, keys.
pub struct FileKind {
    /// Name for `strowger schema`.
    pub name: &'static str,
    /// Where such files are.
    pub path: &'static str,
    /// What they hold.
    pub keys: &'static Keys,
}

/// All kinds of files.
pub const FILES: &[FileKind] = &[
    FileKind {
        name: "strowger",
        path: "strowger.toml",
        keys: &server::FILE,
    },
    FileKind {
        name: "sip-profile",
        path: "sip-profiles",
        keys: &profile::FILE,
    },
    FileKind {
        name: "dialplan",
        path: "dialplans",
        keys: &dialplan::FILE,
    },
    FileKind {
        name: "directory",
        path: "directory",
        keys: &people::FILE,
    },
    FileKind {
        name: "queue",
        path: "queues",
        keys: &queue::FILE,
    },
    FileKind {
        name: "outbound",
        path: "outbound.toml",
        keys: &outbound::FILE,
    },
];
