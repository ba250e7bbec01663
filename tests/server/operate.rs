//! What an operator does: token, health, reload, drain, calls placed and ended through the API, the event stream.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest};

use crate::devices::Device;
use crate::support::lab::{Lab, password};
use crate::support::server::Server;
use crate::support::{seconds, wait_for};

#[test]
fn the_first_start_writes_an_admin_token_that_only_its_owner_can_read() {
    let mut server = Server::start(Lab::new());
    let file = server.path("var/admin.token");
    let mode = std::fs::metadata(&file)
        .expect("the token")
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode, 0o600);
    let token = std::fs::read_to_string(&file).expect("readable");
    assert!(token.trim().len() >= 32);
    assert!(
        !server.log().contains(token.trim()),
        "the token must not be in the log"
    );
    server.kill9();
    server.restart();
    assert_eq!(
        std::fs::read_to_string(&file).expect("readable"),
        token,
        "the second start keeps it"
    );
}

#[test]
fn the_api_serves_nobody_without_the_token() {
    let server = Server::start(Lab::new());
    for token in ["", "wrong"] {
        let stranger = server.api().with_token(token);
        for path in [
            "/status",
            "/registrations",
            "/trunks",
            "/calls",
            "/queues",
            "/agents",
            "/work",
        ] {
            let answer = stranger.try_get(&format!("/api/v1{path}"));
            assert_eq!(answer.status, 401, "{path}: {answer:?}");
        }
        assert_eq!(
            stranger
                .try_post("/calls", &json!({ "from": "1001", "to": "1002" }))
                .status,
            401
        );
        assert_eq!(stranger.try_post("/reload", &json!({})).status, 401);
        assert_eq!(
            stranger
                .try_put("/agents/1001/session", &json!({ "session": "in" }))
                .status,
            401
        );
    }
    assert_eq!(server.api().try_get("/healthz").status, 200);
    assert_eq!(server.api().try_get("/readyz").status, 200);
}

#[test]
fn every_list_and_the_metrics_are_there() {
    let server = Server::start(Lab::new());
    for path in ["/registrations", "/calls", "/work"] {
        assert!(server.api().list(path).is_empty(), "{path}");
    }
    assert_eq!(server.api().list("/trunks")[0]["name"], "carrier");
    assert_eq!(server.api().list("/queues")[0]["name"], "support");
    assert_eq!(server.api().list("/agents").len(), 2);
    assert_eq!(server.api().get("/status")["state"], "ready");
    let metrics = server.api().try_get("/metrics");
    assert!(
        metrics.status == 200 && metrics.text.contains("# TYPE strowger_"),
        "{}",
        metrics.text
    );
    let description = server.api().get("/openapi.json");
    assert!(
        description["paths"]
            .as_object()
            .is_some_and(|paths| paths.len() > 10)
    );
    let unknown = server.api().try_get("/api/v1/queues/nowhere");
    assert_eq!(
        (unknown.status, &unknown.body["code"]),
        (404, &"not_found".into())
    );
}

#[test]
fn a_reload_adds_a_person_and_a_wrong_file_changes_nothing() {
    let mut server = Server::start(Lab::new());
    let people = server.path("directory/people.toml");
    let before = std::fs::read_to_string(&people).expect("readable");

    std::fs::write(
        &people,
        format!(
            "{before}[[user]]\nextension = \"1005\"\nname = \"Eve Example\"\npasswort = \"x\"\n"
        ),
    )
    .expect("writable");
    let refused = server.api().try_post("/reload", &json!({}));
    assert!((400..500).contains(&refused.status), "{refused:?}");
    assert!(
        refused.text.contains("people.toml") && refused.text.contains("passwort"),
        "{refused:?}"
    );
    Device::registered(&server, "1001", None);

    std::fs::write(
        &people,
        format!(
            "{before}[[user]]\nextension = \"1005\"\nname = \"Eve Example\"\npassword = \"{}\"\n",
            password("1005")
        ),
    )
    .expect("writable");
    server.process().signal("HUP");
    let device = Device::new("1005", None);
    wait_for("1005 to be known", seconds(10.0), || {
        let mut attempt = device
            .sipp("register")
            .to(server.lab.phones())
            .set("expires", 300)
            .timeout(seconds(3.0))
            .start();
        wait_for("the attempt to end", seconds(15.0), || attempt.outcome()).then_some(())
    });
    server.wait_registered("1005", 1);
    server.wait_registered("1001", 1);
}

