//! Introduces the trunks to the world: their requests get sockets, their names are looked up, their ways become legs.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::command::{Answer, Refusal, Reply};
use super::core::Switch;
use super::dialing::{display_text, uri_user};
use super::effect::{Effect, Effects};
use super::record::Fact;
use super::routing::SwitchTimer;
use super::view::TrunkView;
use crate::base::{Duration, Key, Now};
use crate::call::{Call, Endpoint, Leg, LegSpec, LegState, Role, User};
use crate::config::trunk::host_of;
use crate::config::{CallerIdHeader, CallerName, Trunk};
use crate::event::Party;
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transport::{Flow, GuardSettings, Located};
use crate::trunk::{Ask, Asked, Output, Register, Trunks, View, Way};

/// Ways that one call tries at most, over all trunks.
const WAYS_MAX: usize = 16;
/// Networks larger than this are not exempt from the guard, whatever stands in `from`: `0.0.0.0/0` would open the door to all.
const EXEMPT_PREFIX_MIN: (u8, u8) = (16, 32);

impl Switch {
    /// Runs an operation of the trunks and does what they want done.
    pub(super) fn with_trunks<R>(
        &mut self,
        now: Now,
        fx: &mut Effects,
        operation: impl FnOnce(&mut Trunks, &mut Vec<Output>) -> R,
    ) -> R {
        let mut out = Vec::new();
        let result = operation(&mut self.trunks, &mut out);
        let mut queue = VecDeque::from(out);
        while let Some(output) = queue.pop_front() {
            match output {
                Output::Ask(ask) => {
                    if let Err(ticket) = self.ask_trunk(now, &ask) {
                        let mut more = Vec::new();
                        let why = "no listening address of its profile fits";
                        self.trunks.lost(now, ticket, why, &mut more);
                        queue.extend(more);
                    }
                }
                Output::Forget(_) => {} // its answer, should it come, has no ticket
                Output::Resolve { query, target } => fx.push(Effect::Resolve { query, target }),
                Output::Fact(fact) => self.publish(now, Fact::Trunk(fact), fx),
                Output::Warn(text) => Self::warn(fx, text),
            }
        }
        result
    }

    /// Takes the trunks of the settings; those that did not change keep what is known of them.
    pub(super) fn configure_trunks(&mut self, now: Now, fx: &mut Effects) {
        let machines = self
            .settings
            .trunks()
            .map(|trunk| trunk.machine())
            .collect();
        self.with_trunks(now, fx, |trunks, out| trunks.configure(now, machines, out));
        self.configure_guard();
        self.expect_gateways(fx);
        self.size_gateways();
    }

    /// Tells the guard its settings. Carriers are neither limited nor banned: all their calls come from a few addresses.
    fn configure_guard(&mut self) {
        let configured = self.settings.trunks().flat_map(|trunk| &trunk.from);
        let mut exempt: Vec<_> = configured
            .map(|network| (network.address(), network.prefix()))
            .filter(|(address, prefix)| {
                let (four, six) = EXEMPT_PREFIX_MIN;
                *prefix >= if address.is_ipv4() { four } else { six }
            })
            .collect();
        for address in self.trunks.addresses() {
            exempt.push((address, if address.is_ipv4() { 32 } else { 128 }));
        }
        exempt.extend(&self.settings.guard.exempt);
        exempt.sort_unstable();
        exempt.dedup();
        self.guard.configure(GuardSettings {
            exempt,
            ..self.settings.guard.clone()
        });
    }

    pub(super) fn on_resolved(
        &mut self,
        now: Now,
        query: u64,
        places: Vec<Located>,
        ttl: Duration,
        fx: &mut Effects,
    ) {
        self.with_trunks(now, fx, |trunks, out| {
            trunks.located(now, query, places, ttl, out);
        });
        self.configure_guard();
        self.expect_gateways(fx);
        self.size_gateways();
    }

