//! Subscriptions: lamps, voicemail, presence, registrations (RFC 6665 and its packages).

use strowger::sip::{Method, Name};
use strowger::switch::Command;

use super::stage::{ms, s};
use super::watch_bench::{Desk, body, code, header, settings, tag, value};

const STATE: Name = Name::SubscriptionState;

#[test]
fn subscriber_is_answered_and_shown_the_whole_state_at_once() {
    let mut desk = Desk::new();
    let answer = desk.subscribes(1002, "dialog;id=3", "1001", "Expires: 120\r\n");
    assert_eq!(code(&answer), 200);
    assert_eq!(header(&answer, Name::Expires), "120");
    assert!(header(&answer, Name::Contact).starts_with("<sip:1001@"));
    let notify = desk.takes(1002);
    assert_eq!(header(&notify, Name::Event), "dialog;id=3");
    assert_eq!(header(&notify, STATE), "active;expires=120");
    assert_eq!(notify.from_tag(), answer.to_tag());
    assert_eq!(notify.to_tag(), Some(&b"t1002"[..]));
    assert_eq!(notify.call_id(), answer.call_id());
    assert!(notify.is_content_type("application/dialog-info+xml"));
    let document = body(&notify);
    assert_eq!(value(&document, "version").as_deref(), Some("0"));
    assert_eq!(value(&document, "state").as_deref(), Some("full"));
    assert_eq!(
        value(&document, "entity").as_deref(),
        Some("sip:1001@pbx.example.com")
    );
    assert!(!document.contains("<dialog "));
    assert_eq!(desk.left(), (0, 0));
}

#[test]
fn lamp_follows_a_call_from_the_first_ring_to_its_end() {
    let mut desk = Desk::new();
    desk.registers(1001);
    desk.subscribes(1003, "dialog", "1001", "");
    desk.takes(1003);
    desk.calls(1002, 1001);
    desk.pass(ms(300));
    let notify = desk.takes(1003);
    assert_eq!(
        value(&body(&notify), "direction").as_deref(),
        Some("recipient")
    );
    assert!(body(&notify).contains("<state>trying</state>"));
    desk.answers(1001, &Method::Invite, 180, "");
    desk.pass(ms(300));
    let notify = desk.takes(1003);
    assert!(
        body(&notify).contains("<state>early</state>"),
        "{}",
        body(&notify)
    );
    let invite = desk.requests(1001, &Method::Invite).pop().expect("called");
    let call_id = String::from_utf8_lossy(invite.call_id()).into_owned();
    assert_eq!(value(&body(&notify), "call-id"), Some(call_id));
    desk.answers(1001, &Method::Invite, 200, "");
    desk.pass(ms(300));
    let notify = desk.takes(1003);
    let document = body(&notify);
    assert!(document.contains("<state>confirmed</state>"), "{document}");
    // the ids that a Replaces header needs: the phone's tag and ours
    let ours = String::from_utf8_lossy(invite.from_tag().expect("ours")).into_owned();
    assert_eq!(value(&document, "local-tag").as_deref(), Some("phone"));
    assert_eq!(value(&document, "remote-tag"), Some(ours));
    assert!(
        document.contains("<identity>sip:1002@pbx.example.com</identity>")
            || document.contains("display=\"Person 1002\">sip:1002@")
    );
    let id = value(&document, "id").expect("an id");
    let bye = desk.requests(1001, &Method::Invite).pop().expect("called");
    let text = format!(
        "BYE sip:x@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.1.1:5060;branch=z9hG4bKbye\r\nMax-Forwards: 70\r\n\
         From: <sip:1001@pbx.example.com>;tag=phone\r\nTo: <sip:x@pbx.example.com>;tag={}\r\nCall-ID: {}\r\nCSeq: 9 BYE\r\nContent-Length: 0\r\n\r\n",
        String::from_utf8_lossy(bye.from_tag().expect("ours")),
        String::from_utf8_lossy(bye.call_id()),
    );
    let bye = strowger::sip::Message::parse(text.into()).expect("a BYE");
    desk.says(1001, &bye);
    desk.pass(ms(300));
    let notify = desk.takes(1003);
    let document = body(&notify);
    assert_eq!(value(&document, "id"), Some(id));
    assert!(document.contains("<state>terminated</state>"), "{document}");
    let versions: Vec<u32> = desk
        .notifies(1003)
        .iter()
        .map(|n| {
            value(&body(n), "version")
                .expect("one")
                .parse()
                .expect("a number")
        })
        .collect();
    assert_eq!(versions, (0..versions.len() as u32).collect::<Vec<u32>>());
    // and then nothing more is said of it
    desk.subscribes(1002, "dialog", "1001", "");
    assert!(!body(&desk.takes(1002)).contains("<dialog "));
}

