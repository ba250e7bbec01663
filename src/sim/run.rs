//! One seed from its plan to its verdict: trouble, healing, everything must finish, then the checkers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::actors::Order;
use super::check::{self, Broken};
use super::house;
use super::node::NodeMaker;
use super::plan::Plan;
pub use super::reach::Summary;
use super::world::World;
use crate::base::Duration;

/// Peers hang up within a minute of healing, but a caller who waits stays for its agent as long as this.
const HANG_UP: Duration = Duration::from_secs(150);
/// What the trouble has left behind is over after that: breakers that stayed open, flows that were taken for dead.
const QUIET: Duration = Duration::from_secs(60);
/// From one probe to the next.
const BETWEEN_PROBES: Duration = Duration::from_secs(4);
/// All transactions, 2xx repetitions, quarantines and cancelled INVITEs are over after that.
const SETTLE: Duration = Duration::from_secs(300);

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
    let broken = broken.or_else(|| check::all(&mut world, &rules(&plan)).err());
    Outcome {
        hash: world.trace().hash(),
        summary: Summary::of(&world, plan.features.names()),
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
    probe(world, plan);
    // Trunks ping and register for ever: a house that has neither is what can come to rest.
    world.reload_after(Duration::from_millis(1), house::resting_files(plan), true);
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

/// When all is quiet again, calls must come through: from the carrier to every person, and from every person to the carrier.
fn probe(world: &mut World, plan: &Plan) {
    world.run_for(QUIET);
    let names = world.names();
    let number = |name: &str| names.iter().position(|n| n == name);
    let Some(carrier) = number("carrier") else {
        return;
    };
    let mut at = Duration::from_secs(4);
    for person in &plan.people {
        let Some(phone) = number(&person.extension) else {
            continue;
        };
        for (n, planned) in person.phones.iter().enumerate() {
            // behind a NAT whose mapping was forgotten nobody is reached until the phone speaks
            let name = match n {
                0 => person.extension.clone(),
                _ => format!("{}b", person.extension),
            };
            if planned.nat.is_some()
                && let Some(actor) = number(&name)
            {
                world.order_after(at - Duration::from_secs(2), actor, Order::Register);
            }
        }
        let direct = format!("+44207183{}", person.extension);
        world.order_after(at, carrier, Order::Probe(direct));
        at += BETWEEN_PROBES;
        world.order_after(at, phone, Order::Probe("+4930123456".to_string()));
        at += BETWEEN_PROBES;
    }
    world.run_for(at + Duration::from_secs(40));
}

/// What the files of a plan promise.
pub fn rules(plan: &Plan) -> check::Rules {
    check::Rules {
        wrap_up: plan.wrap_ups(),
        max_channels: plan.house.trunk.max_channels,
        max_cps: plan.house.trunk.max_cps,
    }
}
