//! Malformed messages by the thousand, made from a seed: by header, URI, session description, digest, framing, multipart, response,
//! and by mutation. All are our own.

use std::net::SocketAddr;

/// A set of messages of one kind.
pub struct Set {
    pub name: &'static str,
    pub messages: Vec<Vec<u8>>,
}

/// A header that nobody but us writes: if its name stands at the beginning of a line at the other leg, it was smuggled in.
pub const PLANTED: &str = "X-Planted";
/// The user of an identity that only a trusted network may assert.
pub const PLANTED_USER: &str = "planted-user";

/// Draws numbers from a seed (SplitMix64), so that a finding can be made again.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

const HEADERS: [&str; 42] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Max-Forwards",
    "Route",
    "Record-Route",
    "Content-Length",
    "Content-Type",
    "Expires",
    "Require",
    "Supported",
    "Authorization",
    "Proxy-Authorization",
    "Event",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "Session-Expires",
    "Min-SE",
    "RAck",
    "RSeq",
    "P-Asserted-Identity",
    "Privacy",
    "Diversion",
    "History-Info",
    "User-Agent",
    "Date",
    "Path",
    "Identity",
    "Reason",
    "Accept",
    "Allow",
    "Subject",
    "Proxy-Require",
    "Content-Encoding",
    "Content-Disposition",
    "Alert-Info",
    "User-to-User",
    "Max-Breadth",
];

/// Values that no header should have, and that each must survive.
fn values() -> Vec<Vec<u8>> {
    let planted = format!("x\r\n{PLANTED}: 1");
    let mut all: Vec<Vec<u8>> = [
        "",
        " ",
        "\t",
        ";",
        ";;;;",
        ",",
        ",,,,",
        "=",
        "=;=;=",
        "\"",
        "\"\\",
        "\"unclosed",
        "<",
        ">",
        "<>",
        "<<<<>>>>",
        "<sip:",
        "<sip:>",
        "<sip:@>",
        "sip:",
        "sip::@:::",
        "sip:a@[::1",
        "sip:a@]",
        "sip:a@h:99999",
        "sip:a@h:-1",
        "sip:%",
        "sip:%zz@h",
        "sip:a%00b@h",
        "-1",
        "0",
        "4294967296",
        "18446744073709551616",
        "99999999999999999999999999",
        "1e9",
        "0x10",
        "%s%s%s%n",
        "../../../etc/passwd",
        "'; DROP TABLE calls;--",
        "\u{1b}[2J",
        "\u{202e}abc",
        "a\r\n b\r\n\tc",
        "a\r\n\r\n",
        "a\nb",
        "a\rb",
        "x;x;x;tag",
        "x;tag=;tag=;tag=",
        "*",
        "?",
        "1 2 3 4",
        "SIP/2.0/UDP",
        "SIP/2.0/XXX h;branch=",
        "SIP / 2.0 / UDP h",
        "Digest",
        "Digest =",
        "Digest a=\"",
        "tel:",
        "urn:x:y",
        "1 INVITE INVITE",
        "INVITE 1",
        "1\tINVITE",
        "application/",
        "/sdp",
        "multipart/mixed",
        "a/b;boundary=\"",
        "100rel,,100rel",
    ]
    .iter()
    .map(|value| value.as_bytes().to_vec())
    .collect();
    all.push(planted.into_bytes());
    all.push(format!("x\n{PLANTED}: 1").into_bytes());
    all.push(format!("x\r{PLANTED}: 1").into_bytes());
    all.push(format!("\"x\r\n{PLANTED}: 1\" <sip:a@h>").into_bytes());
    all.push(format!("<sip:a@h?{PLANTED}=1%0d%0a{PLANTED}:%201>").into_bytes());
    all.push(b"a\0b".to_vec());
    all.push(b"\0".to_vec());
    all.push(b"\xff\xfe\x80\xc0\xaf".to_vec());
    all.push(vec![b'a'; 300]);
    all.push(vec![b'a'; 9_000]);
    all.push([b"<sip:".as_slice(), &[b'a'; 6_000], b"@h>"].concat());
    all.push([b"\"".as_slice(), &[b'\\'; 5_001], b"\" <sip:a@h>"].concat());
    all.push(b"x;".repeat(3_000));
    all.push(b"<sip:a@h>,".repeat(800));
    all.push(b"(".repeat(5_000));
    all
}

