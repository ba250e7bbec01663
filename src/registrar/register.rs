//! REGISTER applied: checked as a whole, then changed as a whole (RFC 3261 §10.3 steps 6 to 8).

use std::fmt::Write;

use smallvec::SmallVec;

use crate::base::{Key, Now};
use crate::sip::{Builder, Message, Name, StatusCode};
use crate::transport::Flow;

use super::binding::is_behind_nat;
use super::request::{self, Refusal, Wish, Wishes};
use super::{AddressOfRecord, Binding, BindingChange, Change, Entry, Registrar, RemovalReason};

/// The answer to a REGISTER, and what it changed. Keep one and hand it in again: its buffers are reused.
#[derive(Clone, Debug)]
pub struct RegisterOutcome {
    /// 200, or why nothing was changed: 400 (bad Contact), 403 (too many), 416 (no SIP URI), 423 (too brief), 500 (CSeq out of order).
    pub status: StatusCode,
    /// Reason phrase; empty for the code's own.
    pub reason: &'static str,
    /// Contact values of the answer, one a line.
    contacts: String,
    /// Min-Expires of the answer in seconds, with 423.
    pub min_expires: Option<u32>,
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
        match self.min_expires {
            Some(seconds) => response.header_fmt(Name::MinExpires, format_args!("{seconds}")),
            None => response,
        }
    }

    fn clear(&mut self) {
        self.status = StatusCode::OK;
        self.reason = "";
        self.contacts.clear();
        self.min_expires = None;
        self.changes.clear();
    }
}

/// A wish with the binding that it is about.
struct Step<'a> {
    wish: Wish<'a>,
    known: Option<Key<Entry>>,
}

impl Registrar {
    /// Applies a REGISTER that is authenticated and allowed to change `aor`. Either all of its contacts are taken or none.
    ///
    /// Choices where the RFC leaves one: a CSeq that is not higher than the binding's, under the same Call-ID, is answered 500 as
    /// a dialog would (§12.2.2); more than `contacts_max` bindings are answered 403, because asking again would not help.
    pub fn register(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        aor: &AddressOfRecord,
        out: &mut RegisterOutcome,
    ) {
        out.clear();
        let taken = match request::read(request, &self.settings) {
            Ok(Wishes::Query) => Ok(()),
            Ok(Wishes::RemoveAll) => self.remove_all(request, aor, out),
            Ok(Wishes::Bind(wishes)) => self.bind(now, flow, request, aor, wishes, out),
            Err(refusal) => Err(refusal),
        };
        match taken {
            Ok(()) => {
                self.mark_healthy(&flow);
                self.list(now, aor, &mut out.contacts);
            }
            Err(refusal) => {
                debug_assert!(out.changes.is_empty(), "a refused request changes nothing");
                out.status = refusal.status;
                out.reason = refusal.reason;
                if refusal.status == StatusCode::INTERVAL_TOO_BRIEF {
                    let seconds = self.settings.expires_min.as_secs();
                    out.min_expires = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
                }
            }
        }
    }

    fn remove_all(
        &mut self,
        request: &Message,
        aor: &AddressOfRecord,
        out: &mut RegisterOutcome,
    ) -> Result<(), Refusal> {
        let keys: SmallVec<[Key<Entry>; 4]> = self.keys_of(aor).iter().copied().collect();
        for key in &keys {
            self.check_order(*key, request)?;
        }
        for key in keys {
            out.changes
                .extend(self.remove(key, RemovalReason::Unregistered));
        }
        Ok(())
    }

