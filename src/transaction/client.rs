//! The client half: the user's requests go out, responses come in, and the two client machines are driven.

use super::invite_client::{self, Cancelling, InviteClient};
use super::matching;
use super::non_invite_client::{self, NonInviteClient};
use super::{Act, ClientKey, Kind, Owner, Timer, Transactions};

use crate::base::{Key, Now};
use crate::sip::{Builder, Message, Method, Name};
use crate::transport::Flow;

impl<U: Copy> Transactions<U> {
    /// Sends a request, with our Via and a branch of [`Transactions::branch`] on top, and waits for its responses. Not for ACK,
    /// which has no transaction, nor for CANCEL: see [`Transactions::cancel`].
    pub fn send_request(
        &mut self,
        now: Now,
        flow: Flow,
        request: Message,
        user: U,
        out: &mut Vec<Act<U>>,
    ) -> ClientKey {
        debug_assert!(request.is_request());
        debug_assert!(!matches!(request.method(), Method::Ack | Method::Cancel));
        if *request.method() == Method::Invite {
            self.start_invite_client(now, flow, request, user, out)
        } else {
            self.start_non_invite_client(now, flow, request, Some(user), out)
        }
    }

    /// Takes an INVITE back (§9.1): the CANCEL leaves as soon as a provisional response has shown that the INVITE arrived.
    /// `reason` holds values for Reason headers (RFC 3326), one a line. The final response, usually 487, still comes as an
    /// [`Act::Response`]; a 2xx that crossed the CANCEL comes as well. Without either, [`Act::Timeout`] after 32 s.
    pub fn cancel(
        &mut self,
        now: Now,
        key: ClientKey,
        reason: Option<&[u8]>,
        out: &mut Vec<Act<U>>,
    ) {
        let slot = Key::from_bits(key.1);
        match key.0 {
            Kind::Invite => {
                let Some(client) = self.invite_clients.get_mut(slot) else {
                    return;
                };
                if client.cancelling == Cancelling::No {
                    client.cancelling = Cancelling::Kept(reason.unwrap_or_default().to_vec());
                    self.invite_client(now, slot, invite_client::Event::Cancel, None, out);
                }
            }
            Kind::NonInvite => {} // §9.1: only an INVITE is cancelled
        }
    }

    /// True for an INVITE to which nothing has come back, not even 100.
    pub fn is_unheard(&self, key: ClientKey) -> bool {
        key.0 == Kind::Invite
            && self
                .invite_clients
                .get(Key::from_bits(key.1))
                .is_some_and(|client| client.state == invite_client::State::Calling)
    }

    /// True for an INVITE to which something has come back, be it 100, which its user is not told of.
    pub fn is_heard(&self, key: ClientKey) -> bool {
        key.0 == Kind::Invite
            && self
                .invite_clients
                .get(Key::from_bits(key.1))
                .is_some_and(|client| client.state != invite_client::State::Calling)
    }

    /// Changes who wants the responses.
    pub fn set_user(&mut self, key: ClientKey, user: U) {
        self.put_user(key, Some(user));
    }

    /// Nobody wants the responses any more. The transaction lives on as long as the RFC says, silently; but a 2xx to an INVITE,
    /// which someone must acknowledge and end, comes as an [`Act::StrayResponse`].
    pub fn forget(&mut self, key: ClientKey) {
        self.put_user(key, None);
    }

    /// The peer is reached on another flow now: what this transaction still sends goes there (RFC 5626 §4.3).
    pub fn move_client(&mut self, key: ClientKey, flow: Flow) {
        let slot = key.1;
        match key.0 {
            Kind::Invite => {
                if let Some(client) = self.invite_clients.get_mut(Key::from_bits(slot)) {
                    client.flow = flow;
                }
            }
            Kind::NonInvite => {
                if let Some(client) = self.non_invite_clients.get_mut(Key::from_bits(slot)) {
                    client.flow = flow;
                }
            }
        }
    }

    fn put_user(&mut self, key: ClientKey, user: Option<U>) {
        match key.0 {
            Kind::Invite => {
                if let Some(client) = self.invite_clients.get_mut(Key::from_bits(key.1)) {
                    client.user = user;
                }
            }
            Kind::NonInvite => {
                if let Some(client) = self.non_invite_clients.get_mut(Key::from_bits(key.1)) {
                    client.user = user;
                }
            }
        }
    }

