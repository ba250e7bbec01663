//! The simulated contact centre: its configuration files as text, its addresses, and its world full of peers.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::actors::{Answer, Carriage, Phone, PhoneSettings, Rudeness, Scanner};
use super::nat::Nat;
use super::network::Link;
use super::node::NodeMaker;
use super::plan::{Deal, HousePlan, Plan, PlannedQueue, TrunkPlan};
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

/// Where phones send over TLS.
pub fn internal_tls() -> SocketAddr {
    address(192, 0, 2, 1, 5061)
}

/// Where phones send over WebSocket.
pub fn internal_ws() -> SocketAddr {
    address(192, 0, 2, 1, 5066)
}

/// Where the carrier lives.
pub fn carrier() -> SocketAddr {
    gateway(0)
}

/// Where a gateway of the carrier lives.
pub fn gateway(number: usize) -> SocketAddr {
    let byte = |n: usize| u8::try_from(n % 100).unwrap_or(0);
    address(203, 0, 113, 10 + byte(number), 5060)
}

/// The name of all gateways.
pub const GATEWAYS: &str = "gw.carrier.example";

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
    files_with(extensions, agents, queues, &HousePlan::default())
}

fn internal_profile(house: &HousePlan) -> String {
    let secure = if house.secure {
        // what stands on the port of TLS is TLS to the switch: there are no certificates in this world
        format!(", \"tcp:{}\", \"ws:{}\"", internal_tls(), internal_ws())
    } else {
        String::new()
    };
    let codecs = if house.codecs_turned {
        "\"pcmu\", \"pcma\""
    } else {
        "\"pcma\", \"pcmu\""
    };
    let or_off = |seconds: Option<u64>| seconds.map_or("off".to_string(), |s| format!("{s}s"));
    let timers = if house.session_timers {
        "session-timer = { expires = \"90s\", min = \"90s\" }\n"
    } else {
        ""
    };
    format!(
        "name = \"internal\"\nlisten = [\"udp:{0}\", \"tcp:{0}\"{secure}]\ndialplan = \"internal\"\nauth = \"digest\"\ncodecs = [{codecs}]\n{timers}\n[registration]\nqualify = \"{1}\"\nnat-ping = \"{2}\"\n",
        internal(),
        or_off(house.qualify),
        or_off(house.nat_ping),
    )
}

fn external_profile(trunk: &TrunkPlan, timers: bool) -> String {
    let count = trunk.more_gateways + 1;
    let proxies: Vec<String> = if trunk.by_name {
        vec![format!("\"sip:{GATEWAYS}\"")]
    } else {
        (0..count)
            .map(|n| format!("\"sip:{}\"", gateway(n)))
            .collect()
    };
    let from: Vec<String> = (0..count)
        .map(|n| format!("\"{}/32\"", gateway(n).ip()))
        .collect();
    let ping = trunk
        .options_ping
        .map_or("off".to_string(), |s| format!("{s}s"));
    let account = if trunk.registers {
        format!(
            "register = {{ username = \"{CARRIER_USER}\", password = \"{CARRIER_PASSWORD}\", expires = \"60s\" }}\n"
        )
    } else {
        format!("auth = {{ username = \"{CARRIER_USER}\", password = \"{CARRIER_PASSWORD}\" }}\n")
    };
    let mut more = String::new();
    if let Some(most) = trunk.max_channels {
        let _ = writeln!(more, "max-channels = {most}");
    }
    if let Some(most) = trunk.max_cps {
        let _ = writeln!(more, "max-cps = {most}");
    }
    if trunk.quick_breaker {
        more.push_str("breaker = { failures = 2, window = \"30s\", open = \"1s\" }\n");
    }
    if timers {
        more.push_str("session-timer = { expires = \"90s\", min = \"90s\" }\n");
    }
    format!(
        "name = \"external\"\nlisten = [\"udp:{0}\", \"tcp:{0}\"]\ndialplan = \"inbound\"\nauth = \"trunk\"\ncodecs = [\"pcma\", \"pcmu\"]\n\n[[trunk]]\nname = \"acme\"\nproxy = [{1}]\nfrom = [{2}]\noptions-ping = \"{ping}\"\n{more}{account}",
        external(),
        proxies.join(", "),
        from.join(", "),
    )
}

/// What people of one pickup group can dial.
const FETCHING: &str = r#"
[[rule]]
name = "fetch what rings at somebody"
number = "*8{ext:4}"
do = [ { pickup = "{ext}" } ]

