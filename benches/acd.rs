//! The ACD at the size of a large floor, and what a size costs: each figure is printed with its promise and whether it was kept.
//!
//! 10,000 agents, 1,000 queues, 5,000 waiting: p99 of a match step under 50 µs, none over 1 ms. An event costs the same, within a factor
//! of two, with 100 and with 10,000 agents, and with 10 and with 100,000 waiting. A waiting work item takes less than 1 kB.

#![allow(clippy::disallowed_methods)] // a benchmark reads the clock

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant as Clock;

use criterion::{Criterion, criterion_group, criterion_main};
use strowger::acd::{
    Acd, AcdCommand, AcdEffect, AcdSettings, AgentSettings, AgentStatus, AssignmentSettings,
    CallerInfo, EndedBy, OfferId, QueueSettings, Strategy, Withdrawal, WorkItemId, WrapEndedBy,
};
use strowger::base::{Duration, Entropy, Instant, Now, Ulid, WallTime};

const LARGE: Size = Size {
    agents: 10_000,
    queues: 1_000,
    queues_per_agent: 20,
};
const WAITING: u64 = 5_000;
const SAMPLES: usize = 20_000;
/// Longest of ninety-nine match steps in a hundred at this size (acceptance).
const P99: Duration = Duration::from_micros(50);
/// Longest of all.
const LONGEST: Duration = Duration::from_millis(1);
/// How much more an event may cost at a hundred, or ten thousand, times the size.
const FLAT: f64 = 2.0;
/// A waiting work item.
const ITEM_BYTES: f64 = 1024.0;

#[derive(Clone, Copy)]
struct Size {
    agents: u64,
    queues: u64,
    queues_per_agent: u64,
}

struct Floor {
    acd: Acd,
    now: Now,
    draw: Entropy,
    out: Vec<AcdEffect>,
    items: u64,
    queues: u64,
}

impl Floor {
    fn new(size: Size) -> Self {
        let mut draw = Entropy::from_number(42);
        let agents: Vec<AgentSettings> = (0..size.agents)
            .map(|n| AgentSettings::of(Self::name(n), "Ada Byron"))
            .collect();
        let strategies = [
            Strategy::LongestIdle,
            Strategy::RoundRobin,
            Strategy::Fixed,
            Strategy::FewestCalls,
        ];
        let mut queues: Vec<QueueSettings> = (0..size.queues)
            .map(|n| QueueSettings {
                strategy: strategies[(n % 4) as usize],
                max_wait: None,
                ..QueueSettings::named(format!("q{n}"))
            })
            .collect();
        for agent in &agents {
            for _ in 0..size.queues_per_agent {
                let queue = &mut queues[draw.below(size.queues) as usize];
                queue
                    .agents
                    .push(AssignmentSettings::of(agent.extension.clone()));
            }
        }
        let mut floor = Floor {
            acd: Acd::new(Entropy::from_number(1)),
            now: Now {
                mono: Instant::ZERO + Duration::from_secs(100),
                wall: WallTime::from_millis(1_795_000_000_000),
            },
            draw,
            out: Vec::new(),
            items: 0,
            queues: size.queues,
        };
        floor.send(AcdCommand::Configure(AcdSettings { queues, agents }));
        for n in 0..size.agents {
            let agent = Self::name(n);
            floor.send(AcdCommand::Login {
                agent: agent.clone(),
            });
            floor.send(AcdCommand::Devices {
                agent: agent.clone(),
                ringable: 1,
            });
            floor.send(AcdCommand::SetStatus {
                agent,
                status: AgentStatus::Ready,
            });
        }
        floor
    }

    fn name(n: u64) -> Arc<str> {
        format!("{}", 10_000 + n).into()
    }

    /// Handles a command and returns how long it took.
    fn send(&mut self, command: AcdCommand) -> Duration {
        self.now.mono += Duration::from_micros(10);
        self.now.wall = self.now.wall + Duration::from_micros(10);
        self.out.clear();
        let start = Clock::now();
        self.acd.handle(self.now, command, &mut self.out);
        start.elapsed()
    }

