//! Scenarios of the server transactions: RFC 3261 §17.2, §9.2, §8.2.2.2, §13.3.1.4, RFC 6026.

use super::*;

const BRANCH: &str = "z9hG4bKs1";

fn invite() -> String {
    request("INVITE", BRANCH, 1)
}

fn ack() -> String {
    request("ACK", BRANCH, 1).replace("To: <sip:bob@127.0.0.1>", "To: <sip:bob@127.0.0.1>;tag=b1")
}

fn ringing() -> (Bench, ServerKey) {
    let mut bench = Bench::new();
    bench.receive(udp(), &invite());
    let key = bench.server_key();
    bench.acts();
    bench.respond(key, &invite(), 180);
    assert_eq!(bench.acts(), ["send 180 (INVITE) to 127.0.0.2:5070"]);
    (bench, key)
}

#[test]
fn hundred_is_sent_after_200_ms_of_silence_and_only_then() {
    let mut bench = Bench::new();
    bench.receive(udp(), &invite());
    let key = bench.server_key();
    assert_eq!(bench.acts(), ["request INVITE"]);
    assert_eq!(
        bench.wait(secs(60)),
        ["200 send 100 (INVITE) to 127.0.0.2:5070"]
    );
    bench.respond(key, &invite(), 180);
    bench.acts();

    let (mut bench, _) = ringing();
    assert!(bench.wait(secs(60)).is_empty());
}

#[test]
fn trying_is_sent_at_once_when_the_user_says_so() {
    let mut bench = Bench::new();
    bench.receive(udp(), &invite());
    let key = bench.server_key();
    bench.acts();
    bench.layer.trying(bench.now, key, &mut bench.out);
    assert_eq!(bench.acts(), ["send 100 (INVITE) to 127.0.0.2:5070"]);
    bench.layer.trying(bench.now, key, &mut bench.out);
    assert!(bench.acts().is_empty());
    assert!(bench.wait(secs(1)).is_empty());
}

#[test]
fn hundred_returns_the_timestamp_and_has_no_to_tag() {
    let mut bench = Bench::new();
    let invite = invite().replace("Max-Forwards: 70", "Max-Forwards: 70\nTimestamp: 54.2");
    bench.receive(udp(), &invite);
    bench.acts();
    bench.now.mono += ms(200);
    bench.layer.on_time(bench.now, &mut bench.out);
    let Some(Act::Send { message, .. }) = bench.out.first() else {
        panic!("a 100 is due");
    };
    assert_eq!(
        message.header(crate::sip::Name::Timestamp),
        Some(&b"54.2"[..])
    );
    assert_eq!(message.to_tag(), None);
}

#[test]
fn retransmitted_invite_gets_the_last_response_and_is_not_passed_on() {
    let (mut bench, key) = ringing();
    bench.receive(udp(), &invite());
    assert_eq!(bench.acts(), ["send 180 (INVITE) to 127.0.0.2:5070"]);
    bench.respond(key, &invite(), 486);
    bench.acts();
    bench.receive(udp(), &invite());
    assert_eq!(bench.acts(), ["send 486 (INVITE) to 127.0.0.2:5070"]);
}

#[test]
fn invite_retransmitted_before_any_response_gets_a_100() {
    let mut bench = Bench::new();
    bench.receive(udp(), &invite());
    bench.acts();
    bench.receive(udp(), &invite());
    assert_eq!(bench.acts(), ["send 100 (INVITE) to 127.0.0.2:5070"]);
}

#[test]
fn lost_ack_lets_g_retransmit_and_h_give_up() {
    let (mut bench, key) = ringing();
    bench.respond(key, &invite(), 486);
    bench.acts();
    let again = |at: u32| format!("{at} send 486 (INVITE) to 127.0.0.2:5070");
    let mut expected: Vec<String> = [
        500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500,
    ]
    .map(again)
    .into();
    expected.push("32000 no ack".to_string());
    assert_eq!(bench.wait(secs(60)), expected);
    bench.assert_empty();
}

