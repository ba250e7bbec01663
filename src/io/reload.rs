//! Reload: reads everything again, opens what is new, then hands the difference over; a wrong file or a taken port changes nothing.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::handle::Parts;
use super::inbox::Letter;
use super::udp::UdpPort;
use crate::base::WallTime;
use crate::config::{self, Change, ListenAddress, Problem, Settings, Severity};
use crate::switch::Input;
use crate::transport::ProfileId;

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reloaded {
    /// What differs from before, object by object; some of it may need a restart.
    pub changes: Vec<Change>,
    /// Listening addresses that were opened.
    pub opened: Vec<String>,
    /// Listening addresses that were closed.
    pub closed: Vec<String>,
    /// What is legal but surely wrong.
    pub warnings: Vec<Problem>,
}

/// All addresses of streams, or all of datagrams, with the profile that each belongs to.
pub(super) fn addresses(settings: &Settings, streams: bool) -> Vec<(ListenAddress, ProfileId)> {
    let mut found = Vec::new();
    for (index, profile) in settings.profiles.iter().enumerate() {
        let id = ProfileId(u16::try_from(index).unwrap_or(u16::MAX));
        for &listen in &profile.listen {
            if listen.transport.is_reliable() == streams {
                found.push((listen, id));
            }
        }
    }
    found
}

/// The addresses of UDP.
pub(super) fn udp_addresses(settings: &Settings) -> Vec<(SocketAddr, ProfileId)> {
    let found = addresses(settings, false).into_iter();
    found.map(|(listen, id)| (listen.address, id)).collect()
}

pub(super) async fn reload(parts: &Parts) -> Result<Reloaded, Vec<Problem>> {
    let old = parts.settings.lock().clone();
    let dir = old.directory_path.clone();
    let loaded = tokio::task::spawn_blocking(move || config::load(&dir)).await;
    let mut new = match loaded {
        Ok(Ok(settings)) => settings,
        Ok(Err(problems)) => return Err(problems),
        Err(_) => {
            let what = "reading the configuration failed inside; see the log";
            return Err(vec![Problem::of_file(
                Severity::Error,
                "strowger.toml",
                what,
            )]);
        }
    };
    new.look_at_dates(WallTime::from_timestamp(jiff::Timestamp::now()));
    let mut report = Reloaded {
        changes: config::diff(&old, &new),
        warnings: new.warnings.clone(),
        ..Reloaded::default()
    };
    new.take_over_from(&old);
    let new = Arc::new(new);

    let (udp_old, udp) = (udp_addresses(&old), udp_addresses(&new));
    let streams = addresses(&new, true);
    let listening = parts.streams.listening();
    let known: HashSet<SocketAddr> = udp_old.iter().map(|(a, _)| *a).collect();
    let mut problems = Vec::new();
    let mut ports = Vec::new();
    for &(address, profile) in udp.iter().filter(|(a, _)| !known.contains(a)) {
        match UdpPort::bind(profile, address) {
            Ok(port) => {
                report.opened.push(format!("udp:{}", port.socket.local()));
                ports.push(port);
            }
            Err(error) => problems.push(taken(&format!("udp:{address}"), &error)),
        }
    }
    for &(address, profile) in streams.iter().filter(|(a, _)| !listening.contains(a)) {
        match parts.streams.listen(profile, address) {
            Ok(address_bound) => {
                let bound = ListenAddress {
                    address: address_bound,
                    ..address
                };
                report.opened.push(bound.to_string());
            }
            Err(error) => problems.push(taken(&address.to_string(), &error)),
        }
    }
    if problems.is_empty()
        && let Err(why) = parts.streams.configure(&new)
    {
        problems.push(Problem::of_file(Severity::Error, "sip-profiles", why));
    }
    if !problems.is_empty() {
        parts.streams.relabel(&addresses(&old, true));
        return Err(problems);
    }
    for (address, _) in &udp_old {
        if udp.iter().all(|(kept, _)| kept != address) {
            report.closed.push(format!("udp:{address}"));
        }
    }
    for address in &listening {
        if streams.iter().all(|(kept, _)| kept != address) {
            report.closed.push(address.to_string());
        }
    }
    parts.streams.relabel(&streams);
    parts.inbox.post(Letter::Ports {
        profiles: udp,
        new: ports,
    });
    parts.inbox.input(Input::Settings(new.clone()));
    super::logging::set_level(&new.log);
    *parts.settings.lock() = new;
    // sounds that the operator has replaced; decoded here, so that no media worker has to
    let prompts = parts.prompts.clone();
    tokio::task::spawn_blocking(move || {
        prompts.forget();
        prompts.warm();
    });
    Ok(report)
}

fn taken(address: &str, error: &std::io::Error) -> Problem {
    Problem::of_file(
        Severity::Error,
        "sip-profiles",
        format!("cannot listen at {address}: {error}"),
    )
    .help("see which program has the port with `ss -lnptu`, or choose another")
}
