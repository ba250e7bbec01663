//! SIP messages as the simulated peers read and write them: plain text, written independently of `crate::sip` so that a bug
//! in the one cannot hide in the other.

use std::fmt::Write as _;

use md5::Digest;

/// A SIP message as lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Request line or status line.
    pub start: String,
    /// Header fields in order, names as written (compact names are expanded when read).
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// Why a text is not a SIP message that a peer would act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSip(pub &'static str);

fn expand(name: &str) -> String {
    let long = match name.to_ascii_lowercase().as_str() {
        "v" => "Via",
        "f" => "From",
        "t" => "To",
        "i" => "Call-ID",
        "m" => "Contact",
        "l" => "Content-Length",
        "c" => "Content-Type",
        "s" => "Subject",
        "k" => "Supported",
        "o" => "Event",
        "r" => "Refer-To",
        "u" => "Allow-Events",
        "b" => "Referred-By",
        "x" => "Session-Expires",
        _ => return name.to_string(),
    };
    long.to_string()
}

impl Text {
    /// A request with nothing but its line.
    pub fn request(method: &str, uri: &str) -> Text {
        Text {
            start: format!("{method} {uri} SIP/2.0"),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// A response that answers `request`: Via, From, To, Call-ID, CSeq and Record-Route are copied, `tag` goes to a To without one.
    pub fn response(request: &Text, code: u16, reason: &str, tag: &str) -> Text {
        let mut response = Text {
            start: format!("SIP/2.0 {code} {reason}"),
            headers: Vec::new(),
            body: String::new(),
        };
        for (name, value) in &request.headers {
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "via" | "from" | "call-id" | "cseq" => response.push(name, value),
                "record-route" if (101..300).contains(&code) => response.push(name, value),
                "to" => {
                    if param(value, "tag").is_some() || code == 100 {
                        response.push(name, value);
                    } else {
                        response.push(name, &format!("{value};tag={tag}"));
                    }
                }
                _ => {}
            }
        }
        response
    }

    /// Reads one message: header lines up to the empty line, folded lines joined, the body as Content-Length says.
    pub fn parse(bytes: &[u8]) -> Result<Text, NotSip> {
        let text = String::from_utf8_lossy(bytes);
        let (head, rest) = text
            .split_once("\r\n\r\n")
            .ok_or(NotSip("no empty line after the headers"))?;
        let mut lines = head.split("\r\n");
        let start = lines
            .next()
            .filter(|l| !l.is_empty())
            .ok_or(NotSip("no start line"))?
            .to_string();
        if !start.starts_with("SIP/2.0 ") && !start.ends_with(" SIP/2.0") {
            return Err(NotSip("neither a request nor a response"));
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with(' ') || line.starts_with('\t') {
                let last = headers
                    .last_mut()
                    .ok_or(NotSip("a folded line before the first header"))?;
                last.1.push(' ');
                last.1.push_str(line.trim());
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or(NotSip("a header without a colon"))?;
            headers.push((expand(name.trim()), value.trim().to_string()));
        }
        let mut message = Text {
            start,
            headers,
            body: rest.to_string(),
        };
        if let Some(length) = message.get("Content-Length") {
            let length: usize = length
                .parse()
                .map_err(|_| NotSip("Content-Length is no number"))?;
            match message.body.get(..length) {
                Some(body) => message.body = body.to_string(),
                None => return Err(NotSip("the body is shorter than Content-Length")),
            }
        }
        Ok(message)
    }

    /// The message and the mandatory fields that a transaction needs (RFC 3261 §8.1.1), or what is wrong with it.
    pub fn parse_strict(bytes: &[u8]) -> Result<Text, NotSip> {
        let message = Text::parse(bytes)?;
        for (name, fault) in [
            ("Via", "no Via"),
            ("From", "no From"),
            ("To", "no To"),
            ("Call-ID", "no Call-ID"),
            ("CSeq", "no CSeq"),
        ] {
            if message.get(name).is_none_or(str::is_empty) {
                return Err(NotSip(fault));
            }
        }
        if !message.branch().starts_with("z9hG4bK") {
            return Err(NotSip("no RFC 3261 branch"));
        }
        let Some((_, method)) = message.cseq() else {
            return Err(NotSip("CSeq is not a number and a method"));
        };
        if let Some(own) = message.method()
            && own != method
        {
            return Err(NotSip("CSeq names another method"));
        }
        if param(message.get("From").unwrap_or(""), "tag").is_none() {
            return Err(NotSip("From has no tag"));
        }
        Ok(message)
    }

    /// Writes the message; Content-Length is put last.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::with_capacity(512);
        out.push_str(&self.start);
        out.push_str("\r\n");
        for (name, value) in &self.headers {
            if !name.eq_ignore_ascii_case("content-length") {
                let _ = write!(out, "{name}: {value}\r\n");
            }
        }
        let _ = write!(out, "Content-Length: {}\r\n\r\n", self.body.len());
        out.push_str(&self.body);
        out.into_bytes()
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_string(), value.to_string()));
    }

    /// Adds a header and hands the message on.
    pub fn with(mut self, name: &str, value: &str) -> Text {
        self.push(name, value);
        self
    }

    /// The first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// All headers of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// Replaces the first header of that name, or adds it.
    pub fn set(&mut self, name: &str, value: &str) {
        match self
            .headers
            .iter_mut()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
        {
            Some((_, v)) => *v = value.to_string(),
            None => self.push(name, value),
        }
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        if self.start.starts_with("SIP/2.0 ") {
            return None;
        }
        self.start.split(' ').next()
    }

    /// The Request-URI of a request.
    pub fn uri(&self) -> Option<&str> {
        self.method()?;
        self.start.split(' ').nth(1)
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.start
            .strip_prefix("SIP/2.0 ")?
            .split(' ')
            .next()?
            .parse()
            .ok()
    }

    /// Number and method of CSeq.
    pub fn cseq(&self) -> Option<(u32, String)> {
        let (number, method) = self.get("CSeq")?.split_once(' ')?;
        Some((number.trim().parse().ok()?, method.trim().to_string()))
    }

    /// The method that a transaction is about: of the request, or of a response's CSeq.
    pub fn about(&self) -> String {
        self.cseq().map(|(_, m)| m).unwrap_or_default()
    }

    /// The branch of the top Via, or nothing.
    pub fn branch(&self) -> &str {
        self.get("Via")
            .and_then(|v| param(v.split(',').next().unwrap_or(""), "branch"))
            .unwrap_or("")
    }

    /// Call-ID.
    pub fn call_id(&self) -> &str {
        self.get("Call-ID").unwrap_or("")
    }

    /// The From tag.
    pub fn from_tag(&self) -> &str {
        param(self.get("From").unwrap_or(""), "tag").unwrap_or("")
    }

    /// The To tag.
    pub fn to_tag(&self) -> &str {
        param(self.get("To").unwrap_or(""), "tag").unwrap_or("")
    }
}

