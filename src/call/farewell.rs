//! A BYE that found its connection closed is kept for a while: the telephone comes back on another one and would talk to nobody.

use std::sync::Arc;

use super::calls::{Asked, Calls, Ctx, User};
use super::leg::{Endpoint, Leg};
use crate::base::{Duration, Instant, Key};
use crate::sip::{Message, Name, edit};
use crate::transaction::ClientKey;
use crate::transport::Way;

/// How long a device may take to come back (twice what telephones wait before they connect again: guess).
const KEPT: Duration = Duration::from_secs(64);
/// Most BYEs kept; beyond it the oldest goes.
const KEPT_MAX: usize = 1_024;

/// The BYE of a leg that is gone.
#[derive(Debug)]
pub(super) struct Farewell {
    leg: Key<Leg>,
    extension: Arc<str>,
    device: u64,
    bye: Message,
    until: Instant,
}

impl Calls {
    /// A BYE to a device left: over a connection it is kept until its answer.
    pub(super) fn bye_left(
        &mut self,
        now: Instant,
        key: Key<Leg>,
        client: ClientKey,
        bye: &Message,
    ) {
        self.part_with(now, key);
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        if let (Some(device), Endpoint::Extension(extension)) = (leg.device, &leg.endpoint)
            && leg.flow.transport.is_reliable()
        {
            let farewell = Farewell {
                leg: key,
                extension: extension.clone(),
                device,
                bye: bye.clone(),
                until: Instant::ZERO,
            };
            self.byes.insert(client, Box::new(farewell));
        }
    }

    /// It was answered, whatever the answer.
    pub(super) fn bye_arrived(&mut self, key: Key<Leg>, client: ClientKey) {
        self.parted(key);
        self.byes.remove(&client);
    }

    /// Its connection was closed, or nothing came back.
    pub(super) fn bye_lost(&mut self, ctx: &Ctx<'_>, key: Key<Leg>, client: ClientKey) {
        self.parted(key);
        let Some(mut farewell) = self.byes.remove(&client) else {
            return;
        };
        farewell.until = ctx.now.mono + KEPT;
        if self.farewells.len() >= KEPT_MAX {
            self.farewells.pop_front();
        }
        self.farewells.push_back(*farewell);
    }

    /// True while there is a BYE whose device may come back, or one that waits for an ACK.
    pub fn has_farewells(&self) -> bool {
        !self.farewells.is_empty() || !self.waiting_for_ack.is_empty()
    }

    /// The device is back: it is told what it missed.
    pub(super) fn say_farewells(
        &mut self,
        ctx: &mut Ctx<'_>,
        extension: &str,
        device: u64,
        way: &Way,
    ) {
        let (due, rest) = std::mem::take(&mut self.farewells)
            .into_iter()
            .partition::<std::collections::VecDeque<_>, _>(|farewell| {
                farewell.device == device && *farewell.extension == *extension
            });
        self.farewells = rest;
        for farewell in due {
            let number = farewell.bye.cseq().number.saturating_add(1);
            let sent_by = self.network.sent_by(&way.flow);
            let branch = ctx.tx.branch();
            let via = format!(
                "SIP/2.0/{} {sent_by};branch={};rport",
                way.flow.transport.as_str(),
                String::from_utf8_lossy(branch.as_ref())
            );
            let bye = edit::replace(&farewell.bye, Name::Via, via.as_bytes());
            let bye = edit::replace(&bye, Name::CSeq, format!("{number} BYE").as_bytes());
            let user = User::InDialog(farewell.leg, Asked::Bye);
            ctx.tx.send_request(ctx.now, way.flow, bye, user, ctx.acts);
        }
    }

    /// Forgets those whose device did not come back.
    pub(super) fn forget_farewells(&mut self, now: Instant) {
        while self
            .farewells
            .front()
            .is_some_and(|farewell| farewell.until <= now)
        {
            self.farewells.pop_front();
        }
    }

    pub(super) fn farewells_due(&self) -> Option<Instant> {
        self.farewells.front().map(|farewell| farewell.until)
    }
}
