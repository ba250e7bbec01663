//! Offer and answer for one audio stream (RFC 3264).
#![deny(clippy::indexing_slicing)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::codec::{Codec, Payload};
use super::plan::{LocalMedia, LocalSrtp, MediaPlan, SrtpPolicy};
use super::srtp::SrtpPlan;
use crate::sdp::{Connection, Crypto, Direction, Media, SdpAnswer, SdpOffer, Session, Writer};

/// Why there is no audio between the two. All become 488 Not Acceptable Here towards an offerer; towards an answerer ACK, BYE.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MediaRefusal {
    /// No audio stream is offered or answered.
    #[error("no audio stream")]
    NoAudio,
    /// The answerer refused our audio stream (port 0, RFC 3264 §6).
    #[error("the audio stream was rejected")]
    Rejected,
    /// Only profiles that we do not speak here, as UDP/TLS/RTP/SAVPF, or RTP/SAVP where SRTP is off; never answered in the clear.
    #[error("unsupported profile")]
    UnsupportedProfile,
    /// SRTP is wanted, and there is no key that we can use.
    #[error("no usable SRTP key")]
    NoKey,
    /// SRTP is required here, and the peer speaks plain RTP only.
    #[error("the peer does not speak SRTP, which is required")]
    NotProtected,
    /// No codec in common; `telephone-event` alone is no call.
    #[error("no common codec")]
    NoCommonCodec,
    /// The address is missing, a name, multicast or of another family than ours.
    #[error("unusable media address")]
    BadAddress,
}

impl MediaRefusal {
    /// Status code to refuse an offer with.
    pub const fn status(self) -> u16 {
        488
    }

    /// Code of the `Warning` header that says why (RFC 3261 §20.43).
    pub const fn warning(self) -> u16 {
        match self {
            MediaRefusal::NoAudio | MediaRefusal::Rejected => 304,
            MediaRefusal::UnsupportedProfile | MediaRefusal::NoKey | MediaRefusal::NotProtected => {
                302
            }
            MediaRefusal::NoCommonCodec => 305,
            MediaRefusal::BadAddress => 300,
        }
    }
}

/// Writes our offer: one audio stream with the payloads, direction and address of `local`.
pub fn offer(local: &LocalMedia) -> Bytes {
    let writer = Writer::new(local.session_id, local.version, local.address);
    let srtp = local.srtp.as_ref();
    let profile = match srtp {
        Some(srtp) if srtp.savp || srtp.required => "RTP/SAVP",
        Some(_) | None => "RTP/AVP",
    };
    let mut writer = audio(
        writer,
        profile,
        local.port,
        &local.payloads,
        local.direction,
        20,
    );
    for line in srtp.map(|srtp| &srtp.lines[..]).unwrap_or_default() {
        writer = writer.attribute("crypto", &line.value());
    }
    writer.finish()
}

/// Answers an offer with the codecs of `local`, in its order, under the offerer's payload numbers. The first audio stream that we
/// can speak is taken; all other media lines are answered with port 0.
pub fn answer(offer: &SdpOffer, local: &LocalMedia) -> Result<(Bytes, MediaPlan), MediaRefusal> {
    let session = offer.session();
    let (index, protection) = choose(session, local.srtp.as_ref())?;
    let media = session.media_at(index).ok_or(MediaRefusal::NoAudio)?;
    let target = target(&media, local.address)?;
    let payloads = common(&payloads_in(&media), &local.payloads);
    if !payloads.iter().any(|payload| payload.codec.is_speech()) {
        return Err(MediaRefusal::NoCommonCodec);
    }
    let offered = if target.is_some() {
        media.direction()
    } else {
        // hold in the dialect of RFC 2543: nobody may send to 0.0.0.0
        media.direction().and(Direction::SendOnly)
    };
    let direction = local.direction.and(offered.reversed());
    let (ours, srtp) = protection.unzip();
    let plan = MediaPlan {
        srtp,
        ..plan(
            &media,
            target,
            payloads.clone(),
            payloads,
            direction,
            !offered.receives(),
        )
    };
    let mut writer = Writer::new(local.session_id, local.version, local.address);
    for (place, other) in session.media().enumerate() {
        let profile = text(other.profile());
        writer = if place == index {
            let writer = audio(
                writer,
                profile,
                local.port,
                &plan.payloads,
                direction,
                plan.ptime_ms,
            );
            match &ours {
                Some(line) => writer.attribute("crypto", &line.value()),
                None => writer,
            }
        } else {
            writer.media(text(other.kind()), 0, profile, other.formats().map(text))
        };
    }
    Ok((writer.finish(), plan))
}

