//! The keys of `directory/*.toml`.

use super::parts::{EXTENSION, LABEL, NAME, NUMBER};
use super::{Form, Key, Keys, Kind, key};

const HA1_MD5: Kind = Kind::Form(&Form {
    what: "32 hexadecimal digits",
    example: "939e7578ed9e3c518a452acee763bce9",
    check: |text| hexadecimal(text, 32),
});
const HA1_SHA256: Kind = Kind::Form(&Form {
    what: "64 hexadecimal digits",
    example: "as `strowger passwd` prints them",
    check: |text| hexadecimal(text, 64),
});

fn hexadecimal(text: &str, digits: usize) -> Result<(), String> {
    let fine = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    fine.then_some(())
        .ok_or_else(|| format!("this is not a hash of {digits} hexadecimal digits"))
}

const DEVICE: Keys = Keys::of(
    "a device",
    &[
        key("name", NAME, "Unique for the user.").required(),
        key(
            "number",
            NUMBER,
            "Forwards to this number; without it the device registers.",
        ),
        key("ring", Kind::Flag, "Where the person's own toggle starts.").default("true"),
    ],
);

const USER: Keys = Keys::of(
    "a user",
    &[
        key(
            "extension",
            EXTENSION,
            "Digits, or any SIP user part; also the user name of the digest.",
        )
        .required(),
        key("was", EXTENSION, "The extension before a rename."),
        key("name", LABEL, "Display name.").required(),
        key("email", Kind::Text, "Mail address."),
        key("password", Kind::Secret, "Password of the user's devices."),
        key(
            "ha1-md5",
            HA1_MD5,
            "Instead of the password: as `strowger passwd` writes it.",
        ),
        key(
            "ha1-sha256",
            HA1_SHA256,
            "Instead of the password: as `strowger passwd` writes it.",
        ),
        key("number", NUMBER, "Direct number."),
        key(
            "max-concurrent-calls",
            Kind::Integer(1, 100),
            "Live calls on the extension, of whatever origin.",
        )
        .default("2"),
        key(
            "role",
            Kind::OneOf(&["agent", "supervisor", "admin", "account-admin"]),
            "Rights.",
        )
        .default("\"agent\""),
        key(
            "skills",
            Kind::Map(&Kind::Integer(1, 10)),
            "Skills with proficiency, 1 to 10, higher is better.",
        ),
        key(
            "pickup",
            Kind::OneOrMore(&NAME),
            "Groups whose members may take over each other's ringing calls.",
        ),
        key(
            "device",
            Kind::Tables(&DEVICE),
            "Devices beyond what registers by itself.",
        ),
    ],
);

const LIST: Keys = Keys::of(
    "a list",
    &[
        key(
            "name",
            EXTENSION,
            "What phones subscribe to instead of each member: the user part of a SIP URI, different from all extensions.",
        )
        .required(),
        key(
            "members",
            Kind::List(&EXTENSION),
            "Extensions whose lamps and presence it shows, in order; at most 50.",
        )
        .required(),
    ],
);

const KEYS: &[Key] = &[
    key("user", Kind::Tables(&USER), "People."),
    key(
        "list",
        Kind::Tables(&LIST),
        "Extensions that a console watches as one (RFC 4662).",
    ),
];

/// People.
pub const FILE: Keys = Keys::of("a directory file", KEYS);
