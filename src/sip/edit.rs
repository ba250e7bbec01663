//! Changes to parsed messages: each gives a new message whose other bytes are the same.
//!
//! A change splices the buffer and moves the spans behind it; nothing is read again except the headers that were changed.
#![deny(clippy::indexing_slicing)]

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};

use super::builder::put_clean;
use super::header::lists::split_at;
use super::message::{First, Line, Message, Parts, Span, Start};
use super::{Name, Via, split_commas};

/// Hops given to a request that came without Max-Forwards (RFC 3261 §16.6 item 3).
const MAX_FORWARDS_DEFAULT: u8 = 70;

/// Notes in the top Via where a request really came from: `received` if sent-by says something else or the sender asked for
/// `rport`, and `rport` if asked for (RFC 3261 §18.2.1, RFC 3581 §4). What the sender wrote there itself is replaced.
pub fn stamp_received(message: &Message, received: IpAddr, rport: u16) -> Message {
    let top = split_commas(message.value_at(message.first.of(Name::Via))).next();
    let Some(via) = top.and_then(|top| Via::parse(top).ok()) else {
        return message.clone();
    };
    let asked = via.rport().is_some();
    let differs = via.host_ip() != Some(received);
    let claimed = via.params.get("received").is_some();
    if !asked && !differs && !claimed {
        return message.clone();
    }
    let mut value = Vec::with_capacity(via.raw.len() + 64);
    let params = Span::of(via.raw, via.params.raw());
    // Without parameters there is no `;` to cut before; the span of nothing may stand anywhere.
    let head = if via.params.raw().is_empty() {
        via.raw.strip_suffix(b";").unwrap_or(via.raw)
    } else {
        via.raw
            .get(..(params.start as usize).saturating_sub(1))
            .unwrap_or_default()
    };
    value.extend_from_slice(head.trim_ascii_end());
    for param in split_at(via.params.raw(), b';') {
        let name = param.split(|&byte| byte == b'=').next().unwrap_or_default();
        let name = name.trim_ascii();
        if param.trim_ascii().is_empty()
            || name.eq_ignore_ascii_case(b"received")
            || name.eq_ignore_ascii_case(b"rport")
        {
            continue;
        }
        value.push(b';');
        value.extend_from_slice(param);
    }
    if asked || differs {
        value.extend_from_slice(format!(";received={received}").as_bytes());
    }
    if asked {
        value.extend_from_slice(format!(";rport={rport}").as_bytes());
    }
    let place = Span::of(message.text(), via.raw);
    splice(message, place, &value).into()
}

/// Puts our Via on top (RFC 3261 §16.6 item 8). `value` is `SIP/2.0/UDP host:port;branch=…`.
pub fn push_via(message: &Message, value: &[u8]) -> Message {
    push(message, Name::Via, value)
}

/// With one more line of that header, before all others of it; first of all when there is none.
pub fn push(message: &Message, name: Name, value: &[u8]) -> Message {
    let index = message.lines.iter().position(|line| line.name == name);
    insert(message, index.unwrap_or(0), name, value)
}

/// With another transport in the top Via: for a request that leaves another way than it was written for (RFC 3261 §18.1.1).
pub fn via_transport(message: &Message, transport: &[u8]) -> Message {
    let place = Span::of(message.text(), message.top_via().transport);
    splice(message, place, transport).into()
}

/// Takes the top Via value off (RFC 3261 §16.7 item 3).
pub fn pop_via(message: &Message) -> Message {
    pop(message, Name::Via)
}

/// Without the first value of that header; the others stay where they are.
pub fn pop(message: &Message, name: Name) -> Message {
    let Some(index) = message.lines.iter().position(|line| line.name == name) else {
        return message.clone();
    };
    let Some(line) = message.lines.get(index) else {
        return message.clone();
    };
    let second = split_commas(line.value.get(message.text())).nth(1);
    match second.map(|value| Span::of(message.text(), value)) {
        Some(next) => {
            let gone = Span {
                start: line.value.start,
                end: next.start,
            };
            let mut changed = splice(message, gone, b"");
            changed.relist();
            changed.into()
        }
        None => remove_lines(message, |at, _| at == index),
    }
}

