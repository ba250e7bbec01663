//! Bad values of what guards and watches the server: `[guard]`, `[hep]` and the memory for ladders.

use strowger::base::Duration;

use super::bad_values::{Case, check};
use super::house;

#[test]
fn bad_values_of_the_guard_and_of_ladders_are_refused() {
    check(CASES);
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("strowger.toml", "[log]", "[log]\nladder-memory = \"64\"", &[r#"strowger.toml:11:17: error: `64` has no unit (for example `64MiB`)"#]),
    ("strowger.toml", "[log]", "[log]\nladder-memory = \"64MB\"", &[r#"strowger.toml:11:17: error: `MB` is not a unit of size (for example `64MiB`)"#]),
    ("strowger.toml", "[log]", "[log]\nladder-memory = \"5GiB\"", &[r#"strowger.toml:11:17: error: `5GiB` is more than 4GiB (for example `64MiB`)"#]),
    ("strowger.toml", "[log]", "[log]\nladder-memory = 64", &[r#"strowger.toml:11:17: error: `ladder-memory` must be a string (for example `"64MiB"`)"#]),
    ("strowger.toml", "[log]", "[log]\n[hep]\nserver = \"127.0.0.1:9060\"", &[r#"strowger.toml:12:10: error: `127.0.0.1:9060` does not begin with `udp:` (for example `udp:192.0.2.10:9060`)"#]),
    ("strowger.toml", "[log]", "[log]\n[hep]\nserver = \"tcp:127.0.0.1:9060\"", &[r#"strowger.toml:12:10: error: copies go over UDP only (for example `udp:192.0.2.10:9060`)"#]),
    ("strowger.toml", "[log]", "[log]\n[hep]\nserver = \"udp:homer.example:9060\"", &[r#"strowger.toml:12:10: error: `homer.example:9060` is not an address and a port (for example `udp:192.0.2.10:9060`)"#]),
    ("strowger.toml", "[log]", "[log]\n[hep]\ncapture-id = 1", &[r#"strowger.toml:11:1: error: [hep] needs `server` (The capture server.)"#]),
    ("strowger.toml", "[log]", "[log]\n[guard]\nrate = 0", &[r#"strowger.toml:12:8: error: `rate` must be from 1 to 1000000"#]),
    ("strowger.toml", "[log]", "[log]\n[guard]\nfailures = 1", &[r#"strowger.toml:12:12: error: `failures` must be from 3 to 100000"#]),
    ("strowger.toml", "[log]", "[log]\n[guard]\nban = \"forever\"", &[r#"strowger.toml:12:7: error: `forever` is not a duration (units are `ms`, `s`, `m`, `h` and `d`: `"20s"`, `"1h30m"`)"#]),
    ("strowger.toml", "[log]", "[log]\n[guard]\nexempt = \"10.0.0.1/8\"", &[r#"strowger.toml:12:10: error: `10.0.0.1/8` has bits set after the first 8: write `10.0.0.0/8` (for example `203.0.113.0/28`)"#]),
    ("strowger.toml", "[log]", "[log]\n[guard]\nexmpt = \"10.0.0.0/8\"", &[r#"strowger.toml:12:1: error: unknown key `exmpt` in [guard] (did you mean `exempt`?)"#]),
];

#[test]
fn what_the_guard_and_the_watchers_are_told_arrives() {
    let usual = house().settings();
    assert_eq!(usual.log.ladder_memory, 64 << 20);
    assert_eq!(usual.hep, None);
    assert_eq!(usual.guard, Default::default());
    let mut house = house();
    house.change(
        "strowger.toml",
        "[log]",
        r#"[log]
ladder-memory = "0"
[hep]
server = "udp:[2001:db8::1]:9060"
[guard]
rate = 10
proven-rate = 20
total-rate = 30
account-rate = 40
failures = 5
ban = "1m"
ban-max = "1h"
exempt = ["10.0.0.0/8", "2001:db8::1"]"#,
    );
    let told = house.settings();
    assert_eq!(told.log.ladder_memory, 0);
    let hep = told.hep.expect("hep");
    assert_eq!((hep.server.port(), hep.capture_id), (9060, 1));
    let guard = told.guard;
    assert_eq!(
        (
            guard.rate,
            guard.proven_rate,
            guard.total_rate,
            guard.account_rate
        ),
        (10, 20, 30, 40)
    );
    assert_eq!(
        (guard.failures_max, guard.ban, guard.ban_max),
        (5, Duration::from_secs(60), Duration::from_secs(3_600))
    );
    let exempt: Vec<String> = guard
        .exempt
        .iter()
        .map(|(a, p)| format!("{a}/{p}"))
        .collect();
    assert_eq!(exempt, ["10.0.0.0/8", "2001:db8::1/128"]);
}
