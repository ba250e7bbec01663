//! Ladders drawn from a ring that holds more than one call.

use super::*;
use crate::base::Now;
use crate::event::{CallFact, Direction, LegRecord, Outcome};
use crate::media::{MediaEvent, StreamStatistics};
use crate::switch::Event;
use crate::transport::{ProfileId, Transport};

fn at(millis: i64) -> Now {
    Now {
        wall: WallTime::from_millis(millis),
        ..Now::default()
    }
}

fn flow(remote: &str) -> Flow {
    Flow {
        profile: ProfileId(0),
        transport: Transport::Udp,
        local: "127.0.0.1:5060".parse().expect("address"),
        remote: remote.parse().expect("address"),
        connection: None,
    }
}

fn leg(number: u128, role: &str, call_id: &str) -> LegRecord {
    LegRecord {
        id: Ulid::from(number),
        party: Party::default(),
        role: role.into(),
        started_at: WallTime::from_millis(0),
        answered_at: None,
        ended_at: WallTime::from_millis(1),
        status: 200,
        call_id: call_id.to_owned(),
        packets: (0, 0),
        peer: None,
        reason: None,
        no_response: false,
    }
}

fn record() -> CallRecord {
    CallRecord {
        id: Ulid::from(7u128),
        direction: Direction::Internal,
        from: Party::default(),
        to: Party::default(),
        started_at: WallTime::from_millis(1_000),
        answered_at: None,
        ended_at: None,
        outcome: Outcome::Answered,
        ended_by: String::new(),
        duration_secs: 1.0,
        queues: Vec::new(),
        agent: None,
        legs: vec![leg(1, "caller", "a@x"), leg(2, "callee", "b@x")],
        transfers: Vec::new(),
        gates: Vec::new(),
        recovered: false,
    }
}

fn fact(trace: &Trace, millis: i64, fact: Fact) {
    trace.fact(&Arc::new(Event {
        seq: 0,
        at: WallTime::from_millis(millis),
        fact,
    }));
}

fn open(stream: u64, port: u16) -> MediaCommand {
    MediaCommand::Open {
        stream: StreamId(stream),
        local: ([127, 0, 0, 1], port).into(),
    }
}

fn lines(ladder: &Ladder) -> Vec<String> {
    let line = |e: &LadderEntry| {
        format!(
            "{} {:?} {:?} {} {}",
            e.at.as_millis(),
            e.kind,
            e.leg,
            e.direction.unwrap_or("-"),
            e.what
        )
    };
    ladder.entries.iter().map(line).collect()
}

const CALLER: &str = "127.0.0.2:5060";
const CALLEE: &str = "127.0.0.3:5060";

/// Two calls at a time, with the port of a call before.
fn ring() -> Trace {
    let trace = Trace::new(1 << 20);
    let say = |millis, way, remote, text: &str| {
        trace.message(at(millis), way, flow(remote), text.as_bytes());
    };
    trace.order(at(100), &open(1, 20_000));
    trace.report(
        at(500),
        &MediaEvent::Closed {
            stream: StreamId(1),
            statistics: StreamStatistics::default(),
        },
    );
    say(
        1_000,
        Heading::In,
        CALLER,
        "INVITE sip:1002@x SIP/2.0\r\nVia: x\r\ni : a@x\r\nAuthorization: Digest response=\"s\"\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\nm=audio 4000 RTP/AVP 8\r\n",
    );
    say(
        1_000,
        Heading::In,
        "127.0.0.9:5060",
        "INVITE sip:1002@x SIP/2.0\r\nCall-ID: other@x\r\nX: a@x\r\nCSeq: 1 INVITE\r\n\r\n",
    );
    fact(
        &trace,
        1_000,
        Fact::Call(CallFact::Started {
            call: Ulid::from(7u128),
            direction: Direction::Internal,
            from: Party::default(),
            to: Party::default(),
        }),
    );
    fact(
        &trace,
        1_000,
        Fact::Acd(crate::acd::AcdEvent::Queued {
            item: Ulid::from(70u128),
            call: Ulid::from(7u128),
            queue: "support".into(),
            position: 3,
            waiting: 3,
        }),
    );
    let offered = |item: u128| {
        Fact::Acd(crate::acd::AcdEvent::AgentOffered {
            offer: Default::default(),
            item: Ulid::from(item),
            agent: "1002".into(),
            queue: "support".into(),
            waited_ms: 1_500,
        })
    };
    fact(&trace, 1_001, offered(71));
    fact(&trace, 1_001, offered(70));
    // the order of a batch: the message first, then the port that it names
    say(
        1_002,
        Heading::Out,
        CALLEE,
        "INVITE sip:1002@127.0.0.3 SIP/2.0\r\nCall-ID: b@x\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\nm=audio 20000 RTP/AVP 8\r\n",
    );
    trace.order(at(1_002), &open(2, 20_000));
    trace.order(at(1_002), &open(3, 20_002));
    say(
        1_100,
        Heading::In,
        CALLEE,
        "SIP/2.0 180 Ringing\r\nCall-ID: b@x\r\nCSeq: 1 INVITE\r\n\r\n",
    );
    trace.report(
        at(1_200),
        &MediaEvent::Digit {
            stream: StreamId(2),
            digit: '5',
            duration: Duration::from_millis(80),
        },
    );
    say(
        1_300,
        Heading::Out,
        CALLER,
        "SIP/2.0 200 OK\r\nCall-ID: a@x\r\nCSeq: 2 BYE\r\n\r\n",
    );
    trace
}

