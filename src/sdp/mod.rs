//! Rank 1: bytes <-> session descriptions (RFC 8866, the parts that RFC 3264 needs).
//!
//! Goes in: the body of a message. Comes out: [`Session`], which keeps the bytes as they came and the spans of its lines, so that
//! writing it back gives the same bytes; values are read when asked for. [`Writer`] makes new descriptions. Lenient where phones
//! are careless (`o=` lines, line ends, order of lines, blanks), strict where it matters (media lines, ports, addresses, sizes).
//! It knows nothing of codecs, negotiation or sockets.

mod crypto;
mod direction;
mod media;
mod session;
mod writer;

pub use crypto::{Crypto, CryptoSuite, MasterKey};
pub use direction::Direction;
pub use media::{Connection, Media, RtcpAddress, RtpMap};
pub use session::{SdpError, Session};
pub use writer::Writer;

use bytes::Bytes;

/// A description that proposes (RFC 3264 §5).
#[derive(Clone, Debug)]
pub struct SdpOffer(pub Session);

/// A description that responds to an offer (RFC 3264 §6).
#[derive(Clone, Debug)]
pub struct SdpAnswer(pub Session);

impl SdpOffer {
    /// Reads an offer from a message body.
    pub fn parse(body: impl Into<Bytes>) -> Result<SdpOffer, SdpError> {
        Session::parse(body).map(SdpOffer)
    }

    /// The description itself.
    pub fn session(&self) -> &Session {
        &self.0
    }
}

impl SdpAnswer {
    /// Reads an answer from a message body.
    pub fn parse(body: impl Into<Bytes>) -> Result<SdpAnswer, SdpError> {
        Session::parse(body).map(SdpAnswer)
    }

    /// The description itself.
    pub fn session(&self) -> &Session {
        &self.0
    }
}

#[cfg(test)]
mod tests;
