//! What a codec does with audio: an encoder and a decoder for each stream, behind two small traits.

use super::Payload;

/// Octets of the longest payload that we make: 60 ms of G.711 or G.722 are 480, Opus is held below this.
pub const PAYLOAD_BYTES_MAX: usize = 1_200;
/// Longest audio in one packet that is decoded, as Opus allows (RFC 6716 §3.2.5).
pub const PACKET_MS_MAX: usize = 120;

/// A payload that is not of its codec.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the payload cannot be decoded")]
pub struct Undecodable;

/// Samples to payloads, for one stream in one direction.
pub trait Encoder: Send {
    /// Samples per second that it takes, mono.
    fn rate_hz(&self) -> u32;

    /// Encodes the samples of one packet into `out` and returns the octets written; 0 when they cannot be encoded. `out` has room for
    /// [`PAYLOAD_BYTES_MAX`].
    fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize;

    /// What the peer reports as lost, in percent: a codec with redundancy may add some.
    fn expect_loss(&mut self, _percent: u8) {}
}

/// Payloads to samples, for one stream in one direction.
pub trait Decoder: Send {
    /// Samples per second that it gives, mono.
    fn rate_hz(&self) -> u32;

    /// Appends what the payload holds.
    ///
    /// # Errors
    /// When the payload is not of this codec. Nothing is appended then.
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), Undecodable>;

    /// Appends `samples` in the place of what was lost. `next` is the payload of the packet behind the gap, if it is there already: it may
    /// hold a copy of what is missing. It is decoded by [`Decoder::decode`] afterwards all the same.
    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut Vec<i16>);
}

/// How a codec is spoken here: its part of the row in the table of codecs.
#[derive(Debug)]
pub struct Coder {
    /// Sampling rates that it can take and give, lowest first; the last is its best.
    pub rates_hz: &'static [u32],
    /// Milliseconds of audio that fit one packet, shortest first.
    pub packets_ms: &'static [u8],
    /// An encoder at one of the rates, under the parameters that the peer wrote for the payload.
    pub encoder: fn(u32, &Payload) -> Box<dyn Encoder>,
    /// A decoder at one of the rates.
    pub decoder: fn(u32) -> Box<dyn Decoder>,
}

impl Coder {
    /// The rate to work at where the other side of the matter has `hz`: the lowest that loses nothing, else the best.
    pub fn rate_for(&self, hz: u32) -> u32 {
        let fitting = self.rates_hz.iter().find(|rate| **rate >= hz);
        fitting.copied().unwrap_or_else(|| self.best_hz())
    }

    /// The highest rate.
    pub fn best_hz(&self) -> u32 {
        self.rates_hz.last().copied().unwrap_or(8_000)
    }

    /// Milliseconds for one packet: what is asked for, or the next below, or the shortest.
    pub fn packet_ms_for(&self, asked: u8) -> u8 {
        let fitting = self.packets_ms.iter().rev().find(|ms| **ms <= asked);
        fitting
            .or(self.packets_ms.first())
            .copied()
            .unwrap_or(asked)
    }
}
