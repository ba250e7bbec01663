//! The configuration of the test lab: four people, a queue, a carrier with a DID. Written as an operator would write it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::{address, at};

pub const DOMAIN: &str = "pbx.test";
/// The number that the carrier calls for the queue.
pub const DID: &str = "+442071838750";
/// What the trunk expects as credentials.
pub const TRUNK_USER: &str = "lab-trunk";
pub const TRUNK_PASSWORD: &str = "trunk-secret";

/// Addresses of one test and the files that go with them.
pub struct Lab {
    /// The server's own.
    pub server: Ipv4Addr,
    /// The carrier's: its source, and where the trunk sends to.
    pub carrier: Ipv4Addr,
    files: Vec<(String, String)>,
}

/// The password of an extension of the lab.
pub fn password(extension: &str) -> String {
    format!("secret-{extension}")
}

impl Lab {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Lab {
        let mut lab = Lab {
            server: address(),
            carrier: address(),
            files: Vec::new(),
        };
        let (server, carrier) = (lab.server, lab.carrier);
        lab.file(
            "strowger.toml",
            &format!(
                r#"[server]
domain         = "{DOMAIN}"
data-dir       = "var"
public-address = "{server}"
rtp-ports      = "20000-24999"
time-zone      = "Europe/London"
drain-timeout  = "5s"

[http]
listen = "{server}:8080"

[log]
level = "debug"
"#
            ),
        );
        lab.file(
            "sip-profiles/internal.toml",
            &format!(
                r#"name     = "internal"
listen   = ["udp:{server}:5060", "tcp:{server}:5060"]
dialplan = "internal"
auth     = "digest"
codecs   = ["pcma", "pcmu"]
# a scenario that waits for a call would take a question whether it lives for a mistake
registration = {{ qualify = "off" }}
"#
            ),
        );
        lab.file(
            "sip-profiles/external.toml",
            &format!(
                r#"name     = "external"
listen   = ["udp:{server}:5080", "tcp:{server}:5080"]
dialplan = "inbound"
auth     = "trunk"
codecs   = ["pcma", "pcmu"]

[[trunk]]
name          = "carrier"
proxy         = ["sip:{carrier}:5060"]
from          = ["{carrier}/32"]
auth          = {{ username = "{TRUNK_USER}", password = "{TRUNK_PASSWORD}" }}
max-channels  = 2
number-format = "+E164"
options-ping  = "off"
"#
            ),
        );
        lab.file(
            "dialplans/internal.toml",
            r#"context = "internal"

[[rule]]
name   = "echo test"
number = "*43"
do     = [ { play = "echo-test" }, { feature = "echo" } ]

[[rule]]
name   = "extensions"
number = "{ext:4}"
do     = [ { dial = "{ext}", timeout = "6s" }, { hangup = "no-answer" } ]

[[rule]]
name   = "outside"
number = "+{number}"
do     = [ { dial = "+{number}", timeout = "20s" } ]
"#,
        );
        lab.file(
            "dialplans/inbound.toml",
            &format!(
                r#"context = "inbound"

[[rule]]
name   = "support line"
number = "{DID}"
do     = [ {{ answer = true }}, {{ play = "welcome" }}, {{ queue = "support" }} ]
"#
            ),
        );
        let mut people = String::new();
        for (extension, name) in [
            ("1001", "Ada Example"),
            ("1002", "Ben Example"),
            ("1003", "Cyd Example"),
            ("1004", "Dee Example"),
        ] {
            people.push_str(&format!(
                "[[user]]\nextension = \"{extension}\"\nname = \"{name}\"\npassword = \"{}\"\nrole = \"agent\"\n\n",
                password(extension)
            ));
        }
        lab.file("directory/people.toml", &people);
        lab.file(
            "queues/support.toml",
            r#"name         = "support"
strategy     = "longest-idle"
ring-timeout = "8s"
wrap-up      = "3s"
music        = "default"
max-waiting  = 10
agents       = [ { extension = "1001" }, { extension = "1002" } ]
"#,
        );
        lab
    }

    /// The example that this repository ships, word for word but for its addresses.
    pub fn shipped() -> Lab {
        let mut lab = Lab {
            server: address(),
            carrier: address(),
            files: Vec::new(),
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut names = vec!["strowger.toml".to_string(), "outbound.toml".to_string()];
        for folder in ["sip-profiles", "dialplans", "directory", "queues"] {
            for entry in std::fs::read_dir(root.join(folder)).expect("the shipped example") {
                let name = entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned();
                if name.ends_with(".toml") {
                    names.push(format!("{folder}/{name}"));
                }
            }
        }
        for name in names {
            let text = std::fs::read_to_string(root.join(&name)).expect("readable");
            let text = text
                .replace("127.0.0.1", &lab.server.to_string())
                .replace("127.0.0.2", &lab.carrier.to_string());
            lab.file(&name, &text);
        }
        lab
    }

    /// The password of an extension, as it stands in the files.
    #[track_caller]
    pub fn password_of(&self, extension: &str) -> String {
        let people = self
            .files
            .iter()
            .filter(|(name, _)| name.starts_with("directory/"));
        let users = people.flat_map(|(_, text)| {
            let table: toml::Table = text.parse().expect("TOML");
            table
                .get("user")
                .and_then(toml::Value::as_array)
                .cloned()
                .unwrap_or_default()
        });
        let mut own = users
            .filter(|user| user.get("extension").and_then(toml::Value::as_str) == Some(extension));
        let user = own.next().unwrap_or_else(|| panic!("no user {extension}"));
        user.get("password")
            .and_then(toml::Value::as_str)
            .expect("a password in clear")
            .to_string()
    }

    /// Adds or replaces a file.
    pub fn file(&mut self, path: &str, text: &str) {
        self.files.retain(|(name, _)| name != path);
        self.files.push((path.to_string(), text.to_string()));
    }

    /// Replaces `old`, which must be there, in a file.
    #[track_caller]
    pub fn change(&mut self, path: &str, old: &str, new: &str) {
        let (_, text) = self
            .files
            .iter_mut()
            .find(|(name, _)| name == path)
            .unwrap_or_else(|| panic!("no file {path}"));
        assert!(text.contains(old), "{path} does not contain `{old}`");
        *text = text.replace(old, new);
    }

    pub fn files(&self) -> &[(String, String)] {
        &self.files
    }

    /// Where phones register.
    pub fn phones(&self) -> SocketAddr {
        at(self.server, 5060)
    }

    /// Where the carrier calls.
    pub fn trunks(&self) -> SocketAddr {
        at(self.server, 5080)
    }
}
