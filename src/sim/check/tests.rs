//! Each checker is shown a small broken world, and must say so; and a sound one, and must be silent.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::sim::node::Path;
use crate::sim::world::CrashPoint;

#[derive(Default)]
pub(super) struct Story {
    trace: Trace,
    journal: Vec<Arc<str>>,
    ms: u64,
}

pub(super) fn message(start: &str, tags: (&str, &str), branch: &str, cseq: &str) -> String {
    let (from, to) = tags;
    let tag = |t: &str| {
        if t.is_empty() {
            String::new()
        } else {
            format!(";tag={t}")
        }
    };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{branch}\r\nFrom: <sip:a@x>{}\r\nTo: <sip:b@x>{}\r\nCall-ID: c1\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n",
        tag(from),
        tag(to)
    )
}

impl Story {
    pub(super) fn push(mut self, happening: Happening) -> Story {
        self.ms += 10;
        let at = Instant::ZERO + Duration::from_millis(self.ms);
        self.trace.push(at, happening);
        self
    }

    pub(super) fn after(mut self, ms: u64) -> Story {
        self.ms += ms;
        self
    }

    fn path() -> Path {
        Path {
            stream: false,
            local: "192.0.2.1:5060".parse().expect("an address"),
            remote: "10.0.0.1:5060".parse().expect("an address"),
            connection: None,
        }
    }

    /// The next happens at the same instant.
    pub(super) fn at_once(mut self) -> Story {
        self.ms -= 10;
        self
    }

    pub(super) fn comes(self, text: &str) -> Story {
        self.push(Happening::NodeReceived {
            actor: 0,
            path: Story::path(),
            bytes: Bytes::from(text.to_string()),
        })
    }

    pub(super) fn comes_by(self, path: Path, text: &str) -> Story {
        self.push(Happening::NodeReceived {
            actor: 0,
            path,
            bytes: Bytes::from(text.to_string()),
        })
    }

    pub(super) fn leaves_by(self, path: Path, text: &str) -> Story {
        self.push(Happening::NodeSent {
            actor: Some(0),
            path,
            bytes: Bytes::from(text.to_string()),
        })
    }

    pub(super) fn leaves(self, text: &str) -> Story {
        self.push(Happening::NodeSent {
            actor: Some(0),
            path: Story::path(),
            bytes: Bytes::from(text.to_string()),
        })
    }

    fn fact(self, room: &str, fact: Value) -> Story {
        self.push(Happening::Event(json!({"seq": 1, "fact": {room: fact}})))
    }

    fn acd(self, kind: &str, agent: &str, item: &str) -> Story {
        self.fact(
            "acd",
            json!({"type": kind, "agent": agent, "item": item, "queue": "support", "offer": format!("o-{agent}-{item}"), "how": "timer"}),
        )
    }

    pub(super) fn write(mut self, record: Value) -> Story {
        self.journal.push(record.to_string().into());
        self
    }

    pub(super) fn verdict(&self, check: Checker) -> Option<String> {
        let rules = Rules {
            wrap_up: BTreeMap::from([("support".to_string(), Duration::from_secs(15))]),
            max_channels: Some(1),
            max_cps: Some(1),
        };
        let evidence = Evidence {
            trace: &self.trace,
            journal: &self.journal,
            names: vec!["ada".into()],
            hostile: vec![false],
            rules: &rules,
        };
        check(&evidence).err().map(|(_, sentence)| sentence)
    }
}

pub(super) fn bites(story: &Story, check: Checker, word: &str) {
    let verdict = story.verdict(check).expect("the checker says something");
    assert!(verdict.contains(word), "{verdict}");
}

const INVITE: &str = "INVITE sip:b@x SIP/2.0";

pub(super) fn invite() -> String {
    message(INVITE, ("a", ""), "1", "1 INVITE")
}

pub(super) fn answer(status: &str, tag: &str) -> String {
    message(&format!("SIP/2.0 {status} X"), ("a", tag), "1", "1 INVITE")
}

#[test]
fn two_finals_for_one_invite_are_seen() {
    let sound = Story::default()
        .comes(&invite())
        .leaves(&answer("180", "t"))
        .leaves(&answer("200", "t"))
        .leaves(&answer("200", "t"));
    assert_eq!(sound.verdict(transactions::one_final_response), None);
    let story = sound.leaves(&answer("487", "t"));
    bites(&story, transactions::one_final_response, "was answered");
}

