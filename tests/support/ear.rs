//! An RTP endpoint of our own: plays a tone, records what arrives and from where. SIPp does the signalling and names it in its SDP.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::tone;

const PACKET_SAMPLES: u64 = 160;
const PACKET_TIME: Duration = Duration::from_millis(20);
/// The payload type of telephone-event in the SDP of the scenarios.
const EVENT_TYPE: u8 = 101;
/// A key is down for this many packets and comes back up for as many; its end is said three times (RFC 4733 §2.5.1.4).
const KEY_PACKETS: u64 = 5;

/// One packet that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: Instant,
    pub from: SocketAddr,
    pub payload_type: u8,
    pub ssrc: u32,
    pub sequence: u16,
    pub payload: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    arrivals: Vec<Arrival>,
    remote: Option<SocketAddr>,
    follow: Option<PathBuf>,
    muted: bool,
    sent: u64,
    pressed: VecDeque<u8>,
}

/// A socket with an ear and, if it has a tone, a mouth. Sends to where it is told to ([`Ear::send_to`], [`Ear::follow`]), else to where the first
/// packet came from.
pub struct Ear {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ear {
    /// Opens on an even port of `address`; plays `hz` as A-law if given.
    pub fn open(address: impl Into<IpAddr>, hz: Option<f64>) -> Ear {
        let address = address.into();
        let socket = (0..50)
            .map(|_| UdpSocket::bind((address, 0)).expect("a UDP port"))
            .find(|socket| socket.local_addr().expect("bound").port() % 2 == 0)
            .expect("one in fifty ports is even");
        socket
            .set_read_timeout(Some(Duration::from_millis(4)))
            .expect("a timeout");
        let bound = socket.local_addr().expect("bound");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            std::thread::spawn(move || run(&socket, hz, &shared, &stop))
        };
        Ear {
            address: bound,
            shared,
            stop,
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends to this address from now on.
    pub fn send_to(&self, remote: SocketAddr) {
        self.lock().remote = Some(remote);
    }

    /// Sends to the address in the newest line `media IP PORT` of this file, which SIPp writes when it has seen the other side's SDP.
    pub fn follow(&self, log: &Path) {
        self.lock().follow = Some(log.to_path_buf());
    }

    /// Stops or goes on sending.
    pub fn mute(&self, muted: bool) {
        self.lock().muted = muted;
    }

    /// Presses keys one after the other, as telephone-events (RFC 4733) in the stream of audio; 200 ms each.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let events = keys.chars().map(|key| match key {
            '*' => 10,
            '#' => 11,
            key => key.to_digit(10).expect("a key of a telephone") as u8,
        });
        self.lock().pressed.extend(events);
    }

    pub fn received(&self) -> usize {
        self.lock().arrivals.len()
    }

    pub fn sent(&self) -> u64 {
        self.lock().sent
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        self.lock().arrivals.clone()
    }

    /// The G.711 audio that arrived between two moments, in order of arrival.
    pub fn heard_between(&self, from: Instant, to: Instant) -> Vec<i16> {
        let mut samples = Vec::new();
        for arrival in self
            .lock()
            .arrivals
            .iter()
            .filter(|a| a.at >= from && a.at <= to)
        {
            match arrival.payload_type {
                0 => samples.extend(arrival.payload.iter().map(|&b| tone::ulaw_decode(b))),
                8 => samples.extend(arrival.payload.iter().map(|&b| tone::alaw_decode(b))),
                _ => {}
            }
        }
        samples
    }

    /// Fails unless this tone was heard for `seconds_min` since `from`.
    #[track_caller]
    pub fn assert_heard_since(&self, who: &str, from: Instant, hz: f64, seconds_min: f64) {
        tone::assert_heard(
            who,
            &self.heard_between(from, Instant::now()),
            tone::RATE_HZ,
            hz,
            seconds_min,
        );
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("the ear's thread lives")
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the ear's thread has already been printed.
            let _ = thread.join();
        }
        if std::thread::panicking() {
            let shared = match self.shared.lock() {
                Ok(shared) => shared,
                Err(poisoned) => poisoned.into_inner(),
            };
            let last = shared
                .arrivals
                .last()
                .map(|a| (a.from, a.payload_type, a.ssrc, a.sequence));
            eprintln!(
                "---- ear {}: {} packets in, last {last:?}; {} out to {:?}",
                self.address,
                shared.arrivals.len(),
                shared.sent,
                shared.remote
            );
        }
    }
}

