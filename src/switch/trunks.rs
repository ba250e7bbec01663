//! Trunks at run time: where their gateways are, whether they answer, how many channels are in use.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::core::Switch;
use super::dialing::{display_text, uri_user};
use super::effect::{Effect, Effects};
use super::record::Fact;
use super::routing::SwitchTimer;
use super::view::TrunkView;
use crate::base::{Duration, Instant, Key, Now, TimerId};
use crate::call::{Call, Endpoint, LegSpec, Role, User};
use crate::config::{CallerIdHeader, Trunk};
use crate::event::{Party, TrunkFact};
use crate::sip::{Builder, Method, Name, StatusCode, Uri};
use crate::transport::{Flow, Target, Transport, target};

/// How long a gateway that did not answer is tried last.
const FAILED: Duration = Duration::from_secs(30);

struct Gateway {
    uri: Arc<str>,
    target: Target,
    addresses: Vec<SocketAddr>,
    failed_until: Option<Instant>,
}

struct TrunkState {
    /// Names it in timers and pings, which outlive a reload; its place in the list does not.
    number: u32,
    settings: Arc<Trunk>,
    gateways: Vec<Gateway>,
    up: Option<bool>,
    ping: Option<TimerId>,
    pinged_at: Option<Instant>,
    round_trip: Option<Duration>,
    /// Starts of calls in the last second, for the cap on calls per second.
    starts: VecDeque<Instant>,
}

/// All trunks.
#[derive(Default)]
pub(super) struct Trunks {
    list: Vec<TrunkState>,
    queries: BTreeMap<u64, (usize, usize)>,
    next_query: u64,
    next_number: u32,
}

impl Trunks {
    /// Timers that run as long as the trunks are configured.
    pub(super) fn armed(&self) -> usize {
        self.list
            .iter()
            .filter(|trunk| trunk.ping.is_some())
            .count()
    }

    fn fresh_number(&mut self) -> u32 {
        self.next_number = self.next_number.wrapping_add(1);
        self.next_number
    }

    fn numbered(&self, number: u32) -> Option<usize> {
        self.list.iter().position(|trunk| trunk.number == number)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.list
            .iter()
            .position(|trunk| &*trunk.settings.name == name)
    }
}

fn gateway(uri: &Arc<str>) -> Option<Gateway> {
    let text = if uri.starts_with("sip:") {
        uri.clone()
    } else {
        Arc::from(format!("sip:{uri}"))
    };
    let target = Uri::parse(text.as_bytes())
        .ok()
        .and_then(|uri| target::of(&uri).ok())?;
    Some(Gateway {
        addresses: target.socket_address().into_iter().collect(),
        uri: text,
        target,
        failed_until: None,
    })
}

impl Switch {
    /// Takes the trunks of the settings; those that did not change keep what is known of them.
    pub(super) fn configure_trunks(&mut self, now: Now, fx: &mut Effects) {
        let mut before = std::mem::take(&mut self.trunks.list);
        let settings: Vec<Arc<Trunk>> = self.settings.trunks().cloned().collect();
        self.trunks.queries.clear();
        for trunk in settings {
            let kept = before
                .iter()
                .position(|old| *old.settings == *trunk)
                .map(|at| before.swap_remove(at));
            let state = kept.unwrap_or_else(|| TrunkState {
                number: self.trunks.fresh_number(),
                gateways: trunk.proxy.iter().filter_map(gateway).collect(),
                settings: trunk,
                up: None,
                ping: None,
                pinged_at: None,
                round_trip: None,
                starts: VecDeque::new(),
            });
            self.trunks.list.push(state);
        }
        for gone in before {
            if let Some(timer) = gone.ping {
                self.timers.cancel(timer);
            }
        }
        for index in 0..self.trunks.list.len() {
            self.resolve(index, fx);
            self.arm_ping(now, index, Duration::ZERO);
        }
    }

