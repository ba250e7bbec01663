//! The answer to a REGISTER (RFC 3261 §10.3 step 8).

use std::fmt::Write;
use std::sync::Arc;

use super::policy::Policy;
use super::request::Refusal;
use super::{AddressOfRecord, BindingChange, Entry, HealthChange, Keys, Registrar};
use crate::base::{Now, WallTime};
use crate::sip::{Builder, Message, Name, StatusCode};

/// The answer to a REGISTER, and what it changed. Keep one and hand it in again: its buffers are reused.
#[derive(Clone, Debug)]
pub struct RegisterOutcome {
    /// 200, or why nothing was changed: 400 (bad Contact), 403 (too many, or a GRUU), 416 (no SIP URI), 420 (Path that is not taken),
    /// 423 (too brief), 439 (first hop without outbound), 500 (CSeq out of order).
    pub status: StatusCode,
    /// Reason phrase; empty for the code's own.
    pub reason: &'static str,
    /// Contact values of the answer, one a line.
    pub(super) contacts: String,
    /// Min-Expires of the answer in seconds, with 423.
    pub min_expires: Option<u32>,
    /// The extension that the request insists on and that is not to be had here, with 420.
    pub unsupported: &'static str,
    /// Outbound was used: the answer requires it and says when a flow is given up, in seconds (RFC 5626 §6).
    pub flow_timer: Option<u64>,
    /// Path was taken and is shown as it was (RFC 3327 §5.3).
    path: bool,
    /// Service-Route values (RFC 3608 §6.3).
    service_route: Option<Arc<Policy>>,
    date: Arc<str>,
    /// The flow was held for dead, and is not any more.
    pub healed: bool,
    /// The same, for a device that had stopped to answer questions.
    pub revived: Option<HealthChange>,
    /// What changed, in order. Journal it before the answer leaves.
    pub changes: Vec<BindingChange>,
}

impl Default for RegisterOutcome {
    fn default() -> Self {
        RegisterOutcome {
            status: StatusCode::OK,
            reason: "",
            contacts: String::new(),
            min_expires: None,
            unsupported: "",
            flow_timer: None,
            path: false,
            service_route: None,
            date: Arc::default(),
            healed: false,
            revived: None,
            changes: Vec::new(),
        }
    }
}

impl RegisterOutcome {
    /// The Contact values of a 200: every binding with what is left of its time.
    pub fn contacts(&self) -> impl Iterator<Item = &str> {
        self.contacts.lines()
    }

    /// The answer: give it a To tag and finish it.
    pub fn response(&self, request: &Message, to_tag: &[u8]) -> Builder {
        let mut response = Builder::response(request, self.status, self.reason).to_tag(to_tag);
        for contact in self.contacts() {
            response = response.header(Name::Contact, contact);
        }
        if let Some(seconds) = self.min_expires {
            response = response.header_fmt(Name::MinExpires, format_args!("{seconds}"));
        }
        if !self.unsupported.is_empty() {
            response = response.header(Name::Unsupported, self.unsupported);
        }
        if self.status != StatusCode::OK {
            return response;
        }
        if let Some(seconds) = self.flow_timer {
            response = response
                .header(Name::Require, "outbound")
                .header_fmt(Name::FlowTimer, format_args!("{seconds}"));
        }
        if self.path {
            response = response.copy(request, Name::Path);
        }
        if let Some(policy) = &self.service_route {
            for route in &policy.service_route {
                response = response.header(Name::ServiceRoute, route.as_bytes());
            }
        }
        response
            .header(Name::Supported, "path, outbound, gruu")
            .header(Name::Date, self.date.as_bytes())
    }

    pub(super) fn clear(&mut self) {
        let (contacts, changes) = (
            std::mem::take(&mut self.contacts),
            std::mem::take(&mut self.changes),
        );
        *self = RegisterOutcome {
            contacts,
            changes,
            ..RegisterOutcome::default()
        };
        self.contacts.clear();
        self.changes.clear();
    }

    pub(super) fn refuse(&mut self, refusal: Refusal, policy: &Policy) {
        self.status = refusal.status;
        self.reason = refusal.reason;
        self.unsupported = refusal.unsupported;
        if refusal.status == StatusCode::INTERVAL_TOO_BRIEF {
            let seconds = policy.expires_min.as_secs();
            self.min_expires = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn accept(&mut self, policy: &Arc<Policy>, path: bool, date: Arc<str>) {
        self.path = path;
        self.date = date;
        if !policy.service_route.is_empty() {
            self.service_route = Some(policy.clone());
        }
    }
}

impl Registrar {
    /// The Contact values of a 200, with the time that is left rounded up, so that a device told 60 never sees 59; and the GRUUs of
    /// those that have an instance, when the asker can use them.
    pub(super) fn list(&mut self, now: Now, aor: &AddressOfRecord, gruus: bool, to: &mut String) {
        let keys: Keys = self.keys_of(aor).iter().copied().collect();
        for key in keys {
            let Some(Entry { binding, .. }) = self.entries.get(key) else {
                continue;
            };
            if binding.expires_at <= now.mono {
                continue;
            }
            let left = binding.expires_at.since(now.mono);
            let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            let _ = write!(to, "<{}>;expires={seconds}", binding.contact());
            if binding.q != 1000 {
                let _ = write!(to, ";q=0.{:03}", binding.q);
            }
            if let Some(instance) = binding.instance() {
                let _ = write!(to, ";+sip.instance=\"{instance}\"");
            }
            if let Some(reg_id) = binding.reg_id {
                let _ = write!(to, ";reg-id={reg_id}");
            }
            if gruus {
                let binding = binding.clone();
                self.gruu_params(aor, &binding, to);
            }
            to.push('\n');
        }
    }
}

/// The Date header's form of a moment (RFC 3261 §20.17): telephones without a clock of their own set it by this. Written once a second.
#[derive(Default)]
pub(super) struct Dates {
    second: i64,
    text: Arc<str>,
}

impl Dates {
    pub fn text(&mut self, at: WallTime) -> Arc<str> {
        let second = at.timestamp().as_second();
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = Arc::from(date(at));
        }
        self.text.clone()
    }
}

fn date(at: WallTime) -> String {
    let zoned = at.timestamp().to_zoned(jiff::tz::TimeZone::UTC);
    zoned.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_sip_wants_them_and_follow_the_clock() {
        let mut dates = Dates::default();
        for (millis, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1_795_000_000_000, "Wed, 18 Nov 2026 11:06:40 GMT"),
            (1_795_000_000_999, "Wed, 18 Nov 2026 11:06:40 GMT"),
            (1_795_000_001_000, "Wed, 18 Nov 2026 11:06:41 GMT"),
            (1_795_000_000_000, "Wed, 18 Nov 2026 11:06:40 GMT"),
        ] {
            assert_eq!(&*dates.text(WallTime::from_millis(millis)), text);
        }
        assert_eq!(
            date(WallTime::from_millis(1_795_000_000_999)),
            "Wed, 18 Nov 2026 11:06:40 GMT"
        );
    }
}
