//! Matching: which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3, §8.2.2.2), with and without the magic cookie.

use std::hash::{BuildHasher, Hasher};

use smallvec::SmallVec;

use crate::base::Entropy;
use crate::base::map::HashKey;
use crate::sip::{Message, Method, Via};

/// What every branch of RFC 3261 begins with; one without it comes from an element of RFC 2543.
const COOKIE: &[u8; 7] = b"z9hG4bK";
const TOKEN_CHARS: usize = 20;

/// The branch of one of our client transactions: the magic cookie and 100 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch([u8; COOKIE.len() + TOKEN_CHARS]);

impl Branch {
    pub(super) fn new(entropy: &mut Entropy) -> Self {
        let mut branch = [0u8; COOKIE.len() + TOKEN_CHARS];
        let token = entropy.token::<TOKEN_CHARS>();
        for (place, byte) in branch.iter_mut().zip(COOKIE.iter().chain(token.iter())) {
            *place = *byte;
        }
        Branch(branch)
    }

    /// The branch as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the cookie and the token are ASCII")
    }
}

impl AsRef<[u8]> for Branch {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for Branch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fingerprint of what identifies a transaction: 128 bits of keyed hash, so that a key is small whatever a peer writes. Among
/// a million live transactions two share one with a probability of 2^-88.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct MatchKey(u128);

impl MatchKey {
    /// The first 64 of its bits.
    pub(super) fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The last 64 of its bits.
    pub(super) fn low(self) -> u64 {
        (self.0 & u128::from(u64::MAX)) as u64
    }

    #[cfg(test)]
    pub(super) fn of(number: u64) -> Self {
        MatchKey(number.into())
    }
}

/// A fingerprint of From tag, Call-ID and CSeq: equal for two requests that were one before a fork merged (§8.2.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct MergeKey(u128);

/// What goes into a fingerprint, gathered so that each of the two hashes takes it at once: hashing many small parts costs
/// several times as much.
struct Fingerprint(SmallVec<[u8; 192]>);

fn fingerprint() -> Fingerprint {
    Fingerprint(SmallVec::new())
}

impl Fingerprint {
    fn number(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    /// Like [`Fingerprint::bytes`], blind to the case of ASCII letters.
    fn caseless(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
        let start = self.0.len() - bytes.len();
        if let Some(written) = self.0.get_mut(start..) {
            written.make_ascii_lowercase();
        }
    }

    fn finish(&self) -> u128 {
        let half = |number: u8| {
            let mut hasher = HashKey::default().build_hasher();
            hasher.write_u8(number);
            hasher.write(&self.0);
            u128::from(hasher.finish())
        };
        half(1) << 64 | half(2)
    }
}

fn has_cookie(branch: &[u8]) -> bool {
    branch
        .split_at_checked(COOKIE.len())
        .is_some_and(|(cookie, rest)| cookie.eq_ignore_ascii_case(COOKIE) && !rest.is_empty())
}

/// The branch of a Via if it is unique by RFC 3261: with the cookie, and with something after it (RFC 4475 §3.2.1).
fn unique_branch<'a>(via: &Via<'a>) -> Option<&'a [u8]> {
    via.branch().filter(|branch| has_cookie(branch))
}

/// True when a request comes from an element of RFC 2543, which knows no unique branches.
pub(super) fn is_old_style(request: &Message) -> bool {
    unique_branch(&request.top_via()).is_none()
}

/// The key of a request as a transaction of `method`: branch, sent-by and method; without the cookie, Request-URI, tags, Call-ID,
/// CSeq number and the whole top Via.
fn server_key_as(request: &Message, via: &Via<'_>, method: &Method, with_to_tag: bool) -> MatchKey {
    let mut print = fingerprint();
    print.bytes(method.as_str().as_bytes());
    match unique_branch(via) {
        Some(branch) => {
            print.number(1);
            print.bytes(branch);
            print.caseless(via.host);
            print.number(u32::from(via.port.unwrap_or(5060)));
        }
        None => {
            print.number(if with_to_tag { 2 } else { 3 });
            print.bytes(request.uri_bytes());
            print.bytes(request.from_tag().unwrap_or_default());
            print.bytes(request.call_id());
            print.number(request.cseq().number);
            print.bytes(via.raw);
            if with_to_tag {
                print.bytes(request.to_tag().unwrap_or_default());
            }
        }
    }
    MatchKey(print.finish())
}

/// The key under which a request makes, or finds, its server transaction.
pub(super) fn server_key(request: &Message, top_via: &Via<'_>) -> MatchKey {
    server_key_as(request, top_via, request.method(), true)
}

/// The key under which an ACK or a CANCEL finds the INVITE that it is for. Without the cookie it leaves the To tag out, because
/// the ACK carries that of the response.
pub(super) fn invite_key(request: &Message) -> MatchKey {
    server_key_as(request, &request.top_via(), &Method::Invite, false)
}

/// The key of a client transaction: the top Via's branch and the CSeq method (§17.1.3), of its request or of a response to it.
pub(super) fn client_key(message: &Message) -> MatchKey {
    let mut print = fingerprint();
    print.bytes(message.method().as_str().as_bytes());
    print.bytes(message.top_via().branch().unwrap_or_default());
    MatchKey(print.finish())
}

/// The key that merged requests share.
pub(super) fn merge_key(request: &Message) -> MergeKey {
    let mut print = fingerprint();
    print.bytes(request.method().as_str().as_bytes());
    print.bytes(request.from_tag().unwrap_or_default());
    print.bytes(request.call_id());
    print.number(request.cseq().number);
    MergeKey(print.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn requests_with_different_branches_have_different_keys() {
        let mut seen = std::collections::BTreeMap::new();
        for number in 0..20_000 {
            let text = format!(
                "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{number}\r\nFrom: <sip:a@b>;tag={number}\r\n\
                 To: <sip:a>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\n\r\n"
            );
            let request = Message::parse(Bytes::from(text)).expect("parses");
            let earlier = seen.insert(server_key(&request, &request.top_via()).0, number);
            assert_eq!(earlier, None, "{number}");
        }
    }
}
