//! The keys of `[[trunk]]` in `sip-profiles/*.toml`.

use super::invite::{EARLY_MEDIA, PRACK, SESSION_TIMER};
use super::parts::{DOMAIN_NAME, EXTENSION, NAME, NETWORK, NUMBER, NUMBER_FORMAT, SIP_URI, s};
use super::profile::TLS_VERSIONS;
use super::{Form, Keys, Kind, key};

const HTTPS: Kind = Kind::Form(&Form {
    what: "an https URL",
    example: "https://certs.acme.example/sti.pem",
    check: |text| {
        let fine = text.strip_prefix("https://").is_some_and(|rest| {
            !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte))
        });
        fine.then_some(())
            .ok_or_else(|| format!("`{text}` is not an https URL"))
    },
});

const CERTIFICATE: Keys = Keys::of(
    "a certificate",
    &[
        key("url", HTTPS, "The URL by which calls name it.").required(),
        key(
            "file",
            Kind::Text,
            "The certificate in PEM, with those that lead to its authority.",
        )
        .required(),
    ],
);

const STIR: Keys = Keys::of(
    "`stir`",
    &[
        key(
            "verify",
            Kind::OneOf(&["off", "mark", "require"]),
            "What is done with callers from it: nothing, the dialplan is told, or who is not proved is refused.",
        )
        .default("\"off\""),
        key(
            "ca",
            Kind::Text,
            "File with the certificates of the authorities that are trusted, in PEM.",
        ),
        key(
            "certificates",
            Kind::Tables(&CERTIFICATE),
            "Certificates of signers, by URL. Nothing is fetched.",
        ),
        key(
            "key",
            Kind::Text,
            "File with our private key on P-256 in PEM: calls to it are signed.",
        ),
        key("x5u", HTTPS, "Where our certificate is published."),
        key(
            "attestation",
            Kind::OneOf(&["auto", "A", "B", "C"]),
            "What is attested. `auto`: A for an extension with its own number, B for another number, C for calls from elsewhere.",
        )
        .default("\"auto\""),
        key(
            "pass",
            Kind::Flag,
            "Identity headers of callers who were proved go on to it as they came.",
        )
        .default("false"),
    ],
);

const BREAKER: Keys = Keys::of(
    "`breaker`",
    &[
        key(
            "failures",
            Kind::Integer(1, 100),
            "Failures within `window` after which a gateway is left alone.",
        )
        .default("5"),
        key(
            "window",
            Kind::Duration(s(1), s(600)),
            "The time in which they are counted.",
        )
        .default("\"30s\""),
        key(
            "open",
            Kind::Duration(s(1), s(600)),
            "How long it is left alone; twice as long after each call that tries it in vain, up to 10 minutes.",
        )
        .default("\"30s\""),
    ],
);

const REGISTER: Keys = Keys::of(
    "`register`",
    &[
        key(
            "username",
            Kind::Text,
            "User part of the address that is registered; the user name for its challenges unless `auth-username` says otherwise.",
        )
        .required(),
        key(
            "auth-username",
            Kind::Text,
            "User name for its challenges. Default: `username`.",
        ),
        key("password", Kind::Secret, "Password there.").required(),
        key(
            "registrar",
            SIP_URI,
            "Where to register. Default: at `proxy`.",
        ),
        key(
            "contact-user",
            EXTENSION,
            "User part of the Contact: calls to it are this trunk's. Default: `username`.",
        ),
        key(
            "expires",
            Kind::Duration(s(60), s(86_400)),
            "How long a registration is asked for.",
        )
        .default("\"10m\""),
        key(
            "bulk",
            Kind::Flag,
            "Registers all numbers of the trunk at once (RFC 6140).",
        )
        .default("false"),
    ],
);

const AUTH: Keys = Keys::of(
    "`auth`",
    &[
        key("username", Kind::Text, "User name there.").required(),
        key("password", Kind::Secret, "Password there.").required(),
    ],
);

const TRUNK_TLS: Keys = Keys::of(
    "`tls` of a trunk",
    &[
        key(
            "ca",
            Kind::Text,
            "`system`, or a file with the authorities that vouch for its certificate.",
        )
        .default("\"system\""),
        key(
            "verify",
            Kind::Flag,
            "Whether its certificate must be good and name the host of `proxy`.",
        )
        .default("true"),
        key(
            "certificate",
            Kind::Text,
            "File with our certificate for it, in PEM.",
        ),
        key("key", Kind::Text, "File with the private key, in PEM."),
        key(
            "names",
            Kind::OneOrMore(&DOMAIN_NAME),
            "Names in its client certificates by which its calls are known, beside `from`.",
        ),
        key(
            "min-version",
            Kind::OneOf(TLS_VERSIONS),
            "The oldest TLS that is spoken.",
        )
        .default("\"1.2\""),
    ],
);