#[test]
fn caller_that_holds_is_told_as_not_rendering() {
    let mut desk = Desk::new();
    desk.registers(1001);
    desk.calls(1002, 1001);
    desk.answers(1001, &Method::Invite, 200, "");
    let mut answers = desk.sent.iter().rev().map(|(_, m)| m);
    let answer = answers.find(|m| code(m) == 200 && *m.method() == Method::Invite);
    let ours = tag(answer.expect("answered"));
    let call = "Call-ID: 1002-INVITE-1001\r\n";
    desk.asks(1002, "ACK", "1001", 1, &ours, call, "");
    desk.subscribes(1003, "dialog", "1001", "");
    desk.subscribes(1003, "dialog", "1002", "");
    let rendering = |desk: &mut Desk| -> Vec<String> {
        let both = desk.notifies(1003);
        for notify in &both {
            desk.answers_to(1003, notify, 200, "");
        }
        let of = |extension: &str| {
            let entity = format!("entity=\"sip:{extension}@");
            let mut of_it = both.iter().rev().map(body);
            let document = of_it.find(|text| text.contains(&entity)).expect("told");
            let values = document.split("pval=\"").skip(1);
            values
                .map(|v| v.split('"').next().unwrap_or_default())
                .collect::<Vec<_>>()
                .join(" ")
        };
        vec![of("1001"), of("1002")]
    };
    assert_eq!(rendering(&mut desk), ["yes yes", "yes yes"]);
    let held =
        format!("{}a=sendonly\r\n", super::watch_bench::sdp(1002)).replace("o=- 1 1", "o=- 1 2");
    let headers = format!("{call}Content-Type: application/sdp\r\n");
    desk.asks(1002, "INVITE", "1001", 2, &ours, &headers, &held);
    desk.answers(1001, &Method::Invite, 200, "");
    desk.pass(ms(300));
    // each document tells the watched phone's side first
    assert_eq!(rendering(&mut desk), ["yes no", "no yes"]);
}

#[test]
fn bursts_of_changes_become_one_notify() {
    let mut desk = Desk::new();
    desk.registers(1001);
    desk.subscribes(1003, "dialog", "1001", "");
    desk.takes(1003);
    desk.calls(1002, 1001);
    desk.answers(1001, &Method::Invite, 180, "");
    desk.answers(1001, &Method::Invite, 486, "");
    assert_eq!(desk.notifies(1003).len(), 1, "held back for the pause");
    desk.pass(ms(150));
    assert_eq!(desk.notifies(1003).len(), 1);
    desk.pass(ms(100));
    // the call came and went meanwhile: what is told is how it is now, which is how it was
    assert_eq!(desk.notifies(1003).len(), 1);
    desk.answers(1001, &Method::Invite, 486, "");
    desk.calls(1004, 1001);
    desk.pass(ms(300));
    assert_eq!(desk.notifies(1003).len(), 2);
}

#[test]
fn next_notify_waits_for_the_answer_to_the_last() {
    let mut desk = Desk::new();
    desk.registers(1001);
    desk.subscribes(1003, "dialog", "1001", "");
    desk.calls(1002, 1001);
    desk.pass(s(2));
    assert_eq!(desk.notifies(1003).len(), 1);
    desk.takes(1003);
    assert_eq!(desk.notifies(1003).len(), 2);
}

#[test]
fn subscription_is_refreshed_in_its_dialog_and_ends_with_expires_zero() {
    let mut desk = Desk::new();
    let answer = desk.subscribes(1002, "presence", "1001", "");
    let ours = tag(&answer);
    desk.takes(1002);
    desk.pass(s(60));
    let refresh = |desk: &mut Desk, cseq, headers: &str| {
        let answer = desk.asks(1002, "SUBSCRIBE", "1001", cseq, &ours, headers, "");
        code(&answer.expect("an answer"))
    };
    assert_eq!(
        refresh(&mut desk, 2, "Event: presence\r\nExpires: 600\r\n"),
        200
    );
    assert_eq!(header(&desk.takes(1002), STATE), "active;expires=600");
    assert_eq!(desk.notifies(1002).len(), 2);
    // older than one already seen; another package; an id that lies
    assert_eq!(refresh(&mut desk, 2, "Event: presence\r\n"), 500);
    assert_eq!(refresh(&mut desk, 3, "Event: dialog\r\n"), 481);
    assert_eq!(refresh(&mut desk, 3, "Event: presence;id=7\r\n"), 481);
    assert_eq!(
        refresh(&mut desk, 3, "Event: presence\r\nExpires: 1\r\n"),
        423
    );
    assert_eq!(
        refresh(&mut desk, 3, "Event: presence\r\nExpires: 0\r\n"),
        200
    );
    let last = desk.takes(1002);
    assert_eq!(header(&last, STATE), "terminated;reason=timeout");
    assert!(!last.body().is_empty());
    assert_eq!(refresh(&mut desk, 4, "Event: presence\r\n"), 481);
    assert_eq!(desk.left(), (0, 0));
}