/// A parameter of a header value (after the angle brackets, if any).
pub fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let after = match value.rfind('>') {
        Some(end) => value.get(end + 1..)?,
        None => value,
    };
    after
        .split(';')
        .skip(1)
        .map(|p| p.trim().split_once('=').unwrap_or((p.trim(), "")))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v)
}

/// The URI of a From, To, Contact or Route value.
pub fn uri_of(value: &str) -> &str {
    match (value.find('<'), value.find('>')) {
        (Some(a), Some(b)) if a < b => value.get(a + 1..b).unwrap_or(""),
        _ => value.split(';').next().unwrap_or("").trim(),
    }
}

/// The user part of a URI.
pub fn user_of(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user)
}

/// Host and port of a URI that names an IP address.
pub fn address_of(uri: &str) -> Option<std::net::SocketAddr> {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?', '>']).next()?;
    host.parse()
        .ok()
        .or_else(|| format!("{host}:5060").parse().ok())
}

/// A parameter of a challenge or of credentials, without its quotes.
pub fn auth_param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = value.split_once(' ')?.1;
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        let (key, after) = rest.split_once('=')?;
        let (found, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after.get(..end)?, after.get(end..)?)
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(found.trim());
        }
        rest = next;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn digest_hex(sha256: bool, text: &str) -> String {
    if sha256 {
        hex(&sha2::Sha256::digest(text.as_bytes()))
    } else {
        hex(&md5::Md5::digest(text.as_bytes()))
    }
}

/// The response value of digest authentication with `qop=auth` (RFC 2617 §3.2.2, RFC 7616 §3.4.1).
#[allow(clippy::too_many_arguments)] // the formula has that many terms
pub fn digest_response(
    sha256: bool,
    user: &str,
    realm: &str,
    password: &str,
    method: &str,
    uri: &str,
    nonce: &str,
    nc: &str,
    cnonce: &str,
    qop: &str,
) -> String {
    let h = |text: &str| digest_hex(sha256, text);
    let ha1 = h(&format!("{user}:{realm}:{password}"));
    let ha2 = h(&format!("{method}:{uri}"));
    if qop.is_empty() {
        h(&format!("{ha1}:{nonce}:{ha2}"))
    } else {
        h(&format!("{ha1}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}"))
    }
}