#[test]
fn sigterm_lets_the_call_finish_and_takes_no_new_one() {
    let mut server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    let late = Device::new("1003", None);
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    let mut call = ann
        .calls(&server, "call", "1002")
        .set("talk_ms", 3000)
        .start();
    answer.wait_for_message("ACK sip:", seconds(10.0));
    server.process().signal("TERM");
    wait_for("the server to drain", seconds(5.0), || {
        (server.api().try_get("/readyz").status == 503).then_some(())
    });
    late.calls(&server, "refused", "1002")
        .set("status", 503)
        .run();
    call.succeed();
    answer.succeed();
    let status = server.process().wait(seconds(10.0));
    assert!(status.success(), "{status}");
}

#[test]
fn the_api_places_a_call_and_ends_it() {
    let server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::registered(&server, "1001", Some(440.0)),
        Device::registered(&server, "1002", Some(700.0)),
    );
    let mut first = ann.sipp("answer").set("ring_ms", 50).start();
    let mut second = bob.sipp("answer").set("ring_ms", 50).start();
    ann.ear.follow(&first.actions());
    bob.ear.follow(&second.actions());
    let call = server
        .api()
        .post("/calls", &json!({ "from": "1001", "to": "1002" }));
    let id = call["id"].as_str().expect("an id").to_string();
    second.wait_for_message("ACK sip:", seconds(10.0));
    wait_for("tones both ways", seconds(10.0), || {
        (ann.ear.received() > 50 && bob.ear.received() > 50).then_some(())
    });
    assert_eq!(server.api().get(&format!("/calls/{id}"))["id"], id.as_str());
    server
        .api()
        .post(&format!("/calls/{id}/hangup"), &json!({}));
    first.succeed();
    second.succeed();
    server.wait_records(1);
    server.wait_idle();
}

#[test]
fn the_event_stream_has_no_gap_and_resumes_where_it_was_left() {
    let server = Server::start(Lab::new());
    let mut live = Stream::open(&server, None);
    let _device = Device::registered(&server, "1001", None);
    server.agent_ready("1001");
    let first = live.read(2);
    let seqs: Vec<u64> = first
        .iter()
        .map(|event| event["seq"].as_u64().expect("a seq"))
        .collect();
    assert_eq!(seqs[1], seqs[0] + 1, "{first:?}");
    let again = Stream::open(&server, Some(seqs[0])).read(1).remove(0);
    assert_eq!(again, first[1]);
}

#[test]
fn the_event_stream_goes_on_over_kill_9_without_a_gap() {
    let mut server = Server::start(Lab::new());
    let first = server.api().get("/status")["seq"].as_u64().expect("a seq");
    let _device = Device::registered(&server, "1001", None);
    server.agent_ready("1001");
    let before = wait_for("events", seconds(5.0), || {
        let seq = server.api().get("/status")["seq"].as_u64()?;
        (seq >= first + 3).then_some(seq)
    });
    server.kill9();
    server.restart();
    server.api().put(
        "/agents/1001/status",
        &json!({ "status": "not-ready", "reason": "lunch" }),
    );
    let after = wait_for("an event of the second life", seconds(5.0), || {
        let seq = server.api().get("/status")["seq"].as_u64()?;
        (seq > before).then_some(seq)
    });
    let count = usize::try_from(after - first).expect("few");
    let events = Stream::open(&server, Some(first)).read(count);
    let seqs: Vec<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().expect("a seq"))
        .collect();
    assert_eq!(seqs, (first + 1..=after).collect::<Vec<u64>>());
}

