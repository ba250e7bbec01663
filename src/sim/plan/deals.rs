//! What happens when: calls, meddling, faults.

use super::draw::{Draw, Manners};
use super::{Deal, Plan, STRATEGIES};
use crate::base::Duration;
use crate::sim::actors::{Admits, CallPlan, Mood, Order};
use crate::sim::world::{CrashPoint, Resolver};

impl Plan {
    /// Fills the time of trouble.
    pub(super) fn fill(&mut self, draw: &mut Draw, manners: &Manners) {
        let end = u64::try_from(self.trouble.as_millis()).unwrap_or(60_000);
        self.begin(draw);
        for _ in 0..draw.between(4, 40) {
            let at = draw.millis(4_000, end);
            let call = draw.call(manners);
            let deal = self.a_call(draw, call);
            self.deals.push((at, deal));
        }
        if self.features.has("feature codes") {
            self.use_codes(draw, end);
        }
        if self.features.has("fetching") {
            self.fetch(draw, end);
        }
        if self.features.has("watchers") {
            self.watch(draw, end);
        }
        self.break_phones(draw, end);
        self.break_trunk(draw, end);
        self.break_server(draw, end);
    }

    /// Phones register, agents log in.
    fn begin(&mut self, draw: &mut Draw) {
        for (person, who) in self.people.iter().enumerate() {
            for phone in 0..who.phones.len() {
                let order = Deal::Person(person, phone, Order::Register);
                self.deals.push((draw.millis(10, 1_500), order));
            }
            if who.agent {
                let extension = who.extension.as_str();
                let login = serde_json::json!({"agent-session": {"extension": extension, "logged_in": true}});
                let ready = serde_json::json!({"agent-status": {"extension": extension, "ready": true, "reason": null}});
                let at = draw.millis(3_000, 5_000);
                self.deals.push((at, Deal::Command(login)));
                self.deals
                    .push((at + draw.millis(1, 10_000), Deal::Command(ready)));
            }
        }
    }

    /// Half of the calls come in, the others go to people, to the queue, out through the carrier, and nowhere.
    fn a_call(&self, draw: &mut Draw, call: CallPlan) -> Deal {
        if draw.one_in(2) {
            let to = *draw.pick(&["+442071838750", "+442071838751", "+442071831001"]);
            let gateway = draw.index(self.gateways.len());
            // carriers may not transfer at our cost; that is tried as well
            return Deal::Gateway(gateway, Order::Call(to.into(), call));
        }
        let from = draw.index(self.people.len());
        let phone = draw.index(self.people[from].phones.len());
        let to = match draw.between(0, 6) {
            0 => "8750".to_string(),
            1 | 2 => "+4930123456".to_string(),
            3 => "nobody".to_string(),
            _ => self.people[draw.index(self.people.len())].extension.clone(),
        };
        Deal::Person(from, phone, Order::Call(to, call))
    }

