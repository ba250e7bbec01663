//! The settings of a server, checked: what `load` makes of a configuration directory.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::certificates::{Identity, ProfileTls};
use super::problem::Problem;
use super::trunk::Trunk;
use crate::acd;
use crate::auth::Algorithm;
use crate::base::{Duration, Network, Secret, WallTime};
use crate::call::InvitePolicy;
use crate::dialplan::{Dialplan, Steps};
use crate::directory::{Directory, Place};
use crate::media::{Codec, SrtpPolicy};
use crate::outbound::Rules;
use crate::registrar::Policy;
use crate::transport::{GuardSettings, Transport};

/// Everything that the files say. Cheap to clone: what is large is behind `Arc`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration directory.
    pub directory_path: PathBuf,
    /// `[server]`
    pub server: ServerSettings,
    /// `[http]`
    pub http: HttpSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[media]`
    pub media: MediaSettings,
    /// `[log]`
    pub log: LogSettings,
    /// `[hep]`
    pub hep: Option<HepSettings>,
    /// `[guard]`
    pub guard: GuardSettings,
    /// `sip-profiles/*.toml`, in the order of the file names; after a reload in the places of before
    /// ([`Settings::take_over_from`]).
    pub profiles: Vec<Arc<SipProfile>>,
    /// `dialplans/*.toml`
    pub dialplan: Arc<Dialplan>,
    /// `directory/*.toml`
    pub directory: Arc<Directory>,
    /// `queues/*.toml`, in the order of the file names.
    pub queues: Vec<Arc<QueueSettings>>,
    /// `outbound.toml`
    pub outbound: Arc<Rules>,
    /// What is legal but surely wrong.
    pub warnings: Vec<Problem>,
}

impl Settings {
    /// The profile with this name.
    pub fn profile(&self, name: &str) -> Option<&Arc<SipProfile>> {
        self.profiles
            .iter()
            .find(|profile| &*profile.name == name && !profile.is_gone())
    }

    /// The queue with this name.
    pub fn queue(&self, name: &str) -> Option<&Arc<QueueSettings>> {
        self.queues.iter().find(|queue| &*queue.acd.name == name)
    }

    /// All trunks, in the order of the files.
    pub fn trunks(&self) -> impl Iterator<Item = &Arc<Trunk>> {
        self.profiles.iter().flat_map(|profile| &profile.trunks)
    }

    /// The trunk with this name.
    pub fn trunk(&self, name: &str) -> Option<&Arc<Trunk>> {
        self.trunks().find(|trunk| &*trunk.name == name)
    }

    /// All certificates of our own, each with whose it is: `profile NAME` or `trunk NAME`.
    pub fn identities(&self) -> impl Iterator<Item = (String, &Identity)> {
        let of_profiles = self.profiles.iter().filter_map(|profile| {
            let tls = profile.tls.as_ref()?;
            Some((format!("profile {}", profile.name), &tls.identity))
        });
        let of_trunks = self.trunks().filter_map(|trunk| {
            let identity = trunk.tls.identity.as_ref()?;
            Some((format!("trunk {}", trunk.name), identity))
        });
        of_profiles.chain(of_trunks)
    }

    /// Adds warnings about certificates that are over, not valid yet, or end within 30 days. They stop nothing: calls without TLS
    /// go on. `load` knows no date, so whoever called it does this.
    pub fn look_at_dates(&mut self, now: WallTime) {
        let notices: Vec<Problem> = self
            .identities()
            .filter_map(|(_, identity)| identity.notice(now))
            .collect();
        self.warnings.extend(notices);
    }

    /// Queues and agents as the ACD wants them. Agents are the users whom a queue names.
    pub fn acd(&self) -> acd::AcdSettings {
        let serves = |extension: &str| {
            let drawn_in = |queue: &acd::QueueSettings| {
                let mut rings = queue.expand.iter();
                rings.any(|ring| ring.add_agents.iter().any(|a| &**a == extension))
            };
            self.queues.iter().any(|queue| {
                queue.acd.agents.iter().any(|a| &*a.agent == extension) || drawn_in(&queue.acd)
            })
        };
        acd::AcdSettings {
            queues: self.queues.iter().map(|queue| queue.acd.clone()).collect(),
            agents: self
                .directory
                .users()
                .filter(|user| serves(&user.extension))
                .map(|user| acd::AgentSettings {
                    skills: user
                        .skills
                        .iter()
                        .map(|(skill, level)| (skill.clone(), *level))
                        .collect(),
                    max_concurrent_calls: user.max_concurrent_calls,
                    ..acd::AgentSettings::of(user.extension.clone(), user.name.clone())
                })
                .collect(),
        }
    }
}

/// `[server]`
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    /// SIP domain and digest realm.
    pub domain: Arc<str>,
    /// Database, journal, recordings. Default `var`, relative to the configuration directory.
    pub data_dir: PathBuf,
    /// What SDP and Contact advertise. Default: automatic.
    pub public_address: PublicAddress,
    /// Ports for RTP and RTCP. Default 20000–29999.
    pub rtp_ports: RtpPorts,
    /// Name servers; empty: those of the system.
    pub name_servers: Vec<SocketAddr>,
    /// Zone of hours and announcements that name none. Default UTC.
    pub time_zone: Arc<str>,
    /// How long running calls may finish after SIGTERM. Default 2 h.
    pub drain_timeout: Duration,
}

/// What SDP and Contact advertise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublicAddress {
    /// The address on which the profile listens; for the unspecified address, the one that the kernel would send from.
    #[default]
    Auto,
    /// This one (behind a one-to-one NAT).
    Address(IpAddr),
}

/// A range of UDP ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPorts {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSettings {
    /// Where the API listens. Default 127.0.0.1:8080.
    pub listen: SocketAddr,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq)]
pub struct StoreSettings {
    /// The SQLite file. Default `DATA-DIR/strowger.db`.
    pub sqlite: PathBuf,
    /// When an answer may leave. Default: written.
    pub journal: JournalMode,
}

/// How safe the journal is before an answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JournalMode {
    /// Handed to the kernel: survives the end of the process.
    #[default]
    Written,
    /// On the disk: survives the end of the power.
    Sync,
}

/// `[media]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaSettings {
    /// Media workers; `None`: as many as the machine suggests. Range 1–64.
    pub workers: Option<u16>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug`, `trace`. Default `info`.
    pub level: Arc<str>,
    /// Default: text.
    pub format: LogFormat,
    /// Bytes for recent messages, from which ladders are drawn; 0 keeps none. Default 64 MiB, at most 4 GiB.
    pub ladder_memory: usize,
}

/// `[hep]`: copies of all messages to a capture server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HepSettings {
    /// Where it listens, over UDP.
    pub server: SocketAddr,
    /// Number of this server there. Default 1.
    pub capture_id: u32,
    /// What it wants to see.
    pub password: Option<Secret>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// One address on which a profile listens. Port 0 lets the system choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let transport = self.transport.as_str().to_ascii_lowercase();
        write!(f, "{transport}:{}", self.address)
    }
}

/// How a profile knows who is calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileAuth {
    /// Every request proves itself by digest (RFC 3261 §22).
    Digest,
    /// The source address belongs to a trunk of the profile.
    Trunk,
    /// Nobody asks. Loopback only, unless `insecure` is set.
    None,
}

/// What a profile does with requests that are for somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProfileMode {
    /// Calls end here and begin anew towards the other side: the dialplan, queues and recordings see them.
    #[default]
    B2bua,
    /// Everything is passed on between registered users as it is; audio goes between them directly (RFC 3261 §16).
    Proxy,
}

/// `sip-profiles/*.toml`: a listening identity.
#[derive(Debug, Clone, PartialEq)]
pub struct SipProfile {
    /// Its name.
    pub name: Arc<str>,
    /// Its name before a rename.
    pub was: Option<Arc<str>>,
    /// Where it listens; at least one, or `web_path`.
    pub listen: Vec<ListenAddress>,
    /// Path of the HTTP listener at which it takes SIP over WebSocket (RFC 7118); `None`: nowhere there.
    pub web_path: Option<Arc<str>>,
    /// What it shows over TLS; there when it listens on `tls:` or `wss:`.
    pub tls: Option<Arc<ProfileTls>>,
    /// Load balancers whose connections begin with a PROXY protocol v2 header.
    pub proxy_protocol: Vec<Network>,
    /// Context in which its calls start.
    pub dialplan: Arc<str>,
    /// What it does with requests for others. Default: B2BUA.
    pub mode: ProfileMode,
    /// How callers are known.
    pub auth: ProfileAuth,
    /// The hash of its challenges, and the only one that it takes. Default: MD5, which every telephone speaks.
    pub digest: Algorithm,
    /// Whether `auth = "none"` is allowed beyond loopback. Default: false.
    pub insecure: bool,
    /// In order of preference. Default: opus, g722, pcma, pcmu.
    pub codecs: Vec<Codec>,
    /// Protection of its audio. Default: off.
    pub srtp: SrtpPolicy,
    /// Instead of the server's; `None`: the server's.
    pub public_address: Option<PublicAddress>,
    /// What is granted to devices that register through it.
    pub registration: Arc<Policy>,
    /// Reliable provisionals, session timers, early media.
    pub invite: InvitePolicy,
    /// Devices that register are told of waiting messages unasked. Default: false.
    pub unsolicited_mwi: bool,
    /// What is heard by who is put on hold by its peers. Default `default`; `none`: what the holder sends.
    pub hold_music: Arc<str>,
    /// Networks behind it, in file order.
    pub trunks: Vec<Arc<Trunk>>,
    /// What is done when a phone of it answers with a 3xx. Default: follow.
    pub redirect: Redirects,
    /// Whether its phones may transfer calls with REFER. Default: true.
    pub transfer: bool,
    /// How long a transferor that has hung up is rung when its blind transfer failed; `None`: the call ends. Default 30 s.
    pub transfer_recall: Option<Duration>,
    /// Where it is defined.
    pub place: Place,
}

/// What is done with a 3xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirects {
    /// Its targets are dialled, with the rights of who named them.
    Follow,
    /// It counts as nobody reached.
    #[default]
    Refuse,
    /// The caller gets it.
    Pass,
}

impl Redirects {
    /// All with their names in the files.
    pub const NAMES: &'static [(&'static str, Redirects)] = &[
        ("follow", Redirects::Follow),
        ("refuse", Redirects::Refuse),
        ("pass", Redirects::Pass),
    ];
}

/// Callbacks of a queue, as callers and agents meet them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Callbacks {
    /// The key by which a waiting caller asks for one; `None`: only programs ask.
    pub digit: Option<char>,
    /// When the key is told to those who wait; `None`: it is not.
    pub offer_after: Option<Duration>,
    /// Told to the caller who is promised one. Default `callback-promised`.
    pub promised: Arc<str>,
    /// Told to the agent alone, before the customer is called. Default `callback-identify`.
    pub identify: Arc<str>,
}

/// `queues/*.toml`
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSettings {
    /// What the ACD needs to know.
    pub acd: acd::QueueSettings,
    /// Its name before a rename.
    pub was: Option<Arc<str>>,
    /// What waiting callers hear. Default `default`.
    pub music: Arc<str>,
    /// Opening hours, by name; `None`: it never closes.
    pub hours: Option<Arc<str>>,
    /// Steps of the overflow rules, by the index of `acd.overflow`.
    pub overflow: Vec<Steps>,
    /// What callers hear and press who want to be called back; `None`: the queue takes no callbacks.
    pub callback: Option<Callbacks>,
    /// Where it is defined.
    pub place: Place,
}
