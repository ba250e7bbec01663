//! Questions and orders of people and programs.

use std::sync::Arc;

use super::command::{Answer, Command, Refusal, Reply};
use super::core::{State, Switch};
use super::effect::Effects;
use super::record::Fact;
use super::routing::Phase;
use super::view::{CallView, LegView, QueueDetail, StatusView, WaitingView, WorkDetail};
use crate::acd::{AcdCommand, AgentStatus, DeclineRefused, DispositionRefused, WrapEndedBy};
use crate::base::{Key, Now};
use crate::call::{Call, Calls, Cause};

/// Who ended a call that the server's stop ended.
pub(super) const STOPS: &str = "system: the server stops";

impl Switch {
    pub(super) fn on_command(&mut self, now: Now, command: Command, fx: &mut Effects) -> Reply {
        match command {
            Command::Status => Ok(Answer::Status(Box::new(self.status(now)))),
            Command::Registrations => Ok(Answer::Registrations(self.registration_views(now))),
            Command::Trunks => Ok(Answer::Trunks(self.trunk_views(now))),
            Command::Calls => Ok(Answer::Calls(
                self.calls
                    .all()
                    .map(|(key, call)| self.call_view(key, call))
                    .collect(),
            )),
            Command::Call { id } => {
                let key = self
                    .calls
                    .find(id)
                    .ok_or_else(|| Refusal::not_found("call", &id.to_string()))?;
                self.view_of(key)
            }
            Command::Record { id } => self.record_so_far(now, id),
            Command::Bans => Ok(Answer::Bans(self.ban_views(now))),
            Command::Ban {
                source,
                seconds,
                force,
            } => self.ban(now, source, seconds, force),
            Command::LiftBan { source } => self.lift_ban(now, source),
            Command::DropDevice { aor, contact } => {
                self.drop_devices(now, &aor, contact.as_deref(), fx)
            }
            Command::SetDoNotDisturb { extension, on } => {
                self.set_do_not_disturb(now, &extension, on, fx)
            }
            Command::SetRing {
                extension,
                contact,
                on,
            } => self.set_ring(now, &extension, contact.as_deref(), on, fx),
            Command::RegisterTrunk { name } => self.register_trunk(now, &name, fx),
            Command::Originate { from, to } => {
                self.may_order(now, &from, &to, fx)?;
                let key = self.originate(now, &from, &to)?;
                self.view_of(key)
            }
            Command::Hangup { id } => {
                let key = self
                    .calls
                    .find(id)
                    .ok_or_else(|| Refusal::not_found("call", &id.to_string()))?;
                self.end_call(now, key, Cause::Operator, "operator");
                Ok(Answer::Done)
            }
            Command::Transfer { id, by, to } => {
                let key = self
                    .calls
                    .find(id)
                    .ok_or_else(|| Refusal::not_found("call", &id.to_string()))?;
                self.transfer_by_order(now, key, &by, &to, fx)?;
                self.work_off(now, fx);
                self.view_of(key)
            }
            Command::Hold { id, by, hold } => {
                let key = self
                    .calls
                    .find(id)
                    .ok_or_else(|| Refusal::not_found("call", &id.to_string()))?;
                let leg = self.party_of(key, &by)?;
                if !self.with_calls(now, |calls, ctx| calls.hold_by_order(ctx, leg, hold)) {
                    let text = format!("extension {by} talks to nobody who could be held");
                    return Err(Refusal::conflict("not_bridged", text));
                }
                self.work_off(now, fx);
                self.view_of(key)
            }
            Command::Queues => Ok(Answer::Queues(self.queue_views(now))),
            Command::Queue { name } => {
                let queue = self
                    .queue_views(now)
                    .into_iter()
                    .find(|queue| queue.name == name)
                    .ok_or_else(|| Refusal::not_found("queue", &name))?;
                Ok(Answer::Queue(Box::new(QueueDetail {
                    queue,
                    items: self
                        .acd
                        .waiting(now, &name)
                        .into_iter()
                        .map(|item| WaitingView {
                            why: self.acd.why_item(item.id).pop(),
                            item,
                        })
                        .collect(),
                })))
            }
            Command::Agents => Ok(Answer::Agents(self.acd.agents(now))),
            Command::Agent { extension } => self.agent_view(now, &extension),
            Command::AgentSession {
                extension,
                logged_in,
            } => {
                let order = if logged_in {
                    AcdCommand::Login {
                        agent: extension.clone(),
                    }
                } else {
                    AcdCommand::Logout {
                        agent: extension.clone(),
                    }
                };
                self.agent_order(now, &extension, order, fx)
            }
            Command::AgentStatus {
                extension,
                ready,
                reason,
            } => {
                self.known_agent(&extension)?;
                if !self.acd.is_logged_in(&extension) {
                    return Err(Refusal::conflict(
                        "not_logged_in",
                        format!("agent {extension} is logged out; log in first"),
                    ));
                }
                let status = if ready {
                    AgentStatus::Ready
                } else {
                    AgentStatus::NotReady { reason }
                };
                self.agent_order(
                    now,
                    &extension,
                    AcdCommand::SetStatus {
                        agent: extension.clone(),
                        status,
                    },
                    fx,
                )
            }
            Command::Decline { offer, reason } => self.decline(now, offer, reason, fx),
            Command::Dispose { id, code } => {
                self.work_detail(now, id)?;
                match self.acd.disposition_refused(id, &code) {
                    None => {}
                    Some(DispositionRefused::NotServed) => {
                        return Err(Refusal::conflict(
                            "not_served",
                            format!("no agent has served work item {id} yet"),
                        ));
                    }
                    Some(DispositionRefused::UnknownCode(codes)) => {
                        return Err(Refusal::unprocessable(
                            "unknown_code",
                            format!("the code is none of this queue's{}", one_of(&codes)),
                        ));
                    }
                }
                self.orders
                    .push_back(AcdCommand::Dispose { item: id, code });
                self.work_off(now, fx);
                self.work_detail(now, id)
            }
            Command::ExtendWrap { extension, seconds } => {
                self.in_wrap_up(now, &extension)?;
                let by = crate::base::Duration::from_secs(seconds);
                let agent = extension.clone();
                let order = AcdCommand::ExtendWrap { agent, by };
                self.agent_order(now, &extension, order, fx)
            }
            Command::EndWrap { extension } if self.acd.wants_disposition(&extension) => {
                Err(Refusal::conflict(
                    "disposition_required",
                    "this queue wants a disposition first: PUT /work/{id}/disposition",
                ))
            }
            Command::EndWrap { extension } => self.agent_order(
                now,
                &extension,
                AcdCommand::EndWrap {
                    agent: extension.clone(),
                    by: WrapEndedBy::Agent,
                },
                fx,
            ),
            Command::Work => Ok(Answer::Work(self.acd.items(now))),
            Command::WorkItem { id } => {
                let known = self.acd.item(now, id).map(|item| item.id);
                let item = known.or_else(|| self.acd.item_of_call(id));
                self.work_detail(now, item.unwrap_or(id))
            }
            Command::Prioritise { id, to, by } => {
                let Answer::WorkItem(work) = self.work_detail(now, id)? else {
                    unreachable!("the detail of a work item");
                };
                if work.item.position.is_none() {
                    return Err(Refusal::conflict(
                        "not_waiting",
                        format!("work item {id} does not wait any more"),
                    ));
                }
                self.orders
                    .push_back(AcdCommand::Rekey { item: id, to, by });
                self.work_off(now, fx);
                self.work_detail(now, id)
            }
            Command::Callbacks => self.callbacks(now),
            Command::RequestCallback {
                queue,
                number,
                name,
                agent,
            } => self.callback_by_order(now, queue, &number, name, agent, fx),
            Command::Numbers(order) => self.on_numbers(now, order, fx),
            Command::CancelCallback { id } => self.cancel_callback(now, id, fx),
            Command::WhyAgent { extension } => {
                self.known_agent(&extension)?;
                Ok(Answer::Decisions(self.acd.why_agent(&extension)))
            }
            Command::SetMessages {
                extension,
                new,
                old,
            } => {
                let messages = crate::notifier::Messages { new, old };
                if self.set_messages(now, &extension, messages, fx) {
                    Ok(Answer::Done)
                } else {
                    Err(Refusal::not_found("extension", &extension))
                }
            }
            Command::Drain => {
                if self.state == State::Ready {
                    self.state = State::Draining;
                    self.publish(
                        now,
                        Fact::Server {
                            what: Arc::from("draining"),
                        },
                        fx,
                    );
                    // carriers send their calls elsewhere at once
                    self.with_trunks(now, fx, |trunks, out| trunks.stop(now, out));
                }
                Ok(Answer::Status(Box::new(self.status(now))))
            }
            Command::EndCalls => {
                let calls: Vec<Key<Call>> = self.calls.all().map(|(key, _)| key).collect();
                for key in calls {
                    self.end_call(now, key, Cause::Shutdown, STOPS);
                }
                Ok(Answer::Status(Box::new(self.status(now))))
            }
        }
    }

