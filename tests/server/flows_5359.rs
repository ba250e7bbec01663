//! The call flows of RFC 5359 with SIPp against the binary: hold and its music, transfer, forwarding, screening, pickup, park, redial. The
//! party that acts does so over UDP and over TCP; audio goes where the flow says.

use std::time::Instant;

use crate::devices::Device;
use crate::support::lab::{DOMAIN, Lab};
use crate::support::server::Server;
use crate::support::sipp::{Running, Sipp};
use crate::support::tone::{self, RATE_HZ};
use crate::support::{pause, seconds, wait_for};

fn lab() -> Lab {
    let mut lab = Lab::new();
    // whoever is not reached says why
    lab.change(
        "dialplans/internal.toml",
        ", { hangup = \"no-answer\" } ]",
        " ]",
    );
    lab.change(
        "dialplans/internal.toml",
        "[[rule]]\nname   = \"outside\"",
        "[[rule]]\nname   = \"park\"\nnumber = \"7{slot:2}\"\ndo     = [ { park = \"{slot}\" } ]\n\n\
         [[rule]]\nname   = \"fetch\"\nnumber = \"*8{ext:4}\"\ndo     = [ { pickup = \"{ext}\" } ]\n\n\
         [[rule]]\nname   = \"outside\"",
    );
    for person in ["1002", "1003"] {
        let line = format!("extension = \"{person}\"\n");
        lab.change(
            "directory/people.toml",
            &line,
            &format!("{line}pickup = \"sales\"\n"),
        );
    }
    lab
}

fn over(tcp: bool, sipp: Sipp) -> Sipp {
    if tcp { sipp.tcp() } else { sipp }
}

/// Ends the only call from outside.
fn hang_up(server: &Server) {
    let calls = server.api().list("/calls");
    assert_eq!(calls.len(), 1, "{calls:?}");
    let id = calls[0]["id"].as_str().expect("an id");
    let nothing = serde_json::json!({});
    let answer = server
        .api()
        .try_post(&format!("/calls/{id}/hangup"), &nothing);
    assert_eq!(answer.status, 204);
}

/// What the party was told of its transfer, in order.
fn told(running: &Running) -> Vec<String> {
    let text = std::fs::read_to_string(running.actions()).unwrap_or_default();
    text.lines()
        .filter_map(|line| Some(line.split_once("told SIP/2.0 ")?.1.trim().to_string()))
        .collect()
}

/// The dialog that the first INVITE with a final answer made, as its caller knows it: Call-ID, own tag, the other's tag.
fn dialog_of(running: &Running) -> (String, String, String) {
    let messages = running.messages();
    let at = messages.find("SIP/2.0 200 OK").expect("an answer");
    let value = |name: &str| {
        messages[at..]
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("the header")
            .trim()
            .to_string()
    };
    let tag = |text: String| text.split("tag=").nth(1).expect("a tag").to_string();
    (value("Call-ID:"), tag(value("From:")), tag(value("To:")))
}

#[test]
fn unattended_transfer() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", None);
        let bob = Device::registered(&server, "1002", Some(440.0));
        let cyd = Device::registered(&server, "1003", Some(700.0));
        let mut first = bob.sipp("answer-moved").set("ring_ms", 100).start();
        let mut second = cyd.sipp("answer-moved").set("ring_ms", 500).start();
        bob.ear.follow(&first.actions());
        cyd.ear.follow(&second.actions());
        let call = ann.calls(&server, "transfer", "1002").set("talk_ms", 300);
        let call = call.set("target", format!("sip:1003@{DOMAIN}"));
        let mut call = over(tcp, call).start();
        call.succeed();
        assert_eq!(told(&call), ["100", "180", "200"]);
        let joined = Instant::now();
        pause(seconds(1.5));
        bob.ear
            .assert_heard_since("the transferee", joined, 700.0, 1.0);
        cyd.ear.assert_heard_since("the target", joined, 440.0, 1.0);
        hang_up(&server);
        first.succeed();
        second.succeed();
        let record = server.wait_records(1).remove(0);
        assert_eq!(record["transfers"][0]["status"], 200);
        server.wait_idle();
    }
}

