//! Lists of numbers and questions to the gates, as people and programs give them while the server runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::{Answer, Refusal, Reply};
use super::core::Switch;
use super::effect::Effects;
use super::record::Record;
use crate::base::{Now, WallTime};
use crate::event::GateRecord;
use crate::outbound::{
    Entry, EntryView, Import, ListKind, ListRefusal, ListView, NumberSet, OutboundRecord, Question,
};

/// An order, or a question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumbersOrder {
    /// All lists.
    Lists,
    /// One list.
    List {
        /// Its name.
        name: Arc<str>,
    },
    /// What people put on a list.
    Entries {
        /// Its name.
        name: Arc<str>,
    },
    /// Makes a list, unless it is there.
    Make {
        /// Its name.
        name: Arc<str>,
        /// What being on it means.
        kind: ListKind,
        /// The extension whose own it is.
        owner: Option<Arc<str>>,
    },
    /// Takes a list away.
    Remove {
        /// Its name.
        name: Arc<str>,
    },
    /// Puts a number, or first digits, on a list.
    Add {
        /// The list.
        name: Arc<str>,
        /// `+442071838750` or `+44900*`.
        number: Arc<str>,
        /// Until when.
        until: Option<WallTime>,
        /// Why.
        note: Option<Arc<str>>,
        /// Who.
        by: Option<Arc<str>>,
    },
    /// Takes a number from a list.
    Take {
        /// The list.
        name: Arc<str>,
        /// As it was put there.
        number: Arc<str>,
    },
    /// Puts these numbers in the place of those that were imported before.
    Import {
        /// The list.
        name: Arc<str>,
        /// The file of the data directory that holds them.
        file: Arc<str>,
        /// They.
        numbers: Arc<NumberSet>,
    },
    /// What the gates would say, as far as that is known before a call is made.
    Ask {
        /// Whom to call.
        number: Arc<str>,
        /// The extension that would call.
        from: Option<Arc<str>>,
    },
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum NumbersAnswer {
    /// All lists.
    Lists(Vec<ListView>),
    /// One list.
    List(Box<ListView>),
    /// What people put on a list.
    Entries(Vec<EntryView>),
    /// A list after an import, and the file of the import before.
    Imported(Box<ListView>, Option<Arc<str>>),
    /// What the gates said.
    Gates(Box<GateRecord>),
}