    fn in_wrap_up(&self, now: Now, extension: &str) -> Result<(), Refusal> {
        self.known_agent(extension)?;
        let agent = self.acd.agent(now, extension);
        if agent.is_some_and(|agent| agent.wrap_until.is_some()) {
            return Ok(());
        }
        Err(Refusal::conflict(
            "not_in_wrap_up",
            format!("agent {extension} is not in wrap-up"),
        ))
    }

    fn decline(
        &mut self,
        now: Now,
        offer: crate::base::Ulid,
        reason: Option<Arc<str>>,
        fx: &mut Effects,
    ) -> Reply {
        match self.acd.decline_refused(offer, reason.as_deref()) {
            None => {}
            Some(DeclineRefused::NotRinging) => {
                return Err(Refusal::conflict(
                    "not_ringing",
                    format!("agent offer {offer} does not ring any more"),
                ));
            }
            Some(DeclineRefused::ReasonRequired(reasons)) => {
                return Err(Refusal::unprocessable(
                    "reason_required",
                    format!("this queue wants a reason{}", one_of(&reasons)),
                ));
            }
            Some(DeclineRefused::UnknownReason(reasons)) => {
                return Err(Refusal::unprocessable(
                    "unknown_reason",
                    format!("the reason is none of this queue's{}", one_of(&reasons)),
                ));
            }
        }
        self.orders.push_back(AcdCommand::Decline { offer, reason });
        self.work_off(now, fx);
        Ok(Answer::Done)
    }

