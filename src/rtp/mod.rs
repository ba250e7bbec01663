//! Rank 1: views of RTP and RTCP packets (RFC 3550), telephone events (RFC 4733), and arithmetic of numbers that wrap.
//!
//! Goes in: datagrams. Comes out: views that borrow them, and packets written into buffers of the caller. It keeps no state and
//! knows neither codecs nor sockets.

pub mod arithmetic;
mod header;
pub mod rtcp;
mod telephone_event;

pub use header::{HEADER_BYTES, Header, set_marker, set_numbers, set_payload_number, write_header};
pub use telephone_event::TelephoneEvent;
