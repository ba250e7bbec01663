//! Rank 4: what is done with audio. The control half decides for the switch; the packet half is run by the media workers.
//!
//! Control half: [`offer`], [`answer`] and [`accept`] (RFC 3264) turn session descriptions into a [`MediaPlan`]; [`Ports`] hands
//! out RTP ports; [`MediaCommand`] and [`MediaEvent`] are all that crosses between switch and workers.
//! Packet half: pure steps `(now, packet) -> packet`, without sockets or clocks: source policy and latching, relay, codecs, signal
//! processing, transcoding, jitter buffer, mixer, player, DTMF, watch, statistics.
//! It knows no SIP message, no call, no thread.

mod command;
mod negotiate;
mod plan;
mod ports;

pub mod codec;
pub mod dtmf;
mod hearing;
pub mod jitter;
pub mod mixer;
pub mod player;
pub mod playout;
pub mod prompts;
pub mod relay;
pub mod signal;
pub mod source;
pub mod srtp;
pub mod statistics;
pub mod stream;
mod transmit;
pub mod watch;

pub use codec::{Codec, Payload};
pub use command::{
    MediaCommand, MediaEvent, MixAudience, MixPart, SourcePolicy, StreamId, StreamStatistics,
};
pub use negotiate::{MediaRefusal, accept, answer, judge, offer, payloads_of, widen};
pub use plan::{LocalMedia, LocalSrtp, MediaPlan, SrtpPolicy};
pub use ports::Ports;
