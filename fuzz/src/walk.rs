//! Asks everything that can be asked of a message or a value, and holds the answers against each other.

use std::hint::black_box;

use crate::sdp::{SdpAnswer, SdpOffer, Session};
use crate::sip::{
    Challenge, ContactValue, Credentials, Message, Method, Name, NameAddr, Params, Reason, Uri,
    Via, split_commas,
};

/// Headers that list addresses.
const ADDRESS_LISTS: [Name; 9] = [
    Name::Path,
    Name::ServiceRoute,
    Name::Diversion,
    Name::HistoryInfo,
    Name::PAssertedIdentity,
    Name::PPreferredIdentity,
    Name::RemotePartyId,
    Name::ReferTo,
    Name::ReferredBy,
];

/// Every accessor of a message that was read.
///
/// # Panics
/// If two of them contradict each other.
pub fn message(message: &Message) {
    start_line(message);
    headers(message);
    mandatory(message);
    lists(message);
    body(message);
    black_box((message.to_string(), format!("{message:?}")));
}

fn start_line(message: &Message) {
    assert_eq!(message.is_request(), message.status().is_none());
    assert!(Method::parse(message.method().as_bytes()).as_ref() == Some(message.method()));
    assert_eq!(
        message.method().as_str().as_bytes(),
        message.method().as_bytes()
    );
    if let Some(status) = message.status() {
        assert!((100..=699).contains(&status.as_u16()));
        assert!(!status.default_reason().is_empty());
        assert!(message.uri_bytes().is_empty());
    } else {
        assert!(!message.uri_bytes().is_empty());
        assert!(message.reason_phrase().is_empty());
    }
    if let Ok(read) = message.uri() {
        uri(&read);
    }
}

fn headers(message: &Message) {
    for (name, written, value) in message.each_header() {
        assert_eq!(Name::parse(written), name);
        assert!(!written.is_empty());
        assert!(
            !value.iter().any(|byte| matches!(byte, b'\r' | b'\n')),
            "a fold shows in {value:?}"
        );
        if name == Name::Other {
            let written = std::str::from_utf8(written).expect("a token is ASCII");
            assert!(message.header_by_name(written).any(|other| other == value));
        } else {
            assert!(message.headers(name).any(|other| other == value));
            assert!(
                message
                    .header_by_name(name.as_str())
                    .eq(message.headers(name))
            );
        }
        let text = message.header_text(name).expect("it is there");
        assert!(!text.iter().any(|byte| matches!(byte, b'\r' | b'\n')));
    }
}

fn mandatory(message: &Message) {
    let top = message.vias().next().expect("checked").expect("checked");
    assert_eq!(top, message.top_via());
    assert_eq!(message.from_tag(), message.from().tag());
    assert_eq!(message.to_tag(), message.to().tag());
    assert!(!message.call_id().is_empty());
    assert_eq!(&message.cseq().method, message.method());
    for address in [message.from(), message.to()] {
        name_addr(&address);
    }
    black_box((message.max_forwards(), message.expires()));
}

fn lists(message: &Message) {
    for value in message.vias().flatten() {
        via(&value);
    }
    for value in message.contacts().flatten() {
        contact(&value);
    }
    for address in message.routes().chain(message.record_routes()).flatten() {
        name_addr(&address);
    }
    for name in ADDRESS_LISTS {
        for address in message.addresses(name).flatten() {
            name_addr(&address);
        }
    }
    for name in [Name::Authorization, Name::ProxyAuthorization] {
        for value in message.headers(name) {
            let _ = black_box(Credentials::parse(value));
        }
    }
    for name in [Name::WwwAuthenticate, Name::ProxyAuthenticate] {
        for value in message.headers(name) {
            let _ = black_box(Challenge::parse(value).map(|challenge| challenge.offers_auth()));
        }
    }
    for value in message.headers(Name::Reason).flat_map(split_commas) {
        if let Ok(reason) = Reason::parse(value) {
            assert!(!reason.protocol.is_empty());
        }
    }
    for name in [Name::Supported, Name::Require, Name::Allow] {
        for item in message.headers(name).flat_map(split_commas) {
            if let Ok(item) = std::str::from_utf8(item) {
                assert!(message.has_option_tag(name, item));
            }
        }
    }
}