    fn resolve(&mut self, index: usize, fx: &mut Effects) {
        let Some(trunk) = self.trunks.list.get(index) else {
            return;
        };
        for (place, gateway) in trunk.gateways.iter().enumerate() {
            if let target::TargetHost::Name(name) = &gateway.target.host {
                self.trunks.next_query += 1;
                let query = self.trunks.next_query;
                self.trunks.queries.insert(query, (index, place));
                fx.push(Effect::Resolve {
                    query,
                    host: Arc::from(name.as_str()),
                    srv: gateway.target.port.is_none(),
                    transport: gateway.target.transport_or_default(),
                });
            }
        }
    }

    pub(super) fn on_resolved(&mut self, _now: Now, query: u64, addresses: &[(IpAddr, u16)]) {
        let Some((index, place)) = self.trunks.queries.remove(&query) else {
            return;
        };
        let Some(gateway) = self
            .trunks
            .list
            .get_mut(index)
            .and_then(|trunk| trunk.gateways.get_mut(place))
        else {
            return;
        };
        if addresses.is_empty() {
            return; // keep what was known: a dead resolver must not take a trunk down
        }
        gateway.addresses = addresses
            .iter()
            .map(|&(ip, port)| match port {
                0 => gateway.target.at(ip),
                port => SocketAddr::new(ip, port),
            })
            .collect();
    }

    fn arm_ping(&mut self, now: Now, index: usize, after: Duration) {
        let Some(trunk) = self.trunks.list.get_mut(index) else {
            return;
        };
        let number = trunk.number;
        if trunk.settings.options_ping.is_none() || trunk.ping.is_some() {
            return;
        }
        trunk.ping = Some(self.timers.set(now.mono + after, SwitchTimer::Ping(number)));
    }

    /// OPTIONS to the trunk's gateways (RFC 3261 §11.1): the first that answers makes it up.
    pub(super) fn on_ping_due(&mut self, now: Now, number: u32, fx: &mut Effects) {
        let Some(index) = self.trunks.numbered(number) else {
            return;
        };
        let Some(trunk) = self.trunks.list.get_mut(index) else {
            return;
        };
        trunk.ping = None;
        let interval = trunk
            .settings
            .options_ping
            .unwrap_or(Duration::from_secs(30));
        trunk.pinged_at = Some(now.mono);
        let way = self.ways(now, index).into_iter().next();
        self.resolve(index, fx);
        self.arm_ping(now, index, interval);
        let Some((flow, uri)) = way else {
            self.trunk_state(now, index, false, "its gateway has no address", fx);
            return;
        };
        let branch = self.tx.branch();
        let sent_by = self.calls.network().sent_by(&flow);
        let domain = self.settings.server.domain.clone();
        let tag = self.entropy.token::<8>();
        let call_id = self.entropy.token::<26>();
        let message = Builder::request(&Method::Options, uri.as_bytes())
            .via(flow.transport.as_str(), &sent_by, branch.as_ref(), true)
            .header(Name::MaxForwards, "70")
            .header_fmt(
                Name::From,
                format_args!("<sip:{domain}>;tag={}", String::from_utf8_lossy(&tag)),
            )
            .header_fmt(Name::To, format_args!("<{uri}>"))
            .header(Name::CallId, call_id)
            .header(Name::CSeq, "1 OPTIONS")
            .header(Name::Contact, self.calls.network().contact(&flow, ""))
            .header(Name::UserAgent, self.calls.product().as_bytes())
            .finish();
        self.with_tx(|tx, acts| tx.send_request(now, flow, message, User::Ping(number), acts));
    }

    /// Any answer but 408 and 503 shows that the gateway is there.
    pub(super) fn on_ping_response(
        &mut self,
        now: Now,
        number: u32,
        status: Option<StatusCode>,
        fx: &mut Effects,
    ) {
        let Some(index) = self.trunks.numbered(number) else {
            return;
        };
        if status.is_some_and(StatusCode::is_provisional) {
            return;
        }
        let Some(trunk) = self.trunks.list.get_mut(index) else {
            return;
        };
        let (up, why) = match status.map(StatusCode::as_u16) {
            None => (false, "no answer to OPTIONS".to_owned()),
            Some(code @ (408 | 503)) => (false, format!("{code} to OPTIONS")),
            Some(_) => (true, String::new()),
        };
        if up {
            trunk.round_trip = trunk.pinged_at.map(|at| now.mono - at);
            for gateway in &mut trunk.gateways {
                gateway.failed_until = None;
            }
        }
        self.trunk_state(now, index, up, &why, fx);
    }

