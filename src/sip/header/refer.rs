//! Refer-To and Replaces: whom a party wants called, and which dialog is to be taken over (RFC 3515 §2.1, RFC 3891 §6.1).
#![deny(clippy::indexing_slicing)]

use bytes::Bytes;

use super::lists::split_at;
use super::name_addr::NameAddr;
use super::params::Params;
use super::uri::{Scheme, decoded};
use crate::sip::ParseError;

/// Longest Call-ID or tag of a dialog that is looked up; real ones have fewer than 100 bytes.
const ID_BYTES_MAX: usize = 256;

/// The dialog that a Replaces value names (RFC 3891 §6.1). Tags are as the user agent that gets the request knows them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaces {
    /// Call-ID of the dialog.
    pub call_id: Bytes,
    /// The tag of who is asked.
    pub to_tag: Bytes,
    /// The tag of its peer.
    pub from_tag: Bytes,
    /// Only if nobody has answered yet.
    pub early_only: bool,
}

impl Replaces {
    /// Reads one value. Both tags must be there, each once.
    pub fn parse(value: &[u8]) -> Result<Replaces, ParseError> {
        let bad = || ParseError::new("Replaces");
        let value = value.trim_ascii();
        let call_id = split_at(value, b';').next().unwrap_or_default();
        let params = Params::new(value.get(call_id.len() + 1..).unwrap_or_default());
        let call_id = call_id.trim_ascii();
        let tag = |name: &str| {
            let mut found = params
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
            match (found.next(), found.next()) {
                (Some((_, Some(tag))), None) if !tag.is_empty() && tag.len() <= ID_BYTES_MAX => {
                    Ok(Bytes::copy_from_slice(tag))
                }
                _ => Err(bad()),
            }
        };
        let fits = !call_id.is_empty()
            && call_id.len() <= ID_BYTES_MAX
            && call_id.iter().all(u8::is_ascii_graphic)
            && !call_id.contains(&b',');
        if !fits {
            return Err(bad());
        }
        Ok(Replaces {
            call_id: Bytes::copy_from_slice(call_id),
            to_tag: tag("to-tag")?,
            from_tag: tag("from-tag")?,
            early_only: params.get("early-only").is_some(),
        })
    }
}

/// What a Refer-To asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReferTo {
    /// User part, escapes resolved; the number of a tel URI. Never with control characters.
    pub user: String,
    /// Host of a SIP URI, lower case; empty for tel.
    pub host: String,
    /// Port of a SIP URI, if written.
    pub port: Option<u16>,
    /// The request that it wants sent, if it says so: INVITE when it does not (RFC 3515 §2.1).
    pub method: Option<Bytes>,
    /// The dialog that the called party is to give up for the new one (RFC 3891 §3).
    pub replaces: Option<Replaces>,
}

impl ReferTo {
    /// Reads one value. A Replaces in it that cannot be read is an error: the transfer would reach somebody else.
    pub fn parse(value: &[u8]) -> Result<ReferTo, ParseError> {
        let bad = || ParseError::new("Refer-To");
        let address = NameAddr::parse(value)?;
        let uri = address.uri;
        if uri.scheme == Scheme::Other {
            return Err(bad());
        }
        let mut replaces = None;
        for header in split_at(uri.headers, b'&') {
            let Some(at) = header.iter().position(|&byte| byte == b'=') else {
                continue;
            };
            let name = decoded(header.get(..at).unwrap_or_default());
            if !name.eq_ignore_ascii_case(b"replaces") {
                continue;
            }
            if replaces.is_some() {
                return Err(bad());
            }
            let value = decoded(header.get(at + 1..).unwrap_or_default());
            replaces = Some(Replaces::parse(&value)?);
        }
        let user = match uri.user {
            Some(_) => uri.user_text().ok_or_else(bad)?,
            None => String::new(),
        };
        Ok(ReferTo {
            user,
            host: String::from_utf8_lossy(uri.host).to_ascii_lowercase(),
            port: uri.port,
            method: uri.params.value("method").map(Bytes::copy_from_slice),
            replaces,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_replaces_in_a_refer_to_is_read() {
        let it = ReferTo::parse(
            b"\"Ada, \\\"B\\\"\" <sip:1002@pbx.example.test:5070;transport=udp?Replaces=a%40192.0.2.1%3Bto-tag%3Dt%3Bfrom-tag%3Df&Require=replaces>",
        )
        .expect("parses");
        assert_eq!(
            (it.user.as_str(), it.host.as_str()),
            ("1002", "pbx.example.test")
        );
        let replaces = it.replaces.expect("a dialog");
        assert_eq!(&replaces.call_id[..], b"a@192.0.2.1");
        assert_eq!(
            (&replaces.to_tag[..], &replaces.from_tag[..]),
            (&b"t"[..], &b"f"[..])
        );
        assert!(!replaces.early_only);
        let tel = ReferTo::parse(b"<tel:+44-20-7946-0000>").expect("parses");
        assert_eq!(
            (tel.user.as_str(), tel.host.as_str()),
            ("+44-20-7946-0000", "")
        );
        let bare = ReferTo::parse(b"sip:1003@example.test;method=INVITE").expect("parses");
        assert_eq!(bare.user, "1003");
        let with = ReferTo::parse(b"<sip:1003@example.test;method=BYE>").expect("parses");
        assert_eq!(with.method.as_deref(), Some(&b"BYE"[..]));
    }

    #[test]
    fn replaces_wants_both_tags_once() {
        let it = Replaces::parse(b"a@b ;from-tag=f;to-tag=t;early-only").expect("parses");
        assert!(it.early_only);
        for bad in [
            "",
            "a@b",
            "a@b;to-tag=t",
            "a@b;to-tag=t;from-tag=",
            "a@b;to-tag=t;from-tag=f;to-tag=u",
            ";to-tag=t;from-tag=f",
            "a b;to-tag=t;from-tag=f",
            "a@b;to-tag=t;from-tag=f, c@d;to-tag=t;from-tag=f",
            "a@b,c;to-tag=t;from-tag=f",
        ] {
            assert!(Replaces::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for bad in [
            "",
            "<mailto:ada@example.test>",
            "<sip:1%0d%0aX@example.test>",
            "<sip:1@x?Replaces=a%3Bto-tag%3Dt>",
            "<sip:1@x?Replaces=a%3Bto-tag%3Dt%3Bfrom-tag%3Df&Replaces=a%3Bto-tag%3Dt%3Bfrom-tag%3Df>",
        ] {
            assert!(ReferTo::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
