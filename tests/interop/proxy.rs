//! A profile in proxy mode: two baresip hear each other directly, and the server keeps no call.

use crate::support::baresip::{Baresip, Phone};
use crate::support::lab::{DOMAIN, Lab, password};
use crate::support::server::Server;
use crate::support::{pause, seconds};

#[test]
fn phones_of_a_proxy_profile_talk_directly_and_both_can_hang_up() {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/internal.toml",
        "auth     = \"digest\"",
        "auth     = \"digest\"\nmode     = \"proxy\"",
    );
    let server = Server::start(lab);
    let phone = |extension: &str, hz| -> Baresip {
        let mut phone = Phone::new(extension)
            .account(&password(extension), DOMAIN, server.lab.phones())
            .tone(hz)
            .start();
        phone.wait_registered(seconds(10.0));
        phone
    };
    let (mut ann, mut bob) = (phone("1001", 440), phone("1002", 700));
    for caller_ends in [true, false] {
        let nth = if caller_ends { 1 } else { 2 };
        ann.dial("1002");
        bob.wait_nth("CALL_INCOMING", nth, seconds(5.0));
        bob.accept();
        ann.wait_nth("CALL_ESTABLISHED", nth, seconds(5.0));
        pause(seconds(2.0));
        let (ending, other) = if caller_ends {
            (&mut ann, &bob)
        } else {
            (&mut bob, &ann)
        };
        ending.hangup();
        other.wait_nth("CALL_CLOSED", nth, seconds(5.0));
        ann.assert_heard(700.0, 1.5);
        bob.assert_heard(440.0, 1.5);
        pause(seconds(1.1));
    }
    let records = server.api().get("/records");
    assert_eq!(
        records["items"].as_array().map(Vec::len),
        Some(0),
        "{records}"
    );
}
