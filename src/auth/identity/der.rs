//! As much DER as it takes to find an extension in a certificate and to read a TNAuthList, and the form of an ECDSA signature.
#![deny(clippy::indexing_slicing)]

/// Tags that are looked at.
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const OID: u8 = 0x06;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const IA5: u8 = 0x16;

/// Reads elements one after the other.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// Tag and content of the next element; `None` at the end or where the bytes are no DER.
    pub fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => {
                let (&length, rest) = rest.split_first()?;
                (usize::from(length), rest)
            }
            0x82 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            0x83 => {
                let (length, rest) = rest.split_first_chunk::<3>()?;
                let [a, b, c] = length.map(usize::from);
                (a << 16 | b << 8 | c, rest)
            }
            _ => return None,
        };
        let content = rest.get(..length)?;
        self.0 = rest.get(length..)?;
        Some((tag, content))
    }

    /// The content of the next element, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.next()?;
        (found == tag).then_some(content)
    }
}

/// The content of an extension of a certificate, by the bytes of its OID.
pub(super) fn extension<'a>(certificate: &'a [u8], oid: &[u8]) -> Option<&'a [u8]> {
    let body = Reader::new(certificate).expect(SEQUENCE)?;
    let mut fields = Reader::new(Reader::new(body).expect(SEQUENCE)?);
    let list = loop {
        let (tag, content) = fields.next()?;
        // extensions: [3], the last field (RFC 5280 §4.1)
        if tag == 0xa3 {
            break Reader::new(content).expect(SEQUENCE)?;
        }
    };
    let mut list = Reader::new(list);
    while let Some(one) = list.expect(SEQUENCE) {
        let mut one = Reader::new(one);
        let found = one.expect(OID)?;
        let (mut tag, mut content) = one.next()?;
        if tag == BOOLEAN {
            (tag, content) = one.next()?;
        }
        if found == oid && tag == OCTETS {
            return Some(content);
        }
    }
    None
}

/// A signature of 64 bytes, as JWS has it (RFC 7515 §3.4), as X.509 has it.
pub(super) fn signature(fixed: &[u8; 64]) -> Vec<u8> {
    let (r, s) = fixed.split_at(32);
    let mut body = Vec::with_capacity(72);
    for number in [r, s] {
        let skip = number.iter().take_while(|&&byte| byte == 0).count().min(31);
        let number = number.get(skip..).unwrap_or_default();
        let pad = number.first().is_some_and(|&byte| byte >= 0x80);
        body.push(INTEGER);
        body.push(u8::try_from(number.len()).unwrap_or(0) + u8::from(pad));
        if pad {
            body.push(0);
        }
        body.extend_from_slice(number);
    }
    let mut out = vec![SEQUENCE, u8::try_from(body.len()).unwrap_or(0)];
    out.append(&mut body);
    out
}
