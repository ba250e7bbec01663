//! Frames of the journal: `length u32 LE | CRC-32 u32 LE | JSON`, and the reader that finds its way past damage.
//!
//! The CRC covers the length as well, so a flipped bit anywhere in a frame is seen. After a damaged frame the reader looks for
//! the next position that holds a whole valid frame; what lies between is handed out as damage, never as data.
#![deny(clippy::indexing_slicing)]

use std::io;

use serde::Serialize;

/// Bytes before the JSON: length and checksum.
pub const HEADER_BYTES: usize = 8;
/// Longest JSON of one frame, in bytes. A call with many legs has some 10 kB; a length beyond this is damage.
pub const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length);
    crc.update(payload);
    crc.finalize()
}

/// Appends `value` to `out` as one frame and gives its JSON. On failure `out` is as it was.
pub fn encode<'o, T: Serialize + ?Sized>(out: &'o mut Vec<u8>, value: &T) -> io::Result<&'o [u8]> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    let written = serde_json::to_writer(&mut *out, value).map_err(io::Error::from);
    let payload = out.get(start + HEADER_BYTES..).unwrap_or_default();
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    if let Err(error) = written {
        out.truncate(start);
        return Err(error);
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        out.truncate(start);
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a journal record is larger than 4 MiB",
        ));
    }
    let crc = checksum(length, payload).to_le_bytes();
    if let Some(header) = out.get_mut(start..start + HEADER_BYTES) {
        let (first, second) = header.split_at_mut(4);
        first.copy_from_slice(&length);
        second.copy_from_slice(&crc);
    }
    Ok(out.get(start + HEADER_BYTES..).unwrap_or_default())
}

/// What stands at a place of a journal file.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Piece<'a> {
    /// The JSON of a valid frame.
    Frame {
        /// Where the frame begins, in bytes from the start.
        offset: usize,
        /// Its JSON.
        payload: &'a [u8],
    },
    /// Bytes that are no frame: before the next valid one, or a whole but damaged frame at the end.
    Corrupt {
        /// Where they begin.
        offset: usize,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The beginning of a frame at the end of the file: a write that was cut short.
    Torn {
        /// Where it begins.
        offset: usize,
        /// What there is of it.
        bytes: &'a [u8],
    },
}

/// Reads the pieces of a file in order.
pub struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Pieces<'a> {
    /// Of a whole file.
    pub fn of(bytes: &'a [u8]) -> Self {
        Pieces { bytes, at: 0 }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = self.bytes.get(self.at..)?;
        if rest.is_empty() {
            return None;
        }
        let offset = self.at;
        if let Some(payload) = frame_at(rest) {
            self.at += HEADER_BYTES + payload.len();
            return Some(Piece::Frame { offset, payload });
        }
        let next = (1..rest.len()).find(|&skip| rest.get(skip..).and_then(frame_at).is_some());
        if let Some(skip) = next {
            self.at += skip;
            let bytes = rest.get(..skip).unwrap_or_default();
            return Some(Piece::Corrupt { offset, bytes });
        }
        self.at = self.bytes.len();
        let bytes = rest;
        if is_beginning(without_room(rest)) {
            Some(Piece::Torn { offset, bytes })
        } else {
            Some(Piece::Corrupt { offset, bytes })
        }
    }
}

fn length_at(bytes: &[u8]) -> Option<([u8; 4], usize)> {
    let raw: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    let length = usize::try_from(u32::from_le_bytes(raw)).ok()?;
    Some((raw, length))
}

/// The JSON of the valid frame with which `bytes` begins.
fn frame_at(bytes: &[u8]) -> Option<&[u8]> {
    let (raw, length) = length_at(bytes)?;
    if length == 0 || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let crc = u32::from_le_bytes(bytes.get(4..HEADER_BYTES)?.try_into().ok()?);
    let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + length)?;
    // A cheap look before the checksum keeps the search past damage linear in practice: JSON values that we write begin and
    // end with brackets, quotes, or are short.
    let plausible = match (payload.first(), payload.last()) {
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) | (Some(b'"'), Some(b'"')) => true,
        _ => length < 64,
    };
    (plausible && checksum(raw, payload) == crc).then_some(payload)
}