    fn made(&self) -> Option<(OfferId, WorkItemId, Arc<str>)> {
        self.out.iter().find_map(|effect| match effect {
            AcdEffect::Offer {
                offer, item, agent, ..
            } => Some((*offer, *item, agent.clone())),
            _ => None,
        })
    }

    fn enter(&mut self) -> Duration {
        self.items += 1;
        let queue = self.draw.below(self.queues);
        let credit = Duration::from_secs(self.draw.below(60));
        self.send(AcdCommand::Enter {
            item: Ulid(u128::from(self.items)),
            queue: format!("q{queue}").into(),
            arrival: self.now,
            credit,
            class: 5,
            skills: Vec::new(),
            prefer: None,
            caller: CallerInfo::default(),
            call: Ulid(u128::from(self.items)),
        })
    }

    fn connect(&mut self, offer: OfferId) {
        self.send(AcdCommand::Answered {
            offer,
            device: "desk".into(),
        });
        self.send(AcdCommand::Bridged { offer });
    }

    /// Every agent talks and so many work items wait; returns who talks with what.
    fn saturate(&mut self, waiting: u64) -> Vec<(WorkItemId, Arc<str>)> {
        let mut talking = Vec::new();
        while self.acd.waiting_total() < waiting as usize {
            // The total is a walk over all queues: it is looked at now and then.
            for _ in 0..(waiting / 50).max(1) {
                self.enter();
                if let Some((offer, item, agent)) = self.made() {
                    self.connect(offer);
                    talking.push((item, agent));
                }
            }
        }
        talking
    }

    /// One agent ends a call and its wrap-up: the step in which it is given the next work item is timed.
    fn free_one(&mut self, talking: &mut [(WorkItemId, Arc<str>)]) -> Duration {
        loop {
            if let Some(took) = self.try_to_free(talking) {
                return took;
            }
        }
    }

    /// `None` when nothing waited for the agent: that step is not what is measured. It is given somebody who enters.
    fn try_to_free(&mut self, talking: &mut [(WorkItemId, Arc<str>)]) -> Option<Duration> {
        let n = self.draw.below(talking.len() as u64) as usize;
        let (item, agent) = talking[n].clone();
        self.send(AcdCommand::SegmentEnded {
            item,
            agent: agent.clone(),
            by: EndedBy::Customer,
        });
        let took = self.send(AcdCommand::EndWrap {
            agent,
            by: WrapEndedBy::Agent,
        });
        let given = self.made();
        let waited = given.is_some();
        let mut given = given;
        while given.is_none() {
            self.enter();
            given = self.made();
        }
        if let Some((offer, item, agent)) = given {
            self.connect(offer);
            talking[n] = (item, agent);
        }
        if waited {
            self.enter();
        }
        waited.then_some(took)
    }

    /// A work item enters a queue with free agents and is given; then it is withdrawn. The first step is timed.
    fn give_one(&mut self) -> Duration {
        let took = self.enter();
        self.withdraw_last();
        took
    }

    fn withdraw_last(&mut self) {
        self.send(AcdCommand::Withdraw {
            item: Ulid(u128::from(self.items)),
            cause: Withdrawal::CallerHungUp,
        });
    }
}

fn verdict(kept: bool) -> &'static str {
    if kept { "ok" } else { "MISSED" }
}

fn report(name: &str, mut samples: Vec<Duration>) {
    samples.sort();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    println!(
        "{name}: p50 {:?}, p99 {:?} ({} {P99:?}), p99.9 {:?}, max {:?} ({} {LONGEST:?}) over {} steps",
        at(0.5),
        at(0.99),
        verdict(at(0.99) < P99),
        at(0.999),
        at(1.0),
        verdict(at(1.0) < LONGEST),
        samples.len()
    );
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    samples[samples.len() / 2]
}

