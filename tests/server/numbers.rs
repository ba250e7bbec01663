//! The gates before a call leaves, asked by telephone and by the API: do-not-call for callbacks and for calls that programs order, a route with
//! a PIN, lists that survive kill -9.

use std::time::Instant;

use serde_json::{Value, json};

use crate::devices::Device;
use crate::support::ear::Ear;
use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{at, seconds, tone, wait_for};

const CUSTOMER: &str = "+4930123456";
/// What stands for a prompt, so that it can be told from all else.
const PROMPT_HZ: f64 = 950.0;

/// The lab at any hour, with more of `outbound.toml`, and a tone for the prompt of this name.
fn server(more: &str, change: impl Fn(&mut Lab), prompt: &str) -> Server {
    let mut lab = Lab::new();
    lab.file("outbound.toml", &format!("hours = \"any\"\n{more}"));
    change(&mut lab);
    let mut server = Server::prepare(lab);
    let file = server.path(&format!("prompts/{prompt}.wav"));
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
    let specification = hound::WavSpec {
        channels: 1,
        sample_rate: tone::RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, specification).expect("a WAV file");
    for n in 0..u64::from(tone::RATE_HZ) * 3 / 2 {
        writer
            .write_sample(tone::sample(PROMPT_HZ, n))
            .expect("written");
    }
    writer.finalize().expect("written");
    server.restart();
    server
}

fn said(record: &Value, gate: &str) -> Value {
    let answers = record["answers"].as_array().expect("answers");
    let of = answers.iter().find(|answer| answer["gate"] == gate);
    of.cloned().unwrap_or(Value::Null)
}

/// Frames of 40 ms since then in which the device heard the prompt.
fn prompt(device: &Device, from: Instant) -> usize {
    let heard = device.ear.heard_between(from, Instant::now());
    tone::listen(&heard, tone::RATE_HZ, PROMPT_HZ).dominated
}