    pub(super) fn on_trunks_due(&mut self, now: Now, fx: &mut Effects) {
        self.with_trunks(now, fx, |trunks, out| trunks.on_time(now, out));
    }

    /// An answer to OPTIONS or REGISTER.
    pub(super) fn on_trunk_response(
        &mut self,
        now: Now,
        ticket: u64,
        response: &Message,
        fx: &mut Effects,
    ) {
        self.with_trunks(now, fx, |trunks, out| {
            trunks.answered(now, ticket, response, out);
        });
    }

    /// No answer, or no way to ask.
    pub(super) fn on_trunk_lost(&mut self, now: Now, ticket: u64, why: &str, fx: &mut Effects) {
        self.with_trunks(now, fx, |trunks, out| trunks.lost(now, ticket, why, out));
    }

    /// Sends what a trunk asks; its ticket when there is no socket for it.
    fn ask_trunk(&mut self, now: Now, ask: &Ask) -> Result<(), u64> {
        let flow = super::faces::flow_to(&self.settings, &ask.profile, ask.transport, ask.remote)
            .ok_or(ask.ticket)?;
        let message = match &ask.what {
            Asked::Options { uri } => self.options(&flow, uri),
            Asked::Register(register) => self.register_message(&flow, register),
        };
        let user = User::Trunk(ask.ticket);
        self.with_tx(|tx, acts| tx.send_request(now, flow, message, user, acts));
        Ok(())
    }

    fn request_to_trunk(&mut self, flow: &Flow, method: &Method, uri: &str) -> Builder {
        let branch = self.tx.branch();
        let sent_by = self.calls.network().sent_by(flow);
        Builder::request(method, uri.as_bytes())
            .via(flow.transport.as_str(), &sent_by, branch.as_ref(), true)
            .header(Name::MaxForwards, "70")
    }

    /// OPTIONS outside of dialogs (RFC 3261 §11.1).
    fn options(&mut self, flow: &Flow, uri: &str) -> Message {
        let domain = self.settings.server.domain.clone();
        let tag = self.entropy.token::<8>();
        let call_id = self.entropy.token::<26>();
        self.request_to_trunk(flow, &Method::Options, uri)
            .header_fmt(
                Name::From,
                format_args!("<sip:{domain}>;tag={}", String::from_utf8_lossy(&tag)),
            )
            .header_fmt(Name::To, format_args!("<{uri}>"))
            .header(Name::CallId, call_id)
            .header(Name::CSeq, "1 OPTIONS")
            .header(Name::Contact, self.calls.network().contact(flow, ""))
            .header(Name::Accept, "application/sdp")
            .header(Name::UserAgent, self.calls.product().as_bytes())
            .finish()
    }

    /// REGISTER (RFC 3261 §10.2), in bulk as RFC 6140 §5.2 wants it.
    fn register_message(&mut self, flow: &Flow, register: &Register) -> Message {
        let mut contact = self.calls.network().contact(flow, &register.contact_user);
        if register.bulk {
            contact = contact.replacen('>', ";bnc>", 1);
        }
        let mut builder = self
            .request_to_trunk(flow, &Method::Register, &register.uri)
            .header_fmt(
                Name::From,
                format_args!("<{}>;tag={}", register.aor, register.tag),
            )
            .header_fmt(Name::To, format_args!("<{}>", register.aor))
            .header(Name::CallId, register.call_id.as_bytes())
            .header_fmt(Name::CSeq, format_args!("{} REGISTER", register.cseq))
            .header(Name::Contact, contact)
            .header_fmt(Name::Expires, format_args!("{}", register.expires))
            .header(Name::Supported, "path");
        if register.bulk {
            builder = builder
                .header(Name::Require, "gin")
                .header(Name::ProxyRequire, "gin");
        }
        if let Some((name, value)) = &register.proof {
            builder = builder.header(*name, value);
        }
        builder
            .header(Name::Allow, super::on_message::ALLOW)
            .header(Name::UserAgent, self.calls.product().as_bytes())
            .finish()
    }

