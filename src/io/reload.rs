//! Reload: reads everything again, opens what is new, then hands the difference over; a wrong file or a taken port changes nothing.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::handle::Parts;
use super::inbox::Letter;
use super::udp::UdpPort;
use crate::config::{self, Change, Problem, Settings, Severity};
use crate::switch::Input;
use crate::transport::{ProfileId, Transport};

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

/// All addresses of a transport with the profile that each belongs to.
pub(super) fn addresses(settings: &Settings, transport: Transport) -> Vec<(SocketAddr, ProfileId)> {
    let mut found = Vec::new();
    for (index, profile) in settings.profiles.iter().enumerate() {
        let id = ProfileId(u16::try_from(index).unwrap_or(u16::MAX));
        for listen in &profile.listen {
            if listen.transport.as_str() == transport.as_str() {
                found.push((listen.address, id));
            }
        }
    }
    found
}

pub(super) async fn reload(parts: &Parts) -> Result<Reloaded, Vec<Problem>> {
    let old = parts.settings.lock().clone();
    let dir = old.directory_path.clone();
    let loaded = tokio::task::spawn_blocking(move || config::load(&dir)).await;
    let new = match loaded {
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
    let mut report = Reloaded {
        changes: config::diff(&old, &new),
        warnings: new.warnings.clone(),
        ..Reloaded::default()
    };
    let mut new = new;
    new.take_over_from(&old);
    let new = Arc::new(new);

    let (udp_old, udp) = (
        addresses(&old, Transport::Udp),
        addresses(&new, Transport::Udp),
    );
    let tcp = addresses(&new, Transport::Tcp);
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
            Err(error) => problems.push(taken("udp", address, &error)),
        }
    }
    for &(address, profile) in tcp.iter().filter(|(a, _)| !listening.contains(a)) {
        match parts.streams.listen(profile, address) {
            Ok(local) => {
                report.opened.push(format!("tcp:{local}"));
            }
            Err(error) => problems.push(taken("tcp", address, &error)),
        }
    }
    if !problems.is_empty() {
        let before: Vec<_> = addresses(&old, Transport::Tcp);
        parts.streams.relabel(&before);
        return Err(problems);
    }
    let gone = |list: &[(SocketAddr, ProfileId)], a: &SocketAddr| !list.iter().any(|(b, _)| a == b);
    for (address, _) in udp_old.iter().filter(|(a, _)| gone(&udp, a)) {
        report.closed.push(format!("udp:{address}"));
    }
    for address in listening.iter().filter(|a| gone(&tcp, a)) {
        report.closed.push(format!("tcp:{address}"));
    }
    parts.streams.relabel(&tcp);
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

fn taken(transport: &str, address: SocketAddr, error: &std::io::Error) -> Problem {
    Problem::of_file(
        Severity::Error,
        "sip-profiles",
        format!("cannot listen at {transport}:{address}: {error}"),
    )
    .help("see which program has the port with `ss -lnptu`, or choose another")
}