    fn start_invite_client(
        &mut self,
        now: Now,
        flow: Flow,
        request: Message,
        user: U,
        out: &mut Vec<Act<U>>,
    ) -> ClientKey {
        let (flow, request, over_udp) = self.large.route(now, flow, request);
        let match_key = matching::client_key(&request);
        let slot = self.invite_clients.insert(InviteClient {
            state: invite_client::State::Calling,
            request: request.clone(),
            flow,
            over_udp,
            user: Some(user),
            cancelling: Cancelling::No,
            armed: Default::default(),
            key: match_key,
        });
        let key = ClientKey(Kind::Invite, slot.to_bits());
        let earlier = self.clients.insert(match_key, key);
        debug_assert!(earlier.is_none(), "every request has a branch of its own");
        if let Some(client) = self.invite_clients.get_mut(slot) {
            for timer in [Timer::A, Timer::B] {
                let owner = (Owner::Client(key), timer);
                let reliable = flow.transport.is_reliable();
                client
                    .armed
                    .start(&mut self.timers, now.mono, timer, reliable, owner);
            }
        }
        out.push(Act::Send {
            flow,
            message: request,
        });
        key
    }

    fn start_non_invite_client(
        &mut self,
        now: Now,
        flow: Flow,
        request: Message,
        user: Option<U>,
        out: &mut Vec<Act<U>>,
    ) -> ClientKey {
        let (flow, request, over_udp) = self.large.route(now, flow, request);
        let match_key = matching::client_key(&request);
        let slot = self.non_invite_clients.insert(NonInviteClient {
            state: non_invite_client::State::Trying,
            request: request.clone(),
            flow,
            over_udp,
            user,
            armed: Default::default(),
            key: match_key,
        });
        let key = ClientKey(Kind::NonInvite, slot.to_bits());
        let earlier = self.clients.insert(match_key, key);
        debug_assert!(earlier.is_none(), "every request has a branch of its own");
        if let Some(client) = self.non_invite_clients.get_mut(slot) {
            for timer in [Timer::E, Timer::F] {
                let owner = (Owner::Client(key), timer);
                let reliable = flow.transport.is_reliable();
                client
                    .armed
                    .start(&mut self.timers, now.mono, timer, reliable, owner);
            }
        }
        out.push(Act::Send {
            flow,
            message: request,
        });
        key
    }

    pub(super) fn receive_response(
        &mut self,
        now: Now,
        flow: Flow,
        message: Message,
        out: &mut Vec<Act<U>>,
    ) {
        let known = self.clients.get(&matching::client_key(&message)).copied();
        // A Via below ours that the request did not have was put there by nobody who followed the rules: the response is not for us
        // (§8.1.3.3). A request that we forwarded had others, and so has its response.
        let passed_on = message.vias().nth(1).is_some();
        let known = known.filter(|key| self.was_passed_on(*key) == passed_on);
        let (Some(key), Some(status)) = (known, message.status()) else {
            out.push(Act::StrayResponse {
                flow,
                message,
                forgotten: None,
            });
            return;
        };
        match key.0 {
            Kind::Invite => {
                let event = if status.is_provisional() {
                    invite_client::Event::Provisional
                } else if status.is_success() {
                    invite_client::Event::Success
                } else {
                    invite_client::Event::Failure
                };
                let response = Some((flow, message));
                self.invite_client(now, Key::from_bits(key.1), event, response, out);
            }
            Kind::NonInvite => {
                let event = if status.is_provisional() {
                    non_invite_client::Event::Provisional
                } else {
                    non_invite_client::Event::Final
                };
                let response = Some((flow, message));
                self.non_invite_client(now, Key::from_bits(key.1), event, response, out);
            }
        }
    }

    /// True when the request of this transaction had other Via values below ours.
    fn was_passed_on(&self, key: ClientKey) -> bool {
        let request = match key.0 {
            Kind::Invite => self
                .invite_clients
                .get(Key::from_bits(key.1))
                .map(|client| &client.request),
            Kind::NonInvite => self
                .non_invite_clients
                .get(Key::from_bits(key.1))
                .map(|client| &client.request),
        };
        request.is_some_and(|request| request.vias().nth(1).is_some())
    }