fn output(server: &Server, arguments: &[&str]) -> String {
    let output = server.command(arguments);
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_callback_refused_by_do_not_call_is_told_to_the_agent_in_words_also_after_kill_9() {
    let callback = |lab: &mut Lab| {
        lab.change(
            "queues/support.toml",
            "max-waiting  = 10\n",
            "max-waiting  = 10\ncallback     = { digit = \"1\" }\n",
        );
    };
    let mut server = server("", callback, "not-allowed-do-not-call");
    let made = output(
        &server,
        &["numbers", "make", "company", "--kind", "do-not-call"],
    );
    assert!(
        made.contains("company") && made.contains("do-not-call"),
        "{made}"
    );
    let added = output(
        &server,
        &[
            "numbers",
            "add",
            "company",
            "+49 30 123456",
            "--note",
            "asked us to stop",
        ],
    );
    assert!(added.contains("company"), "{added}");
    let asked = json!({ "queue": "support", "number": CUSTOMER });
    let work = server.api().post("/callbacks", &asked)["id"].clone();
    let work = work.as_str().expect("an id").to_owned();
    server.kill9();
    server.restart();
    let shown = output(&server, &["numbers", "show", "company"]);
    assert!(
        shown.contains(CUSTOMER) && shown.contains("asked us to stop"),
        "{shown}"
    );

    let desk = Device::registered(&server, "1001", None);
    let begin = Instant::now();
    let mut agent = desk
        .sipp("answer")
        .set("ring_ms", 100)
        .timeout(seconds(40.0))
        .start();
    desk.ear.follow(&agent.actions());
    server.agent_ready("1001");
    // it hears what the call is, then why it is not made, and is hung up on
    agent.succeed();
    assert!(prompt(&desk, begin) > 25, "the agent is told why");
    let record = server.wait_records(1).remove(0);
    assert_eq!(
        record["legs"].as_array().map(Vec::len),
        Some(1),
        "{record:#}"
    );
    let gates = &record["gates"][0];
    assert_eq!(
        (
            &gates["verdict"],
            &gates["purpose"],
            &gates["number"],
            &gates["work"]
        ),
        (
            &json!("deny"),
            &json!("callback"),
            &json!(CUSTOMER),
            &json!(work)
        ),
        "{gates:#}"
    );
    let answer = said(gates, "do-not-call");
    assert_eq!(answer["list"], "company");
    assert!(
        answer["version"]
            .as_str()
            .is_some_and(|v| v.starts_with("1-")),
        "{answer}"
    );
    assert_eq!(said(gates, "country"), Value::Null, "the first deny stops");
    let told = output(&server, &["calls", record["id"].as_str().expect("an id")]);
    assert!(
        told.contains("deny do-not-call: on list `company`"),
        "{told}"
    );
    assert!(server.api().list("/callbacks").is_empty(), "it is over");
    let why = output(&server, &["why", &work]);
    assert!(why.contains("deny do-not-call: on list `company`"), "{why}");
    server.wait_idle();
}

#[test]
fn a_program_is_refused_before_any_phone_rings_and_allowed_when_the_number_is_off_the_list() {
    let list = "[[list]]\nname = \"national\"\nkind = \"do-not-call\"\n";
    let server = server(list, |_| {}, "not-allowed-do-not-call");
    let path = server.path("register.csv");
    std::fs::write(&path, format!("number\n{CUSTOMER}\n+4930999999\n")).expect("written");
    let path = path.display().to_string();
    let imported = output(&server, &["numbers", "import", "national", &path]);
    assert!(imported.contains("2 on 20"), "{imported}");
    let desk = Device::registered(&server, "1003", Some(440.0));
    let never = desk.sipp("answer").set("ring_ms", 50).start();
    let order = json!({ "from": "1003", "to": CUSTOMER });
    let refused = server.api().try_post("/calls", &order);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(refused.body["code"], "gate_denied");
    let detail = refused.body["detail"].as_str().expect("words");
    assert!(
        detail.starts_with(&format!(
            "{CUSTOMER} may not be called: gate do-not-call: on list `national`, imported on"
        )),
        "{detail}"
    );
    assert!(never.messages().is_empty(), "nobody was rung");
    let check = output(&server, &["numbers", "check", CUSTOMER, "--from", "1003"]);
    assert!(check.contains("deny do-not-call"), "{check}");
    // a wrong line changes nothing
    std::fs::write(server.path("bad.csv"), "+4930999999\n030 12\n").expect("written");
    let bad = server.path("bad.csv").display().to_string();
    let bad = output(&server, &["numbers", "import", "national", &bad]);
    assert!(
        bad.contains("line 2: `030 12` is not an international number"),
        "{bad}"
    );
    assert_eq!(server.api().try_post("/calls", &order).status, 403);
    drop(never);

    // a new register without it
    std::fs::write(server.path("register.csv"), "+4930999999\n").expect("written");
    output(&server, &["numbers", "import", "national", &path]);
    let files = std::fs::read_dir(server.path("var/numbers")).expect("the folder");
    assert_eq!(files.count(), 1, "the import before is gone");
    let mut answers = desk.sipp("answer").set("ring_ms", 50).start();
    desk.ear.follow(&answers.actions());
    let ear = Ear::open(server.lab.carrier, Some(700.0));
    let mut customer = Sipp::new("trunk", at(server.lab.carrier, 5060))
        .ear(&ear)
        .timeout(seconds(40.0))
        .start();
    ear.follow(&customer.actions());
    let call = server.api().post("/calls", &order);
    let id = call["id"].as_str().expect("an id").to_owned();
    let begin = Instant::now();
    wait_for("both to talk", seconds(15.0), || {
        let call = server.api().try_get(&format!("/api/v1/calls/{id}")).body;
        (call["state"] == "bridged").then_some(())
    });
    wait_for("the desk to hear the customer", seconds(10.0), || {
        let heard = desk.ear.heard_between(begin, Instant::now());
        (tone::listen(&heard, tone::RATE_HZ, 700.0).dominated > 25).then_some(())
    });
    server
        .api()
        .post(&format!("/calls/{id}/hangup"), &json!({}));
    customer.succeed();
    answers.succeed();
    let record = server.wait_records(1).remove(0);
    let gates = &record["gates"][0];
    assert_eq!(gates["verdict"], "allow", "{gates:#}");
    assert_eq!(gates["answers"].as_array().map(Vec::len), Some(12));
    let looked_at = said(gates, "do-not-call")["version"].clone();
    assert!(
        looked_at
            .as_str()
            .is_some_and(|v| v.starts_with("national@2-")),
        "{looked_at}"
    );
    server.wait_idle();
}

#[test]
fn a_route_asks_for_a_pin_and_three_wrong_ones_lock_the_extension_also_after_kill_9() {
    let pin = "[[pin]]\nname = \"abroad\"\ncode = \"4711\"\nlock = \"10m\"\n";
    let route = |lab: &mut Lab| {
        lab.change(
            "dialplans/internal.toml",
            "{ dial = \"+{number}\", timeout = \"20s\" }",
            "{ dial = \"+{number}\", timeout = \"20s\", pin = \"abroad\" }",
        );
    };
    let mut server = server(pin, route, "pin-locked");
    let thief = Device::new("1003", None);
    let begin = Instant::now();
    let mut call = thief
        .calls(&server, "call-until-bye", CUSTOMER)
        .timeout(seconds(60.0))
        .start();
    thief.ear.follow(&call.actions());
    wait_for("the prompt to begin", seconds(10.0), || {
        (thief.ear.received() > 25).then_some(())
    });
    for (wrong, digits) in [(1, "1#"), (2, "0000#"), (3, "4712#")] {
        thief.ear.press(digits);
        wait_for("it to be looked at", seconds(15.0), || {
            let log = server.log();
            let over = log.matches("too many wrong PINs").count() > 0;
            (over || wrong < 3).then_some(())
        });
        crate::support::pause(seconds(1.0));
    }
    call.succeed();
    assert!(prompt(&thief, begin) > 25, "the caller is told why");
    let record = server.wait_records(1).remove(0);
    let gates = record["gates"].as_array().expect("gates").clone();
    let verdicts: Vec<&Value> = gates.iter().map(|gate| &gate["verdict"]).collect();
    assert_eq!(verdicts, ["ask", "deny"], "{gates:#?}");
    let reason = said(&gates[1], "pin")["reason"].clone();
    assert!(
        reason.as_str().is_some_and(|r| r.contains("locked until")),
        "{reason}"
    );
    assert_eq!(record["legs"].as_array().map(Vec::len), Some(1));

    server.kill9();
    server.restart();
    // nothing is asked any more, and nobody is answered
    thief
        .calls(&server, "refused", CUSTOMER)
        .set("status", 403)
        .run();

    // somebody else is not locked, and gives the right one
    let ear = Ear::open(server.lab.carrier, Some(700.0));
    let mut customer = Sipp::new("trunk", at(server.lab.carrier, 5060))
        .ear(&ear)
        .timeout(seconds(40.0))
        .start();
    ear.follow(&customer.actions());
    let desk = Device::new("1002", Some(440.0));
    let mut call = desk
        .calls(&server, "call", CUSTOMER)
        .set("talk_ms", 6000)
        .timeout(seconds(40.0))
        .start();
    desk.ear.follow(&call.actions());
    wait_for("the prompt to begin", seconds(10.0), || {
        (desk.ear.received() > 25).then_some(())
    });
    let begin = Instant::now();
    desk.ear.press("4711#");
    call.succeed();
    customer.succeed();
    desk.ear.assert_heard_since("the caller", begin, 700.0, 1.0);
    server.wait_idle();
}
