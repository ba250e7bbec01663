//! REGISTER: prove who, change the bindings, journal them, answer; and what follows for agents.

use std::sync::Arc;

use bytes::Bytes;

use super::core::Switch;
use super::effect::{Effect, Effects};
use super::record::{BindingRecord, Fact, Record};
use super::source::Source;
use crate::base::{Duration, Now, Secret};
use crate::call::{Endpoint, User};
use crate::config::ProfileAuth;
use crate::event::RegistrationFact;
use crate::registrar::{
    AddressOfRecord, Binding, BindingChange, Change, GruuKey, HealthChange, Ping, RegisterOutcome,
    RemovalReason,
};
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::{Flow, Way};

/// How long a device that answered nothing, or 408, 430 or 480, is left alone (acd.toml §3).
pub(super) const UNHEALTHY: Duration = Duration::from_secs(30);

impl Switch {
    pub(super) fn on_register(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        fx: &mut Effects,
    ) {
        let extension = match self.source(now, key, flow, request) {
            Source::Known(Endpoint::Extension(extension)) => extension,
            Source::Known(Endpoint::Trunk(_) | Endpoint::Unknown) => {
                self.answer(now, key, request, StatusCode::FORBIDDEN);
                return;
            }
            Source::Answered => return,
        };
        let bound = request.to().uri.user_text();
        if bound.as_deref() != Some(&*extension) {
            self.answer(now, key, request, StatusCode::FORBIDDEN);
            return;
        }
        if !self.store_ok {
            self.answer(now, key, request, StatusCode::SERVICE_UNAVAILABLE);
            return;
        }
        let aor = self.aor(&extension);
        let mut outcome = RegisterOutcome::default();
        let sealed = self.registrar.gruu_key().is_some();
        self.registrar
            .register(now, flow, request, &aor, &mut outcome);
        if !sealed && let Some(key) = self.registrar.gruu_key() {
            Self::journal(fx, gruu_key_record(key));
        }
        let tag = self.entropy.token::<8>();
        let response = outcome.response(request, &tag).finish();
        let changes = std::mem::take(&mut outcome.changes);
        // the answer is first on its connection, before what calls of the device have to say there; the journal goes before both
        self.with_tx(|tx, acts| tx.respond(now, key, response, acts));
        self.note_bindings(now, changes, fx);
        if let Some(change) = outcome.revived.take() {
            self.note_health(now, &change, fx);
        } else if outcome.healed {
            self.report_devices(now, &extension);
        }
    }

    /// The address of record of an extension of ours.
    pub(super) fn aor(&self, extension: &str) -> AddressOfRecord {
        AddressOfRecord::new(extension, &self.settings.server.domain)
    }

    /// Journals and publishes changes of bindings and tells the ACD how many devices ring.
    pub(super) fn note_bindings(
        &mut self,
        now: Now,
        changes: impl IntoIterator<Item = BindingChange>,
        fx: &mut Effects,
    ) {
        for change in changes {
            self.watch_binding(now, &change, fx);
            match change.change {
                Change::Refreshed if change.kept && self.asks_for_proof(&change.binding) => {}
                Change::Added | Change::Refreshed | Change::Moved => {
                    let record = self.binding_record(now, &change.aor, &change.binding);
                    Self::journal(fx, Record::Bound(record));
                }
                Change::Removed(_) => Self::journal(
                    fx,
                    Record::Unbound {
                        aor: change.aor.shared(),
                        contact: Arc::from(change.binding.contact()),
                        reg_id: change.binding.reg_id,
                    },
                ),
            }
            self.follow(now, &change);
            let (aor, contact) = match change.change {
                Change::Refreshed | Change::Moved => continue,
                Change::Added | Change::Removed(_) => {
                    (change.aor.shared(), Arc::from(change.binding.contact()))
                }
            };
            let fact = match change.change {
                Change::Removed(reason) => RegistrationFact::Removed {
                    aor,
                    contact,
                    reason: removal(reason).to_owned(),
                },
                Change::Added | Change::Refreshed | Change::Moved => {
                    RegistrationFact::Added { aor, contact }
                }
            };
            self.publish(now, Fact::Registration(fact), fx);
            self.report_devices(now, change.aor.user());
        }
    }