#[test]
fn subscription_that_is_not_refreshed_ends_with_its_time() {
    let mut desk = Desk::new();
    desk.subscribes(1002, "dialog", "1001", "Expires: 60\r\n");
    desk.takes(1002);
    desk.pass(ms(59_900));
    assert_eq!(desk.notifies(1002).len(), 1);
    desk.pass(ms(200));
    assert_eq!(
        header(&desk.takes(1002), STATE),
        "terminated;reason=timeout"
    );
    desk.registers(1001);
    desk.calls(1003, 1001);
    desk.pass(s(1));
    assert_eq!(desk.notifies(1002).len(), 2);
}

#[test]
fn fetch_shows_the_state_and_leaves_nothing_behind() {
    let mut desk = Desk::new();
    let answer = desk.subscribes(1002, "presence", "1001", "Expires: 0\r\n");
    assert_eq!(
        (code(&answer), header(&answer, Name::Expires)),
        (200, "0".into())
    );
    let notify = desk.takes(1002);
    assert_eq!(header(&notify, STATE), "terminated;reason=timeout");
    assert_eq!(value(&body(&notify), "basic").as_deref(), Some("closed"));
    assert!(
        desk.journal
            .iter()
            .all(|record| !format!("{record:?}").starts_with("Subscribed"))
    );
    desk.registers(1001);
    desk.pass(s(2));
    assert_eq!(desk.notifies(1002).len(), 1);
    assert_eq!(desk.left(), (0, 0));
}

#[test]
fn packages_and_times_that_are_not_served_are_refused_with_what_is() {
    let mut desk = Desk::new();
    let answer = desk.subscribes(1002, "kpml", "1001", "");
    assert_eq!(code(&answer), 489);
    let served = "dialog, message-summary, presence, reg";
    assert_eq!(header(&answer, Name::AllowEvents), served);
    let unknown = desk.asks(
        1002,
        "SUBSCRIBE",
        "1001",
        5,
        "nosuchtag0000000",
        "Event: kpml\r\n",
        "",
    );
    assert_eq!(code(&unknown.expect("an answer")), 489);
    let gone = desk.asks(
        1002,
        "SUBSCRIBE",
        "1001",
        6,
        "nosuchtag0000000",
        "Event: dialog\r\n",
        "",
    );
    let gone = gone.expect("an answer");
    assert_eq!(
        (code(&gone), header(&gone, Name::AllowEvents)),
        (481, served.into())
    );
    let brief = desk.subscribes(1002, "dialog", "1001", "Expires: 5\r\n");
    assert_eq!(
        (code(&brief), header(&brief, Name::MinExpires)),
        (423, "60".into())
    );
    let long = desk.subscribes(1002, "dialog", "1001", "Expires: 4294967295\r\n");
    assert_eq!(
        (code(&long), header(&long, Name::Expires)),
        (200, "3600".into())
    );
    let body = desk.subscribes(1002, "presence", "1001", "Accept: text/plain\r\n");
    assert_eq!(code(&body), 406);
    assert_eq!(code(&desk.subscribes(1002, "dialog", "7777", "")), 404);
    assert_eq!(desk.notifies(1002).len(), 1);
}

#[test]
fn what_is_private_is_shown_to_its_owner_and_to_who_keeps_the_server() {
    let mut desk = Desk::new();
    for event in ["message-summary", "reg"] {
        assert_eq!(
            code(&desk.subscribes(1001, event, "1001", "")),
            200,
            "{event}"
        );
        assert_eq!(
            code(&desk.subscribes(1002, event, "1001", "")),
            403,
            "{event}"
        );
        assert_eq!(
            code(&desk.subscribes(1004, event, "1001", "")),
            200,
            "{event}"
        );
    }
    for event in ["dialog", "presence"] {
        assert_eq!(
            code(&desk.subscribes(1002, event, "1001", "")),
            200,
            "{event}"
        );
    }
    assert_eq!(code(&desk.subscribes(1999, "dialog", "1001", "")), 403);
}

