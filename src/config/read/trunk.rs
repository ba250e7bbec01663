//! Reads `[[trunk]]` of a profile.

use std::sync::Arc;

use super::Reading;
use crate::base::Duration;
use crate::base::Network;
use crate::call::InvitePolicy;
use crate::config::fields::Fields;
use crate::config::keys::parts;
use crate::config::settings::{ProfileAuth, Redirects};
use crate::config::trunk::{CallerIdHeader, CallerName, Trunk, TrunkCredentials, TrunkRegister};
use crate::directory::{NumberFormat, e164};
use crate::trunk::BreakerSettings;

/// Reads one trunk of a profile.
pub fn read(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    profile: &Arc<str>,
    auth: Option<ProfileAuth>,
    invite: InvitePolicy,
) -> Option<Trunk> {
    let name = reading.name_of("trunk", fields);
    let proxy = fields.texts("proxy");
    let mut from: Vec<Network> = fields
        .texts("from")
        .iter()
        .filter_map(|(text, _)| Network::parse(text).ok())
        .collect();
    let tls = Arc::new(super::tls::trunk(reading, fields).unwrap_or_default());
    if fields.node("from").is_none() {
        from = proxy
            .iter()
            .filter_map(|(uri, _)| parts::sip_uri(uri).ok()?.1)
            .map(Network::of)
            .collect();
    }
    let shown = name.as_deref().unwrap_or("?");
    if proxy.is_empty()
        && fields.node("proxy").is_none()
        && fields.node("from").is_none()
        && tls.names.is_empty()
    {
        let message = format!("trunk `{shown}` leads nowhere and nothing comes from it");
        reading
            .error(fields.source, fields.span("name"), message)
            .help = Some("give `proxy` to send calls, `from` to take them".to_owned());
    } else if from.is_empty()
        && tls.names.is_empty()
        && fields.node("from").is_none()
        && auth == Some(ProfileAuth::Trunk)
        && fields.node("register").is_none()
        && proxy.iter().all(|(uri, _)| parts::sip_uri(uri).is_ok())
    {
        let message =
            format!("no call from trunk `{shown}` is taken: its source addresses are not known");
        reading
            .warning(fields.source, fields.span("name"), message)
            .help = Some("give `from`".to_owned());
    }
    let register = fields.fields("register");
    if register.is_some() && fields.node("auth").is_some() {
        let message = "give `register` or `auth`, not both: `register` answers challenges as well";
        reading.error(fields.source, fields.span("auth"), message);
    }
    if register.is_some() && fields.node("proxy").is_none() {
        let message = format!("trunk `{shown}` has no `proxy` to register with");
        reading.error(fields.source, fields.span("register"), message);
    }
    let credentials = register
        .or_else(|| fields.fields("auth"))
        .and_then(|credentials| {
            let username = credentials
                .shared("auth-username")
                .or_else(|| credentials.shared("username"))?;
            Some(TrunkCredentials {
                username,
                password: reading.secret(&credentials, "password")?,
            })
        });
    let realm = fields.shared("realm");
    if realm.is_some() && register.is_none() && fields.node("auth").is_none() {
        let message = "`realm` without `register` or `auth`: there is no password to prove";
        reading.warning(fields.source, fields.span("realm"), message);
    }
    let register = register.and_then(|register| registration(reading, &register));
    let has_proxy = !proxy.is_empty();
    Some(Trunk {
        name: name?,
        was: fields.shared("was"),
        profile: profile.clone(),
        proxy: proxy.into_iter().map(|(uri, _)| uri.into()).collect(),
        from,
        tls,
        domain: fields.shared("domain"),
        credentials,
        realm,
        register,
        max_channels: fields.integer("max-channels"),
        max_cps: fields.integer("max-cps"),
        wait: fields.duration("wait").unwrap_or(Duration::from_secs(2)),
        answer_timeout: fields
            .duration("answer-timeout")
            .unwrap_or(Duration::from_secs(5)),
        breaker: breaker(fields),
        user_phone: fields.flag("user-phone").unwrap_or(false),
        caller_number: fields.text("caller-number").and_then(e164).map(Into::into),
        number_format: fields
            .text("number-format")
            .and_then(NumberFormat::parse)
            .unwrap_or_default(),
        caller_id: fields
            .one_of(
                "caller-id",
                &[
                    ("pai", CallerIdHeader::Pai),
                    ("rpid", CallerIdHeader::Rpid),
                    ("from", CallerIdHeader::From),
                    ("diversion-aware", CallerIdHeader::DiversionAware),
                ],
            )
            .unwrap_or_default(),
        caller_name: fields
            .one_of(
                "caller-name",
                &[
                    ("none", CallerName::None),
                    ("own-number", CallerName::OwnNumber),
                    ("always", CallerName::Always),
                ],
            )
            .unwrap_or_default(),
        redirect: fields
            .one_of("redirect", Redirects::NAMES)
            .unwrap_or_default(),
        stir: super::stir::read(reading, fields).map(Arc::new),
        transfer: fields.flag("transfer").unwrap_or(false),
        invite: super::invite::read(
            reading,
            fields,
            // a carrier vouches for its callers; a profile's phones do not
            InvitePolicy {
                trusted: true,
                ..invite
            },
        ),
        options_ping: match fields.text("options-ping") {
            Some("off") => None,
            Some(_) => fields.duration("options-ping"),
            None => has_proxy.then_some(Duration::from_secs(30)),
        },
        place: fields.place(),
    })
}

fn registration(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<TrunkRegister> {
    let user = fields.shared("username")?;
    let bulk = fields.flag("bulk").unwrap_or(false);
    if bulk && fields.node("contact-user").is_some() {
        let message = "`contact-user` says nothing in bulk: the called number stands there";
        reading.warning(fields.source, fields.span("contact-user"), message);
    }
    Some(TrunkRegister {
        contact_user: fields
            .shared("contact-user")
            .unwrap_or_else(|| user.clone()),
        user,
        registrar: fields.shared("registrar"),
        expires: fields
            .duration("expires")
            .unwrap_or(Duration::from_secs(600)),
        bulk,
    })
}

fn breaker(fields: &Fields<'_>) -> BreakerSettings {
    let default = BreakerSettings::default();
    let Some(fields) = fields.fields("breaker") else {
        return default;
    };
    BreakerSettings {
        failures: fields.integer("failures").unwrap_or(default.failures),
        window: fields.duration("window").unwrap_or(default.window),
        open: fields.duration("open").unwrap_or(default.open),
    }
}
