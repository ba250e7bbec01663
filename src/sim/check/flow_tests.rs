//! The checkers of flows, trunks, subscriptions and probes are shown small broken worlds, and sound ones.

use super::tests::{Story, bites};
use super::*;
use crate::sim::house;
use crate::sim::node::Path;

const PHONE: &str = "sip:1001@10.0.0.1:5060";

fn path(remote: &str, connection: Option<u64>) -> Path {
    Path {
        stream: connection.is_some(),
        local: house::internal(),
        remote: remote.parse().expect("an address"),
        connection,
    }
}

/// A message with these lines; `about` is its Call-ID and CSeq.
fn text(start: &str, tags: (&str, &str), about: (&str, &str), more: &str, body: &str) -> String {
    let tag = |t: &str| {
        if t.is_empty() {
            String::new()
        } else {
            format!(";tag={t}")
        }
    };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{}{}\r\nFrom: <sip:a@x>{}\r\nTo: <sip:b@x>{}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}Content-Length: {}\r\n\r\n{body}",
        about.0,
        about.1.replace(' ', ""),
        tag(tags.0),
        tag(tags.1),
        about.0,
        about.1,
        body.len(),
    )
}

fn registers(story: Story, number: u32, from: Path) -> Story {
    let about = format!("{number} REGISTER");
    let contact = format!("Contact: <{PHONE}>\r\nExpires: 600\r\n");
    let asks = text(
        "REGISTER sip:x SIP/2.0",
        ("r", ""),
        ("reg", &about),
        &contact,
        "",
    );
    let granted = text("SIP/2.0 200 OK", ("r", "s"), ("reg", &about), "", "");
    story.comes_by(from, &asks).leaves_by(from, &granted)
}

fn call(number: u32) -> String {
    let start = format!("INVITE {PHONE} SIP/2.0");
    text(
        &start,
        ("c", ""),
        (&format!("c{number}"), "1 INVITE"),
        "",
        "",
    )
}

#[test]
fn call_to_the_flow_that_the_phone_has_left_is_seen() {
    let (old, new) = (
        path("198.18.1.1:40000", None),
        path("198.18.1.1:40007", None),
    );
    let sound = registers(registers(Story::default(), 1, old), 2, new).leaves_by(new, &call(1));
    assert_eq!(sound.verdict(flows::calls_go_where_the_phone_is), None);
    let story = sound.leaves_by(old, &call(2));
    bites(&story, flows::calls_go_where_the_phone_is, "had registered");
}

#[test]
fn register_that_is_repeated_from_elsewhere_moves_nothing_even_after_its_answer() {
    let (old, new) = (path("10.0.0.1:5060", None), path("10.0.0.1:6060", None));
    let check = flows::calls_go_where_the_phone_is;
    let repeated = registers(registers(Story::default(), 1, old), 1, new);
    let sound = registers(registers(Story::default(), 1, old), 1, new).leaves_by(old, &call(1));
    assert_eq!(sound.verdict(check), None);
    bites(
        &repeated.leaves_by(new, &call(1)),
        check,
        "had registered at",
    );
}

#[test]
fn subscription_that_lives_on_a_connection_of_its_own_is_told_there_while_it_is_open() {
    let over = |id: u64| path(&format!("10.0.0.1:4000{id}"), Some(id));
    let check = flows::calls_go_where_the_phone_is;
    let asks = |n: u32| {
        let about = format!("{n} SUBSCRIBE");
        text(
            "SUBSCRIBE sip:a@x SIP/2.0",
            ("d", "c"),
            ("s", &about),
            "",
            "",
        )
    };
    let tells = text(
        &format!("NOTIFY {PHONE} SIP/2.0"),
        ("c", "d"),
        ("s", "1 NOTIFY"),
        "",
        "",
    );
    let begun = registers(Story::default(), 1, over(1))
        .comes_by(over(1), &asks(1))
        .push(Happening::Closed(1))
        .comes_by(over(2), &asks(2))
        .after(1_000);
    let sound = registers(begun, 2, over(3)).leaves_by(over(2), &tells);
    assert_eq!(sound.verdict(check), None);
    let begun = registers(Story::default(), 1, over(1))
        .comes_by(over(1), &asks(1))
        .push(Happening::Closed(1))
        .comes_by(over(2), &asks(2))
        .after(1_000)
        .push(Happening::Closed(2));
    let story = registers(begun, 2, over(3)).leaves_by(over(2), &tells);
    bites(&story, check, "had registered at");
}