#[test]
fn subscription_of_one_account_is_not_refreshed_by_another() {
    let mut desk = Desk::new();
    let ours = tag(&desk.subscribes(1002, "dialog", "1001", ""));
    let flow = desk.flow(1003);
    let stolen = desk.asks_on(
        flow,
        1002,
        "SUBSCRIBE",
        "1001",
        2,
        &ours,
        "Event: dialog\r\n",
        "",
    );
    // the profile of this bench believes From; what the notifier compares is the account
    assert_eq!(code(&stolen.expect("an answer")), 200);
    let other = format!(
        "SUBSCRIBE sip:1001@pbx.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.3.1:5060;branch=z9hG4bKsteal\r\nMax-Forwards: 70\r\n\
         From: <sip:1003@pbx.example.com>;tag=t1002\r\nTo: <sip:1001@pbx.example.com>;tag={ours}\r\nCall-ID: 1002-SUBSCRIBE-1001\r\n\
         CSeq: 3 SUBSCRIBE\r\nContact: <sip:1003@10.0.3.1>\r\nEvent: dialog\r\nContent-Length: 0\r\n\r\n"
    );
    let other = strowger::sip::Message::parse(other.into()).expect("a request");
    desk.says(1003, &other);
    assert_eq!(code(&desk.sent.last().expect("an answer").1), 403);
}

#[test]
fn subscriber_that_knows_nothing_of_it_or_is_silent_loses_its_subscription() {
    for answer in [Some(481), Some(489), Some(500), None] {
        let mut desk = Desk::new();
        desk.registers(1001);
        desk.subscribes(1003, "dialog", "1001", "");
        match answer {
            Some(status) => desk.answers(1003, &Method::Notify, status, ""),
            None => desk.pass(s(33)),
        }
        desk.calls(1002, 1001);
        desk.pass(s(2));
        assert_eq!(desk.notifies(1003).len(), 1, "{answer:?}");
        let forgotten = desk
            .journal
            .iter()
            .filter(|r| format!("{r:?}").starts_with("Unsubscribed"));
        assert_eq!(forgotten.count(), 1, "{answer:?}");
    }
}

#[test]
fn subscriber_that_is_busy_keeps_its_subscription_and_is_told_later() {
    let mut desk = Desk::new();
    desk.subscribes(1003, "dialog", "1001", "");
    desk.answers(1003, &Method::Notify, 503, "Retry-After: 10");
    desk.pass(s(9));
    assert_eq!(desk.notifies(1003).len(), 1);
    desk.pass(s(2));
    assert_eq!(desk.notifies(1003).len(), 2);
    desk.answers(1003, &Method::Notify, 503, "");
    desk.pass(s(31));
    assert_eq!(desk.notifies(1003).len(), 3);
    desk.answers(1003, &Method::Notify, 480, "Retry-After: 4294967295");
    desk.pass(s(601));
    assert_eq!(desk.notifies(1003).len(), 4);
}

#[test]
fn same_subscribe_on_two_paths_is_one_and_a_new_one_takes_the_place_of_the_old() {
    let mut desk = Desk::new();
    desk.registers(1001);
    desk.subscribes(1003, "dialog", "1001", "");
    desk.takes(1003);
    assert_eq!(code(&desk.subscribes(1003, "dialog", "1001", "")), 482);
    let again = desk.asks(1003, "SUBSCRIBE", "1001", 2, "", "Event: dialog\r\n", "");
    assert_eq!(code(&again.expect("an answer")), 200);
    desk.takes(1003);
    // two subscriptions by id in what is otherwise the same dialog half stand side by side
    let other = desk.asks(
        1003,
        "SUBSCRIBE",
        "1001",
        3,
        "",
        "Event: dialog;id=2\r\n",
        "",
    );
    assert_eq!(code(&other.expect("an answer")), 200);
    desk.takes(1003);
    desk.calls(1002, 1001);
    desk.pass(ms(300));
    assert_eq!(desk.notifies(1003).len(), 5);
}

#[test]
fn subscriptions_of_an_account_are_bounded_and_floods_get_no_answer() {
    let mut desk = Desk::new();
    let ask = |desk: &mut Desk, n: u32| {
        let headers = format!("Call-ID: flood{n}\r\nEvent: dialog\r\n");
        let answer = desk.asks(1003, "SUBSCRIBE", "1001", 1, "", &headers, "");
        answer.map(|answer| code(&answer))
    };
    let (mut taken, mut silent) = (0, 0);
    for n in 0..4_000 {
        match ask(&mut desk, n) {
            Some(200) => taken += 1,
            None => silent += 1,
            other => panic!("a flood is answered with {other:?}"),
        }
    }
    assert!((100..=500).contains(&taken), "{taken}");
    assert_eq!(taken + silent, 4_000);
    assert_eq!(code(&desk.subscribes(1002, "dialog", "1001", "")), 200);
    // nobody answered the NOTIFYs of the flood: all of it goes, and the account may ask again
    desk.pass(s(60));
    let mut answers = std::collections::BTreeMap::new();
    for n in 5_000..5_510 {
        *answers.entry(ask(&mut desk, n)).or_insert(0) += 1;
        let (_, last) = desk.sent.last().expect("something").clone();
        if last.is_request() {
            desk.answers_to(1003, &last, 200, "");
        }
        desk.pass(ms(200));
    }
    let all = [(Some(200), 500), (Some(403), 10)];
    assert_eq!(answers, all.into_iter().collect());
}

