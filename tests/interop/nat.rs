//! Telephones behind two kinds of NAT, with the same private address, and linphone: networks of the test's own, tones measured.
//!
//! The server, two NATs and three telephones live in network namespaces each, on a public segment 198.51.100.0/24 that nobody else sees.
//! A test here needs the rights to make such networks (root, or `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`); where it has none it says so and
//! proves nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::process::Process;
use crate::support::{pause, seconds, tone, wait_for};

const SERVER: &str = "198.51.100.1";
const BINARY: &str = env!("CARGO_BIN_EXE_strowger");

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|fault| panic!("{program}: {fault} (run scripts/test-deps.sh)"))
}

#[track_caller]
fn must(program: &str, arguments: &[&str]) {
    let done = run(program, arguments);
    assert!(
        done.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr)
    );
}

/// The networks of one test; gone with it.
struct Net {
    prefix: String,
    folder: TempDir,
}

impl Net {
    /// `None` where networks may not be made.
    fn new(test: &str) -> Option<Net> {
        let prefix = format!("s{}{test}", std::process::id());
        let probe = run("ip", &["netns", "add", &format!("{prefix}srv")]);
        if !probe.status.success() {
            eprintln!(
                "NOT TESTED: network namespaces cannot be made here: {}",
                String::from_utf8_lossy(&probe.stderr).trim()
            );
            return None;
        }
        let net = Net {
            prefix,
            folder: tempfile::tempdir().expect("a folder"),
        };
        for name in ["na", "nb", "pa", "pb", "pc"] {
            must("ip", &["netns", "add", &net.name(name)]);
        }
        for name in ["srv", "na", "nb", "pa", "pb", "pc"] {
            net.ip(name, "link set lo up");
        }
        net.ip("srv", "link add public type bridge");
        net.ip("srv", "link set public up");
        net.ip("srv", &format!("addr add {SERVER}/24 dev public"));
        net.wire("na", "out", "srv", "sa");
        net.wire("nb", "out", "srv", "sb");
        net.wire("pc", "out", "srv", "sc");
        net.wire("pa", "out", "na", "in");
        net.wire("pb", "out", "nb", "in");
        for end in ["sa", "sb", "sc"] {
            net.ip("srv", &format!("link set {end} master public"));
        }
        for (name, outside) in [("na", 11), ("nb", 12), ("pc", 13)] {
            net.ip(name, &format!("addr add 198.51.100.{outside}/24 dev out"));
        }
        for (nat, phone) in [("na", "pa"), ("nb", "pb")] {
            net.ip(nat, "addr add 192.168.1.1/24 dev in");
            net.ip(phone, "addr add 192.168.1.10/24 dev out");
            net.ip(phone, "route add default via 192.168.1.1");
            let forward = ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"];
            net.within(nat, &forward);
        }
        // linphone does nothing without a default route
        net.ip("pc", &format!("route add default via {SERVER}"));
        net.translate("na", "masquerade");
        net.translate("nb", "masquerade fully-random");
        Some(net)
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    #[track_caller]
    fn ip(&self, name: &str, arguments: &str) {
        let space = self.name(name);
        let mut all = vec!["-n", &space];
        all.extend(arguments.split(' '));
        must("ip", &all);
    }

    #[track_caller]
    fn within(&self, name: &str, command: &[&str]) {
        let space = self.name(name);
        let mut all = vec!["netns", "exec", &space];
        all.extend(command);
        must("ip", &all);
    }

    /// A cable between two of them.
    fn wire(&self, one: &str, end: &str, other: &str, other_end: &str) {
        let (one, other) = (self.name(one), self.name(other));
        let words = [
            "link", "add", end, "netns", &one, "type", "veth", "peer", "name", other_end, "netns",
            &other,
        ];
        must("ip", &words);
        must("ip", &["-n", &one, "link", "set", end, "up"]);
        must("ip", &["-n", &other, "link", "set", other_end, "up"]);
    }

    /// NAT towards the public segment.
    fn translate(&self, name: &str, how: &str) {
        let rules = self.folder.path().join(format!("{name}.nft"));
        let text = format!(
            "table ip nat {{\n chain out {{\n  type nat hook postrouting priority 100;\n  oifname \"out\" {how}\n }}\n}}\n"
        );
        std::fs::write(&rules, text).expect("writable");
        self.within(name, &["nft", "-f", &rules.display().to_string()]);
    }

    fn start(&self, space: &str, name: &str, command: &[&str]) -> Process {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("writable");
        let arguments: Vec<String> = ["netns", "exec", &self.name(space)]
            .iter()
            .chain(command)
            .map(ToString::to_string)
            .collect();
        Process::start(name, "ip", &arguments, &folder)
    }

    /// The server on the public segment.
    fn server(&self) -> Process {
        let folder = self.folder.path().join("strowger");
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("below")).expect("writable");
            std::fs::write(path, text).expect("writable");
        };
        write(
            "strowger.toml",
            format!(
                "[server]\ndomain = \"{SERVER}\"\ndata-dir = \"var\"\nrtp-ports = \"20000-20099\"\n\n[http]\nlisten = \"127.0.0.1:8080\"\n"
            ),
        );
        write(
            "sip-profiles/internal.toml",
            format!(
                "name = \"internal\"\nlisten = [\"udp:{SERVER}:5060\"]\ndialplan = \"internal\"\nauth = \"digest\"\ncodecs = [\"pcma\", \"pcmu\"]\n"
            ),
        );
        write(
            "dialplans/internal.toml",
            "context = \"internal\"\n\n[[rule]]\nname = \"extensions\"\nnumber = \"{ext:4}\"\ndo = [ { dial = \"{ext}\", timeout = \"10s\" } ]\n".to_owned(),
        );
        let people = ["1001", "1002", "1003"].map(|extension| {
            format!("[[user]]\nextension = \"{extension}\"\nname = \"Pat Example\"\npassword = \"secret-{extension}\"\n")
        });
        write("directory/people.toml", people.concat());
        let mut server = self.start("srv", "strowger", &[BINARY, "run", "--config", "."]);
        server.wait_for_line("ready", seconds(10.0));
        server
    }

    /// Waits until an extension is registered, and gives the row of the table.
    #[track_caller]
    fn wait_registered(&self, extension: &str) -> String {
        let folder = self.folder.path().join("strowger");
        let folder = folder.display().to_string();
        let space = self.name("srv");
        wait_for(&format!("{extension} to register"), seconds(10.0), || {
            let words = [
                "netns",
                "exec",
                &space,
                BINARY,
                "registrations",
                "--config",
                &folder,
            ];
            let shown = run("ip", &words);
            let text = String::from_utf8_lossy(&shown.stdout).into_owned();
            text.lines()
                .find(|line| line.starts_with(&format!("{extension}@")))
                .map(str::to_owned)
        })
    }

    /// A baresip with a tone; `more` are further arguments.
    fn baresip(
        &self,
        space: &str,
        extension: &str,
        hz: u32,
        answers: bool,
        more: &[&str],
    ) -> Phone {
        let folder = self.folder.path().join(extension);
        let heard = folder.join("heard");
        std::fs::create_dir_all(&heard).expect("writable");
        let address = if space == "pc" {
            "198.51.100.13"
        } else {
            "192.168.1.10"
        };
        let modules = "/usr/lib/baresip/modules";
        let mut text = format!(
            "poll_method epoll\nsip_listen {address}:5060\nnet_interface {address}\naudio_player aubridge,nowhere\n\
             audio_source ausine,{hz}\naudio_alert aubridge,nowhere\nausrc_srate 48000\nausrc_channels 2\nausrc_format s16\n\
             auplay_format s16\nauenc_format s16\naudec_format s16\naudio_buffer 20-160\nrtp_ports 25000-31998\n\
             call_max_calls 4\nsnd_path {}\nmodule_path {modules}\n",
            heard.display()
        );
        for module in ["g711", "ausine", "aubridge", "sndfile"] {
            text.push_str(&format!("module {module}.so\n"));
        }
        text.push_str("module_tmp account.so\nmodule_app menu.so\n");
        let answer = if answers { "auto" } else { "manual" };
        let account = format!(
            "<sip:{extension}@{SERVER};transport=udp>;auth_user={extension};auth_pass=secret-{extension};\
             outbound=\"sip:{SERVER};transport=udp\";regint=60;audio_codecs=PCMA/8000/1;answermode={answer}\n"
        );
        for (name, text) in [
            ("config", text),
            ("accounts", account),
            ("contacts", String::new()),
        ] {
            std::fs::write(folder.join(name), text).expect("writable");
        }
        let folder = folder.display().to_string();
        let mut command = vec!["baresip", "-f", &folder, "-v"];
        command.extend(more);
        Phone {
            process: self.start(space, extension, &command),
            heard,
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in ["srv", "na", "nb", "pa", "pb", "pc"] {
            // what was never made cannot be taken down
            let _ = Command::new("ip")
                .args(["netns", "del", &self.name(name)])
                .output();
        }
    }
}