    /// Agents use feature codes from their phones.
    fn use_codes(&mut self, draw: &mut Draw, end: u64) {
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

    /// Calls that are parked, and fetched from where they ring or wait.
    fn fetch(&mut self, draw: &mut Draw, end: u64) {
        for _ in 0..draw.between(3, 12) {
            let from = draw.index(self.people.len());
            let whom = self.people[draw.index(self.people.len())].extension.clone();
            let to = match draw.between(0, 4) {
                0 => "*8*".to_string(),
                1 | 2 => format!("*8{whom}"),
                _ => format!("70{}", draw.between(1, 2)),
            };
            let plan = CallPlan {
                talk: Some(draw.millis(1_000, 30_000)),
                ..CallPlan::default()
            };
            let order = Order::Call(to, plan);
            self.deals
                .push((draw.millis(4_000, end), Deal::Person(from, 0, order)));
        }
    }

    /// Lamps, presence, texts and questions.
    fn watch(&mut self, draw: &mut Draw, end: u64) {
        for _ in 0..draw.between(4, 20) {
            let from = draw.index(self.people.len());
            let phone = draw.index(self.people[from].phones.len());
            let own = self.people[from].extension.clone();
            let whom = self.people[draw.index(self.people.len())].extension.clone();
            let order = match draw.between(0, 9) {
                0..=2 => Order::Subscribe("dialog", whom),
                3 => Order::Subscribe("presence", whom),
                4 => Order::Subscribe("message-summary", own),
                5 => Order::Subscribe("reg", own),
                6 => Order::Message(whom),
                7 => Order::Ask(whom),
                8 => Order::Unsubscribe,
                _ => Order::Publish,
            };
            self.deals
                .push((draw.millis(2_500, end), Deal::Person(from, phone, order)));
        }
        for _ in 0..draw.between(0, 3) {
            let whom = self.people[draw.index(self.people.len())].extension.clone();
            let new = draw.between(0, 9);
            let command =
                serde_json::json!({"set-messages": {"extension": whom, "new": new, "old": 1}});
            self.deals
                .push((draw.millis(2_500, end), Deal::Command(command)));
        }
    }

    fn break_phones(&mut self, draw: &mut Draw, end: u64) {
        for _ in 0..draw.between(1, 6) {
            let person = draw.index(self.people.len());
            let phone = draw.index(self.people[person].phones.len());
            let at = draw.millis(5_000, end);
            let tell = |order| Deal::Person(person, phone, order);
            if self.features.has("cut off") {
                let most = *draw.pick(&[40_000, 40_000, 150_000]);
                let deal = Deal::CutOff(person, phone, draw.millis(100, most));
                self.deals.push((at, deal));
            }
            if self.features.has("vanish") {
                self.deals.push((at, tell(Order::Vanish)));
                let back = at + draw.millis(1_000, 60_000);
                self.deals.push((back, tell(Order::Return)));
            }
            if self.features.has("resets") {
                let order = match draw.between(0, 3) {
                    0 => Order::RegisterAndReset,
                    1 => Order::ResetLane(u8::try_from(draw.between(0, 1)).unwrap_or(0)),
                    _ => Order::Reset,
                };
                self.deals.push((draw.millis(2_000, end), tell(order)));
            }
            if self.features.has("half-open") {
                self.deals
                    .push((draw.millis(2_000, end), tell(Order::HalfOpen)));
            }
            if self.features.has("nat") {
                let deal = Deal::Rebind(person, phone);
                self.deals.push((draw.millis(5_000, end), deal));
            }
            if self.features.has("api meddles") && self.people[person].agent {
                let command = meddle(draw, &self.people[person].extension);
                self.deals.push((at, Deal::Command(command)));
            }
        }
        if self.features.has("scanner") {
            self.deals.push((draw.millis(1, 5_000), Deal::Scan));
        }
    }

    fn break_trunk(&mut self, draw: &mut Draw, end: u64) {
        if self.features.has("gateways flap") {
            for gateway in 0..self.gateways.len() {
                let mut at = draw.millis(1, 30_000);
                while at < Duration::from_millis(end) {
                    let mood = draw.mood();
                    self.deals
                        .push((at, Deal::Gateway(gateway, Order::Mood(mood))));
                    at += draw.millis(500, 40_000);
                    self.deals
                        .push((at, Deal::Gateway(gateway, Order::Mood(Mood::Up))));
                    at += draw.millis(500, 40_000);
                }
            }
        }
        if self.features.has("trunk registers") {
            for gateway in 0..self.gateways.len() {
                let first = draw.one_in(2);
                let at = if first {
                    Duration::from_millis(1)
                } else {
                    draw.millis(1_000, end)
                };
                let admits = draw.admits();
                self.deals
                    .push((at, Deal::Gateway(gateway, Order::Admits(admits))));
                if draw.one_in(2) {
                    let back = Deal::Gateway(gateway, Order::Admits(Admits::All));
                    self.deals.push((at + draw.millis(1_000, end), back));
                }
            }
        }
        if self.features.has("name service fails") {
            for _ in 0..draw.between(1, 4) {
                let at = draw.millis(1, end);
                let resolver = match draw.between(0, 2) {
                    0 => Resolver::Slow(draw.millis(200, 9_000)),
                    1 => Resolver::Dead,
                    _ => Resolver::Wrong,
                };
                self.deals.push((at, Deal::Resolver(resolver)));
                let back = at + draw.millis(1_000, 60_000);
                self.deals.push((back, Deal::Resolver(Resolver::Works)));
            }
        }
    }

    fn break_server(&mut self, draw: &mut Draw, end: u64) {
        if self.features.has("crashes") {
            for _ in 0..draw.between(1, 3) {
                let points = [
                    CrashPoint::Between,
                    CrashPoint::BeforeWrite,
                    CrashPoint::AfterWrite,
                ];
                let deal = Deal::Crash(*draw.pick(&points), draw.millis(50, 3_000));
                self.deals.push((draw.millis(1_000, end), deal));
            }
        }
        if self.features.has("journal refuses") {
            for _ in 0..draw.between(1, 2) {
                let deal = Deal::JournalRefuses(draw.millis(1_000, 20_000));
                self.deals.push((draw.millis(2_000, end), deal));
            }
        }
        if self.features.has("clock steps") {
            for _ in 0..draw.between(1, 3) {
                let by = Duration::from_secs(*draw.pick(&[1, 30, 3_600]));
                let deal = Deal::StepClock(draw.one_in(2), by);
                self.deals.push((draw.millis(5_000, end), deal));
            }
        }
        if self.features.has("reloads") {
            for _ in 0..draw.between(1, 5) {
                let deal = if draw.one_in(3) {
                    Deal::BadReload(u8::try_from(draw.between(0, 5)).unwrap_or(0))
                } else {
                    let mut house = self.house.clone();
                    house.codecs_turned = draw.one_in(2);
                    house.dial_timeout = draw.between(5, 30);
                    house.session_timers = draw.one_in(2);
                    house.qualify = draw.one_in(2).then(|| draw.between(10, 60));
                    house.trunk.options_ping = draw.one_in(2).then(|| draw.between(5, 30));
                    Deal::Reload(Box::new(house), draw.pick::<&'static str>(&STRATEGIES))
                };
                self.deals.push((draw.millis(2_000, end), deal));
            }
        }
        if self.features.has("overload") {
            for _ in 0..draw.between(1, 3) {
                let at = draw.millis(2_000, end);
                let level = u8::try_from(draw.between(1, 2)).unwrap_or(1);
                self.deals.push((at, Deal::Load(level)));
                self.deals
                    .push((at + draw.millis(300, 15_000), Deal::Load(0)));
            }
        }
    }
}

fn meddle(draw: &mut Draw, extension: &str) -> serde_json::Value {
    match draw.between(0, 3) {
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
