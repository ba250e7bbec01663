//! baresip 1.0.0 as a phone: registers, calls, answers, holds, sends digits, and records what it hears.
//!
//! Each oddity below was learnt by failing. It binds RTP to all addresses, so on loopback its packets come from 127.0.0.1: it must live there.
//! Its tone source runs only at 48 kHz stereo. Its control port takes one connection and tells events only from then on. After a hold it no
//! longer records what it hears, although it plays it: what a phone hears after a resume is measured by counting packets and by digits.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::Process;
use super::{free_port, tone, wait_for};

const MODULE_FOLDERS: &[&str] = &[
    "/usr/lib/baresip/modules",
    "/usr/lib64/baresip/modules",
    "/usr/local/lib/baresip/modules",
];
/// Below the ports that the kernel gives out, and apart from the server's.
const RTP_PORTS: &str = "25000-31998";

/// How a phone is set up.
pub struct Phone {
    user: String,
    password: String,
    domain: String,
    proxy: Option<SocketAddr>,
    transport: &'static str,
    tone_hz: u32,
    auto_answer: bool,
    codecs: &'static str,
    expires_secs: u32,
    /// baresip's name for how audio is protected: `srtp`, `srtp-mand`.
    protection: Option<&'static str>,
    modules: Vec<&'static str>,
    contacts: String,
}

impl Phone {
    /// A phone that belongs to no server: `sip:USER@127.0.0.1:PORT`.
    pub fn new(user: &str) -> Phone {
        Phone {
            user: user.to_string(),
            password: String::new(),
            domain: String::new(),
            proxy: None,
            transport: "udp",
            tone_hz: 440,
            auto_answer: false,
            codecs: "PCMA/8000/1",
            expires_secs: 60,
            modules: Vec::new(),
            contacts: String::new(),
            protection: None,
        }
    }

    /// Registers as `USER@domain` at `proxy`.
    pub fn account(mut self, password: &str, domain: &str, proxy: SocketAddr) -> Phone {
        self.password = password.to_string();
        self.domain = domain.to_string();
        self.proxy = Some(proxy);
        self
    }

    pub fn tcp(mut self) -> Phone {
        self.transport = "tcp";
        self
    }

    /// TLS; baresip 1.0.0 does not verify the certificate.
    pub fn tls(mut self) -> Phone {
        self.transport = "tls";
        self
    }

    /// SRTP with keys in the SDP: `srtp` when the other side can, `srtp-mand` always.
    pub fn protection(mut self, kind: &'static str) -> Phone {
        self.protection = Some(kind);
        self
    }

    /// What it says all the time.
    pub fn tone(mut self, hz: u32) -> Phone {
        self.tone_hz = hz;
        self
    }

    /// Watches its voicemail (RFC 3842).
    pub fn voicemail(mut self) -> Phone {
        self.modules.push("mwi");
        self
    }

    /// Watches the presence of somebody (RFC 3856).
    pub fn watches(mut self, uri: &str) -> Phone {
        self.modules.extend(["contact", "presence"]);
        self.contacts
            .push_str(&format!("\"Watched\" <{uri}>;presence=p2p\n"));
        self
    }

    pub fn auto_answer(mut self) -> Phone {
        self.auto_answer = true;
        self
    }

    /// Codecs in order, as baresip writes them (`PCMU/8000/1`).
    pub fn codecs(mut self, codecs: &'static str) -> Phone {
        self.codecs = codecs;
        self
    }

