//! Rank 1: views of RTP and RTCP packets (RFC 3550), telephone events (RFC 4733), and arithmetic of numbers that wrap.
//!
//! Goes in: datagrams. Comes out: views that borrow them, and packets written into buffers of the caller. It keeps no state and
//! knows neither codecs nor sockets.
