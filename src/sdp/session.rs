//! Reads a session description into spans of lines, and keeps the bytes.
#![deny(clippy::indexing_slicing)]

use bytes::Bytes;

use super::media::{Connection, Media};

/// Largest description read, in bytes. Real ones are 0.3–6 kB; guess with room for web browsers with many candidates.
pub const SESSION_BYTES_MAX: usize = 64 * 1024;
/// Most lines in one description (guess).
pub const LINES_MAX: usize = 2048;
/// Most media sections in one description (guess; a browser with video and data has three).
pub const MEDIA_MAX: usize = 32;
/// Most lines in one media section (guess).
pub const SECTION_LINES_MAX: usize = 512;

/// Why a description was not read. All are the peer's fault: 400 or 488 towards it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SdpError {
    /// More bytes, lines or media sections than the limits allow.
    #[error("session description is too large ({0})")]
    TooLarge(&'static str),
    /// The first line is not `v=0`.
    #[error("session description does not begin with v=0")]
    NoVersion,
    /// A line is not `letter=value`.
    #[error("line {0} of the session description is not of the form letter=value")]
    Line(usize),
    /// A media line has no valid port, profile or format list (RFC 8866 §5.14).
    #[error("line {0} of the session description is not a valid media line")]
    MediaLine(usize),
}

/// One line: its letter, and where its value is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) letter: u8,
    start: u32,
    end: u32,
}

/// One media section: what its media line says, and which lines are its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) port: u16,
}

/// A session description: its bytes and where its lines are. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Session {
    bytes: Bytes,
    lines: Vec<Line>,
    sections: Vec<Section>,
}

impl Session {
    /// Reads a description. Lines may end in CRLF or LF; empty lines and blanks at their ends are ignored.
    pub fn parse(body: impl Into<Bytes>) -> Result<Session, SdpError> {
        let bytes: Bytes = body.into();
        if bytes.len() > SESSION_BYTES_MAX {
            return Err(SdpError::TooLarge("bytes"));
        }
        let mut lines = Vec::with_capacity(24);
        let mut sections: Vec<Section> = Vec::with_capacity(2);
        let mut offset = 0usize;
        for (number, raw) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let start = offset;
            offset += raw.len() + 1;
            let text = raw.trim_ascii_end();
            let (letter, value) = match text {
                [] => continue,
                [letter, b'=', value @ ..] if letter.is_ascii_alphabetic() => (*letter, value),
                _ => return Err(SdpError::Line(number + 1)),
            };
            if value.iter().any(|byte| *byte == 0 || *byte == b'\r') {
                return Err(SdpError::Line(number + 1));
            }
            if lines.is_empty() && (letter != b'v' || value.trim_ascii() != b"0") {
                return Err(SdpError::NoVersion);
            }
            if lines.len() == LINES_MAX {
                return Err(SdpError::TooLarge("lines"));
            }
            let index = lines.len() as u32;
            let value_start = start + 2;
            lines.push(Line {
                letter,
                start: value_start as u32,
                end: (value_start + value.len()) as u32,
            });
            if letter == b'm' {
                if sections.len() == MEDIA_MAX {
                    return Err(SdpError::TooLarge("media sections"));
                }
                let port = media_port(value).ok_or(SdpError::MediaLine(number + 1))?;
                sections.push(Section {
                    first: index,
                    last: index,
                    port,
                });
            } else if let Some(section) = sections.last_mut() {
                section.last = index;
                if (section.last - section.first) as usize > SECTION_LINES_MAX {
                    return Err(SdpError::TooLarge("lines of a media section"));
                }
            }
        }
        if lines.is_empty() {
            return Err(SdpError::NoVersion);
        }
        Ok(Session {
            bytes,
            lines,
            sections,
        })
    }

    /// The description as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Number of media sections.
    pub fn media_count(&self) -> usize {
        self.sections.len()
    }

    /// The media sections in their order.
    pub fn media(&self) -> impl Iterator<Item = Media<'_>> {
        self.sections
            .iter()
            .map(move |section| Media::new(self, *section))
    }

    /// One media section by its place.
    pub fn media_at(&self, index: usize) -> Option<Media<'_>> {
        self.sections
            .get(index)
            .map(|section| Media::new(self, *section))
    }

    /// The session-level `c=` line (RFC 8866 §5.7), if it can be read.
    pub fn connection(&self) -> Option<Connection<'_>> {
        self.session_lines()
            .find(|(letter, _)| *letter == b'c')
            .and_then(|(_, value)| Connection::parse(value))
    }

    /// The value of the first session-level attribute of that name; empty for a flag.
    pub fn attribute(&self, name: &str) -> Option<&[u8]> {
        self.session_lines()
            .filter(|(letter, _)| *letter == b'a')
            .find_map(|(_, value)| attribute_value(value, name))
    }

    /// Session id and version of the `o=` line (RFC 8866 §5.2) where they are numbers; many phones write odd ones.
    pub fn origin(&self) -> Option<(u64, u64)> {
        let (_, value) = self.session_lines().find(|(letter, _)| *letter == b'o')?;
        let mut words = words(value).skip(1);
        let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
        Some((number()?, number()?))
    }

    /// Lines before the first media section as (letter, value).
    pub fn session_lines(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let end = self
            .sections
            .first()
            .map_or(self.lines.len(), |section| section.first as usize);
        self.lines
            .iter()
            .take(end)
            .map(|line| (line.letter, self.value(line)))
    }

    /// Lines of one media section after its media line, as (letter, value).
    pub(super) fn section_lines(&self, section: Section) -> impl Iterator<Item = (u8, &[u8])> {
        self.lines
            .get(section.first as usize + 1..=section.last as usize)
            .unwrap_or_default()
            .iter()
            .map(|line| (line.letter, self.value(line)))
    }

    /// The value of the media line of a section.
    pub(super) fn media_line(&self, section: Section) -> &[u8] {
        self.lines
            .get(section.first as usize)
            .map(|line| self.value(line))
            .unwrap_or_default()
    }

    fn value(&self, line: &Line) -> &[u8] {
        self.bytes
            .get(line.start as usize..line.end as usize)
            .unwrap_or_default()
    }
}

/// Blank-separated words, empty ones left out.
pub(super) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b' ' || *byte == b'\t')
        .filter(|word| !word.is_empty())
}

/// `name` or `name:value` -> value, if the name is that one.
pub(super) fn attribute_value<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let head = line.get(..name.len())?;
    if !head.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    match line.get(name.len()..)? {
        [] => Some(&[]),
        [b':', value @ ..] => Some(value.trim_ascii()),
        _ => None,
    }
}

/// Checks a media line (kind, port, profile, at least one format, all printable) and returns its port.
fn media_port(value: &[u8]) -> Option<u16> {
    if !value
        .iter()
        .all(|byte| byte.is_ascii_graphic() || *byte == b' ' || *byte == b'\t')
    {
        return None;
    }
    let mut words = words(value);
    words.next()?;
    let port = words.next()?;
    words.next()?;
    words.next()?;
    let (port, count) = match port.iter().position(|byte| *byte == b'/') {
        Some(at) => (port.get(..at)?, Some(port.get(at + 1..)?)),
        None => (port, None),
    };
    if let Some(count) = count {
        decimal::<u16>(count)?;
    }
    decimal(port)
}

/// A decimal number without sign.
pub(super) fn decimal<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
