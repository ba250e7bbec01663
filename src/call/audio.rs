//! Audio of legs: streams and ports, playback to the caller, and what the workers report.

use std::net::SocketAddr;
use std::sync::Arc;

use super::calls::{Call, CallEvent, CallOutput, Calls, Ctx};
use super::cause::Cause;
use super::leg::Leg;
use crate::base::{Duration, Entropy, Key};
use crate::event::CallFact;
use crate::media::{
    LocalMedia, LocalSrtp, MediaCommand, MediaEvent, MediaPlan, MixPart, Payload, SourcePolicy,
    SrtpPolicy, StreamId,
};
use crate::sdp::{Crypto, CryptoSuite, Direction, MasterKey};
use crate::sip::StatusCode;
use crate::transport::Flow;

/// How long after an offer/answer a source behind NAT may be learned.
const LEARNING: Duration = Duration::from_secs(5);

/// New keys for a leg, one for each suite (RFC 4568 §5.1.1); none where SRTP is off.
fn keys(policy: SrtpPolicy, entropy: &mut Entropy) -> Option<LocalSrtp> {
    let required = match policy {
        SrtpPolicy::Off => return None,
        SrtpPolicy::Optional => false,
        SrtpPolicy::Required => true,
    };
    let lines = CryptoSuite::ALL
        .into_iter()
        .zip(1..)
        .filter_map(|(suite, tag)| {
            let mut bytes = vec![0; suite.key_bytes() + suite.salt_bytes()];
            entropy.fill(&mut bytes);
            let key = MasterKey::new(suite, bytes)?;
            Some(Crypto { tag, suite, key })
        })
        .collect();
    Some(LocalSrtp {
        required,
        savp: required,
        lines,
    })
}

impl Calls {
    /// Gives a leg a stream and a port, if it has none, and returns our description with `payloads`.
    pub(super) fn open_audio(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        payloads: Vec<Payload>,
        direction: Direction,
    ) -> Result<LocalMedia, StatusCode> {
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        let leg = self.legs.get_mut(key).ok_or(busy)?;
        let address = self.network.shown_ip(&leg.flow);
        if leg.audio.stream.is_none() {
            // the call first: a leg that outlives it gets no port, which nobody would give back
            let call = self.calls.get(leg.call).ok_or(busy)?;
            let own = (call.id.0 as u16) % self.workers;
            let worker = call.worker.unwrap_or(own);
            let Some(port) = self.ports.take(ctx.now, worker) else {
                if let Some(line) = self.ports.complaint(ctx.now) {
                    ctx.out.push(CallOutput::Warn(line));
                }
                return Err(busy);
            };
            self.streams = self.streams.wrapping_add(1);
            let stream = StreamId::new(worker, self.streams);
            leg.audio.stream = Some(stream);
            leg.audio.port = port;
            self.by_stream.insert(stream, leg.call);
            let bind = SocketAddr::new(self.network.media_bind(&leg.flow), port);
            ctx.media(MediaCommand::Open {
                stream,
                local: bind,
            });
        }
        let local = match leg.audio.local.take() {
            Some(before) => LocalMedia {
                port: leg.audio.port,
                payloads,
                direction,
                ..before
            },
            None => LocalMedia {
                address,
                port: leg.audio.port,
                session_id: self.entropy.u64() >> 2,
                version: 1,
                payloads,
                direction,
                srtp: self
                    .network
                    .profile(leg.flow.profile)
                    .and_then(|face| keys(face.srtp, &mut self.entropy)),
            },
        };
        leg.audio.local = Some(local.clone());
        Ok(local)
    }

