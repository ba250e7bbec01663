//! What others may see of the calls of an extension: made from the live legs when it is asked for, kept nowhere.

use super::calls::Calls;
use super::leg::{Invite, Leg, LegState, Role};
use crate::base::{Key, Ulid};
use crate::dialog::Dialog;
use crate::event::Party;
use crate::transport::Flow;

/// How far a leg has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// An INVITE is on its way.
    Trying,
    /// It rings.
    Ringing,
    /// It was answered.
    Answered,
}

/// One leg of an extension. Ids are those of its dialog with us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sight {
    /// The leg's id, for as long as it lives.
    pub id: Ulid,
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub our_tag: String,
    /// The device's tag, once it has one.
    pub peer_tag: Option<String>,
    /// True when the device called us.
    pub caller: bool,
    /// How far it has come.
    pub stage: Stage,
    /// URI of the device's Contact.
    pub peer_target: Option<String>,
    /// The device holds the other party.
    pub holds: bool,
    /// The other party holds it.
    pub held: bool,
    /// Whom it talks to, or is to talk to.
    pub other: Party,
}

impl Calls {
    /// The live legs of an extension, oldest first.
    pub fn sights_of(&self, extension: &str) -> Vec<Sight> {
        let Some(legs) = self.on_extension.get(extension) else {
            return Vec::new();
        };
        let mut sights: Vec<Sight> = legs
            .iter()
            .filter_map(|(_, key, _)| self.sight(*key))
            .collect();
        sights.sort_by_key(|sight| sight.id);
        sights
    }

    fn sight(&self, key: Key<Leg>) -> Option<Sight> {
        let leg = self.legs.get(key)?;
        let call = self.calls.get(leg.call)?;
        let caller = matches!(leg.invite, Invite::Server { .. });
        let stage = match leg.state {
            LegState::Incoming | LegState::Calling if !leg.rang => Stage::Trying,
            LegState::Incoming | LegState::Calling | LegState::Ringing => Stage::Ringing,
            LegState::Answered => Stage::Answered,
            LegState::Cancelling(_) => return None,
        };
        let mate = match (call.a, call.b) {
            (Some(a), Some(b)) if a == key => self.legs.get(b),
            (Some(a), Some(b)) if b == key => self.legs.get(a),
            _ => None,
        };
        let other = match mate {
            Some(mate) => mate.party.clone(),
            // also an agent who is rung for a callback: that call is the agent's own
            None if leg.role == Role::Caller || call.record.from.number == leg.party.number => {
                call.record.to.clone()
            }
            None => call.record.from.clone(),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let dialog = leg.dialog.as_ref();
        let peer_tag = dialog.map(|dialog| text(&dialog.remote_tag));
        Some(Sight {
            id: leg.id,
            call_id: text(leg.request.call_id()),
            our_tag: leg.tag.as_str().to_owned(),
            peer_tag: peer_tag.filter(|tag| !tag.is_empty()),
            caller,
            stage,
            peer_target: dialog.map(|dialog| text(dialog.remote_target())),
            holds: leg.holding,
            held: mate.is_some_and(|mate| mate.holding),
            other,
        })
    }

    /// The extensions whose legs belong to this call.
    pub fn extensions_of(&self, call: Ulid) -> Vec<std::sync::Arc<str>> {
        let Some(call) = self.find(call).and_then(|key| self.call(key)) else {
            return Vec::new();
        };
        call.legs
            .iter()
            .filter_map(|key| match &self.legs.get(*key)?.endpoint {
                super::leg::Endpoint::Extension(extension) => Some(extension.clone()),
                super::leg::Endpoint::Trunk(_) | super::leg::Endpoint::Unknown => None,
            })
            .collect()
    }

    /// Where the next request of a dialog that is not a call's goes: by the same rules as a call's.
    pub fn route_of(&self, dialog: &Dialog) -> Flow {
        self.route(dialog, &dialog.flow)
    }
}
