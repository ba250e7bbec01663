//! Rank 4: people, extensions, devices, skills and numbers.
//!
//! Goes in: users that `config` read from `directory/*.toml`. Comes out: look-ups by extension and by E.164 number, and the
//! conversion between E.164 and what a carrier writes (`NumberFormat`). It does not know who is registered (registrar), who
//! works in a queue (acd), or what a role may do.

pub mod dialled;
pub mod list;
pub mod number;
pub mod place;
pub mod toggles;
pub mod user;

use std::hash::BuildHasher;
use std::sync::Arc;

pub use dialled::dialled;
pub use list::List;
pub use number::{NumberFormat, e164};
pub use place::Place;
pub use user::{Device, Role, User};

use crate::base::Map;

/// Everybody that the files define. Cheap to share: users are behind `Arc`.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Directory {
    users: Vec<Arc<User>>,
    by_extension: Map<Arc<str>, usize>,
    by_number: Map<Arc<str>, usize>,
    /// Places of users who have a password.
    decoys: Vec<usize>,
    lists: Vec<Arc<List>>,
}

impl Directory {
    /// A directory of `users`. Where two users share an extension or a number the first keeps it; `config` reports the second.
    pub fn new(users: Vec<Arc<User>>) -> Self {
        let mut by_extension = Map::default();
        let mut by_number = Map::default();
        for (index, user) in users.iter().enumerate() {
            by_extension.entry(user.extension.clone()).or_insert(index);
            if let Some(number) = &user.number {
                by_number.entry(number.clone()).or_insert(index);
            }
        }
        let decoys = users
            .iter()
            .enumerate()
            .filter(|(_, user)| user.password.is_some())
            .map(|(place, _)| place)
            .collect();
        Directory {
            users,
            by_extension,
            by_number,
            decoys,
            lists: Vec::new(),
        }
    }

    /// The same people, with lists of them.
    #[must_use]
    pub fn with_lists(mut self, lists: Vec<Arc<List>>) -> Self {
        self.lists = lists;
        self
    }

    /// The list with this name.
    pub fn list(&self, name: &str) -> Option<&Arc<List>> {
        self.lists.iter().find(|list| &*list.name == name)
    }

    /// All lists, in the order of the files.
    pub fn lists(&self) -> impl ExactSizeIterator<Item = &Arc<List>> {
        self.lists.iter()
    }

    /// The user with this extension (case-sensitive, like the user part of a SIP URI, RFC 3261 §19.1.4).
    pub fn user(&self, extension: &str) -> Option<&Arc<User>> {
        self.users.get(*self.by_extension.get(extension)?)
    }

    /// Somebody, always the same for a name, who is not the user of that name: found in as many steps through as much memory as
    /// [`Directory::user`] takes, so that who measures the time of an answer does not learn which names exist.
    pub fn decoy(&self, name: &str) -> Option<&Arc<User>> {
        let drawn = self.by_extension.hasher().hash_one(name) as usize;
        let place = *self.decoys.get(drawn % self.decoys.len().max(1))?;
        self.users
            .get(place)
            .filter(|user| &*user.extension != name)
    }

    /// The user whose direct number this is, in `+E164` form.
    pub fn by_number(&self, e164: &str) -> Option<&Arc<User>> {
        self.users.get(*self.by_number.get(e164)?)
    }

    /// All users, in the order of the files.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.users.iter()
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// True when nobody is defined.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(extension: &str, number: Option<&str>) -> Arc<User> {
        Arc::new(User {
            number: number.map(Arc::from),
            ..User::new(extension, "Nobody Real")
        })
    }

    #[test]
    fn users_are_found_by_extension_and_by_number() {
        let directory = Directory::new(vec![
            user("1001", Some("+442071831001")),
            user("1002", None),
        ]);
        assert_eq!(&*directory.user("1002").expect("there").extension, "1002");
        assert_eq!(
            &*directory
                .by_number("+442071831001")
                .expect("there")
                .extension,
            "1001"
        );
        assert!(directory.user("1003").is_none());
        assert!(directory.by_number("442071831001").is_none());
    }

    #[test]
    fn a_decoy_is_always_the_same_somebody_else_with_a_password() {
        assert!(
            Directory::new(vec![user("1001", None)])
                .decoy("9")
                .is_none()
        );
        let with_password = |extension: &str| {
            Arc::new(User {
                password: Some(crate::auth::Stored::Password(crate::base::Secret::new(
                    "guess",
                ))),
                ..User::new(extension, "Nobody Real")
            })
        };
        let mut users: Vec<Arc<User>> = (1001..1101)
            .map(|n| with_password(&n.to_string()))
            .collect();
        users.push(user("1999", None));
        let directory = Directory::new(users);
        let mut drawn = std::collections::BTreeSet::new();
        for number in 5000..5200 {
            let name = number.to_string();
            let decoy = directory.decoy(&name).expect("somebody");
            assert!(decoy.password.is_some());
            assert_eq!(Some(decoy), directory.decoy(&name));
            drawn.insert(decoy.extension.clone());
        }
        assert!(drawn.len() > 50, "only {} of 100", drawn.len());
    }
}
