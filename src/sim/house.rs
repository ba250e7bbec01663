//! The simulated contact centre: its configuration files as text, its addresses, and its world full of peers.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::actors::{Answer, Phone, PhoneSettings, Rudeness, Scanner};
use super::network::Link;
use super::node::NodeMaker;
use super::plan::{Deal, Plan, PlannedQueue};
use super::world::World;
use crate::base::Duration;

/// Domain and realm.
pub const DOMAIN: &str = "pbx.example.com";
/// What the carrier asks for when it challenges our calls.
pub const CARRIER_USER: &str = "strowger";
/// And the password.
pub const CARRIER_PASSWORD: &str = "carrier-secret";

fn address(a: u8, b: u8, c: u8, d: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

/// Where phones send.
pub fn internal() -> SocketAddr {
    address(192, 0, 2, 1, 5060)
}

/// Where the carrier sends.
pub fn external() -> SocketAddr {
    address(192, 0, 2, 1, 5080)
}

/// Where the carrier lives.
pub fn carrier() -> SocketAddr {
    address(203, 0, 113, 10, 5060)
}

/// Where a phone of a person lives.
pub fn desk(person: usize, phone: usize) -> SocketAddr {
    let byte = |n: usize| u8::try_from(n % 250 + 1).unwrap_or(1);
    address(10, 0, byte(person), byte(phone), 5060)
}

/// What the world sees of a phone behind a NAT.
pub fn router(person: usize, phone: usize, port: u16) -> SocketAddr {
    let byte = |n: usize| u8::try_from(n % 250 + 1).unwrap_or(1);
    address(198, 18, byte(person), byte(phone), port)
}

/// The configuration files of a house: name and text.
pub fn files(
    extensions: &[String],
    agents: &[String],
    queues: &[PlannedQueue],
) -> Vec<(String, String)> {
    let mut people = String::new();
    for extension in extensions {
        let _ = write!(
            people,
            "[[user]]\nextension = \"{extension}\"\nname = \"Person {extension}\"\npassword = \"secret-{extension}\"\n\n"
        );
    }
    let mut all = vec![
        (
            "strowger.toml".to_string(),
            format!(
                "[server]\ndomain = \"{DOMAIN}\"\nrtp-ports = \"20000-20999\"\ntime-zone = \"Europe/London\"\n"
            ),
        ),
        (
            "sip-profiles/internal.toml".to_string(),
            format!(
                "name = \"internal\"\nlisten = [\"udp:{0}\", \"tcp:{0}\"]\ndialplan = \"internal\"\nauth = \"digest\"\ncodecs = [\"pcma\", \"pcmu\"]\n\n[registration]\nqualify = \"off\"\nnat-ping = \"off\"\n",
                internal()
            ),
        ),
        (
            "sip-profiles/external.toml".to_string(),
            format!(
                "name = \"external\"\nlisten = [\"udp:{0}\", \"tcp:{0}\"]\ndialplan = \"inbound\"\nauth = \"trunk\"\ncodecs = [\"pcma\", \"pcmu\"]\n\n[[trunk]]\nname = \"acme\"\nproxy = [\"sip:{1}\"]\nfrom = [\"{2}/32\"]\noptions-ping = \"off\"\nauth = {{ username = \"{CARRIER_USER}\", password = \"{CARRIER_PASSWORD}\" }}\n",
                external(),
                carrier(),
                carrier().ip()
            ),
        ),
        ("directory/people.toml".to_string(), people),
    ];
    let queue = |n: usize| match queues.get(n).or(queues.first()) {
        Some(queue) => format!("{{ queue = \"{}\" }}", queue.name),
        None => "{ hangup = \"normal\" }".to_string(),
    };
    all.push((
        "dialplans/inbound.toml".to_string(),
        format!(
            r#"context = "inbound"

[[rule]]
name = "first queue"
number = "+442071838750"
do = [ {} ]

[[rule]]
name = "second queue, after a greeting"
number = "+442071838751"
do = [ {{ answer = true }}, {{ play = "welcome" }}, {} ]

[[rule]]
name = "direct lines"
number = "+44207183{{ext:4}}"
do = [ {{ dial = "{{ext}}", timeout = "25s" }} ]
"#,
            queue(0),
            queue(1)
        ),
    ));
    all.push((
        "dialplans/internal.toml".to_string(),
        format!(
            r#"context = "internal"

[[rule]]
name = "queue"
number = "8750"
do = [ {} ]

[[rule]]
name = "abroad"
number = "+49{{rest}}"
do = [ {{ dial = "+49{{rest}}", timeout = "40s" }} ]

[[rule]]
name = "people"
number = "{{ext:4}}"
do = [ {{ dial = "{{ext}}", timeout = "25s" }} ]

[[rule]]
name = "log in"
number = "*10"
do = [ {{ feature = "queue-login" }} ]

[[rule]]
name = "ready"
number = "*11"
do = [ {{ feature = "ready" }} ]

[[rule]]
name = "not ready"
number = "*12"
do = [ {{ feature = "not-ready", reason = "break" }} ]

[[rule]]
name = "log out"
number = "*13"
do = [ {{ feature = "queue-logout" }} ]

[[rule]]
name = "end of wrap-up"
number = "*14"
do = [ {{ feature = "end-wrap" }} ]

[[rule]]
name = "echo"
number = "*43"
do = [ {{ feature = "echo" }} ]
"#,
            queue(0)
        ),
    ));
    for queue in queues {
        let mut text = format!(
            "name = \"{}\"\nstrategy = \"{}\"\nring-timeout = \"{}s\"\nwrap-up = \"{}s\"\n",
            queue.name,
            queue.strategy,
            queue.ring.as_secs(),
            queue.wrap_up.as_secs()
        );
        if let Some(max) = queue.max_waiting {
            let _ = writeln!(text, "max-waiting = {max}");
        }
        let serving: Vec<String> = agents
            .iter()
            .map(|a| format!("{{ extension = \"{a}\" }}"))
            .collect();
        let _ = writeln!(text, "agents = [ {} ]", serving.join(", "));
        if let Some(after) = queue.overflow {
            let _ = writeln!(
                text,
                "overflow = [ {{ when = \"waited {}s\", do = [ {{ hangup = \"normal\" }} ] }} ]",
                after.as_secs()
            );
        }
        all.push((format!("queues/{}.toml", queue.name), text));
    }
    all
}

/// The files that a plan needs.
pub fn files_of(plan: &Plan) -> Vec<(String, String)> {
    let extensions: Vec<String> = plan.people.iter().map(|p| p.extension.clone()).collect();
    let agents: Vec<String> = plan
        .people
        .iter()
        .filter(|p| p.agent)
        .map(|p| p.extension.clone())
        .collect();
    files(&extensions, &agents, &plan.queues)
}

/// The carrier as a peer.
pub fn carrier_phone(answer: Answer, challenges: bool, rudeness: Rudeness) -> Phone {
    let mut settings = PhoneSettings::new("+4930123456", carrier(), external());
    settings.name = "carrier".to_string();
    settings.domain = carrier().ip().to_string();
    settings.lines = 50;
    settings.answer = answer;
    settings.rudeness = rudeness;
    settings.challenge =
        challenges.then(|| (CARRIER_USER.to_string(), CARRIER_PASSWORD.to_string()));
    Phone::new(settings)
}

/// A phone of a person.
pub fn desk_phone(extension: &str, person: usize, phone: usize, stream: bool) -> PhoneSettings {
    let mut settings = PhoneSettings::new(extension, desk(person, phone), internal());
    settings.stream = stream;
    if phone > 0 {
        settings.name = format!("{extension}b");
    }
    settings
}

/// The world of a plan, with everything in it scheduled.
pub fn build(plan: &Plan, maker: NodeMaker) -> World {
    let mut world = World::new(plan.seed, vec![internal(), external()], maker);
    let carrier = world.add(
        Box::new(carrier_phone(
            plan.carrier_answer.clone(),
            plan.carrier_challenges,
            plan.carrier_rudeness.clone(),
        )),
        plan.carrier_link.clone(),
    );
    let mut numbers: Vec<Vec<usize>> = Vec::new();
    for (n, person) in plan.people.iter().enumerate() {
        let mut own = Vec::new();
        for (m, stream) in person.phones.iter().enumerate() {
            let mut settings = desk_phone(&person.extension, n, m, *stream);
            settings.answer = person.answer.clone();
            settings.rudeness = person.rudeness.clone();
            let actor = world.add(Box::new(Phone::new(settings)), plan.link.clone());
            if plan.nat && !stream {
                world.behind_nat(actor, router(n, m, 40_000));
            }
            own.push(actor);
        }
        numbers.push(own);
    }
    let scanner = world.add(
        Box::new(Scanner::new(
            "scanner",
            address(198, 51, 100, 66, 5060),
            vec![internal(), external()],
        )),
        Link::perfect(Duration::from_millis(30)),
    );
    world.boot();
    let number =
        |person: usize, phone: usize| numbers.get(person).and_then(|p| p.get(phone)).copied();
    for (id, (after, deal)) in (1_000_u64..).zip(plan.deals.iter()) {
        match deal {
            Deal::Person(person, phone, order) => {
                if let Some(actor) = number(*person, *phone) {
                    world.order_after(*after, actor, order.clone());
                }
            }
            Deal::Carrier(order) => world.order_after(*after, carrier, order.clone()),
            Deal::Command(command) => world.command_after(*after, id, command.clone()),
            Deal::Crash(point, down) => world.crash_after(*after, *point, *down),
            Deal::CutOff(person, phone, length) => {
                if let Some(actor) = number(*person, *phone) {
                    world.partition_after(*after, actor, *length);
                }
            }
            Deal::Rebind(person, phone, port) => {
                let udp =
                    plan.people.get(*person).and_then(|p| p.phones.get(*phone)) == Some(&false);
                if let Some(actor) = number(*person, *phone).filter(|_| udp) {
                    world.rebind_after(*after, actor, router(*person, *phone, *port));
                }
            }
            Deal::JournalRefuses(length) => world.refuse_journal_after(*after, *length),
            Deal::StepClock(forward, by) => world.step_clock_after(*after, *forward, *by),
            Deal::Scan => {
                world.order_after(*after, scanner, super::actors::Order::Register);
            }
        }
    }
    world
}