/// `bytes` without the zeros at their end: a segment in use ends in them, and a file system leaves them where a write was under way.
/// No frame ends in a zero, so a whole one loses nothing by it.
pub fn without_room(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0);
    bytes.get(..end.map_or(0, |last| last + 1)).unwrap_or(bytes)
}

/// True when more bytes could make a frame of this.
fn is_beginning(bytes: &[u8]) -> bool {
    match length_at(bytes) {
        None => true,
        Some((_, length)) => {
            length > 0 && length <= PAYLOAD_BYTES_MAX && bytes.len() < HEADER_BYTES + length
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // a test may fall over its own bytes
mod tests {
    use super::*;

    fn file(values: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for value in values {
            encode(&mut out, value).expect("encodes");
        }
        out
    }

    fn payloads(bytes: &[u8]) -> Vec<String> {
        Pieces::of(bytes)
            .filter_map(|piece| match piece {
                Piece::Frame { payload, .. } => Some(String::from_utf8_lossy(payload).into_owned()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn frames_come_back_in_order() {
        assert_eq!(
            payloads(&file(&["a", "bb", ""])),
            ["\"a\"", "\"bb\"", "\"\""]
        );
    }

    #[test]
    fn every_flipped_bit_costs_one_frame_and_is_reported() {
        let whole = file(&["first one", "the second", "number three"]);
        let all = payloads(&whole);
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let got = payloads(&damaged);
            assert_eq!(got.len(), 2, "bit {bit}");
            assert!(got.iter().all(|p| all.contains(p)), "bit {bit}");
            let damage = Pieces::of(&damaged).filter(|p| !matches!(p, Piece::Frame { .. }));
            assert_eq!(damage.count(), 1, "bit {bit}");
        }
    }

    #[test]
    fn every_truncation_is_torn_or_clean() {
        let whole = file(&["first one", "the second"]);
        let first = file(&["first one"]).len();
        for length in 0..whole.len() {
            let pieces: Vec<_> = Pieces::of(&whole[..length]).collect();
            let frames = usize::from(length >= first);
            let torn = usize::from(length != 0 && length != first);
            assert_eq!(pieces.len(), frames + torn, "length {length}");
            if torn == 1 {
                assert!(
                    matches!(pieces.last(), Some(Piece::Torn { .. })),
                    "length {length}"
                );
            }
        }
    }

    #[test]
    fn zeros_after_a_power_cut_are_torn() {
        let mut bytes = file(&["kept"]);
        bytes.extend_from_slice(&[0; 4096]);
        let pieces: Vec<_> = Pieces::of(&bytes).collect();
        assert!(matches!(
            pieces.as_slice(),
            [Piece::Frame { .. }, Piece::Torn { .. }]
        ));
    }

    #[test]
    fn a_frame_cut_short_in_the_room_is_torn_and_a_whole_damaged_one_is_not() {
        let whole = file(&["first one", "the second"]);
        let first = file(&["first one"]).len();
        for length in first..whole.len() {
            let mut bytes = whole[..length].to_vec();
            bytes.resize(length + 4096, 0);
            let pieces: Vec<_> = Pieces::of(&bytes).collect();
            assert!(
                matches!(pieces.as_slice(), [Piece::Frame { .. }, Piece::Torn { .. }]),
                "length {length}"
            );
        }
        let mut damaged = whole.clone();
        damaged[first + HEADER_BYTES + 3] ^= 1;
        damaged.resize(whole.len() + 4096, 0);
        let last = Pieces::of(&damaged).last();
        assert!(matches!(last, Some(Piece::Corrupt { .. })));
    }

    #[test]
    fn any_bytes_are_read_to_their_end() {
        use proptest::prelude::*;
        proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..400))| {
            let mut at = 0;
            for piece in Pieces::of(&bytes) {
                let (offset, length) = match piece {
                    Piece::Frame { offset, payload } => (offset, payload.len() + HEADER_BYTES),
                    Piece::Corrupt { offset, bytes } | Piece::Torn { offset, bytes } => (offset, bytes.len()),
                };
                prop_assert_eq!(offset, at);
                at += length;
            }
            prop_assert_eq!(at, bytes.len());
        });
    }

    #[test]
    fn a_record_too_large_is_refused_and_leaves_no_trace() {
        let mut out = file(&["before"]);
        let before = out.clone();
        assert!(encode(&mut out, &"x".repeat(PAYLOAD_BYTES_MAX)).is_err());
        assert_eq!(out, before);
    }
}
