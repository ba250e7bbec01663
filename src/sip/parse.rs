//! Cuts a datagram or a framed message into start line, header lines and body, and refuses what may not be passed on.
#![deny(clippy::indexing_slicing)]

use bytes::{Buf, Bytes, BytesMut};

use super::error::START_LINE;
use super::message::{Line, Message, Parts, Span, Start};
use super::method::{is_token, is_token_byte};
use super::{Fault, Method, Name, ParseError, StatusCode};
use crate::base::limits::{HEADERS_MAX, MESSAGE_BYTES_MAX};

impl Message {
    /// Reads one message. Leading line ends are skipped (RFC 3261 §7.5); the body is cut to Content-Length and what follows
    /// is dropped, without Content-Length it reaches to the end (§18.3).
    ///
    /// # Errors
    /// Whatever cannot be answered, routed or matched: see [`ParseError::status`] and [`Message::salvage`].
    pub fn parse(datagram: Bytes) -> Result<Message, ParseError> {
        let mut message = cut(datagram)?;
        message.check()?;
        Ok(message.into())
    }
}

/// How the lines of a message end. A phone that ends them with a lone LF is understood if it does so throughout: mixing both
/// is how two parsers come to see two different messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    CrLf,
    Lf,
}

struct Found {
    /// End of the line's content.
    end: usize,
    /// Start of the next line.
    next: usize,
    ends: Ends,
}

/// The end of the line that starts at `from`; `None` if the bytes run out before.
fn line_end(text: &[u8], from: usize, ends: Option<Ends>) -> Result<Option<Found>, ParseError> {
    let forbidden = |at| ParseError::with("line", Fault::Forbidden).at(at);
    let mut search = from;
    loop {
        let Some(offset) = memchr::memchr3(b'\r', b'\n', 0, text.get(search..).unwrap_or_default())
        else {
            return Ok(None);
        };
        let at = search + offset;
        match (text.get(at), ends) {
            (Some(b'\r'), None | Some(Ends::CrLf)) => {
                return match text.get(at + 1) {
                    Some(b'\n') => Ok(Some(Found {
                        end: at,
                        next: at + 2,
                        ends: Ends::CrLf,
                    })),
                    _ => Err(forbidden(at)),
                };
            }
            (Some(b'\n'), None | Some(Ends::Lf)) => {
                return Ok(Some(Found {
                    end: at,
                    next: at + 1,
                    ends: Ends::Lf,
                }));
            }
            // A quoted pair of a quoted string may hold a NUL (RFC 3261 §25.1); nothing else may.
            (Some(0), _) if ends_in_quoted_pair(text.get(from..at).unwrap_or_default()) => {
                search = at + 1;
            }
            _ => return Err(forbidden(at)),
        }
    }
}

/// True when `line` ends with the backslash of a quoted pair.
fn ends_in_quoted_pair(line: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'"' => quoted = !quoted,
            b'\\' => escaped = quoted,
            _ => {}
        }
    }
    escaped
}

/// Everything but the check of the mandatory headers.
fn cut(mut bytes: Bytes) -> Result<Parts, ParseError> {
    let blank = bytes
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    bytes.advance(blank);
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(ParseError::with("message", Fault::TooLarge).at(MESSAGE_BYTES_MAX));
    }
    let mut message = Parts::empty();
    let Some(first) = line_end(&bytes, 0, None)? else {
        return Err(ParseError::new(START_LINE));
    };
    start_line(&mut message, &bytes, first.end)?;
    let mut folded = false;
    let mut at = first.next;
    loop {
        let Some(found) = line_end(&bytes, at, Some(first.ends))? else {
            return Err(ParseError::with("empty line", Fault::Missing).at(at));
        };
        if found.end == at {
            at = found.next;
            break;
        }
        match bytes.get(at) {
            Some(b' ' | b'\t') => folded |= continuation(&mut message, &bytes, at, found.end)?,
            _ => header_line(&mut message, &bytes, at, found.end)?,
        }
        at = found.next;
    }
    if folded {
        message.unfolded = Some(unfold(&message, &bytes));
    }
    message.body = at as u32;
    let end = body_end(&message, &bytes, at)?;
    bytes.truncate(end);
    message.bytes = bytes;
    Ok(message)
}

fn start_line(message: &mut Parts, bytes: &Bytes, end: usize) -> Result<(), ParseError> {
    let line = bytes.get(..end).unwrap_or_default();
    if line
        .get(..4)
        .is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/"))
    {
        message.start = status_line(line)?;
        return Ok(());
    }
    let foreign = ParseError::new(START_LINE);
    let first_space = memchr::memchr(b' ', line).ok_or(foreign)?;
    let last_space = memchr::memrchr(b' ', line).ok_or(foreign)?;
    let name = line.get(..first_space).unwrap_or_default();
    let version = line.get(last_space + 1..).unwrap_or_default();
    if !is_token(name) {
        return Err(foreign);
    }
    if version.is_empty()
        && line
            .to_ascii_uppercase()
            .windows(4)
            .any(|part| part == b"SIP/")
    {
        return Err(ParseError::new("request line").at(last_space));
    }
    is_our_version(version)?;
    let uri = line
        .get(first_space + 1..last_space)
        .filter(|uri| is_plausible_uri(uri))
        .ok_or(ParseError::new("Request-URI").at(first_space + 1))?;
    message.method =
        Method::known(name).unwrap_or_else(|| Method::Other(bytes.slice(..first_space)));
    message.start = Start::Request {
        uri: Span::of(line, uri),
    };
    Ok(())
}

