//! A PASSporT (RFC 8225) and the Identity header that carries it (RFC 8224 §4): read, and written for signing.
#![deny(clippy::indexing_slicing)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::judge::Failure;

/// Identity headers of one request that are looked at.
const PRESENTED_MAX: usize = 8;
/// Longest header value; an ordinary one has 600 bytes.
const VALUE_BYTES_MAX: usize = 8192;
/// Numbers that one PASSporT may be for.
const DESTINATIONS_MAX: usize = 16;

/// How sure the signer is of the caller (RFC 8588 §4, ATIS-1000074).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Attestation {
    /// Knows the caller, and that the number is the caller's.
    A,
    /// Knows the caller, not whose number it is.
    B,
    /// Knows only where the call came in.
    C,
}

impl Attestation {
    /// `A`, `B` or `C`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Attestation::A => "A",
            Attestation::B => "B",
            Attestation::C => "C",
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    x5u: String,
    ppt: Option<String>,
}

/// A number or an address, as a claim has it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Party {
    /// Digits of an E.164 number, without `+`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tn: Option<String>,
    /// A URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

impl Party {
    /// True when both are the same, and something.
    pub(super) fn is(&self, other: &Party) -> bool {
        match (&self.tn, &other.tn) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => self.uri.is_some() && self.uri == other.uri,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Destination {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tn: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uri: Vec<String>,
}

impl Destination {
    pub fn holds(&self, party: &Party) -> bool {
        match (&party.tn, &party.uri) {
            (Some(tn), _) => self.tn.contains(tn),
            (None, Some(uri)) => self.uri.contains(uri),
            (None, None) => false,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Priority {
    pub auth: Vec<String>,
}

/// The claims; the fields stand in the order in which RFC 8225 §9 wants them written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attest: Option<Attestation>,
    pub dest: Destination,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub div: Option<Party>,
    pub iat: u64,
    pub orig: Party,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rph: Option<Priority>,
}

/// What a PASSporT is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The caller alone (RFC 8225).
    Plain,
    /// With attestation (RFC 8588).
    Shaken,
    /// A diversion (RFC 8946).
    Diverted,
    /// The priority of the call (RFC 8443).
    Priority,
}

impl Kind {
    fn of(ppt: Option<&str>) -> Option<Kind> {
        match ppt {
            None => Some(Kind::Plain),
            Some("shaken") => Some(Kind::Shaken),
            Some("div") => Some(Kind::Diverted),
            Some("rph") => Some(Kind::Priority),
            Some(_) => None,
        }
    }
}

/// One Identity header that we understand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Presented {
    /// Where the certificate is.
    pub url: String,
    pub(super) kind: Kind,
    /// Absent in compact form, where the request says it.
    pub(super) claims: Option<Claims>,
    /// What was signed, of the full form.
    pub(super) signed: Vec<u8>,
    pub(super) signature: [u8; 64],
}

/// The Identity headers of a request. Extensions that nobody here knows are passed over (RFC 8224 §6.2 step 1); what is broken is said.
pub fn presented<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Presented>, Failure> {
    let mut list = Vec::new();
    for value in values.take(PRESENTED_MAX) {
        list.extend(one(value)?);
    }
    Ok(list)
}

fn one(value: &[u8]) -> Result<Option<Presented>, Failure> {
    let bad = |what: &str| Failure::Invalid(what.to_owned());
    let text = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.len() <= VALUE_BYTES_MAX)
        .ok_or_else(|| bad("the Identity header is too long or not text"))?;
    let (token, parameters) = text.split_once(';').unwrap_or((text, ""));
    let parameters = parameters_of(parameters);
    let parameter = |name: &str| {
        parameters
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    };
    let Some(kind) = Kind::of(parameter("ppt")) else {
        return Ok(None);
    };
    if parameter("alg").is_some_and(|alg| alg != "ES256") {
        return Err(bad("it is signed with an algorithm other than ES256"));
    }
    let info = parameter("info")
        .filter(|info| !info.is_empty())
        .ok_or_else(|| Failure::BadInfo("info is missing".to_owned()))?;
    let mut parts = token.trim().split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad("it has not three parts"));
    };
    let signature: [u8; 64] = URL_SAFE_NO_PAD
        .decode(signature)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| bad("the signature is not one of ES256"))?;
    if header.is_empty() && payload.is_empty() {
        // compact form (RFC 8225 §7); an extension's claims cannot be made up from a request
        if kind != Kind::Plain {
            return Err(bad("an extension in compact form"));
        }
        return Ok(Some(Presented {
            url: info.to_owned(),
            kind,
            claims: None,
            signed: Vec::new(),
            signature,
        }));
    }
    let read = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let head: Header = read(header)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| bad("its header cannot be read"))?;
    let claims: Claims = read(payload)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| bad("its claims cannot be read"))?;
    if head.alg != "ES256" || head.typ != "passport" {
        return Err(bad("it is no PASSporT signed with ES256"));
    }
    if head.ppt.as_deref().map(|ppt| Kind::of(Some(ppt))) != kind_of_header(kind) {
        return Err(bad("header and PASSporT disagree about the extension"));
    }
    if head.x5u != info {
        return Err(Failure::BadInfo(
            "info and x5u name different certificates".to_owned(),
        ));
    }
    if claims.dest.tn.len() + claims.dest.uri.len() > DESTINATIONS_MAX {
        return Err(bad("it is for too many destinations"));
    }
    if kind == Kind::Shaken && (claims.attest.is_none() || claims.origid.is_none()) {
        return Err(bad("a SHAKEN PASSporT without attest or origid"));
    }
    if kind == Kind::Diverted && claims.div.is_none() {
        return Err(bad("a diversion without div"));
    }
    Ok(Some(Presented {
        url: head.x5u,
        kind,
        claims: Some(claims),
        signed: format!("{header}.{payload}").into_bytes(),
        signature,
    }))
}

