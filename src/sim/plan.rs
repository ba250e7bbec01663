//! What a seed means: first which faults and features are on, then who lives in the world, then what they do and when.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::actors::{Answer, CallPlan, HoldDialect, Order, Rudeness};
use super::network::Link;
use super::world::CrashPoint;
use crate::base::{Duration, Entropy, Instant};

/// One person with one or two phones.
#[derive(Clone, Debug)]
pub struct Person {
    /// Extension.
    pub extension: String,
    /// How each phone is reached: over TCP, or over UDP.
    pub phones: Vec<bool>,
    /// Serves the queues.
    pub agent: bool,
    /// How its phones misbehave.
    pub rudeness: Rudeness,
    /// What its phones do with calls.
    pub answer: Answer,
}

/// One queue.
#[derive(Clone, Debug)]
pub struct PlannedQueue {
    /// Name.
    pub name: &'static str,
    /// Strategy, as in the files.
    pub strategy: &'static str,
    /// Wrap-up.
    pub wrap_up: Duration,
    /// Ring time.
    pub ring: Duration,
    /// Overflows after that long, if it does.
    pub overflow: Option<Duration>,
    /// Most that may wait.
    pub max_waiting: Option<u32>,
}

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub enum Deal {
    /// A phone of a person (by number) is told something.
    Person(usize, usize, Order),
    /// The carrier is told something.
    Carrier(Order),
    /// An API command.
    Command(serde_json::Value),
    /// The server dies.
    Crash(CrashPoint, Duration),
    /// A person's phone is cut off.
    CutOff(usize, usize, Duration),
    /// The scanner begins.
    Scan,
    /// The NAT of a person's phone gives it another public port.
    Rebind(usize, usize, u16),
    /// The journal cannot be written for that long.
    JournalRefuses(Duration),
    /// The wall clock steps (forward: true).
    StepClock(bool, Duration),
}

/// Everything that a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Who lives here.
    pub people: Vec<Person>,
    /// The queues.
    pub queues: Vec<PlannedQueue>,
    /// The carrier challenges our calls.
    pub carrier_challenges: bool,
    /// What the carrier does with our calls.
    pub carrier_answer: Answer,
    /// How the carrier misbehaves.
    pub carrier_rudeness: Rudeness,
    /// The link of phones.
    pub link: Link,
    /// The link of the carrier.
    pub carrier_link: Link,
    /// Phones on UDP live behind NATs.
    pub nat: bool,
    /// A scanner is about.
    pub scanner: bool,
    /// What happens when.
    pub deals: Vec<(Duration, Deal)>,
    /// How long trouble lasts.
    pub trouble: Duration,
    /// The faults and features that are on, in words.
    pub features: Vec<String>,
}

const STRATEGIES: [&str; 8] = [
    "longest-idle",
    "ring-all",
    "round-robin",
    "fewest-calls",
    "random",
    "fixed",
    "least-occupied",
    "most-proficient",
];

struct Draw(Entropy);

impl Draw {
    fn one_in(&mut self, n: u64) -> bool {
        self.0.below(n) == 0
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = usize::try_from(self.0.below(of.len() as u64)).unwrap_or(0);
        &of[at]
    }

    fn index(&mut self, of: usize) -> usize {
        usize::try_from(self.0.below(of as u64)).unwrap_or(0)
    }

    fn rudeness(&mut self) -> Rudeness {
        let mut rude = Rudeness::default();
        match self.0.below(9) {
            0 => rude.late_ack = Some(self.millis(600, 20_000)),
            1 => rude.no_ack = true,
            2 => rude.repeat_2xx = true,
            3 => rude.wrong_tag = true,
            4 => rude.answer_after_cancel = true,
            5 => rude.bye_twice = true,
            6 => rude.stray_responses = true,
            7 => rude.malformed = true,
            _ => rude.huge = true,
        }
        rude
    }