    fn trunk_state(&mut self, now: Now, index: usize, up: bool, why: &str, fx: &mut Effects) {
        let Some(trunk) = self.trunks.list.get_mut(index) else {
            return;
        };
        if trunk.up == Some(up) {
            return;
        }
        trunk.up = Some(up);
        let name = trunk.settings.name.clone();
        let fact = if up {
            TrunkFact::Up { trunk: name }
        } else {
            Self::warn(fx, format!("trunk {name} is down: {why}"));
            TrunkFact::Down {
                trunk: name,
                reason: why.to_owned(),
            }
        };
        self.publish(now, Fact::Trunk(fact), fx);
    }

    /// Nothing came back from a gateway: it is tried last for a while.
    pub(super) fn trunk_failed(
        &mut self,
        now: Now,
        name: &str,
        remote: SocketAddr,
        _fx: &mut Effects,
    ) {
        let Some(index) = self.trunks.find(name) else {
            return;
        };
        if let Some(gateway) = self.trunks.list.get_mut(index).and_then(|trunk| {
            trunk
                .gateways
                .iter_mut()
                .find(|gateway| gateway.addresses.contains(&remote))
        }) {
            gateway.failed_until = Some(now.mono + FAILED);
        }
    }

    /// Flows to the gateways of a trunk in the order in which to try them, each with its URI.
    fn ways(&self, now: Now, index: usize) -> Vec<(Flow, Arc<str>)> {
        let Some(trunk) = self.trunks.list.get(index) else {
            return Vec::new();
        };
        let mut ways: Vec<(bool, Flow, Arc<str>)> = Vec::new();
        for gateway in &trunk.gateways {
            let failed = gateway.failed_until.is_some_and(|until| until > now.mono);
            for &address in &gateway.addresses {
                let transport: Transport = gateway.target.transport_or_default();
                if let Some(flow) = super::faces::flow_to(
                    &self.settings,
                    &trunk.settings.profile,
                    transport,
                    address,
                ) {
                    ways.push((failed, flow, gateway.uri.clone()));
                }
            }
        }
        ways.sort_by_key(|(failed, _, _)| *failed);
        ways.into_iter().map(|(_, flow, uri)| (flow, uri)).collect()
    }

    /// True when another call may go through the trunk now.
    pub(super) fn trunk_has_room(&self, name: &str) -> bool {
        let Some(trunk) = self
            .trunks
            .find(name)
            .and_then(|index| self.trunks.list.get(index))
        else {
            return false;
        };
        trunk
            .settings
            .max_channels
            .is_none_or(|most| self.calls.live_on_trunk(name) < most as usize)
    }

    /// Takes a place on the trunk for a call that begins now: false when all channels are in use, or the second has had its calls.
    /// Asked for each INVITE, because a target of a later wave may find the channels taken that were free when the step began.
    pub(super) fn trunk_takes(&mut self, now: Now, name: &str) -> bool {
        let Some(index) = self.trunks.find(name) else {
            return false;
        };
        self.trunk_has_room(name) && self.take_start(now, index)
    }

    fn take_start(&mut self, now: Now, index: usize) -> bool {
        let Some(trunk) = self.trunks.list.get_mut(index) else {
            return false;
        };
        let Some(most) = trunk.settings.max_cps else {
            return true;
        };
        while trunk
            .starts
            .front()
            .is_some_and(|&at| now.mono - at >= Duration::from_secs(1))
        {
            trunk.starts.pop_front();
        }
        if trunk.starts.len() >= most as usize {
            return false;
        }
        trunk.starts.push_back(now.mono);
        true
    }

