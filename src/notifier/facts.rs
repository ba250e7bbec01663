//! What the documents are made of: facts of one moment about one resource, handed in when a document is wanted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pidf::{Activity, Tuple};
use crate::base::WallTime;

/// The facts about one resource that a document of one package wants.
#[derive(Clone, PartialEq, Debug)]
pub enum Facts {
    /// Its calls; at most [`super::dialog_info::DIALOGS_MAX`] of them are told.
    Dialogs(Vec<DialogFacts>),
    /// What waits in its voicemail.
    Messages(Messages),
    /// Whether it can be reached.
    Presence(PresenceFacts),
    /// Its registrations.
    Contacts(Vec<ContactFacts>),
}

/// Where a dialog stands (RFC 4235 §3.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialogState {
    /// An INVITE is on its way.
    Trying,
    /// It rings.
    Early,
    /// It was answered.
    Confirmed,
    /// It is over.
    Terminated,
}

impl DialogState {
    /// As documents write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            DialogState::Trying => "trying",
            DialogState::Early => "early",
            DialogState::Confirmed => "confirmed",
            DialogState::Terminated => "terminated",
        }
    }
}

/// One side of a dialog.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DialogParty {
    /// URI of the person.
    pub identity: String,
    /// Name, for people.
    pub display: Option<String>,
    /// Contact URI; none while it is not known.
    pub target: Option<String>,
    /// `+sip.rendering` (RFC 4235 §4.3): `Some(false)` while this side plays nothing, because it has put the other on hold.
    pub rendering: Option<bool>,
}

/// One dialog of the watched phone with us, seen from the phone: its ids are those that a Replaces header needs (RFC 3891 §3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DialogFacts {
    /// Names it among the dialogs of the resource as long as it lives.
    pub id: String,
    /// Call-ID.
    pub call_id: String,
    /// The phone's tag; none before it has answered anything.
    pub local_tag: Option<String>,
    /// Our tag.
    pub remote_tag: Option<String>,
    /// True when the phone called, false when it was called.
    pub initiator: bool,
    /// Where it stands.
    pub state: DialogState,
    /// The phone's side.
    pub local: DialogParty,
    /// The other side.
    pub remote: DialogParty,
}

/// What waits in a voicemail box (RFC 3842 §3.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Messages {
    /// Not heard yet.
    pub new: u32,
    /// Heard and kept.
    pub old: u32,
}

/// Whether a person can be reached.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PresenceFacts {
    /// A device is registered.
    pub registered: bool,
    /// A call of the extension is up or rings.
    pub on_the_phone: bool,
    /// What the person's devices have published, newest first.
    pub published: Vec<Tuple>,
    /// What the person is at, as published last.
    pub activities: Vec<Activity>,
    /// A sentence for people, as published last.
    pub note: Option<Arc<str>>,
}

/// What became of a registered contact (RFC 3680 §5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContactState {
    /// It is there.
    Registered,
    /// It left.
    Unregistered,
    /// Its time ran out.
    Expired,
    /// It was taken away by us: its connection is gone, an operator removed it, or its device is back under another contact.
    Deactivated,
}

/// One contact of an address of record.
#[derive(Clone, PartialEq, Debug)]
pub struct ContactFacts {
    /// Its URI.
    pub uri: Arc<str>,
    /// What became of it.
    pub state: ContactState,
    /// Seconds that are left.
    pub expires_secs: u64,
    /// When it registered first.
    pub registered_at: WallTime,
    /// Preference in thousandths, 0–1000.
    pub q: u16,
    /// Call-ID of its REGISTER.
    pub call_id: Arc<str>,
    /// CSeq number of its REGISTER.
    pub cseq: u32,
}