#[test]
fn a_reader_who_was_away_for_long_gets_everything_though_nothing_happens_any_more() {
    let server = Server::start(Lab::new());
    server.agent_ready("1001");
    let first = server.api().get("/status")["seq"].as_u64().expect("a seq");
    for _ in 0..300 {
        for status in ["not-ready", "ready"] {
            server
                .api()
                .put("/agents/1001/status", &json!({ "status": status }));
        }
    }
    let last = server.api().get("/status")["seq"].as_u64().expect("a seq");
    assert!(last >= first + 600, "{first} {last}");
    let count = usize::try_from(last - first).expect("few");
    let events = Stream::open(&server, Some(first)).read(count);
    assert_eq!(events.last().expect("some")["seq"], last);
}

#[test]
fn each_table_of_the_command_is_there_for_people_and_for_programs() {
    let server = Server::start(Lab::new());
    let _device = Device::registered(&server, "1001", None);
    server.agent_ready("1001");
    for (subject, word) in [
        ("status", "ready"),
        ("registrations", "1001"),
        ("trunks", "carrier"),
        ("queues", "support"),
        ("agents", "1001"),
        ("calls", ""),
    ] {
        let table = server.command(&[subject]);
        let text = String::from_utf8_lossy(&table.stdout).into_owned();
        assert!(
            table.status.success() && text.contains(word),
            "{subject}: {table:?}"
        );
        let json = server.command(&[subject, "--json"]);
        let value: Value = serde_json::from_slice(&json.stdout)
            .unwrap_or_else(|fault| panic!("{subject} --json: {fault}: {json:?}"));
        assert!(
            json.status.success() && value.to_string().contains(word),
            "{subject}: {value}"
        );
    }
    let reload = server.command(&["reload"]);
    assert!(reload.status.success(), "{reload:?}");
    let nobody = server.command(&["why", "9999"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(!nobody.stderr.is_empty() && nobody.stdout.is_empty());
}

#[test]
fn check_route_and_schema_need_no_server_and_say_where_things_stand() {
    let mut lab = Lab::new();
    lab.change("queues/support.toml", "ring-timeout", "ring-timeuot");
    lab.change(
        "dialplans/inbound.toml",
        "queue = \"support\"",
        "queue = \"suport\"",
    );
    let server = Server::prepare(lab);
    let wrong = server.command(&["check"]);
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(1));
    // Both at once, each with its file, its line underlined, and a hint.
    for part in [
        "queues/support.toml",
        "did you mean `ring-timeout`",
        "ring-timeuot = \"8s\"",
        "dialplans/inbound.toml",
        "did you mean `support`",
    ] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    let server = Server::prepare(Lab::new());
    let route = server.command(&[
        "route",
        "--profile",
        "external",
        "--from",
        "+442079460999",
        "--to",
        crate::support::lab::DID,
    ]);
    let text = String::from_utf8_lossy(&route.stdout).into_owned();
    assert!(route.status.success(), "{route:?}");
    for part in ["dialplans/inbound.toml:", "play welcome", "queue support"] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    let schema = std::process::Command::new(env!("CARGO_BIN_EXE_strowger"))
        .args(["schema", "queue"])
        .output()
        .expect("the binary starts");
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    assert!(schema["properties"]["ring-timeout"].is_object(), "{schema}");
}

struct Stream {
    socket: tungstenite::WebSocket<TcpStream>,
}

impl Stream {
    fn open(server: &Server, after: Option<u64>) -> Stream {
        let host = format!("{}:8080", server.lab.server);
        let query = after.map(|seq| format!("?after={seq}")).unwrap_or_default();
        let mut request = format!("ws://{host}/api/v1/events{query}")
            .into_client_request()
            .expect("a request");
        let token = std::fs::read_to_string(server.path("var/admin.token")).expect("the token");
        request.headers_mut().insert(
            "Authorization",
            format!("Bearer {}", token.trim())
                .parse()
                .expect("a header"),
        );
        let tcp = TcpStream::connect(&host).expect("the API listens");
        tcp.set_read_timeout(Some(seconds(10.0)))
            .expect("a timeout");
        let (socket, _) = tungstenite::client::client(request, tcp).expect("an upgrade");
        Stream { socket }
    }

    fn read(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            if let tungstenite::Message::Text(text) =
                self.socket.read().expect("an event within 10 s")
            {
                events.push(serde_json::from_str(&text).expect("an event is JSON"));
            }
        }
        events
    }
}
