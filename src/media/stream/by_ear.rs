//! Keys of a peer that agreed to no telephone-events: its network sends them as sound, if at all, so they are listened for while this
//! server is the one who is spoken to.

use super::Stream;
use crate::base::Duration;
use crate::media::codec::Codec;
use crate::media::command::MediaEvent;
use crate::media::hearing::{Heard, Hearing};
use crate::media::plan::MediaPlan;
use crate::media::signal::{HeardKey, KeyListener};
use crate::rtp::Header;

/// The rate at which keys are listened for.
const RATE_HZ: u32 = 8_000;
/// Silence that is listened to of a pause: enough to end a key.
const PAUSE_MS_MAX: u32 = 100;

/// Hears keys in one stream.
#[derive(Debug, Default)]
pub(super) struct ByEar {
    hearing: Hearing,
    listener: KeyListener,
    samples: Vec<i16>,
    keys: Vec<HeardKey>,
}

impl ByEar {
    /// For a peer that cannot tell its keys otherwise.
    pub fn for_plan(plan: &MediaPlan) -> Option<Box<ByEar>> {
        let told = plan
            .receive
            .iter()
            .any(|payload| payload.codec == Codec::TelephoneEvent);
        (!told).then(Box::default)
    }
}

impl Stream {
    /// A packet of a peer that talks to this server.
    pub(super) fn listen_for_keys(
        &mut self,
        header: &Header,
        packet: &[u8],
        out: &mut Vec<MediaEvent>,
    ) {
        let (Some(ear), Some(plan)) = (&mut self.by_ear, &self.plan) else {
            return;
        };
        let known = plan
            .receive
            .iter()
            .find(|payload| payload.number == header.payload_number);
        // wide band has no keys of telephones in it
        let Some(known) = known.filter(|known| {
            let coder = known.codec.coder();
            coder.is_some_and(|coder| coder.rate_for(RATE_HZ) == RATE_HZ)
        }) else {
            return;
        };
        ear.samples.clear();
        let payload = header.payload(packet);
        match ear
            .hearing
            .hear(header, payload, known, RATE_HZ, &mut ear.samples)
        {
            Heard::Samples | Heard::Nothing => {}
            Heard::AfterPause(ms) => {
                let silence = ms.min(PAUSE_MS_MAX) * RATE_HZ / 1_000;
                ear.listener.hear(&vec![0; silence as usize], &mut ear.keys);
            }
        }
        ear.listener.hear(&ear.samples, &mut ear.keys);
        for key in ear.keys.drain(..) {
            out.push(MediaEvent::Digit {
                stream: self.id,
                digit: key.digit,
                duration: Duration::from_millis(u64::from(key.duration_ms)),
            });
        }
    }
}