#[test]
fn unattended_transfer_to_one_who_is_busy_gives_the_party_back() {
    let server = Server::start(lab());
    let ann = Device::new("1001", None);
    let bob = Device::registered(&server, "1002", None);
    let cyd = Device::registered(&server, "1003", None);
    let mut first = bob.sipp("answer-moved").set("ring_ms", 100).start();
    let second = cyd.sipp("refuse").set("ring_ms", 100);
    let second = second.set("status", 486).set("reason", "Busy Here");
    let mut second = second.start();
    let call = ann.calls(&server, "transfer", "1002").set("talk_ms", 300);
    let mut call = call.set("target", format!("sip:1003@{DOMAIN}")).start();
    call.succeed();
    second.succeed();
    first.succeed();
    assert_eq!(told(&call), ["100", "180", "486"]);
    assert_eq!(server.wait_records(1)[0]["ended_by"], "caller");
    server.wait_idle();
}

#[test]
fn attended_transfer() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", None);
        let other = Device::new("1001", None);
        let bob = Device::registered(&server, "1002", Some(440.0));
        let cyd = Device::registered(&server, "1003", Some(700.0));
        let mut first = bob.sipp("answer-moved").set("ring_ms", 100).start();
        let mut second = cyd.sipp("answer-moved").set("ring_ms", 100).start();
        bob.ear.follow(&first.actions());
        cyd.ear.follow(&second.actions());
        let mut consulting = other.calls(&server, "call-until-bye", "1003").start();
        consulting.wait_for_message("SIP/2.0 200 OK", seconds(10.0));
        let (call_id, ours, theirs) = dialog_of(&consulting);
        let call_id = call_id.replace('@', "%40");
        let target =
            format!("sip:1003@{DOMAIN}?Replaces={call_id}%3Bto-tag%3D{theirs}%3Bfrom-tag%3D{ours}");
        let call = ann.calls(&server, "transfer", "1002").set("talk_ms", 300);
        let mut call = over(tcp, call.set("target", target)).start();
        call.succeed();
        assert_eq!(told(&call), ["200"]);
        consulting.succeed();
        let joined = Instant::now();
        pause(seconds(1.5));
        bob.ear
            .assert_heard_since("the transferee", joined, 700.0, 1.0);
        cyd.ear.assert_heard_since("the target", joined, 440.0, 1.0);
        hang_up(&server);
        first.succeed();
        second.succeed();
        server.wait_idle();
    }
}

#[test]
fn call_forwarding_by_the_phone() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", None);
        let bob = Device::registered(&server, "1002", None);
        let cyd = Device::registered(&server, "1003", None);
        let redirect = bob.sipp("redirect");
        let mut redirect = redirect.set("target", format!("sip:1003@{DOMAIN}")).start();
        let mut answer = cyd.sipp("answer").set("ring_ms", 100).start();
        let call = ann.calls(&server, "call", "1002").set("talk_ms", 300);
        over(tcp, call).run();
        redirect.succeed();
        answer.succeed();
        assert!(
            answer
                .messages()
                .contains("Diversion: \"Ben Example\" <sip:1002@")
        );
        server.wait_idle();
    }
}

#[test]
fn call_pickup_by_replaces_and_by_number() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", Some(440.0));
        let bob = Device::registered(&server, "1002", None);
        let cyd = Device::new("1003", Some(700.0));
        let mut rings = bob
            .sipp("ring-cancelled")
            .set("reason", "cause=200")
            .start();
        let mut call = ann.calls(&server, "call-until-bye", "1002").start();
        ann.ear.follow(&call.actions());
        rings.wait_for_message("SIP/2.0 180 Ringing", seconds(10.0));
        let fetch = if tcp {
            cyd.calls(&server, "call", "*81002")
        } else {
            let messages = rings.messages();
            let value = |name: &str| {
                let line = messages.lines().find_map(|line| line.strip_prefix(name));
                line.expect("the header").trim().to_string()
            };
            let from = value("From:");
            let from_tag = from.split("tag=").nth(1).expect("a tag");
            let replaces = format!(
                "{};to-tag=s1;from-tag={from_tag};early-only",
                value("Call-ID:")
            );
            cyd.calls(&server, "call-replacing", "1002")
                .set("replaces", replaces)
        };
        let begin = Instant::now();
        let mut fetch = over(tcp, fetch.set("talk_ms", 1500)).start();
        cyd.ear.follow(&fetch.actions());
        fetch.succeed();
        ann.ear.assert_heard_since("the caller", begin, 700.0, 1.0);
        cyd.ear
            .assert_heard_since("who fetched it", begin, 440.0, 1.0);
        rings.succeed();
        call.succeed();
        server.wait_idle();
    }
}

