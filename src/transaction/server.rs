//! The server half: requests come in, the user's responses go out, and the two server machines are driven.

use super::invite_server::{self, InviteServer};
use super::matching;
use super::non_invite_server::{self, NonInviteServer};
use super::timer;
use super::{Act, Kind, Owner, Served, ServerKey, Timer, Transactions};

use bytes::Bytes;

use crate::base::{Key, Now};
use crate::sip::{Builder, Message, Name, StatusCode};
use crate::transport::{Flow, via};

impl<U: Copy> Transactions<U> {
    /// The peer is reached on another flow now: the responses that this transaction still sends go there (RFC 5626 §4.3).
    pub fn move_server(&mut self, key: ServerKey, flow: Flow) {
        let slot = key.1;
        match key.0 {
            Kind::Invite => {
                if let Some(server) = self.invite_servers.get_mut(Key::from_bits(slot)) {
                    server.response_flow = flow;
                }
            }
            Kind::NonInvite => {
                if let Some(server) = self.non_invite_servers.get_mut(Key::from_bits(slot)) {
                    server.response_flow = flow;
                }
            }
        }
    }

    /// Sends the user's response to a request: provisional, 2xx or other final. After a final one, further responses are dropped,
    /// but for further 2xx to an INVITE (RFC 6026 §7.1).
    pub fn respond(&mut self, now: Now, key: ServerKey, response: Message, out: &mut Vec<Act<U>>) {
        let Some(status) = response.status() else {
            debug_assert!(false, "a request was given as a response");
            return;
        };
        match key.0 {
            Kind::Invite => {
                let event = if status.is_provisional() {
                    invite_server::Event::Provisional
                } else if status.is_success() {
                    invite_server::Event::Success
                } else {
                    invite_server::Event::Failure
                };
                self.invite_server(now, Key::from_bits(key.1), event, Some(response), out);
            }
            Kind::NonInvite => {
                let event = if status.is_provisional() {
                    non_invite_server::Event::Provisional
                } else {
                    non_invite_server::Event::Final
                };
                self.non_invite_server(now, Key::from_bits(key.1), event, Some(response), out);
            }
        }
    }

    /// Sends 100 to an INVITE now instead of after 200 ms, for instance once its source has proved itself. Does nothing when
    /// anything was sent before.
    pub fn trying(&mut self, now: Now, key: ServerKey, out: &mut Vec<Act<U>>) {
        if let Some(message) = self
            .invite_server_of(key)
            .filter(|server| server.response.is_none())
            .map(|server| trying_for(&server.request))
        {
            self.respond(now, key, message, out);
        }
    }

    /// Answers a request once and forgets it, as a stateless element does (§8.2.7): for challenges and refusals to a source that has
    /// proved nothing, which cost no memory and are never retransmitted at it. Each retransmission of the request is a new one,
    /// and the ACK to it comes as an [`Act::Ack`] that no dialog knows. `response` empty: no answer at all. What was answered to a
    /// request that may be repeated can be asked for a while ([`Transactions::answered`]).
    pub fn answer_once(
        &mut self,
        now: Now,
        key: ServerKey,
        response: Option<Message>,
        out: &mut Vec<Act<U>>,
    ) {
        let ended = match key.0 {
            Kind::Invite => self
                .remove_invite_server(Key::from_bits(key.1))
                .map(|server| (server.response_flow, server.key)),
            Kind::NonInvite => self
                .remove_non_invite_server(Key::from_bits(key.1))
                .map(|server| (server.response_flow, server.key)),
        };
        if let (Some((flow, match_key)), Some(message)) = (ended, response) {
            if !flow.transport.is_reliable()
                && let Some(status) = message.status()
            {
                self.verdicts.note(now.mono, match_key, status);
            }
            out.push(Act::Send { flow, message });
        }
    }

    /// What an earlier sending of this request was answered with once, by its code, if that is still remembered.
    pub fn answered(&self, now: Now, key: ServerKey) -> Option<u16> {
        let match_key = match key.0 {
            Kind::Invite => self.invite_server_of(key)?.key,
            Kind::NonInvite => self.non_invite_servers.get(Key::from_bits(key.1))?.key,
        };
        self.verdicts.of(now.mono, match_key)
    }