#[test]
fn voicemail_lamp_is_lit_for_who_subscribed() {
    let mut desk = Desk::new();
    desk.subscribes(1001, "message-summary", "1001", "");
    let notify = desk.takes(1001);
    assert!(body(&notify).starts_with("Messages-Waiting: no\r\n"));
    let messages = |new, old| Command::SetMessages {
        extension: "1001".into(),
        new,
        old,
    };
    desk.command(messages(2, 1));
    desk.pass(s(1));
    let text = body(&desk.takes(1001));
    assert!(
        text.contains("Messages-Waiting: yes\r\n") && text.contains("Voice-Message: 2/1 (0/0)")
    );
    desk.command(messages(2, 1));
    desk.pass(s(2));
    assert_eq!(desk.notifies(1001).len(), 2, "no news");
    desk.restarts(None);
    desk.pass(s(1));
    assert!(body(&desk.takes(1001)).contains("Voice-Message: 2/1"));
}

#[test]
fn device_is_told_of_its_messages_unasked_where_the_profile_says_so() {
    let mut desk = Desk::with(settings(|name, text| match name {
        "sip-profiles/internal.toml" => format!("unsolicited-mwi = true\n{text}"),
        _ => text,
    }));
    desk.registers(1001);
    let first = desk.takes(1001);
    assert_eq!(header(&first, Name::Event), "message-summary");
    assert!(body(&first).starts_with("Messages-Waiting: no"));
    desk.command(Command::SetMessages {
        extension: "1001".into(),
        new: 1,
        old: 0,
    });
    assert!(body(&desk.takes(1001)).starts_with("Messages-Waiting: yes"));
    // a refresh is no news, and without the key nobody is told
    let flow = desk.flow(1001);
    desk.registers_on(flow, 1001, 2, 3600);
    assert_eq!(desk.notifies(1001).len(), 2);
    let mut plain = Desk::new();
    plain.registers(1001);
    assert!(plain.notifies(1001).is_empty());
}

#[test]
fn presence_is_composed_of_registration_calls_and_what_is_published() {
    let mut desk = Desk::new();
    desk.subscribes(1002, "presence", "1001", "");
    assert_eq!(
        value(&body(&desk.takes(1002)), "basic").as_deref(),
        Some("closed")
    );
    desk.registers(1001);
    desk.pass(s(1));
    assert_eq!(
        value(&body(&desk.takes(1002)), "basic").as_deref(),
        Some("open")
    );
    let document = "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='x'><tuple id='a'><status><basic>closed</basic></status><note>at lunch</note></tuple></presence>";
    let publish = |desk: &mut Desk, from, more: &str, body: &str| {
        let headers = format!("Event: presence\r\nContent-Type: application/pidf+xml\r\n{more}");
        desk.asks(from, "PUBLISH", "1001", 1, "", &headers, body)
            .expect("an answer")
    };
    let answer = publish(&mut desk, 1001, "Expires: 300\r\n", document);
    assert_eq!(
        (code(&answer), header(&answer, Name::Expires)),
        (200, "300".into())
    );
    let etag = header(&answer, Name::SipETag);
    desk.pass(s(1));
    assert!(body(&desk.takes(1002)).contains("<note>at lunch</note>"));
    assert_eq!(code(&publish(&mut desk, 1002, "", document)), 403);
    assert_eq!(
        code(&publish(&mut desk, 1001, "SIP-If-Match: x\r\n", "")),
        412
    );
    assert_eq!(code(&publish(&mut desk, 1001, "", "<presence")), 400);
    let other = publish(&mut desk, 1001, "Expires: 1\r\n", document);
    assert_eq!(
        (code(&other), header(&other, Name::MinExpires)),
        (423, "60".into())
    );
    let kind = desk.asks(
        1001,
        "PUBLISH",
        "1001",
        1,
        "",
        "Event: presence\r\nContent-Type: text/plain\r\n",
        "hello",
    );
    let kind = kind.expect("an answer");
    assert_eq!(
        (code(&kind), header(&kind, Name::Accept)),
        (415, "application/pidf+xml".into())
    );
    let event = desk
        .asks(1001, "PUBLISH", "1001", 1, "", "Event: dialog\r\n", "x")
        .expect("an answer");
    assert_eq!(code(&event), 489);
    assert!(header(&event, Name::AllowEvents).contains("presence"));
    let removed = publish(
        &mut desk,
        1001,
        &format!("SIP-If-Match: {etag}\r\nExpires: 0\r\n"),
        "",
    );
    assert_eq!(code(&removed), 200);
    desk.pass(s(1));
    assert!(!body(&desk.takes(1002)).contains("at lunch"));
    desk.calls(1003, 1001);
    desk.pass(s(1));
    assert!(body(&desk.takes(1002)).contains("<rpid:on-the-phone/>"));
}

