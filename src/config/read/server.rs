//! Reads `strowger.toml`.

use std::net::SocketAddr;

use super::Reading;
use crate::base::{Duration, Network};
use crate::config::fields::Fields;
use crate::config::keys::parts;

use crate::config::settings::{
    HepSettings, HttpSettings, JournalMode, LogFormat, LogSettings, MediaSettings, RtpPorts,
    ServerSettings, StoreSettings,
};
use crate::config::units;
use crate::transport::GuardSettings;

/// What `strowger.toml` holds.
pub struct ServerFile {
    pub server: ServerSettings,
    pub http: HttpSettings,
    pub store: StoreSettings,
    pub media: MediaSettings,
    pub log: LogSettings,
    pub hep: Option<HepSettings>,
    pub guard: GuardSettings,
}

/// Reads it; what is absent has its default.
pub fn read(reading: &mut Reading<'_>, file: Option<Fields<'_>>) -> ServerFile {
    let section = |name: &str| file.and_then(|file| file.fields(name));
    let text = |section: Option<Fields<'_>>, key: &str| {
        section.and_then(|section| section.text(key).map(str::to_owned))
    };
    let server = section("server");
    let dir = reading.directory_path.clone();
    let data_dir = dir.join(text(server, "data-dir").unwrap_or_else(|| "var".to_owned()));
    let time_zone = text(server, "time-zone").unwrap_or_else(|| "UTC".to_owned());
    let store = section("store");
    let sqlite = match text(store, "url") {
        Some(url) => dir.join(url.strip_prefix("sqlite:").unwrap_or(&url)),
        None => data_dir.join("strowger.db"),
    };
    reading.zone = time_zone.as_str().into();
    let hep = section("hep").and_then(|hep| {
        Some(HepSettings {
            server: parts::capture_server(hep.text("server")?).ok()?,
            capture_id: hep.integer("capture-id").unwrap_or(1),
            password: reading.secret(&hep, "password"),
        })
    });
    ServerFile {
        server: ServerSettings {
            domain: text(server, "domain").unwrap_or_default().into(),
            data_dir,
            public_address: text(server, "public-address")
                .and_then(|text| parts::public_address(&text).ok())
                .unwrap_or_default(),
            rtp_ports: text(server, "rtp-ports")
                .and_then(|text| parts::ports(&text).ok())
                .unwrap_or(RtpPorts {
                    first: 20_000,
                    last: 29_999,
                }),
            name_servers: server
                .map(|server| server.texts("name-servers"))
                .unwrap_or_default()
                .iter()
                .filter_map(|(text, _)| text.parse().ok())
                .collect(),
            time_zone: time_zone.into(),
            drain_timeout: server
                .and_then(|server| server.duration("drain-timeout"))
                .unwrap_or(Duration::from_secs(2 * 3600)),
        },
        http: HttpSettings {
            listen: text(section("http"), "listen")
                .and_then(|text| text.parse().ok())
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
        },
        store: StoreSettings {
            sqlite,
            journal: store
                .and_then(|store| {
                    store.one_of(
                        "journal",
                        &[
                            ("written", JournalMode::Written),
                            ("sync", JournalMode::Sync),
                        ],
                    )
                })
                .unwrap_or_default(),
        },
        media: MediaSettings {
            workers: section("media").and_then(|media| media.integer("workers")),
        },
        log: LogSettings {
            level: text(section("log"), "level")
                .unwrap_or_else(|| "info".to_owned())
                .into(),
            format: section("log")
                .and_then(|log| {
                    log.one_of(
                        "format",
                        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                    )
                })
                .unwrap_or_default(),
            ladder_memory: text(section("log"), "ladder-memory")
                .and_then(|text| units::size(&text).ok())
                .unwrap_or(64 << 20),
        },
        hep,
        guard: section("guard").map_or_else(GuardSettings::default, guard),
    }
}

fn guard(guard: Fields<'_>) -> GuardSettings {
    let usual = GuardSettings::default();
    GuardSettings {
        rate: guard.integer("rate").unwrap_or(usual.rate),
        proven_rate: guard.integer("proven-rate").unwrap_or(usual.proven_rate),
        total_rate: guard.integer("total-rate").unwrap_or(usual.total_rate),
        account_rate: guard.integer("account-rate").unwrap_or(usual.account_rate),
        failures_max: guard.integer("failures").unwrap_or(usual.failures_max),
        ban: guard.duration("ban").unwrap_or(usual.ban),
        ban_max: guard.duration("ban-max").unwrap_or(usual.ban_max),
        exempt: guard
            .texts("exempt")
            .into_iter()
            .filter_map(|(text, _)| Network::parse(text).ok())
            .map(|network| (network.address(), network.prefix()))
            .collect(),
        ..usual
    }
}
