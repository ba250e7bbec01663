//! The stage of a ladder: a small house on perfect links, with the checkers waiting behind the curtain.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use strowger::base::{Duration, Instant, Now, Text};
use strowger::config::{self, Settings};
use strowger::sim::actors::{Answer, CallPlan, Carriage, Order, Phone, PhoneSettings, Rudeness};
use strowger::sim::check;
use strowger::sim::house;
use strowger::sim::ladder::{Ladder, SERVER};
use strowger::sim::network::Link;
use strowger::sim::plan::PlannedQueue;
use strowger::sim::switch_node;
use strowger::sim::world::World;
use strowger::switch::{BindingRecord, Input, Record};

/// Seconds.
pub fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Settings of these files, which must be fine.
pub fn load(files: impl IntoIterator<Item = (String, String)>) -> Settings {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = directory.path().join(&name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    config::load(directory.path()).unwrap_or_else(|problems| panic!("{}", problems[0].message))
}

/// A telephone of `user` that registered before the server began.
pub fn bound(user: &str, at: SocketAddr, now: Now) -> Input {
    Input::Restore(Box::new(Record::Bound(BindingRecord {
        aor: Arc::from(format!("{user}@{}", house::DOMAIN)),
        contact: Text::from(format!("sip:{user}@{at}")),
        profile: Arc::from("internal"),
        transport: Arc::from("UDP"),
        local: house::internal(),
        remote: at,
        q: 1000,
        expires_at: now.wall_at(now.mono + s(36_000)),
        registered_at: now.wall,
        instance: None,
        reg_id: None,
        call_id: Text::from("r"),
        cseq: 1,
        user_agent: None,
        path: Vec::new(),
        behind_nat: false,
        outbound: false,
        life: 0,
    })))
}

/// Rings that long, then talks until the other end hangs up.
pub fn answers_after(ring: Duration) -> Answer {
    Answer::After { ring, talk: None }
}

/// Waits for ever, talks that long.
pub fn talks(talk: Duration) -> CallPlan {
    CallPlan {
        talk: Some(talk),
        ..CallPlan::default()
    }
}

/// A running house.
pub struct Stage {
    pub world: World,
    numbers: BTreeMap<String, usize>,
    agents: Vec<String>,
    rules: check::Rules,
    begin: Instant,
}

/// The house before its doors open.
#[derive(Default)]
pub struct House {
    phones: Vec<PhoneSettings>,
    agents: Vec<String>,
    carrier: Option<(Answer, bool)>,
    queue: &'static str,
}

/// The only queue of a ladder: longest idle, five seconds of wrap-up.
fn support() -> PlannedQueue {
    PlannedQueue {
        name: "support",
        strategy: "longest-idle",
        wrap_up: s(5),
        ring: s(15),
        overflow: None,
        max_waiting: None,
    }
}

impl House {
    pub fn new() -> House {
        House::default()
    }

    /// A phone of an extension; a second one of the same extension is named with a `b`.
    pub fn phone(self, extension: &str, answer: Answer) -> House {
        self.phone_with(extension, |settings| settings.answer = answer)
    }

    pub fn phone_with(mut self, extension: &str, change: impl FnOnce(&mut PhoneSettings)) -> House {
        let person = usize::from(extension.parse::<u16>().expect("a number") - 1001);
        let own = self.phones.iter().filter(|p| p.user == extension).count();
        let mut settings = house::desk_phone(extension, person, own, Carriage::Udp);
        change(&mut settings);
        self.phones.push(settings);
        self
    }

    /// An extension that serves the queue `support`.
    pub fn agent(mut self, extension: &str, answer: Answer) -> House {
        self.agents.push(extension.to_string());
        self.phone(extension, answer)
    }

    /// The carrier, which may challenge our calls.
    pub fn carrier(mut self, answer: Answer, challenges: bool) -> House {
        self.carrier = Some((answer, challenges));
        self
    }

    /// A further line of the queue's file.
    pub fn queue(mut self, line: &'static str) -> House {
        self.queue = line;
        self
    }

    /// Opens the doors. Phones are there, and nothing has been said yet.
    pub fn open(self) -> Stage {
        let mut extensions: Vec<String> = self.phones.iter().map(|p| p.user.clone()).collect();
        extensions.dedup();
        let queues = if self.agents.is_empty() {
            Vec::new()
        } else {
            vec![support()]
        };
        let mut files = house::files(&extensions, &self.agents, &queues);
        for (name, text) in &mut files {
            if name.starts_with("queues/") {
                text.push_str(self.queue);
            }
        }
        let maker = switch_node::maker_of(&files, 7);
        let mut world = World::new(7, vec![house::internal(), house::external()], maker);
        let mut numbers = BTreeMap::new();
        let link = Link::perfect(ms(5));
        for settings in self.phones {
            let name = settings.name.clone();
            numbers.insert(
                name,
                world.add(Box::new(Phone::new(settings)), link.clone()),
            );
        }
        if let Some((answer, challenges)) = self.carrier {
            let phone = house::carrier_phone(answer, challenges, Rudeness::default());
            numbers.insert("carrier".into(), world.add(Box::new(phone), link.clone()));
        }
        world.boot();
        Stage {
            world,
            numbers,
            agents: self.agents,
            rules: check::Rules {
                wrap_up: queues
                    .iter()
                    .map(|q| (q.name.to_string(), q.wrap_up))
                    .collect(),
                ..check::Rules::default()
            },
            begin: Instant::ZERO,
        }
    }

    /// Opens the doors, lets every phone register and every agent take work; the ladder begins after that.
    pub fn ready(self) -> Stage {
        let mut stage = self.open();
        let names: Vec<String> = stage.numbers.keys().cloned().collect();
        for name in names.iter().filter(|n| *n != "carrier") {
            stage.tell(ms(10), name, Order::Register);
        }
        stage.world.run_for(s(1));
        for (n, agent) in (1..).zip(stage.agents.clone()) {
            let login =
                serde_json::json!({"agent-session": {"extension": agent, "logged_in": true}});
            let ready = serde_json::json!({"agent-status": {"extension": agent, "ready": true, "reason": null}});
            stage.world.command_after(ms(1), n * 2, login);
            stage.world.command_after(ms(2), n * 2 + 1, ready);
        }
        stage.world.run_for(s(1));
        stage.begin = stage.world.now().mono;
        stage
    }
}

impl Stage {
    /// Tells a peer something.
    pub fn tell(&mut self, after: Duration, name: &str, order: Order) {
        let number = *self.numbers.get(name).expect("somebody of that name");
        self.world.order_after(after, number, order);
    }

    /// A call right now.
    pub fn call(&mut self, from: &str, to: &str, plan: CallPlan) {
        self.tell(ms(0), from, Order::Call(to.to_string(), plan));
    }

    /// Lets time pass, then draws the ladder and lets the checkers see how it all ends.
    pub fn ladder(mut self, length: Duration, columns: &[&str]) -> String {
        self.world.run_for(length);
        let until = self.world.now().mono;
        self.world.heal_after(ms(1));
        self.world.run_for(s(100));
        for (n, agent) in (1..).zip(self.agents.clone()) {
            let logout =
                serde_json::json!({"agent-session": {"extension": agent, "logged_in": false}});
            self.world.command_after(ms(n), 900 + n, logout);
        }
        for actor in 0..self.world.names().len() {
            self.world.order_after(s(1), actor, Order::Retire);
        }
        self.world.run_for(s(200));
        let names = self.world.names();
        let ladder = Ladder {
            from: self.begin,
            until,
            columns,
            names: &names,
            media: true,
            facts: false,
        };
        let drawn = ladder.draw(self.world.trace());
        if let Err(broken) = check::all(&mut self.world, &self.rules) {
            let whole = Ladder {
                from: Instant::ZERO,
                until: self.world.now().mono,
                facts: true,
                ..ladder
            };
            panic!("{broken}\n{}", whole.draw(self.world.trace()));
        }
        drawn
    }
}

/// Columns of a call between two phones.
pub const PAIR: [&str; 3] = ["1001", SERVER, "1002"];