#[test]
fn registrations_are_shown_with_those_that_left() {
    let mut desk = Desk::new();
    desk.subscribes(1001, "reg", "1001", "");
    let document = body(&desk.takes(1001));
    assert!(document.contains("state=\"init\""), "{document}");
    desk.registers(1001);
    desk.pass(s(1));
    let document = body(&desk.takes(1001));
    assert!(
        document.contains("state=\"active\" event=\"registered\""),
        "{document}"
    );
    assert!(
        document.contains("<uri>sip:1001@10.0.1.1:5060</uri>"),
        "{document}"
    );
    let flow = desk.flow(1001);
    desk.registers_on(flow, 1001, 2, 0);
    desk.pass(s(1));
    let document = body(&desk.takes(1001));
    assert!(
        document.contains("state=\"terminated\" event=\"unregistered\""),
        "{document}"
    );
    assert_eq!(value(&document, "version").as_deref(), Some("2"));
}

#[test]
fn list_shows_all_its_members_and_then_only_those_that_changed() {
    let mut desk = Desk::new();
    desk.registers(1001);
    let refused = desk.subscribes(1003, "dialog", "desk", "");
    assert_eq!(
        (code(&refused), header(&refused, Name::Require)),
        (421, "eventlist".into())
    );
    let more = "Supported: eventlist\r\nAccept: multipart/related, application/rlmi+xml, application/dialog-info+xml\r\n";
    let answer = desk.asks(
        1003,
        "SUBSCRIBE",
        "desk",
        2,
        "",
        &format!("Event: dialog\r\n{more}"),
        "",
    );
    let answer = answer.expect("an answer");
    assert_eq!(
        (code(&answer), header(&answer, Name::Require)),
        (200, "eventlist".into())
    );
    let notify = desk.takes(1003);
    assert_eq!(header(&notify, Name::Require), "eventlist");
    assert!(
        header(&notify, Name::ContentType)
            .starts_with("multipart/related;type=\"application/rlmi+xml\";start=\"<")
    );
    let text = body(&notify);
    assert_eq!(value(&text, "fullState").as_deref(), Some("true"));
    assert_eq!(text.matches("<dialog-info").count(), 2);
    assert!(text.contains("<name>Person 1002</name>"));
    desk.calls(1004, 1001);
    desk.pass(ms(300));
    let text = body(&desk.takes(1003));
    assert_eq!(value(&text, "fullState").as_deref(), Some("false"));
    assert_eq!(value(&text, "version").as_deref(), Some("1"));
    assert_eq!(text.matches("<dialog-info").count(), 1);
    assert!(text.contains("<state>trying</state>"), "{text}");
    assert_eq!(
        code(&desk.subscribes(1003, "reg", "desk", "Supported: eventlist\r\n")),
        403
    );
}

#[test]
fn lamps_come_back_after_a_restart_with_numbers_that_go_on() {
    let mut desk = Desk::new();
    desk.registers(1001);
    let answer = desk.subscribes(1003, "dialog;id=9", "1001", "Expires: 600\r\n");
    let before = desk.takes(1003);
    desk.subscribes(1002, "dialog", "1001", "Expires: 60\r\n");
    desk.takes(1002);
    desk.pass(s(100));
    let list = "Supported: eventlist\r\n";
    desk.subscribes(1002, "dialog", "desk", list);
    desk.takes(1002);
    desk.restarts(None);
    desk.pass(ms(10));
    let after = desk.takes(1003);
    assert_eq!(after.call_id(), before.call_id());
    assert_eq!(
        (after.from_tag(), after.to_tag()),
        (before.from_tag(), before.to_tag())
    );
    assert!(after.cseq().number > before.cseq().number);
    assert_eq!(header(&after, Name::Event), "dialog;id=9");
    assert!(header(&after, STATE).starts_with("active;expires=500"));
    let number = |text: &str| {
        value(text, "version")
            .expect("one")
            .parse::<u32>()
            .expect("a number")
    };
    assert!(number(&body(&after)) > number(&body(&before)));
    assert_eq!(value(&body(&after), "state").as_deref(), Some("full"));
    // the one whose time was over is not there, the list is
    let others = desk.notifies(1002);
    assert_eq!(others.len(), 1);
    assert!(body(&others[0]).contains("fullState=\"true\""));
    // and it is the same subscription: a call is shown, a refresh is taken
    desk.calls(1002, 1001);
    desk.pass(ms(300));
    assert!(body(&desk.takes(1003)).contains("<state>trying</state>"));
    let refresh = desk.asks(
        1003,
        "SUBSCRIBE",
        "1001",
        2,
        &tag(&answer),
        "Event: dialog;id=9\r\n",
        "",
    );
    assert_eq!(code(&refresh.expect("an answer")), 200);
}

