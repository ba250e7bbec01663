//! Both ends of a protected stream against each other, and against the examples of the RFCs.

use super::*;
use crate::rtp::write_header;

fn key(suite: CryptoSuite, byte: u8) -> MasterKey {
    MasterKey::new(suite, vec![byte; suite.key_bytes() + suite.salt_bytes()]).expect("lengths")
}

fn pair(suite: CryptoSuite) -> (Srtp, Srtp) {
    let ours = SrtpPlan {
        suite,
        send: key(suite, 1),
        receive: key(suite, 2),
        savp: true,
    };
    let theirs = SrtpPlan {
        suite,
        send: key(suite, 2),
        receive: key(suite, 1),
        savp: true,
    };
    (Srtp::new(&ours, None), Srtp::new(&theirs, None))
}

fn packet(sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER_BYTES];
    write_header(&mut header, false, 8, sequence, 160, ssrc);
    [&header[..], payload].concat()
}

fn sealed(srtp: &mut Srtp, plain: &[u8]) -> Vec<u8> {
    let mut buffer = [plain, &[0; TRAILER_BYTES_MAX]].concat();
    let length = srtp.seal(&mut buffer, plain.len()).expect("sealed");
    buffer.truncate(length);
    buffer
}

fn opened(srtp: &mut Srtp, packet: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = packet.to_vec();
    let length = srtp.open(&mut buffer)?;
    buffer.truncate(length);
    Some(buffer)
}

#[test]
fn packets_come_out_as_they_went_in_over_a_rollover_and_out_of_order() {
    for suite in CryptoSuite::ALL {
        let (mut a, mut b) = pair(suite);
        let numbers = [0xfffd, 0xffff, 0xfffe, 1, 0, 2, 0x7000, 0xe000, 5];
        let plain: Vec<_> = numbers.map(|number| packet(number, 7, b"sound")).into();
        let mut crossing: Vec<_> = plain.iter().map(|plain| sealed(&mut a, plain)).collect();
        for (sealed, plain) in crossing.iter().zip(&plain) {
            assert!(sealed.len() > plain.len());
            assert_ne!(&sealed[HEADER_BYTES..plain.len()], b"sound");
        }
        crossing.swap(3, 4);
        let mut expected = plain.clone();
        expected.swap(3, 4);
        for (sealed, plain) in crossing.iter().zip(&expected) {
            assert_eq!(opened(&mut b, sealed).as_ref(), Some(plain), "{suite:?}");
        }
    }
}

#[test]
fn forged_and_repeated_packets_change_nothing() {
    for suite in CryptoSuite::ALL {
        let (mut a, mut b) = pair(suite);
        let good = sealed(&mut a, &packet(9, 7, b"sound"));
        for at in 0..good.len() {
            let mut forged = good.clone();
            forged[at] ^= 1;
            assert_eq!(opened(&mut b, &forged), None, "{suite:?} byte {at}");
        }
        for length in 0..good.len() {
            assert_eq!(opened(&mut b, &good[..length]), None);
        }
        assert!(b.inbound.sources.is_empty(), "a forgery left a trace");
        assert!(opened(&mut b, &good).is_some());
        assert_eq!(opened(&mut b, &good), None, "a repetition");
        let (mut stranger, _) = pair(suite);
        stranger = Srtp::new(
            &SrtpPlan {
                suite,
                send: key(suite, 3),
                receive: key(suite, 2),
                savp: true,
            },
            Some(stranger),
        );
        assert_eq!(
            opened(&mut b, &sealed(&mut stranger, &packet(10, 7, b"other"))),
            None
        );
    }
}

