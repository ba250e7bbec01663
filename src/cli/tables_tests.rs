//! Tables made of the views that the API serialises, so that a renamed field is noticed here.

use serde_json::json;

use super::*;
use crate::base::{Ulid, WallTime};
use crate::event::{Direction, Party};
use crate::switch::{
    BanView, CallView, GuardView, LegView, RegistrationView, StatusView, TrunkView,
};
use crate::trunk::{GatewayView, RegistrationView as TrunkRegistrationView};

fn now() -> Timestamp {
    "2026-11-20T10:10:00Z".parse().expect("a time")
}

fn before(secs: i64) -> WallTime {
    WallTime::from_millis(now().as_millisecond() - secs * 1000)
}

fn party(number: &str, trunk: Option<&str>) -> Party {
    Party {
        number: number.into(),
        name: None,
        trunk: trunk.map(Into::into),
    }
}

fn page<T: serde::Serialize>(items: &[T]) -> Value {
    json!({ "items": items, "next": null })
}

fn shown<T: serde::Serialize>(kind: Kind, items: &[T]) -> String {
    let text = render(kind, &page(items), now());
    for line in text.lines() {
        assert!(line.chars().count() <= 140, "too wide: {line}");
    }
    text
}

#[test]
fn an_empty_list_is_none() {
    for kind in [
        Kind::Calls,
        Kind::Queues,
        Kind::Agents,
        Kind::Registrations,
        Kind::Trunks,
        Kind::Bans,
    ] {
        assert_eq!(render(kind, &page::<u8>(&[]), now()), "none", "{kind:?}");
    }
}