fn kind_of_header(kind: Kind) -> Option<Option<Kind>> {
    match kind {
        Kind::Plain => None,
        other => Some(Some(other)),
    }
}

/// `name=value` pairs; a value may be in angle brackets or quotes.
fn parameters_of(text: &str) -> Vec<(&str, &str)> {
    let mut list = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, tail) = if let Some(inner) = after.strip_prefix('<') {
            inner.split_once('>').unwrap_or((inner, ""))
        } else if let Some(inner) = after.strip_prefix('"') {
            inner.split_once('"').unwrap_or((inner, ""))
        } else {
            let end = after.find(';').unwrap_or(after.len());
            after.split_at(end)
        };
        list.push((name.trim_matches([';', ' ', '\t']), value.trim()));
        rest = tail;
    }
    list
}

/// Header and claims as they are signed: no white space, members in order of their names (RFC 8225 §9).
pub(super) fn text(kind: Kind, x5u: &str, claims: &Claims) -> String {
    #[derive(Serialize)]
    struct Written<'a> {
        alg: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        ppt: Option<&'a str>,
        typ: &'a str,
        x5u: &'a str,
    }
    let header = Written {
        alg: "ES256",
        ppt: match kind {
            Kind::Plain => None,
            Kind::Shaken => Some("shaken"),
            Kind::Diverted => Some("div"),
            Kind::Priority => Some("rph"),
        },
        typ: "passport",
        x5u,
    };
    let part = |value: serde_json::Result<Vec<u8>>| {
        URL_SAFE_NO_PAD.encode(value.expect("strings and numbers are JSON"))
    };
    format!(
        "{}.{}",
        part(serde_json::to_vec(&header)),
        part(serde_json::to_vec(claims))
    )
}

/// A user part as a claim has it (RFC 8224 §8.3): the digits of an international number, else nothing.
pub fn canonical(user: &str) -> Option<String> {
    let digits: String = user
        .chars()
        .filter(|c| !matches!(c, '+' | '-' | '.' | '(' | ')' | ' '))
        .collect();
    let fine = (5..=15).contains(&digits.len())
        && user.starts_with('+')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    fine.then_some(digits)
}
