//! What the switch tells the media workers, and what they report.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::plan::MediaPlan;
use crate::base::Duration;

/// One RTP stream (one leg's audio): the worker that owns it in the high 16 bits, a serial below.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct StreamId(pub u64);

impl StreamId {
    /// Stream `serial` (its low 48 bits count) of worker `worker`.
    pub const fn new(worker: u16, serial: u64) -> StreamId {
        StreamId(((worker as u64) << 48) | (serial & 0xffff_ffff_ffff))
    }

    /// The worker that owns the stream. Streams that are ever joined must have the same.
    pub const fn worker(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The number within the worker.
    pub const fn serial(self) -> u64 {
        self.0 & 0xffff_ffff_ffff
    }
}

/// From where packets of a stream are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SourcePolicy {
    /// Only from the address in the peer's description. Nothing else is ever let in.
    Signalled,
    /// The peer is behind a NAT: the first valid source within `window` of the `Agree` is locked. A packet from the signalled
    /// address, or from the source that was locked before, wins over a stranger. After the window only those two are taken.
    Learn {
        /// How long after `Agree` a source may be learned. 5–10 s is usual: guess.
        window: Duration,
    },
}

/// Who hears a member of a conference.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub enum MixAudience {
    /// Everybody: who talks along, and a supervisor who barges in.
    #[default]
    All,
    /// Nobody: a supervisor who listens.
    Nobody,
    /// One other member: a supervisor who whispers to its agent. Nobody while that one is not there.
    Only(StreamId),
}

/// What a member of a conference may.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct MixPart {
    /// Who hears it.
    pub heard_by: MixAudience,
    /// It is not heard for the moment.
    pub muted: bool,
    /// It hears nothing.
    pub deaf: bool,
}

/// An order to the worker that owns the stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MediaCommand {
    /// Binds the sockets: RTP at `local`, RTCP one port above.
    Open {
        /// The stream to make.
        stream: StreamId,
        /// Address and even port.
        local: SocketAddr,
    },
    /// After each completed offer/answer: where to send, what, and from whom to receive.
    Agree {
        /// The stream.
        stream: StreamId,
        /// What was negotiated.
        plan: MediaPlan,
        /// From where packets are taken; learning starts anew only here.
        source: SourcePolicy,
    },
    /// Relays both ways, payload numbers mapped by codec; replaces whatever the two did before.
    Join {
        /// One stream.
        a: StreamId,
        /// The other, of the same worker.
        b: StreamId,
    },
    /// Leaves its join, both sides are idle then; or its conference.
    Part {
        /// Either of the two.
        stream: StreamId,
    },
    /// Plays sound files as G.711, a frame each 20 ms. Replaces what the stream did before.
    Play {
        /// The stream.
        stream: StreamId,
        /// Chosen by the switch, comes back in `PlayEnded`.
        play: u32,
        /// Prompt names, in order.
        files: Vec<Arc<str>>,
        /// Begins again after the last, until stopped.
        repeat: bool,
    },
    /// Stops playing. No `PlayEnded` follows.
    Stop {
        /// The stream.
        stream: StreamId,
    },
    /// Sends back what it receives.
    Echo {
        /// The stream.
        stream: StreamId,
    },
    /// Takes the stream into a conference of its worker, which begins with its first member and ends with its last. Replaces what the
    /// stream did before; for a member it changes its part. `Part` leaves it.
    Mix {
        /// The stream.
        stream: StreamId,
        /// Chosen by the switch.
        conference: u64,
        /// What it may.
        part: MixPart,
    },
    /// Closes the sockets; `Closed` follows.
    Close {
        /// The stream.
        stream: StreamId,
    },
}

impl MediaCommand {
    /// The stream whose worker is meant.
    pub fn stream(&self) -> StreamId {
        match self {
            MediaCommand::Open { stream, .. }
            | MediaCommand::Agree { stream, .. }
            | MediaCommand::Part { stream }
            | MediaCommand::Play { stream, .. }
            | MediaCommand::Stop { stream }
            | MediaCommand::Echo { stream }
            | MediaCommand::Mix { stream, .. }
            | MediaCommand::Close { stream } => *stream,
            MediaCommand::Join { a, .. } => *a,
        }
    }
}