    /// A gateway answered an INVITE of ours, whatever it said.
    pub(super) fn on_gateway_answer(
        &mut self,
        now: Now,
        leg: Key<Leg>,
        response: &Message,
        fx: &mut Effects,
    ) {
        let Some((name, remote)) = self.trunk_of(leg) else {
            return;
        };
        if let Some(timer) = self.silences.remove(&leg) {
            self.timers.cancel(timer);
        }
        let Some(state) = self.calls.leg(leg) else {
            return;
        };
        // what comes after we gave it up says that it is slow, not that it is well
        if matches!(state.state, LegState::Cancelling(_)) {
            return;
        }
        let proved = state.login.as_ref().and_then(|login| login.realm.clone());
        if let (Some(realm), Some(101..=299)) = (proved, response.status().map(StatusCode::as_u16))
        {
            self.trunks.realm_took(&name, &realm);
        }
        self.with_trunks(now, fx, |trunks, out| {
            trunks.call_answered(now, &name, remote, response, out);
        });
    }

    fn trunk_of(&self, leg: Key<Leg>) -> Option<(Arc<str>, SocketAddr)> {
        let leg = self.calls.leg(leg)?;
        match &leg.endpoint {
            Endpoint::Trunk(name) => Some((name.clone(), leg.flow.remote)),
            Endpoint::Extension(_) | Endpoint::Unknown => None,
        }
    }

    /// Nothing came back from a gateway.
    pub(super) fn trunk_failed(
        &mut self,
        now: Now,
        name: &str,
        remote: SocketAddr,
        fx: &mut Effects,
    ) {
        self.with_trunks(now, fx, |trunks, out| {
            trunks.call_lost(now, name, remote, out);
        });
    }

    /// A gateway has had its time to say something: the next one is tried (RFC 3263 §4.3), long before Timer B.
    pub(super) fn on_gateway_silent(&mut self, now: Now, leg: Key<Leg>, fx: &mut Effects) {
        self.silences.remove(&leg);
        let Some((name, remote)) = self.trunk_of(leg) else {
            return;
        };
        let Some((call, client)) = self
            .calls
            .leg(leg)
            .filter(|leg| leg.state == LegState::Calling)
            .and_then(|leg| Some((leg.call, leg.invite_client()?)))
        else {
            return;
        };
        if !self.tx.is_unheard(client) {
            return;
        }
        let id = self.calls.call(call).map(|call| call.id);
        let patience = self.settings.trunk(&name).map(|trunk| trunk.answer_timeout);
        if let (Some(id), Some(patience)) = (id, patience) {
            let text = format!(
                "call {id}: gateway {remote} of trunk {name} says nothing to its INVITE within {:.0} s",
                patience.as_secs_f64()
            );
            Self::warn(fx, text);
        }
        self.trunk_failed(now, &name, remote, fx);
        self.with_calls(now, |calls, ctx| {
            calls.end_leg(ctx, leg, crate::call::Cause::Unavailable);
        });
        self.on_branch_failed(now, call, leg, StatusCode::REQUEST_TIMEOUT, fx);
    }

    /// True when another call may go through the trunk now.
    pub(super) fn trunk_has_room(&self, name: &str) -> bool {
        self.settings.trunk(name).is_some_and(|trunk| {
            trunk
                .max_channels
                .is_none_or(|most| self.calls.live_on_trunk(name) < most as usize)
        })
    }

    /// Takes a place on the trunk for a call that begins now: false when all channels are in use, or the second has had its calls.
    /// Asked for each INVITE, because a target of a later wave may find the channels taken that were free when the step began.
    pub(super) fn trunk_takes(&mut self, now: Now, name: &str) -> bool {
        self.trunk_has_room(name) && self.trunks.take_start(now, name).is_ok()
    }