[[rule]]
name = "fetch what rings in the group"
number = "*8*"
do = [ { pickup = "*" } ]

[[rule]]
name = "parking place"
number = "70{slot:1}"
do = [ { park = "70{slot}", timeout = "20s" }, { dial = "{transferred-by}", timeout = "10s" } ]
"#;

/// The configuration files of a house that is set up so.
pub fn files_with(
    extensions: &[String],
    agents: &[String],
    queues: &[PlannedQueue],
    house: &HousePlan,
) -> Vec<(String, String)> {
    let pickup = if house.pickup {
        "pickup = [\"all\"]\n"
    } else {
        ""
    };
    let fetching = if house.pickup { FETCHING } else { "" };
    let ring = match house.dial_timeout {
        0 => 25,
        seconds => seconds,
    };
    let mut people = String::new();
    for extension in extensions {
        let _ = write!(
            people,
            "[[user]]\nextension = \"{extension}\"\nname = \"Person {extension}\"\npassword = \"secret-{extension}\"\n{pickup}\n"
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
            internal_profile(house),
        ),
        (
            "sip-profiles/external.toml".to_string(),
            external_profile(&house.trunk, house.session_timers),
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
do = [ {{ dial = "{{ext}}", timeout = "{ring}s" }} ]
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
do = [ {{ dial = "{{ext}}", timeout = "{ring}s" }} ]

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
{fetching}"#,
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
    files_with(&extensions, &agents, &plan.queues, &plan.house)
}

/// The files of a plan for a house that does nothing by itself any more.
pub fn resting_files(plan: &Plan) -> Vec<(String, String)> {
    let mut other = plan.clone();
    other.house.qualify = None;
    other.house.nat_ping = None;
    other.house.trunk.options_ping = None;
    other.house.trunk.registers = false;
    files_of(&other)
}

/// The files of a plan with a mistake of that kind.
fn bad_files(plan: &Plan, kind: u8) -> Vec<(String, String)> {
    let mut files = files_of(plan);
    let mut spoil = |name: &str, how: &dyn Fn(&mut String)| {
        if let Some((_, text)) = files.iter_mut().find(|(file, _)| file == name) {
            how(text);
        }
    };
    match kind {
        // half-written
        0 => spoil("sip-profiles/internal.toml", &|text| {
            text.truncate(text.len() / 2 + 3);
        }),
        // an unknown key
        1 => spoil("strowger.toml", &|text| text.push_str("colour = \"red\"\n")),
        // the same person twice
        2 => spoil("directory/people.toml", &|text| {
            text.push_str("[[user]]\nextension = \"1001\"\nname = \"X\"\npassword = \"y\"\n");
        }),
        // empty
        3 => spoil("sip-profiles/external.toml", &String::clear),
        // a queue that is nowhere
        4 => spoil("dialplans/inbound.toml", &|text| {
            text.push_str(
                "\n[[rule]]\nname = \"x\"\nnumber = \"5\"\ndo = [ { queue = \"nowhere\" } ]\n",
            );
        }),
        // a value out of range
        _ => spoil("sip-profiles/internal.toml", &|text| {
            text.push_str("expires-jitter = 99\n");
        }),
    }
    files
}

/// The carrier as a peer.
pub fn carrier_phone(answer: Answer, challenges: bool, rudeness: Rudeness) -> Phone {
    Phone::new(gateway_settings(0, answer, challenges, rudeness))
}

fn gateway_settings(
    number: usize,
    answer: Answer,
    challenges: bool,
    rudeness: Rudeness,
) -> PhoneSettings {
    let place = gateway(number);
    let mut settings = PhoneSettings::new("+4930123456", place, external());
    settings.name = match number {
        0 => "carrier".to_string(),
        n => format!("carrier{}", n + 1),
    };
    settings.domain = place.ip().to_string();
    settings.lines = 50;
    settings.answer = answer;
    settings.rudeness = rudeness;
    settings.challenge =
        challenges.then(|| (CARRIER_USER.to_string(), CARRIER_PASSWORD.to_string()));
    settings.is_gateway = true;
    settings
}

/// A phone of a person.
pub fn desk_phone(
    extension: &str,
    person: usize,
    phone: usize,
    carriage: Carriage,
) -> PhoneSettings {
    let server = match carriage {
        Carriage::Udp | Carriage::Tcp => internal(),
        Carriage::Tls => internal_tls(),
        Carriage::Ws => internal_ws(),
    };
    let mut settings = PhoneSettings::new(extension, desk(person, phone), server);
    settings.carriage = carriage;
    if phone > 0 {
        settings.name = format!("{extension}b");
    }
    settings
}

/// The world of a plan, with everything in it scheduled.
pub fn build(plan: &Plan, maker: NodeMaker) -> World {
    let listening = vec![internal(), internal_tls(), internal_ws(), external()];
    let mut world = World::new(plan.seed, listening, maker);
    let mut gateways = Vec::new();
    for (n, (answer, rudeness)) in plan.gateways.iter().enumerate() {
        let challenges = plan.features.has("carrier challenges");
        let mut settings = gateway_settings(n, answer.clone(), challenges, rudeness.clone());
        settings.reliable = plan.features.has("reliable provisionals") && n == 0;
        settings.early_media = settings.reliable;
        gateways.push(world.add(Box::new(Phone::new(settings)), plan.carrier_link.clone()));
    }
    world.name(GATEWAYS, (0..plan.gateways.len()).map(gateway).collect());
    let mut numbers: Vec<Vec<usize>> = Vec::new();
    for (n, person) in plan.people.iter().enumerate() {
        let mut own = Vec::new();
        for (m, phone) in person.phones.iter().enumerate() {
            let mut settings = desk_phone(&person.extension, n, m, phone.carriage);
            settings.answer = person.answer.clone();
            settings.rudeness = person.rudeness.clone();
            settings.outbound = phone.outbound;
            settings.two_lanes = phone.two_lanes;
            settings.instance = phone
                .outbound
                .then(|| format!("00000000-0000-4000-8000-{n:06}{m:06}"));
            settings.reliable = phone.reliable;
            settings.early_media = phone.reliable && m % 2 == n % 2;
            settings.timer = phone.timer;
            settings.refreshes = phone.refreshes;
            settings.keep_alive = phone.keep_alive;
            let actor = world.add(Box::new(Phone::new(settings)), plan.link.clone());
            if let Some((life, both)) = phone.nat {
                world.behind_nat(actor, Nat::new(router(n, m, 40_000), life, both));
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
    let places = Places {
        gateways,
        numbers,
        scanner,
    };
    for (id, (after, deal)) in (1_000_u64..).zip(plan.deals.iter()) {
        schedule(plan, &mut world, &places, id, *after, deal);
    }
    world
}

struct Places {
    gateways: Vec<usize>,
    numbers: Vec<Vec<usize>>,
    scanner: usize,
}

fn schedule(
    plan: &Plan,
    world: &mut World,
    places: &Places,
    id: u64,
    after: Duration,
    deal: &Deal,
) {
    let number = |person: usize, phone: usize| {
        places
            .numbers
            .get(person)
            .and_then(|p| p.get(phone))
            .copied()
    };
    match deal {
        Deal::Person(person, phone, order) => {
            if let Some(actor) = number(*person, *phone) {
                world.order_after(after, actor, order.clone());
            }
        }
        Deal::Gateway(n, order) => {
            if let Some(actor) = places.gateways.get(*n) {
                world.order_after(after, *actor, order.clone());
            }
        }
        Deal::Command(command) => world.command_after(after, id, command.clone()),
        Deal::Crash(point, down) => world.crash_after(after, *point, *down),
        Deal::CutOff(person, phone, length) => {
            if let Some(actor) = number(*person, *phone) {
                world.partition_after(after, actor, *length);
            }
        }
        Deal::Rebind(person, phone) => {
            if let Some(actor) = number(*person, *phone) {
                world.rebind_after(after, actor);
            }
        }
        Deal::JournalRefuses(length) => world.refuse_journal_after(after, *length),
        Deal::StepClock(forward, by) => world.step_clock_after(after, *forward, *by),
        Deal::Scan => world.order_after(after, places.scanner, super::actors::Order::Register),
        Deal::Resolver(resolver) => world.resolver_after(after, *resolver),
        Deal::Load(level) => world.load_after(after, *level),
        Deal::Reload(house, strategy) => {
            let mut other = plan.clone();
            other.house = HousePlan::clone(house);
            for queue in &mut other.queues {
                queue.strategy = strategy;
            }
            world.reload_after(after, files_of(&other), true);
        }
        Deal::BadReload(kind) => world.reload_after(after, bad_files(plan, *kind), false),
    }
}