#[test]
fn provisional_after_final_is_seen() {
    let story = Story::default()
        .comes(&invite())
        .leaves(&answer("486", "t"))
        .leaves(&answer("180", "t"));
    bites(
        &story,
        transactions::one_final_response,
        "then `SIP/2.0 180",
    );
}

#[test]
fn response_that_nobody_asked_for_is_seen() {
    let story = Story::default().leaves(&answer("200", "t"));
    bites(&story, transactions::one_final_response, "had not asked");
}

#[test]
fn unanswered_request_is_seen_unless_the_server_died() {
    let story = Story::default().comes(&invite());
    bites(
        &story,
        transactions::every_request_is_answered,
        "never answered",
    );
    let story = story.push(Happening::Crash(CrashPoint::Between));
    assert_eq!(story.verdict(transactions::every_request_is_answered), None);
}

#[test]
fn falling_sequence_number_is_seen() {
    let sound = Story::default()
        .leaves(&invite())
        .leaves(&invite())
        .leaves(&message("BYE sip:b@x SIP/2.0", ("a", "t"), "2", "2 BYE"));
    assert_eq!(sound.verdict(dialogs::sequence_numbers_rise), None);
    let story = sound.leaves(&message("INFO sip:b@x SIP/2.0", ("a", "t"), "3", "2 INFO"));
    bites(&story, dialogs::sequence_numbers_rise, "CSeq 2 after 2");
}

#[test]
fn repetition_with_other_bytes_is_seen() {
    let story =
        Story::default()
            .leaves(&invite())
            .leaves(&message(INVITE, ("other", ""), "1", "1 INVITE"));
    bites(&story, dialogs::sequence_numbers_rise, "other bytes");
}

#[test]
fn missing_ack_is_seen() {
    let refused = Story::default()
        .leaves(&invite())
        .comes(&answer("486", "t"));
    bites(&refused, dialogs::finals_are_acknowledged, "486");
    let refused = refused.leaves(&message("ACK sip:b@x SIP/2.0", ("a", "t"), "1", "1 ACK"));
    assert_eq!(refused.verdict(dialogs::finals_are_acknowledged), None);
    let answered = Story::default()
        .leaves(&invite())
        .comes(&answer("200", "t"));
    bites(&answered, dialogs::finals_are_acknowledged, "200");
    let answered = answered.leaves(&message("ACK sip:b@x SIP/2.0", ("a", "t"), "9", "1 ACK"));
    assert_eq!(answered.verdict(dialogs::finals_are_acknowledged), None);
}

#[test]
fn cancel_before_ringing_and_after_the_end_is_seen() {
    let cancel = message("CANCEL sip:b@x SIP/2.0", ("a", ""), "1", "1 CANCEL");
    let early = Story::default().leaves(&invite()).leaves(&cancel);
    bites(
        &early,
        dialogs::cancel_only_when_allowed,
        "before any provisional",
    );
    let right = Story::default()
        .leaves(&invite())
        .comes(&answer("180", "t"))
        .leaves(&cancel)
        .leaves(&cancel)
        .comes(&answer("200", "t"));
    assert_eq!(right.verdict(dialogs::cancel_only_when_allowed), None);
    let late = Story::default()
        .leaves(&invite())
        .comes(&answer("180", "t"))
        .comes(&answer("200", "t"))
        .leaves(&cancel);
    bites(&late, dialogs::cancel_only_when_allowed, "after the final");
}

#[test]
fn bye_outside_of_a_dialog_is_seen() {
    let bye = message("BYE sip:b@x SIP/2.0", ("a", "t"), "2", "2 BYE");
    let story = Story::default()
        .leaves(&invite())
        .comes(&answer("180", "t"))
        .leaves(&bye);
    bites(
        &story,
        dialogs::bye_only_in_dialogs,
        "outside of any confirmed dialog",
    );
    let sound = Story::default()
        .leaves(&invite())
        .comes(&answer("200", "t"))
        .leaves(&bye);
    assert_eq!(sound.verdict(dialogs::bye_only_in_dialogs), None);
    let after = sound.leaves(&message(INVITE, ("a", "t"), "3", "3 INVITE"));
    bites(&after, dialogs::bye_only_in_dialogs, "had ended");
}