/// The headers of a request, as name and value; `None` for its request line.
struct Draft {
    line: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

/// Makes messages that would be fine.
pub struct Maker {
    pub own: SocketAddr,
    pub transport: &'static str,
    pub callee: &'static str,
    number: u32,
}

impl Maker {
    pub fn new(own: SocketAddr, transport: &'static str) -> Maker {
        Maker {
            own,
            transport,
            callee: "1002",
            number: 0,
        }
    }

    /// Numbers go on behind this one, so that two makers do not repeat each other.
    pub fn skip(&mut self, number: u32) {
        self.number = number;
    }

    fn draft(&mut self, method: &str) -> Draft {
        self.number += 1;
        let (n, own, callee) = (self.number, self.own, self.callee);
        let body = if method == "INVITE" { SDP } else { "" };
        let header = |name: &str, value: String| (name.as_bytes().to_vec(), value.into_bytes());
        let target = match method {
            "REGISTER" => "sip:pbx.test".to_string(),
            _ => format!("sip:{callee}@pbx.test"),
        };
        Draft {
            line: format!("{method} {target} SIP/2.0").into_bytes(),
            headers: vec![
                header(
                    "Via",
                    format!("SIP/2.0/{} {own};branch=z9hG4bKg{n};rport", self.transport),
                ),
                header("Max-Forwards", "70".into()),
                header("From", format!("\"Gate\" <sip:1001@pbx.test>;tag=g{n}")),
                header("To", format!("<sip:{callee}@pbx.test>")),
                header("Call-ID", format!("gate-{n}@{own}")),
                header("CSeq", format!("1 {method}")),
                header("Contact", format!("<sip:1001@{own}>")),
                header("User-Agent", "gates of a test".into()),
                header("Content-Type", "application/sdp".into()),
                header("Content-Length", body.len().to_string()),
            ],
            body: body.as_bytes().to_vec(),
        }
    }

    /// A request that is fine.
    pub fn request(&mut self, method: &str) -> Vec<u8> {
        self.draft(method).bytes()
    }