/// A Request-URI has a scheme and neither white space nor the brackets of a name-addr (RFC 3261 §7.1). Of which scheme it is,
/// and whether it follows that scheme's grammar, is asked by who routes it: an unknown scheme deserves its 416.
fn is_plausible_uri(uri: &[u8]) -> bool {
    let scheme = uri
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        .count();
    scheme > 0
        && uri.get(scheme) == Some(&b':')
        && uri.len() > scheme + 1
        && uri
            .iter()
            .all(|&byte| byte > b' ' && byte != 0x7f && !matches!(byte, b'<' | b'>' | b'"'))
}

fn is_our_version(version: &[u8]) -> Result<(), ParseError> {
    if version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    match version.get(..4) {
        Some(head) if head.eq_ignore_ascii_case(b"SIP/") => {
            Err(ParseError::with("SIP version", Fault::Version))
        }
        _ => Err(ParseError::new(START_LINE)),
    }
}

/// `SIP/2.0 200 OK`; the reason phrase may be empty, and the space before it is missing in the field.
fn status_line(line: &[u8]) -> Result<Start, ParseError> {
    let fault = ParseError::new("status line");
    let version_end = memchr::memchr(b' ', line).ok_or(fault)?;
    is_our_version(line.get(..version_end).unwrap_or_default())?;
    let rest = line.get(version_end + 1..).unwrap_or_default();
    let (digits, reason) = rest.split_at_checked(3).ok_or(fault.at(version_end + 1))?;
    let status = number(digits)
        .and_then(|code| u16::try_from(code).ok())
        .and_then(StatusCode::new)
        .ok_or(fault.at(version_end + 1))?;
    let reason = match reason.split_first() {
        None => reason,
        Some((b' ', phrase)) => phrase,
        Some(_) => return Err(fault.at(version_end + 4)),
    };
    Ok(Start::Response {
        status,
        reason: Span::of(line, reason),
    })
}

fn header_line(
    message: &mut Parts,
    bytes: &[u8],
    start: usize,
    end: usize,
) -> Result<(), ParseError> {
    let line = bytes.get(start..end).unwrap_or_default();
    let name_length = line.iter().take_while(|&&byte| is_token_byte(byte)).count();
    let (written, rest) = line.split_at_checked(name_length).unwrap_or_default();
    let blank = blanks(rest.iter());
    if name_length == 0 || rest.get(blank) != Some(&b':') {
        return Err(ParseError::new("header name").at(start + name_length));
    }
    if message.lines.len() >= HEADERS_MAX {
        return Err(ParseError::with("header count", Fault::TooLarge).at(start));
    }
    let name = Name::parse(written);
    let first = message.push_line(Line {
        start: start as u32,
        value: trimmed(bytes, start + name_length + blank + 1, end),
        name_length: name_length as u16,
        name,
        folded: false,
    });
    if !first && name.is_single() {
        return Err(ParseError::with(name.as_str(), Fault::Duplicate).at(start));
    }
    Ok(())
}

/// A line that begins with white space belongs to the value before it. Says whether that value now has a line end in it.
fn continuation(
    message: &mut Parts,
    bytes: &[u8],
    start: usize,
    end: usize,
) -> Result<bool, ParseError> {
    let fault = ParseError::new("header name").at(start);
    let line = message.lines.last_mut().ok_or(fault)?;
    let more = trimmed(bytes, start, end);
    if more.start == more.end {
        return Ok(false);
    }
    if line.value.start == line.value.end {
        line.value = more;
        return Ok(false);
    }
    line.value.end = more.end;
    line.folded = true;
    Ok(true)
}

/// The span from `start` to `end` without white space around it.
pub(super) fn trimmed(bytes: &[u8], start: usize, end: usize) -> Span {
    let value = bytes.get(start..end).unwrap_or_default();
    let head = blanks(value.iter());
    let tail = blanks(value.iter().skip(head).rev());
    Span::new(start + head, end - tail)
}

fn blanks<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    bytes
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

/// A copy in which folds are spaces, so that no parser of values has to know folding (RFC 3261 §7.3.1).
fn unfold(message: &Parts, bytes: &[u8]) -> Bytes {
    let mut copy = BytesMut::from(bytes);
    for line in message.lines.iter().filter(|line| line.folded) {
        let value = line.value.start as usize..line.value.end as usize;
        for byte in copy.get_mut(value).into_iter().flatten() {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
    copy.freeze()
}

/// Where the body ends. More promised than there is means that the datagram was cut on its way (RFC 3261 §18.3).
fn body_end(message: &Parts, bytes: &[u8], start: usize) -> Result<usize, ParseError> {
    let line = message.span_at(message.first.of(Name::ContentLength));
    if line == Span::default() {
        return Ok(bytes.len());
    }
    let fault = ParseError::new("Content-Length").at(line.start as usize);
    let length = number(line.get(bytes)).ok_or(fault)?;
    usize::try_from(length)
        .ok()
        .and_then(|length| start.checked_add(length))
        .filter(|&end| end <= bytes.len())
        .ok_or(fault)
}

/// Decimal digits only, at least one, below 2^32.
pub(super) fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}
