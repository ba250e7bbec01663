//! The event state compositor of RFC 3903 §6: what devices publish about their person, under entity tags, until its time is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::facts::PresenceFacts;
use super::package::Package;
use super::pidf_read::{self, DOCUMENT_BYTES_MAX, Document};
use super::request::{Refusal, event_of, granted};
use crate::base::{Duration, Entropy, Instant, Now, TimerId, TimerQueue};
use crate::sip::{Message, Name};

/// Publications of one person: one for each device, with room for devices that forgot theirs. A further one takes the place of the oldest.
const PER_PERSON_MAX: usize = 4;

/// Why a PUBLISH changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublishError {
    /// 400.
    Malformed,
    /// 412: there is no publication under this tag (any more).
    NoSuchTag,
    /// 413.
    TooLarge,
    /// 415 with Accept.
    BodyType,
    /// 423 with Min-Expires, in seconds.
    TooBrief(u64),
    /// 489 with Allow-Events: this package takes no publications.
    BadEvent,
}

#[derive(Clone, Debug)]
struct Publication {
    tag: Arc<str>,
    document: Document,
    timer: TimerId,
}

/// All publications of a shard. They do not survive a restart: a device that refreshes one is told 412 and publishes anew
/// (RFC 3903 §4.1).
pub struct Published {
    /// Newest first.
    by_person: BTreeMap<Arc<str>, Vec<Publication>>,
    timers: TimerQueue<(Arc<str>, Arc<str>)>,
    entropy: Entropy,
}

impl Published {
    /// Nothing is published.
    pub(super) fn new(entropy: Entropy) -> Published {
        Published {
            by_person: BTreeMap::new(),
            timers: TimerQueue::new(),
            entropy,
        }
    }

    /// Takes a PUBLISH of somebody who may publish for this person. Gives the new entity tag and the time granted.
    pub fn publish(
        &mut self,
        now: Now,
        person: &Arc<str>,
        request: &Message,
    ) -> Result<(Arc<str>, Duration), PublishError> {
        let (package, _) = event_of(request).map_err(of_refusal)?;
        if package != Package::Presence {
            return Err(PublishError::BadEvent);
        }
        let mut tags = request.headers(Name::SipIfMatch);
        let known = tags.next();
        if tags.next().is_some() || known.is_some_and(|tag| tag.contains(&b',')) {
            return Err(PublishError::Malformed);
        }
        if let Some(tag) = known
            && self.find(person, tag).is_none()
        {
            return Err(PublishError::NoSuchTag);
        }
        if request.header(Name::Expires).is_some() && request.expires().is_none() {
            return Err(PublishError::Malformed);
        }
        let expires = granted(package, request.expires()).map_err(of_refusal)?;
        let document = match request.body() {
            [] if known.is_none() => return Err(PublishError::Malformed),
            [] => None,
            body if body.len() > DOCUMENT_BYTES_MAX => return Err(PublishError::TooLarge),
            _ if !request.is_content_type(package.body_type()) => {
                return Err(PublishError::BodyType);
            }
            body => Some(pidf_read::read(body).map_err(|_| PublishError::Malformed)?),
        };
        let place = known.and_then(|tag| self.find(person, tag));
        let before = place.and_then(|place| self.take(person, place));
        let tag = self.entropy.token::<12>();
        let tag: Arc<str> = Arc::from(String::from_utf8_lossy(&tag).as_ref());
        if expires.is_zero() {
            return Ok((tag, expires));
        }
        let document = document
            .or_else(|| before.map(|publication| publication.document))
            .unwrap_or_default();
        let timer = self
            .timers
            .set(now.mono + expires, (person.clone(), tag.clone()));
        let list = self.by_person.entry(person.clone()).or_default();
        list.insert(
            0,
            Publication {
                tag: tag.clone(),
                document,
                timer,
            },
        );
        if list.len() > PER_PERSON_MAX {
            self.take(person, PER_PERSON_MAX);
        }
        Ok((tag, expires))
    }

    fn find(&self, person: &str, tag: &[u8]) -> Option<usize> {
        self.by_person
            .get(person)?
            .iter()
            .position(|publication| publication.tag.as_bytes() == tag)
    }

    fn take(&mut self, person: &str, place: usize) -> Option<Publication> {
        let list = self.by_person.get_mut(person)?;
        let publication = (place < list.len()).then(|| list.remove(place))?;
        if list.is_empty() {
            self.by_person.remove(person);
        }
        self.timers.cancel(publication.timer);
        Some(publication)
    }

    /// Removes what has run out; gives the people whose presence changed.
    pub fn expire(&mut self, now: Now) -> Vec<Arc<str>> {
        let mut people = Vec::new();
        while let Some((person, tag)) = self.timers.pop_due(now.mono) {
            if let Some(place) = self.find(&person, tag.as_bytes()) {
                self.take(&person, place);
                people.push(person);
            }
        }
        people
    }

    /// Adds what a person's devices have published, newest first, to what the house knows.
    pub fn compose(&self, person: &str, facts: &mut PresenceFacts) {
        for publication in self.by_person.get(person).into_iter().flatten() {
            let document = &publication.document;
            facts.published.extend(document.tuples.iter().cloned());
            if facts.activities.is_empty() {
                facts.activities.clone_from(&document.activities);
            }
            if facts.note.is_none() {
                facts.note.clone_from(&document.note);
            }
        }
    }

    /// Live publications.
    pub fn len(&self) -> usize {
        self.by_person.values().map(Vec::len).sum()
    }