#[test]
fn ack_for_non_2xx_ends_retransmission() {
    let (mut bench, key) = ringing();
    bench.respond(key, &invite(), 486);
    bench.acts();
    bench.receive(udp(), &ack());
    bench.receive(udp(), &ack());
    assert!(bench.acts().is_empty(), "absorbed");
    assert!(bench.wait(ms(4_999)).is_empty());
    assert_eq!(bench.layer.counts().invite_servers, 1);
    assert!(bench.wait(ms(1)).is_empty());
    bench.assert_empty();
}

#[test]
fn over_tcp_a_non_2xx_is_not_retransmitted_and_its_ack_ends_all() {
    let mut bench = Bench::new();
    bench.receive(tcp(), &invite());
    let key = bench.server_key();
    bench.respond(key, &invite(), 486);
    bench.acts();
    assert!(bench.wait(secs(31)).is_empty());
    bench.receive(tcp(), &ack());
    assert!(bench.acts().is_empty());
    bench.assert_empty();
}

#[test]
fn over_tcp_h_still_gives_up() {
    let mut bench = Bench::new();
    bench.receive(tcp(), &invite());
    let key = bench.server_key();
    bench.respond(key, &invite(), 486);
    bench.acts();
    assert_eq!(bench.wait(secs(60)), ["32000 no ack"]);
    bench.assert_empty();
}

#[test]
fn two_hundred_is_retransmitted_until_acked() {
    for flow in [udp(), tcp()] {
        let mut bench = Bench::new();
        bench.receive(flow, &invite());
        let key = bench.server_key();
        bench.respond(key, &invite(), 200);
        bench.acts();
        let line = |at: u32| format!("{at} send 200 (INVITE) to {}", flow.remote);
        assert_eq!(bench.wait(secs(4)), [line(500), line(1500), line(3500)]);
        bench.layer.acked(key);
        assert!(bench.wait(secs(27)).is_empty());
        assert_eq!(bench.layer.counts().invite_servers, 1, "L still runs");
        assert!(bench.wait(secs(1)).is_empty());
        bench.assert_empty();
    }
}

#[test]
fn two_hundred_without_ack_ends_in_no_ack() {
    let (mut bench, key) = ringing();
    bench.respond(key, &invite(), 200);
    bench.acts();
    let lines = bench.wait(secs(60));
    assert_eq!(lines.len(), 11);
    assert_eq!(lines.last().map(String::as_str), Some("32000 no ack"));
    bench.assert_empty();
}

#[test]
fn accepted_absorbs_invites_and_lets_the_ack_of_a_2xx_through() {
    let (mut bench, key) = ringing();
    bench.respond(key, &invite(), 200);
    bench.acts();
    bench.receive(udp(), &invite());
    assert!(bench.acts().is_empty());
    // The ACK of a 2xx has a branch of its own; some telephones reuse the INVITE's.
    bench.receive(udp(), &request("ACK", "z9hG4bKother", 1));
    bench.receive(udp(), &ack());
    assert_eq!(bench.acts(), ["ack", "ack"]);
}

#[test]
fn responses_after_the_final_one_are_dropped() {
    let (mut bench, key) = ringing();
    bench.respond(key, &invite(), 486);
    bench.acts();
    for code in [180, 200, 503] {
        bench.respond(key, &invite(), code);
    }
    assert!(bench.acts().is_empty());
}

