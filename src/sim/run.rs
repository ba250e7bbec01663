//! One seed from its plan to its verdict: trouble, healing, everything must finish, then the checkers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::actors::Order;
use super::check::{self, Broken};
use super::house;
use super::node::NodeMaker;
use super::plan::Plan;
use super::trace::Happening;
use super::wire::Text;
use super::world::World;
use crate::base::Duration;

/// Peers hang up within a minute of healing, but a caller who waits stays for its agent as long as this.
const HANG_UP: Duration = Duration::from_secs(150);
/// All transactions, 2xx repetitions, quarantines and cancelled INVITEs are over after that.
const SETTLE: Duration = Duration::from_secs(300);

/// How often the situations that make a run worth its time came up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages on the wire, both ways.
    pub messages: u64,
    /// Calls that peers began.
    pub calls: u64,
    /// 2xx to INVITE that the server sent.
    pub answered: u64,
    /// CANCELs that the server sent.
    pub cancels: u64,
    /// Re-INVITEs that the server sent.
    pub reinvites: u64,
    /// Work items that entered a queue.
    pub queued: u64,
    /// Work items that met their agent.
    pub connected: u64,
    /// Work items whose caller gave up.
    pub abandoned: u64,
    /// Work items that left by rule.
    pub left: u64,
    /// AgentOffers that came to nothing.
    pub offers_ended: u64,
    /// Wrap-ups that ended.
    pub wraps: u64,
    /// Deaths of the server.
    pub crashes: u64,
    /// Requests to the carrier that carried credentials.
    pub trunk_proofs: u64,
}

impl Summary {
    /// Adds another run's counts.
    pub fn add(&mut self, other: &Summary) {
        for ((_, ours), (_, theirs)) in self
            .fields_mut()
            .into_iter()
            .zip(other.clone().fields_mut())
        {
            *ours += *theirs;
        }
    }

    /// The counts with their names.
    pub fn fields_mut(&mut self) -> [(&'static str, &mut u64); 13] {
        [
            ("messages", &mut self.messages),
            ("calls", &mut self.calls),
            ("answered", &mut self.answered),
            ("cancels", &mut self.cancels),
            ("re-invites", &mut self.reinvites),
            ("queued", &mut self.queued),
            ("connected", &mut self.connected),
            ("abandoned", &mut self.abandoned),
            ("left", &mut self.left),
            ("offers ended", &mut self.offers_ended),
            ("wrap-ups", &mut self.wraps),
            ("crashes", &mut self.crashes),
            ("trunk proofs", &mut self.trunk_proofs),
        ]
    }

    fn of(world: &World) -> Summary {
        let mut sum = Summary::default();
        for (_, happening) in world.trace().entries() {
            match happening {
                Happening::PeerSent { .. } => sum.messages += 1,
                Happening::NodeSent { bytes, path, .. } => {
                    sum.messages += 1;
                    let Ok(text) = Text::parse(bytes) else {
                        continue;
                    };
                    let to_carrier = path.remote == house::carrier();
                    match (text.method(), text.status(), text.about().as_str()) {
                        (None, Some(200..=299), "INVITE") => sum.answered += 1,
                        (Some("CANCEL"), ..) => sum.cancels += 1,
                        (Some("INVITE"), ..) if !text.to_tag().is_empty() => sum.reinvites += 1,
                        (Some("INVITE"), ..)
                            if to_carrier && text.get("Proxy-Authorization").is_some() =>
                        {
                            sum.trunk_proofs += 1;
                        }
                        _ => {}
                    }
                }
                Happening::Note(text) if text.contains(" calls ") => sum.calls += 1,
                Happening::Crash => sum.crashes += 1,
                Happening::Event(event) => {
                    match event["fact"]["acd"]["type"].as_str().unwrap_or("") {
                        "queued" => sum.queued += 1,
                        "connected" => sum.connected += 1,
                        "abandoned" => sum.abandoned += 1,
                        "left" => sum.left += 1,
                        "agent-offer-ended" => sum.offers_ended += 1,
                        "wrap-ended" => sum.wraps += 1,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        sum
    }
}

/// What came of a seed.
pub struct Outcome {
    /// The plan that the seed drew.
    pub plan: Plan,
    /// The trace's hash.
    pub hash: u64,
    /// What came up.
    pub summary: Summary,
    /// The first broken promise.
    pub broken: Option<Broken>,
    /// The world as it was at the end.
    pub world: World,
}

/// Runs a seed with a server made by `maker`, with one of its rules broken on purpose if `breaking` names one.
pub fn run(plan: Plan, maker: NodeMaker, breaking: Option<&str>) -> Outcome {
    let mut world = house::build(&plan, maker);
    let mut broken = None;
    if let Some(rule) = breaking
        && !world.node().is_some_and(|n| n.break_rule(rule))
    {
        broken = Some(Broken {
            checker: "break",
            at: None,
            sentence: format!("the server knows no rule `{rule}` to break"),
        });
    }
    let lived = catch_unwind(AssertUnwindSafe(|| live(&mut world, &plan)));
    if let Err(panic) = lived {
        let words = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()))
            .unwrap_or_else(|| "without words".to_string());
        broken = broken.or(Some(Broken {
            checker: "panic",
            at: Some(world.now().mono),
            sentence: words,
        }));
    }
    let broken = broken.or_else(|| check::all(&mut world, &plan.wrap_ups()).err());
    Outcome {
        hash: world.trace().hash(),
        summary: Summary::of(&world),
        plan,
        broken,
        world,
    }
}

fn live(world: &mut World, plan: &Plan) {
    world.run_for(plan.trouble);
    world.heal_after(Duration::from_millis(1));
    // Somebody must serve those who wait: agents come (back) and take work.
    for (turn, after) in [(0, 100), (1, 20_000), (2, 60_000), (3, 100_000)] {
        for (n, person) in plan.people.iter().enumerate().filter(|(_, p)| p.agent) {
            let extension = person.extension.as_str();
            let id = 100_000 + turn * 1_000 + n as u64 * 2;
            let at = Duration::from_millis(after + 10 * n as u64);
            world.command_after(
                at,
                id,
                serde_json::json!({"agent-session": {"extension": extension, "logged_in": true}}),
            );
            world.command_after(
                at,
                id + 1,
                serde_json::json!({"agent-status": {"extension": extension, "ready": true, "reason": null}}),
            );
        }
    }
    world.run_for(HANG_UP);
    for (n, person) in plan.people.iter().enumerate().filter(|(_, p)| p.agent) {
        world.command_after(
            Duration::from_millis(n as u64),
            200_000 + n as u64,
            serde_json::json!({"agent-session": {"extension": person.extension, "logged_in": false}}),
        );
    }
    for actor in 0..world.names().len() {
        world.order_after(Duration::from_secs(1), actor, Order::Retire);
    }
    world.run_for(SETTLE);
    world.command_after(
        Duration::from_millis(1),
        300_000,
        serde_json::json!("queues"),
    );
    world.run_for(Duration::from_secs(1));
}
