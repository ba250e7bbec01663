//! Registration with digest over UDP and TCP, wrong passwords, leaving.

use crate::devices::Device;
use crate::support::lab::Lab;
use crate::support::seconds;
use crate::support::server::Server;

#[test]
fn a_device_registers_over_udp_and_leaves() {
    let server = Server::start(Lab::new());
    let desk = Device::registered(&server, "1001", None);
    let rows = server.wait_registered("1001", 1);
    assert_eq!(rows[0]["aor"], "1001@pbx.test");
    assert_eq!(rows[0]["transport"], "UDP");
    assert_eq!(rows[0]["source"], desk.socket().to_string());
    desk.register(&server, 0);
    server.wait_registered("1001", 0);
}

#[test]
fn a_device_registers_over_tcp_and_is_gone_with_its_connection() {
    let server = Server::start(Lab::new());
    let desk = Device::new("1001", None);
    desk.sipp("register")
        .tcp()
        .to(server.lab.phones())
        .set("expires", 300)
        .run();
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    // SIPp has ended and its connection with it (RFC 5626: the flow is the way to the device).
    server.wait_registered("1001", 0);
}

#[test]
fn two_devices_of_one_extension_stand_side_by_side() {
    let server = Server::start(Lab::new());
    let _desk = Device::registered(&server, "1001", None);
    let _mobile = Device::registered(&server, "1001", None);
    server.wait_registered("1001", 2);
}

#[test]
fn a_wrong_password_does_not_register() {
    let server = Server::start(Lab::new());
    let stranger = Device::new("1001", None);
    let mut attempt = stranger
        .sipp("register")
        .set("expires", 300)
        .to(server.lab.phones())
        .timeout(seconds(4.0));
    attempt = attempt.overriding("password", "guess");
    let mut attempt = attempt.start();
    let registered =
        crate::support::wait_for("the attempt to end", seconds(20.0), || attempt.outcome());
    assert!(!registered, "a wrong password was accepted");
    server.wait_registered("1001", 0);
}

#[test]
fn an_unknown_user_gets_the_same_challenge_as_a_known_one() {
    let server = Server::start(Lab::new());
    let mut answers = Vec::new();
    for extension in ["1001", "9999"] {
        let stranger = Device::new(extension, None);
        let mut attempt = stranger
            .sipp("register")
            .overriding("password", "guess")
            .set("expires", 300)
            .to(server.lab.phones());
        attempt = attempt.timeout(seconds(4.0));
        let mut attempt = attempt.start();
        crate::support::wait_for("the attempt to end", seconds(20.0), || attempt.outcome());
        let log = attempt.messages();
        let statuses: Vec<String> = log
            .lines()
            .filter(|line| line.starts_with("SIP/2.0 "))
            .map(str::to_string)
            .collect();
        answers.push(statuses);
    }
    assert_eq!(
        answers[0], answers[1],
        "who is asked for must not show in the answer"
    );
    assert!(!answers[0].is_empty());
}
