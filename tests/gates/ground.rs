//! Where the gates are measured: a server that listens in every way, and what can be read of it from outside.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::support::authority::Authority;
use crate::support::lab::{DOMAIN, Lab};
use crate::support::server::Server;

/// The profile on which nobody is asked for a password: what comes there reaches other legs.
pub const OPEN_PORT: u16 = 5070;

/// A server, who vouches for it, and where it listens for IPv6.
pub struct Ground {
    pub server: Server,
    pub authority: Authority,
    pub six: SocketAddr,
}

impl Ground {
    pub fn open() -> Ground {
        Ground::with(|_| {})
    }

    /// With a change to the lab's files.
    #[track_caller]
    pub fn with(change: impl FnOnce(&mut Lab)) -> Ground {
        let authority = Authority::new();
        let (mut lab, six) = lab(&authority);
        change(&mut lab);
        Ground {
            server: Server::start(lab),
            authority,
            six,
        }
    }
}

/// A lab with every transport, an open profile, room for many calls, and no ban that would make the sets harmless.
fn lab(authority: &Authority) -> (Lab, SocketAddr) {
    let mut lab = Lab::new();
    let server = lab.server;
    let (certificate, key) = authority.vouch(DOMAIN);
    lab.file("certs/pbx.pem", &certificate);
    lab.file("certs/pbx.key", &key);
    let tls = "tls = { certificate = \"certs/pbx.pem\", key = \"certs/pbx.key\" }\n";
    let free = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("IPv6 on loopback");
    let six = free.local_addr().expect("bound");
    drop(free);
    let phones = "sip-profiles/internal.toml";
    let tcp = format!("\"tcp:{server}:5060\"");
    lab.change(
        phones,
        &tcp,
        &format!("{tcp}, \"udp:{six}\", \"tls:{server}:5061\", \"ws:{server}:5062\", \"wss:{server}:5063\""),
    );
    lab.change(
        phones,
        "auth     = \"digest\"\n",
        &format!("auth     = \"digest\"\n{tls}"),
    );
    let listen: Vec<String> = ["udp", "tcp", "tls", "ws", "wss"]
        .iter()
        .zip([
            OPEN_PORT,
            OPEN_PORT,
            OPEN_PORT + 1,
            OPEN_PORT + 2,
            OPEN_PORT + 3,
        ])
        .map(|(kind, port)| format!("\"{kind}:{server}:{port}\""))
        .collect();
    lab.file(
        "sip-profiles/open.toml",
        &format!(
            "name = \"open\"\nlisten = [{}]\ndialplan = \"internal\"\nauth = \"none\"\ncodecs = [\"pcma\", \"pcmu\"]\n{tls}",
            listen.join(", ")
        ),
    );
    lab.change(
        "strowger.toml",
        "level = \"debug\"",
        "level = \"warn\"\nladder-memory = \"1MiB\"\n\n[guard]\nfailures = 100000",
    );
    lab.change(
        "directory/people.toml",
        "role = \"agent\"",
        "role = \"agent\"\nmax-concurrent-calls = 100",
    );
    (lab, six)
}

/// The guard lets one source ask as fast as it gets answers: what is measured is behind it.
pub fn unhurried(lab: &mut Lab) {
    lab.change(
        "strowger.toml",
        "[guard]",
        "[guard]\nrate = 100000\ntotal-rate = 100000",
    );
}

/// People of a crowd: extensions from 50000 on, all with the same password.
pub fn crowd(lab: &mut Lab, count: usize) {
    let people: String = (0..count)
        .map(|n| {
            format!(
                "[[user]]\nextension = \"{}\"\nname = \"Load {n}\"\npassword = \"{}\"\n\n",
                crowd_user(n),
                crate::support::lab::password("load")
            )
        })
        .collect();
    lab.file("directory/crowd.toml", &people);
}

pub fn crowd_user(number: usize) -> String {
    format!("{}", 50_000 + number)
}

/// Proportional set size of the server, in bytes.
pub fn memory(server: &mut Server) -> u64 {
    let pid = server.process().id();
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("its memory");
    let line = text
        .lines()
        .find(|line| line.starts_with("Pss:"))
        .expect("Pss");
    let kb: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .expect("a number");
    kb * 1024
}

/// Processor time that the server has used, to a hundredth of a second.
pub fn processor(server: &mut Server) -> Duration {
    let pid = server.process().id();
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its times");
    let (_, fields) = text.rsplit_once(") ").expect("a name in brackets");
    let ticks: u64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(ticks * 10)
}

/// A figure of the metrics; the first whose line begins so.
#[track_caller]
pub fn metric(server: &Server, line: &str) -> u64 {
    let page = server.api().try_get("/metrics").text;
    page.lines()
        .find_map(|found| found.strip_prefix(line)?.trim().parse::<u64>().ok())
        .unwrap_or_else(|| panic!("no `{line}` in {page}"))
}

/// The server lives, and no input made it fall.
#[track_caller]
pub fn assert_well(server: &mut Server, after: &str) {
    assert!(
        server.process().status().is_none(),
        "the server ended during {after}"
    );
    assert_eq!(
        metric(server, "strowger_panics_total "),
        0,
        "the server fell during {after}; see its log"
    );
}