    pub(super) fn client_timer(
        &mut self,
        now: Now,
        key: ClientKey,
        timer: Timer,
        out: &mut Vec<Act<U>>,
    ) {
        match key.0 {
            Kind::Invite => {
                let slot = Key::from_bits(key.1);
                if let Some(client) = self.invite_clients.get_mut(slot) {
                    client.armed.fired(timer);
                }
                if let Some(event) = invite_client::timer_event(timer) {
                    self.invite_client(now, slot, event, None, out);
                }
            }
            Kind::NonInvite => {
                let slot = Key::from_bits(key.1);
                if let Some(client) = self.non_invite_clients.get_mut(slot) {
                    client.armed.fired(timer);
                }
                if let Some(event) = non_invite_client::timer_event(timer) {
                    self.non_invite_client(now, slot, event, None, out);
                }
            }
        }
    }

    /// Drives an `InviteClient`. `response` is what the event is about, with the flow that it came on.
    pub(super) fn invite_client(
        &mut self,
        now: Now,
        slot: Key<InviteClient<U>>,
        event: invite_client::Event,
        response: Option<(Flow, Message)>,
        out: &mut Vec<Act<U>>,
    ) {
        use invite_client::{Action, Event, State};
        let Some(client) = self.invite_clients.get_mut(slot) else {
            return;
        };
        let key = ClientKey(Kind::Invite, slot.to_bits());
        let reliable = client.flow.transport.is_reliable();
        let (actions, next) = invite_client::step(client.state, event);
        client.state = next;
        let mut follow_up = None;
        let mut cancel = None;
        let mut overtaken = None;
        for action in actions {
            match *action {
                Action::SendAgain => out.push(Act::Send {
                    flow: client.flow,
                    message: client.request.clone(),
                }),
                Action::Pass => {
                    if let Some((flow, message)) = &response {
                        let (flow, message) = (*flow, message.clone());
                        match client.user {
                            Some(user) if !is_trying(&message) => out.push(Act::Response {
                                key,
                                user,
                                flow,
                                message,
                            }),
                            None if event == Event::Success => {
                                let forgotten = Some(Box::new((key, client.request.clone())));
                                out.push(Act::StrayResponse {
                                    flow,
                                    message,
                                    forgotten,
                                });
                            }
                            Some(_) | None => {}
                        }
                    }
                }
                Action::SendAck => {
                    if let Some((_, response)) = &response {
                        out.push(Act::Send {
                            flow: client.flow,
                            message: ack_for(&client.request, response),
                        });
                    }
                }
                Action::KeepCancel => {} // `cancel` has put it down
                Action::ReleaseCancel => {
                    if let Cancelling::Kept(_) = client.cancelling {
                        follow_up = Some(Event::Cancel);
                    }
                }
                Action::SendCancel => {
                    if let Cancelling::Kept(reason) =
                        std::mem::replace(&mut client.cancelling, Cancelling::Leaving)
                    {
                        cancel = Some((client.flow, cancel_for(&client.request, &reason)));
                    }
                }
                Action::StopCancel => {
                    if let Cancelling::Sent(ClientKey(_, slot)) = client.cancelling {
                        overtaken = Some(Key::from_bits(slot));
                    }
                }
                Action::TimedOut => {
                    if let Some(user) = client.user {
                        out.push(Act::Timeout { key, user });
                    }
                }
                Action::Failed => {
                    if let Some(user) = client.user {
                        out.push(Act::Failed { key, user });
                    }
                }
                Action::Start(timer) => {
                    let owner = (Owner::Client(key), timer);
                    let timers = &mut self.timers;
                    if client.armed.start(timers, now.mono, timer, reliable, owner) {
                        follow_up = invite_client::timer_event(timer);
                    }
                }
                Action::Again(timer) => {
                    let owner = (Owner::Client(key), timer);
                    client.armed.again(&mut self.timers, now.mono, timer, owner);
                }
                Action::Stop(timer) => client.armed.stop(&mut self.timers, timer),
            }
        }
        if next == State::Terminated {
            if let Some(mut client) = self.invite_clients.remove(slot) {
                client.armed.stop_all(&mut self.timers);
                self.clients.remove(&client.key);
            }
        } else if let Some(event) = follow_up {
            self.invite_client(now, slot, event, None, out);
        }
        if let Some((flow, cancel)) = cancel {
            let cancel = self.start_non_invite_client(now, flow, cancel, None, out);
            if let Some(client) = self.invite_clients.get_mut(slot) {
                client.cancelling = Cancelling::Sent(cancel);
            }
        }
        if let Some(cancel) = overtaken {
            let event = non_invite_client::Event::Overtaken;
            self.non_invite_client(now, cancel, event, None, out);
        }
    }

