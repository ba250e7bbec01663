//! Explain records made by the queues themselves, told to people.

use super::*;
use crate::acd::{
    Acd, AcdCommand, AcdEffect, AcdSettings, AgentSettings, AgentStatus, AssignmentSettings,
    CallerInfo, OfferOutcome, QueueSettings,
};
use crate::base::{Duration, Entropy, Instant, Now, Ulid, WallTime};

const BEGIN: &str = "2026-11-20T10:00:00Z";

/// A queue with agents 1003 and 1004 (level 2, 30 s later) on a clock that stands still unless told.
struct Floor {
    acd: Acd,
    now: Now,
    fx: Vec<AcdEffect>,
}

fn item() -> Ulid {
    Ulid::from_parts(1, 1)
}

impl Floor {
    fn new() -> Floor {
        let begin: Timestamp = BEGIN.parse().expect("a time");
        let mut queue = QueueSettings::named("support");
        let mut second = AssignmentSettings::of("1004");
        second.level = 2;
        second.delay = Duration::from_secs(30);
        queue.agents = vec![AssignmentSettings::of("1003"), second];
        let mut floor = Floor {
            acd: Acd::new(Entropy::from_number(1)),
            now: Now {
                mono: Instant::from_nanos(1_000_000_000),
                wall: WallTime::from_timestamp(begin),
            },
            fx: Vec::new(),
        };
        floor.send(AcdCommand::Configure(AcdSettings {
            queues: vec![queue],
            agents: vec![
                AgentSettings::of("1003", "Cleo Specimen"),
                AgentSettings::of("1004", "Dan Placeholder"),
            ],
        }));
        for agent in ["1003", "1004"] {
            floor.send(AcdCommand::Login {
                agent: agent.into(),
            });
            floor.send(AcdCommand::Devices {
                agent: agent.into(),
                ringable: 1,
            });
        }
        floor
    }

    fn send(&mut self, command: AcdCommand) {
        self.acd.handle(self.now, command, &mut self.fx);
    }

    fn wait(&mut self, secs: u64) {
        let by = Duration::from_secs(secs);
        self.now = Now {
            mono: self.now.mono + by,
            wall: self.now.wall + by,
        };
        self.acd.on_time(self.now, &mut self.fx);
    }

    fn status(&mut self, agent: &str, status: AgentStatus) {
        self.send(AcdCommand::SetStatus {
            agent: agent.into(),
            status,
        });
    }

    fn enter(&mut self) {
        self.send(AcdCommand::Enter {
            item: item(),
            queue: "support".into(),
            arrival: self.now,
            credit: Duration::ZERO,
            class: 5,
            skills: Vec::new(),
            prefer: None,
            caller: CallerInfo {
                number: "+447700900123".into(),
                name: "".into(),
                extension: None,
            },
            call: Ulid::from_parts(1, 9),
        });
    }

    fn clock(&self) -> Timestamp {
        self.now.wall.timestamp()
    }

    fn why_item(&self) -> String {
        let view = self.acd.item(self.now, item()).expect("known");
        let mut work = serde_json::to_value(view).expect("JSON");
        work["why"] = serde_json::to_value(self.acd.why_item(item())).expect("JSON");
        work["journey"] = serde_json::to_value(self.acd.journey(item())).expect("JSON");
        of_work(&work, self.clock())
    }

