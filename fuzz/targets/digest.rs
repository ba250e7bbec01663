//! Digest credentials and challenges: read, quoted anew, read again, and nothing came in between.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use strowger_fuzz::sip::header::auth::quote;
use strowger_fuzz::sip::{Challenge, Credentials};

type Text<'a> = Cow<'a, [u8]>;

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = Credentials::parse(data) {
        credentials(&read);
    }
    if let Ok(read) = Challenge::parse(data) {
        challenge(&read);
    }
});

fn credentials(read: &Credentials<'_>) {
    assert_eq!(read.nc.is_some(), read.nc_text.is_some());
    if let Some(text) = &read.nc_text {
        assert!(text.len() == 8 && text.iter().all(u8::is_ascii_hexdigit));
    }
    let written = write([
        ("username", Some(&read.username)),
        ("realm", Some(&read.realm)),
        ("nonce", Some(&read.nonce)),
        ("uri", Some(&read.uri)),
        ("response", Some(&read.response)),
        ("algorithm", read.algorithm.as_ref()),
        ("cnonce", read.cnonce.as_ref()),
        ("opaque", read.opaque.as_ref()),
        ("qop", read.qop.as_ref()),
        ("nc", read.nc_text.as_ref()),
    ]);
    let again = Credentials::parse(written.as_bytes()).expect("we read what we quote");
    let clean = Credentials {
        username: cleaned(&read.username),
        realm: cleaned(&read.realm),
        nonce: cleaned(&read.nonce),
        uri: cleaned(&read.uri),
        response: cleaned(&read.response),
        algorithm: read.algorithm.as_ref().map(cleaned),
        cnonce: read.cnonce.as_ref().map(cleaned),
        opaque: read.opaque.as_ref().map(cleaned),
        qop: read.qop.as_ref().map(cleaned),
        nc: read.nc,
        nc_text: read.nc_text.clone(),
    };
    assert_eq!(again, clean, "{written}");
}

fn challenge(read: &Challenge<'_>) {
    let stale: Text<'_> = Cow::Borrowed(if read.stale { b"TRUE" } else { b"false" });
    let written = write([
        ("realm", Some(&read.realm)),
        ("nonce", Some(&read.nonce)),
        ("algorithm", read.algorithm.as_ref()),
        ("opaque", read.opaque.as_ref()),
        ("stale", Some(&stale)),
        ("qop", read.qop.as_ref()),
    ]);
    let again = Challenge::parse(written.as_bytes()).expect("we read what we quote");
    let clean = Challenge {
        realm: cleaned(&read.realm),
        nonce: cleaned(&read.nonce),
        algorithm: read.algorithm.as_ref().map(cleaned),
        opaque: read.opaque.as_ref().map(cleaned),
        stale: read.stale,
        qop: read.qop.as_ref().map(cleaned),
    };
    assert_eq!(again, clean, "{written}");
    assert!(!again.offers_auth() || again.qop.is_some());
}

/// Every value as a quoted string, whatever it was.
fn write<'a, const N: usize>(fields: [(&str, Option<&Text<'a>>); N]) -> String {
    let mut out = String::from("Digest ");
    for (name, value) in fields {
        if let Some(value) = value {
            out.push_str(name);
            out.push('=');
            quote(value, &mut out);
            out.push_str(", ");
        }
    }
    out
}

/// What quoting keeps: text without control characters.
fn cleaned(value: &Text<'_>) -> Text<'static> {
    let text = String::from_utf8_lossy(value);
    let kept: String = text.chars().filter(|char| !char.is_control()).collect();
    Cow::Owned(kept.into_bytes())
}