#[test]
fn planted_header_and_control_bytes_are_seen() {
    let planted = invite().replace("Call-ID", "x-foreign-marker: ada\r\nCall-ID");
    bites(
        &Story::default().leaves(&planted),
        marks::nothing_foreign_leaves,
        "own header",
    );
    let bare = invite().replace("c1", "c\r1");
    bites(
        &Story::default().leaves(&bare),
        marks::nothing_foreign_leaves,
        "control byte",
    );
    assert_eq!(
        Story::default()
            .leaves(&invite())
            .verdict(marks::nothing_foreign_leaves),
        None
    );
}

#[test]
fn offer_during_wrap_up_is_seen() {
    let story = Story::default()
        .acd("agent-offered", "1001", "i1")
        .acd("agent-answered", "1001", "i1")
        .acd("connected", "1001", "i1")
        .acd("segment-ended", "1001", "i1")
        .after(14_000)
        .acd("agent-offered", "1001", "i2");
    bites(
        &story,
        queues::offers_are_legal,
        "into a wrap-up of 15000 ms",
    );
}

#[test]
fn two_offers_at_a_time_and_two_winners_are_seen() {
    let story =
        Story::default()
            .acd("agent-offered", "1001", "i1")
            .acd("agent-offered", "1001", "i2");
    bites(&story, queues::offers_are_legal, "was open");
    let story = Story::default()
        .acd("queued", "", "i1")
        .acd("connected", "1001", "i1")
        .acd("connected", "1002", "i1");
    bites(&story, queues::offers_are_legal, "to 1001 and to 1002");
    let story = Story::default()
        .acd("segment-ended", "1001", "i1")
        .after(9_000)
        .acd("wrap-ended", "1001", "i1");
    bites(&story, queues::offers_are_legal, "ended after");
}

#[test]
fn queue_sums_that_do_not_hold_are_seen() {
    let story = Story::default().acd("queued", "", "i1");
    bites(&story, queues::sums_hold, "for ever");
    let story = story.acd("abandoned", "", "i1");
    assert_eq!(story.verdict(queues::sums_hold), None);
    let story = story.acd("left", "", "i1");
    bites(&story, queues::sums_hold, "did not wait");
}

#[test]
fn what_was_not_written_is_unknown_after_a_death_and_what_was_is_not() {
    let died = |refuses: bool| {
        let story = Story::default().acd("queued", "", "i1");
        let story = story.push(Happening::JournalRefuses(refuses));
        let story = story.acd("connected", "1001", "i1");
        let story = story.acd("queued", "", "i2");
        let story = story.push(Happening::Crash(CrashPoint::Between));
        story.acd("withdrawn", "", "i1")
    };
    assert_eq!(died(true).verdict(queues::sums_hold), None);
    bites(&died(false), queues::sums_hold, "did not wait");
}

#[test]
fn records_that_are_missing_or_double_are_seen() {
    let closed = json!({"call-closed": {"id": "A", "legs": [{"call_id": "c1"}]}});
    let opened = json!({"call-opened": {"id": "A", "legs": []}});
    let story = Story::default().write(opened.clone());
    bites(&story, records::one_record_for_each_call, "never closed");
    let story = story.write(closed.clone());
    assert_eq!(story.verdict(records::one_record_for_each_call), None);
    let story = story.write(closed);
    bites(&story, records::one_record_for_each_call, "closed twice");
    let story = Story::default()
        .comes(&invite())
        .leaves(&answer("200", "t"));
    bites(&story, records::one_record_for_each_call, "in no record");
}

#[test]
fn forgotten_registration_is_seen() {
    let register = message("REGISTER sip:x SIP/2.0", ("a", ""), "1", "1 REGISTER").replace(
        "Content-Length",
        "Contact: <sip:b@10.0.0.1:5060>\r\nExpires: 60\r\nContent-Length",
    );
    let ok = message("SIP/2.0 200 OK", ("a", "t"), "1", "1 REGISTER");
    let restart = |bindings: Vec<(String, String)>| Happening::Restart {
        records: 1,
        bindings,
    };
    let story = || Story::default().comes(&register).leaves(&ok);
    let known = vec![("b@x".to_string(), "sip:b@10.0.0.1:5060".to_string())];
    let check = registrations::acknowledged_ones_survive;
    assert_eq!(story().push(restart(known)).verdict(check), None);
    bites(&story().push(restart(Vec::new())), check, "is forgotten");
    // Before its 200 nothing was promised, and after its time nothing is owed.
    let unpromised = Story::default().comes(&register).push(restart(Vec::new()));
    assert_eq!(unpromised.verdict(check), None);
    assert_eq!(
        story()
            .after(61_000)
            .push(restart(Vec::new()))
            .verdict(check),
        None
    );
}

