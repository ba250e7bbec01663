//! Tests of reading messages: what is understood, what is refused, and that nothing is lost.

use bytes::Bytes;

use super::*;

const INVITE: &str = "INVITE sip:support@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK77;rport, SIP/2.0/TCP [2001:db8::1];branch=z9hG4bK76\r\n\
    v: SIP/2.0/UDP first.example.com;branch=z9hG4bK75\r\n\
    Max-Forwards : 69\r\n\
    f: \"Nora, Test\" <sip:nora@example.com>;tag=a1\r\n\
    TO:<sip:support@example.com>\r\n\
    i: 7c@192.0.2.9\r\n\
    CSeq: 314159 INVITE\r\n\
    m: <sip:nora@192.0.2.9>, <sip:nora@192.0.2.10>;expires=5\r\n\
    Supported: timer, 100REL\r\n\
    X-Internal : 1\r\n\
    x-internal:2\r\n\
    Subject: one\r\n  two\r\n\tthree  \r\n\
    c: application/SDP;charset=utf-8\r\n\
    Content-Length: 4\r\n\r\nv=0\ntrailing";

fn parse(text: &str) -> Result<Message, ParseError> {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn invite() -> Message {
    parse(INVITE).expect("well formed")
}

fn fault(text: &str) -> (&'static str, Fault) {
    let error = parse(text).expect_err("refused");
    (error.what, error.fault)
}

#[test]
fn every_part_of_a_request_is_found() {
    let m = invite();
    assert!(m.is_request());
    assert_eq!(m.method(), &Method::Invite);
    assert_eq!(m.status(), None);
    assert_eq!(m.uri_bytes(), b"sip:support@example.com");
    assert_eq!(m.call_id(), b"7c@192.0.2.9");
    assert_eq!(
        (m.cseq().number, m.cseq().method),
        (314_159, Method::Invite)
    );
    assert_eq!(m.from_tag(), Some(&b"a1"[..]));
    assert_eq!(m.to_tag(), None);
    assert_eq!(m.from().display, Some(&b"Nora, Test"[..]));
    assert_eq!(m.to().uri.host, b"example.com");
    assert_eq!(m.max_forwards(), Some(69));
    assert_eq!(m.top_via().branch(), Some(&b"z9hG4bK77"[..]));
    assert_eq!(m.contacts().count(), 2);
    assert!(m.has_option_tag(Name::Supported, "100rel"));
    assert!(!m.has_option_tag(Name::Supported, "100"));
    assert!(m.is_content_type("application/sdp"));
    assert_eq!(m.body(), b"v=0\n");
}

#[test]
fn vias_of_all_lines_come_in_order() {
    let m = invite();
    let branches: Vec<_> = m
        .vias()
        .map(|via| via.expect("well formed").branch().expect("has one"))
        .collect();
    assert_eq!(branches, [b"z9hG4bK77", b"z9hG4bK76", b"z9hG4bK75"]);
}

#[test]
fn white_space_before_the_colon_does_not_make_another_header() {
    let m = invite();
    let values: Vec<_> = m.header_by_name("X-INTERNAL").collect();
    assert_eq!(values, [b"1", b"2"]);
    assert_eq!(m.header_by_name("f").count(), 1);
    assert_eq!(m.header_by_name("From").count(), 1);
    assert_eq!(m.header(Name::Other), None);
}

#[test]
fn folding_reads_as_spaces_and_bytes_stay() {
    let m = invite();
    assert_eq!(m.header(Name::Subject), Some(&b"one    two  \tthree"[..]));
    assert_eq!(
        m.header_text(Name::Subject).as_deref(),
        Some(&b"one two three"[..])
    );
    let whole = INVITE.strip_suffix("trailing").expect("ends so");
    assert_eq!(m.bytes(), whole.as_bytes());
    let names: Vec<_> = m.each_header().map(|(name, _, _)| name).collect();
    assert_eq!(names.len(), 14);
    assert_eq!(names.first(), Some(&Name::Via));
}

#[test]
fn folds_inside_mandatory_headers_are_understood() {
    let m = parse(
        &INVITE
            .replace("TO:<sip", "TO:\r\n <sip")
            .replace("192.0.2.9:5060;branch", "192.0.2.9:5060\r\n ;\r\n\tbranch")
            .replace("314159 INVITE", "314159\r\n\tINVITE"),
    )
    .expect("well formed");
    assert_eq!(m.to().uri.raw, b"sip:support@example.com");
    assert_eq!(m.cseq().number, 314_159);
    assert_eq!(m.top_via().branch(), Some(&b"z9hG4bK77"[..]));
}

#[test]
fn response_gives_status_reason_and_the_method_it_answers() {
    let text = INVITE.replace(
        "INVITE sip:support@example.com SIP/2.0",
        "sip/2.0 486 Busy H\u{e9}re",
    );
    let m = parse(&text).expect("well formed");
    assert!(!m.is_request());
    assert_eq!(m.status(), Some(StatusCode::BUSY_HERE));
    assert_eq!(m.reason_phrase(), "Busy H\u{e9}re".as_bytes());
    assert_eq!(m.method(), &Method::Invite);
    assert_eq!(m.uri_bytes(), b"");
    for line in ["SIP/2.0 200 ", "SIP/2.0 200"] {
        let text = INVITE.replace("INVITE sip:support@example.com SIP/2.0", line);
        assert_eq!(parse(&text).expect("tolerated").reason_phrase(), b"");
    }
    for line in [
        "SIP/2.0 99 x",
        "SIP/2.0 4294967301 x",
        "SIP/2.0 20x OK",
        "SIP/2.0  200 OK",
        "SIP/2.0",
    ] {
        let text = INVITE.replace("INVITE sip:support@example.com SIP/2.0", line);
        assert_eq!(fault(&text).0, "status line", "{line}");
    }
}

#[test]
fn content_length_cuts_or_refuses() {
    let with = |value: &str| INVITE.replace("Content-Length: 4", &format!("l:{value}"));
    assert_eq!(parse(&with("0")).expect("cut").body(), b"");
    assert_eq!(parse(&with("12")).expect("all").body(), b"v=0\ntrailing");
    for value in ["13", "-1", "+4", "4 4", "x", "", "4294967296", "0x4"] {
        assert_eq!(
            fault(&with(value)),
            ("Content-Length", Fault::Syntax),
            "{value}"
        );
    }
    assert_eq!(
        fault(&with(" 4\r\nContent-Length: 4")),
        ("Content-Length", Fault::Duplicate)
    );
    let without = INVITE.replace("Content-Length: 4\r\n", "");
    assert_eq!(parse(&without).expect("all").body(), b"v=0\ntrailing");
}

#[test]
fn missing_and_doubled_mandatory_headers_are_refused() {
    for (line, name) in [
        (
            "f: \"Nora, Test\" <sip:nora@example.com>;tag=a1\r\n",
            "From",
        ),
        ("TO:<sip:support@example.com>\r\n", "To"),
        ("i: 7c@192.0.2.9\r\n", "Call-ID"),
        ("CSeq: 314159 INVITE\r\n", "CSeq"),
    ] {
        assert_eq!(fault(&INVITE.replace(line, "")), (name, Fault::Missing));
        let doubled = INVITE.replace(line, &format!("{line}{line}"));
        assert_eq!(fault(&doubled), (name, Fault::Duplicate));
    }
    let hops = INVITE.replace("CSeq", "Max-Forwards: 70\r\nCSeq");
    assert_eq!(fault(&hops), ("Max-Forwards", Fault::Duplicate));
    let no_hops = INVITE.replace("Max-Forwards : 69\r\n", "");
    assert_eq!(parse(&no_hops).expect("tolerated").max_forwards(), None);
    let no_via = INVITE.replace("Via:", "X-Via:").replace("\r\nv:", "\r\nX:");
    assert_eq!(fault(&no_via), ("Via", Fault::Missing));
    assert_eq!(
        fault(&INVITE.replace(" : 69", " : 256")),
        ("Max-Forwards", Fault::Syntax)
    );
}

#[test]
fn cseq_must_name_the_method_of_the_request() {
    assert_eq!(
        fault(&INVITE.replace("314159 INVITE", "314159 OPTIONS")),
        ("CSeq method", Fault::Syntax)
    );
}

#[test]
fn line_ends_must_be_of_one_kind() {
    let lone = INVITE.replace("\r\n", "\n");
    assert_eq!(parse(&lone).expect("tolerated").body(), b"v=0\n");
    let mixed = INVITE.replace("X-Internal : 1\r\n", "X-Internal : 1\n");
    assert_eq!(fault(&mixed), ("line", Fault::Forbidden));
    let mixed = lone.replace("X-Internal : 1\n", "X-Internal : 1\r\n");
    assert_eq!(fault(&mixed), ("line", Fault::Forbidden));
    let bare = INVITE.replace("X-Internal : 1", "X-Internal : \r1");
    assert_eq!(fault(&bare), ("line", Fault::Forbidden));
    let nul = INVITE.replace("X-Internal : 1", "X-Internal : \0");
    assert_eq!(fault(&nul), ("line", Fault::Forbidden));
    let quoted = INVITE.replace("Nora, Test", "Nora\\\0");
    assert!(parse(&quoted).is_ok());
    // outside of quotes, and behind a backslash that is itself quoted
    for bad in [
        "X-Internal : a\\\0",
        "X-Internal : \"a\" b\\\0",
        "X-Internal : \"a\\\\\0\"",
    ] {
        let nul = INVITE.replace("X-Internal : 1", bad);
        assert_eq!(fault(&nul), ("line", Fault::Forbidden), "{bad:?}");
    }
}

#[test]
fn request_lines_follow_the_grammar_strictly() {
    let with = |line: &str| INVITE.replace("INVITE sip:support@example.com SIP/2.0", line);
    for (line, what) in [
        ("INVITE  sip:a@x SIP/2.0", "Request-URI"),
        ("INVITE sip:a@x  SIP/2.0", "Request-URI"),
        ("INVITE sip:a@x; lr SIP/2.0", "Request-URI"),
        ("INVITE <sip:a@x> SIP/2.0", "Request-URI"),
        ("INVITE alice SIP/2.0", "Request-URI"),
        ("INVITE  SIP/2.0", "Request-URI"),
        ("INVITE SIP/2.0", "Request-URI"),
        ("INVITE sip: SIP/2.0", "Request-URI"),
        ("INVITE sip:a@x SIP/2.0 ", "request line"),
    ] {
        assert_eq!(fault(&with(line)), (what, Fault::Syntax), "{line:?}");
    }
    let foreign = parse(&with("INVITE sip:a@x SIP/7.0")).expect_err("refused");
    assert_eq!(foreign.status(), Some(StatusCode::VERSION_NOT_SUPPORTED));
    for line in ["GET / HTTP/1.1", "INVITE", "", "(a) sip:a@x SIP/2.0", "x y"] {
        let error = parse(&with(line)).expect_err("refused");
        assert_eq!(error.status(), None, "{line:?}");
    }
    let unknown = parse(&with("!new nobodyKnows:way SIP/2.0").replace("314159 INVITE", "1 !new"))
        .expect("parses");
    assert_eq!(unknown.method().as_str(), "!new");
}

#[test]
fn limits_hold() {
    let many = INVITE.replace("X-Internal", &"A: b\r\n".repeat(300));
    assert_eq!(fault(&many), ("header count", Fault::TooLarge));
    let long = INVITE.replace("trailing", &"x".repeat(65_536));
    assert_eq!(fault(&long), ("message", Fault::TooLarge));
}

#[test]
fn leading_line_ends_are_skipped_and_a_missing_end_is_refused() {
    let m = parse(&format!("\r\n\r\n{INVITE}")).expect("well formed");
    assert!(m.bytes().starts_with(b"INVITE"));
    let cut = INVITE.split("\r\n\r\n").next().expect("has a head");
    assert_eq!(fault(cut).1, Fault::Missing);
    assert_eq!(
        fault(&INVITE.replace("X-Internal :", "X Internal:")).0,
        "header name"
    );
    assert_eq!(
        fault(&INVITE.replace("Via: SIP", " Via: SIP")).0,
        "header name"
    );
    assert!(parse("").is_err());
    assert!(parse("\r\n\r\n").is_err());
}

#[test]
fn no_prefix_and_no_changed_byte_panics() {
    let bytes = INVITE.as_bytes();
    for end in 0..bytes.len() {
        let _ = Message::parse(Bytes::copy_from_slice(bytes.get(..end).unwrap_or_default()));
    }
    for at in 0..bytes.len() {
        for byte in [0, b'\r', b'\n', b' ', b'"', b'<', b';', b':', 0xff] {
            let mut changed = bytes.to_vec();
            changed[at] = byte;
            let changed = Bytes::from(changed);
            let _ = Message::salvage(&changed);
            if let Ok(m) = Message::parse(changed) {
                let _ = (m.from(), m.to(), m.top_via(), m.vias().count());
            }
        }
    }
}

#[test]
fn empty_placeholder_answers_every_question() {
    let m = Message::empty();
    assert_eq!(m.bytes().len(), 0);
    let _ = (m.from(), m.to(), m.top_via(), m.cseq(), m.body_bytes());
    assert_eq!(m.call_id(), b"");
}
