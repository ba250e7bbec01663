//! Thousands of phones in one thread: each registers with its password, repeats what is lost, and comes back later when asked to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::ground::crowd_user;
use super::hand::{Proof, field, nonce_of, status};
use crate::support::lab::{DOMAIN, password};
use crate::support::{address, at, pause};

/// RFC 3261 timers E and F.
const FIRST_REPEAT: Duration = Duration::from_millis(500);
const LAST_REPEAT: Duration = Duration::from_secs(4);
const GIVEN_UP: Duration = Duration::from_secs(32);

pub struct Crowd {
    server: SocketAddr,
    sockets: Vec<UdpSocket>,
    phones: Vec<Phone>,
    /// All phones of an address go on with one nonce, so that each registration is a single round trip.
    pub shares_nonces: bool,
    nonces: Vec<(String, u32)>,
}

#[derive(Default)]
struct Phone {
    sequence: u32,
    /// The credentials of the next request.
    nonce: String,
    count: u32,
    message: Vec<u8>,
    began: Option<Instant>,
    repeat: Duration,
    bound: bool,
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub bound: usize,
    pub sent: usize,
    /// Requests that were answered 503.
    pub later: usize,
    /// When the last phone was registered.
    pub last: Duration,
    /// Anything else.
    pub odd: Vec<String>,
}

impl Crowd {
    /// So many phones behind so many addresses.
    pub fn new(server: SocketAddr, phones: usize, addresses: usize) -> Crowd {
        let open = |_| {
            let socket = UdpSocket::bind(at(address(), 5060)).expect("an address of its own");
            socket.set_nonblocking(true).expect("a mode");
            let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
            socket
        };
        Crowd {
            server,
            sockets: (0..addresses).map(open).collect(),
            phones: (0..phones).map(|_| Phone::default()).collect(),
            shares_nonces: false,
            nonces: vec![Default::default(); addresses],
        }
    }

    /// Forgets who is registered; nonces and counts stay, as they do in phones.
    pub fn forget(&mut self) {
        for phone in &mut self.phones {
            phone.bound = false;
            phone.began = None;
        }
    }

