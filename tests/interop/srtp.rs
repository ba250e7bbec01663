//! Calls with SRTP whose keys are in the SDP: protected phones with each other and with plain ones, tones measured.

use crate::support::baresip::{Baresip, Phone};
use crate::support::lab::{DOMAIN, Lab, password};
use crate::support::server::Server;
use crate::support::{pause, seconds};

fn lab(policy: &str) -> Lab {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/internal.toml",
        "auth     = \"digest\"",
        &format!("auth     = \"digest\"\nsrtp     = \"{policy}\""),
    );
    lab
}

fn phone(server: &Server, extension: &str, hz: u32, protection: Option<&'static str>) -> Baresip {
    let phone = Phone::new(extension)
        .account(&password(extension), DOMAIN, server.lab.phones())
        .tone(hz);
    let phone = match protection {
        Some(kind) => phone.protection(kind),
        None => phone,
    };
    let mut phone = phone.start();
    phone.wait_registered(seconds(10.0));
    phone
}

/// What each hears of the other in a call of two seconds.
fn talk(policy: &str, calling: Option<&'static str>, called: Option<&'static str>) {
    let server = Server::start(lab(policy));
    let mut ann = phone(&server, "1001", 440, calling);
    let mut bob = phone(&server, "1002", 700, called);
    ann.dial("1002");
    bob.wait_nth("CALL_INCOMING", 1, seconds(5.0));
    bob.accept();
    ann.wait_nth("CALL_ESTABLISHED", 1, seconds(5.0));
    pause(seconds(2.0));
    ann.hangup();
    bob.wait_nth("CALL_CLOSED", 1, seconds(5.0));
    ann.assert_heard(700.0, 1.5);
    bob.assert_heard(440.0, 1.5);
    server.wait_idle();
}

#[test]
fn phones_that_speak_nothing_but_srtp_hear_each_other() {
    talk("required", Some("srtp-mand"), Some("srtp-mand"));
}

#[test]
fn protected_phone_and_plain_phone_hear_each_other_both_ways() {
    talk("optional", Some("srtp-mand"), None);
    talk("optional", None, Some("srtp-mand"));
}

#[test]
fn phones_that_can_but_need_not_hear_each_other() {
    talk("optional", Some("srtp"), Some("srtp"));
}

#[test]
fn plain_phone_is_refused_where_srtp_is_required() {
    let server = Server::start(lab("required"));
    let mut ann = phone(&server, "1001", 440, None);
    let bob = phone(&server, "1002", 700, Some("srtp-mand"));
    ann.dial("1002");
    let closed = ann.wait_nth("CALL_CLOSED", 1, seconds(5.0));
    assert!(
        closed["param"]
            .as_str()
            .is_some_and(|why| why.contains("488")),
        "{closed}"
    );
    assert_eq!(bob.count("CALL_INCOMING"), 0);
    server.wait_idle();
}