    fn with_body(&mut self, method: &str, kind: &str, body: Vec<u8>) -> Vec<u8> {
        let mut draft = self.draft(method);
        draft.set("Content-Type", kind.as_bytes());
        draft.set("Content-Length", body.len().to_string().as_bytes());
        draft.body = body;
        draft.bytes()
    }
}

impl Draft {
    fn set(&mut self, name: &str, value: &[u8]) {
        let known = self.headers.iter_mut().find(|(n, _)| n == name.as_bytes());
        match known {
            Some((_, old)) => *old = value.to_vec(),
            None => self
                .headers
                .push((name.as_bytes().to_vec(), value.to_vec())),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = self.line.clone();
        out.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        out
    }
}

/// Everything, in an order that the seed says. `thin` takes only each n-th message of a set, for the short form.
pub fn all(maker: &mut Maker, seed: u64, thin: usize) -> Vec<Set> {
    let mut dice = Dice::new(seed);
    let mut sets = vec![
        headers(maker),
        names(maker),
        lengths(maker),
        uris(maker),
        descriptions(maker),
        digests(maker),
        framing(maker),
        multiparts(maker),
        responses(maker),
        mutations(maker, &mut dice),
    ];
    for set in &mut sets {
        for last in (1..set.messages.len()).rev() {
            set.messages.swap(last, dice.below(last + 1));
        }
        let keep = set.messages.len().div_ceil(thin);
        set.messages.truncate(keep);
        set.messages.retain(|message| message.len() < 65_000);
    }
    sets
}

fn headers(maker: &mut Maker) -> Set {
    let mut messages = Vec::new();
    for (index, name) in HEADERS.iter().enumerate() {
        for (which, value) in values().iter().enumerate() {
            let methods = [
                "INVITE",
                "REGISTER",
                "OPTIONS",
                "INVITE",
                "BYE",
                "SUBSCRIBE",
                "REFER",
            ];
            let mut draft = maker.draft(methods[(index + which) % methods.len()]);
            draft.set(name, value);
            messages.push(draft.bytes());
        }
        for copies in [2, 300] {
            let mut draft = maker.draft("INVITE");
            let value = draft.headers.iter().find(|(n, _)| n == name.as_bytes());
            let value = value.map_or(b"1".to_vec(), |(_, value)| value.clone());
            for _ in 0..copies {
                draft
                    .headers
                    .push((name.as_bytes().to_vec(), value.clone()));
            }
            messages.push(draft.bytes());
        }
        let mut without = maker.draft("INVITE");
        without.headers.retain(|(n, _)| n != name.as_bytes());
        messages.push(without.bytes());
    }
    Set {
        name: "headers",
        messages,
    }
}

/// Spellings of a name that must not become a header at the other leg.
fn names(maker: &mut Maker) -> Set {
    let mut messages = Vec::new();
    for before in ["", " ", "\t", "\0", "\r", "\n", ":", "\"", "(", "é"] {
        for after in ["", " ", "\t", "\0", " \t ", ";", "\r\n "] {
            let mut draft = maker.draft("INVITE");
            let name = format!("{before}{PLANTED}{after}");
            draft.headers.insert(3, (name.into_bytes(), b"1".to_vec()));
            messages.push(draft.bytes());
        }
    }
    // identities that only a trusted network may assert, spelt so that a careless border does not know them again
    let identity = format!("<sip:{PLANTED_USER}@pbx.test>");
    for name in [
        "P-Asserted-Identity",
        "p-asserted-IDENTITY",
        "Remote-Party-ID",
        "X-Internal",
        "Diversion",
    ] {
        for after in ["", " ", "\t", "\0", "\r\n ", " \r\n\t"] {
            for copies in [1, 2] {
                let mut draft = maker.draft("INVITE");
                for _ in 0..copies {
                    let name = format!("{name}{after}").into_bytes();
                    draft
                        .headers
                        .insert(3, (name, identity.clone().into_bytes()));
                }
                messages.push(draft.bytes());
            }
        }
    }
    for length in [1_000, 20_000] {
        let mut draft = maker.draft("INVITE");
        draft.headers.push((vec![b'X'; length], b"1".to_vec()));
        messages.push(draft.bytes());
    }
    Set {
        name: "header names",
        messages,
    }
}

/// Every header and every part of an address, longer than any buffer that somebody once thought long enough.
fn lengths(maker: &mut Maker) -> Set {
    let mut messages = Vec::new();
    for (index, name) in HEADERS.iter().enumerate() {
        for (turn, length) in [64, 128, 255, 256, 512, 1_024, 4_096, 16_384, 60_000]
            .into_iter()
            .enumerate()
        {
            let long = "a".repeat(length);
            let shapes = [
                long.clone(),
                format!("\"{long}\" <sip:a@h>"),
                format!("<sip:{long}@h>;tag=1"),
                format!("<sip:a@{long}>"),
                format!("<sip:a@h>;{long}={long}"),
                format!("1 {long}"),
                format!("SIP/2.0/UDP h;branch=z9hG4bK{long}"),
                "9".repeat(length),
            ];
            let method = ["INVITE", "REGISTER", "SUBSCRIBE", "OPTIONS", "PUBLISH"];
            for shape in [index + turn, index + turn + 3] {
                let mut draft = maker.draft(method[(index + turn) % method.len()]);
                draft.set(name, shapes[shape % shapes.len()].as_bytes());
                messages.push(draft.bytes());
            }
        }
    }
    for length in [32, 255, 256, 4_096, 60_000] {
        let long = "A".repeat(length);
        let mut draft = maker.draft("INVITE");
        draft.line = format!("{long} sip:1002@pbx.test SIP/2.0").into_bytes();
        draft.set("CSeq", format!("1 {long}").as_bytes());
        messages.push(draft.bytes());
        let mut draft = maker.draft("INVITE");
        draft.line = format!("SIP/2.0 486 {long}").into_bytes();
        messages.push(draft.bytes());
    }
    Set {
        name: "lengths",
        messages,
    }
}

fn uris(maker: &mut Maker) -> Set {
    let mut uris: Vec<Vec<u8>> = [
        "",
        "sip:",
        "sips:",
        "tel:",
        "tel:+",
        "sip:@",
        "sip:@h",
        "sip:a@",
        "sip:a@h:",
        "sip:a@h:0",
        "sip:a@h:65536",
        "sip:a@[",
        "sip:a@[::",
        "sip:a@[::1]:",
        "sip:a@[zz]",
        "sip:a:b:c@h",
        "sip:a%0d%0aX-Planted:%201@pbx.test",
        "sip:1002@pbx.test;transport=",
        "sip:1002@pbx.test;transport=xyz",
        "sip:1002@pbx.test;maddr=",
        "sip:1002@pbx.test;lr=;lr;lr",
        "sip:1002@pbx.test?Route=%3csip:x%3e",
        "sip:1002@pbx.test;ttl=999",
        "sip:1002@pbx.test;user=",
        "SIP:1002@PBX.TEST",
        "sip:1002@pbx.test:5060:5060",
        "http://pbx.test/",
        "mailto:a@b",
        "urn:service:sos",
        "<sip:1002@pbx.test>",
        "\"a\"",
        "sip:1002@pbx.test SIP/2.0",
        "sip:1002@pbx.test\t",
        " sip:1002@pbx.test",
        "sip:%31%30%30%32@pbx.test",
        "sip:%00@pbx.test",
        "sip:1002@pbx.test;a;b;c=d;=e",
        "sip:1002;ext=5@pbx.test",
        "sip:1002@127.0.0.999",
        "sip:1002@1.2.3",
        "sip:*@*",
        "sip:+++++@pbx.test",
        "sip:1002@pbx..test",
        "sip:1002@-pbx.test-",
        "sip:\u{1b}[31m@pbx.test",
        "tel:1002;phone-context=",
    ]
    .iter()
    .map(|uri| uri.as_bytes().to_vec())
    .collect();
    uris.push([b"sip:".as_slice(), &[b'9'; 30_000], b"@pbx.test"].concat());
    uris.push([b"sip:1002@".as_slice(), &[b'h'; 30_000]].concat());
    uris.push([b"sip:1002@pbx.test".as_slice(), &b";p=v".repeat(6_000)].concat());
    uris.push([b"sip:1002@pbx.test?".as_slice(), &b"h=v&".repeat(6_000)].concat());
    uris.push([b"sip:".as_slice(), &b"%41".repeat(8_000), b"@pbx.test"].concat());
    let mut messages = Vec::new();
    for uri in &uris {
        for method in ["INVITE", "REGISTER", "OPTIONS", "MESSAGE"] {
            let mut draft = maker.draft(method);
            draft.line = [method.as_bytes(), b" ", uri, b" SIP/2.0"].concat();
            messages.push(draft.bytes());
        }
        for header in ["From", "To", "Contact", "Route", "Refer-To"] {
            let mut draft = maker.draft("INVITE");
            draft.set(header, &[b"<", uri.as_slice(), b">;tag=1"].concat());
            messages.push(draft.bytes());
        }
    }
    Set {
        name: "URIs",
        messages,
    }
}

/// Session descriptions that are wrong, or right in an unusual way.
pub fn bodies() -> Vec<Vec<u8>> {
    let lines: Vec<&str> = SDP.lines().collect();
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    let joined = |lines: &[String]| lines.join("\r\n").into_bytes();
    let odd = [
        "",
        "m=",
        "m=audio",
        "m=audio 4000",
        "m=audio x RTP/AVP 8",
        "m=audio -1 RTP/AVP 8",
        "m=audio 99999 RTP/AVP 8",
        "m=audio 4000/999999 RTP/AVP 8",
        "m=audio 4000 RTP/AVP",
        "m=audio 4000 RTP/AVP 999 -1 x",
        "m=audio 0 RTP/AVP 8",
        "m=audio 4000 RTP/SAVP 8",
        "c=",
        "c=IN",
        "c=IN IP4",
        "c=IN IP4 999.1.1.1",
        "c=IN IP6 ::",
        "c=IN IP4 0.0.0.0",
        "c=IN IP4 224.0.0.1/127",
        "o=",
        "o=- x y IN IP4 z",
        "a=rtpmap:",
        "a=rtpmap:8",
        "a=rtpmap:8 /",
        "a=rtpmap:8 PCMA/0",
        "a=rtpmap:8 PCMA/99999999999",
        "a=rtpmap:999 X/1",
        "a=fmtp:",
        "a=fmtp:101 0-9999999999",
        "a=ptime:",
        "a=ptime:-20",
        "a=ptime:0",
        "a=ptime:99999999999999999999",
        "a=maxptime:0",
        "a=crypto:",
        "a=crypto:1 X inline:",
        "a=crypto:-1 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        "a=sendrecv\r\na=sendonly\r\na=inactive",
        "t=",
        "t=-1 99999999999999999999",
        "v=1",
        "v=",
        "b=AS:-1",
        "k=clear:x",
        "=",
        "x",
        "a",
        "a=",
        "\0",
        "a=\0\0\0",
        "a=rtcp:",
        "a=rtcp:99999999",
    ];
    for (place, _) in lines.iter().enumerate() {
        for line in odd {
            let mut changed: Vec<String> = lines.iter().map(ToString::to_string).collect();
            changed[place] = line.to_string();
            bodies.push(joined(&changed));
        }
        let mut less: Vec<String> = lines.iter().map(ToString::to_string).collect();
        less.remove(place);
        bodies.push(joined(&less));
        let mut more: Vec<String> = lines.iter().map(ToString::to_string).collect();
        more.extend(std::iter::repeat_n(lines[place].to_string(), 1_000));
        bodies.push(joined(&more));
    }
    bodies.push(SDP.replace("\r\n", "\n").into_bytes());
    bodies.push(SDP.replace("\r\n", "\r").into_bytes());
    bodies.push(vec![0; 5_000]);
    bodies.push(vec![b'a'; 30_000]);
    bodies.push(
        [
            SDP.as_bytes(),
            &b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n".repeat(600),
        ]
        .concat(),
    );
    bodies
}

fn descriptions(maker: &mut Maker) -> Set {
    let messages = bodies()
        .into_iter()
        .map(|body| maker.with_body("INVITE", "application/sdp", body))
        .collect();
    Set {
        name: "session descriptions",
        messages,
    }
}

/// Credentials with everything wrong that can be.
pub fn digests(maker: &mut Maker) -> Set {
    let full = [
        ("username", "\"1001\""),
        ("realm", "\"pbx.test\""),
        ("nonce", "\"AAAA\""),
        ("uri", "\"sip:pbx.test\""),
        ("response", "\"0123456789abcdef0123456789abcdef\""),
        ("cnonce", "\"x\""),
        ("nc", "00000001"),
        ("qop", "auth"),
        ("algorithm", "MD5"),
    ];
    let odd = [
        "",
        "\"\"",
        "\"",
        "x",
        "-1",
        "ffffffffffffffffffff",
        "\"\\\"\"",
        "\"a\\",
        "\0",
        "\"\0\"",
        "auth-int",
        "\"auth,auth\"",
        "MD5-sess",
        "SHA-512-256",
        "SHA-256",
        "none",
        "\u{1b}",
    ];
    let mut values: Vec<Vec<u8>> = Vec::new();
    let text = |parts: &[(&str, String)]| {
        let list: Vec<String> = parts
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("Digest {}", list.join(", ")).into_bytes()
    };
    let whole: Vec<(&str, String)> = full.iter().map(|(n, v)| (*n, (*v).to_string())).collect();
    for place in 0..whole.len() {
        for value in odd {
            let mut changed = whole.clone();
            changed[place].1 = value.to_string();
            values.push(text(&changed));
        }
        let mut less = whole.clone();
        less.remove(place);
        values.push(text(&less));
        let mut twice = whole.clone();
        twice.push(whole[place].clone());
        values.push(text(&twice));
        let mut long = whole.clone();
        long[place].1 = format!("\"{}\"", "a".repeat(20_000));
        values.push(text(&long));
    }
    values.push(b"Basic MTAwMTpzZWNyZXQ=".to_vec());
    values.push([b"Digest ".as_slice(), &b"a=b,".repeat(8_000)].concat());
    let mut messages = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let (method, header) = [
            ("REGISTER", "Authorization"),
            ("INVITE", "Proxy-Authorization"),
        ][index % 2];
        let mut draft = maker.draft(method);
        draft.set(header, value);
        messages.push(draft.bytes());
    }
    Set {
        name: "digests",
        messages,
    }
}

fn framing(maker: &mut Maker) -> Set {
    let whole = maker.request("INVITE");
    let mut messages: Vec<Vec<u8>> = (1..whole.len())
        .step_by(3)
        .map(|end| whole[..end].to_vec())
        .collect();
    for line in [
        "INVITE",
        "INVITE ",
        "INVITE sip:a@b",
        "INVITE sip:a@b SIP/",
        "INVITE sip:a@b SIP/3.0",
        "INVITE sip:a@b SIP/2.0 x",
        "INVITE  sip:a@b  SIP/2.0",
        "SIP/2.0",
        "SIP/2.0 ",
        "SIP/2.0 200",
        "SIP/2.0 99 x",
        "SIP/2.0 2000 x",
        "SIP/2.0 -1 x",
        "\0",
        "GET / HTTP/1.1",
        "invite sip:a@b sip/2.0",
        "I\0NVITE sip:a@b SIP/2.0",
        "{[()]} sip:a@b SIP/2.0",
        "\r\n\r\n\r\nINVITE sip:a@b SIP/2.0",
    ] {
        let mut draft = maker.draft("INVITE");
        draft.line = line.as_bytes().to_vec();
        messages.push(draft.bytes());
    }
    for length in [
        "-1",
        "0",
        "1",
        "99999",
        "4294967297",
        "18446744073709551617",
        "1,2",
        "1;2",
        "0x5",
        " 5 5",
        "+5",
        "",
    ] {
        let mut draft = maker.draft("INVITE");
        draft.set("Content-Length", length.as_bytes());
        messages.push(draft.bytes());
        draft.headers.push((b"l".to_vec(), b"3".to_vec()));
        messages.push(draft.bytes());
    }
    let text = String::from_utf8(maker.request("INVITE")).expect("text");
    messages.push(text.replace("\r\n", "\n").into_bytes());
    messages.push(text.replace("\r\n", "\r").into_bytes());
    messages.push(text.replace("\r\n", "\r\n\r\n").into_bytes());
    messages.push(text.replace(": ", " : ").into_bytes());
    messages.push(text.replace(": ", "").into_bytes());
    messages.extend([
        b"\r\n".repeat(10_000),
        vec![0; 20_000],
        vec![0xff; 20_000],
        b"a:b\r\n".repeat(10_000),
    ]);
    Set {
        name: "framing",
        messages,
    }
}

/// Bodies of several parts: without end, without beginning, a thousandfold, one within the other.
pub fn multiparts(maker: &mut Maker) -> Set {
    let kind = "multipart/mixed;boundary=b";
    let part = format!("--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n");
    let mut bodies: Vec<(String, Vec<u8>)> = vec![
        (kind.into(), format!("{part}--b--\r\n").into_bytes()),
        (kind.into(), part.clone().into_bytes()),
        (kind.into(), part.repeat(200).into_bytes()),
        (kind.into(), "--b\r\n\r\n".repeat(6_000).into_bytes()),
        (kind.into(), "--b--\r\n".repeat(6_000).into_bytes()),
        (kind.into(), b"--".repeat(20_000)),
        (kind.into(), Vec::new()),
        ("multipart/mixed".into(), part.clone().into_bytes()),
        (
            "multipart/mixed;boundary=".into(),
            part.clone().into_bytes(),
        ),
        (
            "multipart/mixed;boundary=\"".into(),
            part.clone().into_bytes(),
        ),
        (
            format!("multipart/mixed;boundary={}", "b".repeat(20_000)),
            part.clone().into_bytes(),
        ),
        (
            "multipart/related;boundary=b".into(),
            part.clone().into_bytes(),
        ),
    ];
    let mut nested = String::new();
    for depth in 0..500 {
        nested.push_str(&format!(
            "--b{depth}\r\nContent-Type: multipart/mixed;boundary=b{}\r\n\r\n",
            depth + 1
        ));
    }
    bodies.push(("multipart/mixed;boundary=b0".into(), nested.into_bytes()));
    for name in [
        "Content-Type",
        "Content-Length",
        "Content-Disposition",
        "Content-ID",
        PLANTED,
    ] {
        for value in values().iter().filter(|value| value.len() < 10_000) {
            let head = [b"--b\r\n", name.as_bytes(), b": ", value, b"\r\n\r\n"].concat();
            bodies.push((
                kind.into(),
                [&head, SDP.as_bytes(), b"\r\n--b--\r\n"].concat(),
            ));
        }
    }
    let messages = bodies
        .into_iter()
        .map(|(kind, body)| maker.with_body("INVITE", &kind, body))
        .collect();
    Set {
        name: "multipart bodies",
        messages,
    }
}

/// Responses that nobody asked for.
fn responses(maker: &mut Maker) -> Set {
    stray(maker, "127.0.0.9:5060")
}

/// The same, with a second Via of one to whom they are not to be passed on.
pub fn stray(maker: &mut Maker, behind: &str) -> Set {
    let mut messages = Vec::new();
    for status in [
        100, 180, 183, 199, 200, 202, 299, 300, 302, 380, 400, 401, 407, 408, 422, 481, 486, 487,
        500, 503, 600, 603, 699,
    ] {
        for method in ["INVITE", "REGISTER", "BYE", "OPTIONS", "ACK", "CANCEL"] {
            let mut draft = maker.draft(method);
            draft.line = format!("SIP/2.0 {status} Stray").into_bytes();
            draft.set("To", b"<sip:1002@pbx.test>;tag=stray");
            messages.push(draft.bytes());
            // as if we were to pass it on
            let second = format!("SIP/2.0/UDP {behind};branch=z9hG4bKother").into_bytes();
            draft.headers.insert(1, (b"Via".to_vec(), second));
            messages.push(draft.bytes());
        }
    }
    Set {
        name: "stray responses",
        messages,
    }
}

fn mutations(maker: &mut Maker, dice: &mut Dice) -> Set {
    let methods = [
        "INVITE",
        "REGISTER",
        "OPTIONS",
        "BYE",
        "CANCEL",
        "ACK",
        "SUBSCRIBE",
        "MESSAGE",
        "UPDATE",
        "PRACK",
    ];
    let mut messages = Vec::new();
    for round in 0..3_000 {
        let mut bytes = maker.request(methods[round % methods.len()]);
        for _ in 0..=dice.below(6) {
            let at = dice.below(bytes.len());
            let value = dice.below(256) as u8;
            match dice.below(6) {
                0 => bytes[at] = value,
                1 => bytes.insert(at, value),
                2 => {
                    bytes.remove(at);
                }
                3 => {
                    let end = (at + dice.below(80)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    let to = dice.below(bytes.len());
                    bytes.splice(to..to, copy);
                }
                4 => bytes.truncate(at.max(1)),
                _ => bytes[at] = b"\0\r\n\t \"<>;:,=@%"[dice.below(14)],
            }
            if bytes.is_empty() {
                bytes.push(b'X');
            }
        }
        messages.push(bytes);
    }
    Set {
        name: "mutations",
        messages,
    }
}