    fn answer(&mut self) -> Answer {
        match self.0.below(10) {
            0 => Answer::Busy,
            1 => Answer::Decline(self.millis(100, 5_000)),
            2 => Answer::Never,
            3 => Answer::Mute,
            _ => Answer::After {
                ring: self.millis(10, 12_000),
                talk: (!self.one_in(3)).then(|| self.millis(100, 40_000)),
            },
        }
    }

    fn call(&mut self) -> CallPlan {
        let dialects = [
            HoldDialect::SendOnly,
            HoldDialect::Inactive,
            HoldDialect::ZeroAddress,
        ];
        CallPlan {
            patience: self.one_in(2).then(|| self.millis(5, 45_000)),
            talk: (!self.one_in(4)).then(|| self.millis(50, 60_000)),
            hold: self.one_in(4).then(|| {
                (
                    self.millis(200, 8_000),
                    *self.pick(&dialects),
                    self.millis(200, 8_000),
                )
            }),
            keys: if self.one_in(4) {
                "1".into()
            } else {
                String::new()
            },
        }
    }
}

impl Plan {
    /// Draws everything from the seed.
    pub fn draw(seed: u64) -> Plan {
        let mut draw = Draw(Entropy::from_number(seed ^ 0x5117_0a5e_ed00_0001));
        let mut features = Vec::new();
        let on = |features: &mut Vec<String>, draw: &mut Draw, n: u64, name: &str| {
            let on = draw.one_in(n);
            if on {
                features.push(name.to_string());
            }
            on
        };
        let latency = draw.millis(1, 60);
        let mut link = Link::perfect(latency);
        if on(&mut features, &mut draw, 3, "jitter") {
            link.latency_max = latency + draw.millis(1, 300);
        }
        if on(&mut features, &mut draw, 3, "loss") {
            link.loss_permille = draw.between(5, 200);
        }
        if on(&mut features, &mut draw, 4, "duplicates") {
            link.duplicate_permille = draw.between(10, 250);
        }
        let carrier_link = if on(&mut features, &mut draw, 2, "carrier is near") {
            Link::perfect(Duration::from_millis(15))
        } else {
            link.clone()
        };
        let tcp = on(&mut features, &mut draw, 2, "tcp");
        let rude = on(&mut features, &mut draw, 3, "rude");
        let crashes = on(&mut features, &mut draw, 3, "crashes");
        let cut_off = on(&mut features, &mut draw, 4, "cut off");
        let vanish = on(&mut features, &mut draw, 4, "vanish");
        let resets = tcp && on(&mut features, &mut draw, 3, "resets");
        let scanner = on(&mut features, &mut draw, 4, "scanner");
        let second = on(&mut features, &mut draw, 2, "second phones");
        let carrier_challenges = on(&mut features, &mut draw, 2, "carrier challenges");
        let api = on(&mut features, &mut draw, 3, "api meddles");
        let nat = on(&mut features, &mut draw, 3, "nat");
        let steps = !crashes && on(&mut features, &mut draw, 4, "clock steps");
        let refuses = !crashes && on(&mut features, &mut draw, 6, "journal refuses");
        let codes = on(&mut features, &mut draw, 2, "feature codes");

        let agents = draw.between(1, 4);
        let others = draw.between(1, 4);
        let people: Vec<Person> = (0..agents + others)
            .map(|n| {
                let agent = n < agents;
                let mut phones = vec![tcp && draw.one_in(2)];
                if second && draw.one_in(2) {
                    phones.push(tcp && draw.one_in(2));
                }
                Person {
                    extension: format!("{}", 1001 + n),
                    phones,
                    agent,
                    rudeness: if rude && draw.one_in(2) {
                        draw.rudeness()
                    } else {
                        Rudeness::default()
                    },
                    answer: if agent && !draw.one_in(4) {
                        Answer::After {
                            ring: draw.millis(100, 6_000),
                            talk: Some(draw.millis(500, 30_000)),
                        }
                    } else {
                        draw.answer()
                    },
                }
            })
            .collect();
        let queues: Vec<PlannedQueue> = ["support", "sales"]
            .into_iter()
            .take(draw.index(2) + 1)
            .map(|name| PlannedQueue {
                name,
                strategy: draw.pick::<&'static str>(&STRATEGIES),
                wrap_up: Duration::from_secs(draw.between(1, 20)),
                ring: Duration::from_secs(draw.between(5, 20)),
                overflow: draw
                    .one_in(3)
                    .then(|| Duration::from_secs(draw.between(10, 60))),
                max_waiting: draw.one_in(5).then(|| draw.between(1, 3) as u32),
            })
            .collect();

        let mut plan = Plan {
            seed,
            carrier_challenges,
            carrier_answer: draw.answer(),
            carrier_rudeness: if rude && draw.one_in(3) {
                draw.rudeness()
            } else {
                Rudeness::default()
            },
            link,
            carrier_link,
            nat,
            scanner,
            deals: Vec::new(),
            trouble: Duration::from_secs(draw.between(40, 240)),
            features,
            people,
            queues,
        };
        plan.fill(&mut draw, crashes, cut_off, vanish, resets, api);
        if codes {
            plan.use_codes(&mut draw);
        }
        let end = u64::try_from(plan.trouble.as_millis()).unwrap_or(60_000);
        if nat {
            for _ in 0..draw.between(0, 3) {
                let person = draw.index(plan.people.len());
                let phone = draw.index(plan.people[person].phones.len());
                let port = u16::try_from(draw.between(50_000, 60_000)).unwrap_or(50_000);
                let at = draw.millis(5_000, end);
                plan.deals.push((at, Deal::Rebind(person, phone, port)));
            }
        }
        if refuses {
            let deal = Deal::JournalRefuses(draw.millis(1_000, 20_000));
            plan.deals.push((draw.millis(2_000, end), deal));
        }
        if steps {
            for _ in 0..draw.between(1, 3) {
                let by = Duration::from_secs(*draw.pick(&[1, 30, 3_600]));
                let deal = Deal::StepClock(draw.one_in(2), by);
                plan.deals.push((draw.millis(5_000, end), deal));
            }
        }
        plan
    }