#[test]
fn subscription_is_told_where_it_was_until_its_next_subscribe_is_accepted() {
    let check = flows::calls_go_where_the_phone_is;
    let from = |port: u16| path(&format!("198.18.1.1:{port}"), None);
    let asks = |n: u32| {
        let about = format!("{n} SUBSCRIBE");
        let start = "SUBSCRIBE sip:a@x SIP/2.0";
        text(start, ("d", "c"), ("s", &about), "", "")
    };
    let says = |status: &str, n: u32| {
        let about = format!("{n} SUBSCRIBE");
        text(status, ("d", "c"), ("s", &about), "", "")
    };
    let tells = |n: u32| {
        let about = format!("{n} NOTIFY");
        let start = format!("NOTIFY {PHONE} SIP/2.0");
        text(&start, ("c", "d"), ("s", &about), "", "")
    };
    // registered at one mapping, subscribed from a newer one, and the next is on its way from a third
    let moving = || {
        registers(Story::default(), 1, from(1))
            .comes_by(from(1), &asks(1))
            .leaves_by(from(1), &says("SIP/2.0 200 OK", 1))
            .comes_by(from(2), &asks(2))
            .leaves_by(from(2), &says("SIP/2.0 200 OK", 2))
            .comes_by(from(3), &asks(3))
    };
    let unread = moving().leaves_by(from(2), &tells(1));
    assert_eq!(unread.verdict(check), None);
    let challenged = moving()
        .leaves_by(from(3), &says("SIP/2.0 407 P", 3))
        .comes_by(from(3), &asks(4))
        .leaves_by(from(2), &tells(1));
    assert_eq!(challenged.verdict(check), None);
    let accepted = moving()
        .leaves_by(from(3), &says("SIP/2.0 200 OK", 3))
        .leaves_by(from(2), &tells(1));
    bites(&accepted, check, "had registered at");
    let heard = moving()
        .comes_by(
            from(3),
            &text("SIP/2.0 200 OK", ("c", "d"), ("s", "9 NOTIFY"), "", ""),
        )
        .leaves_by(from(2), &tells(1));
    bites(&heard, check, "had registered at");
}

#[test]
fn call_over_a_connection_that_is_gone_is_seen() {
    let over = path("10.0.0.1:40001", Some(1));
    let story = registers(Story::default(), 1, over)
        .push(Happening::Closed(1))
        .leaves_by(over, &call(1));
    bites(&story, flows::calls_go_where_the_phone_is, "was gone");
}

#[test]
fn call_to_a_flow_that_does_not_answer_is_seen() {
    let there = path("198.18.1.1:40000", None);
    let asks = |n: u32| {
        let start = format!("OPTIONS {PHONE} SIP/2.0");
        text(&start, ("o", ""), (&format!("o{n}"), "1 OPTIONS"), "", "")
    };
    let lives = text("SIP/2.0 200 OK", ("o", "p"), ("o1", "1 OPTIONS"), "", "");
    let story = registers(Story::default(), 1, there)
        .leaves_by(there, &asks(1))
        .comes_by(there, &lives)
        .leaves_by(there, &asks(2))
        .after(35_000)
        .leaves_by(there, &asks(3));
    let sound = story.after(10_000).leaves_by(there, &call(1));
    assert_eq!(sound.verdict(flows::calls_go_where_the_phone_is), None);
    let story = sound.after(30_000).leaves_by(there, &call(2));
    bites(&story, flows::calls_go_where_the_phone_is, "two questions");
}

fn to_carrier(call: &str) -> String {
    let start = "INVITE sip:+49@203.0.113.10 SIP/2.0";
    text(start, ("c", ""), (call, "1 INVITE"), "", "")
}