/// Another Request-URI; a response is left as it is.
pub fn set_uri(message: &Message, uri: &[u8]) -> Message {
    match message.start {
        Start::Request { uri: place } => splice(message, place, uri).into(),
        Start::Response { .. } => message.clone(),
    }
}

/// Without any line of that header. Not for [`Name::Other`].
pub fn remove(message: &Message, name: Name) -> Message {
    remove_lines(message, |_, line| line.name == name && name != Name::Other)
}

/// With one more line of that header, behind all others.
pub fn add(message: &Message, name: Name, value: &[u8]) -> Message {
    insert(message, message.lines.len(), name, value)
}

/// With exactly one line of that header.
pub fn replace(message: &Message, name: Name, value: &[u8]) -> Message {
    let place = message.lines.iter().position(|line| line.name == name);
    let place = place.unwrap_or(message.lines.len());
    insert(&remove(message, name), place, name, value)
}

/// With another body of the same type; Content-Length follows.
pub fn set_body(message: &Message, body: &[u8]) -> Message {
    let length = body.len().to_string();
    let mut changed = Parts::clone(&replace(message, Name::ContentLength, length.as_bytes()));
    let head = changed.body as usize;
    let with = |bytes: &Bytes| {
        let mut out = BytesMut::with_capacity(head + body.len());
        out.extend_from_slice(bytes.get(..head).unwrap_or_default());
        out.extend_from_slice(body);
        out.freeze()
    };
    let unfolded = changed.unfolded.as_ref().map(with);
    changed.bytes = with(&changed.bytes);
    changed.unfolded = unfolded;
    changed.into()
}

/// One hop less; a request without Max-Forwards gets 70 (RFC 3261 §16.6 item 3). `None` when no hop is left: answer 483.
pub fn decrement_max_forwards(message: &Message) -> Option<Message> {
    match message.max_forwards() {
        None => {
            let hops = MAX_FORWARDS_DEFAULT.to_string();
            Some(replace(message, Name::MaxForwards, hops.as_bytes()))
        }
        Some(hops) => {
            let hops = hops.checked_sub(1)?.to_string();
            let place = message.span_at(message.first.of(Name::MaxForwards));
            Some(splice(message, place, hops.as_bytes()).into())
        }
    }
}

impl Parts {
    /// Notes anew which lines are first and what stands in them.
    fn relist(&mut self) {
        self.first = First::NONE;
        for line in std::mem::take(&mut self.lines) {
            self.push_line(line);
        }
        // What is wrong now was made wrong by the edit (the last Via taken off), and is its author's to know.
        let _ = self.check();
    }

    /// The end of the header lines, where the empty line begins, and how this message ends its lines.
    fn head_end(&self) -> (usize, &'static [u8]) {
        let head = self.bytes.get(..self.body as usize).unwrap_or_default();
        match head {
            [.., b'\r', b'\n'] => (head.len() - 2, b"\r\n"),
            [.., b'\n'] => (head.len() - 1, b"\n"),
            _ => (head.len(), b"\r\n"),
        }
    }

    /// All bytes of a line, with its line end and what is folded behind it.
    fn whole_line(&self, index: usize) -> Span {
        let start_of = |index: usize| self.lines.get(index).map(|line| line.start as usize);
        let head_end = self.head_end().0;
        Span::new(
            start_of(index).unwrap_or(head_end),
            start_of(index + 1).unwrap_or(head_end),
        )
    }
}

fn insert(message: &Message, index: usize, name: Name, value: &[u8]) -> Message {
    let index = index.min(message.lines.len());
    let at = message.whole_line(index).start;
    let mut line = BytesMut::with_capacity(value.len() + 32);
    line.extend_from_slice(name.as_str().as_bytes());
    line.extend_from_slice(b": ");
    let value_start = at + line.len() as u32;
    put_clean(&mut line, value.trim_ascii());
    let value_end = at + line.len() as u32;
    line.extend_from_slice(message.head_end().1);
    let mut changed = splice(message, Span { start: at, end: at }, &line);
    changed.lines.insert(
        index,
        Line {
            start: at,
            value: Span {
                start: value_start,
                end: value_end,
            },
            name_length: name.as_str().len() as u16,
            name,
            folded: false,
        },
    );
    changed.relist();
    changed.into()
}