    /// True when nothing is published.
    pub fn is_empty(&self) -> bool {
        self.by_person.is_empty()
    }

    /// When [`Published::expire`] is due next.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        self.timers.next_deadline()
    }
}

fn of_refusal(refusal: Refusal) -> PublishError {
    match refusal {
        Refusal::BadEvent => PublishError::BadEvent,
        Refusal::Malformed | Refusal::NotAcceptable => PublishError::Malformed,
        Refusal::TooBrief(seconds) => PublishError::TooBrief(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const DOCUMENT: &str = "<presence><tuple><status><basic>open</basic></status></tuple><person><note>here</note></person></presence>";

    fn publish(headers: &str, body: &str) -> Message {
        let text = format!(
            "PUBLISH sip:1001@example.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bK1\r\n\
             From: <sip:1001@example.test>;tag=a\r\nTo: <sip:1001@example.test>\r\nCall-ID: c\r\nCSeq: 1 PUBLISH\r\n\
             {headers}Content-Type: application/pidf+xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(Bytes::from(text)).expect("a request")
    }

    struct Bench {
        published: Published,
        now: Now,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                published: Published::new(Entropy::from_number(3)),
                now: Now::default(),
            }
        }

        fn give(
            &mut self,
            headers: &str,
            body: &str,
        ) -> Result<(Arc<str>, Duration), PublishError> {
            let request = publish(&format!("Event: presence\r\n{headers}"), body);
            self.published.publish(self.now, &"1001".into(), &request)
        }

        fn note(&self) -> Option<String> {
            let mut facts = PresenceFacts::default();
            self.published.compose("1001", &mut facts);
            facts.note.map(|note| note.to_string())
        }
    }

    #[test]
    fn a_publication_is_made_refreshed_changed_and_removed_under_a_new_tag_each_time() {
        let mut bench = Bench::new();
        let (first, time) = bench.give("Expires: 600\r\n", DOCUMENT).expect("taken");
        assert_eq!(time, Duration::from_secs(600));
        assert_eq!(bench.note().as_deref(), Some("here"));
        let (second, _) = bench
            .give(&format!("SIP-If-Match: {first}\r\n"), "")
            .expect("refreshed");
        assert_ne!(first, second);
        assert_eq!(bench.note().as_deref(), Some("here"));
        let old = bench.give(&format!("SIP-If-Match: {first}\r\n"), "");
        assert_eq!(old, Err(PublishError::NoSuchTag));
        let changed = DOCUMENT.replace("here", "gone");
        let (third, _) = bench
            .give(&format!("SIP-If-Match: {second}\r\n"), &changed)
            .expect("changed");
        assert_eq!(bench.note().as_deref(), Some("gone"));
        assert_eq!(bench.published.len(), 1);
        bench
            .give(&format!("SIP-If-Match: {third}\r\nExpires: 0\r\n"), "")
            .expect("removed");
        assert_eq!(bench.note(), None);
        assert!(bench.published.is_empty());
        assert_eq!(bench.published.next_deadline(), None);
    }

    #[test]
    fn a_publication_ends_with_its_time() {
        let mut bench = Bench::new();
        bench.give("Expires: 60\r\n", DOCUMENT).expect("taken");
        bench.now.mono += Duration::from_secs(59);
        assert!(bench.published.expire(bench.now).is_empty());
        bench.now.mono += Duration::from_secs(1);
        assert_eq!(bench.published.expire(bench.now), ["1001".into()]);
        assert!(bench.published.is_empty());
    }

    #[test]
    fn bad_publications_change_nothing() {
        let mut bench = Bench::new();
        bench.give("", DOCUMENT).expect("taken");
        let huge = " ".repeat(DOCUMENT_BYTES_MAX + 1);
        for (headers, body, error) in [
            ("", "", PublishError::Malformed),
            ("", "<presence>", PublishError::Malformed),
            ("", huge.as_str(), PublishError::TooLarge),
            ("Expires: 5\r\n", DOCUMENT, PublishError::TooBrief(60)),
            ("Expires: x\r\n", DOCUMENT, PublishError::Malformed),
            ("SIP-If-Match: a\r\n", DOCUMENT, PublishError::NoSuchTag),
            (
                "SIP-If-Match: a\r\nSIP-If-Match: b\r\n",
                "",
                PublishError::Malformed,
            ),
            ("SIP-If-Match: a, b\r\n", "", PublishError::Malformed),
        ] {
            assert_eq!(bench.give(headers, body), Err(error), "{headers}{body}");
        }
        let person: Arc<str> = "1001".into();
        for event in ["", "Event: dialog\r\n", "Event: x\r\n"] {
            let taken = bench
                .published
                .publish(bench.now, &person, &publish(event, DOCUMENT));
            assert_eq!(taken, Err(PublishError::BadEvent));
        }
        assert_eq!(bench.published.len(), 1);
    }

    #[test]
    fn forgotten_publications_make_room_for_new_ones() {
        let mut bench = Bench::new();
        let (first, _) = bench.give("", DOCUMENT).expect("taken");
        for _ in 0..PER_PERSON_MAX {
            bench.give("", DOCUMENT).expect("taken");
        }
        assert_eq!(bench.published.len(), PER_PERSON_MAX);
        let old = bench.give(&format!("SIP-If-Match: {first}\r\n"), "");
        assert_eq!(old, Err(PublishError::NoSuchTag));
    }
}
