//! How a phone registers: one binding, or one for each of its connections (RFC 5626), again and again, with credentials.

use super::phone::{Carriage, Phone};
use super::transactions::Purpose;
use super::{Context, Deed, Reminder};
use crate::base::Duration;
use crate::sim::wire::{self, Text};

/// A registration over one lane.
pub(super) struct Registration {
    pub lane: u8,
    pub call_id: String,
    pub tag: String,
    pub cseq: u32,
    pub round: u32,
    pub refused: u32,
    pub open: bool,
    /// A 200 has come, and neither an end nor a loss of the lane since.
    pub held: bool,
}

impl Registration {
    pub(super) fn new(name: &str, user: &str, lane: u8) -> Registration {
        let suffix = if lane == 0 {
            String::new()
        } else {
            format!("-{lane}")
        };
        Registration {
            lane,
            call_id: format!("reg-{name}{suffix}"),
            tag: format!("r{user}{suffix}"),
            cseq: 0,
            round: 0,
            refused: 0,
            open: false,
            held: false,
        }
    }
}

impl Phone {
    pub(super) fn registration(&mut self, lane: u8) -> Option<&mut Registration> {
        self.registrations.iter_mut().find(|r| r.lane == lane)
    }

    /// Registers, or unregisters, over every lane.
    pub(super) fn register_all(&mut self, context: &mut Context<'_>, expires: u32) {
        for lane in self.lanes() {
            self.register(context, lane, expires, None);
        }
    }

    pub(super) fn lanes(&self) -> Vec<u8> {
        self.registrations.iter().map(|r| r.lane).collect()
    }

    pub(super) fn register(
        &mut self,
        context: &mut Context<'_>,
        lane: u8,
        expires: u32,
        challenge: Option<(&str, bool)>,
    ) {
        let uri = format!("sip:{}", self.settings.domain);
        let aor = format!("<sip:{}@{}>", self.settings.user, self.settings.domain);
        let mut contact = self.contact();
        if let Some(instance) = &self.settings.instance {
            contact.push_str(&format!(";+sip.instance=\"<urn:uuid:{instance}>\""));
        }
        if self.settings.outbound {
            contact.push_str(&format!(";reg-id={}", lane + 1));
        }
        let via = self.via(context);
        let outbound = self.settings.outbound;
        let Some(registration) = self.registration(lane) else {
            return;
        };
        registration.cseq += 1;
        registration.open = true;
        let mut request = Text::request("REGISTER", &uri)
            .with("Via", &via)
            .with("Max-Forwards", "70")
            .with("From", &format!("{aor};tag={}", registration.tag))
            .with("To", &aor)
            .with("Call-ID", &registration.call_id)
            .with("CSeq", &format!("{} REGISTER", registration.cseq))
            .with("Contact", &contact)
            .with("Expires", &expires.to_string());
        if outbound {
            request.push("Supported", "path, outbound");
            context.reach(if lane == 0 {
                "outbound registration"
            } else {
                "two flows of one phone"
            });
        }
        if let Some((challenge, proxy)) = challenge {
            self.authorize(context, &mut request, challenge, proxy);
        }
        let way = self.way_to(self.settings.server, lane);
        self.ask(context, way, request, Purpose::Register(lane));
    }

    /// Puts credentials into a request.
    pub(super) fn authorize(
        &mut self,
        context: &mut Context<'_>,
        request: &mut Text,
        challenge: &str,
        proxy: bool,
    ) -> bool {
        let nonce = wire::auth_param(challenge, "nonce")
            .unwrap_or("")
            .to_string();
        if nonce == self.nonce {
            self.nonce_count += 1;
        } else {
            self.nonce_count = 1;
            self.nonce = nonce;
        }
        let cnonce = context.token();
        let method = request.about();
        let Some(value) = wire::credentials(
            challenge,
            &self.settings.user,
            &self.settings.password,
            &method,
            request.uri().unwrap_or(""),
            self.nonce_count,
            &cnonce,
        ) else {
            return false;
        };
        let name = if proxy {
            "Proxy-Authorization"
        } else {
            "Authorization"
        };
        request.set(name, &value);
        true
    }

