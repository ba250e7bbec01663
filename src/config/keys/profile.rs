//! The keys of `sip-profiles/*.toml`.

use super::invite::{EARLY_MEDIA, PRACK, SESSION_TIMER};
use super::parts::{CODEC_NAMES, LISTEN, NAME, NETWORK, PUBLIC_ADDRESS, SIP_URI, WEB_PATH, s};
use super::{Form, Key, Keys, Kind, key};
use crate::base::Network;

/// Whose Path is believed.
const PATH: Kind = Kind::Form(&Form {
    what: "`off`, `accept`, or the network of a proxy",
    example: "10.0.0.0/24",
    check: |text| match text {
        "off" | "accept" => Ok(()),
        _ => Network::parse(text).map(|_| ()).map_err(|_| {
            format!("`{text}` is neither `off` nor `accept` nor an address or a range")
        }),
    },
});

/// Who is behind a NAT.
const NAT: Kind = Kind::Form(&Form {
    what: "`auto`, `always`, `never`, or a network",
    example: "auto",
    check: |text| match text {
        "auto" | "always" | "never" => Ok(()),
        _ => Network::parse(text).map(|_| ()).map_err(|_| {
            format!("`{text}` is none of `auto`, `always`, `never`, nor an address or a range")
        }),
    },
});

/// Versions of TLS that can be asked for at least.
pub const TLS_VERSIONS: &[&str] = &["1.2", "1.3"];

const PROFILE_TLS: Keys = Keys::of(
    "`tls`",
    &[
        key(
            "certificate",
            Kind::Text,
            "File with its certificate and the chain, in PEM.",
        )
        .required(),
        key("key", Kind::Text, "File with the private key, in PEM.").required(),
        key(
            "client-ca",
            Kind::Text,
            "File with the authorities that vouch for certificates of clients. Default: none are asked for.",
        ),
        key(
            "client-certificate",
            Kind::OneOf(&["required", "optional"]),
            "Whether who shows none is refused.",
        )
        .default("\"required\""),
        key(
            "min-version",
            Kind::OneOf(TLS_VERSIONS),
            "The oldest TLS that is spoken.",
        )
        .default("\"1.2\""),
    ],
);

const REGISTRATION: Keys = Keys::of(
    "`registration`",
    &[
        key(
            "expires-min",
            Kind::Duration(s(10), s(3600)),
            "Shortest registration; a shorter wish is answered 423.",
        )
        .default("\"60s\""),
        key(
            "expires-default",
            Kind::Duration(s(10), s(604_800)),
            "Granted to who wishes nothing.",
        )
        .default("\"1h\""),
        key(
            "expires-max",
            Kind::Duration(s(10), s(604_800)),
            "Longest registration; a longer wish is cut.",
        )
        .default("\"1h\""),
        key(
            "expires-jitter",
            Kind::Integer(0, 50),
            "Percent by which what is granted is shortened at random, so that telephones that came together drift apart.",
        )
        .default("10"),
        key(
            "contacts-max",
            Kind::Integer(1, 100),
            "Devices that one extension may have registered.",
        )
        .default("10"),
        key(
            "contacts-over",
            Kind::OneOf(&["refuse", "replace-oldest"]),
            "What happens to one more: 403, or it takes the place of the device refreshed longest ago.",
        )
        .default("\"refuse\""),
        key(
            "path",
            Kind::OneOrMore(&PATH),
            "Whose Path headers are believed: nobody's, everybody's, or those of proxies in these networks.",
        )
        .default("\"off\""),
        key(
            "service-route",
            Kind::OneOrMore(&SIP_URI),
            "Proxies through which devices send their requests, told in the Service-Route header.",
        ),
        key(
            "qualify",
            Kind::Either(&[Kind::OneOf(&["off"]), Kind::Duration(s(10), s(3600))]),
            "Time between two OPTIONS to a device; one that stops to answer is not rung.",
        )
        .default("\"60s\""),
        key(
            "nat",
            Kind::OneOrMore(&NAT),
            "Which devices are behind a NAT: those whose Contact shows it, all, none, or those whose Contact shows it and all in these networks.",
        )
        .default("\"auto\""),
        key(
            "nat-ping",
            Kind::Either(&[Kind::OneOf(&["off"]), Kind::Duration(s(5), s(29))]),
            "Time between two OPTIONS to a device behind a NAT over UDP, so that its mapping lasts.",
        )
        .default("\"25s\""),
        key(
            "flow-timer",
            Kind::Duration(s(30), s(600)),
            "Time within which a device with outbound must send keep-alives.",
        )
        .default("\"120s\""),
        key(
            "gruu",
            Kind::Flag,
            "Gives devices that can use them URIs of their own (GRUU).",
        )
        .default("true"),
    ],
);

