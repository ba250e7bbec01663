//! One datagram at the SIP port that may be STUN: told from SIP, and answered only as RFC 5389 says.
#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::fuzz_target;
use strowger_fuzz::sip::Message;
use strowger_fuzz::transport::stun;

fuzz_target!(|data: &[u8]| {
    let ours = stun::is_stun(data);
    if ours {
        // A byte of two zero bits begins no method and no blank line that a parser would pass over to a message.
        let text = bytes::Bytes::copy_from_slice(data);
        assert!(Message::parse(text).is_err(), "STUN and SIP at once");
    }
    for source in ["192.0.2.7:4321", "[2001:db8::7]:4321"] {
        let source: SocketAddr = source.parse().expect("an address");
        let Some(answer) = stun::answer(data, source) else {
            continue;
        };
        assert!(ours && data.len() >= 20);
        assert_eq!(&answer[4..20], &data[4..20], "cookie and transaction");
        let length = u16::from_be_bytes([answer[2], answer[3]]);
        assert_eq!(usize::from(length) + 20, answer.len());
        assert!(answer.len() <= data.len() + 24, "no amplifier");
        assert!(stun::is_stun(&answer));
        assert!(stun::answer(&answer, source).is_none(), "no ping-pong");
    }
});