    /// True when a REGISTER of this device must answer a nonce of this life of the server. Where nobody asks, the CSeq alone keeps out
    /// a late REGISTER from before a crash (RFC 3261 §10.3 step 7), so the journal must know the last one.
    fn asks_for_proof(&self, binding: &Binding) -> bool {
        super::faces::profile_of(&self.settings, binding.flow.profile)
            .is_some_and(|profile| profile.auth == ProfileAuth::Digest)
    }

    /// Live calls of a device follow it: to the flow that it came back on, or from one that is gone to another of the same device.
    fn follow(&mut self, now: Now, change: &BindingChange) {
        if self.calls.is_empty() && !self.calls.has_farewells() {
            return;
        }
        let user = change.aor.user();
        let binding = match change.change {
            Change::Refreshed => return,
            Change::Added | Change::Moved => Some(&change.binding),
            Change::Removed(_) => {
                let (device, gone) = (change.binding.device(), change.binding.way().flow);
                self.calls.flow_gone(user, device, gone);
                self.registrar.heir(now, &change.aor, &change.binding)
            }
        };
        let Some(binding) = binding else { return };
        let (device, way) = (binding.device(), binding.way());
        let replaces = change.change == Change::Moved;
        let left = self.other_flows(now, change);
        self.with_calls(now, |calls, ctx| {
            calls.flow_moved(ctx, user, device, &way, replaces, &left);
        });
    }

    /// The other flows by which the device of a binding that changed is reached.
    pub(super) fn other_flows(&self, now: Now, change: &BindingChange) -> Vec<Flow> {
        if change.binding.instance().is_none() {
            return Vec::new(); // it has but one
        }
        let siblings = self
            .registrar
            .siblings(now, &change.aor, &change.binding)
            .map(|binding| binding.way().flow);
        siblings.collect()
    }

    /// The registered device of an extension that speaks on `flow`, for its calls to follow it.
    pub(super) fn device_on(&self, now: Now, extension: &str, flow: &Flow) -> Option<u64> {
        let aor = self.aor(extension);
        self.registrar
            .lookup(now, &aor)
            .find(|binding| binding.flow == *flow)
            .map(Binding::device)
    }

    /// Takes the policies of new settings. Bindings of people who are in the files no more, and of profiles that are gone, end.
    pub(super) fn configure_registrar(&mut self, now: Now, fx: &mut Effects) {
        let policies = super::faces::policies(&self.settings);
        self.registrar.configure(now, policies);
        // records name profiles, which may be called otherwise now
        self.registrar.distrust_records();
        let settings = self.settings.clone();
        let gone = self.registrar.retain(|aor, binding| {
            settings.directory.user(aor.user()).is_some()
                && super::faces::profile_of(&settings, binding.flow.profile)
                    .is_some_and(|profile| !profile.is_gone())
        });
        self.note_bindings(now, gone, fx);
    }

    pub(super) fn binding_record(
        &self,
        now: Now,
        aor: &AddressOfRecord,
        binding: &Binding,
    ) -> BindingRecord {
        let profile = super::faces::profile_of(&self.settings, binding.flow.profile)
            .map(|profile| profile.name.clone())
            .unwrap_or_default();
        BindingRecord {
            aor: aor.shared(),
            contact: binding.contact_text(),
            profile,
            transport: Arc::from(binding.flow.transport.as_str()),
            local: binding.flow.local,
            remote: binding.flow.remote,
            q: binding.q,
            // later than what was granted: refreshes until then need no record
            expires_at: now.wall_at(binding.expires_at).max(binding.kept_until),
            registered_at: binding.registered_at,
            instance: binding.instance_text(),
            reg_id: binding.reg_id,
            call_id: binding.call_id_text(),
            cseq: binding.cseq,
            user_agent: binding.user_agent.clone(),
            path: binding.paths().map(Arc::from).collect(),
            behind_nat: binding.behind_nat,
            outbound: binding.outbound,
            life: binding.life,
        }
    }

    /// Tells the ACD of the devices of every agent: after a start or a reload.
    pub(super) fn report_all_devices(&mut self, now: Now) {
        let extensions: Vec<Arc<str>> = self
            .settings
            .directory
            .users()
            .map(|user| user.extension.clone())
            .collect();
        for extension in extensions {
            self.report_devices(now, &extension);
        }
    }

    /// Nothing came from a device: leave it alone for a while, and tell the ACD.
    pub(super) fn mark_unhealthy(&mut self, now: Now, extension: &str, flow: Flow) {
        let aor = self.aor(extension);
        self.registrar
            .mark_unhealthy(&aor, flow, now.mono + UNHEALTHY);
        self.report_devices(now, extension);
    }