#[test]
fn header_extension_and_contributing_sources_stay_readable() {
    for suite in CryptoSuite::ALL {
        let (mut a, mut b) = pair(suite);
        let mut plain = packet(1, 7, &[0; 4 + 8]);
        plain[0] |= 0x11;
        // one contributing source, then an extension of one word
        plain[12 + 4..12 + 8].copy_from_slice(&[0xbe, 0xde, 0, 1]);
        plain.extend_from_slice(b"sound");
        let head = plain.len() - 5;
        let sealed = sealed(&mut a, &plain);
        assert_eq!(sealed[..head], plain[..head]);
        assert_ne!(sealed[head..head + 5], plain[head..]);
        assert_eq!(opened(&mut b, &sealed), Some(plain));
    }
}

#[test]
fn reports_are_protected_too() {
    for suite in CryptoSuite::ALL {
        let (mut a, mut b) = pair(suite);
        let report = [
            &[0x80, 201, 0, 1, 0, 0, 0, 7][..],
            &[0x81, 202, 0, 2],
            b"12345678",
        ]
        .concat();
        let seal = |a: &mut Srtp| {
            let mut buffer = [&report[..], &[0; TRAILER_BYTES_MAX]].concat();
            let length = a.seal_rtcp(&mut buffer, report.len()).expect("sealed");
            buffer.truncate(length);
            buffer
        };
        let (first, second) = (seal(&mut a), seal(&mut a));
        for packet in [&second, &first] {
            let mut buffer = packet.clone();
            let length = b.open_rtcp(&mut buffer).expect("opened");
            assert_eq!(buffer[..length], report, "{suite:?}");
            assert_eq!(b.open_rtcp(&mut packet.clone()), None, "a repetition");
        }
        let third = seal(&mut a);
        for at in 0..third.len() {
            let mut forged = third.clone();
            forged[at] ^= 0x80;
            assert_eq!(b.open_rtcp(&mut forged), None, "{suite:?} byte {at}");
        }
    }
}

#[test]
fn a_new_agreement_with_the_same_key_goes_on_where_it_was() {
    let suite = CryptoSuite::AesCm128HmacSha1_80;
    let (mut a, mut b) = pair(suite);
    for number in [0xffff, 0] {
        assert!(opened(&mut b, &sealed(&mut a, &packet(number, 7, b"sound"))).is_some());
    }
    let plan = SrtpPlan {
        suite,
        send: key(suite, 2),
        receive: key(suite, 1),
        savp: true,
    };
    let mut b = Srtp::new(&plan, Some(b));
    assert!(
        opened(&mut b, &sealed(&mut a, &packet(1, 7, b"sound"))).is_some(),
        "the roll-over count was forgotten"
    );
}

#[test]
fn sources_without_end_are_not_served() {
    let suite = CryptoSuite::AeadAes128Gcm;
    let (mut a, mut b) = pair(suite);
    for ssrc in 0..SOURCES_MAX as u32 {
        assert!(opened(&mut b, &sealed(&mut a, &packet(1, ssrc, b"sound"))).is_some());
    }
    let plain = packet(1, 9999, b"sound");
    let mut buffer = [&plain[..], &[0; TRAILER_BYTES_MAX]].concat();
    assert_eq!(a.seal(&mut buffer, plain.len()), None);
}

/// RFC 7714 §16.1.1 (AEAD_AES_128_GCM, session keys given).
#[test]
fn gcm_packet_is_that_of_rfc_7714() {
    let hex = |text: &str| -> Vec<u8> {
        let text: String = text.split_whitespace().collect();
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
            .collect()
    };
    let transform = Transform::new(
        CryptoSuite::AeadAes128Gcm,
        &hex("000102030405060708090a0b0c0d0e0f"),
        &[],
        &hex("517569642070726f2071756f"),
        false,
    );
    let plain = hex(
        "8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e697320646976697361
         20696e207061727465732074726573",
    );
    let mut buffer = [&plain[..], &[0; 16]].concat();
    let length = transform
        .seal_rtp(&mut buffer, 12, plain.len(), 0x5501_a0b2, 0xf17b)
        .expect("sealed");
    assert_eq!(
        buffer[..length],
        hex(
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
             899d7f27beb16a9152cf765ee4390cce"
        )
    );
}
