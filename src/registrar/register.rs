//! REGISTER applied: checked as a whole, then changed as a whole (RFC 3261 §10.3 steps 6 to 8).

use std::sync::Arc;

use smallvec::SmallVec;

use super::binding::{shows_nat, slack};
use super::request::{self, Arrival, Refusal, Wish, Wishes};
use super::{
    AddressOfRecord, Binding, BindingChange, Change, Entry, Policy, RegisterOutcome, Registrar,
    RemovalReason, Texts,
};
use crate::base::{Key, Now};
use crate::sip::{Message, Name, StatusCode};
use crate::transport::Flow;

/// A wish with the binding that it is about.
struct Step<'a> {
    wish: Wish<'a>,
    known: Option<Key<Entry>>,
}

/// One REGISTER while it is applied.
struct Register<'a> {
    now: Now,
    flow: Flow,
    request: &'a Message,
    aor: &'a AddressOfRecord,
    policy: &'a Policy,
    arrival: &'a Arrival,
    user_agent: Option<Arc<str>>,
}

impl Register<'_> {
    /// The NAT before a device on a Path is its edge's business, not ours.
    fn is_behind_nat(&self, wish: &Wish<'_>) -> bool {
        let source = self.flow.remote.ip().to_canonical();
        let shows = shows_nat(&wish.uri, &self.flow);
        self.arrival.path.is_empty() && self.policy.nat.hides(source, shows)
    }
}

impl Registrar {
    /// Applies a REGISTER that is authenticated and allowed to change `aor`. Either all of its contacts are taken or none.
    ///
    /// Choices where the RFC leaves one: a CSeq that is not higher than the binding's, under the same Call-ID, is answered 500 as
    /// a dialog would (§12.2.2); more than `contacts_max` bindings are answered 403, because asking again would not help, unless the
    /// policy gives the place of the one refreshed longest ago to the new one.
    pub fn register(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        aor: &AddressOfRecord,
        out: &mut RegisterOutcome,
    ) {
        out.clear();
        let policy = self.policy(flow.profile).clone();
        let source = flow.remote.ip().to_canonical();
        let taken = request::arrival(request, &policy, source).and_then(|arrival| {
            match request::read(
                request,
                &policy,
                flow.transport.is_secure(),
                &mut self.entropy,
            )? {
                Wishes::Query => {}
                Wishes::RemoveAll => self.remove_all(request, aor, out)?,
                Wishes::Bind(wishes) => {
                    let register = Register {
                        now,
                        flow,
                        request,
                        aor,
                        policy: &policy,
                        arrival: &arrival,
                        user_agent: self.agent_of(request),
                    };
                    self.bind(&register, wishes, out)?;
                }
            }
            Ok(arrival)
        });
        match taken {
            Ok(arrival) => {
                out.healed |= self.mark_healthy(&flow);
                self.list(now, aor, arrival.gruu, &mut out.contacts);
                let date = self.dates.text(now.wall);
                out.accept(&policy, !arrival.path.is_empty(), date);
            }
            Err(refusal) => {
                debug_assert!(out.changes.is_empty(), "a refused request changes nothing");
                out.refuse(refusal, &policy);
            }
        }
    }

