//! The ring of recent messages, media orders and facts, from which ladders of calls are drawn.
//!
//! The shard copies what passes into pages; the oldest page goes when the memory is used up. Nothing is parsed here: who asks for
//! the ladder of a call pays for finding it. Registrations, pings, subscriptions and what the guard turned away are not kept, so
//! that neither a busy day nor a flood pushes calls out.

pub mod ladder;
mod mask;
mod media_words;
pub mod pcap;
mod words;

pub use mask::masked;

use std::collections::VecDeque;
use std::sync::Arc;

use memchr::memmem::Finder;
use parking_lot::Mutex;

use crate::base::{Now, WallTime};
use crate::media::{MediaCommand, MediaEvent};
use crate::switch::{Event, Fact};
use crate::transport::Flow;

/// Memory for the text of one page.
const PAGE_BYTES: usize = 256 * 1024;
/// Entries of one page at most.
const PAGE_ENTRIES: usize = 1024;
/// What an entry of a media order, a media report or a fact costs besides its place: some strings (guess).
const OBJECT_BYTES: usize = 300;

/// Which way something went, seen from this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heading {
    /// To us.
    In,
    /// From us.
    Out,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: WallTime,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// A message; its text lies in the page.
    Message {
        way: Heading,
        flow: Flow,
        first: u32,
        length: u32,
    },
    /// To a media worker.
    Order(Box<MediaCommand>),
    /// From a media worker.
    Report(Box<MediaEvent>),
    /// Published by the switch.
    Fact(Arc<Event>),
}

/// A run of entries with the text of their messages.
#[derive(Clone, Default, Debug)]
pub(super) struct Page {
    pub(super) text: Vec<u8>,
    pub(super) entries: Vec<Entry>,
    objects: usize,
}

impl Page {
    fn empty() -> Page {
        Page {
            text: Vec::with_capacity(PAGE_BYTES),
            entries: Vec::with_capacity(PAGE_ENTRIES),
            objects: 0,
        }
    }

    fn bytes(&self) -> usize {
        self.text.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.objects * OBJECT_BYTES
    }

    /// The text of a message of this page.
    pub(super) fn message(&self, first: u32, length: u32) -> &[u8] {
        let first = first as usize;
        self.text
            .get(first..first + length as usize)
            .unwrap_or_default()
    }
}

struct Pages {
    /// Full ones, oldest first.
    full: VecDeque<Arc<Page>>,
    current: Page,
    /// Bytes of the full ones.
    bytes: usize,
    /// Something has been thrown away.
    forgot: bool,
}

/// The ring. One thread writes, any may look.
pub struct Trace {
    bytes_max: usize,
    pages: Mutex<Pages>,
}

impl Trace {
    /// A ring of at most `bytes_max` bytes (`[log] ladder-memory`), at least two pages; the memory is taken as it is needed.
    pub fn new(bytes_max: usize) -> Trace {
        Trace {
            bytes_max,
            pages: Mutex::new(Pages {
                full: VecDeque::new(),
                current: Page::default(),
                bytes: 0,
                forgot: false,
            }),
        }
    }

    /// Keeps a message, unless it is none that a ladder shows.
    pub fn message(&self, now: Now, way: Heading, flow: Flow, bytes: &[u8]) {
        if is_noise(bytes) {
            return;
        }
        let mut pages = self.pages.lock();
        let page = self.with_room(&mut pages, bytes.len());
        let first = page.text.len() as u32;
        page.text.extend_from_slice(bytes);
        page.entries.push(Entry {
            at: now.wall,
            what: What::Message {
                way,
                flow,
                first,
                length: bytes.len() as u32,
            },
        });
    }

    /// Keeps an order to a media worker.
    pub fn order(&self, now: Now, command: &MediaCommand) {
        self.object(now.wall, What::Order(Box::new(command.clone())));
    }

    /// Keeps a report of a media worker.
    pub fn report(&self, now: Now, event: &MediaEvent) {
        self.object(now.wall, What::Report(Box::new(event.clone())));
    }

    /// Keeps a fact about a call or a work item.
    pub fn fact(&self, event: &Arc<Event>) {
        match event.fact {
            Fact::Call(_) | Fact::Acd(_) | Fact::Gates(_) => {
                self.object(event.at, What::Fact(event.clone()))
            }
            Fact::Registration(_) | Fact::Trunk(_) | Fact::Server { .. } => {}
        }
    }

    fn object(&self, at: WallTime, what: What) {
        let mut pages = self.pages.lock();
        let page = self.with_room(&mut pages, 0);
        page.objects += 1;
        page.entries.push(Entry { at, what });
    }

    /// The current page, with room for one more entry and `length` bytes of text.
    fn with_room<'a>(&self, pages: &'a mut Pages, length: usize) -> &'a mut Page {
        let page = &pages.current;
        if page.text.capacity() == 0 {
            pages.current = Page::empty();
        } else if page.entries.len() == PAGE_ENTRIES
            || page.text.len() + length > page.text.capacity()
        {
            let full = std::mem::take(&mut pages.current);
            pages.bytes += full.bytes();
            pages.full.push_back(Arc::new(full));
            let mut spare = None;
            while pages.bytes + PAGE_BYTES > self.bytes_max && pages.full.len() > 1 {
                let Some(oldest) = pages.full.pop_front() else {
                    break;
                };
                pages.forgot = true;
                pages.bytes -= oldest.bytes();
                // its memory serves again, unless somebody looks at it
                spare = Arc::try_unwrap(oldest).ok();
            }
            pages.current = match spare {
                Some(mut page) => {
                    page.text.clear();
                    page.entries.clear();
                    page.objects = 0;
                    page
                }
                None => Page::empty(),
            };
        }
        &mut pages.current
    }

    /// What is kept, oldest first; and whether anything was thrown away since the start. Holds the writer up for the copy of one
    /// page at most.
    pub(super) fn look(&self) -> (Vec<Arc<Page>>, bool) {
        let pages = self.pages.lock();
        let mut all: Vec<Arc<Page>> = pages.full.iter().cloned().collect();
        all.push(Arc::new(pages.current.clone()));
        (all, pages.forgot)
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        let pages = self.pages.lock();
        pages.bytes + pages.current.bytes()
    }
}