fn run(socket: &UdpSocket, hz: Option<f64>, shared: &Mutex<Shared>, stop: &AtomicBool) {
    let ssrc = 0x0ea0_0000 | u32::from(socket.local_addr().expect("bound").port());
    let mut count: u64 = 0;
    let mut due = Instant::now();
    let mut buffer = [0u8; 2048];
    // The key that is down: its event, and the timestamp at which it went down.
    let mut key: Option<(u8, u64)> = None;
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer)
            && let Some(arrival) = parse(&buffer[..length], from)
        {
            let mut shared = shared.lock().expect("the test lives");
            if shared.follow.is_none() {
                shared.remote.get_or_insert(from);
            }
            shared.arrivals.push(arrival);
        }
        let now = Instant::now();
        if now < due {
            continue;
        }
        due += PACKET_TIME;
        if due < now {
            due = now;
        }
        let (remote, muted, pressed) = {
            let mut shared = shared.lock().expect("the test lives");
            if let Some(path) = &shared.follow
                && let Some(remote) = named_in(path)
            {
                shared.remote = Some(remote);
            }
            let pressed = match (key, shared.remote) {
                (None, Some(_)) => shared.pressed.pop_front(),
                _ => None,
            };
            (shared.remote, shared.muted, pressed)
        };
        // The clock of the tone runs on while nothing is sent, as a microphone's does.
        let first = count * PACKET_SAMPLES;
        count += 1;
        key = pressed.map(|event| (event, first)).or(key);
        let said = match (key, hz) {
            (Some((event, down)), _) => event_packet(event, down, (first - down) / PACKET_SAMPLES),
            (None, Some(hz)) => Some((
                8,
                first,
                (first..first + PACKET_SAMPLES)
                    .map(|n| tone::alaw_encode(tone::sample(hz, n)))
                    .collect(),
            )),
            (None, None) => None,
        };
        key = key.filter(|(_, down)| first - down < 2 * KEY_PACKETS * PACKET_SAMPLES);
        if let (Some((kind, timestamp, bytes)), Some(remote), false) = (said, remote, muted) {
            let mut packet = Vec::with_capacity(172);
            packet.extend([0x80, kind]);
            packet.extend((count as u16).to_be_bytes());
            packet.extend((timestamp as u32).to_be_bytes());
            packet.extend(ssrc.to_be_bytes());
            packet.extend(bytes);
            // A refused port (ICMP) is the other side's business.
            if socket.send_to(&packet, remote).is_ok() {
                shared.lock().expect("the test lives").sent += 1;
            }
        }
    }
}

/// What is sent in the `nth` packet of a key that went `down` at that timestamp, 0 being its first: payload type with marker, timestamp, payload
/// (RFC 4733 §2.3); `None` when its end has been said.
fn event_packet(event: u8, down: u64, nth: u64) -> Option<(u8, u64, Vec<u8>)> {
    if nth >= KEY_PACKETS + 2 {
        return None;
    }
    let over = nth + 1 >= KEY_PACKETS;
    let duration = (nth + 1).min(KEY_PACKETS) * PACKET_SAMPLES;
    let marker = if nth == 0 { 0x80 } else { 0 };
    let mut payload = vec![event, if over { 0x8a } else { 0x0a }];
    payload.extend((duration as u16).to_be_bytes());
    Some((EVENT_TYPE | marker, down, payload))
}

fn parse(packet: &[u8], from: SocketAddr) -> Option<Arrival> {
    if packet.len() < 12 || packet[0] >> 6 != 2 {
        return None;
    }
    let sources = usize::from(packet[0] & 15) * 4;
    Some(Arrival {
        at: Instant::now(),
        from,
        payload_type: packet[1] & 0x7f,
        sequence: u16::from_be_bytes([packet[2], packet[3]]),
        ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
        payload: packet.get(12 + sources..)?.to_vec(),
    })
}

fn named_in(log: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(log).ok()?;
    let line = text
        .lines()
        .rev()
        .find_map(|line| line.split_once("media ").map(|(_, rest)| rest.to_string()))?;
    let mut words = line.split_whitespace();
    let ip: IpAddr = words.next()?.parse().ok()?;
    Some(SocketAddr::new(ip, words.next()?.parse().ok()?))
}
