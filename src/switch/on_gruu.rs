//! A call to a GRUU rings one device of a person and no other; no dialplan stands between (RFC 5627 §5.4).

use std::collections::VecDeque;
use std::sync::Arc;

use super::core::Switch;
use super::routing::{Branch, Fork, Phase, Routing};
use crate::base::{Duration, Key, Now};
use crate::call::{Call, Cause, Role};
use crate::registrar::Gruu;
use crate::sip::{Message, StatusCode};

/// How long the device rings (RFC 3261 §13.2.1 leaves it to the caller; what most telephones give a call).
const RINGS: Duration = Duration::from_secs(60);

/// The one device that a call is for.
pub(super) struct Called {
    pub extension: Arc<str>,
    pub instance: String,
}

impl Switch {
    /// The device that the Request-URI of a call names. `None` when it is no GRUU of our domain; 404 when it is one that leads nowhere.
    pub(super) fn gruu_called(&self, request: &Message) -> Option<Result<Called, StatusCode>> {
        let uri = request.uri().ok()?;
        let ours = self.settings.server.domain.as_bytes();
        if !uri.host.eq_ignore_ascii_case(ours) {
            return None;
        }
        let Gruu::Device { aor, instance } = self.registrar.gruu(&uri)? else {
            return Some(Err(StatusCode::NOT_FOUND));
        };
        let user = self.settings.directory.user(aor.user());
        Some(match user {
            Some(user) => Ok(Called {
                extension: user.extension.clone(),
                instance,
            }),
            None => Err(StatusCode::NOT_FOUND),
        })
    }

    /// Rings it; when it is not registered now, the caller hears 480.
    pub(super) fn ring_device(&mut self, now: Now, call: Key<Call>, called: &Called) {
        let most = self
            .settings
            .directory
            .user(&called.extension)
            .map_or(u32::MAX, |user| user.max_concurrent_calls);
        let (live, _) = self.calls.live_on(&called.extension);
        let wave: Vec<Branch> = self
            .specs_to(now, call, &called.extension, Role::Callee, |binding| {
                binding.is_instance(&called.instance)
            })
            .into_iter()
            .map(|spec| Branch {
                ways: VecDeque::from([spec]),
                until: None,
            })
            .collect();
        let mut routing = Routing::new(None);
        routing.phase = Phase::Ringing(Fork {
            timeout: RINGS,
            waves: VecDeque::from([wave]),
            held: Vec::new(),
            ringing: Vec::new(),
            best: None,
            timed_out: false,
            rang: false,
            music: None,
            timer: None,
        });
        self.routings.insert(call, routing);
        if live >= most as usize {
            self.end_call(now, call, Cause::Busy, "system: the called person is busy");
        } else if !self.next_wave(now, call) {
            self.end_call(now, call, Cause::Unavailable, "system: no such device now");
        }
    }

    /// The device did not take the call: the caller hears what it said.
    pub(super) fn device_did_not_answer(&mut self, now: Now, call: Key<Call>, fork: &Fork) {
        let cause = match fork.best {
            Some(status) => Cause::of_status(status),
            None => Cause::NoAnswer,
        };
        self.end_call(now, call, cause, "system: the device did not answer");
    }
}
