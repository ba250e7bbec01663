//! Checks digest credentials that a scenario saw (RFC 2617 and RFC 7616 with MD5), independently of the server's own code.

use md5::{Digest, Md5};

/// The credentials of one request.
#[derive(Clone, Debug)]
pub struct Proof {
    method: String,
    header: String,
}

/// All credentials in a SIPp message log, in order, repeated requests included.
pub fn proofs(messages: &str) -> Vec<Proof> {
    let mut found = Vec::new();
    let mut method = String::new();
    for line in messages.lines() {
        if line.ends_with(" SIP/2.0") {
            method = line.split(' ').next().unwrap_or_default().to_string();
        } else if let Some((name, value)) = line.split_once(':')
            && ["Authorization", "Proxy-Authorization"].contains(&name)
        {
            found.push(Proof {
                method: method.clone(),
                header: value.trim().to_string(),
            });
        }
    }
    found
}

impl Proof {
    /// A parameter without its quotes.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let rest = self.header.strip_prefix("Digest")?;
        rest.split(',').find_map(|item| {
            let (key, value) = item.split_once('=')?;
            (key.trim().eq_ignore_ascii_case(name)).then(|| value.trim().trim_matches('"'))
        })
    }

    /// Is the response what this user with this password computes?
    pub fn is_by(&self, user: &str, password: &str) -> bool {
        let of = |name| self.parameter(name).unwrap_or_default();
        let secret = md5(&format!("{user}:{}:{password}", of("realm")));
        let request = md5(&format!("{}:{}", self.method, of("uri")));
        let expected = if of("qop").is_empty() {
            md5(&format!("{secret}:{}:{request}", of("nonce")))
        } else {
            md5(&format!(
                "{secret}:{}:{}:{}:{}:{request}",
                of("nonce"),
                of("nc"),
                of("cnonce"),
                of("qop")
            ))
        };
        of("username") == user && of("response") == expected
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn the_example_of_rfc_2617_is_proved() {
    let header = r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1""#;
    let log = format!("GET /dir/index.html SIP/2.0\nAuthorization: {header}\n");
    let proofs = proofs(&log);
    assert!(proofs[0].is_by("Mufasa", "Circle Of Life"));
    assert!(!proofs[0].is_by("Mufasa", "circle of life"));
}
