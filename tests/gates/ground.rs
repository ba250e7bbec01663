//! Where the gates are measured: a server with calls up, strangers at many addresses, and a bystander who asks all the time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::{address, at, pause};

/// The profile on which nobody is asked for a password: what comes there reaches other legs.
pub const OPEN_PORT: u16 = 5070;

/// A lab with an open profile, room for many calls, and no ban that would make the sets harmless.
pub fn lab() -> Lab {
    let mut lab = Lab::new();
    let server = lab.server;
    lab.file(
        "sip-profiles/open.toml",
        &format!(
            "name = \"open\"\nlisten = [\"udp:{server}:{OPEN_PORT}\", \"tcp:{server}:{OPEN_PORT}\"]\ndialplan = \"internal\"\nauth = \"none\"\ncodecs = [\"pcma\", \"pcmu\"]\n"
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
    lab
}

/// Strangers at addresses of their own, each with a UDP socket.
pub struct Strangers {
    sockets: Vec<UdpSocket>,
    next: usize,
    pub bytes_out: u64,
    pub bytes_in: u64,
}

impl Strangers {
    pub fn new(count: usize) -> Strangers {
        let open = |_| {
            let socket = UdpSocket::bind((address(), 5060)).expect("an address of its own");
            socket.set_nonblocking(true).expect("a mode");
            socket
        };
        Strangers {
            sockets: (0..count).map(open).collect(),
            next: 0,
            bytes_out: 0,
            bytes_in: 0,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.sockets[0].local_addr().expect("bound")
    }

    /// Sends from the next address, and takes in what has come to any.
    pub fn send(&mut self, bytes: &[u8], to: SocketAddr) {
        self.next = (self.next + 1) % self.sockets.len();
        if self.sockets[self.next].send_to(bytes, to).is_ok() {
            self.bytes_out += bytes.len() as u64;
        }
        self.drain();
    }

    pub fn drain(&mut self) {
        let mut buffer = [0; 65_536];
        for socket in &self.sockets {
            while let Ok(length) = socket.recv(&mut buffer) {
                self.bytes_in += length as u64;
            }
        }
    }
}

/// Asks the server for a sign of life again and again.
pub struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Watch>,
}

/// What a bystander saw.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    pub asked: usize,
    /// Answered within 500 ms.
    pub served: usize,
    /// Longest time between two answers.
    pub gap: Duration,
}

impl Watch {
    pub fn share(&self) -> f64 {
        self.served as f64 / self.asked.max(1) as f64
    }
}

impl Bystander {
    pub fn begin(server: SocketAddr, every: Duration) -> Bystander {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let socket = UdpSocket::bind((address(), 5060)).expect("an address of its own");
        socket
            .set_read_timeout(Some(Duration::from_millis(5)))
            .expect("a timeout");
        let thread = std::thread::spawn(move || watch(&socket, server, every, &stopped));
        Bystander { stop, thread }
    }

    pub fn end(self) -> Watch {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the bystander")
    }
}

fn watch(socket: &UdpSocket, server: SocketAddr, every: Duration, stop: &AtomicBool) -> Watch {
    let own = socket.local_addr().expect("bound");
    let mut sent: Vec<Option<Instant>> = Vec::new();
    let mut watch = Watch::default();
    let (begin, mut last) = (Instant::now(), Instant::now());
    let mut ended = None;
    let mut buffer = [0; 4096];
    loop {
        let now = Instant::now();
        if ended.is_none() && begin + every * sent.len() as u32 <= now {
            let n = sent.len();
            let text = format!(
                "OPTIONS sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKby{n};rport\r\nMax-Forwards: 70\r\nFrom: <sip:by@pbx.test>;tag=b{n}\r\n\
                 To: <sip:pbx.test>\r\nCall-ID: by-{n}@{own}\r\nCSeq: {n} OPTIONS\r\nContact: <sip:by@{own}>\r\nContent-Length: 0\r\n\r\n"
            );
            socket.send_to(text.as_bytes(), server).expect("sent");
            sent.push(Some(now));
        }
        if let Ok(length) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let number = text
                .split("CSeq: ")
                .nth(1)
                .and_then(|rest| rest.split(' ').next())
                .and_then(|number| number.parse::<usize>().ok());
            if let Some(asked) = number.and_then(|n| sent.get_mut(n)).and_then(Option::take) {
                watch.served += usize::from(asked.elapsed() <= Duration::from_millis(500));
                watch.gap = watch.gap.max(last.elapsed());
                last = Instant::now();
            }
        }
        if stop.load(Ordering::Relaxed) {
            let ended = *ended.get_or_insert(now);
            if now > ended + Duration::from_millis(500) {
                break;
            }
        }
    }
    watch.asked = sent.len();
    watch
}

/// The socket of a callee whose phone is registered at `own`: declines every call, and keeps what reached it.
pub struct OtherLeg {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl OtherLeg {
    pub fn begin(own: Ipv4Addr) -> OtherLeg {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let socket = UdpSocket::bind(at(own, 5060)).expect("the phone's address");
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        let thread = std::thread::spawn(move || {
            let (mut seen, mut buffer) = (Vec::new(), [0; 65_536]);
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let message = buffer[..length].to_vec();
                if message.starts_with(b"INVITE ") {
                    let _ = socket.send_to(&busy(&message), from);
                }
                seen.push(message);
            }
            seen
        });
        OtherLeg { stop, thread }
    }

    pub fn end(self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the other leg")
    }
}

fn busy(invite: &[u8]) -> Vec<u8> {
    let mut out = b"SIP/2.0 486 Busy Here\r\n".to_vec();
    for line in invite.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            break;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if [&b"Via"[..], b"From", b"To", b"Call-ID", b"CSeq"].contains(&name) {
            out.extend_from_slice(line);
            if name == b"To" {
                out.extend_from_slice(b";tag=busy");
            }
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    out
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

/// The server lives, and no input made it fall.
#[track_caller]
pub fn assert_well(server: &mut Server, after: &str) {
    assert!(
        server.process().status().is_none(),
        "the server ended during {after}"
    );
    let page = server.api().try_get("/metrics").text;
    assert!(
        page.lines().any(|line| line == "strowger_panics_total 0"),
        "the server fell during {after}; see its log"
    );
}

/// Sends every message on a connection of its own, a few at a time, and closes at a random moment.
pub fn over_tcp(messages: &[Vec<u8>], to: SocketAddr) {
    for chunk in messages.chunks(32) {
        let streams: Vec<Option<TcpStream>> = chunk
            .iter()
            .map(|message| {
                let mut stream = TcpStream::connect(to).ok()?;
                stream.set_nonblocking(true).ok()?;
                let _ = stream.write(message);
                Some(stream)
            })
            .collect();
        pause(Duration::from_millis(10));
        for mut stream in streams.into_iter().flatten() {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
        }
    }
}
