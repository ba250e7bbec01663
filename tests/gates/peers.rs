//! Who takes part: strangers at many addresses, a bystander who asks all the time, and phones that are called.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{address, at};

/// Strangers at addresses of their own, each with a UDP socket.
pub struct Strangers {
    sockets: Vec<UdpSocket>,
    next: usize,
    pub bytes_out: u64,
    pub bytes_in: u64,
}

impl Strangers {
    pub fn new(count: usize) -> Strangers {
        let open = |_| UdpSocket::bind((address(), 5060)).expect("an address of its own");
        Strangers::at((0..count).map(open).collect())
    }

    /// One at the loopback address of IPv6.
    pub fn six() -> Strangers {
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("IPv6 on loopback");
        Strangers::at(vec![socket])
    }

    fn at(sockets: Vec<UdpSocket>) -> Strangers {
        for socket in &sockets {
            socket.set_nonblocking(true).expect("a mode");
        }
        Strangers {
            sockets,
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
    pub slowest: Duration,
}

impl Watch {
    pub fn share(&self) -> f64 {
        self.served as f64 / self.asked.max(1) as f64
    }

    /// `99.95 % of 1,200`.
    pub fn words(&self) -> String {
        format!("{:.2} % of {}", self.share() * 100.0, self.asked)
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
                watch.slowest = watch.slowest.max(asked.elapsed());
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

/// A UDP socket that keeps everything it gets, and answers as it is told.
pub struct Callee {
    pub own: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Callee {
    /// `reply` gives what goes back for a message.
    pub fn begin(
        own: Ipv4Addr,
        mut reply: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Callee {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let own = at(own, 5060);
        let socket = UdpSocket::bind(own).expect("the phone's address");
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
                for answer in reply(&message) {
                    let _ = socket.send_to(&answer, from);
                }
                seen.push(message);
            }
            seen
        });
        Callee { own, stop, thread }
    }

    /// One who declines every call.
    pub fn busy(own: Ipv4Addr) -> Callee {
        Callee::begin(own, |message| match message.starts_with(b"INVITE ") {
            true => vec![answer(message, "486 Busy Here", "", b"")],
            false => polite(message),
        })
    }

    /// What it has got.
    pub fn end(self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the callee")
    }
}

/// The answer of one who has no wish of its own: 200 to what ends or asks, nothing to the rest.
pub fn polite(message: &[u8]) -> Vec<Vec<u8>> {
    let methods: [&[u8]; 5] = [b"BYE ", b"CANCEL ", b"OPTIONS ", b"NOTIFY ", b"MESSAGE "];
    match methods.iter().any(|method| message.starts_with(method)) {
        true => vec![answer(message, "200 OK", "", b"")],
        false => Vec::new(),
    }
}

/// An answer to a request: `status` is code and reason, `lines` are more headers.
pub fn answer(request: &[u8], status: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("SIP/2.0 {status}\r\n").into_bytes();
    for line in request.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            break;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if [&b"Via"[..], b"From", b"To", b"Call-ID", b"CSeq"].contains(&name) {
            out.extend_from_slice(line);
            if name == b"To" && !line.windows(5).any(|five| five == b";tag=") {
                out.extend_from_slice(b";tag=callee");
            }
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(lines.as_bytes());
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}