/// A trunk.
pub const TRUNK: Keys = Keys::of(
    "a trunk",
    &[
        key("name", NAME, "Unique over all profiles.").required(),
        key("was", NAME, "Its name before a rename."),
        key(
            "proxy",
            Kind::OneOrMore(&SIP_URI),
            "Where calls are sent, tried in order.",
        ),
        key(
            "from",
            Kind::OneOrMore(&NETWORK),
            "Source addresses taken as this trunk. Default: the addresses in `proxy`.",
        ),
        key(
            "tls",
            Kind::Table(&TRUNK_TLS),
            "How it is known and what it is shown over TLS.",
        ),
        key(
            "domain",
            Kind::Text,
            "Domain of From and To in requests to it. Default: the host of the proxy.",
        ),
        key(
            "register",
            Kind::Table(&REGISTER),
            "Registers there, and answers its challenges.",
        ),
        key(
            "auth",
            Kind::Table(&AUTH),
            "Answers its challenges without registering.",
        ),
        key(
            "realm",
            Kind::Text,
            "The only realm to which the password is proved. Default: the first that takes it.",
        ),
        key(
            "max-channels",
            Kind::Integer(1, 100_000),
            "Calls at a time, both directions. Default: no limit.",
        ),
        key(
            "max-cps",
            Kind::Integer(1, 100_000),
            "New calls a second towards it. Default: no limit.",
        ),
        key(
            "wait",
            Kind::Duration(s(0), s(30)),
            "How long a call waits when all channels are in use, or the second has had its calls, and no other trunk takes it.",
        )
        .default("\"2s\""),
        key(
            "answer-timeout",
            Kind::Duration(s(1), s(32)),
            "How long a gateway may take to say anything at all before the next one is tried.",
        )
        .default("\"5s\""),
        key(
            "breaker",
            Kind::Table(&BREAKER),
            "When a gateway is left alone for a while.",
        ),
        key(
            "number-format",
            NUMBER_FORMAT,
            "How the carrier writes numbers.",
        )
        .default("\"+E164\""),
        key(
            "user-phone",
            Kind::Flag,
            "Marks numbers in URIs to it with `user=phone`.",
        )
        .default("false"),
        key(
            "caller-id",
            Kind::OneOf(&["pai", "rpid", "from", "diversion-aware"]),
            "Where our number stands.",
        )
        .default("\"pai\""),
        key(
            "caller-number",
            NUMBER,
            "The number that every call to it shows. Default: the caller's.",
        ),
        key(
            "caller-name",
            Kind::OneOf(&["none", "own-number", "always"]),
            "When it gets the display name of who calls: never, with the caller's own number, or beside any.",
        )
        .default("\"none\""),
        key(
            "trusted",
            Kind::Flag,
            "Whether it is believed who its callers are, and told who ours are when they call anonymously.",
        )
        .default("true"),
        key(
            "redirect",
            Kind::OneOf(&["follow", "refuse", "pass"]),
            "What is done when it answers with a 3xx: called there at your cost, counted as unreachable, or passed to the caller.",
        )
        .default("\"refuse\""),
        key(
            "stir",
            Kind::Table(&STIR),
            "Signed identity of callers (STIR/SHAKEN), in and out.",
        ),
        key(
            "transfer",
            Kind::Flag,
            "Whether it may transfer calls with REFER, at your cost.",
        )
        .default("false"),
        key(
            "options-ping",
            Kind::Either(&[Kind::OneOf(&["off"]), Kind::Duration(s(5), s(3600))]),
            "Time between OPTIONS to each gateway of each proxy.",
        )
        .default("\"30s\""),
        key(
            "prack",
            PRACK,
            "Reliable provisional responses. Default: the profile's.",
        ),
        key(
            "session-timer",
            SESSION_TIMER,
            "Session timers. Default: the profile's.",
        ),
        key(
            "early-media",
            EARLY_MEDIA,
            "Audio of it before the answer. Default: the profile's.",
        ),
    ],
);
