//! What a refused request still tells, so that its sender can be told why.
#![deny(clippy::indexing_slicing)]

use bytes::Bytes;

use super::error::Salvaged;
use super::message::{Message, Span};
use super::method::is_token;
use super::{Name, Via, split_commas};

impl Message {
    /// The parts that the answer to a refused request repeats (RFC 3261 §8.2.6.2). `None` for responses, for ACK, which is
    /// never answered, and when a part is missing or could not be written into an answer.
    pub fn salvage(datagram: &Bytes) -> Option<Salvaged> {
        let mut lines = Lines {
            text: datagram,
            at: 0,
        };
        let start = lines.find(|line| !line.is_empty())?;
        let method = start.split(|&byte| byte == b' ').next()?;
        if !is_token(method) || method == b"ACK" {
            return None;
        }
        let mut vias = Vec::new();
        let [mut from, mut to, mut call_id, mut cseq] = [const { None::<Bytes> }; 4];
        for line in lines.take_while(|line| !line.is_empty()) {
            let Some(colon) = memchr::memchr(b':', line) else {
                continue;
            };
            let (name, value) = line.split_at_checked(colon)?;
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let name = Name::parse(name.trim_ascii());
            let slot = match name {
                Name::Via => None,
                Name::From => Some(&mut from),
                Name::To => Some(&mut to),
                Name::CallId => Some(&mut call_id),
                Name::CSeq => Some(&mut cseq),
                _ => continue,
            };
            if value.is_empty() || value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                continue;
            }
            let span = Span::of(datagram, value);
            let value = datagram.slice(span.start as usize..span.end as usize);
            match slot {
                None => vias.push(value),
                Some(slot) => {
                    slot.get_or_insert(value);
                }
            }
        }
        // Without a readable top Via nobody knows where the answer belongs.
        Via::parse(split_commas(vias.first()?).next()?).ok()?;
        Some(Salvaged {
            vias,
            from: from?,
            to: to?,
            call_id: call_id?,
            cseq: cseq?,
        })
    }
}

/// Lines however they end, trimmed, with folded lines kept together. A line of white space only is folding, as it is for the
/// parser: whoever cuts lines differently sees other headers.
pub(super) struct Lines<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let mut end = 0;
        loop {
            end += memchr::memchr(b'\n', rest.get(end..)?).map_or(rest.len() - end, |at| at + 1);
            let blank = matches!(rest.get(..end)?, b"\r\n" | b"\n");
            if blank || !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        self.at += end;
        Some(rest.get(..end)?.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: &str = "INVITE sip:a@x SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1, SIP/2.0/UDP 192.0.2.2\r\n\
        v: SIP/2.0/UDP 192.0.2.3\r\n\
        no colon here\r\n\
        f: <sip:b@x>;tag=1\r\nTo : <sip:a@x>\r\n\
        Call-ID: 1@x\r\nCSeq: 1 BYE\r\nContent-Length: -3\r\n\r\n";

    #[test]
    fn a_broken_request_still_gives_what_an_answer_repeats() {
        let salvaged =
            Message::salvage(&Bytes::from_static(BROKEN.as_bytes())).expect("answerable");
        assert_eq!(salvaged.vias.len(), 2);
        assert_eq!(&salvaged.to[..], b"<sip:a@x>");
        assert_eq!(&salvaged.cseq[..], b"1 BYE");
    }

    #[test]
    fn responses_acks_and_noise_are_never_answered() {
        for text in [
            BROKEN.replace("INVITE sip:a@x SIP/2.0", "ACK sip:a@x SIP/2.0"),
            BROKEN.replace("INVITE sip:a@x SIP/2.0", "SIP/2.0 200 OK"),
            BROKEN.replace("Call-ID: 1@x\r\n", ""),
            BROKEN.replace("SIP/2.0/UDP 192.0.2.1", "what"),
            "\r\n\r\n".to_owned(),
            String::new(),
            "x".to_owned(),
        ] {
            assert_eq!(Message::salvage(&Bytes::from(text.clone())), None, "{text}");
        }
    }
}
