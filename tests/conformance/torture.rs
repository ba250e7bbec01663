//! RFC 4475 §3.1.2 to §3.4: messages that are wrong, or right in syntax and hard on the layers above. Our own messages.

use bytes::Bytes;
use strowger::sip::{Credentials, Fault, Message, Name, StatusCode};

use crate::verdict::{dropped, is, lines, options_with, refused, understood, wire};

/// §3.1.2.1 (badinv01). A deviation on purpose: empty list items and parameters are skipped, not answered with 400. Phones in
/// the field write them, and nothing can hide in nothing.
#[test]
fn extra_separators_are_skipped() {
    let m = understood(&options_with(
        "Via",
        "Via: SIP/2.0/UDP 192.0.2.15;;branch=z9hG4bK1,;,,",
    ));
    assert_eq!(m.top_via().branch(), Some(&b"z9hG4bK1"[..]));
    assert!(m.vias().nth(1).is_some_and(|via| via.is_err()));
}

/// §3.1.2.2 (clerr): a body shorter than promised was cut on its way.
#[test]
fn content_length_beyond_the_datagram_is_refused() {
    let bytes = wire(
        &[
            "MESSAGE sip:user@example.com SIP/2.0",
            "Max-Forwards: 80",
            "To: sip:j.user@example.com",
            "From: sip:caller@example.net;tag=93942939o2",
            "Call-ID: clerr.1",
            "CSeq: 8 MESSAGE",
            "Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bK-39",
            "Content-Type: text/plain",
            "Content-Length: 9999",
        ],
        b"short",
    );
    is(refused(&bytes, 400), "Content-Length", Fault::Syntax);
}

/// §3.1.2.3 (ncl): Content-Length has no sign.
#[test]
fn negative_content_length_is_refused() {
    let bytes = options_with("Content-Length", "Content-Length: -999");
    is(refused(&bytes, 400), "Content-Length", Fault::Syntax);
}

/// §3.1.2.4 (scalar02): numbers that do not fit.
#[test]
fn overlarge_numbers_in_requests_are_refused() {
    refused(
        &options_with("CSeq", "CSeq: 36893488147419103232 OPTIONS"),
        400,
    );
    refused(&options_with("Max-Forwards", "Max-Forwards: 300"), 400);
    refused(
        &options_with("Content-Length", "Content-Length: 18446744073709551616"),
        400,
    );
    let m = understood(&options_with("Expires", "Expires: 1000000000000000000000"));
    assert_eq!(m.expires(), Some(u32::MAX));
    let m = understood(&options_with(
        "Contact",
        "Contact: <sip:lab@192.0.2.4>;expires=280297596632815",
    ));
    let contact = m.contacts().next().expect("one").expect("well formed");
    assert_eq!(contact.expires(), Some(u32::MAX));
}

fn response(start: &str, cseq: &str, via: &str) -> Bytes {
    lines(&[
        start,
        via,
        "From: <sip:user@example.com>;tag=239232jh3",
        "To: <sip:user@example.com>;tag=36893488147419103232",
        "Call-ID: response.1",
        cseq,
        "Content-Length: 0",
    ])
}

const VIA: &str = "Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw";

/// §3.1.2.5 (scalarlg) and §3.1.2.19 (bigcode): a broken response is never answered.
#[test]
fn broken_responses_are_dropped() {
    dropped(&response(
        "SIP/2.0 503 Service Unavailable",
        "CSeq: 9292394834772304023312 OPTIONS",
        VIA,
    ));
    dropped(&response(
        "SIP/2.0 4294967301 better not break the receiver",
        "CSeq: 2 OPTIONS",
        VIA,
    ));
    dropped(&response("SIP/7.0 200 OK", "CSeq: 2 OPTIONS", VIA));
}

/// §3.1.2.6 (quotbal): an open quote swallows the address.
#[test]
fn unbalanced_quotes_in_addresses_are_refused() {
    refused(
        &options_with("To", "To: \"Desk <sip:desk@example.com>"),
        400,
    );
    refused(
        &options_with("From", "From: \"Lab\\\" <sip:lab@example.org>;tag=1"),
        400,
    );
}

/// §3.1.2.7 (ltgtruri), §3.1.2.8 (lwsruri), §3.1.2.9 (lwsstart), §3.1.2.10 (trws): the request line has no slack.
#[test]
fn request_lines_have_no_slack() {
    for line in [
        "OPTIONS <sip:desk@example.com> SIP/2.0",
        "OPTIONS sip:desk@example.com; lr SIP/2.0",
        "OPTIONS  sip:desk@example.com  SIP/2.0",
        "OPTIONS sip:desk@example.com SIP/2.0  ",
    ] {
        refused(&options_with("OPTIONS", line), 400);
    }
}