#[test]
fn call_park_and_retrieval() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", None);
        let bob = Device::registered(&server, "1002", Some(440.0));
        let cyd = Device::new("1003", Some(700.0));
        let mut parked = bob.sipp("answer-moved").set("ring_ms", 100).start();
        bob.ear.follow(&parked.actions());
        let call = ann.calls(&server, "transfer", "1002").set("talk_ms", 300);
        let call = call.set("target", format!("sip:701@{DOMAIN}"));
        let mut call = over(tcp, call).start();
        call.succeed();
        assert_eq!(told(&call), ["100", "200"]);
        wait_for("the call to be parked", seconds(5.0), || {
            let calls = server.api().list("/calls");
            calls
                .first()
                .filter(|call| call["state"] == "parked")
                .map(|_| ())
        });
        let begin = Instant::now();
        let fetch = cyd.calls(&server, "call", "701").set("talk_ms", 1500);
        let mut fetch = over(tcp, fetch).start();
        cyd.ear.follow(&fetch.actions());
        fetch.succeed();
        bob.ear
            .assert_heard_since("who was parked", begin, 700.0, 1.0);
        cyd.ear
            .assert_heard_since("who fetched it", begin, 440.0, 1.0);
        parked.succeed();
        server.wait_idle();
    }
}

/// Music of our own for who is held: a tone that can be measured.
const MUSIC_HZ: f64 = 950.0;

/// A server whose phones' music for who is held is a tone, or `none`.
fn with_music(name: &str) -> Server {
    let mut lab = lab();
    lab.change(
        "sip-profiles/internal.toml",
        "dialplan = ",
        &format!("hold-music = \"{name}\"\ndialplan = "),
    );
    let mut server = Server::prepare(lab);
    let file = server.path("prompts/music/hall.wav");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
    let specification = hound::WavSpec {
        channels: 1,
        sample_rate: RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, specification).expect("a WAV file");
    // whole periods, so that the loop has no seam
    for n in 0..u64::from(RATE_HZ) * 2 {
        writer
            .write_sample(tone::sample(MUSIC_HZ, n))
            .expect("written");
    }
    writer.finalize().expect("written");
    server.restart();
    server
}

/// Frames of 40 ms in which this tone dominates.
fn frames(device: &Device, from: Instant, to: Instant, hz: f64) -> usize {
    let samples = device.ear.heard_between(from, to);
    tone::listen(&samples, RATE_HZ, hz).dominated
}