    /// Users whose registration was acknowledged since [`Crowd::forget`].
    pub fn acknowledged(&self) -> impl Iterator<Item = String> + '_ {
        let phones = self.phones.iter().enumerate();
        phones
            .filter(|(_, phone)| phone.bound)
            .map(|(n, _)| crowd_user(n))
    }

    /// Lets `rate` phones a second begin, and goes on until all are registered, the time is over, or `enough` says so.
    pub fn register(
        &mut self,
        rate: f64,
        limit: Duration,
        enough: impl Fn(&Figures) -> bool,
    ) -> Figures {
        let begin = Instant::now();
        let mut figures = Figures::default();
        let mut due: BinaryHeap<Reverse<(Instant, usize, u32)>> = (0..self.phones.len())
            .map(|phone| {
                let at = begin + Duration::from_secs_f64(phone as f64 / rate);
                Reverse((at, phone, self.phones[phone].sequence))
            })
            .collect();
        let mut buffer = [0; 4_096];
        while figures.bound < self.phones.len() && begin.elapsed() < limit && !enough(&figures) {
            let mut idle = true;
            let now = Instant::now();
            while let Some(&Reverse((at, phone, sequence))) = due.peek()
                && at <= now
            {
                due.pop();
                if self.phones[phone].bound || self.phones[phone].sequence != sequence {
                    continue;
                }
                idle = false;
                figures.sent += 1;
                let again = self.repeat_or_begin(now, phone);
                due.push(Reverse((now + again, phone, self.phones[phone].sequence)));
            }
            for socket in 0..self.sockets.len() {
                for _ in 0..64 {
                    let Ok(length) = self.sockets[socket].recv(&mut buffer) else {
                        break;
                    };
                    idle = false;
                    let text = String::from_utf8_lossy(&buffer[..length]);
                    if let Some((when, phone)) = self.hear(&text, &mut figures, begin) {
                        due.push(Reverse((when, phone, self.phones[phone].sequence)));
                    }
                }
            }
            if idle {
                pause(Duration::from_micros(300));
            }
        }
        figures
    }

    /// Sends the phone's request, again if it is out already. Gives when to look after it next.
    fn repeat_or_begin(&mut self, now: Instant, number: usize) -> Duration {
        let began = self.phones[number].began;
        if began.is_none_or(|began| now - began > GIVEN_UP) {
            self.write(number);
            self.phones[number].began = Some(now);
            self.phones[number].repeat = FIRST_REPEAT;
        } else {
            let phone = &mut self.phones[number];
            phone.repeat = (phone.repeat * 2).min(LAST_REPEAT);
        }
        let phone = &self.phones[number];
        let socket = &self.sockets[number % self.sockets.len()];
        let _ = socket.send_to(&phone.message, self.server);
        phone.repeat
    }

    /// Writes the phone's next request.
    fn write(&mut self, number: usize) {
        let place = number % self.sockets.len();
        let own = self.sockets[place].local_addr().expect("bound");
        let (user, uri) = (crowd_user(number), format!("sip:{DOMAIN}"));
        let phone = &mut self.phones[number];
        let (nonce, count) = match self.shares_nonces {
            true => {
                let (nonce, count) = &mut self.nonces[place];
                (&*nonce, count)
            }
            false => (&phone.nonce, &mut phone.count),
        };
        let mut line = String::new();
        if !nonce.is_empty() {
            *count += 1;
            let secret = password("load");
            let proof = Proof {
                user: &user,
                password: &secret,
                nonce,
                count: *count,
            };
            line = proof.line("REGISTER", &uri);
        }
        phone.sequence += 1;
        let sequence = phone.sequence;
        phone.message = format!(
            "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKc{number}x{sequence};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{user}@{DOMAIN}>;tag=c{number}\r\n\
             To: <sip:{user}@{DOMAIN}>\r\nCall-ID: crowd-{number}@{own}\r\nCSeq: {sequence} REGISTER\r\nContact: <sip:{user}@{own}>\r\nExpires: 3600\r\n\
             User-Agent: a phone of a crowd, version 1.0\r\n{line}Content-Length: 0\r\n\r\n"
        )
        .into_bytes();
    }

    /// Takes an answer. Gives when the phone has something to say again.
    fn hear(
        &mut self,
        text: &str,
        figures: &mut Figures,
        begin: Instant,
    ) -> Option<(Instant, usize)> {
        let number: usize = field(text, "Call-ID")?
            .strip_prefix("crowd-")?
            .split('@')
            .next()?
            .parse()
            .ok()?;
        let sequence: u32 = field(text, "CSeq")?.split(' ').next()?.parse().ok()?;
        let place = number % self.sockets.len();
        let phone = self.phones.get_mut(number)?;
        if phone.sequence != sequence || phone.began.is_none() || phone.bound {
            return None;
        }
        let now = Instant::now();
        match status(text)? {
            100..200 => None,
            200 => {
                phone.bound = true;
                figures.bound += 1;
                figures.last = begin.elapsed();
                None
            }
            401 => {
                let nonce = nonce_of(text)?.to_owned();
                match self.shares_nonces {
                    true => self.nonces[place] = (nonce, 0),
                    false => (phone.nonce, phone.count) = (nonce, 0),
                }
                phone.began = None;
                // a new sequence, so that what was due for the old one is void
                phone.sequence += 1;
                Some((now, number))
            }
            503 => {
                figures.later += 1;
                let after: f64 = field(text, "Retry-After")
                    .and_then(|value| value.split([' ', ';', '(']).next()?.parse().ok())
                    .unwrap_or(5.0);
                phone.began = None;
                phone.sequence += 1;
                Some((now + Duration::from_secs_f64(after), number))
            }
            _ => {
                figures.odd.push(text.to_owned());
                phone.began = None;
                None
            }
        }
    }
}
