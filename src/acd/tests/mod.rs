//! A small contact centre for tests: sends commands, passes time from deadline to deadline, and audits after every step.

mod agents;
mod callback;
mod configure;
mod decline;
mod disposition;
mod explain;
mod hours;
mod offers;
mod order;
mod overflow;
mod priority;
mod random;
mod restore;
mod rings;
mod strategies;
mod watcher;
mod wrap;

use std::sync::Arc;

use super::*;
use crate::base::{Duration, Entropy, Instant, Now, Ulid, WallTime};

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) struct Floor {
    pub acd: Acd,
    pub now: Now,
    pub settings: AcdSettings,
    pub journal: Vec<AcdRecord>,
    /// Effects since the last call of `take`.
    pub seen: Vec<AcdEffect>,
}

pub(super) fn queue(name: &str, agents: &[&str]) -> QueueSettings {
    QueueSettings {
        agents: agents.iter().map(|a| AssignmentSettings::of(*a)).collect(),
        ..QueueSettings::named(name)
    }
}

pub(super) fn item(n: u64) -> WorkItemId {
    Ulid(u128::from(n))
}

impl Floor {
    /// Queues, and every agent that they name, logged out.
    pub fn new(queues: Vec<QueueSettings>) -> Self {
        let mut extensions: Vec<Arc<str>> = queues
            .iter()
            .flat_map(|q| q.agents.iter().map(|a| a.agent.clone()))
            .collect();
        extensions.sort();
        extensions.dedup();
        let agents = extensions
            .iter()
            .map(|e| AgentSettings::of(e.clone(), "Ada Byron"));
        let settings = AcdSettings {
            queues,
            agents: agents.collect(),
        };
        let mut floor = Floor::bare();
        floor.configure(settings);
        floor.seen.clear();
        floor
    }

