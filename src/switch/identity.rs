//! Signed caller identity at the border to a trunk (RFC 8224): callers that come in are judged, callers that go out are signed for.
//!
//! Identity headers and `verstat` never cross from one leg to the other by themselves: what a side says of its own callers is worth
//! nothing to the other. Only a header that was proved goes on, and only where the trunk's settings say so.

use super::core::Switch;
use super::effect::{Effect, Effects, Level};
use crate::auth::identity::{
    self, Attestation, Facts, Failure, Party, Verdict, Verstat, canonical,
};
use crate::base::{Duration, Key, Now};
use crate::call::{Call, Endpoint};
use crate::config::Trunk;
use crate::config::stir::VerifyPolicy;
use crate::directory;
use crate::sip::{Builder, Message, Name, StatusCode, Uri, split_commas};
use crate::transaction::ServerKey;

/// Identity headers that go on with a call, and the longest.
const PASSED_MAX: usize = 8;
const PASSED_BYTES_MAX: usize = 4096;
/// Resource-Priority values that are looked at.
const PRIORITIES_MAX: usize = 8;

impl Switch {
    /// Judges the caller of an INVITE where its trunk wants that. An error is to be answered with the failure's status.
    pub(super) fn verify_caller(
        &self,
        now: Now,
        request: &Message,
        endpoint: &Endpoint,
    ) -> Result<Option<Verdict>, Failure> {
        let Endpoint::Trunk(name) = endpoint else {
            return Ok(None);
        };
        let Some(trunk) = self.settings.trunk(name) else {
            return Ok(None);
        };
        let Some(stir) = trunk
            .stir
            .as_ref()
            .filter(|stir| stir.verify != VerifyPolicy::Off)
        else {
            return Ok(None);
        };
        let verdict = match identity::presented(request.headers(Name::Identity)) {
            Ok(presented) => identity::judge(
                &presented,
                &facts_of(request, trunk),
                &stir.anchors,
                &|url| stir.chains.get(url).cloned(),
                since_1970(now),
            ),
            Err(failure) => Verdict::of(failure),
        };
        match (&verdict.failure, stir.verify) {
            (Some(failure), VerifyPolicy::Require) => Err(failure.clone()),
            _ => Ok(Some(verdict)),
        }
    }

    /// Answers an INVITE whose caller is not proved, where it must be (RFC 8224 §6.2.2).
    pub(super) fn refuse_caller(
        &mut self,
        now: Now,
        key: ServerKey,
        request: &Message,
        endpoint: &Endpoint,
        failure: &Failure,
        fx: &mut Effects,
    ) {
        let (code, phrase) = failure.status();
        let trunk = match endpoint {
            Endpoint::Trunk(name) => name.as_ref(),
            Endpoint::Extension(_) | Endpoint::Unknown => "?",
        };
        fx.push(Effect::Log {
            level: Level::Info,
            text: format!(
                "trunk {trunk}: a call is refused with {code}: its caller is not proved: {}",
                failure.why().escape_debug()
            ),
        });
        let status = StatusCode::new(code).expect("a status of RFC 8224");
        let tag = self.entropy.token::<8>();
        let response = Builder::response(request, status, phrase)
            .to_tag(&tag)
            .finish();
        self.with_tx(|tx, acts| tx.respond(now, key, response, acts));
    }