    /// Starts it and connects to its control port.
    #[track_caller]
    pub fn start(self) -> Baresip {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (sip, control) = (free_port(), free_port());
        std::fs::create_dir(folder.path().join("heard")).expect("writable");
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).expect("writable")
        };
        write("config", self.configuration(folder.path(), sip, control));
        write("contacts", self.contacts.clone());
        write("accounts", self.account_line(sip));
        let name = format!("baresip-{}", self.user);
        let arguments = [
            "-f".to_string(),
            folder.path().display().to_string(),
            "-v".to_string(),
        ];
        let mut process = Process::start(&name, "baresip", &arguments, folder.path());
        let control = SocketAddr::from((Ipv4Addr::LOCALHOST, control));
        let stream = wait_for(
            &format!("the control port of {name}"),
            Duration::from_secs(10),
            || {
                assert!(
                    process.status().is_none(),
                    "{name} ended at once:\n{}",
                    process.log()
                );
                TcpStream::connect(control).ok()
            },
        );
        let inbox = Arc::new(Inbox::default());
        let reader = (
            stream.try_clone().expect("a second handle"),
            Arc::clone(&inbox),
        );
        std::thread::spawn(move || read_control(reader.0, &reader.1));
        let uri = match self.proxy {
            Some(_) => format!("sip:{}@{}", self.user, self.domain),
            None => format!("sip:{}@127.0.0.1:{sip}", self.user),
        };
        Baresip {
            name,
            uri,
            process,
            folder,
            stream,
            inbox,
            tokens: 0,
        }
    }

    fn account_line(&self, sip_port: u16) -> String {
        let protection = self
            .protection
            .map(|kind| format!(";mediaenc={kind}"))
            .unwrap_or_default();
        let answer = if self.auto_answer { "auto" } else { "manual" };
        match self.proxy {
            Some(proxy) => format!(
                "<sip:{user}@{domain};transport={transport}>;auth_user={user};auth_pass={password};outbound=\"sip:{proxy};transport={transport}\";\
                 regint={expires};audio_codecs={codecs};answermode={answer};dtmfmode=rtpevent{protection}\n",
                user = self.user,
                domain = self.domain,
                transport = self.transport,
                password = self.password,
                expires = self.expires_secs,
                codecs = self.codecs,
            ),
            None => {
                format!(
                    "<sip:{}@127.0.0.1:{sip_port}>;regint=0;audio_codecs={};answermode={answer};dtmfmode=rtpevent{protection}\n",
                    self.user, self.codecs
                )
            }
        }
    }

    fn configuration(&self, folder: &Path, sip: u16, control: u16) -> String {
        let modules = MODULE_FOLDERS
            .iter()
            .find(|path| Path::new(path).exists())
            .expect("baresip's modules: run scripts/test-deps.sh");
        let mut text = format!(
            "poll_method epoll\n\
             sip_listen 127.0.0.1:{sip}\n\
             net_interface 127.0.0.1\n\
             audio_player aubridge,nowhere\n\
             audio_source ausine,{tone}\n\
             audio_alert aubridge,nowhere\n\
             ausrc_srate 48000\n\
             ausrc_channels 2\n\
             ausrc_format s16\n\
             auplay_format s16\n\
             auenc_format s16\n\
             audec_format s16\n\
             audio_buffer 20-160\n\
             rtp_ports {RTP_PORTS}\n\
             rtp_timeout 0\n\
             call_local_timeout 120\n\
             call_max_calls 4\n\
             ctrl_tcp_listen 127.0.0.1:{control}\n\
             snd_path {heard}\n\
             module_path {modules}\n",
            tone = self.tone_hz,
            heard = folder.join("heard").display(),
        );
        for module in [
            "g711", "g722", "opus", "srtp", "ausine", "aubridge", "sndfile", "ctrl_tcp",
        ] {
            text.push_str(&format!("module {module}.so\n"));
        }
        text.push_str("module_tmp account.so\nmodule_app menu.so\n");
        for module in &self.modules {
            text.push_str(&format!("module_app {module}.so\n"));
        }
        text
    }
}

#[derive(Default)]
struct Inbox {
    state: Mutex<Messages>,
    news: Condvar,
}

#[derive(Default)]
struct Messages {
    events: Vec<Value>,
    responses: VecDeque<Value>,
    closed: bool,
}

/// A phone that runs.
pub struct Baresip {
    name: String,
    uri: String,
    process: Process,
    folder: tempfile::TempDir,
    stream: TcpStream,
    inbox: Arc<Inbox>,
    tokens: u32,
}

