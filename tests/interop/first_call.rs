//! The README's first call, as a new user makes it: the shipped example, phones that know nothing but what the README says.

use crate::support::baresip::{Baresip, Phone};
use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::{pause, seconds, wait_for};

/// A phone set up from the README's table: number, password, and the server's address as domain.
fn phone(server: &Server, extension: &str, tone_hz: u32) -> Baresip {
    let password = server.lab.password_of(extension);
    let domain = server.lab.server.to_string();
    let mut phone = Phone::new(extension)
        .account(&password, &domain, server.lab.phones())
        .tone(tone_hz)
        .start();
    phone.wait_registered(seconds(10.0));
    phone
}

#[test]
fn the_first_call_of_the_readme_works_as_written() {
    let server = Server::start(Lab::shipped());
    let (mut ann, mut bob) = (phone(&server, "1001", 440), phone(&server, "1002", 700));
    let table = server.command(&["registrations"]);
    let printed = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        printed.contains("1001") && printed.contains("1002"),
        "{table:?}"
    );
    ann.dial("1002");
    bob.wait("CALL_INCOMING", seconds(5.0));
    bob.accept();
    ann.wait("CALL_ESTABLISHED", seconds(5.0));
    pause(seconds(2.0));
    let table = server.command(&["calls"]);
    assert!(
        String::from_utf8_lossy(&table.stdout).contains("1002"),
        "{table:?}"
    );
    ann.hangup();
    bob.wait("CALL_CLOSED", seconds(5.0));
    ann.assert_heard(700.0, 1.5);
    bob.assert_heard(440.0, 1.5);
}

#[test]
fn the_echo_test_of_the_readme_gives_back_what_was_said() {
    let server = Server::start(Lab::shipped());
    let mut ann = phone(&server, "1001", 440);
    ann.dial("*43");
    ann.wait("CALL_ESTABLISHED", seconds(5.0));
    // The announcement is 4 s long.
    pause(seconds(8.0));
    ann.hangup();
    ann.wait("CALL_CLOSED", seconds(5.0));
    let (samples, rate) = ann.recordings().pop().expect("a recording");
    let tail = &samples[samples.len().saturating_sub(2 * rate as usize)..];
    crate::support::tone::assert_heard("the caller", tail, rate, 440.0, 1.5);
}

#[test]
fn the_queue_of_the_readme_rings_the_agent_who_logged_in_by_phone() {
    let server = Server::start(Lab::shipped());
    let (mut ann, mut agent) = (phone(&server, "1001", 440), phone(&server, "1003", 700));
    for (nth, code) in [(1, "*45"), (2, "*47")] {
        agent.dial(code);
        agent.wait_nth("CALL_ESTABLISHED", nth, seconds(5.0));
        // The server says what it did and hangs up.
        agent.wait_nth("CALL_CLOSED", nth, seconds(10.0));
    }
    wait_for("1003 to be ready", seconds(5.0), || {
        (server.api().get("/agents/1003")["state"] == "ready").then_some(())
    });
    ann.dial("200");
    agent.wait("CALL_INCOMING", seconds(10.0));
    ann.wait("CALL_ESTABLISHED", seconds(5.0));
    pause(seconds(0.5));
    agent.accept();
    agent.wait_nth("CALL_ESTABLISHED", 3, seconds(5.0));
    pause(seconds(2.0));
    let why = server.command(&["why", "1003"]);
    assert!(why.status.success() && !why.stdout.is_empty(), "{why:?}");
    ann.hangup();
    agent.wait_nth("CALL_CLOSED", 3, seconds(5.0));
    agent.assert_heard(440.0, 1.5);
    wait_for("wrap-up", seconds(5.0), || {
        (server.api().get("/agents/1003")["state"] == "wrap").then_some(())
    });
}

#[test]
fn the_passwords_of_the_readme_are_those_of_the_example() {
    let lab = Lab::shipped();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))
        .expect("the README");
    for extension in ["1001", "1002"] {
        assert!(
            readme.contains(&lab.password_of(extension)),
            "the README names another password for {extension}"
        );
    }
}
