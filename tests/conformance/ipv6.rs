//! RFC 5118: IPv6 addresses wherever a message may have them. Our own messages, one for each point of that list.

use std::net::IpAddr;

use strowger::sip::{NameAddr, Uri, Via};

use crate::verdict::{dropped, options_with, refused, understood, wire};

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// §4.1: the reference in brackets.
#[test]
fn bracketed_references_are_hosts() {
    let m = understood(&options_with(
        "OPTIONS",
        "OPTIONS sip:[2001:db8::10] SIP/2.0",
    ));
    let uri = m.uri().expect("well formed");
    assert_eq!(uri.host, b"2001:db8::10");
    assert_eq!(uri.host_ip(), Some(address("2001:db8::10")));
    assert_eq!(uri.port, None);
}

/// §4.2: without brackets it is no host.
#[test]
fn bare_addresses_are_no_hosts() {
    let m = understood(&options_with("OPTIONS", "OPTIONS sip:2001:db8::10 SIP/2.0"));
    assert!(m.uri().is_err());
    refused(&options_with("To", "To: <sip:desk@2001:db8::10>"), 400);
    // Nobody knows where an answer to this one would go.
    dropped(&options_with(
        "Via",
        "Via: SIP/2.0/UDP 2001:db8::9;branch=z9hG4bK1",
    ));
}

/// §4.3 and §4.4: only what stands behind the bracket is a port.
#[test]
fn ports_stand_behind_the_bracket() {
    let inside = Uri::parse(b"sip:[2001:db8::10:5070]").expect("well formed");
    assert_eq!(inside.port, None);
    assert_eq!(inside.host_ip(), Some(address("2001:db8::10:5070")));
    let behind = Uri::parse(b"sip:desk@[2001:db8::10]:5070;transport=tcp").expect("well formed");
    assert_eq!(behind.port, Some(5070));
    assert_eq!(behind.transport(), Some(&b"tcp"[..]));
    assert!(!inside.same_as(&behind));
    for broken in [
        "sip:[2001:db8::10",
        "sip:[2001:db8::10]5070",
        "sip:[]",
        "sip:[::1]:",
        "sip:[192.0.2.1]",
    ] {
        assert!(
            Uri::parse(broken.as_bytes())
                .map_or(true, |uri| uri.port.is_none() && uri.host == b"::1"),
            "{broken}"
        );
    }
}

/// §4.5: `received` is written in both ways.
#[test]
fn received_is_read_with_and_without_brackets() {
    for text in [
        "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111",
        "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3-111",
    ] {
        let via = Via::parse(text.as_bytes()).expect("well formed");
        assert_eq!(via.received(), Some(address("2001:db8::9:255")));
        assert_eq!(via.branch(), Some(&b"z9hG4bKas3-111"[..]));
    }
}

/// §4.6 to §4.9: both families in one message, in SDP too.
#[test]
fn both_families_live_in_one_message() {
    let sdp = b"v=0\r\no=lab 971731711378798081 0 IN IP6 2001:db8::20\r\ns=-\r\nc=IN IP6 2001:db8::20\r\n\
        t=3338481189 3370017201\r\nm=audio 6000 RTP/AVP 0\r\nm=video 6024 RTP/AVP 107\r\nc=IN IP4 192.0.2.20\r\n";
    let length = format!("Content-Length: {}", sdp.len());
    let m = understood(&wire(
        &[
            "INVITE sip:user@[2001:db8::10]:5080 SIP/2.0",
            "Via: SIP/2.0/UDP [2001:db8::9]:6050;branch=z9hG4bKas3-111, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144",
            "Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200",
            "From: User <sip:user@[2001:db8::10]>;tag=98a7",
            "To: \"[::1]\" <sip:user@[2001:db8::20]>",
            "Contact: <sip:user@[2001:db8::10]:5081>, <sip:user@192.0.2.7:5082>",
            "Call-ID: 3983b1@[2001:db8::9:1]",
            "CSeq: 8612 INVITE",
            "Content-Type: application/sdp",
            &length,
        ],
        sdp,
    ));
    let hops: Vec<_> = m
        .vias()
        .map(|via| {
            let via = via.expect("well formed");
            (via.host_ip(), via.port)
        })
        .collect();
    assert_eq!(
        hops,
        [
            (Some(address("2001:db8::9")), Some(6050)),
            (Some(address("192.0.2.1")), None),
            (Some(address("2001:db8::9:255")), None),
        ]
    );
    let ports: Vec<_> = m
        .contacts()
        .map(|contact| contact.expect("well formed").uri().and_then(|uri| uri.port))
        .collect();
    assert_eq!(ports, [Some(5081), Some(5082)]);
    assert_eq!(m.to().uri.host, b"2001:db8::20");
    let session = strowger::sdp::Session::parse(m.body_bytes()).expect("well formed");
    assert_eq!(session.media().count(), 2);
}

/// §4.9: an IPv4 address in IPv6 clothes is an IPv6 reference.
#[test]
fn mapped_addresses_are_references() {
    let it = NameAddr::parse(b"<sip:user@[::ffff:192.0.2.10]:19823>").expect("well formed");
    assert_eq!(it.uri.host_ip(), Some(address("::ffff:192.0.2.10")));
    assert_eq!(it.uri.port, Some(19_823));
    let via = Via::parse(b"SIP/2.0/UDP [::ffff:192.0.2.2]:5060;branch=z9hG4bK1").expect("reads");
    assert_eq!(via.host_ip(), Some(address("::ffff:192.0.2.2")));
}

/// §4.10: the grammar of RFC 3261 let three colons stand before an IPv4 part; that of RFC 5954 does not.
#[test]
fn three_colons_are_no_address() {
    let fine = Uri::parse(b"sip:user@[2001:db8::192.0.2.1]").expect("well formed");
    assert_eq!(fine.host_ip(), Some(address("2001:db8::192.0.2.1")));
    let bug = Uri::parse(b"sip:user@[2001:db8:::192.0.2.1]");
    assert!(bug.map_or(true, |uri| uri.host_ip().is_none()));
}