    /// Puts a completed offer/answer into effect.
    pub(super) fn agree(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, plan: MediaPlan) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let Some(stream) = leg.audio.stream else {
            return;
        };
        let source = source_policy(&plan, &leg.flow);
        let held_before = leg.holding;
        leg.holding = plan.remote_hold;
        leg.audio.offer = None;
        if let (Some(srtp), Some(agreed)) = (
            leg.audio
                .local
                .as_mut()
                .and_then(|local| local.srtp.as_mut()),
            &plan.srtp,
        ) {
            // later offers speak the peer's dialect
            srtp.savp = agreed.savp;
        }
        leg.audio.plan = Some(plan.clone());
        let (id, holding, call) = (leg.id, leg.holding, leg.call);
        ctx.media(MediaCommand::Agree {
            stream,
            plan,
            source,
        });
        if holding != held_before
            && let Some(call) = self.calls.get(call)
        {
            let fact = if holding {
                CallFact::Held {
                    call: call.id,
                    leg: id,
                }
            } else {
                CallFact::Resumed {
                    call: call.id,
                    leg: id,
                }
            };
            ctx.fact(fact);
        }
        self.tend_hold(ctx, call);
    }

    /// Closes a leg's stream; its port rests before it is used again.
    pub(super) fn close_audio(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let Some(stream) = leg.audio.stream else {
            return;
        };
        if let Some(call) = self.calls.get_mut(leg.call) {
            if call
                .closing_streams
                .iter()
                .any(|(other, _)| *other == stream)
            {
                return;
            }
            call.closing_streams.push((stream, None));
            if call.a == Some(key) {
                call.playing = false;
            }
        }
        ctx.media(MediaCommand::Close { stream });
        self.ports.give_back(ctx.now, leg.audio.port);
    }

    /// Plays files to the caller, one after the other; `None` when the caller has no audio.
    pub fn play(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Call>,
        files: Vec<Arc<str>>,
        repeat: bool,
    ) -> Option<u32> {
        let call = self.calls.get_mut(key)?;
        let stream = self.legs.get(call.a?)?.audio.stream?;
        call.play = call.play.wrapping_add(1);
        call.playing = true;
        ctx.media(MediaCommand::Play {
            stream,
            play: call.play,
            files,
            repeat,
        });
        Some(call.play)
    }

    /// Stops what plays to the caller.
    pub fn stop(&mut self, ctx: &mut Ctx<'_>, key: Key<Call>) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if !std::mem::take(&mut call.playing) {
            return;
        }
        let stream = call
            .a
            .and_then(|a| self.legs.get(a))
            .and_then(|leg| leg.audio.stream);
        if let Some(stream) = stream {
            ctx.media(MediaCommand::Stop { stream });
        }
    }

    /// Sends the caller's own audio back.
    pub fn echo(&mut self, ctx: &mut Ctx<'_>, key: Key<Call>) {
        let stream = self.caller(key).and_then(|leg| leg.audio.stream);
        if let Some(stream) = stream {
            ctx.media(MediaCommand::Echo { stream });
        }
    }

    /// Takes the caller into a conference. It lives with one media worker, to which the caller's stream moves if need be; the caller
    /// hears of its new port in a re-INVITE. False when the caller has no audio.
    pub fn conference(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Call>,
        conference: u64,
        part: MixPart,
    ) -> bool {
        let Some(call) = self.calls.get_mut(key) else {
            return false;
        };
        let worker = (conference % u64::from(self.workers)) as u16;
        call.worker = Some(worker);
        call.playing = false;
        let Some(a) = call.a else {
            return false;
        };
        let stream = |calls: &Calls| calls.legs.get(a).and_then(|leg| leg.audio.stream);
        let Some(before) = stream(self) else {
            return false;
        };
        let moves = before.worker() != worker;
        if moves {
            self.replace_stream(ctx, a, before);
        }
        let Some(stream) = stream(self) else {
            return false;
        };
        ctx.media(MediaCommand::Mix {
            stream,
            conference,
            part,
        });
        if moves {
            self.refresh(ctx, a);
        }
        true
    }

    fn leg_of_stream(&self, stream: StreamId) -> Option<(Key<Call>, Key<Leg>)> {
        let call_key = self.by_stream.get(&stream).copied()?;
        let call = self.calls.get(call_key)?;
        let leg = call.legs.iter().copied().find(|&leg| {
            self.legs
                .get(leg)
                .is_some_and(|leg| leg.audio.stream == Some(stream))
        })?;
        Some((call_key, leg))
    }

    /// Takes a report of a media worker.
    pub fn on_media(&mut self, ctx: &mut Ctx<'_>, event: MediaEvent) {
        let stream = event.stream();
        if let MediaEvent::Closed { statistics, .. } = &event {
            let Some(key) = self.by_stream.remove(&stream) else {
                return;
            };
            if let Some(call) = self.calls.get_mut(key)
                && let Some(at) = call
                    .closing_streams
                    .iter()
                    .position(|(other, _)| *other == stream)
            {
                let (_, place) = call.closing_streams.swap_remove(at);
                if let Some(record) = place.and_then(|place| call.record.legs.get_mut(place)) {
                    record.packets = (statistics.packets_received, statistics.packets_sent);
                }
            }
            self.close_if_over(ctx, key);
            return;
        }
        let Some((call_key, leg_key)) = self.leg_of_stream(stream) else {
            return;
        };
        let Some(call) = self.calls.get_mut(call_key) else {
            return;
        };
        let is_caller = call.a == Some(leg_key);
        match event {
            MediaEvent::Closed { .. } => {}
            MediaEvent::Latched { .. } => {
                if let Some(leg) = self.legs.get_mut(leg_key) {
                    leg.audio.audible = true;
                }
            }
            MediaEvent::Digit { digit, .. } => {
                if is_caller {
                    ctx.event(CallEvent::Digit {
                        call: call_key,
                        digit,
                    });
                }
            }
            MediaEvent::PlayEnded { play, .. } => {
                if is_caller && play == call.play {
                    call.playing = false;
                    ctx.event(CallEvent::PlayEnded {
                        call: call_key,
                        play,
                    });
                }
            }
            MediaEvent::PlayFailed { play, reason, .. } => {
                ctx.out.push(CallOutput::Warn(format!(
                    "call {}: cannot play: {reason}",
                    call.id
                )));
                if is_caller && play == call.play {
                    call.playing = false;
                    ctx.event(CallEvent::PlayEnded {
                        call: call_key,
                        play,
                    });
                }
            }
            MediaEvent::OneWay {
                since,
                received,
                sent,
                expected_from,
                stray_from,
                ..
            } => {
                let id = call.id;
                let Some(leg) = self.legs.get(leg_key) else {
                    return;
                };
                let expected = expected_from
                    .map_or_else(|| "an unknown address".to_owned(), |addr| addr.to_string());
                let seen = stray_from.map_or_else(
                    || "nothing came".to_owned(),
                    |addr| format!("packets come from {addr} instead"),
                );
                let detail = format!(
                    "one-way audio: nothing heard from {} {} for {:.1} s (received {received}, sent {sent}); expected RTP from {expected}, {seen}",
                    leg.role.as_str(),
                    leg.party.number,
                    since.as_secs_f64(),
                );
                ctx.out
                    .push(CallOutput::Warn(format!("call {id}: {detail}")));
                ctx.fact(CallFact::OneWayAudio {
                    call: id,
                    leg: leg.id,
                    detail,
                });
            }
            MediaEvent::Silent { silence, .. } => {
                // a party that was never heard is named as one-way audio; only one that fell silent is taken for dead
                let fell_silent = self
                    .legs
                    .get(leg_key)
                    .is_some_and(|leg| leg.is_answered() && leg.audio.audible);
                if fell_silent {
                    ctx.out.push(CallOutput::Warn(format!(
                        "call {}: no RTP for {} s, ending it",
                        call.id,
                        silence.as_secs()
                    )));
                    self.lose_leg(ctx, leg_key, Cause::MediaLost);
                }
            }
            MediaEvent::Failed { reason, .. } => {
                ctx.out.push(CallOutput::Warn(format!(
                    "call {}: no audio port: {reason}",
                    call.id
                )));
                self.lose_leg(ctx, leg_key, Cause::Congestion);
            }
        }
    }
}

/// Signalled address only, unless the signalling came from elsewhere than SDP says: then the peer is behind NAT.
fn source_policy(plan: &MediaPlan, flow: &Flow) -> SourcePolicy {
    match plan.remote_rtp {
        Some(rtp) if rtp.ip() == flow.remote.ip() => SourcePolicy::Signalled,
        Some(rtp) if !is_private(rtp.ip()) => SourcePolicy::Signalled,
        _ => SourcePolicy::Learn { window: LEARNING },
    }
}

fn is_private(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => {
            ip.is_private()
                || ip.is_link_local()
                || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
        }
        std::net::IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