#[test]
fn a_ladder_holds_its_call_and_nothing_of_others() {
    let ladder = draw(&ring(), &record());
    assert_eq!(
        lines(&ladder),
        [
            "1000 Sip Some(0) in INVITE SDP",
            "1000 Remark None - call from  to ",
            "1000 Remark None - queue support, place 3",
            "1001 Remark None - agent offer to 1002 after 1.5 s",
            "1002 Sip Some(1) out INVITE SDP",
            "1002 Media Some(1) - opened at 127.0.0.1:20000",
            "1100 Sip Some(1) in 180 Ringing",
            "1200 Media Some(1) - digit 5, 80 ms",
            "1300 Sip Some(0) out 200 OK (BYE)",
        ]
    );
    assert!(ladder.complete);
    let first = &ladder.entries[0];
    let text = first.message.as_deref().expect("the message");
    assert!(text.contains("Authorization: ***\r\n"), "{text}");
    assert_eq!(first.remote.as_deref(), Some(CALLER));
}

#[test]
fn a_ladder_whose_beginning_is_gone_says_so() {
    let mut late = record();
    late.started_at = WallTime::from_millis(-60_000);
    assert!(!draw(&ring(), &late).complete);
    let mut unknown = record();
    unknown.legs.clear();
    unknown.id = Ulid::from(9u128);
    let ladder = draw(&ring(), &unknown);
    assert!(ladder.entries.is_empty() && !ladder.complete);
}

#[test]
fn hostile_messages_are_matched_by_their_first_call_id_only() {
    for (message, expected) in [
        (
            &b"BYE x SIP/2.0\r\nCall-ID:a\r\nCall-ID:b\r\n\r\n"[..],
            Some(&b"a"[..]),
        ),
        (b"BYE x SIP/2.0\r\nCALL-id : \t a \r\n", Some(b"a")),
        (b"BYE x SIP/2.0\r\n\r\nCall-ID: a\r\n", None),
        (b"BYE x SIP/2.0\r\nno colon\r\nCall-ID: a\r\n", None),
        (b"", None),
    ] {
        assert_eq!(call_id(message), expected);
    }
    assert_eq!(title(b""), "");
    assert_eq!(title(b"SIP/2.0"), "SIP/2.0");
    assert_eq!(title(b"SIP/2.0 200 \x1b[31mOK\r\n"), "200 [31mOK");
    assert_eq!(audio_port(b"\nm=audio 99999 RTP"), None);
    assert_eq!(audio_port(b"\nm=audio "), None);
}

#[test]
fn a_capture_file_holds_the_messages_of_the_call_with_their_addresses() {
    let file = crate::io::trace::pcap::file(&ring(), &record());
    assert_eq!(&file[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let (mut at, mut seen) = (24, Vec::new());
    while at < file.len() {
        let number = |i: usize| u32::from_le_bytes(file[at + i..at + i + 4].try_into().expect("4"));
        let length = number(8) as usize;
        assert_eq!(number(8), number(12));
        let packet = &file[at + 16..at + 16 + length];
        let text = String::from_utf8_lossy(&packet[28..]).into_owned();
        assert!(!text.contains("response="));
        let line = text.lines().next().unwrap_or_default().to_owned();
        seen.push((number(0), packet[15], packet[19], line));
        at += 16 + length;
    }
    let seen: Vec<_> = seen.iter().map(|(s, a, b, l)| (*s, *a, *b, &**l)).collect();
    assert_eq!(
        seen,
        [
            (1, 2, 1, "INVITE sip:1002@x SIP/2.0"),
            (1, 1, 3, "INVITE sip:1002@127.0.0.3 SIP/2.0"),
            (1, 3, 1, "SIP/2.0 180 Ringing"),
            (1, 1, 2, "SIP/2.0 200 OK"),
        ]
    );
}
