//! RFC 4475 §3.1.1: messages that look wrong and are right. Our own messages, one for each point of that list.

use bytes::Bytes;
use strowger::sip::{Message, Method, Name, Scheme, StatusCode, Uri};

use crate::verdict::{lines, understood, wire};

/// §3.1.1.1 (wsinv): white space, folding, case and compact forms wherever the grammar lets them stand.
#[test]
fn white_space_folding_and_case_may_stand_anywhere() {
    let m = understood(&wire(
        &[
            "INVITE sip:reception@example.com;unknown SIP/2.0",
            "tO  :",
            " sip:reception@example.com   ;  tag    =  73a9k",
            "fRoM:\t\"Q \\\\\\\"\"       <sip:quinn@example.org>",
            "  ;",
            "   tag = 4f1",
            "mAx-FoRwArDs: 0042",
            "I: fold.5512@192.0.2.40",
            "cseq:\t0019",
            "  INVITE",
            "VIA   : SIP  /   2.0",
            "  /UDP",
            "    192.0.2.40 ;branch = oldstyle",
            "s :",
            "SomethingNew:   first part",
            "  second part",
            "\t ",
            "Odd:;;,,;;,;",
            "c: application/sdp",
            "Route:",
            " <sip:edge.example.com;lr;unknown=1;flag>",
            "v:  SIP  / 2.0  / TCP     hop.example.com   ;",
            "  branch  =   z9hG4bKtwo  ,",
            " SIP  /    2.0   / UDP  192.0.2.41   ; branch=",
            "   z9hG4bKthree",
            "M: \"Quoted \\\"\\\"\" <sip:quinn@example.org> ; fresh =",
            "   value ;",
            "  other ; q = 0.25",
            "L   : 4",
        ],
        b"v=0\n",
    ));
    assert_eq!(m.method(), &Method::Invite);
    assert_eq!(m.to().uri.raw, b"sip:reception@example.com");
    assert_eq!(m.to_tag(), Some(&b"73a9k"[..]));
    assert_eq!(m.from_tag(), Some(&b"4f1"[..]));
    assert_eq!(m.from().display_text().as_deref(), Some("Q \\\""));
    assert_eq!(m.max_forwards(), Some(42));
    assert_eq!(m.cseq().number, 19);
    let branches: Vec<_> = m
        .vias()
        .map(|via| via.expect("well formed").branch().expect("has one"))
        .collect();
    assert_eq!(branches, [&b"oldstyle"[..], b"z9hG4bKtwo", b"z9hG4bKthree"]);
    assert_eq!(m.header(Name::Subject), Some(&b""[..]));
    assert_eq!(m.header_by_name("odd").next(), Some(&b";;,,;;,;"[..]));
    assert_eq!(m.header_by_name("SOMETHINGNEW").count(), 1);
    let contact = m.contacts().next().expect("one").expect("well formed");
    assert_eq!(contact.q(), 250);
    assert_eq!(
        contact.addr().and_then(|addr| addr.param("fresh")),
        Some(Some(&b"value"[..]))
    );
    let route = m.routes().next().expect("one").expect("well formed");
    assert_eq!(route.uri.param("lr"), Some(None));
    assert_eq!(m.body(), b"v=0\n");
}

/// §3.1.1.2 (intmeth): every character that tokens, users, quoted strings and words allow.
#[test]
fn the_whole_range_of_characters_is_taken() {
    let method = "!odd.But-Legal_1234567890*+`'%~";
    let user = "1_odd.User~(is-fine!ok)&so'is+it$all/here?,;;*:&pw=1$~_x.(y)";
    let m = understood(&lines(&[
        &format!("{method} sip:{user}@example.com SIP/2.0"),
        "Via: SIP/2.0/TCP edge1.example.org;branch=z9hG4bK-.!%66*_+`'~",
        &format!("To: \"bell:\\\u{7} nul:\\\0 del:\\\u{7f}\" <sip:{user}@example.com>"),
        &format!("From: {method} <sip:odd@example.org>;tag=_tag*1!2%3~4`5'6+7-8.9"),
        "Call-ID: w%ord.(all-of)!<it>:\\\"[here]/?{so}*~+`'@x",
        &format!("CSeq: 314 {method}"),
        "Max-Forwards: 255",
        "extension.Name-!%*_+`'~:\u{fe}\u{ff}\u{3b1}",
        "Content-Length: 0",
    ]));
    assert_eq!(m.method().as_str(), method);
    assert_eq!(m.cseq().method.as_str(), method);
    assert_eq!(m.uri().expect("well formed").host, b"example.com");
    assert_eq!(m.from_tag(), Some(&b"_tag*1!2%3~4`5'6+7-8.9"[..]));
    assert_eq!(
        m.header_by_name("EXTENSION.name-!%*_+`'~").count(),
        1,
        "names compare without case"
    );
    assert_eq!(
        m.to().display_text(),
        None,
        "no control characters for people"
    );
}