    /// An INVITE has left for a gateway: it has so long to say something.
    pub(super) fn watch_gateway(&mut self, now: Now, leg: Key<Leg>) {
        let Some((name, remote)) = self.trunk_of(leg) else {
            return;
        };
        self.trunks.call_sent(now, &name, remote);
        if let Some(trunk) = self.settings.trunk(&name) {
            let due = now.mono + trunk.answer_timeout;
            let timer = self.timers.set(due, SwitchTimer::Silence(leg));
            self.silences.insert(leg, timer);
        }
    }

    /// Ways to a number through trunks, best first: those named, or all. What is known not to work stands at the end.
    pub(super) fn trunk_specs(
        &mut self,
        now: Now,
        call: Key<Call>,
        number: &Arc<str>,
        names: &[Arc<str>],
        caller_id: Option<&str>,
    ) -> Vec<LegSpec> {
        let order: Vec<Arc<Trunk>> = if names.is_empty() {
            self.settings.trunks().cloned().collect()
        } else {
            names
                .iter()
                .filter_map(|name| self.settings.trunk(name).cloned())
                .collect()
        };
        let mut specs = Vec::new();
        let mut later = Vec::new();
        for trunk in order {
            let mut resorts = 0;
            for way in self.trunks.ways(now, &trunk.name) {
                let Some(spec) = self.spec_through(now, call, &trunk, &way, number, caller_id)
                else {
                    continue;
                };
                if !way.last_resort {
                    specs.push(spec);
                } else if resorts == 0 {
                    resorts += 1;
                    later.push(spec);
                }
            }
        }
        specs.extend(later);
        specs.truncate(WAYS_MAX);
        specs
    }

    /// The caller's direct number.
    fn direct_number(&self, call: Key<Call>) -> Option<Arc<str>> {
        match self.calls.caller(call).map(|leg| &leg.endpoint) {
            Some(Endpoint::Extension(extension)) => {
                self.settings.directory.user(extension)?.number.clone()
            }
            _ => None,
        }
    }

    /// The number that a trunk presents for a call.
    pub(super) fn presented_by(
        &self,
        call: Key<Call>,
        trunk: &Trunk,
        caller_id: Option<&str>,
    ) -> Option<Arc<str>> {
        Some(
            match (&trunk.caller_number, caller_id, self.direct_number(call)) {
                (Some(fixed), _, _) => fixed.clone(),
                (None, Some(id), _) => Arc::from(id),
                (None, None, Some(own)) => own,
                // after a transfer the caller is somebody else than who began the call
                (None, None, None) => self.calls.calling_party(call)?.number,
            },
        )
    }

