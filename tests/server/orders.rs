//! Orders of operators and what they are shown: bans of ranges, registrations at carriers, queues that take nobody, names outside.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

use serde_json::json;

use crate::devices::{Carrier, Device};
use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{address, at, seconds, wait_for};

const PROFILE: &str = "sip-profiles/external.toml";

fn shown(server: &Server, arguments: &[&str]) -> String {
    let output = server.command(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A registrar that gives every REGISTER the same answer, and every OPTIONS a 200.
struct Registrar {
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Registrar {
    fn start(socket: UdpSocket, status: u16) -> Registrar {
        let mut registrar = Registrar {
            status: Arc::new(AtomicU16::new(status)),
            asked: Arc::default(),
            over: Arc::default(),
            thread: None,
        };
        let (status, asked, over) = (
            registrar.status.clone(),
            registrar.asked.clone(),
            registrar.over.clone(),
        );
        socket
            .set_read_timeout(Some(seconds(0.1)))
            .expect("a timeout");
        registrar.thread = Some(std::thread::spawn(move || {
            let mut buffer = [0u8; 4096];
            while !over.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let status = if text.starts_with("REGISTER ") {
                    asked.fetch_add(1, Ordering::Relaxed);
                    status.load(Ordering::Relaxed)
                } else {
                    200
                };
                let same = [
                    "Via: ",
                    "From: ",
                    "To: ",
                    "Call-ID: ",
                    "CSeq: ",
                    "Contact: ",
                ];
                let lines = text
                    .lines()
                    .filter(|line| same.iter().any(|name| line.starts_with(name)));
                let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
                let answer = format!(
                    "SIP/2.0 {status} So\r\n{lines}Expires: 600\r\nContent-Length: 0\r\n\r\n"
                );
                socket.send_to(answer.as_bytes(), from).expect("sent");
            }
        }));
        registrar
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_refused_registration_is_no_healthy_trunk_and_is_tried_again_by_command() {
    let mut lab = Lab::new();
    lab.change(PROFILE, "auth          = {", "register      = {");
    lab.change(
        PROFILE,
        r#"options-ping  = "off""#,
        r#"options-ping  = "5s""#,
    );
    let socket = UdpSocket::bind(at(lab.carrier, 5060)).expect("the carrier's address");
    let registrar = Registrar::start(socket, 403);
    let server = Server::start(lab);
    let refused = wait_for("the refusal to be shown", seconds(10.0), || {
        let trunk = server.api().list("/trunks").remove(0);
        (trunk["gateways"][0]["state"] == "up" && trunk["state"] != "up").then_some(trunk)
    });
    assert_eq!(refused["state"], "registration-refused", "{refused:#}");
    let health = refused["health"].as_str().expect("words");
    assert!(
        health.starts_with("registration refused (403 Forbidden), next try at 20"),
        "{health}"
    );
    let table = shown(&server, &["trunks"]);
    assert!(
        table.contains("carrier: registration refused (403 Forbidden), next try in "),
        "{table}"
    );
    let metrics = server.api().try_get("/metrics").text;
    for line in [
        "strowger_trunk_registered{trunk=\"carrier\"} 0",
        "strowger_trunk_registration_refused{trunk=\"carrier\"} 1",
    ] {
        assert!(metrics.contains(line), "`{line}` is missing in\n{metrics}");
    }
    assert_eq!(registrar.asked(), 1, "who is refused does not insist");
    registrar.status.store(200, Ordering::Relaxed);
    shown(&server, &["trunks", "register", "carrier"]);
    let well = wait_for("the registration", seconds(10.0), || {
        let trunk = server.api().list("/trunks").remove(0);
        (trunk["registration"]["state"] == "registered").then_some(trunk)
    });
    assert_eq!(
        (&well["state"], &well["health"]),
        (&json!("up"), &json!("up"))
    );
    assert_eq!(registrar.asked(), 2);
    let unknown = server.command(&["trunks", "register", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn a_trunk_that_does_not_register_says_so_when_it_is_told_to() {
    let server = Server::start(Lab::new());
    let told = server.command(&["trunks", "register", "carrier"]);
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        !told.status.success() && text.contains("has no `register`"),
        "{text}"
    );
}

#[test]
fn loopback_and_own_addresses_are_banned_only_by_force_and_ranges_are_kept_out() {
    let server = Server::start(Lab::new());
    for own in [
        "127.0.0.1",
        "127.0.0.0/16",
        "::1",
        "0.0.0.0/0",
        &server.lab.server.to_string(),
    ] {
        let refused = server.command(&["bans", "--add", own]);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && text.contains("shut this server out of itself"),
            "{own}: {refused:?}"
        );
    }
    let refused = server
        .api()
        .try_post("/bans", &json!({ "source": "127.0.0.1" }));
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (409, &json!("own_address"))
    );
    shown(
        &server,
        &["bans", "--add", "198.51.100.0/24", "--for", "2h"],
    );
    let bans = shown(&server, &["bans"]);
    assert!(bans.contains("198.51.100.0/24"), "{bans}");
    let wrong = server.command(&["bans", "--add", "198.51.100.7/24"]);
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(text.contains("write `198.51.100.0/24`"), "{text}");
    shown(&server, &["bans", "--lift", "198.51.100.0/24"]);

    // what is in a range gets no answer, by force even from a loopback address
    let stranger = UdpSocket::bind((address(), 5060)).expect("an address of its own");
    stranger
        .set_read_timeout(Some(seconds(0.7)))
        .expect("a timeout");
    let ip = stranger.local_addr().expect("bound").ip();
    let mut sent = 0;
    let mut ping = || {
        sent += 1;
        let text = format!(
            "OPTIONS sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {ip}:5060;branch=z9hG4bKo{sent}\r\nFrom: <sip:s@x>;tag=1\r\nTo: <sip:pbx.test>\r\n\
             Call-ID: o{sent}@{ip}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        stranger
            .send_to(text.as_bytes(), server.lab.phones())
            .expect("sent");
        stranger.recv(&mut [0; 2048]).is_ok()
    };
    assert!(ping());
    let octets = match ip {
        std::net::IpAddr::V4(v4) => v4.octets(),
        std::net::IpAddr::V6(_) => panic!("IPv4"),
    };
    let range = format!(
        "{}.{}.{}.{}/31",
        octets[0],
        octets[1],
        octets[2],
        octets[3] & !1
    );
    shown(&server, &["bans", "--add", &range, "--force"]);
    assert!(!ping());
    shown(&server, &["bans", "--lift", &range]);
    assert!(ping());
}

#[test]
fn a_queue_that_takes_nobody_says_why_and_where_its_callers_went() {
    let mut lab = Lab::new();
    lab.change(
        "queues/support.toml",
        "max-waiting  = 10",
        "max-waiting  = 10\noverflow     = [ { when = \"nobody-logged-in\", do = [ { play = \"nobody\" }, { hangup = \"normal\" } ] } ]",
    );
    let server = Server::start(lab);
    let carrier = Carrier::new(&server, 1, None);
    carrier.calls(&server, "call-until-bye").run();
    let queue = server.api().list("/queues").remove(0);
    assert_eq!(queue["closed"], "nobody-logged-in");
    assert_eq!(
        queue["overflow"],
        json!([{
            "when": "nobody-logged-in", "holds": true, "taken": 1, "then": "play nobody, hangup normal (480)",
        }])
    );
    let table = shown(&server, &["queues"]);
    for part in [
        "support (closed: nobody-logged-in)",
        "0 of 10",
        "support, nobody-logged-in: 1 caller went to play nobody, hangup normal (480), holds now",
    ] {
        assert!(table.contains(part), "`{part}` is missing in\n{table}");
    }
    let _agent = Device::registered(&server, "1001", None);
    server.agent_ready("1001");
    let queue = server.api().list("/queues").remove(0);
    assert_eq!(queue["closed"], json!(null), "somebody is there");
}

#[test]
fn a_carrier_hears_no_name_of_the_house_unless_its_trunk_asks_for_it() {
    for (keys, named) in [
        ("", false),
        ("caller-name = \"own-number\"", true),
        ("caller-number = \"+442071838000\"", false),
        (
            "caller-number = \"+442071838000\"\ncaller-name = \"own-number\"",
            false,
        ),
        (
            "caller-number = \"+442071838000\"\ncaller-name = \"always\"",
            true,
        ),
    ] {
        let mut lab = Lab::new();
        lab.change(
            PROFILE,
            "max-channels  = 2",
            &format!("max-channels  = 2\n{keys}"),
        );
        lab.change(
            "directory/people.toml",
            "name = \"Ada Example\"",
            "name = \"Ada Example\"\nnumber = \"+442071838111\"",
        );
        let server = Server::start(lab);
        let ann = Device::new("1001", None);
        let mut gateway = Sipp::new("refuse", at(server.lab.carrier, 5060))
            .set("ring_ms", 10)
            .set("status", 486)
            .set("reason", "Busy Here")
            .start();
        ann.calls(&server, "refused", "+442079460123")
            .set("status", 486)
            .run();
        gateway.succeed();
        let seen = gateway.messages();
        assert!(seen.contains("P-Asserted-Identity: "), "{seen}");
        assert_eq!(seen.contains("Ada Example"), named, "{keys}:\n{seen}");
    }
}

#[test]
fn a_secret_in_the_environment_of_the_server_alone_is_a_warning_to_check_and_none_to_reload() {
    let mut lab = Lab::new();
    lab.change(
        "directory/people.toml",
        "password = \"secret-1001\"",
        "password = { env = \"STROWGER_TEST_ONLY_THERE\" }",
    );
    let mut server = Server::prepare(lab);
    server.set_variable("STROWGER_TEST_ONLY_THERE", "secret-1001");
    server.restart();
    let checked = server.command(&["check"]);
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{checked:?}");
    for part in [
        "`STROWGER_TEST_ONLY_THERE` is not set here",
        "directory/people.toml:4",
        "a server that runs may have it",
    ] {
        assert!(told.contains(part), "`{part}` is missing in\n{told}");
    }
    let strict = server.command(&["check", "--strict"]);
    assert_eq!(strict.status.code(), Some(1), "{strict:?}");
    let route = server.command(&[
        "route",
        "--profile",
        "internal",
        "--from",
        "1001",
        "--to",
        "1002",
    ]);
    assert!(route.status.success(), "{route:?}");

    server
        .lab
        .change("directory/people.toml", "Ada Example", "Ada Specimen");
    server.write_files();
    let reloaded = shown(&server, &["reload"]);
    assert!(reloaded.contains("reloaded: 1 change"), "{reloaded}");
    // the password is the server's, not what the command made of it
    Device::registered(&server, "1001", None);
}

#[test]
fn a_refused_reload_is_fields_for_programs_and_drawings_for_people() {
    let mut server = Server::start(Lab::new());
    server.lab.change(
        "queues/support.toml",
        "{ extension = \"1001\" }",
        "\"1001\"",
    );
    server.write_files();
    let refused = server.command(&["reload", "--json"]);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stdout).into_owned();
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["code"], "bad_configuration");
    assert_eq!(
        told["problems"],
        json!([{
            "severity": "error", "file": "queues/support.toml", "line": 7, "column": 18,
            "message": "`agents` must be a list of tables, and a string stands in it", "label": "this is a string",
            "help": "write `{ extension = \"1001\" }`",
        }])
    );
    assert!(!text.contains('│') && refused.stderr.is_empty(), "{text}");
    let refused = server.command(&["reload"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        text.contains("queues/support.toml:7:18") && text.contains('│'),
        "{text}"
    );
}
