//! Reads `sip-profiles/*.toml`.

use std::sync::Arc;

use super::{Reading, To};
use crate::auth::Algorithm;
use crate::base::{Duration, Network};
use crate::call::InvitePolicy;
use crate::config::certificates::ProfileTls;
use crate::config::fields::Fields;
use crate::config::keys::parts::{self, CODECS};
use crate::config::settings::{ListenAddress, ProfileAuth, ProfileMode, Redirects, SipProfile};
use crate::config::trunk::Trunk;
use crate::media::{Codec, SrtpPolicy};
use crate::transport::Transport;

/// Reads one file.
pub fn read(reading: &mut Reading<'_>, file: &Fields<'_>) {
    let name = reading.name_of("profile", file);
    if let Some(context) = file.text("dialplan") {
        reading.refer(To::Context, context, file.source, file.span("dialplan"));
    }
    let auth = file.one_of(
        "auth",
        &[
            ("digest", ProfileAuth::Digest),
            ("trunk", ProfileAuth::Trunk),
            ("none", ProfileAuth::None),
        ],
    );
    let digest = file
        .one_of(
            "digest",
            &[("md5", Algorithm::Md5), ("sha-256", Algorithm::Sha256)],
        )
        .unwrap_or_default();
    let insecure = file.flag("insecure").unwrap_or(false);
    let listen = listen(reading, file);
    if auth == Some(ProfileAuth::None) && !insecure {
        for (address, span) in &listen {
            if !address.address.ip().is_loopback() {
                let message = format!(
                    "`auth = \"none\"` on {address}: anybody who reaches it can call at your cost"
                );
                reading.error(file.source, span.clone(), message).help = Some(
                    "use `auth = \"digest\"` or `\"trunk\"`, listen on 127.0.0.1, or write `insecure = true` if this is a closed lab"
                        .to_owned(),
                );
            }
        }
    }
    let web_path = web_path(reading, file);
    let tls = super::tls::profile(reading, file, &listen);
    if file.node("listen").is_none() && file.node("web-path").is_none() {
        let message = "a SIP profile needs `listen`";
        reading
            .error(file.source, file.start..file.start, message)
            .help = Some("Addresses on which it listens.".to_owned());
    }
    let srtp = srtp(reading, file, &listen);
    let codecs = codecs(reading, file);
    let profile_name: Arc<str> = name.clone().unwrap_or_else(|| Arc::from(""));
    let invite = super::invite::read(reading, file, InvitePolicy::default());
    let mut trunks: Vec<Arc<Trunk>> = Vec::new();
    for fields in file.tables("trunk") {
        if let Some(trunk) = super::trunk::read(reading, &fields, &profile_name, auth, invite) {
            over_tls(reading, &fields, &trunk, &listen, tls.as_ref());
            for other in &trunks {
                let shared = trunk
                    .from
                    .iter()
                    .find(|network| other.from.iter().any(|with| with.overlaps(network)));
                if let Some(network) = shared {
                    let message = format!(
                        "calls from {network} could be of trunk `{}` or of trunk `{}`",
                        other.name, trunk.name
                    );
                    reading
                        .warning(fields.source, fields.span("from"), message)
                        .help = Some("the first in the file gets them".to_owned());
                }
            }
            trunks.push(Arc::new(trunk));
        }
    }
    if auth == Some(ProfileAuth::Trunk) && trunks.is_empty() {
        let message = "nobody gets in: `auth = \"trunk\"`, and the profile has no trunk";
        reading.warning(file.source, file.span("auth"), message);
    }
    let hold_music = file.text("hold-music").unwrap_or("default");
    if file.node("hold-music").is_some() {
        reading.refer(To::Music, hold_music, file.source, file.span("hold-music"));
    }
    let registration = Arc::new(super::registration::read(reading, file));
    let (Some(name), Some(dialplan), Some(auth)) = (name, file.shared("dialplan"), auth) else {
        return;
    };
    reading.profiles.push(Arc::new(SipProfile {
        name,
        was: file.shared("was"),
        listen: listen.into_iter().map(|(address, _)| address).collect(),
        web_path,
        tls: tls.map(Arc::new),
        proxy_protocol: networks(file, "proxy-protocol"),
        dialplan,
        mode: file
            .one_of(
                "mode",
                &[("b2bua", ProfileMode::B2bua), ("proxy", ProfileMode::Proxy)],
            )
            .unwrap_or_default(),
        auth,
        digest,
        insecure,
        codecs,
        srtp,
        hold_music: hold_music.into(),
        unsolicited_mwi: file.flag("unsolicited-mwi").unwrap_or(false),
        public_address: file
            .text("public-address")
            .and_then(|text| parts::public_address(text).ok()),
        registration,
        invite,
        trunks,
        redirect: file
            .one_of("redirect", Redirects::NAMES)
            .unwrap_or(Redirects::Follow),
        transfer: file.flag("transfer").unwrap_or(true),
        transfer_recall: match file.text("transfer-recall") {
            Some("off") => None,
            Some(_) => file.duration("transfer-recall"),
            None => Some(Duration::from_secs(30)),
        },
        place: file.place(),
    }));
}