impl Switch {
    pub(super) fn on_numbers(&mut self, now: Now, order: NumbersOrder, fx: &mut Effects) -> Reply {
        let answer = match order {
            NumbersOrder::Lists => NumbersAnswer::Lists(self.outbound.lists.views(now.wall)),
            NumbersOrder::List { name } => self.list_view(now, &name)?,
            NumbersOrder::Entries { name } => {
                let entries = self.outbound.lists.entries(&name, now.wall);
                let none = || Refusal::not_found("list of numbers", &name);
                NumbersAnswer::Entries(entries.ok_or_else(none)?)
            }
            NumbersOrder::Make { name, kind, owner } => {
                check_name(&name)?;
                if let Some(owner) = &owner {
                    if self.settings.directory.user(owner).is_none() {
                        return Err(Refusal::not_found("extension", owner));
                    }
                    if kind == ListKind::DoNotCall {
                        return Err(Refusal::unprocessable(
                            "not_personal",
                            "a do-not-call list is the company's, nobody's own; make it a black list",
                        ));
                    }
                }
                let made = self.outbound.lists.make(name.clone(), kind, owner);
                let made = made.map_err(|refused| said(&refused, &name, ""))?;
                self.note_list(made, fx);
                self.list_view(now, &name)?
            }
            NumbersOrder::Remove { name } => {
                let gone = self.outbound.lists.remove(&name);
                let gone = gone.map_err(|refused| said(&refused, &name, ""))?;
                self.note_list(Some(gone), fx);
                return Ok(Answer::Done);
            }
            NumbersOrder::Add {
                name,
                number,
                until,
                note,
                by,
            } => {
                if until.is_some_and(|until| until <= now.wall) {
                    return Err(Refusal::unprocessable(
                        "in_the_past",
                        "`until` is over already",
                    ));
                }
                let entry = Entry {
                    at: now.wall,
                    until,
                    note,
                    by,
                };
                let added = self.outbound.lists.add(&name, &number, entry);
                let added = added.map_err(|refused| said(&refused, &name, &number))?;
                self.note_list(Some(added), fx);
                self.list_view(now, &name)?
            }
            NumbersOrder::Take { name, number } => {
                let gone = self.outbound.lists.take(&name, &number, now.wall);
                let gone = gone.map_err(|refused| said(&refused, &name, &number))?;
                self.note_list(Some(gone), fx);
                self.list_view(now, &name)?
            }
            NumbersOrder::Import {
                name,
                file,
                numbers,
            } => {
                let before = self.outbound.lists.file_of(&name);
                let import = Import {
                    file,
                    count: numbers.len() as u64,
                    at: now.wall,
                };
                let imported = self.outbound.lists.import(&name, import, numbers);
                let imported = imported.map_err(|refused| said(&refused, &name, ""))?;
                self.note_list(Some(imported), fx);
                let view = self.outbound.lists.view(&name, now.wall);
                let view = view.ok_or_else(|| Refusal::not_found("list of numbers", &name))?;
                NumbersAnswer::Imported(Box::new(view), before)
            }
            NumbersOrder::Ask { number, from } => {
                if let Some(from) = &from
                    && self.settings.directory.user(from).is_none()
                {
                    return Err(Refusal::not_found("extension", from));
                }
                let question = Question::ordered(&number, from.as_ref());
                let record = self.outbound.ask(now.wall, &question);
                NumbersAnswer::Gates(Box::new(record))
            }
        };
        Ok(Answer::Numbers(answer))
    }

    fn list_view(&self, now: Now, name: &str) -> Result<NumbersAnswer, Refusal> {
        let view = self.outbound.lists.view(name, now.wall);
        view.map(|view| NumbersAnswer::List(Box::new(view)))
            .ok_or_else(|| Refusal::not_found("list of numbers", name))
    }

    fn note_list(&mut self, record: Option<OutboundRecord>, fx: &mut Effects) {
        if let Some(record) = record {
            Self::journal(fx, Record::Outbound(record));
        }
    }

    /// Numbers that were imported before and are in files of the data directory; to be given before the journal is.
    pub fn load_numbers(&mut self, numbers: std::collections::BTreeMap<Arc<str>, Arc<NumberSet>>) {
        self.outbound.lists.load(numbers);
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let fine = !name.is_empty()
        && name.len() <= 64
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    match fine {
        true => Ok(()),
        false => Err(Refusal::unprocessable(
            "bad_name",
            "a list is named with letters, digits, `-`, `_` and `.`, at most 64",
        )),
    }
}

fn said(refused: &ListRefusal, name: &str, number: &str) -> Refusal {
    match refused {
        ListRefusal::NoSuchList => Refusal::not_found("list of numbers", name),
        ListRefusal::Another(kind) => Refusal::conflict(
            "another_list",
            format!(
                "list `{name}` is there, with another owner or of another kind ({}); remove it first",
                kind.as_str()
            ),
        ),
        ListRefusal::FromFiles(place) => Refusal::conflict(
            "from_files",
            format!("list `{name}` is defined by {place}: it is removed there"),
        ),
        ListRefusal::NotANumber => Refusal::unprocessable(
            "not_a_number",
            format!(
                "`{number}` is neither a number like +442071838750 nor first digits like +44900*"
            ),
        ),
        ListRefusal::NotListed => {
            Refusal::not_found(&format!("entry on list `{name}` for"), number)
        }
        ListRefusal::NotByItself(how) => Refusal::conflict(
            "not_by_itself",
            format!("{number} is on list `{name}` {how}: it goes with what put it there"),
        ),
        ListRefusal::Full => Refusal::conflict(
            "full",
            "there are as many as there may be; what is more comes in a file: import it",
        ),
    }
}
