//! The journal gives back what was known before the process ended; what cannot go on is closed in the books.

use std::sync::Arc;

use super::core::{State, Switch};
use super::effect::{Effect, Effects, Level};
use super::record::{BindingRecord, Fact, Record, SubscribedRecord};
use crate::acd::{AcdCommand, AcdRecord, Withdrawal};
use crate::base::{Now, WallTime};
use crate::event::{CallRecord, Outcome};
use crate::registrar::{AddressOfRecord, Binding, Texts};
use crate::transport::{Flow, ProfileId, Transport};

impl Switch {
    /// Takes one entry of the journal. Nothing is answered or published meanwhile.
    pub(super) fn restore(&mut self, now: Now, record: Record) {
        match record {
            Record::Bound(record) => self.restore_binding(now, record),
            Record::Unbound {
                aor,
                contact,
                reg_id,
            } => {
                if let Some(aor) = self.known_aor(&aor) {
                    self.registrar.remove_contact(&aor, &contact, reg_id);
                }
            }
            Record::GruuKey(key) => {
                if let Some(key) = super::on_register::gruu_key(&key) {
                    self.registrar.set_gruu_key(key);
                }
            }
            Record::Subscribed(record) => self.restore_subscription(now, *record),
            Record::Unsubscribed { tag } => self.notifier.restore_gone(&tag),
            Record::Messages {
                extension,
                messages,
            } => {
                self.notifier.set_messages(now, &extension, messages);
            }
            Record::CallOpened(record) => {
                self.open_records.insert(record.id, *record);
            }
            Record::CallAnswered { id, at } => {
                if let Some(record) = self.open_records.get_mut(&id) {
                    record.answered_at = Some(at);
                }
            }
            Record::CallClosed(record) => {
                self.open_records.remove(&record.id);
            }
            Record::Alive { at } => self.last_alive = self.last_alive.max(Some(at)),
            Record::Event(event) => {
                self.seq = self.seq.max(event.seq);
                self.last_alive = self.last_alive.max(Some(event.at));
            }
            Record::Seq(seq) => self.seq = self.seq.max(seq),
            Record::Outbound(record) => self.outbound.restore(&record),
            Record::Toggles { extension, toggles } => self.toggles.restore(extension, toggles),
            Record::Acd(record) => {
                // the ACD's settings come first, so that what is restored finds its queue
                self.settle_orders(now);
                match &record {
                    // a callback waits for no call that died
                    AcdRecord::Item(item) if item.callback.is_some() => {}
                    AcdRecord::Item(item) => self.restored_items.push(item.item),
                    AcdRecord::ItemGone { item } => {
                        self.restored_items.retain(|other| other != item)
                    }
                    AcdRecord::Agent(_) | AcdRecord::Assignment { .. } | AcdRecord::Queue(_) => {}
                }
                self.orders.push_back(AcdCommand::Restore(record));
                self.settle_orders(now);
            }
        }
    }

    /// Effects of what is restored are known already: they were journaled when they happened.
    fn settle_orders(&mut self, now: Now) {
        if !self.orders.is_empty() {
            self.work_off(now, &mut Effects::new());
        }
    }

    fn known_aor(&self, text: &str) -> Option<AddressOfRecord> {
        let (user, domain) = text.rsplit_once('@')?;
        Some(AddressOfRecord::new(user, domain))
    }

    fn restore_binding(&mut self, now: Now, record: BindingRecord) {
        let Some(aor) = self.known_aor(&record.aor) else {
            return;
        };
        // an address of record whose person is gone from the files is gone too
        if self.settings.directory.user(aor.user()).is_none() {
            return;
        }
        let Some(profile) = self
            .settings
            .profiles
            .iter()
            .position(|profile| profile.name == record.profile)
        else {
            return;
        };
        let Some(transport) = Transport::parse(record.transport.as_bytes()) else {
            return;
        };
        // a connection does not outlive the process: the device must open a new one, which its next REGISTER does
        let flow = Flow {
            profile: ProfileId(u16::try_from(profile).unwrap_or(u16::MAX)),
            transport,
            local: record.local,
            remote: record.remote,
            connection: None,
        };
        let texts = Texts {
            contact: &record.contact,
            instance: record.instance.as_deref().unwrap_or_default(),
            call_id: &record.call_id,
            path: &record.path.join(","),
        };
        let mut binding = Binding::new(texts, flow, now.mono_at(record.expires_at));
        binding.q = record.q;
        binding.reg_id = record.reg_id;
        binding.cseq = record.cseq;
        binding.user_agent = record.user_agent;
        binding.registered_at = record.registered_at;
        binding.refreshed_at = now.mono;
        binding.kept_until = record.expires_at;
        binding.behind_nat = record.behind_nat;
        binding.outbound = record.outbound;
        binding.life = record.life;
        self.registrar.restore(now, aor, binding);
    }