    #[allow(clippy::fn_params_excessive_bools)] // each is one fault that is on or off
    fn fill(
        &mut self,
        draw: &mut Draw,
        crashes: bool,
        cut_off: bool,
        vanish: bool,
        resets: bool,
        api: bool,
    ) {
        let end = u64::try_from(self.trouble.as_millis()).unwrap_or(60_000);
        let mut deals = Vec::new();
        for (person, who) in self.people.iter().enumerate() {
            for phone in 0..who.phones.len() {
                let order = Deal::Person(person, phone, Order::Register);
                deals.push((draw.millis(10, 1_500), order));
            }
            if who.agent {
                let extension = who.extension.as_str();
                let login = serde_json::json!({"agent-session": {"extension": extension, "logged_in": true}});
                let ready = serde_json::json!({"agent-status": {"extension": extension, "ready": true, "reason": null}});
                let at = draw.millis(3_000, 5_000);
                deals.push((at, Deal::Command(login)));
                deals.push((at + draw.millis(1, 10_000), Deal::Command(ready)));
            }
        }
        for _ in 0..draw.between(4, 40) {
            let at = draw.millis(4_000, end);
            let call = draw.call();
            let mut call = call;
            if vanish {
                // Without session timers (RFC 4028) nothing tells of a peer that vanished while it held.
                call.hold = None;
            }
            if draw.one_in(2) {
                let to = *draw.pick(&["+442071838750", "+442071838751", "+442071831001"]);
                deals.push((at, Deal::Carrier(Order::Call(to.into(), call))));
            } else {
                let from = draw.index(self.people.len());
                let to = match draw.below_for_target() {
                    0 => "8750".to_string(),
                    1 => "+4930123456".to_string(),
                    2 => "nobody".to_string(),
                    _ => self.people[draw.index(self.people.len())].extension.clone(),
                };
                deals.push((at, Deal::Person(from, 0, Order::Call(to, call))));
            }
        }
        if crashes {
            for _ in 0..draw.between(1, 3) {
                let points = [
                    CrashPoint::Between,
                    CrashPoint::BeforeWrite,
                    CrashPoint::AfterWrite,
                ];
                let deal = Deal::Crash(*draw.pick(&points), draw.millis(50, 3_000));
                deals.push((draw.millis(1_000, end), deal));
            }
        }
        for _ in 0..draw.between(1, 4) {
            let person = draw.index(self.people.len());
            let phone = draw.index(self.people[person].phones.len());
            let at = draw.millis(5_000, end);
            if cut_off {
                deals.push((at, Deal::CutOff(person, phone, draw.millis(100, 40_000))));
            }
            if vanish {
                deals.push((at, Deal::Person(person, phone, Order::Vanish)));
                let back = at + draw.millis(1_000, 60_000);
                deals.push((back, Deal::Person(person, phone, Order::Return)));
            }
            if resets {
                deals.push((
                    draw.millis(2_000, end),
                    Deal::Person(person, phone, Order::Reset),
                ));
            }
            if api && self.people[person].agent {
                deals.push((
                    at,
                    Deal::Command(meddle(draw, &self.people[person].extension)),
                ));
            }
        }
        if self.scanner {
            deals.push((draw.millis(1, 5_000), Deal::Scan));
        }
        self.deals = deals;
    }

