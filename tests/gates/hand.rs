//! One who writes messages by hand over UDP, with passwords if it has any.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

use crate::support::lab::DOMAIN;
use crate::support::{address, at};

pub struct Hand {
    pub socket: UdpSocket,
    pub own: SocketAddr,
    pub server: SocketAddr,
    number: u32,
    /// How long it waits for an answer.
    pub patience: Duration,
}

impl Hand {
    /// At an address of its own.
    pub fn new(server: SocketAddr) -> Hand {
        let own = at(address(), 5060);
        let socket = UdpSocket::bind(own).expect("an address of its own");
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        Hand {
            socket,
            own,
            server,
            number: 0,
            patience: Duration::from_secs(3),
        }
    }

    /// A request outside of dialogs; `lines` are more headers, `body` is a session description.
    pub fn request(
        &mut self,
        method: &str,
        uri: &str,
        (from, to): (&str, &str),
        lines: &str,
        body: &str,
    ) -> String {
        self.number += 1;
        let (own, n) = (self.own, self.number);
        let kind = match body {
            "" => "",
            _ => "Content-Type: application/sdp\r\n",
        };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKh{n};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{from}@{DOMAIN}>;tag=h{n}\r\n\
             To: <sip:{to}@{DOMAIN}>\r\nCall-ID: hand-{n}@{own}\r\nCSeq: {n} {method}\r\nContact: <sip:{from}@{own}>\r\n{lines}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    pub fn say(&self, text: impl AsRef<[u8]>) {
        let _ = self.socket.send_to(text.as_ref(), self.server);
    }

    /// The final answer to a request, acknowledged if that was an INVITE. `None` when there is none in time.
    pub fn hear(&self, request: &str) -> Option<String> {
        let until = Instant::now() + self.patience;
        let mut buffer = [0; 65_536];
        while Instant::now() < until {
            let Ok(length) = self.socket.recv(&mut buffer) else {
                continue;
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let ours = field(&text, "Call-ID") == field(request, "Call-ID")
                && field(&text, "CSeq") == field(request, "CSeq");
            if ours && status(&text).is_some_and(|status| status >= 200) {
                if request.starts_with("INVITE ") {
                    self.say(follow(request, &text, "ACK"));
                }
                return Some(text);
            }
        }
        None
    }

    pub fn ask(&self, request: &str) -> Option<String> {
        self.say(request);
        self.hear(request)
    }

    /// Everything that comes within `time`.
    pub fn listen(&self, time: Duration) -> Vec<Vec<u8>> {
        let until = Instant::now() + time;
        let (mut heard, mut buffer) = (Vec::new(), [0; 65_536]);
        while Instant::now() < until {
            if let Ok(length) = self.socket.recv(&mut buffer) {
                heard.push(buffer[..length].to_vec());
            }
        }
        heard
    }

    /// A nonce for this address.
    #[track_caller]
    pub fn nonce(&mut self) -> String {
        let uri = format!("sip:{DOMAIN}");
        let request = self.request("REGISTER", &uri, ("1001", "1001"), "", "");
        let answer = self.ask(&request).expect("a challenge");
        nonce_of(&answer).expect("a nonce").to_owned()
    }
}

/// Credentials of a user for a request.
pub struct Proof<'a> {
    pub user: &'a str,
    pub password: &'a str,
    pub nonce: &'a str,
    pub count: u32,
}

impl Proof<'_> {
    /// The header line.
    pub fn line(&self, method: &str, uri: &str) -> String {
        let header = match method {
            "REGISTER" => "Authorization",
            _ => "Proxy-Authorization",
        };
        let (user, nonce, count) = (self.user, self.nonce, self.count);
        let secret = md5(&format!("{user}:{DOMAIN}:{}", self.password));
        let request = md5(&format!("{method}:{uri}"));
        let response = md5(&format!("{secret}:{nonce}:{count:08x}:c:auth:{request}"));
        format!(
            "{header}: Digest username=\"{user}\", realm=\"{DOMAIN}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", algorithm=MD5, cnonce=\"c\", qop=auth, nc={count:08x}\r\n"
        )
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub fn nonce_of(answer: &str) -> Option<&str> {
    answer.split("nonce=\"").nth(1)?.split('"').next()
}

/// The first value of a header.
pub fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
    lines.find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The code of a response.
pub fn status(text: &str) -> Option<u16> {
    text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// ACK or BYE to what an INVITE was answered.
pub fn follow(invite: &str, answer: &str, method: &str) -> String {
    let accepted = status(answer).is_some_and(|status| status < 300);
    let own = field(invite, "Contact").unwrap_or_default();
    let via = field(invite, "Via").unwrap_or_default();
    let (uri, via) = match accepted {
        true => {
            let contact = field(answer, "Contact").unwrap_or_default();
            let inside = contact.trim_start_matches('<').split('>').next();
            let branch = via.replace("branch=z9hG4bK", &format!("branch=z9hG4bK{method}"));
            (inside.unwrap_or_default().to_owned(), branch)
        }
        false => {
            let line = invite.split(' ').nth(1).unwrap_or_default();
            (line.to_owned(), via.to_owned())
        }
    };
    let number: u32 = field(invite, "CSeq")
        .and_then(|cseq| cseq.split(' ').next()?.parse().ok())
        .unwrap_or_default();
    let number = number + u32::from(method == "BYE");
    format!(
        "{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\nContact: {own}\r\nContent-Length: 0\r\n\r\n",
        field(invite, "From").unwrap_or_default(),
        field(answer, "To").unwrap_or_default(),
        field(invite, "Call-ID").unwrap_or_default(),
    )
}

/// A plain offer of A-law.
pub fn offer(own: SocketAddr) -> String {
    let ip = own.ip();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    )
}