fn flat(what: &str, small: Duration, large: Duration) {
    let factor = large.as_secs_f64() / small.as_secs_f64();
    println!(
        "{what}: {small:?} and {large:?}, factor {factor:.2} ({} {FLAT})",
        verdict(factor <= FLAT)
    );
}

/// What an event costs with a hundred times the agents, each in as many queues and each queue with as many agents.
fn flat_in_agents() {
    let size = |agents: u64| Size {
        agents,
        queues: agents / 10,
        queues_per_agent: 5,
    };
    let mut entering = Vec::new();
    let mut freeing = Vec::new();
    for agents in [100, 10_000] {
        let mut floor = Floor::new(size(agents));
        entering.push(median((0..5_000).map(|_| floor.give_one()).collect()));
        let mut talking = floor.saturate(agents / 2);
        freeing.push(median(
            (0..5_000).map(|_| floor.free_one(&mut talking)).collect(),
        ));
    }
    flat("entry with 100 and 10,000 agents", entering[0], entering[1]);
    flat(
        "an agent becomes free, 100 and 10,000 agents",
        freeing[0],
        freeing[1],
    );
}

/// What an event costs with ten thousand times the waiting, all in ten queues.
fn flat_in_waiting() {
    let size = Size {
        agents: 100,
        queues: 10,
        queues_per_agent: 3,
    };
    let mut entering = Vec::new();
    let mut freeing = Vec::new();
    for waiting in [10, 100_000] {
        let mut floor = Floor::new(size);
        let before = resident_bytes();
        let mut talking = floor.saturate(waiting);
        let grown = resident_bytes().saturating_sub(before) as f64 / waiting as f64;
        if waiting > 10 {
            println!(
                "memory of a waiting work item: {grown:.0} bytes ({} {ITEM_BYTES:.0})",
                verdict(grown < ITEM_BYTES)
            );
        }
        let enter = |floor: &mut Floor| {
            let took = floor.enter();
            floor.withdraw_last();
            took
        };
        entering.push(median((0..5_000).map(|_| enter(&mut floor)).collect()));
        freeing.push(median(
            (0..5_000).map(|_| floor.free_one(&mut talking)).collect(),
        ));
    }
    flat(
        "entry with 10 and 100,000 waiting",
        entering[0],
        entering[1],
    );
    flat(
        "an agent becomes free, 10 and 100,000 waiting",
        freeing[0],
        freeing[1],
    );
}

/// Memory of this process in RAM.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    pages
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * 4096
}

fn match_step(c: &mut Criterion) {
    flat_in_waiting();
    flat_in_agents();
    let mut free = Floor::new(LARGE);
    report(
        "item scarce: one enters, 10,000 agents free",
        (0..SAMPLES).map(|_| free.give_one()).collect(),
    );
    let mut busy = Floor::new(LARGE);
    let mut talking = busy.saturate(WAITING);
    println!(
        "{} agents talk, {} work items wait",
        talking.len(),
        busy.acd.waiting_total()
    );
    report(
        "agents scarce: one becomes free, 5,000 wait",
        (0..SAMPLES).map(|_| busy.free_one(&mut talking)).collect(),
    );
    let start = Clock::now();
    let defects = busy.acd.audit();
    println!(
        "audit of everything: {:?}, {} defects",
        start.elapsed(),
        defects.len()
    );
    assert!(defects.is_empty(), "{defects:?}");
    let views = Clock::now();
    black_box(busy.acd.queues(busy.now));
    println!("views of 1,000 queues: {:?}", views.elapsed());

    let mut group = c.benchmark_group("acd");
    group.sample_size(20);
    group.bench_function("enter_with_free_agents", |b| {
        b.iter_custom(|n| (0..n).map(|_| free.give_one()).sum());
    });
    group.bench_function("agent_becomes_free", |b| {
        b.iter_custom(|n| (0..n).map(|_| busy.free_one(&mut talking)).sum());
    });
    group.finish();
}

criterion_group!(benches, match_step);
criterion_main!(benches);
