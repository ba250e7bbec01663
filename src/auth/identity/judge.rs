//! The verification service (RFC 8224 §6.2): is the caller who it claims to be, now, to this number, by somebody who may say so?
#![deny(clippy::indexing_slicing)]

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::certificate::{Anchors, Chain, Distrust};
use super::passport::{self, Attestation, Claims, Destination, Kind, Party, Presented};
use crate::base::Duration;

/// How old, and how far in the future, a PASSporT may be (RFC 8224 §6.2 step 4).
const FRESH: u64 = 60;
/// Diversions that are followed.
const DIVERSIONS_MAX: usize = 8;

/// What the request itself says.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The caller: of P-Asserted-Identity where that is believed, else of From.
    pub caller: Party,
    /// The called: of To, and of the Request-URI.
    pub called: Vec<Party>,
    /// Seconds since 1970 in the Date header.
    pub date: Option<u64>,
    /// Values of Resource-Priority.
    pub priorities: Vec<String>,
}

/// Why a caller is not proved, with what RFC 8224 §6.2.2 answers to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Nothing was presented.
    Missing,
    /// Too old, or of the future.
    Stale,
    /// The certificate could not be had.
    BadInfo(String),
    /// The certificate is not trusted, or speaks for other numbers.
    Credential(String),
    /// The PASSporT is broken, or about another call.
    Invalid(String),
}

impl Failure {
    /// Status and reason phrase of a refusal.
    pub fn status(&self) -> (u16, &'static str) {
        match self {
            Failure::Missing => (428, "Use Identity Header"),
            Failure::Stale => (403, "Stale Date"),
            Failure::BadInfo(_) => (436, "Bad Identity Info"),
            Failure::Credential(_) => (437, "Unsupported Credential"),
            Failure::Invalid(_) => (438, "Invalid Identity Header"),
        }
    }

    /// For operators.
    pub fn why(&self) -> String {
        match self {
            Failure::Missing => "no Identity header".to_owned(),
            Failure::Stale => "its time is not now".to_owned(),
            Failure::BadInfo(why) | Failure::Credential(why) | Failure::Invalid(why) => why.clone(),
        }
    }
}

/// The outcome in one word (3GPP TS 24.229 §7.2A.20).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verstat {
    /// The caller is proved.
    Passed,
    /// What was presented does not prove it.
    Failed,
    /// Nothing was presented.
    None,
}

impl Verstat {
    /// `TN-Validation-Passed`, `TN-Validation-Failed` or `No-TN-Validation`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verstat::Passed => "TN-Validation-Passed",
            Verstat::Failed => "TN-Validation-Failed",
            Verstat::None => "No-TN-Validation",
        }
    }
}

impl Serialize for Verstat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// In one word.
    pub verstat: Verstat,
    /// What the signer attests, of a caller who is proved.
    pub attestation: Option<Attestation>,
    /// The signer's name for where the call began.
    pub origin: Option<String>,
    /// Why not.
    pub failure: Option<Failure>,
    /// True when all priorities of the call are signed for; false when it has some that are not; absent when it has none.
    pub priority: Option<bool>,
}

impl Verdict {
    /// Nothing was presented, or nothing that counts.
    pub fn of(failure: Failure) -> Verdict {
        Verdict {
            verstat: match failure {
                Failure::Missing => Verstat::None,
                _ => Verstat::Failed,
            },
            attestation: None,
            origin: None,
            failure: Some(failure),
            priority: None,
        }
    }
}

/// Judges what was presented. `chain` gives the certificates of a URL, `now` is the time since 1970.
pub fn judge(
    presented: &[Presented],
    facts: &Facts,
    anchors: &Anchors,
    chain: &dyn Fn(&str) -> Option<Arc<Chain>>,
    now: Duration,
) -> Verdict {
    match proved(presented, facts, anchors, chain, now) {
        Ok(verdict) => verdict,
        Err(failure) => Verdict::of(failure),
    }
}

fn proved(
    presented: &[Presented],
    facts: &Facts,
    anchors: &Anchors,
    chain: &dyn Fn(&str) -> Option<Arc<Chain>>,
    now: Duration,
) -> Result<Verdict, Failure> {
    let caller = presented
        .iter()
        .find(|one| matches!(one.kind, Kind::Shaken | Kind::Plain))
        .ok_or(Failure::Missing)?;
    let claims = of(caller, facts)?;
    if !claims.orig.is(&facts.caller) {
        return Err(Failure::Invalid("it is about another caller".to_owned()));
    }
    check(caller, &claims, facts, anchors, chain, now)?;
    reaches(presented, &claims, facts, anchors, chain, now)?;
    Ok(Verdict {
        verstat: Verstat::Passed,
        attestation: claims.attest,
        origin: claims
            .origid
            .map(|origin| origin.chars().take(64).collect()),
        failure: None,
        priority: priority(presented, facts, anchors, chain, now),
    })
}

