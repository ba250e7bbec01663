//! The table `[registration]` of a profile: what it grants, and what holds without it.

use strowger::base::{Duration, Network};
use strowger::registrar::{Nat, PathFrom, Policy};

use super::house;

fn policy(lines: &str) -> Policy {
    let mut house = house();
    house.change(
        "sip-profiles/internal.toml",
        "",
        &format!("\n[registration]\n{lines}"),
    );
    let settings = house.settings();
    let profile = settings.profile("internal").expect("the profile");
    Policy::clone(&profile.registration)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn without_the_table_the_defaults_hold() {
    let defaults = Policy {
        expires_jitter: 10,
        qualify: Some(s(60)),
        nat_ping: Some(s(25)),
        ..Policy::default()
    };
    assert_eq!(policy(""), defaults);
    let settings = house().settings();
    let profile = settings.profile("internal").expect("the profile");
    assert_eq!(*profile.registration, defaults);
}

#[test]
fn what_stands_there_is_granted() {
    let network = Network::parse("10.0.0.0/8").expect("a network");
    let read = policy(
        "expires-min = \"30s\"\nexpires-default = \"10m\"\nexpires-max = \"20m\"\nexpires-jitter = 0\ncontacts-max = 3\n\
         contacts-over = \"replace-oldest\"\npath = [\"10.0.0.0/8\"]\nqualify = \"off\"\nnat = [\"10.0.0.0/8\"]\n\
         nat-ping = \"off\"\nflow-timer = \"90s\"\ngruu = false\n",
    );
    let expected = Policy {
        expires_min: s(30),
        expires_default: s(600),
        expires_max: s(1200),
        expires_jitter: 0,
        contacts_max: 3,
        replace_oldest: true,
        path: PathFrom::Networks(vec![network]),
        service_route: Vec::new(),
        qualify: None,
        nat: Nat::Networks(vec![network]),
        nat_ping: None,
        flow_timer: s(90),
        gruu: false,
    };
    assert_eq!(read, expected);
    assert_eq!(policy("path = \"accept\"").path, PathFrom::Anybody);
    assert_eq!(policy("nat = \"always\"").nat, Nat::Always);
    assert_eq!(policy("nat = \"never\"").nat, Nat::Never);
}

#[test]
fn service_routes_are_loose_routers() {
    let read = policy("service-route = [\"sip:p1.example\", \"sip:p2.example:5070;lr\"]");
    let routes: Vec<&str> = read.service_route.iter().map(|route| &**route).collect();
    assert_eq!(routes, ["<sip:p1.example;lr>", "<sip:p2.example:5070;lr>"]);
}

#[test]
fn default_fits_between_minimum_and_maximum_by_itself() {
    let read = policy("expires-max = \"10m\"");
    assert_eq!(read.expires_default, s(600));
    let read = policy("expires-min = \"1h\"\nexpires-max = \"2h\"");
    assert_eq!(read.expires_default, s(3600));
}