#[test]
fn cancel_while_ringing_gets_200_and_the_user_answers_487() {
    let (mut bench, key) = ringing();
    let cancel = request("CANCEL", BRANCH, 1);
    bench.receive(udp(), &cancel);
    let Some(Act::Send { message, .. }) = bench.out.first() else {
        panic!("the CANCEL's 200 is due");
    };
    assert_eq!(message.to_tag(), Some(&b"b1"[..]), "that of the 180");
    assert_eq!(
        bench.acts(),
        ["send 200 (CANCEL) to 127.0.0.2:5070", "cancel"]
    );
    bench.receive(udp(), &cancel);
    assert_eq!(
        bench.acts(),
        ["send 200 (CANCEL) to 127.0.0.2:5070"],
        "the retransmission is not passed on"
    );
    bench.respond(key, &invite(), 487);
    bench.receive(udp(), &ack());
    assert_eq!(bench.acts(), ["send 487 (INVITE) to 127.0.0.2:5070"]);
    bench.wait(secs(32));
    bench.assert_empty();
}

#[test]
fn cancel_that_crossed_the_answer_changes_nothing() {
    for code in [200, 486] {
        let (mut bench, key) = ringing();
        bench.respond(key, &invite(), code);
        bench.acts();
        bench.receive(udp(), &request("CANCEL", BRANCH, 1));
        assert_eq!(bench.acts(), ["send 200 (CANCEL) to 127.0.0.2:5070"]);
    }
}

#[test]
fn cancel_of_nothing_gets_481() {
    let (mut bench, _) = ringing();
    bench.receive(udp(), &request("CANCEL", "z9hG4bKunknown", 1));
    assert_eq!(bench.acts(), ["send 481 (CANCEL) to 127.0.0.2:5070"]);
}

#[test]
fn non_invite_is_answered_from_memory_until_j() {
    let mut bench = Bench::new();
    let options = request("OPTIONS", BRANCH, 1);
    bench.receive(udp(), &options);
    let key = bench.server_key();
    bench.receive(udp(), &options);
    assert_eq!(bench.acts(), ["request OPTIONS"], "absorbed while trying");
    bench.respond(key, &options, 100);
    bench.receive(udp(), &options);
    bench.respond(key, &options, 200);
    bench.receive(udp(), &options);
    bench.respond(key, &options, 500);
    let sent = |code| format!("send {code} (OPTIONS) to 127.0.0.2:5070");
    assert_eq!(bench.acts(), [sent(100), sent(100), sent(200), sent(200)]);
    assert!(bench.wait(ms(31_999)).is_empty());
    bench.receive(udp(), &options);
    assert_eq!(bench.acts(), [sent(200)]);
    bench.wait(ms(1));
    bench.assert_empty();
    bench.receive(udp(), &options);
    assert_eq!(bench.acts(), ["request OPTIONS"], "new after J");
}

#[test]
fn over_tcp_a_non_invite_leaves_nothing_behind_its_answer() {
    let mut bench = Bench::new();
    let register = request("REGISTER", BRANCH, 1);
    bench.receive(tcp(), &register);
    let key = bench.server_key();
    bench.respond(key, &register, 200);
    bench.acts();
    bench.assert_empty();
}

#[test]
fn same_branch_with_another_method_or_sent_by_is_another_transaction() {
    let mut bench = Bench::new();
    bench.receive(udp(), &request("OPTIONS", BRANCH, 1));
    bench.receive(udp(), &request("MESSAGE", BRANCH, 1));
    bench.receive(
        udp(),
        &request("OPTIONS", BRANCH, 1).replace("UDP 127.0.0.2:5070", "UDP 127.0.0.3:5070"),
    );
    bench.receive(
        udp(),
        &request("OPTIONS", BRANCH, 1).replace("UDP 127.0.0.2:5070", "UDP 127.0.0.2:5071"),
    );
    assert_eq!(bench.acts().len(), 4);
    bench.receive(
        udp(),
        &request("OPTIONS", BRANCH, 1).replace("UDP 127.0.0.2:5070", "UDP 127.0.0.2:5070 "),
    );
    assert!(bench.acts().is_empty());
}

#[test]
fn sent_by_is_compared_without_case_and_with_the_default_port() {
    let mut bench = Bench::new();
    let with = |sent_by: &str| {
        request("OPTIONS", BRANCH, 1).replace("127.0.0.2:5070;", &format!("{sent_by};"))
    };
    bench.receive(udp(), &with("Phone.Example"));
    bench.receive(udp(), &with("phone.example:5060"));
    assert_eq!(bench.acts(), ["request OPTIONS"]);
}

