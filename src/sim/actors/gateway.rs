//! The other side of a trunk: a carrier's gateway with its moods, and its registrar.

use super::Context;
use super::incoming::proves;
use super::order::{Admits, Mood};
use super::phone::Phone;
use super::transactions::key_of;
use crate::sim::wire::{self, Text};

/// What a gateway is like just now.
#[derive(Default)]
pub(super) struct Gateway {
    mood: Mood,
    admits: Admits,
}

impl Gateway {
    pub(super) fn be(&mut self, context: &mut Context<'_>, mood: Mood) {
        if mood != self.mood {
            context.reach(if mood == Mood::Up {
                "gateway comes back"
            } else {
                "gateway fails"
            });
        }
        self.mood = mood;
    }

    pub(super) fn admit(&mut self, context: &mut Context<'_>, admits: Admits) {
        if admits != self.admits {
            context.reach("carrier's registrar changes its mind");
        }
        self.admits = admits;
    }

    /// From now on everything works.
    pub(super) fn heal(&mut self) {
        *self = Gateway::default();
    }
}

impl Phone {
    /// What a gateway says before any telephone behind it is asked. False: go on as a phone.
    pub(super) fn gateway_answers(&mut self, context: &mut Context<'_>, request: &Text) -> bool {
        let method = request.method().unwrap_or("");
        let opens = method == "INVITE" && request.to_tag().is_empty();
        let tag = context.token();
        match (self.gateway.mood, method) {
            (Mood::Silent, _) => {
                context.reach("gateway is silent");
                return true;
            }
            (Mood::NoOptions, "OPTIONS") => {
                context.reach("OPTIONS unanswered by a gateway");
                return true;
            }
            (Mood::NoCalls, "INVITE") if opens => {
                context.reach("INVITE unanswered by a gateway");
                return true;
            }
            (Mood::Unavailable(rest), "INVITE") if opens => {
                let mut response = Text::response(request, 503, "Service Unavailable", &tag);
                if let Some(seconds) = rest {
                    context.reach("503 of a gateway with Retry-After");
                    response.push("Retry-After", &seconds.to_string());
                } else {
                    context.reach("503 of a gateway");
                }
                self.stamp(&mut response);
                self.transactions
                    .respond(context, &key_of(request), &response);
                return true;
            }
            (Mood::Forbidden, "INVITE") if opens => {
                context.reach("403 of a gateway");
                self.reply(context, request, 403, "Forbidden", &tag);
                return true;
            }
            _ => {}
        }
        if method == "REGISTER" {
            self.admit_registration(context, request, &tag);
            return true;
        }
        false
    }

    fn admit_registration(&mut self, context: &mut Context<'_>, request: &Text, tag: &str) {
        let account = self.settings.challenge.clone();
        let proven = account
            .is_none_or(|(user, password)| proves(request, "Authorization", &user, &password));
        let admits = self.gateway.admits;
        if admits == Admits::Nobody {
            context.reach("REGISTER refused by a carrier");
            self.reply(context, request, 403, "Forbidden", tag);
            return;
        }
        if !proven || admits == Admits::Challenges {
            if proven {
                context.reach("REGISTER challenged again and again");
            }
            let mut response = Text::response(request, 401, "Unauthorized", tag);
            response.push(
                "WWW-Authenticate",
                &format!(
                    "Digest realm=\"{}\", nonce=\"{}\", algorithm=MD5, qop=\"auth\"",
                    super::incoming::REALM,
                    context.token()
                ),
            );
            self.stamp(&mut response);
            self.transactions
                .respond(context, &key_of(request), &response);
            return;
        }
        let asked: u32 = request
            .get("Expires")
            .or_else(|| {
                request
                    .get("Contact")
                    .and_then(|c| wire::param(c, "expires"))
            })
            .and_then(|e| e.parse().ok())
            .unwrap_or(600);
        let granted = match admits {
            Admits::Cut(most) if asked > most => {
                context.reach("expiry cut by a carrier");
                most
            }
            _ => asked,
        };
        context.reach("REGISTER taken by a carrier");
        let mut response = Text::response(request, 200, "OK", tag);
        if granted > 0
            && let Some(contact) = request.get("Contact")
        {
            response.push(
                "Contact",
                &format!("<{}>;expires={granted}", wire::uri_of(contact)),
            );
        }
        self.stamp(&mut response);
        self.transactions
            .respond(context, &key_of(request), &response);
    }
}
