//! Two baresip through the server: registered over UDP and TCP, calling each other both ways, tones measured.

use crate::support::baresip::{Baresip, Phone};
use crate::support::lab::{DOMAIN, Lab, password};
use crate::support::server::Server;
use crate::support::{pause, seconds};

/// 1001 says 440 Hz, 1002 says 700 Hz.
fn pair(server: &Server, tcp: bool) -> (Baresip, Baresip) {
    let phone = |extension: &str, hz| {
        let phone = Phone::new(extension)
            .account(&password(extension), DOMAIN, server.lab.phones())
            .tone(hz);
        let mut phone = if tcp { phone.tcp() } else { phone }.start();
        phone.wait_registered(seconds(10.0));
        phone
    };
    let pair = (phone("1001", 440), phone("1002", 700));
    for extension in ["1001", "1002"] {
        let rows = server.wait_registered(extension, 1);
        assert_eq!(rows[0]["transport"], if tcp { "TCP" } else { "UDP" });
    }
    pair
}

fn talk(caller: &mut Baresip, called: &mut Baresip, number: &str, nth: usize) {
    let incoming = called.count("CALL_INCOMING") + 1;
    caller.dial(number);
    called.wait_nth("CALL_INCOMING", incoming, seconds(5.0));
    pause(seconds(0.3));
    called.accept();
    caller.wait_nth("CALL_ESTABLISHED", nth, seconds(5.0));
    called.wait_nth("CALL_ESTABLISHED", nth, seconds(5.0));
}

fn both_ways(tcp: bool) {
    let server = Server::start(Lab::new());
    let (mut ann, mut bob) = pair(&server, tcp);

    talk(&mut ann, &mut bob, "1002", 1);
    pause(seconds(2.0));
    ann.hangup();
    bob.wait_nth("CALL_CLOSED", 1, seconds(5.0));
    ann.assert_heard(700.0, 1.5);
    bob.assert_heard(440.0, 1.5);
    server.wait_records(1);

    // The other way round, and the called side hangs up. A recording is named by its second.
    pause(seconds(1.1));
    talk(&mut bob, &mut ann, "1001", 2);
    pause(seconds(2.0));
    ann.hangup();
    bob.wait_nth("CALL_CLOSED", 2, seconds(5.0));
    assert_eq!((ann.recordings().len(), bob.recordings().len()), (2, 2));
    ann.assert_heard(700.0, 1.5);
    bob.assert_heard(440.0, 1.5);
    let records = server.wait_records(2);
    assert_eq!(
        (&records[0]["ended_by"], &records[1]["ended_by"]),
        (&"caller".into(), &"callee".into())
    );
    server.wait_idle();
}

#[test]
fn phones_on_udp_call_each_other_and_hear_each_other() {
    both_ways(false);
}

#[test]
fn phones_on_tcp_call_each_other_and_hear_each_other() {
    both_ways(true);
}

#[test]
fn hold_stops_the_audio_and_resume_brings_it_back_with_digits_both_ways() {
    let server = Server::start(Lab::new());
    let (mut ann, mut bob) = pair(&server, false);
    talk(&mut ann, &mut bob, "1002", 1);
    pause(seconds(1.5));
    ann.hold();
    pause(seconds(0.5));
    let held = ann.packets().0;
    pause(seconds(1.0));
    assert!(ann.packets().0 <= held + 2, "the holder still receives");
    ann.resume();
    pause(seconds(0.5));
    let before = (ann.packets().0, bob.packets().0);
    pause(seconds(1.0));
    let after = (ann.packets().0, bob.packets().0);
    assert!(
        after.0 > before.0 + 40 && after.1 > before.1 + 40,
        "50 packets a second each way again: {before:?} {after:?}"
    );
    ann.digits("7");
    bob.wait("CALL_DTMF_START", seconds(5.0));
    bob.digits("3");
    ann.wait("CALL_DTMF_START", seconds(5.0));
    bob.hangup();
    ann.wait("CALL_CLOSED", seconds(5.0));
    // Until the hold.
    ann.assert_heard(700.0, 1.0);
    bob.assert_heard(440.0, 1.0);
    server.wait_idle();
}

#[test]
fn a_caller_cancels_a_busy_phone_refuses_and_a_quiet_one_does_not_answer() {
    let mut lab = Lab::new();
    lab.change(
        "dialplans/internal.toml",
        r#"timeout = "6s" }, { hangup = "no-answer" }"#,
        r#"timeout = "3s" }"#,
    );
    let server = Server::start(lab);
    let (mut ann, bob) = pair(&server, false);
    let mut bob = bob;

    ann.dial("1002");
    bob.wait_nth("CALL_INCOMING", 1, seconds(5.0));
    ann.wait_nth("CALL_RINGING", 1, seconds(5.0));
    ann.hangup();
    bob.wait_nth("CALL_CLOSED", 1, seconds(5.0));

    ann.dial("1002");
    bob.wait_nth("CALL_INCOMING", 2, seconds(5.0));
    bob.hangup();
    let closed = ann.wait_nth("CALL_CLOSED", 2, seconds(5.0));
    assert!(
        closed["param"]
            .as_str()
            .is_some_and(|why| why.starts_with("486")),
        "{closed}"
    );

    ann.dial("1002");
    bob.wait_nth("CALL_INCOMING", 3, seconds(5.0));
    let closed = ann.wait_nth("CALL_CLOSED", 3, seconds(10.0));
    assert!(
        closed["param"]
            .as_str()
            .is_some_and(|why| why.starts_with("480") || why.starts_with("408")),
        "{closed}"
    );
    bob.wait_nth("CALL_CLOSED", 3, seconds(5.0));

    let outcomes: Vec<_> = server
        .wait_records(3)
        .iter()
        .map(|record| record["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["cancelled", "busy", "no-answer"]);
    server.wait_idle();
}