struct Phone {
    process: Process,
    heard: PathBuf,
}

impl Phone {
    /// Waits for its end, and judges the one call that it had.
    #[track_caller]
    fn assert_heard(&mut self, hz: f64, seconds_min: f64) {
        self.process.wait(Duration::from_secs(40));
        let file = std::fs::read_dir(&self.heard)
            .expect("readable")
            .map(|entry| entry.expect("an entry").path())
            .find(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .expect("a recording");
        let (samples, rate) = tone::read_wav(&file);
        tone::assert_heard("a phone", &samples, rate, hz, seconds_min);
    }
}

#[test]
fn phones_behind_two_kinds_of_nat_hear_each_other() {
    let Some(net) = Net::new("n") else { return };
    let _server = net.server();
    let mut bob = net.baresip("pb", "1002", 700, true, &["-t", "20"]);
    let row = net.wait_registered("1002");
    assert!(row.contains("198.51.100.12"), "seen behind its NAT: {row}");
    let mut ann = net.baresip("pa", "1001", 440, false, &["-t", "9", "-e", "d1002"]);
    let row = net.wait_registered("1001");
    assert!(row.contains("198.51.100.11"), "seen behind its NAT: {row}");
    ann.assert_heard(700.0, 3.0);
    bob.assert_heard(440.0, 3.0);
}

#[test]
fn linphone_and_a_phone_behind_nat_hear_each_other() {
    let Some(net) = Net::new("l") else { return };
    let _server = net.server();
    let mut bob = net.baresip("pb", "1002", 700, true, &["-t", "20"]);
    net.wait_registered("1002");
    let home = net.folder.path().join("linphone");
    std::fs::create_dir_all(home.join(".local/share/linphone")).expect("writable");
    std::fs::write(home.join("rc"), "[sip]\nsip_port=-1\n").expect("writable");
    write_tone(&home.join("tone.wav"), 1000.0);
    let talk = format!(
        "( echo 'soundcard use files'; echo 'play {0}/tone.wav'; echo 'record {0}/heard.wav'; \
           echo 'register sip:1003@{SERVER} sip:{SERVER} secret-1003'; sleep 3; echo 'call sip:1002@{SERVER}'; sleep 6; \
           echo terminate; sleep 1; echo quit; sleep 1 ) | HOME={0} timeout 30 linphonec -c {0}/rc",
        home.display()
    );
    let mut linphone = net.start("pc", "linphone", &["sh", "-c", &talk]);
    net.wait_registered("1003");
    linphone.wait(seconds(40.0));
    // it leaves the length in the header open
    let bytes = std::fs::read(home.join("heard.wav")).expect("a recording");
    let samples: Vec<i16> = bytes
        .get(44..)
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    tone::assert_heard("linphone", &samples, 8000, 700.0, 3.0);
    bob.assert_heard(1000.0, 3.0);
    pause(seconds(0.1));
}

fn write_tone(path: &Path, hz: f64) {
    let form = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, form).expect("writable");
    for n in 0..8000 * 30 {
        let value = (std::f64::consts::TAU * hz * f64::from(n) / 8000.0).sin() * 12_000.0;
        file.write_sample(value as i16).expect("writable");
    }
    file.finalize().expect("writable");
}