#[test]
fn music_on_hold() {
    for (tcp, hold, music) in [
        (false, "sendonly", "hall"),
        (true, "sendonly", "hall"),
        (false, "inactive", "hall"),
        (true, "inactive", "hall"),
        (false, "inactive", "none"),
    ] {
        let server = with_music(music);
        let ann = Device::new("1001", Some(440.0));
        let bob = Device::registered(&server, "1002", Some(700.0));
        let held = if music == "none" {
            "inactive"
        } else {
            "recvonly"
        };
        let mut answer = bob.sipp("answer-held").set("held", held).start();
        bob.ear.follow(&answer.actions());
        let begin = Instant::now();
        let call = ann.calls(&server, "hold", "1002").set("hold", hold);
        let call = call.set("hold_ip", ann.address).set("talk_ms", 2000);
        let mut call = over(tcp, call).start();
        ann.ear.follow(&call.actions());
        // 1 and 2 are the INVITE without and with credentials
        call.wait_for_message("CSeq: 3 ACK", seconds(15.0));
        let holds = Instant::now();
        ann.ear.mute(true);
        pause(seconds(0.3));
        let settled = Instant::now();
        call.wait_for_message("CSeq: 4 INVITE", seconds(15.0));
        let resumes = Instant::now();
        ann.ear.mute(false);
        call.succeed();
        answer.succeed();
        let end = Instant::now();
        let what = format!("tcp {tcp}, {hold}, {music}");
        assert!(frames(&bob, begin, holds, 440.0) > 20, "before: {what}");
        let heard = frames(&bob, settled, resumes, MUSIC_HZ);
        match music {
            "none" => assert_eq!(heard, 0, "{what}"),
            _ => assert!(heard > 20, "{heard} frames of music: {what}"),
        }
        assert!(frames(&bob, settled, resumes, 440.0) < 3, "{what}");
        assert!(frames(&ann, settled, resumes, 700.0) < 3, "{what}");
        assert!(frames(&bob, resumes, end, 440.0) > 20, "after: {what}");
        assert!(frames(&ann, resumes, end, 700.0) > 20, "after: {what}");
        server.wait_idle();
    }
}

#[test]
fn program_holds_and_takes_back() {
    let server = with_music("hall");
    let ann = Device::new("1001", Some(440.0));
    let bob = Device::registered(&server, "1002", Some(700.0));
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    bob.ear.follow(&answer.actions());
    let call = ann.calls(&server, "call", "1002").set("talk_ms", 5000);
    let mut call = call.start();
    ann.ear.follow(&call.actions());
    answer.wait_for_message("ACK sip:", seconds(10.0));
    let id = server.api().list("/calls")[0]["id"].clone();
    let id = id.as_str().expect("an id").to_string();
    let order = |what: &str| {
        let by = serde_json::json!({ "by": "1001" });
        server.api().try_post(&format!("/calls/{id}/{what}"), &by)
    };
    assert_eq!(order("hold").status, 200);
    pause(seconds(0.2));
    let held = Instant::now();
    pause(seconds(1.3));
    let view = server.api().get(&format!("/calls/{id}"));
    assert_eq!(view["legs"][0]["state"], "held", "{view:#}");
    let resumes = Instant::now();
    assert_eq!(order("resume").status, 200);
    call.succeed();
    answer.succeed();
    let end = Instant::now();
    assert!(frames(&bob, held, resumes, MUSIC_HZ) > 20);
    assert!(frames(&bob, held, resumes, 440.0) < 3);
    assert!(
        frames(&ann, held, resumes, 700.0) < 3,
        "its phone does not listen in"
    );
    assert!(frames(&bob, resumes, end, 440.0) > 20);
    assert!(frames(&ann, resumes, end, 700.0) > 20);
    server.wait_idle();
}

#[test]
fn consultation_hold() {
    for tcp in [false, true] {
        let server = with_music("hall");
        let ann = Device::new("1001", Some(440.0));
        let other_line = Device::new("1001", Some(440.0));
        let bob = Device::registered(&server, "1002", Some(700.0));
        let cyd = Device::registered(&server, "1003", Some(1200.0));
        let mut first = bob.sipp("answer-held").set("held", "recvonly").start();
        let mut second = cyd.sipp("answer").set("ring_ms", 50).start();
        bob.ear.follow(&first.actions());
        cyd.ear.follow(&second.actions());
        let call = ann.calls(&server, "hold", "1002").set("hold", "sendonly");
        let call = call.set("hold_ip", ann.address).set("talk_ms", 3500);
        let mut call = over(tcp, call).start();
        ann.ear.follow(&call.actions());
        call.wait_for_message("CSeq: 3 ACK", seconds(15.0));
        ann.ear.mute(true);
        let begin = Instant::now();
        let consult = other_line
            .calls(&server, "call", "1003")
            .set("talk_ms", 1300);
        let mut consult = over(tcp, consult).start();
        other_line.ear.follow(&consult.actions());
        consult.succeed();
        second.succeed();
        let over_at = Instant::now();
        assert!(
            frames(&other_line, begin, over_at, 1200.0) > 20,
            "the consulted is heard"
        );
        assert!(
            frames(&bob, begin, over_at, MUSIC_HZ) > 20,
            "who is held hears music"
        );
        assert!(
            frames(&bob, begin, over_at, 1200.0) < 3,
            "and nothing of it"
        );
        call.wait_for_message("CSeq: 4 ACK", seconds(15.0));
        let resumes = Instant::now();
        ann.ear.mute(false);
        call.succeed();
        first.succeed();
        assert!(
            frames(&bob, resumes, Instant::now(), 440.0) > 20,
            "back again"
        );
        server.wait_idle();
    }
}

