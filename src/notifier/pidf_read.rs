//! Reads a published `application/pidf+xml` document (RFC 3863 §4.1, RFC 4480) as far as it is understood; the rest is left out.
#![deny(clippy::indexing_slicing)]

use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::pidf::{Activity, Tuple};

/// Largest document that is read, in bytes (guess: ten times what a telephone publishes).
pub(super) const DOCUMENT_BYTES_MAX: usize = 16 * 1024;
const TUPLES_MAX: usize = 8;
const ACTIVITIES_MAX: usize = 8;
const TEXT_CHARS_MAX: usize = 256;
const DEPTH_MAX: usize = 32;

/// What was understood of a document.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Document {
    /// Ways to reach the person, in order; at most eight.
    pub tuples: Vec<Tuple>,
    /// What the person is at; at most eight.
    pub activities: Vec<Activity>,
    /// A sentence about the person, or about the whole.
    pub note: Option<Arc<str>>,
}

/// The document that is no PIDF document: answer 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotPidf;

/// Which text is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Basic,
    Contact,
    Note,
    Elsewhere,
}

/// Reads a document. Elements are known by their local names, because devices differ in their prefixes.
pub(super) fn read(bytes: &[u8]) -> Result<Document, NotPidf> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(NotPidf);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| NotPidf)?;
    let mut reader = Reader::from_str(text);
    let mut reading = Reading::default();
    loop {
        match reader.read_event().map_err(|_| NotPidf)? {
            Event::Start(element) => {
                let name: &str = element.local_name().into_inner();
                let priority = attribute(&element, "priority");
                reading.open(name, priority)?;
            }
            Event::Empty(element) => {
                let name: &str = element.local_name().into_inner();
                reading.open(name, None)?;
                reading.close();
            }
            Event::End(_) => reading.close(),
            Event::Text(text) => reading.text(&text.xml10_content()),
            Event::CData(text) => reading.text(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(c)) => reading.text(c.encode_utf8(&mut [0; 4])),
                Ok(None) => reading.text(match &*reference {
                    "lt" => "<",
                    "gt" => ">",
                    "amp" => "&",
                    "quot" => "\"",
                    "apos" => "'",
                    // entities of a document's own are never expanded
                    _ => return Err(NotPidf),
                }),
                Err(_) => return Err(NotPidf),
            },
            // a definition of entities is the way to make a small document large
            Event::DocType(_) => return Err(NotPidf),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if reading.seen && reading.path.is_empty() {
        Ok(reading.document)
    } else {
        Err(NotPidf)
    }
}

fn attribute(element: &quick_xml::events::BytesStart<'_>, wanted: &str) -> Option<u16> {
    let found = element
        .attributes()
        .filter_map(Result::ok)
        .find(|attribute| {
            let name: &str = attribute.key.into_inner();
            name == wanted
        })?;
    let value: f64 = found.value.trim().parse().ok()?;
    // between 0 and 1 (RFC 3863 §4.1.5), so at most 1000
    (0.0..=1.0)
        .contains(&value)
        .then_some((value * 1000.0) as u16)
}

#[derive(Default)]
struct Reading {
    document: Document,
    path: Vec<String>,
    tuple: Option<Tuple>,
    words: String,
    seen: bool,
}

impl Reading {
    fn place(&self) -> Place {
        match self.path.last().map(String::as_str) {
            Some("basic") => Place::Basic,
            Some("contact") => Place::Contact,
            Some("note") => Place::Note,
            _ => Place::Elsewhere,
        }
    }