    /// Drives a `NonInviteClient`. `response` is what the event is about, with the flow that it came on.
    pub(super) fn non_invite_client(
        &mut self,
        now: Now,
        slot: Key<NonInviteClient<U>>,
        event: non_invite_client::Event,
        mut response: Option<(Flow, Message)>,
        out: &mut Vec<Act<U>>,
    ) {
        use non_invite_client::{Action, State};
        let Some(client) = self.non_invite_clients.get_mut(slot) else {
            return;
        };
        let key = ClientKey(Kind::NonInvite, slot.to_bits());
        let reliable = client.flow.transport.is_reliable();
        let (actions, next) = non_invite_client::step(client.state, event);
        client.state = next;
        let mut follow_up = None;
        for action in actions {
            match *action {
                Action::SendAgain => out.push(Act::Send {
                    flow: client.flow,
                    message: client.request.clone(),
                }),
                Action::Pass => {
                    if let (Some((flow, message)), Some(user)) = (response.take(), client.user)
                        && !is_trying(&message)
                    {
                        out.push(Act::Response {
                            key,
                            user,
                            flow,
                            message,
                        });
                    }
                }
                Action::TimedOut => {
                    if let Some(user) = client.user {
                        out.push(Act::Timeout { key, user });
                    }
                }
                Action::Failed => {
                    if let Some(user) = client.user {
                        out.push(Act::Failed { key, user });
                    }
                }
                Action::Start(timer) => {
                    let owner = (Owner::Client(key), timer);
                    let timers = &mut self.timers;
                    if client.armed.start(timers, now.mono, timer, reliable, owner) {
                        follow_up = non_invite_client::timer_event(timer);
                    }
                }
                Action::Again(timer) => {
                    let owner = (Owner::Client(key), timer);
                    client.armed.again(&mut self.timers, now.mono, timer, owner);
                }
                Action::Slowly(timer) => {
                    let owner = (Owner::Client(key), timer);
                    client
                        .armed
                        .at_longest(&mut self.timers, now.mono, timer, owner);
                }
                Action::Stop(timer) => client.armed.stop(&mut self.timers, timer),
            }
        }
        if next == State::Terminated {
            if let Some(mut client) = self.non_invite_clients.remove(slot) {
                client.armed.stop_all(&mut self.timers);
                self.clients.remove(&client.key);
            }
        } else if let Some(event) = follow_up {
            self.non_invite_client(now, slot, event, None, out);
        }
    }
}

fn is_trying(response: &Message) -> bool {
    response
        .status()
        .is_some_and(|status| status.as_u16() == 100)
}

/// The ACK to a non-2xx (§17.1.1.3): the INVITE's Request-URI, top Via, From, Call-ID, CSeq number and Routes, the response's To.
fn ack_for(invite: &Message, response: &Message) -> Message {
    Builder::request(&Method::Ack, invite.uri_bytes())
        .header(Name::Via, invite.top_via().raw)
        .header(Name::MaxForwards, "70")
        .copy(invite, Name::Route)
        .copy(invite, Name::From)
        .copy(response, Name::To)
        .copy(invite, Name::CallId)
        .cseq(invite.cseq().number, &Method::Ack)
        .finish()
}

/// The CANCEL of an INVITE (§9.1): its Request-URI, top Via, From, To, Call-ID, CSeq number and Routes.
fn cancel_for(invite: &Message, reasons: &[u8]) -> Message {
    let mut cancel = Builder::request(&Method::Cancel, invite.uri_bytes())
        .header(Name::Via, invite.top_via().raw)
        .header(Name::MaxForwards, "70")
        .copy(invite, Name::Route)
        .copy(invite, Name::From)
        .copy(invite, Name::To)
        .copy(invite, Name::CallId)
        .cseq(invite.cseq().number, &Method::Cancel);
    for reason in reasons.split(|byte| *byte == b'\n') {
        let reason = reason.trim_ascii();
        if !reason.is_empty() {
            cancel = cancel.header(Name::Reason, reason);
        }
    }
    cancel.finish()
}