/// §3.1.1.3 (esc01) and §3.1.1.4 (escnull): escapes are resolved for users only when asked, and never twice.
#[test]
fn escapes_in_users_stay_until_asked_for() {
    let m = understood(&lines(&[
        "REGISTER sip:example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKesc",
        "To: sip:sips%3Aboss%40example.com@example.net",
        "From: sip:null-%00-null@example.com;tag=a839",
        "Call-ID: esc.1",
        "CSeq: 9 REGISTER",
        "Max-Forwards: 70",
        "Contact: <sip:%00@host5.example.com>, <sip:%25%30%30@host5.example.com>",
        "Content-Length:0",
    ]));
    let to = m.to().uri;
    assert_eq!(to.host, b"example.net");
    assert_eq!(to.user_decoded().as_deref(), Some("sips:boss@example.com"));
    assert_eq!(m.from().uri.user, Some(&b"null-%00-null"[..]));
    assert_eq!(m.from().uri.user_text(), None);
    let contacts: Vec<_> = m
        .contacts()
        .map(|contact| *contact.expect("well formed").uri().expect("an address"))
        .collect();
    assert_eq!(contacts.len(), 2);
    assert_eq!(contacts[1].user_decoded().as_deref(), Some("%00"));
    assert!(!contacts[0].same_as(&contacts[1]));
}

/// §3.1.1.5 (esc02): percent signs in a method are just characters.
#[test]
fn escapes_in_methods_are_not_escapes() {
    let m = understood(&lines(&[
        "RE%47IST%45R sip:registrar.example.com SIP/2.0",
        "To: \"%Z%45\" <sip:resource@example.com>",
        "From: \"%Z%45\" <sip:resource@example.com>;tag=f232",
        "Call-ID: esc02.x",
        "CSeq: 29344 RE%47IST%45R",
        "Max-Forwards: 12",
        "Via: SIP/2.0/TCP 192.0.2.11;branch=z9hG4bKg7",
        "l: 0",
    ]));
    assert_ne!(m.method(), &Method::Register);
    assert_eq!(m.method().as_str(), "RE%47IST%45R");
    assert_eq!(m.to().display_text().as_deref(), Some("%Z%45"));
}

/// §3.1.1.6 (lwsdisp): no white space is needed before `<`.
#[test]
fn display_name_may_touch_the_bracket() {
    let m = understood(&crate::verdict::options_with(
        "From",
        "From: lab<sip:lab@example.org>;tag=1",
    ));
    assert_eq!(m.from().display, Some(&b"lab"[..]));
    assert_eq!(m.from_tag(), Some(&b"1"[..]));
}

/// §3.1.1.7 (longreq): long values everywhere.
#[test]
fn long_values_are_taken() {
    let long = "long".repeat(60);
    let vias: String = (0..34)
        .map(|hop| format!("SIP/2.0/TCP hop{hop}.example.com;branch=z9hG4bK{hop}, "))
        .collect();
    let m = understood(&lines(&[
        &format!("INVITE sip:user@example.com;{long}={long};p SIP/2.0"),
        &format!("Via: {vias}SIP/2.0/TCP last.example.com;branch=z9hG4bKlast"),
        &format!("To: \"{long}\" <sip:user@example.com>"),
        &format!("F: <sip:{long}@example.net>;tag={long}"),
        &format!("Call-ID: {long}@x"),
        "CSeq: 3882340 INVITE",
        &format!("Unknown-{long}-Name: {long}; {long}"),
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]));
    assert_eq!(m.vias().count(), 35);
    assert_eq!(m.from_tag(), Some(long.as_bytes()));
    assert_eq!(m.uri().expect("well formed").param("p"), Some(None));
    assert_eq!(m.header_by_name(&format!("unknown-{long}-name")).count(), 1);
}

/// §3.1.1.8 (dblreq): bytes behind the body of a datagram are not looked at.
#[test]
fn a_second_request_in_the_datagram_is_dropped() {
    let first = crate::verdict::options_with("OPTIONS", "OPTIONS sip:desk@example.com SIP/2.0");
    let mut both = first.to_vec();
    both.extend_from_slice(b"INVITE sip:other@example.com SIP/2.0\r\n");
    let m = understood(&Bytes::from(both));
    assert_eq!(m.bytes(), &first);
    assert_eq!(m.body(), b"");
}