/// The claims of a full form, or those that a compact form means: what the request says.
fn of(one: &Presented, facts: &Facts) -> Result<Claims, Failure> {
    if let Some(claims) = &one.claims {
        return Ok(claims.clone());
    }
    let iat = facts
        .date
        .ok_or_else(|| Failure::Invalid("a compact form without Date".to_owned()))?;
    let called = facts.called.first().cloned().unwrap_or_default();
    Ok(Claims {
        attest: None,
        dest: Destination {
            tn: called.tn.into_iter().collect(),
            uri: called.uri.into_iter().collect(),
        },
        div: None,
        iat,
        orig: facts.caller.clone(),
        origid: None,
        rph: None,
    })
}

/// Freshness, certificate and signature of one PASSporT.
fn check(
    one: &Presented,
    claims: &Claims,
    facts: &Facts,
    anchors: &Anchors,
    chain: &dyn Fn(&str) -> Option<Arc<Chain>>,
    now: Duration,
) -> Result<(), Failure> {
    let now_secs = now.as_secs();
    if claims.iat.abs_diff(now_secs) > FRESH
        || facts
            .date
            .is_some_and(|date| date.abs_diff(claims.iat) > FRESH)
    {
        return Err(Failure::Stale);
    }
    let certificates = chain(&one.url)
        .ok_or_else(|| Failure::BadInfo(format!("no certificate for {}", short(&one.url))))?;
    let made_up;
    let signed = if one.claims.is_some() {
        &one.signed
    } else {
        made_up = passport::text(one.kind, &one.url, claims).into_bytes();
        &made_up
    };
    certificates
        .verify(anchors, now, signed, &one.signature)
        .map_err(|distrust| match distrust {
            Distrust::Credential(why) => Failure::Credential(why),
            Distrust::Signature => Failure::Invalid("the signature is not right".to_owned()),
        })?;
    // a diversion is signed by who diverted, priority by who may grant it: neither speaks for the caller's number
    let speaker = match one.kind {
        Kind::Plain | Kind::Shaken => &claims.orig,
        Kind::Diverted => claims.div.as_ref().unwrap_or(&claims.orig),
        Kind::Priority => return Ok(()),
    };
    match &speaker.tn {
        Some(number) if !certificates.speaks_for(number) => Err(Failure::Credential(
            "the certificate does not speak for the number".to_owned(),
        )),
        Some(_) => Ok(()),
        // RFC 8226 is about numbers; names need certificates of domains, which nobody signs calls with
        None => Err(Failure::Credential(
            "the caller is no telephone number".to_owned(),
        )),
    }
}

/// Is it for the number that was called? After a diversion, for the one that diverted it here (RFC 8946 §6).
fn reaches(
    presented: &[Presented],
    claims: &Claims,
    facts: &Facts,
    anchors: &Anchors,
    chain: &dyn Fn(&str) -> Option<Arc<Chain>>,
    now: Duration,
) -> Result<(), Failure> {
    let mut dest = claims.dest.clone();
    for _ in 0..DIVERSIONS_MAX {
        if facts.called.iter().any(|called| dest.holds(called)) {
            return Ok(());
        }
        let next = presented.iter().find_map(|one| {
            let diverted = one.claims.as_ref()?;
            let from = diverted.div.as_ref()?;
            (one.kind == Kind::Diverted && dest.holds(from) && diverted.orig.is(&claims.orig))
                .then_some((one, diverted))
        });
        let Some((one, diverted)) = next else {
            break;
        };
        check(one, diverted, facts, anchors, chain, now)?;
        dest = diverted.dest.clone();
    }
    Err(Failure::Invalid("it is for another number".to_owned()))
}

fn priority(
    presented: &[Presented],
    facts: &Facts,
    anchors: &Anchors,
    chain: &dyn Fn(&str) -> Option<Arc<Chain>>,
    now: Duration,
) -> Option<bool> {
    if facts.priorities.is_empty() {
        return None;
    }
    let signed = |wanted: &String| {
        presented
            .iter()
            .filter(|one| one.kind == Kind::Priority)
            .filter_map(|one| Some((one, one.claims.as_ref()?)))
            .any(|(one, claims)| {
                claims.orig.is(&facts.caller)
                    && facts.called.iter().any(|called| claims.dest.holds(called))
                    && claims
                        .rph
                        .as_ref()
                        .is_some_and(|rph| rph.auth.iter().any(|p| p.eq_ignore_ascii_case(wanted)))
                    && check(one, claims, facts, anchors, chain, now).is_ok()
            })
    };
    Some(facts.priorities.iter().all(signed))
}

fn short(url: &str) -> String {
    url.chars().filter(|c| !c.is_control()).take(200).collect()
}
