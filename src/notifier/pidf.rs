//! `application/pidf+xml` (RFC 3863): what the house knows of a person and what the person's devices published, as one document.
//!
//! What was published is written anew, word by word from what was understood of it: no byte of one person's XML reaches another.

use std::sync::Arc;

use super::facts::PresenceFacts;
use super::xml;

/// What a person is at (RFC 4480 §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// Has an appointment.
    Appointment,
    /// Is not there.
    Away,
    /// Takes a break.
    Break,
    /// Is busy.
    Busy,
    /// Eats at night.
    Dinner,
    /// Is on holiday.
    Holiday,
    /// Travels.
    InTransit,
    /// Eats.
    Meal,
    /// Is in a meeting.
    Meeting,
    /// Is on the telephone.
    OnThePhone,
    /// Does not say.
    Other,
    /// Is away for long.
    PermanentAbsence,
    /// Is asleep.
    Sleeping,
    /// Travels.
    Travel,
    /// Does not know.
    Unknown,
    /// Is on leave.
    Vacation,
    /// Works.
    Working,
}

/// Activities with their element's name.
const ACTIVITIES: &[(&str, Activity)] = &[
    ("appointment", Activity::Appointment),
    ("away", Activity::Away),
    ("breakfast", Activity::Break),
    ("busy", Activity::Busy),
    ("dinner", Activity::Dinner),
    ("holiday", Activity::Holiday),
    ("in-transit", Activity::InTransit),
    ("meal", Activity::Meal),
    ("meeting", Activity::Meeting),
    ("on-the-phone", Activity::OnThePhone),
    ("other", Activity::Other),
    ("permanent-absence", Activity::PermanentAbsence),
    ("sleeping", Activity::Sleeping),
    ("travel", Activity::Travel),
    ("unknown", Activity::Unknown),
    ("vacation", Activity::Vacation),
    ("working", Activity::Working),
];

impl Activity {
    /// The activity whose element has this name.
    pub(super) fn parse(name: &str) -> Option<Activity> {
        let found = ACTIVITIES.iter().find(|(known, _)| *known == name);
        found.map(|(_, activity)| *activity)
    }

    fn name(self) -> &'static str {
        let found = ACTIVITIES.iter().find(|(_, activity)| *activity == self);
        found.map_or("unknown", |(name, _)| name)
    }
}

/// One way to reach a person, as a device published it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tuple {
    /// `basic`: `Some(true)` is open.
    pub open: Option<bool>,
    /// Contact URI.
    pub contact: Option<Arc<str>>,
    /// Preference of the contact in thousandths.
    pub priority: Option<u16>,
    /// A sentence for people.
    pub note: Option<Arc<str>>,
}

/// The document. The first tuple is the house's own: open while a device is registered.
pub(super) fn write(entity: &str, facts: &PresenceFacts) -> String {
    let mut out = String::with_capacity(512);
    out.push_str(xml::PROLOGUE);
    out.push_str(
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
         xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\"",
    );
    xml::attribute(&mut out, "entity", entity);
    out.push_str(">\n");
    let house = Tuple {
        open: Some(facts.registered),
        contact: Some(Arc::from(entity)),
        priority: None,
        note: facts.on_the_phone.then(|| Arc::from("On the phone")),
    };
    tuple(&mut out, "phone", &house);
    for (n, published) in facts.published.iter().enumerate() {
        tuple(&mut out, &format!("p{}", n + 1), published);
    }
    let phone = facts.on_the_phone.then_some(Activity::OnThePhone);
    let mut activities: Vec<Activity> = phone.into_iter().collect();
    for activity in &facts.activities {
        // only the house knows whether its telephone is in use
        if *activity != Activity::OnThePhone {
            activities.push(*activity);
        }
    }
    if !activities.is_empty() || facts.note.is_some() {
        out.push_str("<dm:person id=\"person\">");
        if !activities.is_empty() {
            out.push_str("<rpid:activities>");
            for activity in activities {
                out.push_str("<rpid:");
                out.push_str(activity.name());
                out.push_str("/>");
            }
            out.push_str("</rpid:activities>");
        }
        if let Some(note) = &facts.note {
            xml::element(&mut out, "dm:note", note);
        }
        out.push_str("</dm:person>\n");
    }
    out.push_str("</presence>\n");
    out
}

fn tuple(out: &mut String, id: &str, tuple: &Tuple) {
    out.push_str("<tuple");
    xml::attribute(out, "id", id);
    out.push_str("><status>");
    if let Some(open) = tuple.open {
        xml::element(out, "basic", if open { "open" } else { "closed" });
    }
    out.push_str("</status>");
    if let Some(contact) = &tuple.contact {
        out.push_str("<contact");
        if let Some(priority) = tuple.priority {
            let priority = priority.min(1000);
            let value = format!("{}.{:03}", priority / 1000, priority % 1000);
            xml::attribute(out, "priority", &value);
        }
        out.push('>');
        xml::text(out, contact);
        out.push_str("</contact>");
    }
    if let Some(note) = &tuple.note {
        xml::element(out, "note", note);
    }
    out.push_str("</tuple>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_talks_is_open_and_on_the_phone() {
        let facts = PresenceFacts {
            registered: true,
            on_the_phone: true,
            published: vec![Tuple {
                open: Some(false),
                contact: Some("sip:1001@127.0.0.9".into()),
                priority: Some(800),
                note: Some("back <soon>".into()),
            }],
            activities: vec![Activity::Meeting, Activity::OnThePhone],
            note: Some("R&D".into()),
        };
        insta::assert_snapshot!(write("sip:1001@example.test", &facts), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:1001@example.test">
        <tuple id="phone"><status><basic>open</basic></status><contact>sip:1001@example.test</contact><note>On the phone</note></tuple>
        <tuple id="p1"><status><basic>closed</basic></status><contact priority="0.800">sip:1001@127.0.0.9</contact><note>back &lt;soon&gt;</note></tuple>
        <dm:person id="person"><rpid:activities><rpid:on-the-phone/><rpid:meeting/></rpid:activities><dm:note>R&amp;D</dm:note></dm:person>
        </presence>
        "#);
    }

    #[test]
    fn what_the_house_writes_it_can_read() {
        let facts = PresenceFacts {
            registered: false,
            published: vec![Tuple {
                open: Some(true),
                ..Tuple::default()
            }],
            activities: vec![Activity::Away],
            ..PresenceFacts::default()
        };
        let text = write("sip:1001@example.test", &facts);
        let read = crate::notifier::pidf_read::read(text.as_bytes()).expect("our own");
        assert_eq!(read.tuples.len(), 2);
        assert_eq!(read.tuples[0].open, Some(false));
        assert_eq!(read.tuples[1], facts.published[0]);
        assert_eq!(read.activities, facts.activities);
    }
}