impl Baresip {
    /// Its address of record.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Gives a command to baresip's menu and returns what it prints.
    #[track_caller]
    pub fn command(&mut self, command: &str, parameters: &str) -> String {
        self.tokens += 1;
        let token = format!("t{}", self.tokens);
        let text = json!({ "command": command, "params": parameters, "token": token }).to_string();
        self.stream
            .write_all(format!("{}:{text},", text.len()).as_bytes())
            .expect("the control connection lives");
        let limit = Instant::now() + Duration::from_secs(5);
        let mut state = self.inbox.state.lock().expect("the reader lives");
        loop {
            if let Some(at) = state
                .responses
                .iter()
                .position(|r| r["token"] == token.as_str())
            {
                let response = state.responses.remove(at).expect("just found");
                return response["data"].as_str().unwrap_or_default().to_string();
            }
            let left = limit.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !state.closed,
                "{}: no response to `{command}`",
                self.name
            );
            state = self
                .inbox
                .news
                .wait_timeout(state, left)
                .expect("the reader lives")
                .0;
        }
    }

    pub fn dial(&mut self, uri: &str) {
        self.command("dial", uri);
    }

    pub fn accept(&mut self) {
        self.command("accept", "");
    }

    pub fn hangup(&mut self) {
        self.command("hangup", "");
    }

    pub fn hold(&mut self) {
        self.command("hold", "");
    }

    pub fn resume(&mut self) {
        self.command("resume", "");
    }

    /// Sends digits as telephone-events.
    pub fn digits(&mut self, digits: &str) {
        self.command("sndcode", digits);
    }

    /// How many events of that type have come so far.
    pub fn count(&self, kind: &str) -> usize {
        self.inbox
            .state
            .lock()
            .expect("the reader lives")
            .events
            .iter()
            .filter(|e| e["type"] == kind)
            .count()
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Value> {
        self.inbox
            .state
            .lock()
            .expect("the reader lives")
            .events
            .clone()
    }

    /// Waits for the first event of that type, ever.
    #[track_caller]
    pub fn wait(&self, kind: &str, limit: Duration) -> Value {
        self.wait_nth(kind, 1, limit)
    }

    /// Waits for the `n`th event of that type (from 1) and returns it.
    #[track_caller]
    pub fn wait_nth(&self, kind: &str, n: usize, limit: Duration) -> Value {
        wait_for(&format!("event {n} {kind} at {}", self.name), limit, || {
            self.inbox
                .state
                .lock()
                .expect("the reader lives")
                .events
                .iter()
                .filter(|e| e["type"] == kind)
                .nth(n - 1)
                .cloned()
        })
    }

    /// Waits until its registration was accepted.
    #[track_caller]
    pub fn wait_registered(&mut self, limit: Duration) {
        wait_for(&format!("{} to be registered", self.name), limit, || {
            self.process.log().contains("200 OK").then_some(())
        });
    }

    /// What it heard until the first hold of each call, oldest first; a file is complete when its call is over.
    pub fn recordings(&self) -> Vec<(Vec<i16>, u32)> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.path().join("heard"))
            .expect("readable")
            .map(|entry| entry.expect("entry").path())
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        files.sort();
        files.iter().map(|file| tone::read_wav(file)).collect()
    }

    /// Fails unless its last call brought this tone for `seconds_min`. Call it after the hang-up.
    #[track_caller]
    pub fn assert_heard(&self, hz: f64, seconds_min: f64) {
        // the file is written to its end only when the call is taken down, a moment after its end was told
        let finished = || {
            let (samples, rate) = self.recordings().pop()?;
            (!samples.is_empty()).then_some((samples, rate))
        };
        let what = format!("the recording of {}", self.name);
        let (samples, rate) = wait_for(&what, Duration::from_secs(2), finished);
        tone::assert_heard(&self.name, &samples, rate, hz, seconds_min);
    }

    /// RTP packets that it has received and sent in the current call.
    #[track_caller]
    pub fn packets(&mut self) -> (u64, u64) {
        let text = self.command("audio_debug", "");
        let number = |label: &str| -> u64 {
            let digits = text.split(label).nth(1).unwrap_or_default();
            digits
                .chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
                .parse()
                .unwrap_or(0)
        };
        (number("rcvd="), number("TX: packets="))
    }

    /// Gone without a word, as when the plug is pulled.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let events = self
                .inbox
                .state
                .lock()
                .map(|s| s.events.clone())
                .unwrap_or_default();
            eprintln!("---- {}: events", self.name);
            for event in events {
                eprintln!("{} {} {}", event["type"], event["peeruri"], event["param"]);
            }
        }
    }
}

/// Reads netstrings (`LENGTH:JSON,`) until the connection ends.
fn read_control(mut stream: TcpStream, inbox: &Inbox) {
    let mut buffer: Vec<u8> = Vec::new();
    let mut chunk = [0u8; 8192];
    loop {
        let length = stream.read(&mut chunk).unwrap_or(0);
        buffer.extend_from_slice(&chunk[..length]);
        let mut state = inbox.state.lock().expect("the test lives");
        while let Some((message, used)) = first_netstring(&buffer) {
            if message["event"] == true {
                state.events.push(message);
            } else {
                state.responses.push_back(message);
            }
            buffer.drain(..used);
        }
        state.closed = length == 0;
        inbox.news.notify_all();
        if length == 0 {
            return;
        }
    }
}

fn first_netstring(buffer: &[u8]) -> Option<(Value, usize)> {
    let colon = buffer.iter().position(|&b| b == b':')?;
    let length: usize = std::str::from_utf8(&buffer[..colon]).ok()?.parse().ok()?;
    let body = buffer.get(colon + 1..colon + 1 + length)?;
    buffer.get(colon + 1 + length)?;
    // What baresip prints is not always JSON-clean; a response that does not parse still is a response.
    let message = serde_json::from_slice(body)
        .unwrap_or_else(|_| json!({ "data": String::from_utf8_lossy(body) }));
    Some((message, colon + 2 + length))
}