#[test]
fn a_call_is_shown_with_both_parties_and_its_age() {
    let leg = |role, number: &str| LegView {
        id: Ulid::from_parts(1, 2),
        role,
        party: party(number, None),
        state: "answered",
        silent_since: None,
        peer: "127.0.0.1:5062".to_owned(),
        codec: Some("PCMA".to_owned()),
    };
    let call = CallView {
        gates: Vec::new(),
        id: Ulid::from_parts(1, 1),
        direction: Direction::Inbound,
        from: party("+447700900123", Some("acme")),
        to: party("+442071838750", None),
        state: "bridged",
        started_at: before(72),
        answered_at: None,
        work: None,
        verstat: None,
        attestation: None,
        legs: vec![leg("caller", "+447700900123"), leg("agent", "1003")],
    };
    insta::assert_snapshot!(shown(Kind::Calls, &[call]), @r"
    call                        state    from                    to             with  for         codec
    00000000010000000000000001  bridged  +447700900123 via acme  +442071838750  1003  1 min 12 s  PCMA
    ");
}

#[test]
fn a_device_that_does_not_respond_is_said_so_and_since_when() {
    let leg = |role, number: &str, silent: Option<i64>| LegView {
        id: Ulid::from_parts(1, 2),
        role,
        party: party(number, None),
        state: "calling",
        silent_since: silent.map(before),
        peer: "127.0.0.1:5062".to_owned(),
        codec: None,
    };
    let call = |silent| CallView {
        gates: Vec::new(),
        id: Ulid::from_parts(1, 1),
        direction: Direction::Internal,
        from: party("1001", None),
        to: party("1003", None),
        state: "calling",
        started_at: before(12),
        answered_at: None,
        work: None,
        verstat: None,
        attestation: None,
        legs: vec![leg("caller", "1001", None), leg("callee", "1003", silent)],
    };
    insta::assert_snapshot!(shown(Kind::Calls, &[call(Some(12)), call(Some(0)), call(None)]), @r"
    call                        state    from  to    with                         for   codec
    00000000010000000000000001  calling  1001  1003  1003 (no response for 12 s)  12 s  -
    00000000010000000000000001  calling  1001  1003  1003                         12 s  -
    00000000010000000000000001  calling  1001  1003  1003                         12 s  -
    ");
}

#[test]
fn a_registration_says_where_from_and_how_long() {
    let binding = |aor: &str, healthy| RegistrationView {
        ring: true,
        do_not_disturb: false,
        aor: aor.into(),
        contact: "sip:1001@192.0.2.7:5060".into(),
        transport: "UDP",
        source: "192.0.2.7:5060".to_owned(),
        user_agent: Some("evil\x1b[2Jphone".into()),
        expires_at: before(-600),
        healthy,
    };
    let list = [
        binding("1001@pbx.example.com", true),
        binding("1002@pbx.example.com", false),
    ];
    insta::assert_snapshot!(shown(Kind::Registrations, &list), @r"
    user                  from            over  expires in   state   phone
    1001@pbx.example.com  192.0.2.7:5060  UDP   10 min 00 s  ok      evil�[2Jphone
    1002@pbx.example.com  192.0.2.7:5060  UDP   10 min 00 s  silent  evil�[2Jphone
    ");
}

#[test]
fn the_contact_of_a_device_stands_there_whole() {
    let contact = format!("sip:1001@192.0.2.7:5060;ob;x={}", "y".repeat(90));
    let value = json!({ "items": [{ "aor": "1001@x", "contact": contact, "transport": "UDP" }] });
    assert!(render(Kind::Devices, &value, now()).contains(&contact));
}

#[test]
fn a_trunk_says_how_full_it_is() {
    let trunk = TrunkView {
        name: "acme".into(),
        state: "unknown",
        health: String::new(),
        channels: 3,
        max_channels: Some(30),
        proxies: vec![
            "sip:gw1.acme.example".to_owned(),
            "sip:gw2.acme.example".to_owned(),
        ],
        ping_ms: Some(12.34),
        gateways: Vec::new(),
        registration: None,
    };
    insta::assert_snapshot!(shown(Kind::Trunks, &[trunk]), @r"
    trunk  state       registered  channels  ping     gateways
    acme   not pinged  -           3 of 30   12.3 ms  sip:gw1.acme.example, sip:gw2.acme.example
    ");
}

#[test]
fn a_trunk_says_where_it_is_registered_and_which_gateway_is_ill() {
    let gateway = |address: &str, why: Option<&str>| GatewayView {
        uri: "sip:acme.example".into(),
        transport: "UDP",
        address: address.to_owned(),
        state: if why.is_some() { "down" } else { "up" },
        why: why.map(Into::into),
        breaker: "closed",
        open_until: None,
        ping_ms: None,
    };
    let trunk = |name: &str, state: &'static str, why: Option<&str>| TrunkView {
        name: name.into(),
        state: if why.is_some() {
            "registration-refused"
        } else {
            "up"
        },
        health: String::new(),
        channels: 0,
        max_channels: None,
        proxies: vec!["sip:acme.example".to_owned()],
        ping_ms: None,
        gateways: vec![
            gateway("192.0.2.1:5060", None),
            gateway("192.0.2.2:5060", Some("no answer to OPTIONS")),
        ],
        registration: Some(TrunkRegistrationView {
            state,
            aor: "sip:lab@acme.example".into(),
            registrar: None,
            why: why.map(Into::into),
            expires_at: (state == "registered").then(|| before(-600)),
            next_at: why.is_some().then(|| before(-290)),
        }),
    };
    let list = [
        trunk("acme", "registered", None),
        trunk("bell", "unregistered", Some("403 Forbidden to REGISTER")),
    ];
    insta::assert_snapshot!(shown(Kind::Trunks, &list), @r"
    trunk  state    registered        channels  ping  gateways
    acme   up       yes, 10 min 00 s  0         -     192.0.2.1:5060, 192.0.2.2:5060 (down: no answer to OPTIONS)
    bell   refused  no                0         -     192.0.2.1:5060, 192.0.2.2:5060 (down: no answer to OPTIONS)
    bell: registration refused (403 Forbidden), next try in 4 min 50 s
    ");
}

#[test]
fn a_ban_is_shown_with_its_end_and_its_reason() {
    let ban = |last, secs: i64, by| BanView {
        source: format!("192.0.2.{last}"),
        until: before(-secs),
        by,
    };
    insta::assert_snapshot!(shown(Kind::Bans, &[ban(7, 90, "failures"), ban(8, 86_400, "operator")]), @r"
    source     ends in     because of
    192.0.2.7  1 min 30 s  wrong passwords
    192.0.2.8  1 d 0 h     an operator
    ");
}

#[test]
fn the_status_is_a_few_lines() {
    let status = StatusView {
        version: "0.1.0",
        state: "ready",
        started_at: before(3700),
        seq: 17,
        calls: 2,
        legs: 4,
        registrations: 1,
        registrations_unreachable: 0,
        transactions: 0,
        ports: 8,
        ports_resting: 0,
        ports_all: 5_000,
        ports_missing: 0,
        guard: GuardView::default(),
        timers: 12,
        calls_total: 9,
        waiting: 1,
        store_ok: true,
        unregistering: false,
    };
    let value = serde_json::to_value(&status).expect("JSON");
    insta::assert_snapshot!(render(Kind::Status, &value, now()), @r"
    strowger 0.1.0
    state      ready
    up for     1 h 01 min (since 09:08:20 UTC)
    calls      2 now (4 legs), 9 since the start
    waiting    1
    registered 1 device
    in use     8 RTP ports, 0 transactions, 12 timers
    events     17
    ");
}

fn floor() -> crate::acd::Acd {
    use crate::acd::{AcdCommand, AcdSettings, AgentSettings, AssignmentSettings, QueueSettings};
    let mut acd = crate::acd::Acd::new(crate::base::Entropy::from_number(1));
    let mut queue = QueueSettings::named("support");
    queue.agents = vec![AssignmentSettings::of("1003")];
    let settings = AcdSettings {
        queues: vec![queue],
        agents: vec![AgentSettings::of("1003", "Cleo Specimen")],
    };
    let at = crate::base::Now {
        mono: crate::base::Instant::from_nanos(1),
        wall: before(90),
    };
    let mut out = Vec::new();
    acd.handle(at, AcdCommand::Configure(settings), &mut out);
    acd.handle(
        at,
        AcdCommand::Login {
            agent: "1003".into(),
        },
        &mut out,
    );
    let devices = AcdCommand::Devices {
        agent: "1003".into(),
        ringable: 1,
    };
    acd.handle(at, devices, &mut out);
    acd
}

#[test]
fn queues_and_agents_are_shown_as_the_acd_sees_them() {
    let acd = floor();
    let at = crate::base::Now {
        mono: crate::base::Instant::from_nanos(90_000_000_000),
        wall: before(0),
    };
    insta::assert_snapshot!(shown(Kind::Queues, &acd.queues(at)), @r"
    queue    waiting  longest  talking  free  ready  in  agents  offered  answered  lost  went on  in time  expected
    support  0        -        0        0     0      1   1       0        0         0     0        -        -
    ");
    insta::assert_snapshot!(shown(Kind::Agents, &acd.agents(at)), @r"
    agent  name           state      for         detail  devices  calls  busy  queues
    1003   Cleo Specimen  not-ready  1 min 30 s  -       1        0      -     support
    ");
}

#[test]
fn a_reload_says_what_it_changed() {
    let answer = json!({
        "changes": ["queue `support` changed", "section `http` changed (needs a restart)"],
        "opened": ["udp:127.0.0.1:5062"],
        "closed": [],
        "warnings": [{ "shown": "warning: …\n" }],
    });
    insta::assert_snapshot!(render(Kind::Reload, &answer, now()), @r"
    reloaded: 2 changes
      queue `support` changed
      section `http` changed (needs a restart)
    listening at udp:127.0.0.1:5062
    warning: …
    ");
    let same = json!({ "changes": [], "opened": [], "closed": [], "warnings": [] });
    assert_eq!(
        render(Kind::Reload, &same, now()),
        "reloaded: nothing differs"
    );
}