#[test]
fn second_call_within_a_second_is_seen() {
    let there = path("203.0.113.10:5060", None);
    let sound = Story::default()
        .leaves_by(there, &to_carrier("a"))
        .leaves_by(there, &to_carrier("a"))
        .after(1_000)
        .leaves_by(there, &to_carrier("b"));
    assert_eq!(sound.verdict(trunks::calls_a_second), None);
    let story = sound.after(900).leaves_by(there, &to_carrier("c"));
    bites(&story, trunks::calls_a_second, "within a second");
}

#[test]
fn call_beyond_the_channels_is_seen() {
    let there = path("203.0.113.10:5060", None);
    let rings = |call: &str| text("SIP/2.0 180 R", ("c", "d"), (call, "1 INVITE"), "", "");
    let refused = text("SIP/2.0 486 B", ("c", "d"), ("a", "1 INVITE"), "", "");
    let sound = Story::default()
        .leaves_by(there, &to_carrier("a"))
        .comes_by(there, &rings("a"))
        .comes_by(there, &refused)
        .leaves_by(there, &to_carrier("b"))
        .comes_by(there, &rings("b"));
    assert_eq!(sound.verdict(trunks::channels), None);
    let story = sound
        .leaves_by(there, &to_carrier("c"))
        .comes_by(there, &rings("c"));
    bites(&story, trunks::channels, "1 are allowed");
}

#[test]
fn call_that_is_ended_the_moment_it_comes_up_takes_no_channel_and_any_other_does() {
    let there = path("203.0.113.10:5060", None);
    let says = |status: &str, call: &str| text(status, ("c", "d"), (call, "1 INVITE"), "", "");
    let bye = |call: &str| text("BYE sip:x SIP/2.0", ("c", "d"), (call, "2 BYE"), "", "");
    // the first gateway says nothing, so that the call goes on to another, and then it answers
    let late = || {
        Story::default()
            .leaves_by(there, &to_carrier("a"))
            .leaves_by(there, &to_carrier("b"))
            .comes_by(there, &says("SIP/2.0 180 R", "b"))
            .comes_by(there, &says("SIP/2.0 200 OK", "a"))
    };
    let ended = late().at_once().leaves_by(there, &bye("a"));
    assert_eq!(ended.verdict(trunks::channels), None);
    let later = late().leaves_by(there, &bye("a"));
    bites(&later, trunks::channels, "1 are allowed");
    let other = late().at_once().leaves_by(there, &bye("b"));
    bites(&other, trunks::channels, "1 are allowed");
    let theirs = late().at_once().comes_by(there, &bye("a"));
    bites(&theirs, trunks::channels, "1 are allowed");
    // a caller of the carrier that sends its ACK when all is over
    let invite = text("INVITE sip:x SIP/2.0", ("e", ""), ("c", "1 INVITE"), "", "");
    let ack = text("ACK sip:x SIP/2.0", ("e", "f"), ("c", "1 ACK"), "", "");
    let unacked = || {
        Story::default()
            .comes_by(there, &invite)
            .leaves_by(there, &says("SIP/2.0 200 OK", "c"))
            .leaves_by(there, &to_carrier("b"))
            .comes_by(there, &says("SIP/2.0 180 R", "b"))
            .comes_by(there, &ack)
    };
    let ended = unacked().at_once().leaves_by(there, &bye("c"));
    assert_eq!(ended.verdict(trunks::channels), None);
    bites(&unacked(), trunks::channels, "1 are allowed");
}

fn lamp(number: u32, version: u32, state: &str) -> String {
    let body = format!(
        "<?xml version=\"1.0\"?><dialog-info version=\"{version}\" entity=\"sip:1001@x\"><state>{state}</state></dialog-info>"
    );
    let about = format!("{number} NOTIFY");
    text(
        "NOTIFY sip:a@x SIP/2.0",
        ("s", "w"),
        ("sub", &about),
        "",
        &body,
    )
}

#[test]
fn version_that_does_not_rise_is_seen() {
    let there = path("10.0.0.1:5060", None);
    let sound = Story::default()
        .leaves_by(there, &lamp(1, 4, "early"))
        .leaves_by(there, &lamp(1, 4, "early"))
        .leaves_by(there, &lamp(2, 5, "early"));
    assert_eq!(sound.verdict(events::versions_rise), None);
    let story = sound.leaves_by(there, &lamp(3, 5, "terminated"));
    bites(&story, events::versions_rise, "came after");
}