/// True for messages that belong to no call: registrations, pings, subscriptions (but those that report a transfer).
fn is_noise(bytes: &[u8]) -> bool {
    const NOISE: [&[u8]; 6] = [
        b"REGISTER ",
        b"OPTIONS ",
        b"SUBSCRIBE ",
        b"NOTIFY ",
        b"PUBLISH ",
        b"MESSAGE ",
    ];
    let method = if bytes.starts_with(b"SIP/2.0 ") {
        // every response says of which request it is; ours write the name so, and whose peer writes it otherwise is kept
        match cseq(bytes) {
            Some(method) => method,
            None => return false,
        }
    } else {
        bytes
    };
    let noise = NOISE.iter().any(|name| {
        method.starts_with(&name[..name.len() - 1])
            && matches!(
                method.get(name.len() - 1),
                Some(b' ' | b'\r' | b'\n' | b'\t')
            )
    });
    noise
        && !(method.starts_with(b"NOTIFY")
            && memchr::memmem::find(bytes, b"Event: refer").is_some())
}

/// What follows the number of a `CSeq` header that is written in the usual way.
fn cseq(bytes: &[u8]) -> Option<&[u8]> {
    thread_local! {
        static CSEQ: Finder<'static> = Finder::new(b"\nCSeq: ");
    }
    let at = CSEQ.with(|finder| finder.find(bytes))? + b"\nCSeq: ".len();
    let rest = bytes.get(at..)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    rest.get(digits + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{ProfileId, Transport};

    fn flow() -> Flow {
        Flow {
            profile: ProfileId(0),
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().expect("address"),
            remote: "127.0.0.2:5060".parse().expect("address"),
            connection: None,
        }
    }

    fn texts(trace: &Trace) -> Vec<String> {
        let (pages, _) = trace.look();
        let mut found = Vec::new();
        for page in &pages {
            for entry in &page.entries {
                if let What::Message { first, length, .. } = entry.what {
                    found.push(String::from_utf8_lossy(page.message(first, length)).into_owned());
                }
            }
        }
        found
    }

    #[test]
    fn what_belongs_to_no_call_is_not_kept() {
        let trace = Trace::new(1 << 20);
        for text in [
            "REGISTER sip:x SIP/2.0\r\nCSeq: 1 REGISTER\r\n\r\n",
            "SIP/2.0 200 OK\r\nCSeq: 12 REGISTER\r\n\r\n",
            "SIP/2.0 200 OK\r\nCSeq: 12 OPTIONS\r\nTo: a\r\n\r\n",
            "NOTIFY sip:x SIP/2.0\r\nEvent: dialog\r\nCSeq: 1 NOTIFY\r\n\r\n",
        ] {
            trace.message(Now::default(), Heading::In, flow(), text.as_bytes());
        }
        assert_eq!(texts(&trace), Vec::<String>::new());
        for text in [
            "INVITE sip:x SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n",
            "SIP/2.0 200 OK\r\nCSeq: 12 BYE\r\n\r\n",
            "SIP/2.0 200 OK\r\ncseq : 12 REGISTER\r\n\r\n",
            "NOTIFY sip:x SIP/2.0\r\nEvent: refer\r\nCSeq: 1 NOTIFY\r\n\r\n",
            "REGISTERED sip:x SIP/2.0\r\nCSeq: 1 REGISTERED\r\n\r\n",
        ] {
            trace.message(Now::default(), Heading::In, flow(), text.as_bytes());
        }
        assert_eq!(texts(&trace).len(), 5);
    }

    #[test]
    fn the_ring_stays_within_its_memory_and_forgets_the_oldest() {
        let limit = 4 * PAGE_BYTES;
        let trace = Trace::new(limit);
        let mut last = String::new();
        for number in 0..4_000 {
            last = format!("INVITE sip:{number} SIP/2.0\r\n\r\n{}", "x".repeat(1_000));
            trace.message(Now::default(), Heading::In, flow(), last.as_bytes());
            assert!(trace.bytes() <= limit + PAGE_BYTES + PAGE_ENTRIES * size_of::<Entry>());
        }
        let kept = texts(&trace);
        assert_eq!(kept.last(), Some(&last));
        assert!(kept.len() > 500 && kept.len() < 1_500, "{}", kept.len());
        assert!(!kept.iter().any(|text| text.starts_with("INVITE sip:0 ")));
        assert!(trace.look().1);
    }

    #[test]
    fn a_message_larger_than_a_page_is_kept_whole() {
        let trace = Trace::new(1 << 20);
        let large = format!("INVITE sip:x SIP/2.0\r\n\r\n{}", "x".repeat(300_000));
        trace.message(
            Now::default(),
            Heading::In,
            flow(),
            b"INVITE sip:y SIP/2.0\r\n",
        );
        trace.message(Now::default(), Heading::In, flow(), large.as_bytes());
        assert_eq!(texts(&trace), ["INVITE sip:y SIP/2.0\r\n", &large]);
    }
}