    fn spec_through(
        &self,
        now: Now,
        call: Key<Call>,
        trunk: &Arc<Trunk>,
        way: &Way,
        number: &Arc<str>,
        caller_id: Option<&str>,
    ) -> Option<LegSpec> {
        let flow =
            super::faces::flow_to(&self.settings, &trunk.profile, way.transport, way.address)?;
        let open = self.calls.call(call)?;
        let own = self.direct_number(call);
        let presented = self.presented_by(call, trunk, caller_id)?;
        // a number that the operator has fixed for the trunk is the operator's own
        let is_own = trunk.caller_number.is_some() || own.as_ref() == Some(&presented);
        let signed = self.identity_headers(now, call, trunk, &presented, number, is_own);
        let number_shown = presented.clone();
        let presented = trunk.number_format.outward(&presented);
        let dialled = trunk.number_format.outward(number);
        // inside names are no carrier's business, unless the operator says that it gets them
        let shows_own = own.as_ref() == Some(&number_shown)
            || self
                .calls
                .calling_party(call)
                .is_some_and(|party| party.number == number_shown);
        let named = match trunk.caller_name {
            CallerName::None => false,
            CallerName::OwnNumber => trunk.caller_number.is_none() && shows_own,
            CallerName::Always => true,
        };
        let display = display_text(open.record.from.name.as_deref().filter(|_| named));
        let host = host_of(&way.uri);
        let domain = trunk.domain.as_deref().unwrap_or(&host);
        let uri = |user: &str, host: &str| {
            let marked = trunk.user_phone && is_number(user);
            let mark = if marked { ";user=phone" } else { "" };
            format!("sip:{}@{host}{mark}", uri_user(user))
        };
        let identity = format!("{display}<{}>", uri(&presented, domain));
        let mut headers = match trunk.caller_id {
            CallerIdHeader::Pai | CallerIdHeader::DiversionAware => {
                vec![(Name::PAssertedIdentity, identity.clone())]
            }
            CallerIdHeader::Rpid => vec![(
                Name::RemotePartyId,
                format!("{identity};party=calling;privacy=off;screen=yes"),
            )],
            CallerIdHeader::From => Vec::new(),
        };
        if trunk.caller_id == CallerIdHeader::DiversionAware {
            headers.extend(self.diverted_before(call, true));
        }
        headers.extend(signed);
        Some(LegSpec {
            role: Role::Callee,
            party: Party {
                number: number.clone(),
                name: None,
                trunk: Some(trunk.name.clone()),
            },
            endpoint: Endpoint::Trunk(trunk.name.clone()),
            flow,
            request_uri: Bytes::from(uri(&dialled, &host)),
            to: format!("<{}>", uri(&dialled, domain)),
            from: identity,
            contact_user: Arc::from(uri_user(&presented)),
            route: self
                .trunks
                .service_route(&trunk.name)
                .iter()
                .map(|route| Bytes::from(route.clone()))
                .collect(),
            headers,
            login: super::faces::login_of(trunk, &self.trunks),
            device: None,
            otherwise: Vec::new(),
        })
    }

    /// Registers a trunk now.
    pub(super) fn register_trunk(&mut self, now: Now, name: &Arc<str>, fx: &mut Effects) -> Reply {
        if self.settings.trunk(name).is_none() {
            return Err(Refusal::not_found("trunk", name));
        }
        if !self.with_trunks(now, fx, |trunks, out| trunks.register_now(now, name, out)) {
            return Err(Refusal::conflict(
                "does_not_register",
                format!("trunk {name} has no `register`: it does not register"),
            ));
        }
        let mut views = self.trunk_views(now);
        views.retain(|view| view.name == *name);
        Ok(Answer::Trunks(views))
    }

    pub(super) fn trunk_views(&mut self, now: Now) -> Vec<TrunkView> {
        let shown = self.trunks.show(now);
        shown
            .into_iter()
            .map(|view| TrunkView {
                channels: u32::try_from(self.calls.live_on_trunk(&view.name)).unwrap_or(u32::MAX),
                max_channels: self
                    .settings
                    .trunk(&view.name)
                    .and_then(|trunk| trunk.max_channels),
                ping_ms: view
                    .gateways
                    .iter()
                    .filter_map(|gateway| gateway.ping_ms)
                    .min_by(f64::total_cmp),
                health: health(&view),
                name: view.name,
                state: view.state,
                proxies: view.proxies,
                gateways: view.gateways,
                registration: view.registration,
            })
            .collect()
    }
}

/// The state of a trunk in words.
fn health(view: &View) -> String {
    if let Some(registration) = &view.registration
        && registration.state != "registered"
        && let Some(why) = &registration.why
    {
        let what = match view.state {
            "registration-refused" => "registration refused",
            _ => "not registered",
        };
        let next = match &registration.next_at {
            Some(at) => format!("next try at {at}"),
            None => "asking again now".to_owned(),
        };
        return format!("{what} ({}), {next}", why.trim_end_matches(" to REGISTER"));
    }
    let down = view
        .gateways
        .iter()
        .find_map(|gateway| gateway.why.as_ref());
    match (view.state, down) {
        ("down", Some(why)) => format!("down: {why}"),
        ("unknown", _) => "not asked".to_owned(),
        (state, _) => state.to_owned(),
    }
}

fn is_number(user: &str) -> bool {
    let digits = user.strip_prefix('+').unwrap_or(user);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
