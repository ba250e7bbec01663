//! REGISTER: prove who, change the bindings, journal them, answer; and what follows for agents.

use std::sync::Arc;

use super::core::Switch;
use super::effect::{Effect, Effects};
use super::record::{BindingRecord, Fact, Record};
use super::source::Source;
use crate::acd::AcdCommand;
use crate::base::{Duration, Now};
use crate::call::Endpoint;
use crate::event::RegistrationFact;
use crate::registrar::{
    AddressOfRecord, Binding, BindingChange, Change, RegisterOutcome, RemovalReason,
};
use crate::sip::{Message, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::Flow;

/// How long a device that answered nothing, or 408, 430 or 480, is left alone (acd.md §3).
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
        self.registrar
            .register(now, flow, request, &aor, &mut outcome);
        let tag = self.entropy.token::<8>();
        let response = outcome.response(request, &tag).finish();
        let changes = std::mem::take(&mut outcome.changes);
        self.note_bindings(now, changes, fx);
        self.with_tx(|tx, acts| tx.respond(now, key, response, acts));
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
            let aor: Arc<str> = Arc::from(change.aor.as_str());
            let contact = change.binding.contact.clone();
            match change.change {
                Change::Added | Change::Refreshed => {
                    let record = self.binding_record(now, &change.aor, &change.binding);
                    Self::journal(fx, Record::Bound(record));
                }
                Change::Removed(_) => Self::journal(
                    fx,
                    Record::Unbound {
                        aor: aor.clone(),
                        contact: contact.clone(),
                    },
                ),
            }
            let fact = match change.change {
                Change::Added => Some(RegistrationFact::Added { aor, contact }),
                Change::Refreshed => None,
                Change::Removed(reason) => Some(RegistrationFact::Removed {
                    aor,
                    contact,
                    reason: removal(reason).to_owned(),
                }),
            };
            if let Some(fact) = fact {
                self.publish(now, Fact::Registration(fact), fx);
                self.report_devices(now, change.aor.user());
            }
        }
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
            aor: Arc::from(aor.as_str()),
            contact: binding.contact.clone(),
            profile,
            transport: Arc::from(binding.flow.transport.as_str()),
            local: binding.flow.local,
            remote: binding.flow.remote,
            q: binding.q,
            expires_at: now.wall_at(binding.expires_at),
            registered_at: binding.registered_at,
            instance: binding.instance.clone(),
            reg_id: binding.reg_id,
            call_id: binding.call_id.clone(),
            cseq: binding.cseq,
            user_agent: binding.user_agent.clone(),
            path: binding.path.clone(),
            behind_nat: binding.behind_nat,
        }
    }

    /// Tells the ACD how many devices of an agent ring now.
    pub(super) fn report_devices(&mut self, now: Now, extension: &str) {
        if !self.acd.knows_agent(extension) {
            return;
        }
        let aor = self.aor(extension);
        let ringable = self
            .registrar
            .lookup(now, &aor)
            .filter(|binding| self.registrar.healthy(now, binding))
            .count();
        self.orders.push_back(AcdCommand::Devices {
            agent: Arc::from(extension),
            ringable: u32::try_from(ringable).unwrap_or(u32::MAX),
        });
    }

    /// The same for every agent: after a start or a reload.
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
        self.registrar
            .mark_unhealthy(now, flow, now.mono + UNHEALTHY);
        self.report_devices(now, extension);
    }

    pub(super) fn on_bindings_due(&mut self, now: Now, fx: &mut Effects) {
        let changes = self.registrar.expire(now);
        self.note_bindings(now, changes, fx);
    }

    /// A sentence for the operator.
    pub(super) fn warn(fx: &mut Effects, text: impl Into<String>) {
        fx.push(Effect::Log {
            level: super::effect::Level::Warn,
            text: text.into(),
        });
    }
}

fn removal(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::Unregistered => "unregistered",
        RemovalReason::Expired => "expired",
        RemovalReason::ConnectionClosed => "connection closed",
        RemovalReason::Replaced => "replaced by the device's new registration",
        RemovalReason::Operator => "removed by an operator",
    }
}