    pub fn bare() -> Self {
        Floor {
            acd: Acd::new(Entropy::from_number(1)),
            now: Now {
                mono: Instant::ZERO + secs(1000),
                wall: WallTime::from_millis(1_795_000_000_000),
            },
            settings: AcdSettings::default(),
            journal: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// One queue, agents staffed and ready in the order given, a second apart, so that the first is idle longest.
    pub fn staffed(queue: QueueSettings) -> Self {
        let agents: Vec<String> = queue.agents.iter().map(|a| a.agent.to_string()).collect();
        let mut floor = Floor::new(vec![queue]);
        for agent in agents {
            floor.staff(&agent);
            floor.wait(secs(1));
        }
        floor.seen.clear();
        floor
    }

    pub fn configure(&mut self, settings: AcdSettings) -> Vec<AcdEffect> {
        self.settings = settings.clone();
        self.send(AcdCommand::Configure(settings))
    }

    pub fn send(&mut self, command: AcdCommand) -> Vec<AcdEffect> {
        let text = format!("{command:?}");
        let mut out = Vec::new();
        self.acd.handle(self.now, command, &mut out);
        self.check(&text);
        self.note(&out);
        out
    }

    fn check(&self, after: &str) {
        let defects = self.acd.audit();
        assert!(defects.is_empty(), "after {after}: {defects:?}");
        let pairs = self.acd.unmatched_pairs(self.now.mono);
        assert!(pairs.is_empty(), "after {after} nobody matched {pairs:?}");
    }

    fn note(&mut self, out: &[AcdEffect]) {
        for effect in out {
            if let AcdEffect::Journal(record) = effect {
                self.journal.push(record.clone());
            }
            if let AcdEffect::Event(AcdEvent::Defect { what }) = effect {
                panic!("defect: {what}");
            }
        }
        self.seen.extend_from_slice(out);
    }

    /// Lets time pass, firing every timer at its deadline.
    pub fn wait(&mut self, time: Duration) -> Vec<AcdEffect> {
        let end = self.now.mono + time;
        let mut all = Vec::new();
        while let Some(at) = self.acd.next_deadline().filter(|at| *at <= end) {
            self.pass(at.max(self.now.mono) - self.now.mono);
            let mut out = Vec::new();
            self.acd.on_time(self.now, &mut out);
            self.check("a timer");
            self.note(&out);
            all.extend(out);
        }
        self.pass(end - self.now.mono);
        all
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall = self.now.wall + time;
    }

    pub fn take(&mut self) -> Vec<AcdEffect> {
        std::mem::take(&mut self.seen)
    }

    pub fn login(&mut self, agent: &str) {
        self.send(AcdCommand::Login {
            agent: agent.into(),
        });
    }

    pub fn devices(&mut self, agent: &str, ringable: u32) -> Vec<AcdEffect> {
        self.send(AcdCommand::Devices {
            agent: agent.into(),
            ringable,
        })
    }

    pub fn ready(&mut self, agent: &str) -> Vec<AcdEffect> {
        self.send(AcdCommand::SetStatus {
            agent: agent.into(),
            status: AgentStatus::Ready,
        })
    }

    pub fn not_ready(&mut self, agent: &str, reason: &str) -> Vec<AcdEffect> {
        self.send(AcdCommand::SetStatus {
            agent: agent.into(),
            status: AgentStatus::NotReady {
                reason: Some(reason.into()),
            },
        })
    }

    /// Logs in with one device, ready.
    pub fn staff(&mut self, agent: &str) -> Vec<AcdEffect> {
        self.login(agent);
        self.devices(agent, 1);
        self.ready(agent)
    }

    pub fn enter(&mut self, n: u64, queue: &str) -> Vec<AcdEffect> {
        self.enter_with(n, queue, Duration::ZERO, 5, &[])
    }

    pub fn enter_with(
        &mut self,
        n: u64,
        queue: &str,
        credit: Duration,
        class: u8,
        skills: &[(&str, u8)],
    ) -> Vec<AcdEffect> {
        let command = self.entry(n, queue, credit, class, skills);
        self.send(command)
    }

    /// A work item that is kept for somebody.
    pub fn enter_for(&mut self, n: u64, queue: &str, agents: &[&str], hold: u64) -> Vec<AcdEffect> {
        let mut command = self.entry(n, queue, Duration::ZERO, 5, &[]);
        if let AcdCommand::Enter { prefer, .. } = &mut command {
            *prefer = Some(Preference {
                agents: agents.iter().map(|agent| (*agent).into()).collect(),
                hold: secs(hold),
            });
        }
        self.send(command)
    }

    /// A work item whose caller is one of our extensions.
    pub fn enter_of(&mut self, n: u64, queue: &str, extension: &str) -> Vec<AcdEffect> {
        let mut command = self.entry(n, queue, Duration::ZERO, 5, &[]);
        if let AcdCommand::Enter { caller, .. } = &mut command {
            caller.extension = Some(extension.into());
        }
        self.send(command)
    }

    fn entry(
        &self,
        n: u64,
        queue: &str,
        credit: Duration,
        class: u8,
        skills: &[(&str, u8)],
    ) -> AcdCommand {
        AcdCommand::Enter {
            item: item(n),
            queue: queue.into(),
            arrival: self.now,
            credit,
            class,
            skills: skills
                .iter()
                .map(|(skill, min)| SkillNeed {
                    skill: (*skill).into(),
                    min: *min,
                    weight: 1,
                    mandatory: true,
                })
                .collect(),
            prefer: None,
            caller: CallerInfo::default(),
            call: item(n + 1_000_000),
        }
    }

    pub fn rekey(&mut self, n: u64, to: Priority) -> Vec<AcdEffect> {
        self.send(AcdCommand::Rekey {
            item: item(n),
            to,
            by: "1000".into(),
        })
    }

    /// Numbers of those who wait, in order.
    pub fn line(&self, queue: &str) -> Vec<u64> {
        let waiting = self.acd.waiting(self.now, queue).into_iter();
        waiting.map(|view| view.id.0 as u64).collect()
    }

    pub fn withdraw(&mut self, n: u64) -> Vec<AcdEffect> {
        self.send(AcdCommand::Withdraw {
            item: item(n),
            cause: Withdrawal::CallerHungUp,
        })
    }

    pub fn alerting(&mut self, offer: OfferId) {
        self.send(AcdCommand::Alerting { offer });
    }

    pub fn answered(&mut self, offer: OfferId) -> Vec<AcdEffect> {
        self.send(AcdCommand::Answered {
            offer,
            device: "desk".into(),
        })
    }

    pub fn bridged(&mut self, offer: OfferId) -> Vec<AcdEffect> {
        self.send(AcdCommand::Bridged { offer })
    }

    pub fn ended(&mut self, offer: OfferId, outcome: OfferOutcome) -> Vec<AcdEffect> {
        self.send(AcdCommand::OfferEnded { offer, outcome })
    }

    pub fn hang_up(&mut self, n: u64, agent: &str) -> Vec<AcdEffect> {
        self.send(AcdCommand::SegmentEnded {
            item: item(n),
            agent: agent.into(),
            by: EndedBy::Customer,
        })
    }

    /// Answers and bridges the AgentOffer of `agent`.
    pub fn connect(&mut self, agent: &str) {
        let offer = self.offer_of(agent).expect("an AgentOffer to answer");
        self.alerting(offer);
        self.answered(offer);
        self.bridged(offer);
    }

    pub fn agent(&self, agent: &str) -> AgentView {
        self.acd.agent(self.now, agent).expect("a known agent")
    }

    pub fn state(&self, agent: &str) -> AgentDisplay {
        self.agent(agent).state
    }

    pub fn offer_of(&self, agent: &str) -> Option<OfferId> {
        self.agent(agent).offer
    }

    /// The live AgentOffer of `agent`, which must ring for `n`.
    pub fn rings(&self, agent: &str, n: u64) -> OfferId {
        let view = self.agent(agent);
        assert_eq!(
            view.item,
            Some(item(n)),
            "{agent} should ring for {n}: {view:?}"
        );
        view.offer.expect("an AgentOffer")
    }

    pub fn metrics(&self, queue: &str) -> QueueMetrics {
        self.acd.metrics(queue).expect("a known queue")
    }
}

/// Extensions rung by these effects, in order.
pub(super) fn offered(effects: &[AcdEffect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            AcdEffect::Offer { agent, .. } => Some(agent.to_string()),
            _ => None,
        })
        .collect()
}

pub(super) fn cancelled(effects: &[AcdEffect]) -> Vec<(OfferId, CancelReason)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            AcdEffect::CancelOffer { offer, reason } => Some((*offer, *reason)),
            _ => None,
        })
        .collect()
}

pub(super) fn left(effects: &[AcdEffect]) -> Vec<(WorkItemId, LeaveWhy, Option<usize>)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            AcdEffect::Leave {
                item, why, steps, ..
            } => Some((*item, *why, *steps)),
            _ => None,
        })
        .collect()
}