fn listen(
    reading: &mut Reading<'_>,
    file: &Fields<'_>,
) -> Vec<(ListenAddress, std::ops::Range<usize>)> {
    let mut out = Vec::new();
    for (text, span) in file.texts("listen") {
        let Ok(address) = parts::listen(text) else {
            continue;
        };
        let free = address.address.port() == 0
            || reading.define(
                "listening address",
                &address.to_string(),
                file.source,
                span.clone(),
            );
        if free {
            out.push((address, span));
        }
    }
    out
}

fn srtp(
    reading: &mut Reading<'_>,
    file: &Fields<'_>,
    listen: &[(ListenAddress, std::ops::Range<usize>)],
) -> SrtpPolicy {
    let policy = match file.text("srtp") {
        Some("dtls") => {
            let message = "`srtp = \"dtls\"` is not available in this version";
            reading.error(file.source, file.span("srtp"), message).help =
                Some("keys in the description: `srtp = \"optional\"` or `\"required\"`".to_owned());
            SrtpPolicy::Off
        }
        Some("optional") => SrtpPolicy::Optional,
        Some("required") => SrtpPolicy::Required,
        Some(_) | None => SrtpPolicy::Off,
    };
    let private = listen
        .iter()
        .any(|(address, _)| address.transport.is_secure());
    if policy != SrtpPolicy::Off && !private && !listen.is_empty() {
        let message = "the keys of SRTP travel readable: this profile listens on no `tls:` address";
        reading
            .warning(file.source, file.span("srtp"), message)
            .help = Some("add a `tls:` address and let the phones use it".to_owned());
    }
    policy
}

fn networks(fields: &Fields<'_>, key: &str) -> Vec<Network> {
    fields
        .texts(key)
        .iter()
        .filter_map(|(text, _)| Network::parse(text).ok())
        .collect()
}

fn web_path(reading: &mut Reading<'_>, file: &Fields<'_>) -> Option<Arc<str>> {
    let path = file.shared("web-path")?;
    reading.define("web path", &path, file.source, file.span("web-path"));
    Some(path)
}

/// A trunk can be reached over TLS, and known by its certificate, only where the profile speaks TLS.
fn over_tls(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    trunk: &Trunk,
    listen: &[(ListenAddress, std::ops::Range<usize>)],
    tls: Option<&ProfileTls>,
) {
    let speaks_tls = listen
        .iter()
        .any(|(address, _)| address.transport == Transport::Tls);
    for (uri, span) in fields.texts("proxy") {
        if parts::uri_transport(uri) == Ok(Transport::Tls) && !speaks_tls {
            let message = format!("`{uri}` is reached over TLS, which the profile does not speak");
            reading.error(fields.source, span, message).help =
                Some("add a `tls:` address to the profile's `listen`".to_owned());
        }
    }
    if !trunk.tls.names.is_empty() && tls.is_some_and(|tls| tls.client_ca.is_none()) {
        let message = format!(
            "trunk `{}` cannot be known by its certificate: the profile asks for none",
            trunk.name
        );
        reading
            .error(fields.source, fields.span("tls"), message)
            .help = Some("give `client-ca` in the profile's `tls`".to_owned());
    }
}

fn codecs(reading: &mut Reading<'_>, file: &Fields<'_>) -> Vec<Codec> {
    let Some(node) = file.node("codecs") else {
        return vec![Codec::Opus, Codec::G722, Codec::Pcma, Codec::Pcmu];
    };
    let mut codecs = Vec::new();
    for (text, span) in file.texts("codecs") {
        let Some((_, codec)) = CODECS.iter().find(|(name, _)| *name == text) else {
            continue;
        };
        if codecs.contains(codec) {
            reading.warning(file.source, span, format!("`{text}` is there twice"));
        } else {
            codecs.push(codec.clone());
        }
    }
    if codecs.is_empty() && file.texts("codecs").is_empty() {
        reading.error(file.source, node.span.clone(), "a profile needs a codec");
    }
    codecs
}