    fn open(&mut self, name: &str, priority: Option<u16>) -> Result<(), NotPidf> {
        if self.path.is_empty() && (self.seen || name != "presence") {
            return Err(NotPidf);
        }
        self.seen = true;
        if self.path.len() >= DEPTH_MAX {
            return Err(NotPidf);
        }
        if self
            .path
            .last()
            .is_some_and(|parent| parent == "activities")
            && let Some(activity) = Activity::parse(name)
            && self.document.activities.len() < ACTIVITIES_MAX
            && !self.document.activities.contains(&activity)
        {
            self.document.activities.push(activity);
        }
        self.path.push(name.to_owned());
        self.words.clear();
        if self.path.len() == 2 && name == "tuple" {
            self.tuple = Some(Tuple::default());
        }
        if name == "contact"
            && let Some(tuple) = &mut self.tuple
        {
            tuple.priority = priority;
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.place() != Place::Elsewhere {
            let room = TEXT_CHARS_MAX.saturating_sub(self.words.chars().count());
            self.words.extend(text.chars().take(room));
        }
    }

    fn close(&mut self) {
        let words = self.words.trim();
        match (self.place(), &mut self.tuple) {
            (Place::Basic, Some(tuple)) => tuple.open = Some(words == "open"),
            (Place::Contact, Some(tuple)) if !words.is_empty() => {
                tuple.contact = Some(Arc::from(words));
            }
            (Place::Note, Some(tuple)) if !words.is_empty() => tuple.note = Some(Arc::from(words)),
            (Place::Note, None) if !words.is_empty() && self.path.len() <= 3 => {
                self.document.note = Some(Arc::from(words));
            }
            _ => {}
        }
        self.words.clear();
        self.path.pop();
        if self.path.len() == 1
            && let Some(tuple) = self.tuple.take()
            && self.document.tuples.len() < TUPLES_MAX
        {
            self.document.tuples.push(tuple);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = r#"<?xml version="1.0"?>
<p:presence xmlns:p="urn:ietf:params:xml:ns:pidf" xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:1001@example.test">
 <p:tuple id="a"><p:status><p:basic> open </p:basic></p:status><p:contact priority="0.8">sip:1001@127.0.0.9</p:contact><p:note>at &lt;home&gt; &#38; well</p:note></p:tuple>
 <p:tuple id="b"><p:status><p:basic>closed</p:basic></p:status></p:tuple>
 <dm:person xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" id="x"><r:activities><r:meeting/><r:juggling/></r:activities><dm:note>room 3</dm:note></dm:person>
</p:presence>"#;

    #[test]
    fn what_a_device_publishes_is_understood() {
        let read = read(PUBLISHED.as_bytes()).expect("a document");
        assert_eq!(read.tuples.len(), 2);
        let first = &read.tuples[0];
        assert_eq!(first.open, Some(true));
        assert_eq!(first.contact.as_deref(), Some("sip:1001@127.0.0.9"));
        assert_eq!(first.priority, Some(800));
        assert_eq!(first.note.as_deref(), Some("at <home> & well"));
        assert_eq!(read.tuples[1].open, Some(false));
        assert_eq!(read.activities, [Activity::Meeting]);
        assert_eq!(read.note.as_deref(), Some("room 3"));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<presence>".to_owned() + &"<x>".repeat(100);
        let huge = format!("<presence>{}</presence>", " ".repeat(DOCUMENT_BYTES_MAX));
        for bad in [
            "",
            "hello",
            "<presence>",
            "<presence></tuple>",
            "<dialog-info/>",
            "<presence/><presence/>",
            "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><presence>&a;</presence>",
            "<presence><note>&a;</note></presence>",
            deep.as_str(),
            huge.as_str(),
        ] {
            let shown: String = bad.chars().take(40).collect();
            assert_eq!(read(bad.as_bytes()), Err(NotPidf), "{shown}");
        }
        assert_eq!(read(b"\xff\xfe<presence/>"), Err(NotPidf));
        assert!(read(b"<presence/>").is_ok());
    }

    #[test]
    fn no_cut_document_makes_it_panic_and_none_is_taken() {
        for end in 0..PUBLISHED.len() - 1 {
            if let Some(cut) = PUBLISHED.get(..end) {
                assert!(read(cut.as_bytes()).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn endless_documents_are_cut_to_their_bounds() {
        let note = "x".repeat(4_000);
        let text = format!(
            "<presence>{}</presence>",
            "<tuple><note>y</note></tuple>".repeat(50)
        );
        assert_eq!(
            read(text.as_bytes()).expect("read").tuples.len(),
            TUPLES_MAX
        );
        let text = format!("<presence><note>{note}</note></presence>");
        let read = read(text.as_bytes()).expect("read");
        assert_eq!(read.note.map(|note| note.len()), Some(TEXT_CHARS_MAX));
    }
}
