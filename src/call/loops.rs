//! Calls that come back to us, and how wide one may spread (RFC 5393).
//!
//! Each INVITE of ours for somebody's call bears in its branch, behind the random part, a fingerprint of what the call asked for and on
//! whose behalf. A proxy behind a trunk that sends it back leaves our Via in it: an INVITE with our own Via below the top and the same
//! fingerprint would take the same way for ever (§4.2). One that comes back changed is a spiral and goes on; its hops are counted down.

use std::hash::{BuildHasher, Hasher};

use super::calls::{Call, Calls};
use crate::base::Key;
use crate::base::map::HashKey;
use crate::sip::{Message, Name};

/// Branches that a call may have at a time when it came with no Max-Breadth (RFC 5393 §5.3.3).
pub(super) const BREADTH_MAX: u16 = 60;

/// Where the fingerprint begins in a branch: a character that no token of ours has.
const MARK: u8 = b'.';

/// What a call asks for and on whose behalf: 64 bits of a hash that only this process can make.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cookie(u64);

impl Cookie {
    fn new(secret: u64, context: &str, from: &str, to: &str) -> Cookie {
        let mut hasher = HashKey::default().build_hasher();
        hasher.write_u64(secret);
        for part in [context, from, to] {
            hasher.write(part.as_bytes());
            hasher.write_u8(0xff);
        }
        Cookie(hasher.finish())
    }

    /// A branch that bears it.
    pub(super) fn mark(self, branch: &[u8]) -> Vec<u8> {
        let mut marked = branch.to_vec();
        marked.extend_from_slice(format!(".{:016x}", self.0).as_bytes());
        marked
    }

    /// The fingerprint that a branch of ours bears.
    fn of(branch: &[u8]) -> Option<Cookie> {
        let at = memchr::memrchr(MARK, branch)?;
        let digits = std::str::from_utf8(branch.get(at + 1..)?).ok()?;
        (digits.len() == 16)
            .then(|| u64::from_str_radix(digits, 16).ok().map(Cookie))
            .flatten()
    }
}

/// `branch` with the mark that `other` bears, if it bears one.
pub(super) fn marked_as(branch: &[u8], other: &[u8]) -> Vec<u8> {
    match Cookie::of(other) {
        Some(cookie) => cookie.mark(branch),
        None => branch.to_vec(),
    }
}

/// True when `invite` has been here before and asks for the same again.
pub fn is_loop(invite: &Message, cookie: Cookie) -> bool {
    invite
        .vias()
        .skip(1)
        .filter_map(Result::ok)
        .filter_map(|via| via.branch())
        .any(|branch| Cookie::of(branch) == Some(cookie))
}

/// Max-Breadth of an INVITE; what cannot be read counts as absent.
pub(super) fn breadth_of(invite: &Message) -> u16 {
    invite
        .header(Name::MaxBreadth)
        .and_then(|value| std::str::from_utf8(value).ok())
        .and_then(|value| value.trim().parse::<u16>().ok())
        .map_or(BREADTH_MAX, |breadth| breadth.min(BREADTH_MAX))
}

impl Calls {
    /// The fingerprint of a call from `from` to `to` in a context of the dialplan.
    pub fn cookie(&self, context: &str, from: &str, to: &str) -> Cookie {
        Cookie::new(self.secret, context, from, to)
    }

    /// The next legs of the call are dialled together, this many: they share what breadth it has.
    pub fn spread(&mut self, call: Key<Call>, branches: usize) {
        if let Some(call) = self.calls.get_mut(call) {
            call.breadth.1 = u16::try_from(branches).unwrap_or(u16::MAX).max(1);
        }
    }

    /// Max-Breadth of a leg of the present fork; `None` when the call may not spread that far: 440 (RFC 5393 §5.3.3.1).
    pub(super) fn breadth(&self, call: Key<Call>) -> Option<u16> {
        let (all, branches) = self.calls.get(call)?.breadth;
        Some(all / branches.max(1)).filter(|share| *share > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(below: &str) -> Message {
        let text = format!(
            "INVITE sip:+49@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\n{below}\
             Max-Forwards: 60\r\nFrom: <sip:a@192.0.2.9>;tag=1\r\nTo: <sip:+49@192.0.2.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\
             Content-Length: 0\r\n\r\n"
        );
        Message::parse(bytes::Bytes::from(text)).expect("an INVITE")
    }

    #[test]
    fn same_call_that_comes_back_is_a_loop_and_another_is_a_spiral() {
        let cookie = Cookie::new(3, "inbound", "+441", "+49");
        let branch = String::from_utf8(cookie.mark(b"z9hG4bKtoken")).expect("ASCII");
        let back = invite(&format!(
            "Via: SIP/2.0/UDP 192.0.2.1:5080;branch={branch}\r\n"
        ));
        assert!(is_loop(&back, cookie));
        assert!(!is_loop(&back, Cookie::new(3, "internal", "+441", "+49")));
        assert!(!is_loop(&invite(""), cookie));
        let strange = invite("Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK.0\r\n");
        assert!(!is_loop(&strange, cookie));
    }

    #[test]
    fn breadth_is_ours_at_most() {
        assert_eq!(breadth_of(&invite("")), 60);
        assert_eq!(breadth_of(&invite("Max-Breadth: 7\r\n")), 7);
        assert_eq!(breadth_of(&invite("Max-Breadth: 900\r\n")), 60);
        assert_eq!(breadth_of(&invite("Max-Breadth: wide\r\n")), 60);
    }
}
