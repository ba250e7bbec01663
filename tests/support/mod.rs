//! What the tests of the real binary share: processes that die with their test, the server, SIPp, baresip, an ear
//! for RTP, tones, digest.
//!
//! Everything lives on loopback. Every test takes addresses of its own ([`address`]), so tests run side by side.

// Each test binary uses a part of this.
#![allow(dead_code)]
// These are the only tests that may wait on a clock and start threads: they drive real processes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod api;
pub mod authority;
pub mod baresip;
pub mod dns;
pub mod ear;
pub mod lab;
pub mod process;
pub mod proof;
pub mod server;
pub mod sipp;
pub mod tone;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Addresses that one test process may take.
const ADDRESSES_MAX: u16 = 960;

/// A loopback address that no other running test has: two bytes from the process id, one from a counter, two bits shared.
pub fn address() -> Ipv4Addr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let process = std::process::id();
    let number = TAKEN.fetch_add(1, Ordering::Relaxed);
    assert!(
        number < ADDRESSES_MAX,
        "one test process uses at most {ADDRESSES_MAX} addresses"
    );
    Ipv4Addr::new(
        127,
        64 + ((process / 250) % 16) as u8 * 4 + (number / 240) as u8,
        (process % 250) as u8 + 1,
        (number % 240) as u8 + 10,
    )
}

/// A port of 127.0.0.1 that is free for UDP and TCP, as is the next one, where baresip listens for TLS. Below those that the kernel gives
/// to whoever asks for any, and never the same twice in a process.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 31;
        let port = 3_000 + (number % 3_000) as u16 * 2;
        let free = |port: u16| {
            UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
                && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        };
        if free(port) && free(port + 1) {
            return port;
        }
    }
    panic!("no two ports are free for both UDP and TCP");
}

/// Asks `probe` every 20 ms until it has something; panics with `what` when `limit` is over.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            begin.elapsed() < limit,
            "waited {limit:?} in vain for: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits; for talking, ringing and being silent, never for something to have happened ([`wait_for`] is for that).
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Seconds, to keep ladders short.
pub fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

/// `IP:PORT` on an address of this test.
pub fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}
