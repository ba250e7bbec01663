//! Who a call was meant for before it came here: Diversion, History-Info, and each as the other (RFC 5806, RFC 7044, RFC 7544).

use crate::sip::header::uri::Uri;
use crate::sip::{Message, Name};

/// Most diversions that are passed on; the oldest and the newest are what people are shown.
const DIVERSIONS_MAX: usize = 5;

/// One party that sent a call on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diversion {
    /// Its URI, without brackets.
    pub uri: String,
    /// Its name, or nothing.
    pub name: Option<String>,
    /// Why, in the words of RFC 5806 §5: `unconditional`, `user-busy`, `no-answer`, `deflection`, …
    pub reason: String,
    /// It wants not to be named (RFC 3323, RFC 5806 `privacy`).
    pub private: bool,
}

/// The words of RFC 5806 and the cause URI values of RFC 4458 that stand for them (RFC 7544 §4).
const REASONS: &[(&str, u16)] = &[
    ("unconditional", 302),
    ("user-busy", 486),
    ("no-answer", 408),
    ("deflection", 480),
    ("unavailable", 503),
    ("time-of-day", 404),
    ("do-not-disturb", 404),
    ("follow-me", 404),
    ("out-of-service", 404),
    ("away", 404),
    ("unknown", 404),
];

fn cause_of(reason: &str) -> u16 {
    REASONS
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(reason))
        .map_or(404, |(_, cause)| *cause)
}

fn reason_of(cause: u16) -> &'static str {
    REASONS
        .iter()
        .find(|(_, code)| *code == cause)
        .map_or("unknown", |(word, _)| match *word {
            "time-of-day" => "unknown",
            word => word,
        })
}

fn word(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let fits = !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fits.then(|| text.to_ascii_lowercase())
}

fn plain(uri: &Uri<'_>) -> Option<String> {
    let end = memchr::memchr(b'?', uri.raw).unwrap_or(uri.raw.len());
    let text = std::str::from_utf8(uri.raw.get(..end)?).ok()?;
    (text.len() <= 200).then(|| text.to_owned())
}

/// The diversions that a request carries, newest first: of Diversion, or of History-Info where there is none (RFC 7544 §5).
pub fn read(request: &Message) -> Vec<Diversion> {
    let list: Vec<Diversion> = request
        .addresses(Name::Diversion)
        .filter_map(Result::ok)
        .filter_map(|address| {
            Some(Diversion {
                uri: plain(&address.uri)?,
                name: address.display_text(),
                reason: address
                    .params
                    .value("reason")
                    .and_then(word)
                    .unwrap_or_else(|| "unknown".to_owned()),
                private: address
                    .params
                    .value("privacy")
                    .is_some_and(|value| !value.eq_ignore_ascii_case(b"off")),
            })
        })
        .take(DIVERSIONS_MAX)
        .collect();
    if list.is_empty() {
        from_history(request)
    } else {
        list
    }
}

/// An entry with a cause was reached because the one before it sent the call on.
fn from_history(request: &Message) -> Vec<Diversion> {
    let entries: Vec<_> = request
        .addresses(Name::HistoryInfo)
        .filter_map(Result::ok)
        .take(20)
        .collect();
    let mut list: Vec<Diversion> = entries
        .windows(2)
        .filter_map(|pair| {
            let [from, to] = pair else { return None };
            let cause = to
                .uri
                .params
                .value("cause")
                .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())?;
            Some(Diversion {
                uri: plain(&from.uri)?,
                name: from.display_text(),
                reason: reason_of(cause).to_owned(),
                private: memchr::memmem::find(from.uri.headers, b"rivacy=").is_some(),
            })
        })
        .collect();
    list.reverse();
    list.truncate(DIVERSIONS_MAX);
    list
}

impl Diversion {
    fn address(&self, veil: bool) -> String {
        if veil && self.private {
            return "<sip:anonymous@anonymous.invalid>".to_owned();
        }
        let mut text = String::new();
        if let Some(name) = &self.name {
            crate::sip::header::auth::quote(name.as_bytes(), &mut text);
            text.push(' ');
        }
        text.push('<');
        text.push_str(&self.uri);
        text.push('>');
        text
    }

