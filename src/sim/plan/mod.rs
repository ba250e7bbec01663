//! What a seed means: first which faults and features are on, then who lives in the world, then what they do and when.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::actors::{Answer, Carriage, Order, Rudeness};
use super::network::Link;
use super::world::{CrashPoint, Resolver};
use crate::base::{Duration, Entropy};

mod deals;
mod draw;
mod features;

use draw::{Draw, Manners};
pub use features::{FEATURES, Features};

/// One person with one or two phones.
#[derive(Clone, Debug)]
pub struct Person {
    /// Extension.
    pub extension: String,
    /// Its phones.
    pub phones: Vec<PlannedPhone>,
    /// Serves the queues.
    pub agent: bool,
    /// How its phones misbehave.
    pub rudeness: Rudeness,
    /// What its phones do with calls.
    pub answer: Answer,
}

/// One phone.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPhone {
    /// What carries its messages.
    pub carriage: Carriage,
    /// Registers by RFC 5626.
    pub outbound: bool,
    /// Has two connections at once.
    pub two_lanes: bool,
    /// Knows reliable provisionals.
    pub reliable: bool,
    /// Asks for a session timer.
    pub timer: Option<u32>,
    /// Refreshes the session by itself.
    pub refreshes: bool,
    /// Lives behind a NAT whose mapping lasts that long, if it does not last for ever; and which traffic from outside keeps open.
    pub nat: Option<(Option<Duration>, bool)>,
    /// Sends empty packets that often.
    pub keep_alive: Option<Duration>,
}

/// One queue.
#[derive(Clone, Debug, PartialEq)]
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

/// How the house is configured beyond its people and queues. The default is the house of the ladders.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct HousePlan {
    /// Flows are asked that often, in seconds.
    pub qualify: Option<u64>,
    /// Flows behind NATs are pinged that often, in seconds.
    pub nat_ping: Option<u64>,
    /// Sessions have short timers.
    pub session_timers: bool,
    /// There are listeners for TLS and WebSocket.
    pub secure: bool,
    /// Codecs in the other order.
    pub codecs_turned: bool,
    /// How long extensions ring, in seconds; 0: as long as in the ladders.
    pub dial_timeout: u64,
    /// People are in one pickup group.
    pub pickup: bool,
    /// The trunk.
    pub trunk: TrunkPlan,
}

/// How the trunk is configured.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TrunkPlan {
    /// Gateways beyond the first.
    pub more_gateways: usize,
    /// They are found by name.
    pub by_name: bool,
    /// We register there.
    pub registers: bool,
    /// Most calls at a time.
    pub max_channels: Option<u32>,
    /// Most new calls a second.
    pub max_cps: Option<u32>,
    /// OPTIONS that often, in seconds.
    pub options_ping: Option<u64>,
    /// Its breaker opens for a short time only.
    pub quick_breaker: bool,
}

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub enum Deal {
    /// A phone of a person (by number) is told something.
    Person(usize, usize, Order),
    /// A gateway of the carrier is told something.
    Gateway(usize, Order),
    /// An API command.
    Command(serde_json::Value),
    /// The server dies.
    Crash(CrashPoint, Duration),
    /// A person's phone is cut off.
    CutOff(usize, usize, Duration),
    /// The scanner begins.
    Scan,
    /// The NAT of a person's phone gives it another public port.
    Rebind(usize, usize),
    /// The journal cannot be written for that long.
    JournalRefuses(Duration),
    /// The wall clock steps (forward: true).
    StepClock(bool, Duration),
    /// Name service is like that from now on.
    Resolver(Resolver),
    /// Other files: the house so, with these strategies of the queues.
    Reload(Box<HousePlan>, &'static str),
    /// Files with a mistake of that kind.
    BadReload(u8),
    /// How far behind the server is.
    Load(u8),
}

/// Everything that a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The faults and features that are on.
    pub features: Features,
    /// Who lives here.
    pub people: Vec<Person>,
    /// The queues.
    pub queues: Vec<PlannedQueue>,
    /// How the house is configured.
    pub house: HousePlan,
    /// What each gateway of the carrier does with our calls, and how it misbehaves.
    pub gateways: Vec<(Answer, Rudeness)>,
    /// The link of phones.
    pub link: Link,
    /// The link of the carrier.
    pub carrier_link: Link,
    /// What happens when.
    pub deals: Vec<(Duration, Deal)>,
    /// How long trouble lasts.
    pub trouble: Duration,
}

pub(super) const STRATEGIES: [&str; 8] = [
    "longest-idle",
    "ring-all",
    "round-robin",
    "fewest-calls",
    "random",
    "fixed",
    "least-occupied",
    "most-proficient",
];

