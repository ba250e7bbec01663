//! The keys of `strowger.toml`.

use super::parts::{CAPTURE_SERVER, MEMORY, NETWORK, PORTS, PUBLIC_ADDRESS, SOCKET, ZONE, s};
use super::{Form, Key, Keys, Kind, key};

const DOMAIN: Kind = Kind::Form(&Form {
    what: "a domain name or an address",
    example: "pbx.example.com",
    check: |text| {
        let fine = !text.is_empty()
            && text.len() <= 253
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '[' | ']' | ':'));
        fine.then_some(())
            .ok_or_else(|| format!("`{text}` is not a domain name"))
    },
});

const STORE_URL: Kind = Kind::Form(&Form {
    what: "where the data base is",
    example: "sqlite:var/strowger.db",
    check: |text| {
        if text
            .strip_prefix("sqlite:")
            .is_some_and(|path| !path.is_empty())
        {
            Ok(())
        } else if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            Err("PostgreSQL is not available in this version".to_owned())
        } else {
            Err(format!("`{text}` is not the URL of a data base"))
        }
    },
});

const SERVER: Keys = Keys::of(
    "[server]",
    &[
        key("domain", DOMAIN, "SIP domain and digest realm.").required(),
        key(
            "data-dir",
            Kind::Text,
            "Database, journal, recordings; relative to the configuration directory.",
        )
        .default("\"var\""),
        key(
            "public-address",
            PUBLIC_ADDRESS,
            "What SDP and Contact advertise; profiles may override it.",
        )
        .default("\"auto\""),
        key(
            "rtp-ports",
            PORTS,
            "UDP ports for RTP and RTCP, two per stream.",
        )
        .default("\"20000-29999\""),
        key(
            "name-servers",
            Kind::OneOrMore(&SOCKET),
            "Name servers to ask, as addresses with ports. Default: those of the system.",
        ),
        key(
            "time-zone",
            ZONE,
            "Zone of hours and announcements that name none.",
        )
        .default("\"UTC\""),
        key(
            "drain-timeout",
            Kind::Duration(s(0), s(7 * 86_400)),
            "How long running calls may finish after SIGTERM.",
        )
        .default("\"2h\""),
    ],
);

const HTTP: Keys = Keys::of(
    "[http]",
    &[
        key(
            "listen",
            SOCKET,
            "Where the API, /metrics and /healthz listen.",
        )
        .default("\"127.0.0.1:8080\""),
        key("tls", Kind::NotYet, "Certificate and key."),
    ],
);

const STORE: Keys = Keys::of(
    "[store]",
    &[
        key("url", STORE_URL, "Data base for records; a path is relative to the configuration directory.").default("DATA-DIR/strowger.db"),
        key("journal", Kind::OneOf(&["written", "sync"]), "When an answer may leave: `written` survives the end of the process, `sync` the end of the power.").default("\"written\""),
    ],
);

const MEDIA: Keys = Keys::of(
    "[media]",
    &[key(
        "workers",
        Kind::Either(&[Kind::OneOf(&["auto"]), Kind::Integer(1, 64)]),
        "Threads that forward audio.",
    )
    .default("\"auto\"")],
);

const LOG: Keys = Keys::of(
    "[log]",
    &[
        key(
            "level",
            Kind::OneOf(&["error", "warn", "info", "debug", "trace"]),
            "Least important lines that are written.",
        )
        .default("\"info\""),
        key(
            "format",
            Kind::OneOf(&["text", "json"]),
            "For people, or for programs.",
        )
        .default("\"text\""),
        key(
            "ladder-memory",
            MEMORY,
            "Memory for recent messages, from which the ladders of calls are drawn; `0` keeps none. Taken as it is needed.",
        )
        .default("\"64MiB\""),
    ],
);

const HEP: Keys = Keys::of(
    "[hep]",
    &[
        key("server", CAPTURE_SERVER, "The capture server.").required(),
        key(
            "capture-id",
            Kind::Integer(0, u32::MAX as i64),
            "Number of this server there.",
        )
        .default("1"),
        key(
            "password",
            Kind::Secret,
            "What the capture server wants to see.",
        ),
    ],
);

const GUARD: Keys = Keys::of(
    "[guard]",
    &[
        key(
            "rate",
            Kind::Integer(1, 1_000_000),
            "Messages a second from one source that has proved nothing.",
        )
        .default("1000"),
        key(
            "proven-rate",
            Kind::Integer(1, 10_000_000),
            "Messages a second from one source from which somebody was authenticated in the last five minutes.",
        )
        .default("50000"),
        key(
            "total-rate",
            Kind::Integer(1, 10_000_000),
            "Messages a second from all sources together that have proved nothing.",
        )
        .default("30000"),
        key(
            "account-rate",
            Kind::Integer(1, 1_000_000),
            "Requests a second of one user, whatever they come from.",
        )
        .default("1000"),
        key(
            "failures",
            Kind::Integer(3, 100_000),
            "Wrong passwords from one source before it is banned; ten times as many once somebody there was authenticated.",
        )
        .default("20"),
        key(
            "ban",
            Kind::Duration(s(1), s(86_400)),
            "Length of the first ban; each later one is twice as long.",
        )
        .default("\"10s\""),
        key(
            "ban-max",
            Kind::Duration(s(1), s(7 * 86_400)),
            "Longest ban that wrong passwords lead to.",
        )
        .default("\"15m\""),
        key(
            "exempt",
            Kind::OneOrMore(&NETWORK),
            "Addresses that are never limited nor banned, besides those of trunks: your own proxies and load balancers.",
        ),
    ],
);

const KEYS: &[Key] = &[
    key("server", Kind::Table(&SERVER), "This node.").required(),
    key("http", Kind::Table(&HTTP), "API and metrics."),
    key("store", Kind::Table(&STORE), "Journal and data base."),
    key("media", Kind::Table(&MEDIA), "Audio."),
    key("cluster", Kind::NotYet, "More than one node."),
    key("log", Kind::Table(&LOG), "The server's log."),
    key(
        "hep",
        Kind::Table(&HEP),
        "Copies of all messages to a capture server.",
    ),
    key("guard", Kind::Table(&GUARD), "What strangers may cost."),
];

/// `strowger.toml`
pub const FILE: Keys = Keys::of("strowger.toml", KEYS);