    fn restore_subscription(&mut self, now: Now, record: SubscribedRecord) {
        let profile = self
            .settings
            .profiles
            .iter()
            .position(|profile| profile.name == record.profile);
        let transport = Transport::parse(record.transport.as_bytes());
        let (Some(profile), Some(transport)) = (profile, transport) else {
            return;
        };
        let flow = Flow {
            profile: ProfileId(u16::try_from(profile).unwrap_or(u16::MAX)),
            transport,
            local: record.local,
            remote: record.remote,
            connection: None,
        };
        self.notifier.restore(now, &record.subscription, flow);
    }

    /// The journal is read. What was open is closed at the last sign of life, then calls are taken.
    pub(super) fn on_ready(&mut self, now: Now, fx: &mut Effects) {
        if self.state != State::Starting {
            return;
        }
        self.state = State::Ready;
        self.outbound.lists.settle();
        self.look_at_hours(now);
        self.work_off(now, fx);
        let last = self.last_alive.unwrap_or(now.wall);
        for (_, record) in std::mem::take(&mut self.open_records) {
            let record = reconciled(record, last);
            Self::journal(fx, Record::CallClosed(Box::new(record)));
        }
        for item in std::mem::take(&mut self.restored_items) {
            self.orders.push_back(AcdCommand::Withdraw {
                item,
                cause: Withdrawal::ProcessRestart,
            });
        }
        self.know_bindings(now);
        self.report_all_devices(now);
        self.configure_trunks(now, fx);
        // phones are shown at once what they watched before: they need not ask again
        self.revise_subscriptions(now, fx);
        self.know_subscribers(now);
        self.notifier.resume(now);
        self.work_off(now, fx);
        self.publish(
            now,
            Fact::Server {
                what: Arc::from("started"),
            },
            fx,
        );
        fx.push(Effect::Log {
            level: Level::Info,
            text: format!(
                "{} devices registered, {} agents known",
                self.registrar.len(),
                self.acd.agents(now).len()
            ),
        });
    }

    /// Everything that a new journal must begin with to give this state back. Between the restore and `Ready` that includes the calls
    /// that are still to be closed, at the sign of life that the old journal had.
    pub fn snapshot(&self, now: Now) -> Vec<Record> {
        let alive = match self.state {
            State::Starting => self.last_alive,
            _ => Some(now.wall),
        };
        let mut records = vec![Record::Seq(self.seq)];
        records.extend(alive.map(|at| Record::Alive { at }));
        records.extend(
            self.open_records
                .values()
                .map(|record| Record::CallOpened(Box::new(record.clone()))),
        );
        records.extend(
            self.registrar
                .gruu_key()
                .map(super::on_register::gruu_key_record),
        );
        for (aor, binding) in self.registrar.all() {
            records.push(Record::Bound(self.binding_record(now, aor, binding)));
        }
        for (subscription, flow) in self.notifier.records(now) {
            let record = self.subscribed_record(subscription, flow);
            records.push(Record::Subscribed(Box::new(record)));
        }
        for (extension, messages) in self.notifier.all_messages() {
            records.push(Record::Messages {
                extension: extension.clone(),
                messages,
            });
        }
        records.extend(self.acd.snapshot().into_iter().map(Record::Acd));
        let toggles = self.toggles.all();
        records.extend(toggles.map(|(extension, toggles)| Record::Toggles {
            extension: extension.clone(),
            toggles: toggles.clone(),
        }));
        let outbound = self.outbound.snapshot(now.wall).into_iter();
        records.extend(outbound.map(Record::Outbound));
        for (_, call) in self.calls.all() {
            records.push(Record::CallOpened(Box::new(call.record.clone())));
        }
        records
    }
}

/// A call that was up when the process died: over at the last sign of life (reliability: at most a second wrong).
fn reconciled(mut record: CallRecord, last: WallTime) -> CallRecord {
    let end = last.max(record.started_at);
    record.ended_at = Some(end);
    record.recovered = true;
    if record.ended_by.is_empty() {
        "system: the server restarted".clone_into(&mut record.ended_by);
    }
    if let Some(answered) = record.answered_at {
        record.outcome = Outcome::Answered;
        record.duration_secs = end.since(answered).as_secs_f64();
    }
    record
}