#[test]
fn old_elements_without_the_cookie_are_matched_by_what_their_messages_say() {
    let mut bench = Bench::new();
    let old = |method: &str| request(method, "1", 1);
    bench.receive(udp(), &old("INVITE"));
    let key = bench.server_key();
    bench.receive(udp(), &old("INVITE"));
    bench.respond(key, &old("INVITE"), 486);
    bench.receive(udp(), &old("INVITE"));
    let sent = |code| format!("send {code} (INVITE) to 127.0.0.2:5070");
    assert_eq!(
        bench.acts(),
        [
            "request INVITE".to_string(),
            sent(100),
            sent(486),
            sent(486)
        ]
    );
    // Another call with the same branch, as such elements send it, is another transaction.
    bench.receive(udp(), &old("INVITE").replace("c1@", "c9@"));
    assert_eq!(bench.acts(), ["request INVITE"]);
    // The ACK counts only with the To tag of the response.
    let ack = |tag: &str| {
        old("ACK").replace(
            "To: <sip:bob@127.0.0.1>",
            &format!("To: <sip:bob@127.0.0.1>;tag={tag}"),
        )
    };
    bench.receive(udp(), &ack("zz"));
    assert_eq!(bench.acts(), ["ack"]);
    bench.receive(udp(), &ack("b1"));
    assert!(bench.acts().is_empty());
    bench.receive(udp(), &request("CANCEL", "1", 1));
    assert_eq!(bench.acts(), ["send 200 (CANCEL) to 127.0.0.2:5070"]);
}

#[test]
fn cookie_alone_is_no_branch() {
    let mut bench = Bench::new();
    bench.receive(udp(), &request("OPTIONS", "z9hG4bK", 1));
    bench.receive(udp(), &request("OPTIONS", "z9hG4bK", 2));
    assert_eq!(bench.acts().len(), 2);
}

#[test]
fn merged_requests_are_found_and_a_second_leg_of_a_dialog_is_none() {
    let mut bench = Bench::new();
    bench.receive(udp(), &request("INVITE", "z9hG4bKone", 1));
    let first = bench.server_key();
    bench.acts();
    bench.receive(udp(), &request("INVITE", "z9hG4bKtwo", 1));
    let second = bench.server_key();
    bench.acts();
    bench.receive(udp(), &request("INVITE", "z9hG4bKthree", 2));
    let third = bench.server_key();
    bench.acts();
    assert!(!bench.layer.is_merged(first));
    assert!(bench.layer.is_merged(second));
    assert!(!bench.layer.is_merged(third));
    let in_dialog = request("INVITE", "z9hG4bKfour", 1)
        .replace("To: <sip:bob@127.0.0.1>", "To: <sip:bob@127.0.0.1>;tag=b1");
    bench.receive(udp(), &in_dialog);
    let fourth = bench.server_key();
    assert!(!bench.layer.is_merged(fourth));
}

#[test]
fn answer_once_keeps_nothing_and_retransmits_nothing() {
    for method in ["INVITE", "REGISTER"] {
        let mut bench = Bench::new();
        let text = request(method, BRANCH, 1);
        bench.receive(udp(), &text);
        let key = bench.server_key();
        bench.acts();
        let refusal = response(&text, 401);
        let now = bench.now;
        bench
            .layer
            .answer_once(now, key, Some(refusal), &mut bench.out);
        assert_eq!(
            bench.acts(),
            [format!("send 401 ({method}) to 127.0.0.2:5070")]
        );
        bench.assert_empty();
        bench.receive(udp(), &text);
        assert_eq!(bench.acts(), [format!("request {method}")]);
        let key = ServerKey::clone(&key);
        bench.layer.answer_once(now, key, None, &mut bench.out);
        assert!(bench.acts().is_empty(), "the old key is stale");
    }
}