    /// True when an earlier sending of this request was answered 503 once. As long as nobody was, that costs a comparison.
    pub fn was_sent_away(&self, now: Now, key: ServerKey) -> bool {
        self.verdicts.sent_away(now.mono)
            && self.answered(now, key) == Some(StatusCode::SERVICE_UNAVAILABLE.as_u16())
    }

    /// The ACK to the 2xx of this INVITE has arrived: its retransmission stops.
    pub fn acked(&mut self, key: ServerKey) {
        if key.is_invite() {
            let mut out: Vec<Act<U>> = Vec::new();
            self.invite_server(
                Now::default(), // no timer is armed by it
                Key::from_bits(key.1),
                invite_server::Event::Acknowledged,
                None,
                &mut out,
            );
            debug_assert!(out.is_empty(), "acknowledging only stops a timer");
        }
    }

    /// True when another INVITE with the same From tag, Call-ID and CSeq is being served and this one has no To tag: one request
    /// came on two paths after a fork, and all but the first are answered 482 (§8.2.2.2).
    pub fn is_merged(&self, key: ServerKey) -> bool {
        self.invite_server_of(key).is_some_and(|server| {
            server.request.to_tag().is_none()
                && self
                    .merges
                    .get(&server.merge)
                    .is_some_and(|first| *first != key)
        })
    }

    /// The INVITE of a server transaction, while it lives. Other requests are not kept.
    pub fn invite(&self, key: ServerKey) -> Option<&Message> {
        self.invite_server_of(key).map(|server| &server.request)
    }

    fn invite_server_of(&self, key: ServerKey) -> Option<&InviteServer> {
        match key.0 {
            Kind::Invite => self.invite_servers.get(Key::from_bits(key.1)),
            Kind::NonInvite => None,
        }
    }

    fn served(&self, match_key: &matching::MatchKey) -> Option<ServerKey> {
        self.servers.get(match_key)?.live()
    }

    pub(super) fn receive_invite(
        &mut self,
        now: Now,
        flow: Flow,
        message: Message,
        out: &mut Vec<Act<U>>,
    ) {
        let match_key = matching::server_key(&message, &message.top_via());
        if let Some(known) = self.served(&match_key) {
            self.invite_server(
                now,
                Key::from_bits(known.1),
                invite_server::Event::Invite,
                None,
                out,
            );
            return;
        }
        let old_key = matching::is_old_style(&message).then(|| matching::invite_key(&message));
        let merge = matching::merge_key(&message);
        let slot = self.invite_servers.insert(InviteServer {
            state: invite_server::State::Proceeding,
            response_flow: via::response_flow(flow, &message.top_via()),
            request: message.clone(),
            flow,
            response: None,
            armed: Default::default(),
            key: match_key,
            old_key,
            merge,
        });
        let key = ServerKey(Kind::Invite, slot.to_bits());
        self.servers.insert(match_key, Served::Live(key));
        if let Some(old_key) = old_key {
            self.servers.insert(old_key, Served::Live(key));
        }
        self.merges.entry(merge).or_insert(key);
        if let Some(server) = self.invite_servers.get_mut(slot) {
            let reliable = flow.transport.is_reliable();
            let owner = (Owner::Server(key), Timer::Trying);
            server
                .armed
                .start(&mut self.timers, now.mono, Timer::Trying, reliable, owner);
        }
        out.push(Act::Request { key, flow, message });
    }

    pub(super) fn receive_non_invite(
        &mut self,
        now: Now,
        flow: Flow,
        message: Message,
        out: &mut Vec<Act<U>>,
    ) {
        if let Some(key) = self.admit_non_invite(now, flow, &message, out) {
            out.push(Act::Request { key, flow, message });
        }
    }

    pub(super) fn receive_ack(
        &mut self,
        now: Now,
        flow: Flow,
        message: Message,
        out: &mut Vec<Act<U>>,
    ) {
        let known = self.served(&matching::invite_key(&message)).filter(|key| {
            self.invite_server_of(*key).is_some_and(|server| {
                // Without the cookie the To tag must be that of our response (§17.2.3).
                server.old_key.is_none()
                    || server
                        .response
                        .as_ref()
                        .is_some_and(|response| response.to_tag() == message.to_tag())
            })
        });
        match known {
            Some(key) => self.invite_server(
                now,
                Key::from_bits(key.1),
                invite_server::Event::Ack,
                Some(message),
                out,
            ),
            None => out.push(Act::Ack { flow, message }),
        }
    }