    fn why_agent(&self, extension: &str) -> String {
        let agents = serde_json::to_value(self.acd.agents(self.now)).expect("JSON");
        let agent = agents
            .as_array()
            .and_then(|all| all.iter().find(|a| text(a, "extension") == Some(extension)))
            .expect("known");
        let why = serde_json::to_value(self.acd.why_agent(extension)).expect("JSON");
        of_agent(agent, why.as_array().expect("a list"), self.clock())
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[test]
fn a_waiting_call_is_answered_in_one_sentence_and_then_agent_by_agent() {
    let mut floor = Floor::new();
    let lunch = AgentStatus::NotReady {
        reason: Some("lunch".into()),
    };
    floor.status("1003", lunch);
    floor.enter();
    floor.wait(72);
    insta::assert_snapshot!(floor.why_item(), @r"
    +447700900123 has waited 1 min 12 s in support at place 1, for an agent to become ready.
    called at 10:00:00 UTC

    10:01:12 UTC  queue support: a delay or a pause ended (ordinary priority, entry 1). Chosen: nobody.
      1003 is not ready (lunch)
      1004 is not ready

    10:00:00 UTC  queue support: the call entered (ordinary priority, entry 1). Chosen: nobody.
      1003 is not ready (lunch)
      1004 is not ready
    ");
}

#[test]
fn a_delay_is_told_with_the_agent_whom_it_holds() {
    let mut floor = Floor::new();
    floor.status("1003", AgentStatus::Ready);
    floor.status("1004", AgentStatus::Ready);
    floor.enter();
    let offer = floor
        .fx
        .iter()
        .find_map(|effect| match effect {
            AcdEffect::Offer { offer, .. } => Some(*offer),
            _ => None,
        })
        .expect("1003 is rung");
    floor.wait(12);
    floor.send(AcdCommand::OfferEnded {
        offer,
        outcome: OfferOutcome::Declined,
    });
    let said = floor.why_item();
    insta::assert_snapshot!(said, @r"
    +447700900123 has waited 12 s in support at place 1, because none of its 2 ready agents may have it: 1003 had this call already, and is not rung for it again for 30 s; 1004 helps when a call has waited 30 s (level 2), and this one has waited 12 s.
    called at 10:00:00 UTC

    10:00:12 UTC  queue support: the call is back in its place, because the agent who was rung did not take it (ordinary priority, entry 1). Chosen: nobody.
      1003 had this call already, and is not rung for it again for 30 s
      1004 helps when a call has waited 30 s (level 2), and this one has waited 12 s

    10:00:00 UTC  queue support: the call entered (ordinary priority, entry 1). Chosen: 1003.
      1003 was chosen
      1004 helps when a call has waited 30 s (level 2), and this one has waited 0 s
    ");
    let said = floor.why_agent("1004");
    insta::assert_snapshot!(first_line(&said), @"1004 (Dan Placeholder) is ready for 12 s and has no call: 00000000010000000000000001 waits first, and 1004 helps when a call has waited 30 s (level 2), and this one has waited 12 s.");
}

#[test]
fn an_idle_agent_is_told_why_in_one_sentence() {
    let mut floor = Floor::new();
    let why = |floor: &Floor| first_line(&floor.why_agent("1003")).to_owned();
    floor.status("1003", AgentStatus::NotReady { reason: None });
    floor.wait(60);
    insta::assert_snapshot!(why(&floor), @"1003 (Cleo Specimen) gets no calls because they have been not ready for 1 min 00 s.");
    floor.status("1003", AgentStatus::Ready);
    floor.wait(125);
    insta::assert_snapshot!(why(&floor), @"1003 (Cleo Specimen) is ready and idle for 2 min 05 s because nothing waits that they may take.");
    floor.send(AcdCommand::QueueLogin {
        agent: "1003".into(),
        queue: None,
        on: false,
    });
    insta::assert_snapshot!(why(&floor), @"1003 (Cleo Specimen) is ready but gets no calls because they are logged out of every queue that they serve.");
    floor.send(AcdCommand::Live {
        agent: "1003".into(),
        calls: 1,
    });
    floor.send(AcdCommand::QueueLogin {
        agent: "1003".into(),
        queue: None,
        on: true,
    });
    insta::assert_snapshot!(why(&floor), @"1003 (Cleo Specimen) is ready for 2 min 05 s and gets no calls, because 1003 is in another call.");
    floor.send(AcdCommand::Logout {
        agent: "1003".into(),
    });
    insta::assert_snapshot!(why(&floor), @"1003 (Cleo Specimen) gets no calls because they are logged out.");
}

#[test]
fn the_first_line_follows_the_call_until_it_is_over() {
    let mut floor = Floor::new();
    floor.status("1003", AgentStatus::Ready);
    floor.wait(5);
    floor.enter();
    let offer = floor
        .fx
        .iter()
        .find_map(|effect| match effect {
            AcdEffect::Offer { offer, .. } => Some(*offer),
            _ => None,
        })
        .expect("1003 is rung");
    floor.send(AcdCommand::Alerting { offer });
    insta::assert_snapshot!(first_line(&floor.why_item()), @"+447700900123 does not wait for an agent any more: 1003 is being rung, after 0 s in support.");
    floor.wait(4);
    floor.send(AcdCommand::Answered {
        offer,
        device: "desk".into(),
    });
    floor.send(AcdCommand::Bridged { offer });
    insta::assert_snapshot!(first_line(&floor.why_item()), @"+447700900123 talks with 1003, after waiting 4 s in support.");
    insta::assert_snapshot!(first_line(&floor.why_agent("1003")), @"1003 (Cleo Specimen) is not idle: they have been talking for 0 s, 00000000010000000000000001 of support.");
    floor.wait(30);
    floor.send(AcdCommand::Withdraw {
        item: item(),
        cause: crate::acd::Withdrawal::CallerHungUp,
    });
    insta::assert_snapshot!(first_line(&floor.why_item()), @"+447700900123 waits no more: it was served and was over at 10:00:39 UTC, after 4 s in support.");
    floor.wait(1);
    insta::assert_snapshot!(first_line(&floor.why_agent("1003")), @"1003 (Cleo Specimen) gets no calls because they wrap up 00000000010000000000000001 of support until 10:00:54 UTC, 14 s from now.");
}

#[test]
fn a_priority_is_said_in_words() {
    assert_eq!(
        place("class 5, virtual start 1.000 s, number 7").as_deref(),
        Some("ordinary priority, entry 7")
    );
    assert_eq!(
        place("class 2, virtual start 1.000 s, number 7").as_deref(),
        Some("priority class 2 (0 is first, 5 ordinary), entry 7")
    );
    assert_eq!(place(""), None);
}
