//! What is passed on instead of answered: requests between users that are no calls, and everything of a profile in proxy mode.

use std::sync::Arc;

use super::core::Switch;
use super::source::Source;
use crate::base::Now;
use crate::call::{Endpoint, User};
use crate::config::{ProfileAuth, ProfileMode};
use crate::proxy::{self, Hop, Plan, Proxy, Token};
use crate::registrar::{AddressOfRecord, Gruu};
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::{Flow, Way};

impl Switch {
    pub(super) fn with_proxy<R>(
        &mut self,
        now: Now,
        operation: impl FnOnce(&mut Proxy, &mut proxy::Ctx<'_, User>) -> R,
    ) -> R {
        let mut acts = Vec::new();
        let result = operation(
            &mut self.proxy,
            &mut proxy::Ctx {
                now,
                tx: &mut self.tx,
                acts: &mut acts,
                user: User::Proxy,
            },
        );
        self.acts.extend(acts);
        result
    }

    /// Takes a request that is to be passed on, or gives it back.
    pub(super) fn passed_on(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
    ) -> bool {
        if let Some(token) = self.token_of(request) {
            self.pass_on_in_dialog(now, key, flow, request, &token);
            return true;
        }
        if request.to_tag().is_some() || !self.is_to_be_passed_on(flow, request) {
            return false;
        }
        let Some(extension) = self.asked_for(request) else {
            return false;
        };
        if request.max_forwards() == Some(0) {
            self.answer_stranger(now, key, flow, request, StatusCode::TOO_MANY_HOPS);
            return true;
        }
        if let Some(foreign) = required_of_proxies(request) {
            let tag = super::source::stateless_tag(request);
            let response = Builder::response(request, StatusCode::BAD_EXTENSION, "")
                .to_tag(tag.as_bytes())
                .header(Name::Unsupported, foreign)
                .finish();
            self.with_tx(|tx, acts| tx.answer_once(now, key, Some(response), acts));
            return true;
        }
        let Source::Known(endpoint) = self.source(now, key, flow, request) else {
            return true;
        };
        let sender_may = matches!(endpoint, Endpoint::Extension(_));
        if !sender_may {
            self.answer_stranger(now, key, flow, request, StatusCode::FORBIDDEN);
            return true;
        }
        if !self.takes_calls() {
            self.answer(now, key, request, StatusCode::SERVICE_UNAVAILABLE);
            return true;
        }
        let request = self.without_our_route(flow, request);
        if self.tx.is_merged(key) || self.runs_in_circles(&request) {
            self.answer_stranger(now, key, flow, &request, StatusCode::LOOP_DETECTED);
            return true;
        }
        let groups = self.hops_to(now, &request, &extension);
        let plan = Plan {
            groups,
            record_route: makes_dialog(request.method()),
        };
        let forwarded = self.with_proxy(now, |proxy, ctx| {
            proxy.forward(ctx, key, flow, request.clone(), plan)
        });
        if let Err(status) = forwarded {
            self.answer(now, key, &request, status);
        }
        true
    }

    /// True for what this profile passes on when it is for a user of ours: everything in proxy mode; else what a user agent answers for
    /// itself, as an OPTIONS that asks what a telephone can (RFC 3261 §11), and methods that we do not know.
    fn is_to_be_passed_on(&self, flow: Flow, request: &Message) -> bool {
        let Some(profile) = super::faces::profile_of(&self.settings, flow.profile) else {
            return false;
        };
        match request.method() {
            Method::Register | Method::Cancel | Method::Ack => false,
            _ if profile.mode == ProfileMode::Proxy => true,
            // who asks whether we live may write any number into its question and proves nothing: that is answered here
            Method::Options => match profile.auth {
                ProfileAuth::Trunk => false,
                ProfileAuth::None => true,
                ProfileAuth::Digest => {
                    request.header(Name::ProxyAuthorization).is_some()
                        || request.header(Name::Authorization).is_some()
                }
            },
            Method::Other(_) => profile.auth != ProfileAuth::Trunk,
            _ => false,
        }
    }

    /// The user of ours that the Request-URI names, if it does.
    fn asked_for(&self, request: &Message) -> Option<Arc<str>> {
        let uri = request.uri().ok()?;
        let user = match self.registrar.gruu(&uri) {
            Some(Gruu::Device { aor, .. }) => aor.user().to_owned(),
            Some(Gruu::Unknown) => return None,
            None => uri.user_text()?,
        };
        let known = self.settings.directory.user(&user)?;
        Some(known.extension.clone())
    }

    /// Devices of one `q` at once, lower ones after them (RFC 3261 §16.6).
    fn hops_to(&self, now: Now, request: &Message, extension: &str) -> Vec<Vec<Hop>> {
        let aor = AddressOfRecord::new(extension, &self.settings.server.domain);
        let instance = request
            .uri()
            .ok()
            .and_then(|uri| match self.registrar.gruu(&uri)? {
                Gruu::Device { instance, .. } => Some(instance),
                Gruu::Unknown => None,
            });
        let mut groups: Vec<(u16, Vec<Hop>)> = Vec::new();
        for target in self.registrar.targets(now, &aor) {
            let Some(binding) = target.first() else {
                continue;
            };
            if instance.is_some() && binding.instance() != instance.as_deref() {
                continue;
            }
            let hop = self.hop(binding.way());
            match groups.last_mut() {
                Some((q, group)) if *q == binding.q => group.push(hop),
                Some(_) | None => groups.push((binding.q, vec![hop])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    fn hop(&self, way: Way) -> Hop {
        Hop {
            sent_by: self.calls.network().sent_by(&way.flow).into(),
            way,
        }
    }

    /// The token in the top Route, if it is one of ours.
    fn token_of(&self, request: &Message) -> Option<Token> {
        let route = request.routes().next()?.ok()?;
        Token::read(route.uri.user?, self.proxy.token_key())
    }

    /// A request of a dialog that was begun through us: the token says where its other end is, and that it was let in.
    fn pass_on_in_dialog(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        token: &Token,
    ) {
        let Some(other) = token.other_end(&flow) else {
            self.answer_stranger(now, key, flow, request, StatusCode::FORBIDDEN);
            return;
        };
        let request = proxy::without_route(request);
        if self.runs_in_circles(&request) {
            self.answer_stranger(now, key, flow, &request, StatusCode::LOOP_DETECTED);
            return;
        }
        let plan = Plan {
            groups: vec![vec![self.hop_along(&request, other)]],
            record_route: request.to_tag().is_some() && makes_dialog(request.method()),
        };
        let forwarded = self.with_proxy(now, |proxy, ctx| {
            proxy.forward(ctx, key, flow, request.clone(), plan)
        });
        if let Err(status) = forwarded {
            self.answer(now, key, &request, status);
        }
    }

    fn hop_along(&self, request: &Message, flow: Flow) -> Hop {
        self.hop(Way {
            flow,
            request_uri: bytes::Bytes::copy_from_slice(request.uri_bytes()),
            routes: Vec::new(),
        })
    }

    /// An ACK to a 2xx that was passed on. False when it is none of the proxy's.
    pub(super) fn pass_ack_on(&mut self, now: Now, flow: Flow, ack: &Message) -> bool {
        let Some(token) = self.token_of(ack) else {
            return false;
        };
        if let Some(other) = token.other_end(&flow) {
            let ack = proxy::without_route(ack);
            let hop = self.hop_along(&ack, other);
            self.with_proxy(now, |proxy, ctx| proxy.pass_ack(ctx, &ack, &hop));
        }
        true
    }

    /// Without a top Route that names this profile (a telephone's outbound proxy).
    fn without_our_route(&self, flow: Flow, request: &Message) -> Message {
        let ours = request
            .routes()
            .next()
            .and_then(Result::ok)
            .is_some_and(|route| self.is_ours(&flow, route.uri.host, route.uri.port));
        if ours {
            proxy::without_route(request)
        } else {
            request.clone()
        }
    }

    fn runs_in_circles(&self, request: &Message) -> bool {
        proxy::is_loop(request, |host, port| {
            (0..self.settings.profiles.len()).any(|place| self.listens_at(place, host, port))
        })
    }

    /// True when `host:port` is how the peer of `flow` knows us.
    fn is_ours(&self, flow: &Flow, host: &[u8], port: Option<u16>) -> bool {
        let shown = self.calls.network().shown_ip(flow).to_string();
        let named = host == shown.as_bytes() || host == self.settings.server.domain.as_bytes();
        named && port.unwrap_or(flow.transport.default_port()) == flow.local.port()
    }

    /// True when the profile in this place may have written `host:port` into a Via.
    fn listens_at(&self, place: usize, host: &[u8], port: Option<u16>) -> bool {
        let Some(profile) = self.settings.profiles.get(place) else {
            return false;
        };
        let Some(ip) = std::str::from_utf8(host)
            .ok()
            .and_then(|host| host.parse::<std::net::IpAddr>().ok())
        else {
            return false;
        };
        profile.listen.iter().any(|listen| {
            let address = listen.address;
            let port_matches = address.port() == 0
                || address.port() == port.unwrap_or(listen.transport.default_port());
            let face = self.calls.network().profiles.get(place);
            let shown = face.and_then(|face| face.public) == Some(ip);
            let bound = address.ip() == ip || (address.ip().is_unspecified() && ip == self.primary);
            port_matches && (shown || bound)
        })
    }
}

/// Requests whose dialog's later requests should pass here too.
fn makes_dialog(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Subscribe | Method::Refer | Method::Update | Method::Notify
    )
}

/// Extensions that the request wants proxies to have: we have none (RFC 3261 §16.3 item 5).
fn required_of_proxies(request: &Message) -> Option<String> {
    let missing: Vec<String> = request
        .headers(Name::ProxyRequire)
        .flat_map(crate::sip::split_commas)
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}