/// Reads the answer to our offer `local`.
pub fn accept(local: &LocalMedia, answer: &SdpAnswer) -> Result<MediaPlan, MediaRefusal> {
    // our offers have one stream, so the answer to it is the first
    let media = answer.session().media_at(0).ok_or(MediaRefusal::NoAudio)?;
    if !media.kind().eq_ignore_ascii_case(b"audio") {
        return Err(MediaRefusal::NoAudio);
    }
    if media.port() == 0 {
        return Err(MediaRefusal::Rejected);
    }
    let srtp = answered_protection(&media, local.srtp.as_ref())?;
    let target = target(&media, local.address)?;
    // the peer's numbers are what it wants to receive; ours are what it will send (RFC 3264 §5.1). The peer's order decides.
    let mut payloads = Vec::new();
    let mut receive: Vec<Payload> = Vec::new();
    for theirs in payloads_in(&media) {
        let ours = local
            .payloads
            .iter()
            .find(|ours| ours.same_format(&theirs) && same_mode(ours, &theirs));
        if let Some(ours) = ours
            && !payloads
                .iter()
                .any(|known: &Payload| known.same_format(ours))
        {
            receive.push(ours.clone());
            payloads.push(theirs);
        }
    }
    // peers that answer with other numbers often send with those too
    for theirs in &payloads {
        let taken = local
            .payloads
            .iter()
            .chain(&receive)
            .any(|known| known.number == theirs.number);
        if !taken {
            receive.push(theirs.clone());
        }
    }
    if !payloads.iter().any(|payload| payload.codec.is_speech()) {
        return Err(MediaRefusal::NoCommonCodec);
    }
    let answered = if target.is_some() {
        media.direction()
    } else {
        media.direction().and(Direction::SendOnly)
    };
    let direction = local.direction.and(answered.reversed());
    let remote_hold = local.direction.sends() && !answered.receives();
    Ok(MediaPlan {
        srtp,
        ..plan(&media, target, payloads, receive, direction, remote_hold)
    })
}

/// What the peer offers for audio, in its order, from the stream that [`answer`] would probably take; empty when there is none.
pub fn payloads_of(offer: &Session) -> Vec<Payload> {
    audio_streams(offer)
        .find(|(_, media)| Profile::of(media).is_some())
        .map(|(_, media)| payloads_in(&media))
        .unwrap_or_default()
}

/// What to offer to one party for another: what that one has, in its order, then those of `ours` that speech can be transcoded to, under
/// numbers that are free. Who answers in the offer's order (RFC 3264 §6.1) then takes what needs no transcoding, if it can. Where the
/// other has nothing that we understand, there is nothing to transcode.
pub fn widen(theirs: Vec<Payload>, ours: &[Payload]) -> Vec<Payload> {
    let mut list = theirs;
    if !list.iter().any(|payload| payload.codec.coder().is_some()) {
        return list;
    }
    for our in ours.iter().filter(|our| our.codec.coder().is_some()) {
        if list.iter().any(|known| known.same_format(our)) {
            continue;
        }
        let taken = |number: u8| list.iter().any(|known| known.number == number);
        let number = if taken(our.number) {
            (96..=127).find(|number| !taken(*number))
        } else {
            Some(our.number)
        };
        if let Some(number) = number {
            list.push(Payload {
                number,
                ..our.clone()
            });
        }
    }
    list
}