    fn bind(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        aor: &AddressOfRecord,
        wishes: SmallVec<[Wish<'_>; 2]>,
        out: &mut RegisterOutcome,
    ) -> Result<(), Refusal> {
        let path = request::path(request)?;
        let mut steps: SmallVec<[Step<'_>; 2]> = SmallVec::new();
        let mut count = self.keys_of(aor).len();
        for wish in wishes {
            let known = self.find(aor, &wish);
            if let Some(key) = known {
                self.check_order(key, request)?;
                count -= usize::from(wish.expires.is_zero());
            } else {
                count += usize::from(!wish.expires.is_zero());
            }
            steps.push(Step { wish, known });
        }
        if count > self.settings.contacts_max {
            return Err(Refusal {
                status: StatusCode::FORBIDDEN,
                reason: "Too Many Contacts",
            });
        }
        let user_agent = request
            .header(Name::UserAgent)
            .map(|text| text.get(..128).unwrap_or(text))
            .map(String::from_utf8_lossy);
        for Step { wish, known } in steps {
            let removal = wish.expires.is_zero();
            // A contact that stands twice in one request meets what its first mention made.
            let known = known
                .filter(|key| self.entries.contains(*key))
                .or_else(|| self.find(aor, &wish));
            match known {
                Some(key) if removal => out
                    .changes
                    .extend(self.remove(key, RemovalReason::Unregistered)),
                Some(key) => {
                    let agent = user_agent.as_deref();
                    self.refresh(now, flow, request, &wish, &path, agent, key, out);
                }
                None if removal => {}
                None => {
                    let binding = Binding {
                        contact: wish.contact.into(),
                        flow,
                        q: wish.q,
                        expires_at: now.mono + wish.expires,
                        instance: wish.instance.as_deref().map(Into::into),
                        reg_id: wish.reg_id,
                        call_id: String::from_utf8_lossy(request.call_id()).into(),
                        cseq: request.cseq().number,
                        user_agent: user_agent.as_deref().map(|text| self.user_agent(text)),
                        path: path.clone(),
                        registered_at: now.wall,
                        behind_nat: is_behind_nat(&wish.uri, &flow),
                    };
                    self.insert(aor.clone(), binding.clone());
                    out.changes.push(BindingChange {
                        change: Change::Added,
                        aor: aor.clone(),
                        binding,
                    });
                }
            }
        }
        Ok(())
    }

    /// The same device again. What did not change is not copied: this is what most REGISTERs do. Another contact under the same
    /// instance, or another flow, replaces the old path at once.
    #[allow(clippy::too_many_arguments)] // one caller; the parts of one request
    fn refresh(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        wish: &Wish<'_>,
        path: &[std::sync::Arc<str>],
        user_agent: Option<&str>,
        key: Key<Entry>,
        out: &mut RegisterOutcome,
    ) {
        let known_agent = self
            .entries
            .get(key)
            .and_then(|entry| entry.binding.user_agent.clone());
        let agent = match user_agent {
            Some(text) if known_agent.as_deref() == Some(text) => known_agent,
            Some(text) => Some(self.user_agent(text)),
            None => None,
        };
        self.move_to(key, flow);
        let Some(Entry {
            aor,
            binding,
            timer,
        }) = self.entries.get_mut(key)
        else {
            return;
        };
        if &*binding.contact != wish.contact {
            binding.contact = wish.contact.into();
        }
        if binding.instance.as_deref() != wish.instance.as_deref() {
            binding.instance = wish.instance.as_deref().map(Into::into);
        }
        if binding.call_id.as_bytes() != request.call_id() {
            binding.call_id = String::from_utf8_lossy(request.call_id()).into();
        }
        if binding.path != path {
            binding.path = path.to_vec();
        }
        binding.reg_id = wish.reg_id;
        binding.cseq = request.cseq().number;
        binding.q = wish.q;
        binding.user_agent = agent;
        binding.behind_nat = is_behind_nat(&wish.uri, &flow);
        let earlier = std::mem::replace(&mut binding.expires_at, now.mono + wish.expires);
        if binding.expires_at < earlier {
            self.timers.cancel(*timer);
            *timer = self.timers.set(binding.expires_at, key);
        }
        out.changes.push(BindingChange {
            change: Change::Refreshed,
            aor: aor.clone(),
            binding: binding.clone(),
        });
    }

    fn find(&self, aor: &AddressOfRecord, wish: &Wish<'_>) -> Option<Key<Entry>> {
        self.keys_of(aor).iter().copied().find(|key| {
            self.entries.get(*key).is_some_and(|entry| {
                entry.binding.is_device(
                    wish.contact.as_bytes(),
                    wish.instance.as_deref(),
                    wish.reg_id,
                )
            })
        })
    }

    /// Under the same Call-ID the CSeq must rise; another Call-ID is another life of the device.
    fn check_order(&self, key: Key<Entry>, request: &Message) -> Result<(), Refusal> {
        match self.entries.get(key) {
            Some(Entry { binding, .. })
                if binding.call_id.as_bytes() == request.call_id()
                    && request.cseq().number <= binding.cseq =>
            {
                Err(Refusal {
                    status: StatusCode::SERVER_INTERNAL_ERROR,
                    reason: "CSeq Out of Order",
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The Contact values of a 200, with the time that is left rounded up, so that a device told 60 never sees 59.
    fn list(&self, now: Now, aor: &AddressOfRecord, to: &mut String) {
        for key in self.keys_of(aor) {
            let Some(Entry { binding, .. }) = self.entries.get(*key) else {
                continue;
            };
            if binding.expires_at <= now.mono {
                continue;
            }
            let left = binding.expires_at.since(now.mono);
            let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            let _ = write!(to, "<{}>;expires={seconds}", binding.contact);
            if binding.q != 1000 {
                let _ = write!(to, ";q=0.{:03}", binding.q);
            }
            if let Some(instance) = &binding.instance {
                let _ = write!(to, ";+sip.instance=\"{instance}\"");
            }
            if let Some(reg_id) = binding.reg_id {
                let _ = write!(to, ";reg-id={reg_id}");
            }
            to.push('\n');
        }
    }
}
