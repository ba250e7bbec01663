//! Our descriptions towards a leg: offers and answers under a version that rises exactly when the text changes (RFC 3264 §8).

use bytes::Bytes;

use super::calls::{Calls, Ctx};
use super::leg::{Audio, Leg};
use crate::base::Key;
use crate::media::{self, LocalMedia, MediaPlan, MediaRefusal, Payload};
use crate::sdp::{Direction, SdpOffer};
use crate::sip::StatusCode;

impl Calls {
    /// Writes our offer with these payloads and this direction. The leg gets its stream and port if it has none.
    pub(super) fn write_offer(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        payloads: Vec<Payload>,
        direction: Direction,
    ) -> Result<Bytes, StatusCode> {
        self.open_audio(ctx, key, payloads, direction)?;
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let leg = self.legs.get_mut(key).ok_or(gone)?;
        issue(&mut leg.audio, |local| Ok((media::offer(local), ())))
            .map(|(body, ())| body)
            .map_err(|_| gone)
    }

    /// Writes our answer to `offer`. Where it has none of `payloads` but another codec that we speak, that one is answered, and speech is
    /// transcoded. One that cannot be answered leaves the leg's own description as it was.
    pub(super) fn write_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        offer: &SdpOffer,
        payloads: Vec<Payload>,
        direction: Direction,
    ) -> Result<(Bytes, MediaPlan), StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let before = self.legs.get(key).ok_or(gone)?.audio.local.clone();
        let understood = payloads
            .iter()
            .any(|payload| payload.codec.coder().is_some());
        self.open_audio(ctx, key, payloads, direction)?;
        let flow = self.legs.get(key).ok_or(gone)?.flow;
        let ours = understood.then(|| self.our_codecs(&flow, false));
        let leg = self.legs.get_mut(key).ok_or(gone)?;
        let mut written = issue(&mut leg.audio, |local| media::answer(offer, local));
        if let (Err(MediaRefusal::NoCommonCodec), Some(mut ours), Some(local)) =
            (&written, ours, leg.audio.local.as_mut())
        {
            ours.retain(|p| p.codec.coder().is_some() || !p.codec.is_speech());
            local.payloads = ours;
            written = issue(&mut leg.audio, |local| media::answer(offer, local));
        }
        written.map_err(|refusal| {
            if before.is_some() {
                leg.audio.local = before;
            }
            StatusCode::new(refusal.status()).expect("a status")
        })
    }
}

/// Writes a description with the version of the last one that left; if the text differs from that one, again with the next.
pub(super) fn issue<T>(
    audio: &mut Audio,
    write: impl Fn(&LocalMedia) -> Result<(Bytes, T), MediaRefusal>,
) -> Result<(Bytes, T), MediaRefusal> {
    let local = audio.local.as_mut().ok_or(MediaRefusal::NoAudio)?;
    if let Some((_, version)) = &audio.issued {
        local.version = *version;
    }
    let (mut body, mut rest) = write(local)?;
    if let Some((last, version)) = &audio.issued
        && *last != body
    {
        local.version = version + 1;
        (body, rest) = write(local)?;
    }
    audio.issued = Some((body.clone(), local.version));
    Ok((body, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Codec;

    fn audio() -> Audio {
        Audio {
            local: Some(LocalMedia {
                address: [192, 0, 2, 1].into(),
                port: 20_000,
                session_id: 7,
                version: 1,
                payloads: Payload::of_name(Codec::Pcma.name(), 8)
                    .into_iter()
                    .collect(),
                direction: Direction::SendRecv,
                srtp: None,
            }),
            ..Audio::default()
        }
    }

    fn offer(audio: &mut Audio, direction: Direction) -> String {
        audio.local.as_mut().expect("a description").direction = direction;
        let (body, ()) = issue(audio, |local| Ok((media::offer(local), ()))).expect("an offer");
        let text = String::from_utf8(body.to_vec()).expect("text");
        text.lines().nth(1).expect("a line").to_owned()
    }

    #[test]
    fn version_rises_by_one_when_the_description_changes_and_only_then() {
        let mut audio = audio();
        let lines: Vec<String> = [
            Direction::SendRecv,
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::SendOnly,
            Direction::SendRecv,
        ]
        .into_iter()
        .map(|direction| offer(&mut audio, direction))
        .collect();
        let line = |version: u32| format!("o=- 7 {version} IN IP4 192.0.2.1");
        assert_eq!(lines, [1, 1, 2, 2, 3].map(line));
    }

    #[test]
    fn version_of_a_refused_offer_is_not_used_again() {
        let mut audio = audio();
        offer(&mut audio, Direction::SendRecv);
        let before = audio.local.clone();
        offer(&mut audio, Direction::Inactive);
        audio.local = before;
        assert!(offer(&mut audio, Direction::SendRecv).contains(" 7 3 "));
    }
}
