//! The top Via: stamped on the way in, followed on the way back (RFC 3261 §18.2, RFC 3581).

use std::net::SocketAddr;

use crate::sip::{Message, Via, edit};

use super::Flow;

/// Writes what we saw into the top Via of a request: `received` when its sent-by is not the source address, or when `rport` asks;
/// the source port as the value of `rport` when it stands there (RFC 3261 §18.2.1, RFC 3581 §4). A `received` that the peer wrote
/// itself is replaced. Responses, and requests with nothing to add, come back as they are.
pub fn stamp(message: Message, source: SocketAddr) -> Message {
    if !message.is_request() {
        return message;
    }
    edit::stamp_received(&message, source.ip().to_canonical(), source.port())
}

/// Where the response to a request goes (RFC 3261 §18.2.2, RFC 3581 §4): over its connection; over UDP to the source address, and
/// there to the source port if `rport` asked for it, else to the port of sent-by. `maddr` is not followed: nobody needs it, and it
/// would let a stranger choose where our responses go.
pub fn response_flow(request_flow: Flow, top_via: &Via<'_>) -> Flow {
    if request_flow.transport.is_reliable() || top_via.rport().is_some() {
        return request_flow;
    }
    with_sent_by_port(request_flow, top_via)
}

/// Where the response goes when the connection of its request is gone: a new one to the source address and the port of sent-by
/// (RFC 3261 §18.2.2).
pub fn new_connection_flow(request_flow: Flow, top_via: &Via<'_>) -> Flow {
    Flow {
        connection: None,
        ..with_sent_by_port(request_flow, top_via)
    }
}

fn with_sent_by_port(flow: Flow, via: &Via<'_>) -> Flow {
    let port = via.port.unwrap_or(flow.transport.default_port());
    let mut remote = flow.remote;
    remote.set_port(port);
    Flow { remote, ..flow }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{ConnectionId, ProfileId, Transport};
    use bytes::Bytes;

    fn request(via: &str) -> Message {
        Message::parse(Bytes::from(format!(
            "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nMax-Forwards: 70\r\nFrom: <sip:b@b>;tag=1\r\n\
             To: <sip:a@a>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )))
        .expect("parses")
    }

    fn stamped(via: &str) -> Message {
        stamp(request(via), "127.0.0.9:40000".parse().expect("an address"))
    }

    fn flow(transport: Transport) -> Flow {
        Flow {
            profile: ProfileId(0),
            transport,
            local: "127.0.0.1:5060".parse().expect("address"),
            remote: "127.0.0.9:40000".parse().expect("address"),
            connection: transport.is_reliable().then_some(ConnectionId(1)),
        }
    }

    #[test]
    fn received_is_added_when_the_sent_by_is_not_the_source() {
        for via in [
            "10.0.0.1:5060;branch=z9hG4bKa",
            "phone.example;branch=z9hG4bKa",
        ] {
            let message = stamped(via);
            let ip = message.top_via().received();
            assert_eq!(ip, Some("127.0.0.9".parse().expect("address")), "{via}");
            assert_eq!(message.top_via().rport(), None);
            assert_eq!(message.top_via().branch(), Some(&b"z9hG4bKa"[..]));
        }
    }

    #[test]
    fn nothing_is_added_when_the_sent_by_is_the_source() {
        let message = stamped("127.0.0.9:5060;branch=z9hG4bKa");
        assert_eq!(message.top_via().received(), None);
        assert_eq!(
            message.bytes(),
            request("127.0.0.9:5060;branch=z9hG4bKa").bytes()
        );
    }

    #[test]
    fn rport_is_filled_and_brings_received_with_it() {
        let message = stamped("127.0.0.9:5060;rport;branch=z9hG4bKa");
        assert_eq!(message.top_via().rport(), Some(Some(40000)));
        assert_eq!(
            message.top_via().received(),
            Some("127.0.0.9".parse().expect("address"))
        );
    }

    #[test]
    fn forged_received_and_rport_are_replaced() {
        let message = stamped("127.0.0.9:5060;rport=1;received=8.8.8.8;branch=z9hG4bKa");
        assert_eq!(message.top_via().rport(), Some(Some(40000)));
        assert_eq!(
            message.top_via().received(),
            Some("127.0.0.9".parse().expect("address"))
        );
    }

    #[test]
    fn stamping_twice_is_stamping_once() {
        let source = "127.0.0.9:40000".parse().expect("address");
        let once = stamped("10.0.0.1;rport;branch=z9hG4bKa");
        let twice = stamp(once.clone(), source);
        assert_eq!(once.bytes(), twice.bytes());
    }

    #[test]
    fn response_follows_connection_then_rport_then_sent_by() {
        let to = |transport, via: &str| {
            response_flow(flow(transport), &request(via).top_via())
                .remote
                .to_string()
        };
        assert_eq!(
            to(Transport::Tcp, "10.0.0.1:5070;branch=z9hG4bKa"),
            "127.0.0.9:40000"
        );
        assert_eq!(
            to(Transport::Udp, "10.0.0.1:5070;rport;branch=z9hG4bKa"),
            "127.0.0.9:40000"
        );
        assert_eq!(
            to(Transport::Udp, "10.0.0.1:5070;branch=z9hG4bKa"),
            "127.0.0.9:5070"
        );
        assert_eq!(
            to(Transport::Udp, "10.0.0.1;branch=z9hG4bKa"),
            "127.0.0.9:5060"
        );
        assert_eq!(
            to(Transport::Udp, "10.0.0.1;maddr=8.8.8.8;branch=z9hG4bKa"),
            "127.0.0.9:5060",
            "maddr is not followed"
        );
        let fresh = new_connection_flow(
            flow(Transport::Tcp),
            &request("10.0.0.1:5070;branch=z9hG4bKa").top_via(),
        );
        assert_eq!(fresh.remote.to_string(), "127.0.0.9:5070");
        assert_eq!(fresh.connection, None);
    }
}
