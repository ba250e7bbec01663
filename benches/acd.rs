//! The match step at the size of the acceptance scenario: 10,000 agents, 1,000 queues, 5,000 waiting; p99 must stay below 1 ms.

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

const AGENTS: u64 = 10_000;
const QUEUES: u64 = 1_000;
const QUEUES_PER_AGENT: u64 = 20;
const WAITING: u64 = 5_000;
const SAMPLES: usize = 20_000;
/// Longest match step of a hundred at this size (acceptance scenario).
const PROMISE: Duration = Duration::from_millis(1);

struct Floor {
    acd: Acd,
    now: Now,
    draw: Entropy,
    out: Vec<AcdEffect>,
    items: u64,
}

impl Floor {
    fn new() -> Self {
        let mut draw = Entropy::from_number(42);
        let agents: Vec<AgentSettings> = (0..AGENTS)
            .map(|n| AgentSettings::of(format!("{}", 10_000 + n), "Ada Byron"))
            .collect();
        let strategies = [
            Strategy::LongestIdle,
            Strategy::RoundRobin,
            Strategy::Fixed,
            Strategy::FewestCalls,
        ];
        let mut queues: Vec<QueueSettings> = (0..QUEUES)
            .map(|n| QueueSettings {
                strategy: strategies[(n % 4) as usize],
                max_wait: None,
                ..QueueSettings::named(format!("q{n}"))
            })
            .collect();
        for agent in &agents {
            for _ in 0..QUEUES_PER_AGENT {
                let queue = &mut queues[draw.below(QUEUES) as usize];
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
        };
        floor.send(AcdCommand::Configure(AcdSettings { queues, agents }));
        for n in 0..AGENTS {
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
        let queue = self.draw.below(QUEUES);
        let credit = Duration::from_secs(self.draw.below(60));
        self.send(AcdCommand::Enter {
            item: Ulid(u128::from(self.items)),
            queue: format!("q{queue}").into(),
            arrival: self.now,
            credit,
            class: 5,
            skills: Vec::new(),
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

    /// Every agent talks and `WAITING` work items wait; returns who talks with what.
    fn saturate(&mut self) -> Vec<(WorkItemId, Arc<str>)> {
        let mut talking = Vec::new();
        while self.acd.waiting_total() < WAITING as usize {
            self.enter();
            if let Some((offer, item, agent)) = self.made() {
                self.connect(offer);
                talking.push((item, agent));
            }
        }
        talking
    }

    /// One agent ends a call and its wrap-up: the step in which it is given the next work item is timed.
    fn free_one(&mut self, talking: &mut [(WorkItemId, Arc<str>)]) -> Duration {
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
        if let Some((offer, item, agent)) = self.made() {
            self.connect(offer);
            talking[n] = (item, agent);
            self.enter();
        }
        took
    }

    /// A work item enters a queue with free agents and is given; then it is withdrawn. The first step is timed.
    fn give_one(&mut self) -> Duration {
        let took = self.enter();
        let item = Ulid(u128::from(self.items));
        self.send(AcdCommand::Withdraw {
            item,
            cause: Withdrawal::CallerHungUp,
        });
        took
    }
}

fn report(name: &str, mut samples: Vec<Duration>) {
    samples.sort();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    println!(
        "{name}: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?} over {} steps",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        samples.len()
    );
    if at(0.99) >= PROMISE {
        println!(
            "{name}: p99 is above the promise of {PROMISE:?} (busy machine, or no optimisation?)"
        );
    }
}

fn match_step(c: &mut Criterion) {
    let mut free = Floor::new();
    report(
        "item scarce: one enters, 10,000 agents free",
        (0..SAMPLES).map(|_| free.give_one()).collect(),
    );
    let mut busy = Floor::new();
    let mut talking = busy.saturate();
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