#[test]
fn what_was_answered_once_is_remembered_for_as_long_as_it_may_be_asked_again() {
    for method in ["INVITE", "REGISTER"] {
        let mut bench = Bench::new();
        let (text, other) = (
            request(method, BRANCH, 1),
            request(method, "z9hG4bKother", 2),
        );
        let ask = |bench: &mut Bench, flow: Flow, text: &str| {
            bench.receive(flow, text);
            let key = bench.server_key();
            bench.acts();
            key
        };
        let say = |bench: &mut Bench, key: ServerKey, text: &str, code: u16| {
            let now = bench.now;
            let answer = response(text, code);
            bench
                .layer
                .answer_once(now, key, Some(answer), &mut bench.out);
            bench.acts();
        };
        let key = ask(&mut bench, udp(), &text);
        assert_eq!(bench.layer.answered(bench.now, key), None);
        say(&mut bench, key, &text, 401);
        let key = ask(&mut bench, udp(), &text);
        assert_eq!(bench.layer.answered(bench.now, key), Some(401));
        assert!(!bench.layer.was_sent_away(bench.now, key));
        say(&mut bench, key, &text, 503);
        let key = ask(&mut bench, udp(), &other);
        assert_eq!(bench.layer.answered(bench.now, key), None, "another one");
        assert!(!bench.layer.was_sent_away(bench.now, key));
        bench.wait(secs(31));
        let key = ask(&mut bench, udp(), &text);
        assert!(bench.layer.was_sent_away(bench.now, key));
        bench.wait(secs(1));
        assert!(!bench.layer.was_sent_away(bench.now, key), "32 s are over");
        // over a stream nothing is repeated
        let key = ask(&mut bench, tcp(), &request(method, "z9hG4bKtcp", 3));
        say(&mut bench, key, &request(method, "z9hG4bKtcp", 3), 503);
        let key = ask(&mut bench, tcp(), &request(method, "z9hG4bKtcp", 3));
        assert_eq!(bench.layer.answered(bench.now, key), None);
    }
}

#[test]
fn response_goes_to_the_sent_by_port_without_rport_and_to_the_source_with_it() {
    let mut bench = Bench::new();
    let source = Flow {
        remote: "127.0.0.2:33333".parse().expect("address"),
        ..udp()
    };
    let plain = request("OPTIONS", "z9hG4bKp", 1);
    bench.receive(source, &plain);
    let key = bench.server_key();
    bench.respond(key, &plain, 200);
    assert_eq!(
        bench.acts(),
        ["request OPTIONS", "send 200 (OPTIONS) to 127.0.0.2:5070"]
    );
    let symmetric = request("OPTIONS", "z9hG4bKq;rport=33333;received=127.0.0.2", 1);
    bench.receive(source, &symmetric);
    let key = bench.server_key();
    bench.respond(key, &symmetric, 200);
    assert_eq!(
        bench.acts(),
        ["request OPTIONS", "send 200 (OPTIONS) to 127.0.0.2:33333"]
    );
}

#[test]
fn lost_connection_moves_the_response_to_a_new_one() {
    let mut bench = Bench::new();
    bench.receive(tcp(), &invite());
    let key = bench.server_key();
    bench.respond(key, &invite(), 180);
    bench.acts();
    bench.layer.flow_failed(bench.now, &tcp(), &mut bench.out);
    assert_eq!(bench.acts(), ["send 180 (INVITE) to 127.0.0.2:5070"]);
    let without_connection = Flow {
        connection: None,
        remote: "127.0.0.2:5070".parse().expect("address"),
        ..tcp()
    };
    bench
        .layer
        .flow_failed(bench.now, &without_connection, &mut bench.out);
    assert!(bench.acts().is_empty(), "no endless attempts");
    bench.respond(key, &invite(), 200);
    assert_eq!(bench.acts(), ["send 200 (INVITE) to 127.0.0.2:5070"]);
}