    pub(super) fn receive_cancel(
        &mut self,
        now: Now,
        flow: Flow,
        message: Message,
        out: &mut Vec<Act<U>>,
    ) {
        let Some(key) = self.admit_non_invite(now, flow, &message, out) else {
            return;
        };
        let invite = self
            .served(&matching::invite_key(&message))
            .filter(|key| key.is_invite());
        let tag = self.entropy.token::<16>();
        let Some(invite) = invite else {
            let response = Builder::response(&message, StatusCode::CALL_DOES_NOT_EXIST, "")
                .to_tag(&tag)
                .finish();
            return self.respond(now, key, response, out);
        };
        // The To tag of both responses should be the same (§9.2), when ours to the INVITE is known.
        let known_tag = self
            .invite_server_of(invite)
            .and_then(|server| server.response.as_ref())
            .and_then(|response| response.to_tag());
        let response = Builder::response(&message, StatusCode::OK, "")
            .to_tag(known_tag.unwrap_or(&tag))
            .finish();
        self.respond(now, key, response, out);
        self.invite_server(
            now,
            Key::from_bits(invite.1),
            invite_server::Event::Cancel,
            Some(message),
            out,
        );
    }

    /// The key of a new non-INVITE server transaction, or `None` for a retransmission, which is answered here.
    fn admit_non_invite(
        &mut self,
        now: Now,
        flow: Flow,
        message: &Message,
        out: &mut Vec<Act<U>>,
    ) -> Option<ServerKey> {
        let via = message.top_via();
        let match_key = matching::server_key(message, &via);
        match self.servers.get(&match_key).copied() {
            Some(Served::Completed(number)) => {
                if let Some((flow, response)) = self.completed.get(number) {
                    send_again(flow, response, out);
                }
                return None;
            }
            Some(Served::Live(known)) => {
                let event = non_invite_server::Event::Request;
                self.non_invite_server(now, Key::from_bits(known.1), event, None, out);
                return None;
            }
            None => {}
        }
        let slot = self.non_invite_servers.insert(NonInviteServer {
            state: non_invite_server::State::Trying,
            response_flow: via::response_flow(flow, &via),
            response: None,
            key: match_key,
        });
        let key = ServerKey(Kind::NonInvite, slot.to_bits());
        self.servers.insert(match_key, Served::Live(key));
        Some(key)
    }

    pub(super) fn server_timer(
        &mut self,
        now: Now,
        key: ServerKey,
        timer: Timer,
        out: &mut Vec<Act<U>>,
    ) {
        match key.0 {
            Kind::Invite => {
                let slot = Key::from_bits(key.1);
                if let Some(server) = self.invite_servers.get_mut(slot) {
                    server.armed.fired(timer);
                }
                if let Some(event) = invite_server::timer_event(timer) {
                    self.invite_server(now, slot, event, None, out);
                }
            }
            Kind::NonInvite => {
                debug_assert_eq!(timer, Timer::J, "a non-INVITE server arms nothing else");
                let event = non_invite_server::Event::TimerJ;
                self.non_invite_server(now, Key::from_bits(key.1), event, None, out);
            }
        }
    }

    /// Drives an `InviteServer`. `message` is the response, ACK or CANCEL that the event is about.
    pub(super) fn invite_server(
        &mut self,
        now: Now,
        slot: Key<InviteServer>,
        event: invite_server::Event,
        mut message: Option<Message>,
        out: &mut Vec<Act<U>>,
    ) {
        use invite_server::{Action, State};
        let Some(server) = self.invite_servers.get_mut(slot) else {
            return;
        };
        let key = ServerKey(Kind::Invite, slot.to_bits());
        let reliable = server.response_flow.transport.is_reliable();
        let (actions, next) = invite_server::step(server.state, event);
        server.state = next;
        let mut due = None;
        for action in actions {
            match *action {
                Action::SendNew => {
                    if let Some(message) = message.take() {
                        server.response = Some(message.clone());
                        out.push(Act::Send {
                            flow: server.response_flow,
                            message,
                        });
                    }
                }
                Action::SendLast => out.push(Act::Send {
                    flow: server.response_flow,
                    message: match &server.response {
                        Some(response) => response.clone(),
                        None => trying_for(&server.request),
                    },
                }),
                Action::SendTrying => out.push(Act::Send {
                    flow: server.response_flow,
                    message: trying_for(&server.request),
                }),
                Action::PassAck => {
                    if let Some(message) = message.take() {
                        let flow = server.flow;
                        out.push(Act::Ack { flow, message });
                    }
                }
                Action::PassCancel => {
                    if let Some(message) = message.take() {
                        out.push(Act::Cancel { key, message });
                    }
                }
                Action::NoAck => out.push(Act::NoAck { key }),
                Action::Reroute => {
                    if server.response_flow.connection.is_some() {
                        server.response_flow = via::new_connection_flow(
                            server.response_flow,
                            &server.request.top_via(),
                        );
                        if let Some(response) = &server.response {
                            out.push(Act::Send {
                                flow: server.response_flow,
                                message: response.clone(),
                            });
                        }
                    }
                }
                Action::Start(timer) => {
                    let owner = (Owner::Server(key), timer);
                    let timers = &mut self.timers;
                    if server.armed.start(timers, now.mono, timer, reliable, owner) {
                        due = Some(timer);
                    }
                }
                Action::Again(timer) => {
                    let owner = (Owner::Server(key), timer);
                    server.armed.again(&mut self.timers, now.mono, timer, owner);
                }
                Action::Stop(timer) => server.armed.stop(&mut self.timers, timer),
            }
        }
        if next == State::Terminated {
            self.remove_invite_server(slot);
        } else if let Some(event) = due.and_then(invite_server::timer_event) {
            self.invite_server(now, slot, event, None, out);
        }
    }