/// A report of a media worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum MediaEvent {
    /// The stream could not be opened (port taken, no descriptors left) or a command named what cannot be. The stream does not
    /// exist afterwards when the command was `Open`.
    Failed {
        /// The stream.
        stream: StreamId,
        /// For the log.
        reason: String,
    },
    /// The first packet was accepted from this source since `Agree`.
    Latched {
        /// The stream.
        stream: StreamId,
        /// Where the peer really sends from.
        remote: SocketAddr,
    },
    /// A DTMF digit ended (RFC 4733): `0`–`9`, `*`, `#`, `A`–`D`. Once for each key pressed.
    Digit {
        /// The stream.
        stream: StreamId,
        /// The digit.
        digit: char,
        /// How long it was held.
        duration: Duration,
    },
    /// The files were played to their end.
    PlayEnded {
        /// The stream.
        stream: StreamId,
        /// As in `Play`.
        play: u32,
    },
    /// Nothing could be played: no G.711 agreed, or none of the files could be read. No `PlayEnded` follows.
    PlayFailed {
        /// The stream.
        stream: StreamId,
        /// As in `Play`.
        play: u32,
        /// For the log.
        reason: String,
    },
    /// Packets are due and we send, but none came within 3 s. At most once for each `Agree`.
    OneWay {
        /// The stream.
        stream: StreamId,
        /// For how long nothing came.
        since: Duration,
        /// Packets accepted since `Agree`.
        received: u64,
        /// Packets sent since `Agree`.
        sent: u64,
        /// Where packets should come from.
        expected_from: Option<SocketAddr>,
        /// The last source that was refused: usually the answer.
        stray_from: Option<SocketAddr>,
    },
    /// No packets for 30 s where packets are due (not on hold). Once until packets come again.
    Silent {
        /// The stream.
        stream: StreamId,
        /// Length of the silence.
        silence: Duration,
    },
    /// The sockets are closed; the port may be given back.
    Closed {
        /// The stream.
        stream: StreamId,
        /// What went through.
        statistics: StreamStatistics,
    },
}

impl MediaEvent {
    /// The stream that is spoken of.
    pub fn stream(&self) -> StreamId {
        match self {
            MediaEvent::Failed { stream, .. }
            | MediaEvent::Latched { stream, .. }
            | MediaEvent::Digit { stream, .. }
            | MediaEvent::PlayEnded { stream, .. }
            | MediaEvent::PlayFailed { stream, .. }
            | MediaEvent::OneWay { stream, .. }
            | MediaEvent::Silent { stream, .. }
            | MediaEvent::Closed { stream, .. } => *stream,
        }
    }
}

/// Counts over the life of a stream, as seen from us: received is what the peer sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct StreamStatistics {
    /// RTP packets accepted.
    pub packets_received: u64,
    /// RTP packets sent to the peer.
    pub packets_sent: u64,
    /// Octets of accepted RTP packets, with headers.
    pub octets_received: u64,
    /// Octets of sent RTP packets, with headers.
    pub octets_sent: u64,
    /// Packets that the sequence numbers say were lost on the way to us (RFC 3550 §A.3).
    pub lost: u64,
    /// Interarrival jitter at the end, in microseconds (RFC 3550 §A.8).
    pub jitter_us: u64,
    /// Packets refused for their source.
    pub strays_dropped: u64,
    /// Packets refused because they are no RTP or RTCP.
    pub malformed_dropped: u64,
    /// Packets of a protected stream refused because their tag is wrong or they came again.
    #[serde(default)]
    pub forged_dropped: u64,
    /// Packets not passed on: payload that the other side did not agree to, or direction that forbids it.
    pub unwanted_dropped: u64,
    /// Packets that the kernel dropped because its receive buffer was full.
    pub overflow_dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_id_keeps_worker_and_serial_apart() {
        let id = StreamId::new(3, 0x1_0000_0000_0001);
        assert_eq!(id.worker(), 3);
        assert_eq!(id.serial(), 1);
    }
}
