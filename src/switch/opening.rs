//! What an INVITE is taken for: who calls, whom, from where, and what the dialplan may know of it.

use std::sync::Arc;

use super::core::Switch;
use crate::base::Now;
use crate::call::{Endpoint, Incoming, identity};
use crate::dialplan::{CallFacts, Headers};
use crate::directory;
use crate::event::{Direction, Party};
use crate::sip::{Message, Uri};
use crate::transaction::ServerKey;
use crate::transport::Flow;

/// Longest number, and longest name of a caller, that is passed on and kept in records; E.164 has 15 digits, names of people fewer than 128.
pub(super) const NUMBER_BYTES_MAX: usize = 128;

impl Switch {
    /// An INVITE and its sender, for the call core.
    pub(super) fn incoming_of(
        &self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: Message,
        endpoint: Endpoint,
        facts: &CallFacts,
    ) -> Incoming {
        let private = identity::read(&request, false).private;
        let hidden = private && !matches!(endpoint, Endpoint::Extension(_));
        let from = if hidden {
            // who wants not to be named is not, in records either; the dialplan alone may judge by the number
            Party {
                number: Arc::from("anonymous"),
                name: Some(Arc::from("Anonymous")),
                trunk: facts.trunk.clone(),
            }
        } else {
            let name = &facts.caller_name;
            Party {
                number: Arc::from(facts.from.as_str()),
                name: (!name.is_empty()).then(|| Arc::from(name.as_str())),
                trunk: facts.trunk.clone(),
            }
        };
        let to = Party {
            number: Arc::from(facts.to.as_str()),
            ..Party::default()
        };
        let direction = match endpoint {
            Endpoint::Trunk(_) => Direction::Inbound,
            Endpoint::Extension(_) | Endpoint::Unknown => Direction::Internal,
        };
        let device = match &endpoint {
            Endpoint::Extension(extension) => self.device_on(now, extension, &flow),
            Endpoint::Trunk(_) | Endpoint::Unknown => None,
        };
        let login = match &endpoint {
            Endpoint::Trunk(name) => self
                .settings
                .trunk(name)
                .and_then(|trunk| super::faces::login_of(trunk, &self.trunks)),
            Endpoint::Extension(_) | Endpoint::Unknown => None,
        };
        let cookie = self.calls.cookie(&facts.context, &facts.from, &facts.to);
        Incoming {
            server: key,
            flow,
            invite: request,
            endpoint,
            from,
            to,
            direction,
            login,
            device,
            private,
            cookie: Some(cookie),
        }
    }

    /// What the dialplan may know of a call.
    pub(super) fn facts(
        &self,
        flow: Flow,
        request: &Message,
        endpoint: &Endpoint,
    ) -> Option<CallFacts> {
        let profile = super::faces::profile_of(&self.settings, flow.profile)?;
        let dialled = request.uri().ok()?.user_text()?;
        if dialled.len() > NUMBER_BYTES_MAX {
            return None;
        }
        let short = |text: &str| text.chars().take(NUMBER_BYTES_MAX).collect::<String>();
        let trusted = self.calls.network().policy(endpoint, &flow).trusted;
        let caller = identity::read(request, trusted);
        let presented = short(&caller.number);
        let display = || short(caller.name.as_deref().unwrap_or_default());
        let (from, to, trunk, name) = match endpoint {
            Endpoint::Trunk(name) => {
                let trunk = self.settings.trunk(name)?;
                let number = |uri: &Uri<'_>| directory::dialled(uri).map(|n| short(&n));
                let named = Uri::parse(&caller.uri).ok();
                let presented = named.as_ref().and_then(number).unwrap_or(presented);
                let mut dialled = number(&request.uri().ok()?).unwrap_or(dialled);
                // a registered contact stands for all numbers of the account: which one was called stands in To
                if trunk
                    .register
                    .as_ref()
                    .is_some_and(|register| *register.contact_user == *dialled)
                    && let Some(called) = number(&request.to().uri)
                {
                    dialled = called;
                }
                (
                    trunk.number_format.inward(&presented),
                    trunk.number_format.inward(&dialled),
                    Some(name.clone()),
                    display(),
                )
            }
            Endpoint::Extension(extension) => (
                extension.to_string(),
                dialled,
                None,
                self.settings
                    .directory
                    .user(extension)
                    .map(|user| user.name.to_string())
                    .unwrap_or_default(),
            ),
            Endpoint::Unknown => (presented, dialled, None, display()),
        };
        let mut headers = Headers::default();
        for (_, name, value) in request.each_header() {
            let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value))
            else {
                continue;
            };
            if value.len() <= 256 && !value.chars().any(char::is_control) {
                headers.add(name.trim(), value);
            }
        }
        Some(CallFacts {
            profile: profile.name.clone(),
            context: profile.dialplan.clone(),
            from,
            to,
            trunk,
            caller_name: name,
            headers: Arc::new(headers),
            language: String::new(),
        })
    }
}