    fn work_detail(&self, now: Now, id: crate::base::Ulid) -> Reply {
        let item = self
            .acd
            .item(now, id)
            .ok_or_else(|| Refusal::not_found("work item", &id.to_string()))?;
        Ok(Answer::WorkItem(Box::new(WorkDetail {
            item,
            journey: self.acd.journey(id),
            gates: self.outbound.of_work(id),
            why: self.acd.why_item(id),
        })))
    }

    fn known_agent(&self, extension: &str) -> Result<(), Refusal> {
        if self.acd.knows_agent(extension) {
            Ok(())
        } else {
            Err(Refusal::not_found("agent", extension))
        }
    }

    fn agent_order(
        &mut self,
        now: Now,
        extension: &Arc<str>,
        order: AcdCommand,
        fx: &mut Effects,
    ) -> Reply {
        self.known_agent(extension)?;
        self.orders.push_back(order);
        self.work_off(now, fx);
        self.agent_view(now, extension)
    }

    fn agent_view(&self, now: Now, extension: &str) -> Reply {
        self.acd
            .agents(now)
            .into_iter()
            .find(|agent| &*agent.extension == extension)
            .map(|agent| Answer::Agent(Box::new(agent)))
            .ok_or_else(|| Refusal::not_found("agent", extension))
    }