#[test]
fn lamp_that_stays_lit_is_seen() {
    let there = path("10.0.0.1:5060", None);
    let over = text("BYE sip:a@x SIP/2.0", ("c", "d"), ("c", "2 BYE"), "", "");
    let story = Story::default().leaves_by(there, &over).after(60_000);
    let sound = story.leaves_by(there, &lamp(1, 1, "terminated"));
    assert_eq!(sound.verdict(events::lamps_go_out), None);
    let story = sound.leaves_by(there, &lamp(2, 2, "confirmed"));
    bites(&story, events::lamps_go_out, "is lit");
}

#[test]
fn subscriber_that_is_told_nothing_is_seen() {
    let there = path("10.0.0.1:5060", None);
    let granted = text("SIP/2.0 200 OK", ("w", "s"), ("sub", "1 SUBSCRIBE"), "", "");
    let story = Story::default()
        .leaves_by(there, &granted)
        .after(6_000)
        .leaves_by(there, &call(1));
    bites(&story, events::subscribers_are_told, "no NOTIFY");
    let sound = Story::default()
        .leaves_by(there, &granted)
        .leaves_by(there, &lamp(1, 1, "terminated"))
        .after(6_000)
        .leaves_by(there, &granted);
    assert_eq!(sound.verdict(events::subscribers_are_told), None);
}

#[test]
fn transferor_that_is_never_told_the_end_is_seen() {
    let there = path("10.0.0.1:5060", None);
    let taken = text("SIP/2.0 202 A", ("c", "d"), ("t", "3 REFER"), "", "");
    let told = |n: u32, state: &str| {
        let more = format!("Event: refer\r\nSubscription-State: {state}\r\n");
        let about = format!("{n} NOTIFY");
        text(
            "NOTIFY sip:a@x SIP/2.0",
            ("d", "c"),
            ("t", &about),
            &more,
            "",
        )
    };
    let heard = text("SIP/2.0 200 OK", ("d", "c"), ("t", "1 NOTIFY"), "", "");
    let story = Story::default()
        .leaves_by(there, &taken)
        .leaves_by(there, &told(1, "active"))
        .comes_by(there, &heard);
    bites(&story, events::transferors_are_told, "never told");
    let sound = story.leaves_by(there, &told(2, "terminated"));
    assert_eq!(sound.verdict(events::transferors_are_told), None);
}

#[test]
fn probe_that_is_not_answered_is_seen() {
    let there = path("10.0.0.1:5060", None);
    let story = Story::default().push(Happening::Note("probe p1 of carrier to 1001".into()));
    bites(&story, probes::calls_come_through, "carrier to 1001");
    let answer = text("SIP/2.0 200 OK", ("c", "d"), ("p1", "1 INVITE"), "", "");
    let sound = story.leaves_by(there, &answer);
    assert_eq!(sound.verdict(probes::calls_come_through), None);
}

#[test]
fn cancel_that_is_repeated_after_the_answer_is_seen() {
    let there = path("10.0.0.1:5060", None);
    let invite = text(
        &format!("INVITE {PHONE} SIP/2.0"),
        ("c", ""),
        ("k", "1 INVITE"),
        "",
        "",
    );
    let cancel = invite
        .replace("INVITE sip", "CANCEL sip")
        .replace("1 INVITE\r", "1 CANCEL\r");
    let says = |status: &str| {
        let start = format!("SIP/2.0 {status} X");
        text(&start, ("c", "d"), ("k", "1 INVITE"), "", "")
    };
    let sound = Story::default()
        .leaves_by(there, &invite)
        .comes_by(there, &says("180"))
        .leaves_by(there, &cancel)
        .comes_by(there, &says("200"));
    assert_eq!(sound.verdict(dialogs::cancel_only_when_allowed), None);
    let story = sound.leaves_by(there, &cancel);
    bites(&story, dialogs::cancel_only_when_allowed, "after the final");
}
