//! Request methods (RFC 3261 §7.1 and the registry that it opened).

use std::fmt;

use bytes::Bytes;

/// The method of a request, case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// RFC 3261 §13
    Invite,
    /// RFC 3261 §13
    Ack,
    /// RFC 3261 §15
    Bye,
    /// RFC 3261 §9
    Cancel,
    /// RFC 3261 §10
    Register,
    /// RFC 3261 §11
    Options,
    /// RFC 6086
    Info,
    /// RFC 3311
    Update,
    /// RFC 3262
    Prack,
    /// RFC 6665
    Subscribe,
    /// RFC 6665
    Notify,
    /// RFC 3515
    Refer,
    /// RFC 3428
    Message,
    /// RFC 3903
    Publish,
    /// Any other token, as written.
    Other(Bytes),
}

impl Method {
    /// The methods that this server knows, in the order in which an Allow header lists them.
    pub const KNOWN: [Method; 14] = [
        Method::Invite,
        Method::Ack,
        Method::Bye,
        Method::Cancel,
        Method::Register,
        Method::Options,
        Method::Info,
        Method::Update,
        Method::Prack,
        Method::Subscribe,
        Method::Notify,
        Method::Refer,
        Method::Message,
        Method::Publish,
    ];

    /// The method that these bytes name; `None` if they are no token (RFC 3261 §25.1). Copies an unknown name.
    pub fn parse(bytes: &[u8]) -> Option<Method> {
        match Self::known(bytes) {
            Some(method) => Some(method),
            None if is_token(bytes) => Some(Method::Other(Bytes::copy_from_slice(bytes))),
            None => None,
        }
    }

    /// The known method with exactly this name.
    pub(crate) fn known(bytes: &[u8]) -> Option<Method> {
        Some(match bytes {
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"BYE" => Method::Bye,
            b"CANCEL" => Method::Cancel,
            b"REGISTER" => Method::Register,
            b"OPTIONS" => Method::Options,
            b"INFO" => Method::Info,
            b"UPDATE" => Method::Update,
            b"PRACK" => Method::Prack,
            b"SUBSCRIBE" => Method::Subscribe,
            b"NOTIFY" => Method::Notify,
            b"REFER" => Method::Refer,
            b"MESSAGE" => Method::Message,
            b"PUBLISH" => Method::Publish,
            _ => return None,
        })
    }

    /// The name on the wire. `Other` holds a token, which is ASCII.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Register => "REGISTER",
            Method::Options => "OPTIONS",
            Method::Info => "INFO",
            Method::Update => "UPDATE",
            Method::Prack => "PRACK",
            Method::Subscribe => "SUBSCRIBE",
            Method::Notify => "NOTIFY",
            Method::Refer => "REFER",
            Method::Message => "MESSAGE",
            Method::Publish => "PUBLISH",
            Method::Other(name) => std::str::from_utf8(name).unwrap_or("UNKNOWN"),
        }
    }

    /// The name on the wire, as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Method::Other(name) => name,
            known => known.as_str().as_bytes(),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether `byte` may stand in a token (RFC 3261 §25.1).
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Header names are scanned byte by byte: a table is the fastest question that can be asked about one.
static TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(
                byte as u8,
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
            );
        byte += 1;
    }
    table
};

/// Whether `bytes` are a token, that is one or more token bytes (RFC 3261 §25.1).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_method_reads_back_from_its_name() {
        for method in Method::KNOWN {
            assert_eq!(Method::parse(method.as_bytes()), Some(method));
        }
    }

    #[test]
    fn methods_are_case_sensitive_and_must_be_tokens() {
        assert_eq!(
            Method::parse(b"invite"),
            Some(Method::Other(Bytes::from_static(b"invite")))
        );
        assert_eq!(Method::parse(b"IN VITE"), None);
        assert_eq!(Method::parse(b""), None);
        assert_eq!(
            Method::parse(b"!interesting-Method0123456789_*+`.%'~")
                .expect("a token")
                .to_string(),
            "!interesting-Method0123456789_*+`.%'~"
        );
    }
}
