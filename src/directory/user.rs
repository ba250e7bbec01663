//! A person with an extension: who they are, how they prove it, what they can do, which devices they have.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::Place;
use crate::auth::Stored;

/// What a person may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Makes and takes calls, serves queues.
    #[default]
    Agent,
    /// Also watches and steers queues and agents.
    Supervisor,
    /// Also changes settings.
    Admin,
    /// Also manages accounts and rights.
    AccountAdmin,
}

impl Role {
    /// All roles with their names in the files.
    pub const NAMES: &'static [(&'static str, Role)] = &[
        ("agent", Role::Agent),
        ("supervisor", Role::Supervisor),
        ("admin", Role::Admin),
        ("account-admin", Role::AccountAdmin),
    ];
}

/// A device of a user, beyond what registers by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Name, unique for the user.
    pub name: Arc<str>,
    /// Forwarding number in `+E164`; `None` is a device that registers.
    pub number: Option<Arc<str>>,
    /// Whether it rings before the person has ever touched the toggle. Default: true.
    pub ring: bool,
}

/// A person of the directory.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Digits, or any SIP user part. Also the user name of the digest.
    pub extension: Arc<str>,
    /// The extension before a rename, so that a reload keeps what belongs to the person.
    pub was: Option<Arc<str>>,
    /// Display name.
    pub name: Arc<str>,
    /// Mail address.
    pub email: Option<Arc<str>>,
    /// How the user proves who they are (RFC 3261 §22, RFC 8760). `None`: no device of this user can register or call where a profile asks for digest.
    pub password: Option<Stored>,
    /// Direct number in `+E164`.
    pub number: Option<Arc<str>>,
    /// Live dialogs on the extension, of whatever origin. Default 2, range 1–100.
    pub max_concurrent_calls: u32,
    /// Rights.
    pub role: Role,
    /// Skill and proficiency, 1–10, higher is better.
    pub skills: BTreeMap<Arc<str>, u8>,
    /// Groups whose members may take over each other's ringing calls.
    pub pickup: Vec<Arc<str>>,
    /// Devices that the files name, in file order.
    pub devices: Vec<Device>,
    /// Where the user is defined.
    pub place: Place,
}

impl User {
    /// A user with the defaults of every other setting.
    pub fn new(extension: &str, name: &str) -> User {
        User {
            extension: extension.into(),
            was: None,
            name: name.into(),
            email: None,
            password: None,
            number: None,
            max_concurrent_calls: 2,
            role: Role::Agent,
            skills: BTreeMap::new(),
            pickup: Vec::new(),
            devices: Vec::new(),
            place: Place::default(),
        }
    }
}