/// §3.1.2.11 (escruri): headers in a Request-URI read, and say so, for who routes to refuse.
#[test]
fn headers_in_the_request_uri_are_told() {
    let m = understood(&options_with(
        "OPTIONS",
        "OPTIONS sip:desk@example.com?Route=%3Csip:edge.example.com%3E SIP/2.0",
    ));
    assert_eq!(
        m.uri().expect("well formed").headers,
        b"Route=%3Csip:edge.example.com%3E"
    );
    assert_eq!(m.routes().count(), 0);
}

/// §3.1.2.12 (baddate): a date that nobody asks about hurts nobody.
#[test]
fn bad_dates_are_ignored() {
    understood(&options_with("Date", "Date: Fri, 01 Jan 2010 16:00:00 EST"));
}

/// §3.1.2.13 (regbadct): a URI with headers needs brackets.
#[test]
fn contact_with_headers_needs_brackets() {
    let m = understood(&options_with(
        "Contact",
        "Contact: sip:desk@example.com?Route=%3Csip:sip.example.com%3E",
    ));
    assert!(m.contacts().next().is_some_and(|contact| contact.is_err()));
    let m = understood(&options_with(
        "Contact",
        "Contact: <sip:desk@example.com?Route=%3Csip:sip.example.com%3E>",
    ));
    assert!(m.contacts().next().is_some_and(|contact| contact.is_ok()));
}

/// §3.1.2.14 (badaspec) and §3.1.2.15 (baddn). Deviations on purpose: blanks inside the brackets and commas in an unquoted
/// display name are understood, as the RFC lets a server do that knows what was meant.
#[test]
fn sloppy_addresses_are_understood() {
    let m = understood(&options_with(
        "To",
        "To: \"Desk, Front\" < sip:desk@example.com >",
    ));
    assert_eq!(m.to().uri.raw, b"sip:desk@example.com");
    let m = understood(&options_with(
        "From",
        "From: Bell, Alex. (lab) <sip:lab@example.org>;tag=43",
    ));
    assert_eq!(m.from_tag(), Some(&b"43"[..]));
}

/// §3.1.2.16 (badvers): the one status that says why.
#[test]
fn another_version_is_refused_by_name() {
    let bytes = options_with("OPTIONS", "OPTIONS sip:desk@example.com SIP/7.0");
    is(refused(&bytes, 505), "SIP version", Fault::Version);
}

/// §3.1.2.17 (mismatch01) and §3.1.2.18 (mismatch02).
#[test]
fn cseq_of_another_method_is_refused() {
    refused(&options_with("CSeq", "CSeq: 8 INVITE"), 400);
    refused(
        &options_with("OPTIONS", "NEWMETHOD sip:desk@example.com SIP/2.0"),
        400,
    );
}

/// §3.2.1 (badbranch): the cookie alone is no unique branch; the transaction layer matches it the old way.
#[test]
fn a_branch_of_the_cookie_alone_is_read() {
    let m = understood(&options_with(
        "Via",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK",
    ));
    assert_eq!(m.top_via().branch(), Some(&b"z9hG4bK"[..]));
}

/// §3.3.1 (insuf): what has no address cannot be answered.
#[test]
fn requests_without_mandatory_headers_are_refused_or_dropped() {
    dropped(&lines(&[
        "INVITE sip:user@example.com SIP/2.0",
        "CSeq: 193942 INVITE",
        "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj",
        "Content-Length: 0",
    ]));
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        dropped(&options_with(name, "X-Nothing: here"));
    }
}

/// §3.3.5 (bext01): option tags are told apart.
#[test]
fn required_extensions_are_found() {
    let m = understood(&options_with(
        "Require",
        "Require: nothingSupportsThis, nothingSupportsThisEither",
    ));
    assert!(m.has_option_tag(Name::Require, "NOTHINGsupportsthiseither"));
    assert!(!m.has_option_tag(Name::ProxyRequire, "nothingSupportsThis"));
}

/// §3.3.6 (invut): an unknown type of body is no fault of syntax.
#[test]
fn unknown_bodies_are_carried() {
    let m = understood(&wire(
        &[
            "INVITE sip:user@example.com SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf",
            "Max-Forwards: 70",
            "To: sip:j.user@example.com",
            "From: sip:caller@example.net;tag=8392034",
            "Call-ID: invut.1",
            "CSeq: 235448 INVITE",
            "Content-Type: application/unknownformat",
            "Content-Length: 8",
        ],
        b"<audio/>",
    ));
    assert!(m.is_content_type("application/unknownformat"));
    assert!(!m.is_content_type("application/sdp"));
}