    fn agent_of(&mut self, request: &Message) -> Option<Arc<str>> {
        let text = request.header(Name::UserAgent)?;
        let text = String::from_utf8_lossy(text.get(..128).unwrap_or(text));
        Some(self.user_agent(&text))
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
        register: &Register<'_>,
        wishes: SmallVec<[Wish<'_>; 2]>,
        out: &mut RegisterOutcome,
    ) -> Result<(), Refusal> {
        let aor = register.aor;
        let mut steps: SmallVec<[Step<'_>; 2]> = SmallVec::new();
        let mut count = self.keys_of(aor).len();
        for wish in wishes {
            if register.arrival.lacks_outbound && wish.reg_id.is_some() && !wish.expires.is_zero() {
                return Err(Refusal::of(
                    StatusCode::FIRST_HOP_LACKS_OUTBOUND_SUPPORT,
                    "",
                ));
            }
            let known = self.find(aor, &wish);
            if let Some(key) = known {
                self.check_order(key, register.request)?;
                count -= usize::from(wish.expires.is_zero());
            } else {
                count += usize::from(!wish.expires.is_zero());
            }
            steps.push(Step { wish, known });
        }
        let over = count.saturating_sub(register.policy.contacts_max);
        let too_many = Refusal::of(StatusCode::FORBIDDEN, "Too Many Contacts");
        if over > 0 {
            let victims = self.oldest_but(aor, &steps, over);
            if !register.policy.replace_oldest || victims.len() < over {
                return Err(too_many);
            }
            for key in victims {
                out.changes
                    .extend(self.remove(key, RemovalReason::Replaced));
            }
        }
        for Step { wish, known } in steps {
            // A contact that stands twice in one request meets what its first mention made.
            let known = known
                .filter(|key| self.entries.contains(*key))
                .or_else(|| self.find(aor, &wish));
            match (known, wish.expires.is_zero()) {
                (Some(key), true) => out
                    .changes
                    .extend(self.remove(key, RemovalReason::Unregistered)),
                (Some(key), false) => self.refresh(register, &wish, key, out),
                (None, true) => {}
                (None, false) => self.add(register, &wish, out),
            }
        }
        Ok(())
    }

    /// The bindings refreshed longest ago that the request does not name, at most `most` of them.
    fn oldest_but(
        &self,
        aor: &AddressOfRecord,
        steps: &[Step<'_>],
        most: usize,
    ) -> SmallVec<[Key<Entry>; 2]> {
        let mut others: Vec<_> = self
            .keys_of(aor)
            .iter()
            .filter(|key| steps.iter().all(|step| step.known != Some(**key)))
            .filter_map(|key| Some((self.entries.get(*key)?.binding.refreshed_at, *key)))
            .collect();
        others.sort();
        others.truncate(most);
        others.into_iter().map(|(_, key)| key).collect()
    }

    /// Outbound is used when the device asks for it with an instance and a `reg-id`, and its first hop plays along (RFC 5626 §6).
    fn counts_flows(register: &Register<'_>, wish: &Wish<'_>, out: &mut RegisterOutcome) -> bool {
        let counts = register.arrival.outbound && wish.reg_id.is_some();
        if counts {
            out.flow_timer = Some(register.policy.flow_timer.as_secs());
        }
        counts
    }

    fn life(&mut self, register: &Register<'_>, wish: &Wish<'_>) -> u64 {
        match wish.instance.as_deref() {
            Some(instance) if register.arrival.gruu => {
                let call_id = register.request.call_id();
                self.life_of(register.aor, instance, wish.reg_id, call_id)
            }
            Some(_) | None => 0,
        }
    }

    fn add(&mut self, register: &Register<'_>, wish: &Wish<'_>, out: &mut RegisterOutcome) {
        let Register { now, flow, aor, .. } = *register;
        let call_id = String::from_utf8_lossy(register.request.call_id());
        let texts = Texts {
            contact: wish.contact,
            instance: wish.instance.as_deref().unwrap_or_default(),
            call_id: &call_id,
            path: &register.arrival.path,
        };
        let behind_nat = register.is_behind_nat(wish);
        let mut binding = Binding::new(texts, flow, now.mono + wish.expires);
        binding.q = wish.q;
        binding.reg_id = wish.reg_id;
        binding.cseq = register.request.cseq().number;
        binding.user_agent = register.user_agent.clone();
        binding.registered_at = now.wall;
        binding.refreshed_at = now.mono;
        binding.life = self.life(register, wish);
        binding.behind_nat = behind_nat;
        binding.outbound = Self::counts_flows(register, wish, out);
        binding.kept_until = now.wall + wish.expires + slack(wish.expires);
        self.insert(now, aor.clone(), binding.clone());
        out.changes.push(BindingChange {
            change: Change::Added,
            kept: false,
            aor: aor.clone(),
            binding,
        });
    }

    /// The same device again. What did not change is not copied: this is what most REGISTERs do. Another contact under the same
    /// instance, or another flow, replaces the old path at once.
    fn refresh(
        &mut self,
        register: &Register<'_>,
        wish: &Wish<'_>,
        key: Key<Entry>,
        out: &mut RegisterOutcome,
    ) {
        let Register {
            now, flow, request, ..
        } = *register;
        let Some(was) = self.entries.get(key).map(|entry| entry.binding.clone()) else {
            return;
        };
        let moved = was.flow != flow;
        if moved {
            self.move_to(now, key, flow);
        }
        let life = self.life(register, wish);
        self.set_life(key, life);
        let outbound = Self::counts_flows(register, wish, out);
        if let Some(change) = self.heard_from(key) {
            out.healed = true;
            out.revived = Some(change);
        }
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let before = entry.due();
        let behind_nat = register.is_behind_nat(wish);
        let binding = &mut entry.binding;
        let path = &register.arrival.path;
        let instance = wish.instance.as_deref();
        let same = binding.contact() == wish.contact
            && binding.instance() == instance
            && binding.call_id().as_bytes() == request.call_id()
            && binding.path() == path;
        if !same {
            let call_id = String::from_utf8_lossy(request.call_id());
            binding.write(Texts {
                contact: wish.contact,
                instance: instance.unwrap_or_default(),
                call_id: &call_id,
                path,
            });
        }
        binding.reg_id = wish.reg_id;
        binding.cseq = request.cseq().number;
        binding.q = wish.q;
        binding.user_agent.clone_from(&register.user_agent);
        binding.behind_nat = behind_nat;
        binding.outbound = outbound;
        binding.refreshed_at = now.mono;
        binding.expires_at = now.mono + wish.expires;
        let kept = binding.keep(now, wish.expires, &was);
        let binding = binding.clone();
        if entry.due() < before {
            self.timers.cancel(entry.timer);
            entry.timer = self.timers.set(entry.due(), key);
        }
        out.changes.push(BindingChange {
            change: if moved {
                Change::Moved
            } else {
                Change::Refreshed
            },
            kept,
            aor: entry.aor.clone(),
            binding,
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
                if binding.call_id().as_bytes() == request.call_id()
                    && request.cseq().number <= binding.cseq =>
            {
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                Err(Refusal::of(status, "CSeq Out of Order"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