    pub(super) fn on_bindings_due(&mut self, now: Now, fx: &mut Effects) {
        let due = self.registrar.due(now);
        self.note_bindings(now, due.changes, fx);
        for aor in due.recovered {
            self.report_devices(now, aor.user());
        }
        for ping in due.pings {
            match ping {
                Ping::Ask { ticket, way, aor } => self.ask_flow(now, ticket, way, &aor),
                Ping::Keep(flow) => fx.push(Effect::Send {
                    flow,
                    bytes: Bytes::from_static(b"\r\n\r\n"),
                }),
            }
        }
    }

    /// OPTIONS to a registered device: is its flow alive (RFC 3261 §11.1)?
    fn ask_flow(&mut self, now: Now, ticket: u64, way: Way, aor: &AddressOfRecord) {
        let flow = way.flow;
        let branch = self.tx.branch();
        let network = self.calls.network();
        let sent_by = network.sent_by(&flow);
        let contact = network.contact(&flow, "");
        let domain = self.settings.server.domain.clone();
        let tag = self.entropy.token::<8>();
        let call_id = self.entropy.token::<26>();
        let mut request = Builder::request(&Method::Options, &way.request_uri)
            .via(flow.transport.as_str(), &sent_by, branch.as_ref(), true)
            .header(Name::MaxForwards, "70");
        for route in &way.routes {
            request = request.header(Name::Route, route);
        }
        let message = request
            .header_fmt(
                Name::From,
                format_args!("<sip:{domain}>;tag={}", String::from_utf8_lossy(&tag)),
            )
            .header_fmt(
                Name::To,
                format_args!("<sip:{}@{domain}>", super::dialing::uri_user(aor.user())),
            )
            .header(Name::CallId, call_id)
            .header(Name::CSeq, "1 OPTIONS")
            .header(Name::Contact, contact)
            .header(Name::UserAgent, self.calls.product().as_bytes())
            .finish();
        self.with_tx(|tx, acts| tx.send_request(now, flow, message, User::Health(ticket), acts));
    }

    /// What came of it. Any answer of the device shows that it is there; a proxy on its Path may only say that it is not.
    pub(super) fn on_health_response(
        &mut self,
        now: Now,
        ticket: u64,
        status: Option<StatusCode>,
        fx: &mut Effects,
    ) {
        let alive = match status.map(StatusCode::as_u16) {
            Some(100..=199) => return,
            Some(408 | 430 | 480 | 503 | 504) => !self.registrar.is_routed(ticket),
            Some(_) => true,
            None => false,
        };
        let change = if alive {
            self.registrar.answered(ticket)
        } else {
            self.registrar.silent(ticket)
        };
        if let Some(change) = change {
            self.note_health(now, &change, fx);
        }
    }

    /// A device does not answer any more, or does again: publishes it and tells the ACD.
    fn note_health(&mut self, now: Now, change: &HealthChange, fx: &mut Effects) {
        let (aor, contact) = (change.aor.shared(), Arc::from(&*change.contact));
        let fact = if change.alive {
            RegistrationFact::Reachable { aor, contact }
        } else {
            RegistrationFact::Unreachable { aor, contact }
        };
        self.publish(now, Fact::Registration(fact), fx);
        self.report_devices(now, change.aor.user());
    }

    /// A sentence for the operator.
    pub(super) fn warn(fx: &mut Effects, text: impl Into<String>) {
        fx.push(Effect::Log {
            level: super::effect::Level::Warn,
            text: text.into(),
        });
    }
}

/// The key of temporary GRUUs as the journal keeps it.
pub(super) fn gruu_key_record(key: &GruuKey) -> Record {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in key.0 {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    }
    Record::GruuKey(Secret::new(text))
}

/// And back.
pub(super) fn gruu_key(text: &Secret) -> Option<GruuKey> {
    let text = text.reveal();
    let mut key = [0; 32];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(GruuKey(key))
}

fn removal(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::Unregistered => "unregistered",
        RemovalReason::Expired => "expired",
        RemovalReason::ConnectionClosed => "connection closed",
        RemovalReason::Replaced => "replaced by the device's new registration",
        RemovalReason::Operator => "removed by an operator",
        RemovalReason::NotConfigured => "no longer configured",
    }
}