/// Whether an offer has audio that may be answered at all under `policy`: said at once, before anybody's phone rings for it.
pub fn judge(offer: &Session, policy: SrtpPolicy) -> Result<(), MediaRefusal> {
    let mut refusal = MediaRefusal::NoAudio;
    for (_, media) in audio_streams(offer) {
        let keyed = || crypto_lines(&media).next().is_some();
        refusal = match (Profile::of(&media), policy) {
            (Some(Profile::Plain), SrtpPolicy::Off | SrtpPolicy::Optional) => return Ok(()),
            (Some(_), SrtpPolicy::Optional | SrtpPolicy::Required) if keyed() => return Ok(()),
            (Some(Profile::Plain), SrtpPolicy::Required) => MediaRefusal::NotProtected,
            (Some(Profile::Secure), SrtpPolicy::Optional | SrtpPolicy::Required) => {
                MediaRefusal::NoKey
            }
            (Some(Profile::Secure), SrtpPolicy::Off) | (None, _) => {
                MediaRefusal::UnsupportedProfile
            }
        };
    }
    Err(refusal)
}

/// The audio streams that are wanted, with their places.
fn audio_streams(session: &Session) -> impl Iterator<Item = (usize, Media<'_>)> {
    session
        .media()
        .enumerate()
        .filter(|(_, media)| media.kind().eq_ignore_ascii_case(b"audio") && media.port() != 0)
}

/// The profile of a media line. AVPF and SAVPF (RFC 4585, RFC 5124) are the others with quicker RTCP, which a relay passes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    Plain,
    Secure,
}

impl Profile {
    fn of(media: &Media<'_>) -> Option<Profile> {
        let profile = media.profile();
        let is = |name: &[u8]| profile.eq_ignore_ascii_case(name);
        if is(b"RTP/AVP") || is(b"RTP/AVPF") {
            Some(Profile::Plain)
        } else if is(b"RTP/SAVP") || is(b"RTP/SAVPF") {
            Some(Profile::Secure)
        } else {
            None
        }
    }
}

/// Most `a=crypto` lines of a media section that are looked at: browsers and phones write up to nine.
const CRYPTO_LINES_MAX: usize = 32;

fn crypto_lines(media: &Media<'_>) -> impl Iterator<Item = Crypto> {
    media
        .attributes("crypto")
        .take(CRYPTO_LINES_MAX)
        .filter_map(Crypto::parse)
}

/// The line to answer with, and what it means; the offerer's order decides (RFC 4568 §5.1.2).
fn protect(media: &Media<'_>, local: Option<&LocalSrtp>) -> Option<(Crypto, SrtpPlan)> {
    let local = local?;
    crypto_lines(media).find_map(|theirs| {
        let ours = local.lines.iter().find(|ours| ours.suite == theirs.suite)?;
        let line = Crypto {
            tag: theirs.tag,
            ..ours.clone()
        };
        let plan = SrtpPlan {
            suite: theirs.suite,
            send: ours.key.clone(),
            receive: theirs.key,
            savp: Profile::of(media) == Some(Profile::Secure),
        };
        Some((line, plan))
    })
}

type Protection = Option<(Crypto, SrtpPlan)>;