/// §3.1.1.9 (semiuri): a semicolon before the `@` belongs to the user.
#[test]
fn semicolons_in_users_are_no_parameters() {
    let m = understood(&crate::verdict::options_with(
        "OPTIONS",
        "OPTIONS sip:desk;par=u%40example.net@example.com SIP/2.0",
    ));
    let uri = m.uri().expect("well formed");
    assert_eq!(
        uri.user_decoded().as_deref(),
        Some("desk;par=u@example.net")
    );
    assert_eq!(uri.host, b"example.com");
    assert_eq!(uri.param("par"), None);
}

/// §3.1.1.10 (transports): known and unknown transports in Via.
#[test]
fn any_transport_may_stand_in_via() {
    let m = understood(&lines(&[
        "OPTIONS sip:user@example.com SIP/2.0",
        "To: sip:user@example.com",
        "From: <sip:caller@example.com>;tag=323",
        "Max-Forwards: 70",
        "Call-ID: transports.1",
        "CSeq: 60 OPTIONS",
        "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bK1",
        "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bK2",
        "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK3",
        "Via: SIP/2.0/CARRIER-PIGEON t4.example.com;branch=z9hG4bK4",
        "Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK5",
        "l: 0",
    ]));
    let transports: Vec<_> = m
        .vias()
        .map(|via| via.expect("well formed").transport)
        .collect();
    assert_eq!(
        transports,
        [&b"UDP"[..], b"SCTP", b"TLS", b"CARRIER-PIGEON", b"TCP"]
    );
}

/// §3.1.1.11 (mpart01): a body is bytes, whatever they are.
#[test]
fn binary_bodies_are_untouched() {
    let body: Vec<u8> = (0..=255).collect();
    let m = understood(&wire(
        &[
            "MESSAGE sip:desk@example.org SIP/2.0",
            "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKmime",
            "From: sip:lab@example.org;tag=1",
            "To: sip:desk@example.org",
            "Call-ID: mime.1",
            "CSeq: 127 MESSAGE",
            "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655",
            "Content-Length: 256",
        ],
        &body,
    ));
    assert_eq!(m.body(), body);
    assert!(m.is_content_type("Multipart/Mixed"));
}

/// §3.1.1.12 (unreason) and §3.1.1.13 (noreason): a reason phrase is any UTF-8 text, or none.
#[test]
fn reason_phrases_are_free() {
    let with = |start: &str| -> Message {
        understood(&lines(&[
            start,
            "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923",
            "Call-ID: reason.1",
            "CSeq: 35 INVITE",
            "From: <sip:user@example.com>;tag=11141343",
            "To: <sip:user@example.edu>;tag=2229",
            "Content-Length: 0",
        ]))
    };
    let m = with("SIP/2.0 200 = 2**3 * 5**2 \u{434}\u{430}, \u{ff10}");
    assert_eq!(m.status(), Some(StatusCode::OK));
    assert_eq!(
        m.reason_phrase(),
        "= 2**3 * 5**2 \u{434}\u{430}, \u{ff10}".as_bytes()
    );
    assert_eq!(m.method(), &Method::Invite);
    let m = with("SIP/2.0 100 ");
    assert_eq!(m.status(), Some(StatusCode::TRYING));
    assert_eq!(m.reason_phrase(), b"");
}

/// §3.3.2 (unkscm), §3.3.3 (novelsc) and §3.3.4 (unksm2): unknown schemes are read; who routes answers 416.
#[test]
fn unknown_schemes_are_read() {
    for uri in [
        "nobodyKnowsThisScheme:totallyopaquecontent",
        "soap.beep://192.0.2.103:3002",
        "tel:+1-555-0100;phone-context=example.com",
    ] {
        let m = understood(&lines(&[
            &format!("OPTIONS {uri} SIP/2.0"),
            "Via: SIP/2.0/TCP host9.example.com;branch=z9hG4bKzz",
            "To: isbn:2983792873",
            "From: <https://www.example.com/who?x=y>;tag=3234233",
            "Call-ID: unkscm.1",
            "CSeq: 234902 OPTIONS",
            "Contact: <name:dummy>",
            "Max-Forwards: 70",
            "Content-Length: 0",
        ]));
        assert_eq!(m.uri().expect("opaque").raw, uri.as_bytes());
        assert_eq!(m.to().uri.scheme, Scheme::Other);
        assert_eq!(m.from_tag(), Some(&b"3234233"[..]));
    }
    let uri = Uri::parse(b"soap.beep://192.0.2.103:3002").expect("opaque");
    assert_eq!(uri.scheme, Scheme::Other);
}