    /// As a Diversion value. `veil` hides who wants not to be named.
    pub fn value(&self, veil: bool) -> String {
        let privacy = if self.private { ";privacy=full" } else { "" };
        format!(
            "{};reason={};counter=1{privacy}",
            self.address(veil),
            self.reason
        )
    }
}

/// The same as History-Info values, oldest first, ending with who is called now (RFC 7544 §4).
pub fn history(diversions: &[Diversion], target: &str, veil: bool) -> Vec<String> {
    let mut values = Vec::new();
    let mut index = String::from("1");
    let mut cause = None;
    for diversion in diversions.iter().rev() {
        let hidden = veil && diversion.private;
        let uri = if hidden {
            "sip:anonymous@anonymous.invalid"
        } else {
            diversion.uri.as_str()
        };
        values.push(entry(uri, cause, &index, diversion.private && !hidden));
        cause = Some(cause_of(&diversion.reason));
        index.push_str(".1");
    }
    values.push(entry(target, cause, &index, false));
    values
}

fn entry(uri: &str, cause: Option<u16>, index: &str, private: bool) -> String {
    let cause = cause.map_or_else(String::new, |cause| format!(";cause={cause}"));
    let privacy = if private { "?Privacy=history" } else { "" };
    let mapped = if cause.is_empty() { "" } else { ";mp=1" };
    format!("<{uri}{cause}{privacy}>;index={index}{mapped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(headers: &str) -> Message {
        let text = format!(
            "INVITE sip:1001@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\n\
             From: <sip:a@192.0.2.9>;tag=1\r\nTo: <sip:1001@192.0.2.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\
             {headers}Content-Length: 0\r\n\r\n"
        );
        Message::parse(bytes::Bytes::from(text)).expect("an INVITE")
    }

    #[test]
    fn diversion_becomes_history_and_comes_back() {
        let read_in = read(&invite(
            "Diversion: \"Second\" <sip:2@x>;reason=no-answer;privacy=full, <sip:1@x>;reason=user-busy\r\n",
        ));
        assert_eq!(read_in.len(), 2);
        let values = history(&read_in, "sip:3@x", false);
        assert_eq!(
            values,
            [
                "<sip:1@x>;index=1",
                "<sip:2@x;cause=486?Privacy=history>;index=1.1;mp=1",
                "<sip:3@x;cause=408>;index=1.1.1;mp=1",
            ]
        );
        let lines: String = values
            .iter()
            .map(|value| format!("History-Info: {value}\r\n"))
            .collect();
        let back = read(&invite(&lines));
        let reasons: Vec<&str> = back.iter().map(|d| d.reason.as_str()).collect();
        assert_eq!(reasons, ["no-answer", "user-busy"]);
        assert!(back[0].private && !back[1].private);
        assert_eq!(back[0].uri, "sip:2@x;cause=486");
        assert_eq!(back[1].uri, "sip:1@x");
    }

    #[test]
    fn who_wants_not_to_be_named_is_not() {
        let list = read(&invite(
            "Diversion: \"Ada\" <sip:2@x>;reason=no-answer;privacy=full\r\n",
        ));
        let value = list[0].value(true);
        assert!(!value.contains("Ada") && !value.contains("2@x"), "{value}");
        assert!(
            list[0]
                .value(false)
                .contains("\"Ada\" <sip:2@x>;reason=no-answer")
        );
        assert!(!history(&list, "sip:3@x", true).join(",").contains("2@x"));
    }

    #[test]
    fn endless_lists_and_odd_reasons_are_bounded() {
        let many = "Diversion: <sip:1@x>;reason=\"a b\"\r\n".repeat(50);
        let list = read(&invite(&many));
        assert_eq!(list.len(), DIVERSIONS_MAX);
        assert_eq!(list[0].reason, "unknown");
    }
}
