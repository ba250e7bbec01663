//! `strowger passwd`: password hashes for the directory (RFC 7616 §3.4.2, HA1).

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use md5::{Digest, Md5};
use sha2::Sha256;

use super::check::load;
use super::{WRONG, complain, say};

/// Reads a password and prints its hashes as TOML lines.
pub fn passwd(directory: &Path, extension: &str, realm: Option<String>) -> ExitCode {
    let realm = match realm {
        Some(realm) => realm,
        None => match load(directory) {
            Some(settings) => settings.server.domain.to_string(),
            None => return ExitCode::from(WRONG),
        },
    };
    if std::io::stdin().is_terminal() {
        complain("Password, then Enter (it is shown while you type):");
    }
    let mut line = String::new();
    if let Err(error) = std::io::stdin().lock().read_line(&mut line) {
        complain(&format!("cannot read a password: {error}"));
        return ExitCode::from(WRONG);
    }
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        complain("the password is empty");
        return ExitCode::from(WRONG);
    }
    let [md5, sha256] = hashes(extension, &realm, password);
    say(&format!("# extension {extension}, realm {realm}"));
    say(&format!("ha1-md5    = \"{md5}\""));
    say(&format!("ha1-sha256 = \"{sha256}\""));
    ExitCode::SUCCESS
}

fn hashes(user: &str, realm: &str, password: &str) -> [String; 2] {
    let text = format!("{user}:{realm}:{password}");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        hex(&Md5::digest(text.as_bytes())),
        hex(&Sha256::digest(text.as_bytes())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_rfc_7616() {
        // RFC 2617 §3.5 gives H(A1) of this user.
        let [md5, _] = hashes("Mufasa", "testrealm@host.com", "Circle Of Life");
        assert_eq!(md5, "939e7578ed9e3c518a452acee763bce9");
        // RFC 7616 §3.9.1: both algorithms, checked with sha256sum.
        let [md5, sha256] = hashes("Mufasa", "http-auth@example.org", "Circle of Life");
        assert_eq!(md5, "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(
            sha256,
            "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
        );
    }
}