#[test]
fn numbers_never_repeat_however_often_the_process_dies() {
    let mut desk = Desk::new();
    desk.registers(1001);
    desk.subscribes(1003, "presence", "1001", "");
    let mut last = desk.takes(1003).cseq().number;
    for round in 0..3 {
        for n in 0..70 {
            let flow = desk.flow(1001);
            desk.registers_on(flow, 1001, 1000 * (round + 1) + n, 3600 * (n % 2));
            desk.pass(s(2));
            let number = desk.takes(1003).cseq().number;
            assert!(number > last);
            last = number;
        }
        desk.restarts(None);
        desk.pass(ms(10));
        let number = desk.takes(1003).cseq().number;
        assert!(number > last, "{number} after {last}");
        last = number;
    }
}

#[test]
fn phone_on_a_connection_is_told_when_it_is_back() {
    let mut desk = Desk::new();
    desk.registers(1001);
    let old = desk.stream(1003, 7);
    desk.registers_on(old, 1003, 1, 3600);
    let answer = desk.asks_on(
        old,
        1003,
        "SUBSCRIBE",
        "1001",
        1,
        "",
        "Event: dialog\r\n",
        "",
    );
    assert_eq!(code(&answer.expect("an answer")), 200);
    let first = desk.notifies(1003).pop().expect("a NOTIFY");
    let ok = strowger::sip::Builder::response(&first, strowger::sip::StatusCode::OK, "").finish();
    desk.says_on(old, &ok);
    desk.restarts(None);
    desk.pass(s(1));
    assert!(desk.notifies(1003).is_empty(), "there is no way to it yet");
    let new = desk.stream(1003, 8);
    desk.registers_on(new, 1003, 2, 3600);
    let (flow, _) = desk
        .sent
        .iter()
        .rev()
        .find(|(_, m)| *m.method() == Method::Notify && m.is_request())
        .expect("a NOTIFY");
    assert_eq!(flow.connection, new.connection);
    // the same without a restart
    let second = desk.notifies(1003).pop().expect("a NOTIFY");
    let ok = strowger::sip::Builder::response(&second, strowger::sip::StatusCode::OK, "").finish();
    desk.says_on(new, &ok);
    desk.give(strowger::switch::Input::ConnectionClosed {
        connection: new.connection.expect("one"),
    });
    desk.calls(1002, 1001);
    desk.pass(s(1));
    assert_eq!(desk.notifies(1003).len(), 1);
    let newest = desk.stream(1003, 9);
    desk.registers_on(newest, 1003, 3, 3600);
    let notifies = desk.notifies(1003);
    assert_eq!(notifies.len(), 2);
    assert!(body(&notifies[1]).contains("<state>trying</state>"));
}

#[test]
fn subscription_to_somebody_who_leaves_the_house_ends() {
    let mut desk = Desk::new();
    desk.subscribes(1003, "dialog", "1002", "");
    desk.takes(1003);
    desk.subscribes(1001, "reg", "1001", "");
    desk.takes(1001);
    let without = settings(|name, text| match name {
        "directory/people.toml" => text
            .replace("extension = \"1002\"", "extension = \"1005\"")
            .replace("\"1002\"", "\"1003\""),
        _ => text,
    });
    // and so does that of a phone that has gone away itself, although nobody can be told
    let away = desk.stream(1004, 3);
    desk.registers_on(away, 1004, 1, 3600);
    desk.asks_on(
        away,
        1004,
        "SUBSCRIBE",
        "1002",
        1,
        "",
        "Event: dialog\r\n",
        "",
    );
    desk.give(strowger::switch::Input::ConnectionClosed {
        connection: away.connection.expect("one"),
    });
    desk.give(strowger::switch::Input::Settings(without));
    let forgotten = desk
        .journal
        .iter()
        .filter(|r| format!("{r:?}").starts_with("Unsubscribed"));
    assert_eq!(forgotten.count(), 2);
    assert_eq!(
        header(&desk.takes(1003), STATE),
        "terminated;reason=noresource"
    );
    assert_eq!(desk.notifies(1001).len(), 1);
}