    /// Headers that say who calls, for a call to this trunk: those that its caller came with and that were proved, or our signature.
    pub(super) fn identity_headers(
        &self,
        now: Now,
        call: Key<Call>,
        trunk: &Trunk,
        presented: &str,
        dialled: &str,
        own_number: bool,
    ) -> Vec<(Name, String)> {
        let Some(stir) = &trunk.stir else {
            return Vec::new();
        };
        let caller = self.calls.caller(call);
        let proved = self
            .routings
            .get(&call)
            .and_then(|routing| routing.verdict.as_ref())
            .is_some_and(|verdict| verdict.verstat == Verstat::Passed);
        if stir.pass && proved {
            let request = caller.map(|leg| &leg.request);
            return request.map(passed).unwrap_or_default();
        }
        let Some(signer) = &stir.signer else {
            return Vec::new();
        };
        let attestation =
            stir.attestation
                .unwrap_or(match (caller.map(|leg| &leg.endpoint), own_number) {
                    (Some(Endpoint::Extension(_)), true) => Attestation::A,
                    (Some(Endpoint::Extension(_)), false) => Attestation::B,
                    (Some(Endpoint::Trunk(_) | Endpoint::Unknown) | None, _) => Attestation::C,
                });
        let party = |number: &str| Party {
            tn: canonical(number),
            uri: None,
        };
        let origin = self
            .calls
            .call(call)
            .map(|call| uuid(call.id.0))
            .unwrap_or_default();
        signer
            .sign(
                now.wall,
                &party(presented),
                &party(dialled),
                attestation,
                &origin,
            )
            .map(|value| {
                vec![
                    (Name::Date, identity::date(now.wall)),
                    (Name::Identity, value),
                ]
            })
            .unwrap_or_default()
    }
}

/// Identity and Date of a request, as they came.
fn passed(request: &Message) -> Vec<(Name, String)> {
    let fine = |value: &&[u8]| {
        value.len() <= PASSED_BYTES_MAX && value.iter().all(|byte| (0x20..0x7f).contains(byte))
    };
    let of = |name: Name| {
        request
            .headers(name)
            .filter(fine)
            .map(move |value| (name, String::from_utf8_lossy(value).into_owned()))
    };
    of(Name::Date)
        .take(1)
        .chain(of(Name::Identity).take(PASSED_MAX))
        .collect()
}

fn since_1970(now: Now) -> Duration {
    let second = now.wall.timestamp().as_second();
    Duration::from_secs(u64::try_from(second).unwrap_or(0))
}

fn facts_of(request: &Message, trunk: &Trunk) -> Facts {
    let party = |uri: &Uri<'_>| {
        let number = directory::dialled(uri).map(|number| trunk.number_format.inward(&number));
        Party {
            tn: number.as_deref().and_then(canonical),
            uri: Some(String::from_utf8_lossy(uri.raw).into_owned()),
        }
    };
    // the carrier's own word on who calls stands before the caller's (ATIS-1000074 §5.2.1)
    let asserted = request
        .addresses(Name::PAssertedIdentity)
        .flatten()
        .map(|address| party(&address.uri))
        .find(|party| party.tn.is_some());
    let mut called = vec![party(&request.to().uri)];
    called.extend(request.uri().ok().map(|uri| party(&uri)));
    Facts {
        caller: asserted.unwrap_or_else(|| party(&request.from().uri)),
        called,
        date: request.header(Name::Date).and_then(seconds),
        priorities: request
            .headers(Name::ResourcePriority)
            .flat_map(split_commas)
            .take(PRIORITIES_MAX)
            .map(|value| String::from_utf8_lossy(value.trim_ascii()).into_owned())
            .collect(),
    }
}

/// A Date header in seconds since 1970 (RFC 3261 §20.17).
fn seconds(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(at.timestamp().as_second()).ok()
}

/// Our name for where a call began, which tells nobody anything but us (ATIS-1000074 §5.2.4).
fn uuid(id: u128) -> String {
    let hex = format!("{id:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_header_is_read_and_what_is_none_is_not() {
        assert_eq!(
            seconds(b"Thu, 01 Jan 2026 00:00:00 GMT"),
            Some(1_767_225_600)
        );
        for bad in [&b""[..], b"now", b"\xff", b"Thu, 01 Jan 1900 00:00:00 GMT"] {
            assert_eq!(seconds(bad), None);
        }
    }

    #[test]
    fn the_origin_of_a_call_looks_like_a_uuid() {
        assert_eq!(
            uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            "01234567-89ab-cdef-0123-456789abcdef"
        );
    }
}
