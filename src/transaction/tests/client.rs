//! Scenarios of the client transactions: RFC 3261 §17.1, §9.1, RFC 6026.

use super::*;
use crate::sip::Name;

const BRANCH: &str = "z9hG4bKc1";

fn calling(flow: Flow) -> (Bench, ClientKey) {
    let mut bench = Bench::new();
    let key = bench.send(flow, our_request(Method::Invite, BRANCH));
    assert_eq!(bench.acts(), [format!("send INVITE to {}", flow.remote)]);
    (bench, key)
}

fn invite_response(code: u16, tag: &str) -> String {
    their_response(code, tag, "INVITE", BRANCH)
}

/// The one message that came out to be sent.
fn sent(bench: &mut Bench) -> Message {
    let mut sent: Vec<Message> = bench
        .out
        .drain(..)
        .filter_map(|act| match act {
            Act::Send { message, .. } => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(sent.len(), 1);
    sent.pop().expect("one")
}

#[test]
fn a_retransmits_without_bound_and_b_gives_up() {
    let (mut bench, _) = calling(udp());
    let again = |at: u32| format!("{at} send INVITE to 127.0.0.2:5070");
    let mut expected: Vec<String> = [500, 1500, 3500, 7500, 15500, 31500].map(again).into();
    expected.push("32000 timeout for 7".to_string());
    assert_eq!(bench.wait(secs(60)), expected);
    bench.assert_empty();
}

#[test]
fn over_tcp_nothing_is_retransmitted_but_b_gives_up() {
    let (mut bench, _) = calling(tcp());
    assert_eq!(bench.wait(secs(60)), ["32000 timeout for 7"]);
    bench.assert_empty();
}

#[test]
fn provisional_stops_a_and_b_and_100_is_not_passed_on() {
    let (mut bench, _) = calling(udp());
    bench.receive(udp(), &invite_response(100, ""));
    assert!(bench.acts().is_empty());
    bench.receive(udp(), &invite_response(180, "c1"));
    bench.receive(udp(), &invite_response(183, "c1"));
    assert_eq!(
        bench.acts(),
        ["response 180 (INVITE) for 7", "response 183 (INVITE) for 7"]
    );
    assert!(
        bench.wait(secs(600)).is_empty(),
        "ringing has no limit here"
    );
}

#[test]
fn ack_of_a_non_2xx_is_built_as_the_rfc_says_and_sent_for_each_retransmission() {
    let (mut bench, _) = calling(udp());
    bench.receive(udp(), &invite_response(486, "c1"));
    let acts = std::mem::take(&mut bench.out);
    let [Act::Send { message: ack, .. }, Act::Response { .. }] = &acts[..] else {
        panic!("ACK, then the response: {acts:?}");
    };
    assert_eq!(*ack.method(), Method::Ack);
    assert_eq!(ack.uri_bytes(), b"sip:carol@127.0.0.2:5070");
    assert_eq!(ack.top_via().branch(), Some(BRANCH.as_bytes()));
    assert_eq!(ack.vias().count(), 1);
    assert_eq!(ack.cseq().number, 11);
    assert_eq!(ack.cseq().method, Method::Ack);
    assert_eq!(ack.from_tag(), Some(&b"b2"[..]));
    assert_eq!(ack.to_tag(), Some(&b"c1"[..]));
    assert_eq!(ack.call_id(), b"c2@127.0.0.1");
    let routes: Vec<&[u8]> = ack.headers(Name::Route).collect();
    assert_eq!(
        routes,
        [&b"<sip:edge.example;lr>"[..], b"<sip:core.example;lr>"]
    );
    bench.receive(udp(), &invite_response(486, "c1"));
    assert_eq!(bench.acts(), ["send ACK to 127.0.0.2:5070"]);
    assert!(bench.wait(ms(31_999)).is_empty());
    assert_eq!(bench.layer.counts().invite_clients, 1);
    bench.wait(ms(1));
    bench.assert_empty();
}

#[test]
fn over_tcp_a_non_2xx_ends_the_transaction_with_its_ack() {
    let (mut bench, _) = calling(tcp());
    bench.receive(tcp(), &invite_response(486, "c1"));
    assert_eq!(
        bench.acts(),
        ["send ACK to 127.0.0.2:40000", "response 486 (INVITE) for 7"]
    );
    bench.assert_empty();
}

#[test]
fn every_2xx_of_every_fork_is_passed_on_until_m() {
    let (mut bench, _) = calling(udp());
    for tag in ["fork1", "fork2", "fork1"] {
        bench.receive(udp(), &invite_response(200, tag));
    }
    assert_eq!(bench.acts(), ["response 200 (INVITE) for 7"; 3]);
    bench.receive(udp(), &invite_response(180, "fork3"));
    bench.receive(udp(), &invite_response(486, "fork3"));
    assert!(bench.acts().is_empty());
    assert!(bench.wait(secs(32)).is_empty());
    bench.assert_empty();
    bench.receive(udp(), &invite_response(200, "fork1"));
    assert_eq!(bench.acts(), ["stray 200 (INVITE)"]);
}

#[test]
fn cancel_waits_for_a_provisional_response() {
    let (mut bench, key) = calling(udp());
    let reasons = b"SIP;cause=200;text=\"Call completed elsewhere\"\nQ.850;cause=26";
    bench
        .layer
        .cancel(bench.now, key, Some(reasons), &mut bench.out);
    assert!(bench.acts().is_empty(), "nothing is known to have arrived");
    bench.receive(udp(), &invite_response(100, ""));
    let cancel = sent(&mut bench);
    assert_eq!(*cancel.method(), Method::Cancel);
    assert_eq!(cancel.uri_bytes(), b"sip:carol@127.0.0.2:5070");
    assert_eq!(cancel.top_via().branch(), Some(BRANCH.as_bytes()));
    assert_eq!(cancel.cseq().number, 11);
    assert_eq!(cancel.to_tag(), None);
    assert_eq!(cancel.headers(Name::Route).count(), 2);
    let lines: Vec<&[u8]> = cancel.headers(Name::Reason).collect();
    assert_eq!(
        lines,
        [
            &b"SIP;cause=200;text=\"Call completed elsewhere\""[..],
            b"Q.850;cause=26"
        ]
    );
    bench.receive(udp(), &their_response(200, "c1", "CANCEL", BRANCH));
    assert!(
        bench.acts().is_empty(),
        "nobody waits for the CANCEL's answer"
    );
    bench.receive(udp(), &invite_response(487, "c1"));
    assert_eq!(
        bench.acts(),
        ["send ACK to 127.0.0.2:5070", "response 487 (INVITE) for 7"]
    );
    bench.wait(secs(32));
    bench.assert_empty();
}

#[test]
fn cancel_while_ringing_leaves_at_once_and_only_once() {
    let (mut bench, key) = calling(udp());
    bench.receive(udp(), &invite_response(180, "c1"));
    bench.acts();
    bench.layer.cancel(bench.now, key, None, &mut bench.out);
    bench.layer.cancel(bench.now, key, None, &mut bench.out);
    assert_eq!(bench.acts(), ["send CANCEL to 127.0.0.2:5070"]);
    bench.receive(udp(), &invite_response(180, "c1"));
    assert_eq!(bench.acts(), ["response 180 (INVITE) for 7"]);
}

#[test]
fn answer_that_crossed_the_cancel_is_passed_on() {
    for before in [true, false] {
        let (mut bench, key) = calling(udp());
        if before {
            bench.layer.cancel(bench.now, key, None, &mut bench.out);
            bench.receive(udp(), &invite_response(200, "c1"));
            assert_eq!(bench.acts(), ["response 200 (INVITE) for 7"], "no CANCEL");
        } else {
            bench.receive(udp(), &invite_response(200, "c1"));
            bench.layer.cancel(bench.now, key, None, &mut bench.out);
            assert_eq!(bench.acts(), ["response 200 (INVITE) for 7"], "no CANCEL");
        }
        bench.wait(secs(60));
        bench.assert_empty();
    }
}

#[test]
fn cancelled_call_that_never_ends_times_out() {
    let (mut bench, key) = calling(udp());
    bench.receive(udp(), &invite_response(180, "c1"));
    bench.layer.cancel(bench.now, key, None, &mut bench.out);
    bench.acts();
    bench.receive(udp(), &their_response(200, "c1", "CANCEL", BRANCH));
    assert_eq!(bench.wait(secs(60)), ["32000 timeout for 7"]);
    bench.assert_empty();
}

#[test]
fn cancel_is_itself_retransmitted() {
    let (mut bench, key) = calling(udp());
    bench.receive(udp(), &invite_response(180, "c1"));
    bench.layer.cancel(bench.now, key, None, &mut bench.out);
    bench.acts();
    assert_eq!(
        bench.wait(ms(1500)),
        [
            "500 send CANCEL to 127.0.0.2:5070",
            "1500 send CANCEL to 127.0.0.2:5070"
        ]
    );
}

#[test]
fn cancel_is_not_repeated_once_the_invite_has_its_final_response() {
    for status in [200, 486] {
        let (mut bench, key) = calling(udp());
        bench.receive(udp(), &invite_response(180, "c1"));
        bench.layer.cancel(bench.now, key, None, &mut bench.out);
        bench.acts();
        bench.receive(udp(), &invite_response(status, "c1"));
        bench.acts();
        // its own answer may still come, and is nobody's
        bench.receive(udp(), &their_response(481, "c1", "CANCEL", BRANCH));
        assert!(bench.acts().is_empty(), "the answer is absorbed");
        assert!(bench.wait(secs(60)).is_empty(), "nothing is repeated");
        bench.assert_empty();
    }
}

#[test]
fn e_doubles_up_to_t2_and_f_gives_up() {
    let mut bench = Bench::new();
    bench.send(udp(), our_request(Method::Options, BRANCH));
    bench.acts();
    let again = |at: u32| format!("{at} send OPTIONS to 127.0.0.2:5070");
    let mut expected: Vec<String> = [
        500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500,
    ]
    .map(again)
    .into();
    expected.push("32000 timeout for 7".to_string());
    assert_eq!(bench.wait(secs(60)), expected);
    bench.assert_empty();
}

#[test]
fn provisional_slows_a_non_invite_down_but_does_not_stop_it() {
    let mut bench = Bench::new();
    bench.send(udp(), our_request(Method::Options, BRANCH));
    bench.receive(udp(), &their_response(183, "c1", "OPTIONS", BRANCH));
    bench.acts();
    let again = |at: u32| format!("{at} send OPTIONS to 127.0.0.2:5070");
    assert_eq!(bench.wait(secs(10)), [again(500), again(4500), again(8500)]);
    assert_eq!(
        bench.wait(secs(60)).last().map(String::as_str),
        Some("22000 timeout for 7")
    );
    bench.assert_empty();
}

#[test]
fn final_response_to_a_non_invite_is_passed_on_once() {
    let mut bench = Bench::new();
    bench.send(udp(), our_request(Method::Options, BRANCH));
    for _ in 0..2 {
        bench.receive(udp(), &their_response(200, "c1", "OPTIONS", BRANCH));
    }
    assert_eq!(
        bench.acts(),
        [
            "send OPTIONS to 127.0.0.2:5070",
            "response 200 (OPTIONS) for 7"
        ]
    );
    assert!(bench.wait(secs(5)).is_empty());
    bench.assert_empty();
}

#[test]
fn responses_that_nobody_asked_for_are_strays() {
    let (mut bench, _) = calling(udp());
    bench.receive(udp(), &their_response(200, "c1", "INVITE", "z9hG4bKwrong"));
    bench.receive(udp(), &their_response(200, "c1", "BYE", BRANCH));
    assert_eq!(bench.acts(), ["stray 200 (INVITE)", "stray 200 (BYE)"]);
}

#[test]
fn response_with_a_via_below_ours_is_a_stray() {
    let (mut bench, _) = calling(udp());
    let reflected = invite_response(200, "c1").replace(
        "\nFrom:",
        "\nVia: SIP/2.0/UDP 127.0.0.9:5060;branch=z9hG4bKvictim\nFrom:",
    );
    bench.receive(udp(), &reflected);
    assert_eq!(bench.acts(), ["stray 200 (INVITE)"]);
}

#[test]
fn lost_flow_fails_what_has_heard_nothing_and_spares_what_rings() {
    let (mut bench, _) = calling(tcp());
    bench.layer.flow_failed(bench.now, &tcp(), &mut bench.out);
    assert_eq!(bench.acts(), ["failed for 7"]);
    bench.assert_empty();

    let (mut bench, _) = calling(tcp());
    bench.receive(tcp(), &invite_response(180, "c1"));
    bench.acts();
    bench.layer.flow_failed(bench.now, &tcp(), &mut bench.out);
    assert!(bench.acts().is_empty());
    let fresh = Flow {
        connection: Some(ConnectionId(9)),
        ..tcp()
    };
    bench.receive(fresh, &invite_response(200, "c1"));
    assert_eq!(bench.acts(), ["response 200 (INVITE) for 7"]);
}

#[test]
fn failure_of_another_flow_touches_nothing() {
    let (mut bench, _) = calling(tcp());
    let other = Flow {
        connection: Some(ConnectionId(9)),
        ..tcp()
    };
    bench.layer.flow_failed(bench.now, &other, &mut bench.out);
    assert!(bench.acts().is_empty());
    assert_eq!(bench.layer.counts().invite_clients, 1);
}

#[test]
fn forgotten_requests_are_silent_but_a_2xx_to_an_invite_surfaces() {
    let (mut bench, key) = calling(udp());
    bench.layer.forget(key);
    bench.receive(udp(), &invite_response(180, "c1"));
    assert!(bench.acts().is_empty());
    bench.receive(udp(), &invite_response(200, "c1"));
    assert_eq!(bench.acts(), ["stray 200 (INVITE)"]);
    bench.wait(secs(32));
    bench.assert_empty();
}

#[test]
fn responses_go_to_the_latest_user() {
    let (mut bench, key) = calling(udp());
    bench.layer.set_user(key, 8);
    bench.receive(udp(), &invite_response(180, "c1"));
    assert_eq!(bench.acts(), ["response 180 (INVITE) for 8"]);
}