#[test]
fn subscription_of_who_may_no_longer_watch_ends_as_rejected() {
    let mut desk = Desk::new();
    desk.subscribes(1004, "message-summary", "1001", "");
    assert_eq!(
        header(&desk.takes(1004), STATE).split(';').next(),
        Some("active")
    );
    let demoted = settings(|name, text| match name {
        "directory/people.toml" => text.replace("role = \"admin\"", "role = \"agent\""),
        _ => text,
    });
    desk.give(strowger::switch::Input::Settings(demoted));
    assert_eq!(
        header(&desk.takes(1004), STATE),
        "terminated;reason=rejected"
    );
}

#[test]
fn publications_are_taken_from_their_person_only() {
    let mut desk = Desk::new();
    let document = "<presence><tuple><status><basic>open</basic></status></tuple></presence>";
    let headers = "Event: presence\r\nContent-Type: application/pidf+xml\r\n";
    let mut publish = |from: u16, of: &str| {
        let answer = desk.asks(from, "PUBLISH", of, 1, "", headers, document);
        code(&answer.expect("an answer"))
    };
    assert_eq!(publish(1001, "1001"), 200);
    assert_eq!(publish(1002, "1001"), 403);
    assert_eq!(publish(1004, "1001"), 200);
    assert_eq!(publish(1001, "7777"), 404);
    assert_eq!(publish(1999, "1001"), 403);
}

#[test]
fn list_of_busy_people_comes_in_several_notifies() {
    let mut desk = Desk::with(settings(|name, text| match name {
        "directory/people.toml" => text.replace(
            "password = \"secret-1001\"\n",
            "password = \"secret-1001\"\nmax-concurrent-calls = 100\n",
        ),
        _ => text,
    }));
    desk.registers(1001);
    desk.registers(1002);
    for n in 0..40 {
        let headers = format!("Call-ID: busy{n}\r\nContent-Type: application/sdp\r\n");
        let body = super::watch_bench::sdp(1001);
        desk.asks(1001, "INVITE", "1002", 1, "", &headers, &body);
    }
    let more = "Supported: eventlist\r\nEvent: dialog\r\n";
    desk.asks(1003, "SUBSCRIBE", "desk", 1, "", more, "");
    let first = desk.takes(1003);
    assert!(first.bytes().len() < 60_000, "{}", first.bytes().len());
    let documents = |n: &strowger::sip::Message| body(n).matches("<dialog-info").count();
    desk.pass(s(1));
    let second = desk.takes(1003);
    let told = [documents(&first), documents(&second)];
    assert!(told == [1, 1] || told == [2, 2], "{told:?}");
    if told == [1, 1] {
        assert_eq!(value(&body(&first), "fullState").as_deref(), Some("true"));
        assert_eq!(value(&body(&second), "fullState").as_deref(), Some("false"));
    }
}

#[test]
fn phone_that_moved_behind_its_nat_is_told_where_it_is_now() {
    let mut desk = Desk::new();
    desk.registers(1001);
    let mut router = desk.flow(1003);
    router.remote = "198.18.3.1:30000".parse().expect("an address");
    desk.registers_on(router, 1003, 1, 3600);
    desk.asks_on(
        router,
        1003,
        "SUBSCRIBE",
        "1001",
        1,
        "",
        "Event: dialog\r\n",
        "",
    );
    let newest = |desk: &Desk| {
        let mut sent = desk.sent.iter().rev();
        let notify = sent.find(|(_, m)| m.is_request() && *m.method() == Method::Notify);
        notify.cloned().expect("a NOTIFY")
    };
    let (flow, first) = newest(&desk);
    assert_eq!(flow.remote, router.remote);
    let ok = strowger::sip::Builder::response(&first, strowger::sip::StatusCode::OK, "").finish();
    desk.says_on(router, &ok);
    // the same device, by another port of its router
    router.remote.set_port(40_000);
    desk.registers_on(router, 1003, 2, 3600);
    desk.calls(1002, 1001);
    desk.pass(ms(300));
    let (flow, second) = newest(&desk);
    assert!(body(&second).contains("<state>trying</state>"));
    assert_eq!(flow.remote, router.remote);
    desk.restarts(None);
    desk.pass(ms(10));
    let (flow, third) = newest(&desk);
    assert!(third.cseq().number > second.cseq().number);
    assert_eq!(flow.remote, router.remote);
}