const KEYS: &[Key] = &[
    key("name", NAME, "Name of the profile.").required(),
    key("was", NAME, "Its name before a rename."),
    key("listen", Kind::OneOrMore(&LISTEN), "Addresses on which it listens."),
    key("web-path", WEB_PATH, "Path of the HTTP listener at which it takes SIP over WebSocket, beside `listen`."),
    key("tls", Kind::Table(&PROFILE_TLS), "Certificate for `tls:` and `wss:`."),
    key("proxy-protocol", Kind::OneOrMore(&NETWORK), "Load balancers whose connections must begin with a PROXY protocol v2 header."),
    key("dialplan", NAME, "Context in which its calls start.").required(),
    key("mode", Kind::OneOf(&["b2bua", "proxy"]), "Ends calls here (dialplan, queues, recordings), or passes every request on between registered users.").default("\"b2bua\""),
    key("auth", Kind::OneOf(&["digest", "trunk", "none"]), "How callers are known: by digest, by the address of a trunk, or not at all (loopback only).").required(),
    key("digest", Kind::OneOf(&["md5", "sha-256"]), "Hash of its challenges; many phones know only MD5.").default("\"md5\""),
    key("insecure", Kind::Flag, "Allows `auth = \"none\"` on any address.").default("false"),
    key("codecs", Kind::List(&Kind::OneOf(CODEC_NAMES)), "In order of preference.").default("[\"opus\", \"g722\", \"pcma\", \"pcmu\"]"),
    key("srtp", Kind::OneOf(&["off", "optional", "required", "dtls"]), "Encryption of audio with keys in the SDP: never, where the peer can, or always.").default("\"off\""),
    key("trusted", Kind::Flag, "Whether its peers are believed who their callers are, and told who ours are when they call anonymously.").default("false"),
    key("redirect", Kind::OneOf(&["follow", "refuse", "pass"]), "What is done when a phone answers with a 3xx: dialled with the rights of its user, counted as unreachable, or passed to the caller.").default("\"follow\""),
    key("transfer", Kind::Flag, "Whether its phones may transfer calls with REFER.").default("true"),
    key("transfer-recall", Kind::Either(&[Kind::OneOf(&["off"]), Kind::Duration(s(5), s(180))]), "How long a transferor that has hung up is rung when its transfer reached nobody.").default("\"30s\""),
    key("hold-music", NAME, "What is heard by who is put on hold by its phones or trunks; `none`: what the holder sends. A call of a queue has the queue's music.").default("\"default\""),
    key("unsolicited-mwi", Kind::Flag, "Tells every device that registers how many messages wait, although it did not subscribe.").default("false"),
    key("public-address", PUBLIC_ADDRESS, "Instead of the server's."),
    key("registration", Kind::Table(&REGISTRATION), "How devices register, and how they are watched."),
    key("prack", PRACK, "Reliable provisional responses: never, where they help, or always.").default("\"supported\""),
    key("session-timer", SESSION_TIMER, "Calls whose peer does not refresh them in time are over.").default("{ expires = \"30m\", min = \"90s\", refresher = \"auto\" }"),
    key("early-media", EARLY_MEDIA, "Audio of the called before the answer: the caller hears it, hears ringing instead, or hears nothing of it.").default("\"pass\""),
    key("trunk", Kind::Tables(&super::trunk::TRUNK), "Networks behind this profile."),
];

/// A profile.
pub const FILE: Keys = Keys::of("a SIP profile", KEYS);