    fn view_of(&self, key: Key<Call>) -> Reply {
        self.calls
            .call(key)
            .map(|call| Answer::Call(Box::new(self.call_view(key, call))))
            .ok_or_else(|| Refusal::not_found("call", "that just ended"))
    }

    fn status(&self, now: Now) -> StatusView {
        let residue = self.residue();
        StatusView {
            version: env!("CARGO_PKG_VERSION"),
            state: match self.state {
                State::Starting => "starting",
                State::Ready if !self.store_ok => "degraded",
                State::Ready => "ready",
                State::Draining => "draining",
            },
            started_at: self.started_at,
            seq: self.seq,
            calls: residue.calls,
            legs: residue.legs,
            registrations: self.registrar.len(),
            registrations_unreachable: self.registrar.unhealthy_len(now),
            transactions: residue.transactions,
            ports: residue.ports,
            ports_resting: self.calls.ports().resting(),
            ports_all: self.calls.ports().capacity(),
            ports_missing: self.calls.ports().missing(),
            guard: self.guard_view(now),
            timers: residue.timers,
            calls_total: self.calls.total,
            waiting: self
                .routings
                .values()
                .filter(|routing| matches!(routing.phase, Phase::Queued { .. }))
                .count(),
            store_ok: self.store_ok,
            unregistering: self.state == State::Draining && self.trunks.is_leaving(),
        }
    }

    fn call_view(&self, key: Key<Call>, call: &Call) -> CallView {
        let routing = self.routings.get(&key);
        let state = if call.ending {
            "ending"
        } else {
            match routing.map(|routing| &routing.phase) {
                Some(Phase::Bridged) => "bridged",
                Some(Phase::Queued { .. }) => "queued",
                Some(Phase::Parked { .. }) => "parked",
                Some(Phase::Ringing(_) | Phase::Originating { .. }) => {
                    let mut called = call.legs.iter().filter(|&&leg| Some(leg) != call.a);
                    match called.any(|&leg| self.calls.leg(leg).is_some_and(|leg| leg.rang)) {
                        true => "ringing",
                        false => "calling",
                    }
                }
                Some(Phase::Over) | None => "ending",
                Some(_) if call.failed.is_some() => "failed",
                Some(_) if call.record.answered_at.is_some() => "answered",
                Some(_) => "routing",
            }
        };
        CallView {
            id: call.id,
            direction: call.record.direction,
            from: self
                .calls
                .calling_party(key)
                .unwrap_or_else(|| call.record.from.clone()),
            to: self.calls_for(key, call),
            state,
            started_at: call.record.started_at,
            answered_at: call.record.answered_at,
            work: routing.and_then(|routing| routing.work),
            verstat: routing
                .and_then(|routing| routing.verdict.as_ref())
                .map(|verdict| verdict.verstat.as_str()),
            attestation: routing
                .and_then(|routing| routing.verdict.as_ref()?.attestation)
                .map(|level| level.as_str()),
            gates: call.record.gates.clone(),
            legs: call
                .legs
                .iter()
                .filter_map(|&key| Some((key, self.calls.leg(key)?)))
                .map(|(key, leg)| LegView {
                    id: leg.id,
                    role: match call.transferor == Some(key) {
                        true => "transferor",
                        false => leg.role.as_str(),
                    },
                    party: leg.party.clone(),
                    state: leg.state_word(),
                    silent_since: leg.silent_since().filter(|_| {
                        let invite = leg.invite_client();
                        !invite.is_some_and(|invite| self.tx.is_heard(invite))
                    }),
                    peer: leg.flow.remote.to_string(),
                    codec: leg.audio.plan.as_ref().and_then(Calls::codec_of),
                })
                .collect(),
        }
    }
}

/// `: one of a, b`, or nothing.
fn one_of(words: &[Arc<str>]) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!(": one of {}", words.join(", "))
    }
}
