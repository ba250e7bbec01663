//! A relay without signalling: N joined pairs of streams, for the load generator in `benches/side-by-side/rtp`.
//!
//! `relay_sessions N FILE [--ip 127.0.51.1] [--base 20000] [--workers 1]` opens 2·N streams from port `base` up, writes a line
//! `src-a port-a relay-ip relay-port-a src-b port-b relay-ip relay-port-b` for each session into FILE, says `ready` and runs until its
//! standard input ends; then it says what the streams counted in all.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::channel;

use anyhow::{Context, bail};
use strowger::io::batch::raise_file_limit;
use strowger::io::media::{PromptStore, Workers};
use strowger::media::{
    MediaCommand, MediaEvent, MediaPlan, Payload, SourcePolicy, StreamId, StreamStatistics,
};
use strowger::sdp::Direction;

/// The ports that the generator sends from.
const PHONE_PORTS: [u16; 2] = [4000, 4001];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, file, options @ ..] = arguments.as_slice() else {
        bail!("usage: relay_sessions N FILE [--ip ADDRESS] [--base PORT] [--workers COUNT]");
    };
    let option = |name: &str, default: &str| -> String {
        options
            .chunks_exact(2)
            .find(|pair| pair[0] == name)
            .map_or(default, |pair| &pair[1])
            .to_owned()
    };
    let count: u64 = count.parse().context("N")?;
    let ip: IpAddr = option("--ip", "127.0.51.1").parse().context("--ip")?;
    let base: u64 = option("--base", "20000").parse().context("--base")?;
    let workers: usize = option("--workers", "1").parse().context("--workers")?;
    raise_file_limit()?;

    let (sender, events) = channel();
    let tell = move |event| {
        let _ = sender.send(event);
    };
    let workers = Workers::start(workers, Arc::new(PromptStore::default()), tell)?;
    let mut lines = String::new();
    for session in 0..count {
        let worker = (session % u64::from(workers.count())) as u16;
        let mut ids = [StreamId(0); 2];
        let mut ends = [(SocketAddr::from(([0; 4], 0)), SocketAddr::from(([0; 4], 0))); 2];
        for side in 0..2 {
            let port = u16::try_from(base + 4 * session + 2 * side as u64).context("too many")?;
            let phone = SocketAddr::new(phone(side, session), PHONE_PORTS[side]);
            ids[side] = StreamId::new(worker, 2 * session + side as u64);
            ends[side] = (phone, SocketAddr::new(ip, port));
            workers.send(MediaCommand::Open {
                stream: ids[side],
                local: ends[side].1,
            });
            workers.send(MediaCommand::Agree {
                stream: ids[side],
                plan: plan(phone),
                source: SourcePolicy::Signalled,
            });
        }
        workers.send(MediaCommand::Join {
            a: ids[0],
            b: ids[1],
        });
        let [(phone_a, relay_a), (phone_b, relay_b)] = ends;
        writeln!(
            lines,
            "{} {} {} {} {} {} {} {}",
            phone_a.ip(),
            phone_a.port(),
            relay_a.ip(),
            relay_a.port(),
            phone_b.ip(),
            phone_b.port(),
            relay_b.ip(),
            relay_b.port()
        )?;
    }
    // a command of each worker that is answered last tells that all others were obeyed
    for worker in 0..workers.count() {
        let stream = StreamId::new(worker, u64::MAX);
        workers.send(MediaCommand::Close { stream });
        loop {
            match events.recv()? {
                MediaEvent::Closed { .. } => break,
                MediaEvent::Failed { reason, .. } => bail!("{reason}"),
                _ => {}
            }
        }
    }
    std::fs::write(file, lines)?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;

    let mut total = StreamStatistics::default();
    for stream in 0..2 * count {
        let worker = (stream / 2 % u64::from(workers.count())) as u16;
        let stream = StreamId::new(worker, stream);
        workers.send(MediaCommand::Close { stream });
        let statistics = loop {
            if let MediaEvent::Closed { statistics, .. } = events.recv()? {
                break statistics;
            }
        };
        total.packets_received += statistics.packets_received;
        total.packets_sent += statistics.packets_sent;
        total.lost += statistics.lost;
        total.overflow_dropped += statistics.overflow_dropped;
        total.strays_dropped += statistics.strays_dropped;
    }
    println!("{}", serde_json::to_string(&total)?);
    Ok(())
}

/// Address of the generator's phone number `session` on side A or B.
fn phone(side: usize, session: u64) -> IpAddr {
    let [.., high, low] = (session + 1).to_be_bytes();
    let net = if side == 0 { 10 } else { 20 };
    Ipv4Addr::new(127, net, high, low).into()
}

fn plan(phone: SocketAddr) -> MediaPlan {
    let payloads = vec![Payload::pcma(), Payload::telephone_event(101)];
    MediaPlan {
        remote_rtp: Some(phone),
        remote_rtcp: None,
        receive: payloads.clone(),
        payloads,
        telephone_event: Some(101),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        remote_hold: false,
        srtp: None,
    }
}