    /// Agents use feature codes from their phones.
    fn use_codes(&mut self, draw: &mut Draw) {
        let end = u64::try_from(self.trouble.as_millis()).unwrap_or(60_000);
        let dials = |code: &str, talk: Duration| {
            let plan = CallPlan {
                talk: Some(talk),
                ..CallPlan::default()
            };
            Order::Call(code.to_string(), plan)
        };
        for person in 0..self.people.len() {
            let mut at = draw.millis(4_000, 8_000);
            let turns = draw.between(1, 4);
            for _ in 0..turns {
                for code in ["*10", "*11", "*12", "*13", "*14", "*43"] {
                    if draw.one_in(2) && at < Duration::from_millis(end) {
                        let order = dials(code, draw.millis(500, 8_000));
                        self.deals.push((at, Deal::Person(person, 0, order)));
                    }
                    at += draw.millis(500, 20_000);
                }
            }
        }
    }

    /// Wrap-up of each queue.
    pub fn wrap_ups(&self) -> BTreeMap<String, Duration> {
        self.queues
            .iter()
            .map(|q| (q.name.to_string(), q.wrap_up))
            .collect()
    }

    /// One line that says what is on.
    pub fn describe(&self) -> String {
        let mut out = format!(
            "{} people, {} queues, {} deals, trouble for {} s",
            self.people.len(),
            self.queues.len(),
            self.deals.len(),
            self.trouble.as_secs()
        );
        if !self.features.is_empty() {
            let _ = write!(out, "; {}", self.features.join(", "));
        }
        if self.link.down_until > Instant::ZERO {
            out.push_str("; cut off at first");
        }
        out
    }
}

impl Draw {
    /// Half of the calls go to people, the rest to the queue, out through the carrier, and nowhere.
    fn below_for_target(&mut self) -> u64 {
        self.0.below(7)
    }
}

fn meddle(draw: &mut Draw, extension: &str) -> serde_json::Value {
    match draw.0.below(4) {
        0 => {
            serde_json::json!({"agent-status": {"extension": extension, "ready": false, "reason": "lunch"}})
        }
        1 => serde_json::json!({"agent-session": {"extension": extension, "logged_in": false}}),
        2 => serde_json::json!({"end-wrap": {"extension": extension}}),
        _ => {
            serde_json::json!({"agent-status": {"extension": extension, "ready": true, "reason": null}})
        }
    }
}
