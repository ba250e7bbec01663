//! Legs whose device has several flows or moves to another: the next flow is tried, and what is said in a dialog goes where the
//! device is now (RFC 5626 §5.3, §4.3).

use std::collections::VecDeque;

use super::calls::{CallEvent, Calls, Ctx, User};
use super::leg::{Endpoint, Invite, Leg, LegSpec, LegState};
use crate::base::Key;
use crate::transport::{Flow, Way};

/// What it takes to call a device again on another of its flows, until it answers.
#[derive(Clone, Debug)]
pub struct OtherFlows {
    /// How the leg was dialled last.
    pub(super) spec: LegSpec,
    /// Flows not tried yet, newest first.
    pub(super) ways: VecDeque<Way>,
}

/// What a leg keeps of how it was dialled, if it reaches a device.
pub(super) fn others_of(mut spec: LegSpec) -> Option<Box<OtherFlows>> {
    spec.device?;
    let ways = std::mem::take(&mut spec.otherwise).into();
    Some(Box::new(OtherFlows { spec, ways }))
}

impl Calls {
    /// The flow of a leg that is being called is dead, or its edge says so (430): calls the device on its next flow. False when there
    /// is none. Another Call-ID, because the device may have got the first INVITE all the same, and would take a second one of the
    /// same Call-ID for a loop (RFC 3261 §8.2.2.2).
    pub(super) fn try_next_flow(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) -> bool {
        let Some(leg) = self.legs.get_mut(key) else {
            return false;
        };
        if leg.state != LegState::Calling {
            return false;
        }
        let Some(others) = leg.others.as_mut() else {
            return false;
        };
        let Some(way) = others.ways.pop_front() else {
            return false;
        };
        let dead = std::mem::replace(&mut others.spec.flow, way.flow);
        others.spec.request_uri = way.request_uri;
        others.spec.route = way.routes;
        let spec = others.spec.clone();
        leg.flow = way.flow;
        let (call, endpoint) = (leg.call, leg.endpoint.clone());
        let body = leg.audio.sent.clone().unwrap_or_default();
        ctx.event(CallEvent::FlowFailed {
            endpoint,
            flow: dead,
        });
        let call_id = self.entropy.token::<26>();
        let breadth = self.breadth(call).unwrap_or(1);
        let message = self.invite(ctx, call, key, &spec, breadth, &call_id, &body);
        let user = User::Invite(key);
        let client = ctx
            .tx
            .send_request(ctx.now, way.flow, message.clone(), user, ctx.acts);
        if let Some(leg) = self.legs.get_mut(key) {
            leg.request = message;
            leg.invite = Invite::Client { key: Some(client) };
            leg.forget_early();
        }
        true
    }

    /// A flow of a device is gone: who is being called is not called there next.
    pub fn flow_gone(&mut self, extension: &str, device: u64, flow: Flow) {
        let legs = self.on_extension.get(extension).into_iter().flatten();
        for (_, key, _) in legs {
            if let Some(leg) = self.legs.get_mut(*key)
                && leg.device == Some(device)
                && let Some(others) = leg.others.as_mut()
            {
                others.ways.retain(|way| way.flow != flow);
            }
        }
    }

    /// A device of an extension is reached by `way` from now on: its live legs follow it there, with what is under way in them. A
    /// leg that is being called and has heard nothing is called there once the old flow fails, or at once when the new one `replaces`
    /// others and its own is not among those that are `left`.
    pub fn flow_moved(
        &mut self,
        ctx: &mut Ctx<'_>,
        extension: &str,
        device: u64,
        way: &Way,
        replaces: bool,
        left: &[Flow],
    ) {
        self.say_farewells(ctx, extension, device, way);
        let legs: Vec<Key<Leg>> = self
            .on_extension
            .get(extension)
            .into_iter()
            .flatten()
            .map(|(_, leg, _)| *leg)
            // whose call is over and who still waits for its ACK must hear of the end on the new flow as well
            .chain(self.waiting_for_ack.iter().copied().filter(|&key| {
                self.legs.get(key).is_some_and(
                    |leg| matches!(&leg.endpoint, Endpoint::Extension(own) if **own == *extension),
                )
            }))
            .collect();
        for key in legs {
            let Some(leg) = self.legs.get_mut(key) else {
                continue;
            };
            if leg.device != Some(device) || leg.flow == way.flow {
                continue;
            }
            if let (LegState::Calling, Some(others)) = (leg.state, leg.others.as_mut()) {
                others.ways.retain(|other| other.flow != way.flow);
                if replaces {
                    others.ways.retain(|other| left.contains(&other.flow));
                }
                others.ways.push_front(way.clone());
                if replaces && !left.contains(&leg.flow) {
                    if let Invite::Client { key: Some(client) } = leg.invite {
                        // it may ring there all the same, and must not go on when it is answered here
                        ctx.tx.cancel(ctx.now, client, None, ctx.acts);
                        ctx.tx.forget(client);
                    }
                    self.try_next_flow(ctx, key);
                }
                continue;
            }
            leg.flow = way.flow;
            if let Some(dialog) = leg.dialog.as_mut() {
                dialog.flow = way.flow;
            }
            for fork in &mut leg.forks {
                fork.move_to(way.flow);
            }
            match leg.invite {
                Invite::Client { key: Some(client) } => ctx.tx.move_client(client, way.flow),
                Invite::Server { key: server, .. } => ctx.tx.move_server(server, way.flow),
                Invite::Client { key: None } => {}
            }
        }
    }
}