    /// Drives a `NonInviteServer`. `message` is the response that the event is about.
    fn non_invite_server(
        &mut self,
        now: Now,
        slot: Key<NonInviteServer>,
        event: non_invite_server::Event,
        mut message: Option<Message>,
        out: &mut Vec<Act<U>>,
    ) {
        use non_invite_server::{Action, State};
        let Some(server) = self.non_invite_servers.get_mut(slot) else {
            return;
        };
        let reliable = server.response_flow.transport.is_reliable();
        let (actions, next) = non_invite_server::step(server.state, event);
        server.state = next;
        let mut ends = next == State::Terminated;
        for action in actions {
            match *action {
                Action::SendNew => {
                    if let Some(message) = message.take() {
                        server.response = Some(message.bytes().clone());
                        out.push(Act::Send {
                            flow: server.response_flow,
                            message,
                        });
                    }
                }
                Action::SendLast => {
                    if let Some(response) = server.response.clone() {
                        send_again(server.response_flow, response, out);
                    }
                }
                Action::Start(timer) => match timer.first(reliable) {
                    Some(wait) if !wait.is_zero() => {
                        let until = timer::forgotten_at(now.mono + wait);
                        let response = server.response.take().unwrap_or_default();
                        let flow = server.response_flow;
                        let key = server.key;
                        let number = self.completed.keep(until, key, flow, &response);
                        self.servers.insert(key, Served::Completed(number));
                        self.non_invite_servers.remove(slot);
                        return;
                    }
                    Some(_) => ends = true,
                    None => {}
                },
            }
        }
        if ends {
            self.remove_non_invite_server(slot);
        }
    }

    fn remove_invite_server(&mut self, slot: Key<InviteServer>) -> Option<InviteServer> {
        let mut server = self.invite_servers.remove(slot)?;
        server.armed.stop_all(&mut self.timers);
        self.servers.remove(&server.key);
        let key = ServerKey(Kind::Invite, slot.to_bits());
        if let Some(old_key) = server.old_key
            && self.served(&old_key) == Some(key)
        {
            self.servers.remove(&old_key);
        }
        if self.merges.get(&server.merge) == Some(&key) {
            self.merges.remove(&server.merge);
        }
        Some(server)
    }

    fn remove_non_invite_server(&mut self, slot: Key<NonInviteServer>) -> Option<NonInviteServer> {
        let server = self.non_invite_servers.remove(slot)?;
        self.servers.remove(&server.key);
        Some(server)
    }
}

/// A response as it stood on the wire, once more.
fn send_again<U>(flow: Flow, response: Bytes, out: &mut Vec<Act<U>>) {
    let message = Message::parse(response);
    debug_assert!(message.is_ok(), "we sent it");
    if let Ok(message) = message {
        out.push(Act::Send { flow, message });
    }
}

/// The 100 to a request, with the Timestamp that it carried (§8.2.6.1).
fn trying_for(request: &Message) -> Message {
    Builder::response(request, StatusCode::TRYING, "")
        .copy(request, Name::Timestamp)
        .finish()
}