#[test]
fn logged_fault_is_seen() {
    let story = Story::default().push(Happening::Log(true, "broken".into()));
    bites(&story, marks::no_fault_is_logged, "broken");
    let story = Story::default().fact("acd", json!({"type": "defect", "what": "sum"}));
    bites(&story, marks::no_fault_is_logged, "defect");
}

#[test]
fn overtaking_in_the_queue_is_seen() {
    let story = || {
        let queued = |item| json!({"type": "queued", "item": item, "call": "c"});
        let began = json!({"type": "started", "call": "c", "from": {"number": "carol"}});
        Story::default()
            .fact("call", began)
            .fact("acd", queued("i1"))
            .fact("acd", queued("i2"))
    };
    let check = queues::first_come_first_served;
    bites(
        &story().acd("agent-offered", "1001", "i2"),
        check,
        "i1 came before",
    );
    let sound = story()
        .acd("agent-offered", "1001", "i1")
        .acd("agent-offered", "1002", "i2");
    assert_eq!(sound.verdict(check), None);
    let refused = story()
        .acd("agent-offered", "1001", "i1")
        .acd("agent-offer-ended", "1001", "i1")
        .acd("agent-offered", "1001", "i2");
    assert_eq!(refused.verdict(check), None);
}

#[test]
fn offer_of_ones_own_call_is_seen_and_who_waits_is_known_after_a_transfer() {
    let queued = |item| json!({"type": "queued", "queue": "q", "item": item, "call": item});
    let called = |item, who| {
        let began = json!({"type": "started", "call": item, "from": {"number": who}});
        Story::default()
            .fact("call", began)
            .fact("acd", queued(item))
    };
    let check = queues::first_come_first_served;
    bites(
        &called("i1", "1001").acd("agent-offered", "1001", "i1"),
        check,
        "own call",
    );
    let overtaken = |story: Story| {
        let story = story.fact("acd", queued("i2"));
        story.acd("agent-offered", "1001", "i2")
    };
    assert_eq!(overtaken(called("i1", "1001")).verdict(check), None);
    bites(&overtaken(called("i1", "1002")), check, "i1 came before");
    // the caller gives the agent to the queue
    let given = |by, how| {
        let with = json!({"type": "connected", "item": "i1", "call": "i1", "agent": "1001"});
        let given = json!({"type": "transferred", "call": "i1", "by": {"number": by}, "how": how});
        let story = called("i1", "1002").acd("agent-offered", "1001", "i1");
        let story = story.fact("acd", with).fact("call", given);
        story.fact("acd", queued("i1"))
    };
    assert_eq!(overtaken(given("1002", "blind")).verdict(check), None);
    bites(&overtaken(given("1001", "blind")), check, "i1 came before");
    // who comes by an attended transfer is not told
    assert_eq!(overtaken(given("1001", "attended")).verdict(check), None);
}

#[test]
fn record_with_a_false_duration_is_seen() {
    let closed = |secs: f64| json!({"call-closed": {"id": "A", "duration_secs": secs, "legs": [{"call_id": "c1", "role": "caller"}]}});
    let story = || {
        Story::default()
            .comes(&invite())
            .leaves(&answer("200", "t"))
            .comes(&message("ACK sip:b@x SIP/2.0", ("a", "t"), "9", "1 ACK"))
            .after(5_000)
            .comes(&message("BYE sip:b@x SIP/2.0", ("a", "t"), "2", "2 BYE"))
            .leaves(&message("SIP/2.0 200 OK", ("a", "t"), "2", "2 BYE"))
    };
    let check = records::durations_are_true;
    assert_eq!(story().write(closed(5.0)).verdict(check), None);
    bites(&story().write(closed(3605.0)), check, "lasted 5.020 s");
}