/// §3.3.7 (regaut01): credentials of a scheme that we do not know are not ours to read.
#[test]
fn unknown_authorization_schemes_are_told() {
    let m = understood(&options_with(
        "Authorization",
        "Authorization: NoOneKnowsThisScheme opaque-data=here",
    ));
    let value = m.header(Name::Authorization).expect("there");
    assert!(Credentials::parse(value).is_err());
}

/// §3.3.8 (multi01) and §3.3.9 (mcl01): two of what may be once is two messages to two readers.
#[test]
fn doubled_single_headers_are_refused() {
    for (line, name) in [
        ("CSeq: 8 OPTIONS", "CSeq"),
        ("Call-ID: another", "Call-ID"),
        ("i: compact", "Call-ID"),
        ("To : sip:someone.else@example.com", "To"),
        ("f: <sip:another@example.com>;tag=2", "From"),
        ("Max-Forwards: 5", "Max-Forwards"),
        ("l: 0", "Content-Length"),
    ] {
        let bytes = options_with("X", line);
        is(refused(&bytes, 400), name, Fault::Duplicate);
    }
}

/// §3.3.10 (bcast): a response whose Via names a broadcast address reads; nobody sends by it.
#[test]
fn responses_are_not_judged_by_their_second_via() {
    let m = understood(&response(
        "SIP/2.0 200 OK",
        "CSeq: 2 INVITE",
        "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1, SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK2",
    ));
    assert_eq!(m.status(), Some(StatusCode::OK));
    let second = m.vias().nth(1).expect("two").expect("well formed");
    assert_eq!(second.host, b"255.255.255.255");
}

/// §3.3.11 (zeromf): zero hops are readable hops.
#[test]
fn zero_hops_are_read() {
    let m = understood(&options_with("Max-Forwards", "Max-Forwards: 0"));
    assert_eq!(m.max_forwards(), Some(0));
}

/// §3.3.12 (cparam01), §3.3.13 (cparam02), §3.3.14 (regescrt): whose parameter it is depends on the brackets.
#[test]
fn brackets_tell_whose_parameter_it_is() {
    let m = understood(&options_with(
        "Contact",
        "Contact: sip:+15550100@gw1.example.net;unknown, <sip:+15550100@gw1.example.net;unknown>, \
         <sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
    ));
    let contacts: Vec<_> = m
        .contacts()
        .map(|contact| contact.expect("well formed"))
        .collect();
    let of = |index: usize| *contacts[index].addr().expect("an address");
    assert_eq!(of(0).param("unknown"), Some(None));
    assert_eq!(of(0).uri.param("unknown"), None);
    assert_eq!(of(1).param("unknown"), None);
    assert_eq!(of(1).uri.param("unknown"), Some(None));
    assert!(!of(2).uri.headers.is_empty());
}

/// §3.3.15 (sdp01): what the peer accepts is its answerer's to know.
#[test]
fn accept_is_carried() {
    let m = understood(&options_with("Accept", "Accept: text/nobodyKnowsThis"));
    assert_eq!(m.header(Name::Accept), Some(&b"text/nobodyKnowsThis"[..]));
}

/// §3.4.1 (inv2543): neither branch nor tag nor Max-Forwards nor Content-Length, from before RFC 3261.
#[test]
fn requests_of_the_old_kind_are_read() {
    let m = understood(&wire(
        &[
            "INVITE sip:UserB@example.com SIP/2.0",
            "Via: SIP/2.0/UDP iftgw.example.com",
            "From: <sip:+15550111@iftgw.example.com;user=phone>",
            "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>",
            "To: sip:+15550122@ss1.example.net;user=phone",
            "Call-ID: inv2543.1@iftgw.example.com",
            "CSeq: 56 INVITE",
            "Content-Type: application/sdp",
        ],
        b"v=0\r\n",
    ));
    assert_eq!(m.from_tag(), None);
    assert_eq!(m.top_via().branch(), None);
    assert_eq!(m.max_forwards(), None);
    assert_eq!(m.body(), b"v=0\r\n");
    assert_eq!(m.to().param("user"), Some(Some(&b"phone"[..])));
}

#[test]
fn keep_alives_and_noise_are_dropped() {
    for noise in [
        &b""[..],
        b"\r\n\r\n",
        b"\0\0\0\0",
        b"jaK",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        dropped(&Bytes::from_static(noise));
        assert_eq!(Message::salvage(&Bytes::from_static(noise)), None);
    }
}