/// The stream to answer: the first that is protected in a way that we can speak, else the first plain one, where plain ones are let in.
fn choose(
    session: &Session,
    local: Option<&LocalSrtp>,
) -> Result<(usize, Protection), MediaRefusal> {
    let mut refusal = MediaRefusal::NoAudio;
    let mut plain = None;
    for (index, media) in audio_streams(session) {
        match (Profile::of(&media), protect(&media, local)) {
            (Some(_), Some(protection)) => return Ok((index, Some(protection))),
            (Some(Profile::Plain), None) if local.is_none_or(|local| !local.required) => {
                plain = plain.or(Some(index));
            }
            (Some(Profile::Plain), None) => refusal = MediaRefusal::NotProtected,
            (Some(Profile::Secure), None) if local.is_some() => refusal = MediaRefusal::NoKey,
            (Some(Profile::Secure) | None, _) => refusal = MediaRefusal::UnsupportedProfile,
        }
    }
    plain.map(|index| (index, None)).ok_or(refusal)
}

/// What an answer to our offer says of protection. A secure profile without a key that answers one of our lines is no answer: there is
/// no other way to hear the peer (it may mean DTLS, RFC 5763, which was not offered).
fn answered_protection(
    media: &Media<'_>,
    local: Option<&LocalSrtp>,
) -> Result<Option<SrtpPlan>, MediaRefusal> {
    let profile = Profile::of(media).ok_or(MediaRefusal::UnsupportedProfile)?;
    let savp = profile == Profile::Secure;
    let Some(local) = local else {
        return if savp {
            Err(MediaRefusal::UnsupportedProfile)
        } else {
            Ok(None)
        };
    };
    let agreed = crypto_lines(media).find_map(|theirs| {
        let ours = local
            .lines
            .iter()
            .find(|ours| ours.suite == theirs.suite && ours.tag == theirs.tag)?;
        Some(SrtpPlan {
            suite: theirs.suite,
            send: ours.key.clone(),
            receive: theirs.key,
            savp,
        })
    });
    match agreed {
        Some(plan) => Ok(Some(plan)),
        None if savp => Err(MediaRefusal::NoKey),
        None if local.required || local.savp => Err(MediaRefusal::NotProtected),
        None => Ok(None),
    }
}

/// Where the peer wants RTP; `None` is hold by a zero address.
fn target(media: &Media<'_>, ours: IpAddr) -> Result<Option<SocketAddr>, MediaRefusal> {
    match media.connection() {
        Some(Connection::Address(ip)) if ip.is_unspecified() => Ok(None),
        Some(Connection::Address(ip)) if !ip.is_multicast() && ip.is_ipv4() == ours.is_ipv4() => {
            Ok(Some(SocketAddr::new(ip, media.port())))
        }
        Some(Connection::Address(_) | Connection::Name(_)) | None => Err(MediaRefusal::BadAddress),
    }
}

/// All payloads of a media line that have a meaning, each number once.
fn payloads_in(media: &Media<'_>) -> Vec<Payload> {
    let mut payloads: Vec<Payload> = Vec::new();
    for number in media.payload_numbers() {
        if payloads.iter().any(|known| known.number == number) {
            continue;
        }
        let payload = match media.rtpmap(number) {
            Some(map) => Some(Payload {
                number,
                codec: Codec::of(map.name, map.channels),
                clock_hz: map.clock_hz,
                fmtp: None,
            }),
            None => Payload::of_static(number),
        };
        if let Some(payload) = payload {
            payloads.push(Payload {
                fmtp: media.fmtp(number).map(Arc::from),
                ..payload
            });
        }
    }
    payloads
}

/// Formats of both sides in the order of `ours`, with the numbers of `theirs`.
fn common(theirs: &[Payload], ours: &[Payload]) -> Vec<Payload> {
    let mut agreed: Vec<Payload> = Vec::new();
    for our in ours {
        let Some(their) = theirs
            .iter()
            .find(|their| their.same_format(our) && same_mode(their, our))
        else {
            continue;
        };
        if agreed.iter().any(|known| known.number == their.number) {
            continue;
        }
        // parameters say what their writer can receive (RFC 3264 §6.1): in our answer they are ours
        agreed.push(Payload {
            number: their.number,
            fmtp: our.fmtp.clone().or_else(|| echoed_fmtp(their)),
            ..our.clone()
        });
    }
    agreed
}

