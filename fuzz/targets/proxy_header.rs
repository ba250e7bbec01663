//! The front of a connection from a load balancer: a PROXY header of version 2, read to its end and not a byte more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_fuzz::proxy_protocol::{self, Read};

fuzz_target!(|data: &[u8]| {
    let whole = proxy_protocol::begin_of(data);
    let Read::Peer { taken, .. } = whole else {
        return;
    };
    assert!(taken >= 16 && taken <= data.len());
    // What follows changes nothing, and nothing less is enough.
    assert_eq!(proxy_protocol::begin_of(&data[..taken]), whole);
    for less in [taken - 1, taken / 2, 15] {
        assert_eq!(proxy_protocol::begin_of(&data[..less]), Read::Refused);
    }
});