impl Plan {
    /// Draws everything from the seed.
    pub fn draw(seed: u64) -> Plan {
        let mut draw = Draw(Entropy::from_number(seed ^ 0x5117_0a5e_ed00_0001));
        let features = Features::draw(&mut draw);
        let latency = draw.millis(1, 60);
        let mut link = Link::perfect(latency);
        if features.has("jitter") {
            link.latency_max = latency + draw.millis(1, 300);
        }
        if features.has("loss") {
            link.loss_permille = draw.between(5, 200);
        }
        if features.has("duplicates") {
            link.duplicate_permille = draw.between(10, 250);
        }
        let carrier_link = if features.has("carrier is near") {
            Link::perfect(Duration::from_millis(15))
        } else {
            link.clone()
        };
        let agents = draw.between(1, 4);
        let others = draw.between(1, 4);
        let extensions: Vec<String> = (0..agents + others)
            .map(|n| format!("{}", 1001 + n))
            .collect();
        let manners = manners(&features, &extensions);
        let people: Vec<Person> = (0..agents + others)
            .zip(extensions)
            .map(|(n, extension)| person(&mut draw, &features, &manners, extension, n < agents))
            .collect();
        let queues = queues(&mut draw);
        let house = house(&mut draw, &features);
        let gateways = (0..=house.trunk.more_gateways)
            .map(|_| {
                let answer = draw.answer(&Manners::default());
                let rude = features.has("rude") && draw.one_in(3);
                let rudeness = if rude {
                    draw.rudeness()
                } else {
                    Rudeness::default()
                };
                (answer, rudeness)
            })
            .collect();
        let mut plan = Plan {
            seed,
            features,
            people,
            queues,
            house,
            gateways,
            link,
            carrier_link,
            deals: Vec::new(),
            trouble: Duration::from_secs(draw.between(40, 240)),
        };
        plan.fill(&mut draw, &manners);
        plan
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
            "{} people, {} queues, {} gateways, {} deals, trouble for {} s",
            self.people.len(),
            self.queues.len(),
            self.gateways.len(),
            self.deals.len(),
            self.trouble.as_secs()
        );
        if !self.features.names().is_empty() {
            let _ = write!(out, "; {}", self.features.names().join(", "));
        }
        out
    }
}

fn manners(features: &Features, extensions: &[String]) -> Manners {
    let mut transfer = Vec::new();
    if features.has("transfers") {
        transfer.extend(extensions.iter().cloned());
        transfer.extend(["8750", "+4930123456", "7777", "701"].map(String::from));
    }
    Manners {
        // Without session timers (RFC 4028) nothing tells of a peer that vanished while it held.
        hold: !features.has("vanish") && !features.has("half-open"),
        long: features.has("session timers"),
        transfer,
        redirect: extensions.to_vec(),
    }
}

fn person(
    draw: &mut Draw,
    features: &Features,
    manners: &Manners,
    extension: String,
    agent: bool,
) -> Person {
    let count = 1 + usize::from(features.has("second phones") && draw.one_in(2));
    Person {
        extension,
        phones: (0..count).map(|_| phone(draw, features)).collect(),
        agent,
        rudeness: if features.has("rude") && draw.one_in(2) {
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
            draw.answer(manners)
        },
    }
}

fn phone(draw: &mut Draw, features: &Features) -> PlannedPhone {
    let mut carriages = vec![Carriage::Udp];
    if features.has("tcp") {
        carriages.push(Carriage::Tcp);
    }
    if features.has("tls and websockets") {
        carriages.extend([Carriage::Tls, Carriage::Ws]);
    }
    let carriage = *draw.pick(&carriages);
    let stream = carriage != Carriage::Udp;
    let outbound = stream && draw.one_in(2);
    let nat = (features.has("nat") && !stream).then(|| {
        let lives = [Duration::from_secs(8), Duration::from_secs(30)];
        let life = features
            .has("short nat mappings")
            .then(|| *draw.pick(&lives));
        (life, draw.one_in(2))
    });
    let keep_alive = (features.has("keep-alives of phones") && nat.is_some())
        .then(|| Duration::from_secs(*draw.pick(&[6, 20])));
    let reliable = features.has("reliable provisionals") && draw.one_in(2);
    let timer = (features.has("session timers") && draw.one_in(3)).then_some(90);
    PlannedPhone {
        carriage,
        outbound,
        two_lanes: outbound && features.has("two flows"),
        reliable,
        timer,
        refreshes: timer.is_some() && draw.one_in(2),
        nat,
        keep_alive,
    }
}

fn queues(draw: &mut Draw) -> Vec<PlannedQueue> {
    ["support", "sales"]
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
        .collect()
}

fn house(draw: &mut Draw, features: &Features) -> HousePlan {
    HousePlan {
        qualify: features.has("qualify").then(|| *draw.pick(&[10, 20, 60])),
        nat_ping: features.has("nat pings").then(|| *draw.pick(&[5, 25])),
        session_timers: features.has("session timers"),
        secure: features.has("tls and websockets"),
        codecs_turned: false,
        dial_timeout: 0,
        pickup: features.has("fetching"),
        trunk: TrunkPlan {
            more_gateways: if features.has("several gateways") {
                draw.index(2) + 1
            } else {
                0
            },
            by_name: features.has("gateways by name"),
            registers: features.has("trunk registers"),
            max_channels: features
                .has("trunk caps")
                .then(|| draw.between(1, 4) as u32),
            max_cps: features
                .has("trunk caps")
                .then(|| draw.between(1, 3) as u32),
            options_ping: features.has("options ping").then(|| *draw.pick(&[5, 15])),
            quick_breaker: true,
        },
    }
}