/// iLBC's frame length must be the same on both sides (RFC 3952 §5), so it is repeated; other parameters are the writer's own.
fn echoed_fmtp(their: &Payload) -> Option<Arc<str>> {
    match their.codec {
        Codec::Ilbc => their.fmtp.clone(),
        Codec::TelephoneEvent => Some(Arc::from("0-15")),
        Codec::Pcmu
        | Codec::Pcma
        | Codec::G722
        | Codec::G729
        | Codec::Gsm
        | Codec::Opus
        | Codec::ComfortNoise
        | Codec::Other(..) => None,
    }
}

/// Formats that have one name for two bit streams: octet-aligned AMR and bandwidth-efficient AMR cannot be relayed to each other.
fn same_mode(a: &Payload, b: &Payload) -> bool {
    let Codec::Other(name, _) = &a.codec else {
        return true;
    };
    if !matches!(name.as_ref(), "amr" | "amr-wb") {
        return true;
    }
    let aligned = |payload: &Payload| {
        payload.fmtp.as_deref().is_some_and(|fmtp| {
            fmtp.split(';')
                .any(|part| part.trim().eq_ignore_ascii_case("octet-align=1"))
        })
    };
    aligned(a) == aligned(b)
}

fn plan(
    media: &Media<'_>,
    remote_rtp: Option<SocketAddr>,
    payloads: Vec<Payload>,
    receive: Vec<Payload>,
    direction: Direction,
    remote_hold: bool,
) -> MediaPlan {
    let remote_rtcp = remote_rtp.and_then(|rtp| match media.rtcp() {
        Some(rtcp) => Some(SocketAddr::new(
            rtcp.address
                .filter(|ip| ip.is_ipv4() == rtp.is_ipv4() && !ip.is_multicast())
                .unwrap_or(rtp.ip()),
            rtcp.port,
        )),
        None => Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)),
    });
    let clock = payloads
        .iter()
        .find(|payload| payload.codec.is_speech())
        .map_or(8_000, |payload| payload.clock_hz);
    let events = |clock_hz: Option<u32>| {
        payloads.iter().find(|payload| {
            payload.codec == Codec::TelephoneEvent
                && clock_hz.is_none_or(|clock_hz| payload.clock_hz == clock_hz)
        })
    };
    // events share the clock of the audio that they interrupt (RFC 4733 §2.1), where both were agreed
    let telephone_event = events(Some(clock))
        .or_else(|| events(None))
        .map(|payload| payload.number);
    MediaPlan {
        remote_rtp,
        remote_rtcp,
        payloads,
        receive,
        telephone_event,
        ptime_ms: media
            .ptime_ms()
            .filter(|ms| (10..=60).contains(ms))
            .map_or(20, |ms| ms as u8),
        direction,
        remote_hold,
        srtp: None,
    }
}

fn audio(
    writer: Writer,
    profile: &str,
    port: u16,
    payloads: &[Payload],
    direction: Direction,
    ptime_ms: u8,
) -> Writer {
    let numbers: Vec<String> = payloads
        .iter()
        .map(|payload| payload.number.to_string())
        .collect();
    let mut writer = writer.media("audio", port, profile, numbers.iter().map(String::as_str));
    for payload in payloads {
        writer = writer.rtpmap(
            payload.number,
            payload.codec.name(),
            payload.clock_hz,
            payload.codec.channels(),
        );
        if let Some(fmtp) = &payload.fmtp {
            writer = writer.fmtp(payload.number, fmtp);
        }
    }
    writer
        .attribute("ptime", &ptime_ms.to_string())
        .direction(direction)
}

/// Words of a media line are printable ASCII, `Session::parse` saw to that.
fn text(word: &[u8]) -> &str {
    std::str::from_utf8(word).unwrap_or_default()
}

#[cfg(test)]
mod tests;