    /// The challenge of a 401 or 407 that this phone can answer.
    pub(super) fn challenge_in(response: &Text) -> Option<(String, bool)> {
        let proxy = response.status() == Some(407);
        let name = if proxy {
            "Proxy-Authenticate"
        } else {
            "WWW-Authenticate"
        };
        response
            .all(name)
            .find(|c| {
                wire::auth_param(c, "algorithm")
                    .unwrap_or("MD5")
                    .eq_ignore_ascii_case("MD5")
            })
            .or_else(|| response.get(name))
            .map(|c| (c.to_string(), proxy))
    }

    pub(super) fn registered(
        &mut self,
        context: &mut Context<'_>,
        lane: u8,
        response: &Text,
        request: &Text,
        fresh: bool,
    ) {
        let status = response.status().unwrap_or(0);
        if status < 200 || !fresh {
            return;
        }
        let expires: u32 = request
            .get("Expires")
            .and_then(|e| e.parse().ok())
            .unwrap_or(0);
        let (wanted, own, name) = (self.wanted, self.contact_uri(), self.settings.name.clone());
        let Some(registration) = self.registration(lane) else {
            return;
        };
        registration.open = false;
        match status {
            200 => {
                registration.refused = 0;
                registration.held = expires > 0;
                let granted = response
                    .all("Contact")
                    .flat_map(|v| v.split(','))
                    .find(|c| c.contains(&own))
                    .and_then(|c| wire::param(c, "expires"))
                    .and_then(|e| e.parse::<u32>().ok())
                    .unwrap_or(expires);
                if expires > 0 && wanted {
                    let half = Duration::from_secs(u64::from(granted.max(2) / 2));
                    registration.round += 1;
                    context.remind(half, Reminder::Register(lane, registration.round));
                }
            }
            401 | 407 => {
                let stale = response
                    .get("WWW-Authenticate")
                    .and_then(|c| wire::auth_param(c, "stale"))
                    .is_some_and(|s| s.eq_ignore_ascii_case("true"));
                let had = request.get("Authorization").is_some();
                if had && !stale {
                    registration.refused += 1;
                    if registration.refused >= 2 {
                        context
                            .deeds
                            .push(Deed::Note(format!("{name} gives up registering")));
                        return;
                    }
                }
                if expires > 0 && !wanted {
                    return; // told to leave meanwhile
                }
                if registration.refused < 2
                    && (stale || !had)
                    && let Some((challenge, proxy)) = Self::challenge_in(response)
                {
                    self.register(context, lane, expires, Some((&challenge, proxy)));
                } else {
                    self.retry_register(context, lane);
                }
            }
            423 => {
                let least = response
                    .get("Min-Expires")
                    .and_then(|e| e.parse().ok())
                    .unwrap_or(3600);
                self.settings.expires = least;
                self.register(context, lane, least, None);
            }
            _ => self.retry_register(context, lane),
        }
    }

    pub(super) fn retry_register(&mut self, context: &mut Context<'_>, lane: u8) {
        let wait = Duration::from_millis(3_000 + context.entropy.below(4_000));
        let Some(registration) = self.registration(lane) else {
            return;
        };
        registration.round += 1;
        let round = registration.round;
        context.remind(wait, Reminder::Register(lane, round));
    }

    /// A reminder to register has come.
    pub(super) fn register_again(&mut self, context: &mut Context<'_>, lane: u8, round: u32) {
        let wanted = self.wanted;
        let current = self.registration(lane).is_some_and(|r| r.round == round);
        if current && wanted {
            let expires = self.settings.expires;
            self.register(context, lane, expires, None);
        }
    }

    /// The connection of a lane is gone: a phone that wants to be reached comes back over a new one.
    pub(super) fn lane_closed(&mut self, context: &mut Context<'_>, lane: u8) {
        if let Some(registration) = self.registration(lane) {
            registration.held = false;
        }
        if self.powered && self.wanted && self.settings.carriage != Carriage::Udp {
            self.retry_register(context, lane);
        }
    }
}
