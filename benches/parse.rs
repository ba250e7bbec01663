//! How long one message takes from bytes to accessors and from builder to bytes. Target: 1.5 µs for a usual INVITE.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use strowger::sip::{Builder, Message, Name, StatusCode, edit};

const INVITE: &str = concat!(
    "INVITE sip:+15550100@sbc.example.net:5060;user=phone SIP/2.0\r\n",
    "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKnashds8.1f7b23;rport;received=192.0.2.10\r\n",
    "Via: SIP/2.0/TCP 198.51.100.4:5061;branch=z9hG4bK77ef4c2312983.1\r\n",
    "Record-Route: <sip:198.51.100.4;transport=tcp;lr;ftag=9fxced76sl>\r\n",
    "Max-Forwards: 68\r\n",
    "From: \"Example Caller\" <sip:+15550123@example.net;user=phone>;tag=9fxced76sl\r\n",
    "To: <sip:+15550100@sbc.example.net;user=phone>\r\n",
    "Call-ID: 3848276298220188511@client.example.net\r\n",
    "CSeq: 102 INVITE\r\n",
    "Contact: <sip:+15550123@192.0.2.10:5060;transport=udp>\r\n",
    "User-Agent: ExamplePhone/7.2.1 (fictional)\r\n",
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE, PRACK, MESSAGE\r\n",
    "Supported: replaces, timer, 100rel, outbound, path\r\n",
    "Session-Expires: 1800;refresher=uac\r\n",
    "Min-SE: 90\r\n",
    "P-Asserted-Identity: <sip:+15550123@example.net>\r\n",
    "Privacy: none\r\n",
    "P-Charging-Vector: icid-value=4bf92f3577b34da6a3ce929d;orig-ioi=example.net\r\n",
    "X-Trace: 4bf92f3577b34da6a3ce929d0e0e4736\r\n",
    "Content-Type: application/sdp\r\n",
    "Content-Length: 246\r\n",
    "\r\n",
    "v=0\r\n",
    "o=- 3724394400 3724394405 IN IP4 192.0.2.10\r\n",
    "s=-\r\n",
    "c=IN IP4 192.0.2.10\r\n",
    "t=0 0\r\n",
    "m=audio 30212 RTP/AVP 8 0 9 101\r\n",
    "a=rtpmap:8 PCMA/8000\r\n",
    "a=rtpmap:0 PCMU/8000\r\n",
    "a=rtpmap:9 G722/8000\r\n",
    "a=rtpmap:101 telephone-event/8000\r\n",
    "a=fmtp:101 0-15\r\n",
    "a=sendrecv\r\n",
);

fn parse(c: &mut Criterion) {
    let datagram = Bytes::from_static(INVITE.as_bytes());
    let message = Message::parse(datagram.clone()).expect("well formed");
    c.bench_function("parse_invite", |b| {
        b.iter(|| Message::parse(black_box(datagram.clone())).expect("well formed"));
    });
    c.bench_function("read_what_routing_reads", |b| {
        b.iter(|| {
            let m = black_box(&message);
            black_box((m.top_via(), m.from_tag(), m.to_tag(), m.call_id(), m.cseq()));
            black_box((m.uri().is_ok(), m.header(Name::SessionExpires)));
        });
    });
    c.bench_function("stamp_received", |b| {
        let source = "203.0.113.5".parse().expect("an address");
        b.iter(|| edit::stamp_received(black_box(&message), source, 5060));
    });
    c.bench_function("build_response", |b| {
        b.iter(|| {
            Builder::response(black_box(&message), StatusCode::RINGING, "")
                .to_tag(b"a6c85cf")
                .header(Name::Contact, "<sip:192.0.2.1>")
                .finish()
        });
    });
}

criterion_group!(benches, parse);
criterion_main!(benches);