fn body(message: &Message) {
    assert_eq!(message.body(), &message.body_bytes()[..]);
    assert!(message.bytes().ends_with(message.body()));
    if message.is_content_type("application/sdp") {
        if let Ok(offer) = SdpOffer::parse(message.body_bytes()) {
            session(offer.session());
        }
        if let Ok(answer) = SdpAnswer::parse(message.body_bytes()) {
            session(answer.session());
        }
    }
}

/// Every accessor of a Via value.
pub fn via(via: &Via<'_>) {
    assert!(!via.transport.is_empty() && !via.host.is_empty());
    assert_ne!(via.port, Some(0));
    assert_eq!(via.branch(), via.params.value("branch"));
    params(&via.params);
    black_box((via.received(), via.rport(), via.host_ip()));
    assert_eq!(Via::parse(via.raw).as_ref(), Ok(via));
}

/// Every accessor of a Contact value.
pub fn contact(contact: &ContactValue<'_>) {
    assert!(contact.q() <= 1000);
    assert!(contact.reg_id().is_none_or(|id| id >= 1));
    black_box((contact.expires(), contact.instance()));
    match contact {
        ContactValue::Star => assert!(contact.uri().is_none()),
        ContactValue::Addr(address) => name_addr(address),
    }
}

/// Every accessor of an address.
pub fn name_addr(address: &NameAddr<'_>) {
    uri(&address.uri);
    params(&address.params);
    assert_eq!(address.tag(), address.param("tag").flatten());
    if let Some(text) = address.display_text() {
        assert!(!text.is_empty() && !text.chars().any(char::is_control));
        assert_eq!(text, text.trim());
    }
}

/// Every accessor of a URI.
pub fn uri(uri: &Uri<'_>) {
    assert_eq!(Uri::parse(uri.raw).as_ref(), Ok(uri));
    assert_ne!(uri.port, Some(0));
    assert!(uri.same_as(uri), "{uri:?} differs from itself");
    if let Some(text) = uri.user_text() {
        assert!(!text.chars().any(char::is_control));
        assert_eq!(uri.user_decoded().as_deref(), Some(text.as_str()));
    }
    assert_eq!(uri.user.is_some(), uri.user_decoded().is_some());
    assert_eq!(uri.transport(), uri.param("transport").flatten());
    params(&uri.params);
    black_box(uri.host_ip());
}

/// Every parameter is found under its own name.
pub fn params(params: &Params<'_>) {
    for (name, _) in params.iter() {
        if let Ok(name) = std::str::from_utf8(name) {
            assert!(params.get(name).is_some(), "{name} of {params:?}");
        }
    }
}

/// Every accessor of a session description.
pub fn session(session: &Session) {
    assert_eq!(session.media_count(), session.media().count());
    assert!(session.media_at(session.media_count()).is_none());
    assert!(session.session_lines().next().is_some());
    black_box((session.connection(), session.origin()));
    for (letter, value) in session.session_lines() {
        assert!(letter.is_ascii_alphabetic() && letter != b'm');
        assert!(!value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
        if letter == b'a'
            && let Ok(value) = std::str::from_utf8(value)
        {
            assert!(session.attribute(value).is_some() || value.contains(':') || value.is_empty());
        }
    }
    for (index, media) in session.media().enumerate() {
        let same = session.media_at(index).expect("it is there");
        assert_eq!(same.port(), media.port());
        assert!(!media.kind().is_empty() && !media.profile().is_empty());
        assert!(media.formats().next().is_some());
        for number in media.payload_numbers() {
            assert!(number < 128);
            if let Some(map) = media.rtpmap(number) {
                assert!(map.number == number && map.clock_hz > 0 && map.channels > 0);
                assert!(!map.name.is_empty());
            }
            if let Some(parameters) = media.fmtp(number) {
                assert!(!parameters.is_empty() && !parameters.contains(char::is_control));
            }
        }
        for name in ["rtpmap", "fmtp", "candidate", "crypto", "rtcp-mux"] {
            assert_eq!(media.attribute(name), media.attributes(name).next());
        }
        assert!(media.ptime_ms().is_none_or(|ms| ms > 0));
        assert!(media.rtcp().is_none_or(|rtcp| rtcp.port > 0));
        let direction = media.direction();
        assert_eq!(direction.reversed().reversed(), direction);
        black_box(media.connection());
    }
}
