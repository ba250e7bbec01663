//! Hides what nobody needs to see in a message: proofs of passwords, and keys of audio.

use crate::sip::Credentials;

/// What stands for something hidden.
const HIDDEN: &[u8] = b"***";

/// The message without secrets: of `Authorization` and `Proxy-Authorization` only user and realm stay (a response can be tried
/// against a dictionary at leisure), of `a=crypto` (RFC 4568) not the key.
pub fn masked(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    let (mut body, mut hiding) = (false, false);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let content = line.trim_ascii_end();
        let ending = line.get(content.len()..).unwrap_or_default();
        let folded = matches!(line.first(), Some(b' ' | b'\t')) && !content.is_empty();
        if body {
            crypto(content, &mut out);
        } else if content.is_empty() {
            (body, hiding) = (true, false);
        } else if folded && hiding {
            continue;
        } else {
            let name = content
                .split(|byte| *byte == b':')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            hiding = name.eq_ignore_ascii_case(b"Authorization")
                || name.eq_ignore_ascii_case(b"Proxy-Authorization");
            if hiding {
                out.extend_from_slice(name);
                out.extend_from_slice(b": ");
                let value = content
                    .splitn(2, |byte| *byte == b':')
                    .nth(1)
                    .unwrap_or_default();
                credentials(value.trim_ascii(), &mut out);
            } else {
                out.extend_from_slice(content);
            }
        }
        out.extend_from_slice(ending);
    }
    out
}

fn credentials(value: &[u8], out: &mut Vec<u8>) {
    if let Ok(credentials) = Credentials::parse(value) {
        out.extend_from_slice(b"Digest username=\"");
        out.extend_from_slice(&credentials.username);
        out.extend_from_slice(b"\", realm=\"");
        out.extend_from_slice(&credentials.realm);
        out.extend_from_slice(b"\", ");
    }
    out.extend_from_slice(HIDDEN);
}

fn crypto(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    if line.starts_with(b"a=crypto:") {
        while let Some(at) = memchr::memmem::find(rest, b"inline:") {
            let key = at + b"inline:".len();
            let (head, tail) = rest.split_at_checked(key).unwrap_or((rest, b""));
            out.extend_from_slice(head);
            out.extend_from_slice(HIDDEN);
            let length = tail
                .iter()
                .take_while(|byte| !matches!(byte, b' ' | b'|' | b';'))
                .count();
            rest = tail.get(length..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        String::from_utf8(masked(text.as_bytes())).expect("text")
    }

    #[test]
    fn proofs_of_passwords_are_hidden_and_nothing_else() {
        let text = "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\
            authorization : Digest username=\"1001\", realm=\"pbx\", nonce=\"n\", uri=\"sip:x\", response=\"0123456789abcdef0123456789abcdef\"\r\n\
            Call-ID: 1\r\n\r\nbody\r\n";
        assert_eq!(
            shown(text),
            "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\
             authorization: Digest username=\"1001\", realm=\"pbx\", ***\r\n\
             Call-ID: 1\r\n\r\nbody\r\n"
        );
    }

    #[test]
    fn folded_and_broken_credentials_are_hidden_whole() {
        let text = "BYE sip:x SIP/2.0\r\nProxy-Authorization: Digest garbage\r\n response=\"secret\"\r\n\tmore=\"secret\"\r\nTo: a\r\n b\r\n\r\n";
        assert_eq!(
            shown(text),
            "BYE sip:x SIP/2.0\r\nProxy-Authorization: ***\r\nTo: a\r\n b\r\n\r\n"
        );
        assert_eq!(shown("Authorization: Basic secret"), "Authorization: ***");
    }

    #[test]
    fn keys_of_audio_are_hidden() {
        let text = "INVITE sip:x SIP/2.0\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20|1:4;inline:b3RoZXI= FEC_ORDER\r\na=sendrecv\r\n";
        assert_eq!(
            shown(text),
            "INVITE sip:x SIP/2.0\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***|2^20|1:4;inline:*** FEC_ORDER\r\na=sendrecv\r\n"
        );
    }
}