/// The lab with rules before those that it has.
fn with_rules(rules: &str) -> Lab {
    let mut lab = lab();
    lab.change(
        "dialplans/internal.toml",
        "[[rule]]\nname   = \"extensions\"",
        &format!("{rules}\n[[rule]]\nname   = \"extensions\""),
    );
    lab
}

/// Calls to 1002 go on to 1003 when it is busy, and to 1004 when nobody answers.
const FORWARDED: &str = r#"context = "forwarded"

[[rule]]
if = "{dial-result} == 'busy'"
do = [ { dial = "1003" } ]

[[rule]]
if = "{dial-result} == 'no-answer'"
do = [ { dial = "1004" } ]
"#;

#[test]
fn call_forwarding_unconditional_busy_and_no_answer() {
    for tcp in [false, true] {
        let mut lab = with_rules(
            "[[rule]]\nnumber = \"1001\"\ndo = [ { dial = \"1003\" } ]\n\
             [[rule]]\nnumber = \"1002\"\ndo = [ { dial = \"1002\", timeout = \"2s\" }, { goto = \"forwarded\" } ]\n",
        );
        lab.file("dialplans/forwarded.toml", FORWARDED);
        let server = Server::start(lab);
        let ann = Device::registered(&server, "1001", None);
        let bob = Device::registered(&server, "1002", None);
        let cyd = Device::registered(&server, "1003", Some(700.0));
        let dee = Device::registered(&server, "1004", Some(950.0));
        let caller = Device::new("1004", Some(440.0));
        let reaches = |number: &str, device: &Device, hz: f64| {
            let mut answer = device.sipp("answer").set("ring_ms", 50).start();
            device.ear.follow(&answer.actions());
            let begin = Instant::now();
            let call = caller.calls(&server, "call", number).set("talk_ms", 1300);
            let mut call = over(tcp, call).start();
            caller.ear.follow(&call.actions());
            call.succeed();
            answer.succeed();
            caller.ear.assert_heard_since(number, begin, hz, 0.8);
            device
                .ear
                .assert_heard_since("the target", begin, 440.0, 0.8);
        };
        // §2.7: always; the phone of 1001 never rings
        let never = ann.sipp("answer").set("ring_ms", 10).start();
        reaches("1001", &cyd, 700.0);
        assert!(never.messages().is_empty(), "{}", never.messages());
        // §2.8: busy
        let busy = bob.sipp("refuse").set("ring_ms", 50);
        let mut busy = busy.set("status", 486).set("reason", "Busy Here").start();
        reaches("1002", &cyd, 700.0);
        busy.succeed();
        // §2.9: nobody answers within its time
        let mut rings = bob
            .sipp("ring-cancelled")
            .set("reason", "SIP|Q.850")
            .start();
        reaches("1002", &dee, 950.0);
        rings.succeed();
        server.wait_idle();
    }
}