    /// Ways to a number through trunks, best first: those named, or all.
    pub(super) fn trunk_specs(
        &mut self,
        now: Now,
        call: Key<Call>,
        number: &Arc<str>,
        names: &[Arc<str>],
        caller_id: Option<&str>,
    ) -> Vec<LegSpec> {
        let order: Vec<usize> = if names.is_empty() {
            (0..self.trunks.list.len()).collect()
        } else {
            names
                .iter()
                .filter_map(|name| self.trunks.find(name))
                .collect()
        };
        let mut specs = Vec::new();
        let mut later = Vec::new();
        for index in order {
            let Some(trunk) = self.trunks.list.get(index) else {
                continue;
            };
            let (name, down) = (trunk.settings.name.clone(), trunk.up == Some(false));
            if !self.trunk_has_room(&name) {
                continue;
            }
            let list = self.specs_through(now, call, index, number, caller_id);
            if down {
                later.extend(list);
            } else {
                specs.extend(list);
            }
        }
        specs.extend(later);
        specs
    }

    fn specs_through(
        &self,
        now: Now,
        call: Key<Call>,
        index: usize,
        number: &Arc<str>,
        caller_id: Option<&str>,
    ) -> Vec<LegSpec> {
        let Some(trunk) = self.trunks.list.get(index) else {
            return Vec::new();
        };
        let settings = &trunk.settings;
        let Some(open) = self.calls.call(call) else {
            return Vec::new();
        };
        let own = match self.calls.caller(call).map(|leg| &leg.endpoint) {
            Some(Endpoint::Extension(extension)) => self
                .settings
                .directory
                .user(extension)
                .and_then(|user| user.number.clone()),
            _ => None,
        };
        let presented: Arc<str> = match (caller_id, own) {
            (Some(id), _) => Arc::from(id),
            (None, Some(own)) => own,
            (None, None) => open.record.from.number.clone(),
        };
        let presented = settings.number_format.outward(&presented);
        let dialled = settings.number_format.outward(number);
        let display = display_text(open.record.from.name.as_deref());
        self.ways(now, index)
            .into_iter()
            .map(|(flow, uri)| {
                let host = host_of(&uri);
                let domain = settings.domain.as_deref().unwrap_or(&host);
                let identity = format!("{display}<sip:{}@{domain}>", uri_user(&presented));
                let headers = match settings.caller_id {
                    CallerIdHeader::Pai | CallerIdHeader::DiversionAware => {
                        vec![(Name::PAssertedIdentity, identity.clone())]
                    }
                    CallerIdHeader::Rpid => vec![(
                        Name::RemotePartyId,
                        format!("{identity};party=calling;privacy=off;screen=yes"),
                    )],
                    CallerIdHeader::From => Vec::new(),
                };
                LegSpec {
                    role: Role::Callee,
                    party: Party {
                        number: number.clone(),
                        name: None,
                        trunk: Some(settings.name.clone()),
                    },
                    endpoint: Endpoint::Trunk(settings.name.clone()),
                    flow,
                    request_uri: Bytes::from(format!("sip:{}@{host}", uri_user(&dialled))),
                    to: format!("<sip:{}@{domain}>", uri_user(&dialled)),
                    from: identity,
                    contact_user: Arc::from(uri_user(&presented)),
                    route: Vec::new(),
                    headers,
                    login: super::faces::login_of(settings),
                    device: None,
                    otherwise: Vec::new(),
                }
            })
            .collect()
    }

    pub(super) fn trunk_views(&self) -> Vec<TrunkView> {
        self.trunks
            .list
            .iter()
            .map(|trunk| TrunkView {
                name: trunk.settings.name.clone(),
                state: match trunk.up {
                    Some(true) => "up",
                    Some(false) => "down",
                    None => "unknown",
                },
                channels: u32::try_from(self.calls.live_on_trunk(&trunk.settings.name))
                    .unwrap_or(u32::MAX),
                max_channels: trunk.settings.max_channels,
                proxies: trunk
                    .gateways
                    .iter()
                    .map(|gateway| gateway.uri.to_string())
                    .collect(),
                ping_ms: trunk.round_trip.map(|time| time.as_secs_f64() * 1000.0),
            })
            .collect()
    }
}

/// `host` or `host:port` of a gateway's URI, without user and parameters.
fn host_of(uri: &str) -> String {
    let Ok(parsed) = Uri::parse(uri.as_bytes()) else {
        return String::new();
    };
    let host = String::from_utf8_lossy(parsed.host);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.into_owned()
    };
    match parsed.port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}