fn remove_lines(message: &Message, mut is_gone: impl FnMut(usize, &Line) -> bool) -> Message {
    let mut changed = Parts::clone(message);
    for index in (0..message.lines.len()).rev() {
        if message
            .lines
            .get(index)
            .is_some_and(|line| is_gone(index, line))
        {
            changed = splice(&changed, changed.whole_line(index), b"");
            changed.lines.remove(index);
        }
    }
    changed.relist();
    changed.into()
}

/// The message with `with` in the place of `place`; CR, LF and NUL are the caller's to avoid except in inserted lines.
fn splice(message: &Parts, place: Span, with: &[u8]) -> Parts {
    let cut = |bytes: &Bytes| -> Bytes {
        let mut out = BytesMut::with_capacity(bytes.len() + with.len());
        let (head, rest) = bytes
            .split_at_checked(place.start as usize)
            .unwrap_or((bytes, &[]));
        let gone = (place.end - place.start) as usize;
        out.extend_from_slice(head);
        out.extend_from_slice(with);
        out.extend_from_slice(rest.get(gone..).unwrap_or_default());
        out.freeze()
    };
    let moved = |at: &mut u32| {
        if *at >= place.end {
            *at = *at - place.end + place.start + with.len() as u32;
        }
    };
    let moved_span = |span: &mut Span| {
        // A span that begins with what is replaced keeps its beginning, unless something is put before it.
        if span.start != place.start || place.start == place.end {
            moved(&mut span.start);
        }
        moved(&mut span.end);
    };
    let mut changed = Parts::clone(message);
    changed.bytes = cut(&message.bytes);
    changed.unfolded = message.unfolded.as_ref().map(cut);
    match &mut changed.start {
        Start::Request { uri } => moved_span(uri),
        Start::Response { reason, .. } => moved_span(reason),
    }
    for line in &mut changed.lines {
        moved(&mut line.start);
        moved_span(&mut line.value);
    }
    moved(&mut changed.body);
    changed.from_tag.iter_mut().for_each(moved_span);
    changed.to_tag.iter_mut().for_each(moved_span);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::StatusCode;

    const REQUEST: &str = "MESSAGE sip:a@example.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK2;rport ,SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK1\r\n\
        Max-Forwards: 100\r\n\
        Subject: one\r\n two\r\n\
        Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK0\r\n\
        From: <sip:b@example.com>;tag=f\r\n\
        To: <sip:a@example.com>;tag=t\r\n\
        Call-ID: c@x\r\n\
        CSeq: 1 MESSAGE\r\n\
        Content-Length: 2\r\n\r\nhi";

    fn parse(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect("well formed")
    }

    /// What an edit gives must be what reading its bytes gives.
    fn assert_consistent(changed: &Message) {
        let read = Message::parse(changed.bytes().clone()).expect("still well formed");
        assert!(read.each_header().eq(changed.each_header()), "{changed}");
        assert_eq!(read.body(), changed.body());
        assert_eq!(read.uri_bytes(), changed.uri_bytes());
        assert_eq!(read.reason_phrase(), changed.reason_phrase());
        assert_eq!(
            (read.from_tag(), read.to_tag(), read.call_id(), read.cseq()),
            (
                changed.from_tag(),
                changed.to_tag(),
                changed.call_id(),
                changed.cseq()
            )
        );
        assert_eq!(read.top_via(), changed.top_via());
        assert_eq!(read.max_forwards(), changed.max_forwards());
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn received_and_rport_are_stamped_into_the_top_via_only() {
        let m = stamp_received(&parse(REQUEST), address("198.51.100.7"), 6000);
        assert_consistent(&m);
        assert_eq!(
            m.top_via().raw,
            b"SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK2;received=198.51.100.7;rport=6000"
        );
        assert_eq!(m.vias().count(), 3);
        assert_eq!(m.header(Name::Subject), Some(&b"one   two"[..]));
        let plain = pop_via(&parse(REQUEST));
        let same = stamp_received(&plain, address("192.0.2.8"), 5060);
        assert_eq!(same, plain);
        let other = stamp_received(&plain, address("2001:db8::1"), 5060);
        assert_consistent(&other);
        assert_eq!(other.top_via().received(), Some(address("2001:db8::1")));
        assert_eq!(other.top_via().rport(), None);
    }

    #[test]
    fn what_the_sender_claims_about_itself_is_replaced() {
        let forged = REQUEST.replace(";rport ,", ";RPORT=1;received=127.0.0.1;x=y,");
        let m = stamp_received(&parse(&forged), address("198.51.100.7"), 6000);
        assert_consistent(&m);
        assert_eq!(
            m.top_via().raw,
            b"SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK2;x=y;received=198.51.100.7;rport=6000"
        );
        let bare = REQUEST.replace(";branch=z9hG4bK2;rport ,", ",");
        let m = stamp_received(&parse(&bare), address("198.51.100.7"), 1);
        assert_consistent(&m);
        assert_eq!(
            m.top_via().raw,
            b"SIP/2.0/UDP 192.0.2.9:5060;received=198.51.100.7"
        );
    }

    #[test]
    fn vias_are_pushed_and_popped_one_by_one() {
        let original = parse(REQUEST);
        let pushed = push_via(&original, b"SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK3");
        assert_consistent(&pushed);
        assert_eq!(pushed.vias().count(), 4);
        assert_eq!(pushed.top_via().branch(), Some(&b"z9hG4bK3"[..]));
        assert_eq!(pop_via(&pushed), original);
        let mut message = pushed;
        for left in (1..4).rev() {
            message = pop_via(&message);
            assert_consistent(&message);
            assert_eq!(message.vias().count(), left);
        }
        message = pop_via(&message);
        assert_eq!(message.vias().count(), 0);
        let again = push_via(&message, b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK9");
        assert_consistent(&again);
        assert_eq!(pop_via(&pop_via(&again)), message);
    }

    #[test]
    fn the_rest_of_the_message_survives_every_edit() {
        let m = parse(REQUEST);
        let m = set_uri(&m, b"sips:someone.else@example.org;transport=tcp");
        assert_consistent(&m);
        assert_eq!(
            m.uri_bytes(),
            b"sips:someone.else@example.org;transport=tcp"
        );
        let m = remove(&m, Name::Subject);
        assert_consistent(&m);
        assert_eq!(m.header(Name::Subject), None);
        let m = add(&m, Name::Route, b"<sip:p1;lr>\r\nEvil: 1");
        let m = add(&m, Name::Route, b"<sip:p2;lr>");
        assert_consistent(&m);
        assert_eq!(m.headers(Name::Route).count(), 2);
        assert_eq!(m.header_by_name("Evil").count(), 0);
        let m = replace(&m, Name::Route, b"<sip:p3;lr>");
        assert_consistent(&m);
        assert_eq!(m.headers(Name::Route).count(), 1);
        assert_eq!(m.body(), b"hi");
    }

    #[test]
    fn hops_are_counted_down_to_the_end() {
        let mut m = parse(REQUEST);
        for left in (0..100).rev() {
            m = decrement_max_forwards(&m).expect("hops are left");
            assert_eq!(m.max_forwards(), Some(left));
        }
        assert_consistent(&m);
        assert!(decrement_max_forwards(&m).is_none());
        let without = remove(&m, Name::MaxForwards);
        let m = decrement_max_forwards(&without).expect("gets some");
        assert_consistent(&m);
        assert_eq!(m.max_forwards(), Some(70));
    }

    #[test]
    fn responses_and_lone_line_feeds_are_edited_in_their_own_style() {
        let text = REQUEST
            .replace("MESSAGE sip:a@example.com SIP/2.0", "SIP/2.0 200 OK")
            .replace("\r\n", "\n");
        let m = pop_via(&parse(&text));
        assert_consistent(&m);
        assert_eq!(m.status(), Some(StatusCode::OK));
        let m = push_via(&m, b"SIP/2.0/UDP h");
        assert_consistent(&m);
        assert_eq!(set_uri(&m, b"sip:x"), m);
    }

    #[test]
    fn another_body_has_another_length() {
        let text = REQUEST.replace("Max-Forwards: 100\r\n", "Max-Forwards: 7\r\n");
        let message = Message::parse(Bytes::from(text)).expect("valid");
        let changed = set_body(&message, b"a longer body than it was");
        assert_eq!(changed.body(), b"a longer body than it was");
        let again = Message::parse(changed.bytes().clone()).expect("still valid");
        assert_eq!(again.body(), changed.body());
        assert_eq!(again.max_forwards(), Some(7));
        assert_eq!(again.header(Name::ContentLength), Some(&b"25"[..]));
    }
}