#[test]
fn find_me() {
    for tcp in [false, true] {
        let server = Server::start(with_rules(
            "[[rule]]\nnumber = \"100\"\ndo = [ { dial = [\"1002\", \"1003\", \"1004\"], mode = \"serial\", timeout = \"2s\" } ]\n",
        ));
        let ann = Device::new("1001", Some(440.0));
        let bob = Device::registered(&server, "1002", None);
        let cyd = Device::registered(&server, "1003", None);
        let dee = Device::registered(&server, "1004", Some(700.0));
        let refuse = bob.sipp("refuse").set("ring_ms", 50);
        let mut refuse = refuse.set("status", 480).set("reason", "Away").start();
        let mut rings = cyd
            .sipp("ring-cancelled")
            .set("reason", "SIP|Q.850")
            .start();
        let mut answer = dee.sipp("answer").set("ring_ms", 50).start();
        dee.ear.follow(&answer.actions());
        let begin = Instant::now();
        let call = ann.calls(&server, "call", "100").set("talk_ms", 1300);
        let mut call = over(tcp, call).start();
        ann.ear.follow(&call.actions());
        call.succeed();
        refuse.succeed();
        rings.succeed();
        answer.succeed();
        ann.ear.assert_heard_since("the caller", begin, 700.0, 0.8);
        dee.ear
            .assert_heard_since("who was found", begin, 440.0, 0.8);
        server.wait_idle();
    }
}

#[test]
fn call_screening_of_callers_and_of_numbers() {
    for tcp in [false, true] {
        let server = Server::start(with_rules(
            "[[rule]]\nname = \"screened\"\nnumber = \"1002\"\nfrom = \"1003\"\ndo = [ { dial = \"1004\" } ]\n\
             [[rule]]\nname = \"not for phones\"\nnumber = \"+449{rest}\"\ndo = [ { hangup = \"forbidden\" } ]\n",
        ));
        let bob = Device::registered(&server, "1002", None);
        let dee = Device::registered(&server, "1004", None);
        let (ann, cyd) = (Device::new("1001", None), Device::new("1003", None));
        // §2.13: 1003 calls 1002 and gets its assistant; others get through
        let mut answer = dee.sipp("answer").set("ring_ms", 50).start();
        let call = cyd.calls(&server, "call", "1002").set("talk_ms", 200);
        over(tcp, call).run();
        answer.succeed();
        let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
        let call = ann.calls(&server, "call", "1002").set("talk_ms", 200);
        over(tcp, call).run();
        answer.succeed();
        assert!(!answer.messages().contains("sip:1003@"));
        // §2.14: a number that phones may not call
        let call = ann
            .calls(&server, "refused", "+449012345")
            .set("status", 403);
        over(tcp, call).run();
        server.wait_idle();
    }
}

#[test]
fn automatic_redial() {
    for tcp in [false, true] {
        let mut lab = lab();
        lab.change(
            "directory/people.toml",
            "extension = \"1002\"\n",
            "extension = \"1002\"\nmax-concurrent-calls = 1\n",
        );
        let server = Server::start(lab);
        let (ann, cyd) = (Device::new("1001", Some(440.0)), Device::new("1003", None));
        let bob = Device::registered(&server, "1002", Some(700.0));
        let mut answers = bob.sipp("answer").set("ring_ms", 50).calls(2).start();
        bob.ear.follow(&answers.actions());
        let first = cyd.calls(&server, "call", "1002").set("talk_ms", 2500);
        let mut first = first.start();
        answers.wait_for_message("ACK sip:", seconds(10.0));
        let busy = ann.calls(&server, "refused", "1002").set("status", 486);
        over(tcp, busy).run();
        let mut watch = over(tcp, ann.calls(&server, "watch-until-free", "1002")).start();
        wait_for("the phone to know that it is busy", seconds(10.0), || {
            let told = std::fs::read_to_string(watch.actions()).unwrap_or_default();
            told.contains("busy").then_some(())
        });
        watch.succeed();
        first.succeed();
        let begin = Instant::now();
        let again = ann.calls(&server, "call", "1002").set("talk_ms", 1300);
        let mut again = over(tcp, again).start();
        ann.ear.follow(&again.actions());
        again.succeed();
        answers.succeed();
        ann.ear
            .assert_heard_since("the caller at last", begin, 700.0, 0.8);
        server.wait_idle();
    }
}