/// The credentials that answer `challenge`, as the value of Authorization or Proxy-Authorization.
pub fn credentials(
    challenge: &str,
    user: &str,
    password: &str,
    method: &str,
    uri: &str,
    nc: u32,
    cnonce: &str,
) -> Option<String> {
    let realm = auth_param(challenge, "realm")?;
    let nonce = auth_param(challenge, "nonce")?;
    let algorithm = auth_param(challenge, "algorithm").unwrap_or("MD5");
    let sha256 = match algorithm.to_ascii_uppercase().as_str() {
        "MD5" => false,
        "SHA-256" => true,
        _ => return None,
    };
    let qop = auth_param(challenge, "qop")
        .map(|q| {
            if q.split(',').any(|q| q.trim() == "auth") {
                "auth"
            } else {
                ""
            }
        })
        .unwrap_or("");
    let nc = format!("{nc:08x}");
    let response = digest_response(
        sha256, user, realm, password, method, uri, nonce, &nc, cnonce, qop,
    );
    let mut out = format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", algorithm={algorithm}"
    );
    if !qop.is_empty() {
        let _ = write!(out, ", qop={qop}, nc={nc}, cnonce=\"{cnonce}\"");
    }
    if let Some(opaque) = auth_param(challenge, "opaque") {
        let _ = write!(out, ", opaque=\"{opaque}\"");
    }
    Some(out)
}

/// A small audio description, with the direction and the connection address that hold dialects play with.
pub fn sdp(address: std::net::SocketAddr, session: u64, version: u64, direction: &str) -> String {
    let (ip, direction) = match direction {
        "c=0" => ("0.0.0.0".to_string(), ""),
        other => (address.ip().to_string(), other),
    };
    let mut out = format!(
        "v=0\r\no=- {session} {version} IN IP4 {}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n",
        address.ip(),
        address.port()
    );
    if !direction.is_empty() {
        let _ = write!(out, "a={direction}\r\n");
    }
    out
}

/// The direction that an audio description asks for, `sendrecv` when it names none, `hold` for the address of all zeros.
pub fn sdp_direction(body: &str) -> &'static str {
    if body.lines().any(|l| l.trim() == "c=IN IP4 0.0.0.0") {
        return "hold";
    }
    for (line, direction) in [
        ("a=sendonly", "sendonly"),
        ("a=recvonly", "recvonly"),
        ("a=inactive", "inactive"),
    ] {
        if body.lines().any(|l| l.trim() == line) {
            return direction;
        }
    }
    "sendrecv"
}

/// The port of the audio line, if the body describes audio.
pub fn sdp_port(body: &str) -> Option<u16> {
    body.lines()
        .find_map(|l| l.strip_prefix("m=audio "))
        .and_then(|l| l.split(' ').next())
        .and_then(|p| p.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_survives_writing_and_reading() {
        let message = Text::request("INVITE", "sip:1002@pbx.example.com")
            .with("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKx;rport")
            .with("From", "\"Ada\" <sip:1001@pbx.example.com>;tag=a")
            .with("To", "<sip:1002@pbx.example.com>")
            .with("Call-ID", "c1")
            .with("CSeq", "1 INVITE");
        let read = Text::parse_strict(&message.to_bytes()).expect("is SIP");
        assert_eq!(read.branch(), "z9hG4bKx");
        assert_eq!(read.from_tag(), "a");
        assert_eq!(read.to_tag(), "");
        assert_eq!(read.cseq(), Some((1, "INVITE".into())));
        assert_eq!(user_of(uri_of(read.get("to").expect("has To"))), "1002");
    }

    #[test]
    fn digest_of_rfc_2617_is_reproduced() {
        // RFC 2617 §3.5
        let response = digest_response(
            false,
            "Mufasa",
            "testrealm@host.com",
            "Circle Of Life",
            "GET",
            "/dir/index.html",
            "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "00000001",
            "0a4f113b",
            "auth",
        );
        assert_eq!(response, "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn challenge_parameters_are_found_in_any_order() {
        let challenge =
            "Digest realm=\"r, s\", algorithm=MD5, nonce=\"n\",qop=\"auth-int, auth\", stale=false";
        assert_eq!(auth_param(challenge, "realm"), Some("r, s"));
        assert_eq!(auth_param(challenge, "nonce"), Some("n"));
        assert_eq!(auth_param(challenge, "qop"), Some("auth-int, auth"));
        assert_eq!(auth_param(challenge, "algorithm"), Some("MD5"));
        assert_eq!(auth_param(challenge, "opaque"), None);
    }

    #[test]
    fn strict_reading_says_what_is_wrong() {
        let fault = |bytes: &[u8]| Text::parse_strict(bytes).expect_err("is refused").0;
        assert_eq!(fault(b"HELLO"), "no empty line after the headers");
        assert_eq!(fault(b"INVITE sip:a SIP/2.0\r\nFrom: x\r\n\r\n"), "no Via");
    }
}
