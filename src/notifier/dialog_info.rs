//! `application/dialog-info+xml` (RFC 4235 §4): the calls of an extension, always as the full state.

use std::fmt::Write as _;

use super::facts::{DialogFacts, DialogParty, DialogState};
use super::xml;

/// Most dialogs that one document tells of: with all of them a document stays below what a datagram holds.
pub(super) const DIALOGS_MAX: usize = 40;

/// Which dialogs a subscriber wants to hear of; empty: all (RFC 4235 §3.2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Filter {
    pub call_id: Option<String>,
    pub to_tag: Option<String>,
    pub from_tag: Option<String>,
}

impl Filter {
    /// `to-tag` is the tag of the watched phone and `from-tag` that of its peer, whoever called (RFC 4235 §3.2).
    pub(super) fn passes(&self, dialog: &DialogFacts) -> bool {
        let fits = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| is == Some(wanted))
        };
        fits(&self.call_id, Some(&dialog.call_id))
            && fits(&self.to_tag, dialog.local_tag.as_deref())
            && fits(&self.from_tag, dialog.remote_tag.as_deref())
    }
}

/// The document. `gone` are ids that the subscriber was told of and that are over.
pub(super) fn write<'a>(
    entity: &str,
    version: u32,
    dialogs: impl Iterator<Item = &'a DialogFacts>,
    gone: impl Iterator<Item = &'a str>,
) -> String {
    let mut out = String::with_capacity(512);
    out.push_str(xml::PROLOGUE);
    out.push_str("<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\"");
    let written = write!(out, " version=\"{version}\" state=\"full\"");
    debug_assert!(written.is_ok(), "writing to a String does not fail");
    xml::attribute(&mut out, "entity", entity);
    out.push_str(">\n");
    for dialog in dialogs.take(DIALOGS_MAX) {
        one(&mut out, dialog);
    }
    for id in gone {
        out.push_str("<dialog");
        xml::attribute(&mut out, "id", id);
        out.push('>');
        xml::element(&mut out, "state", DialogState::Terminated.as_str());
        out.push_str("</dialog>\n");
    }
    out.push_str("</dialog-info>\n");
    out
}

fn one(out: &mut String, dialog: &DialogFacts) {
    out.push_str("<dialog");
    xml::attribute(out, "id", &dialog.id);
    xml::attribute(out, "call-id", &dialog.call_id);
    if let Some(tag) = &dialog.local_tag {
        xml::attribute(out, "local-tag", tag);
    }
    if let Some(tag) = &dialog.remote_tag {
        xml::attribute(out, "remote-tag", tag);
    }
    let direction = if dialog.initiator {
        "initiator"
    } else {
        "recipient"
    };
    xml::attribute(out, "direction", direction);
    out.push_str(">\n");
    xml::element(out, "state", dialog.state.as_str());
    party(out, "local", &dialog.local);
    party(out, "remote", &dialog.remote);
    out.push_str("\n</dialog>\n");
}

fn party(out: &mut String, side: &str, party: &DialogParty) {
    out.push_str("\n<");
    out.push_str(side);
    out.push_str("><identity");
    if let Some(display) = &party.display {
        xml::attribute(out, "display", display);
    }
    out.push('>');
    xml::text(out, &party.identity);
    out.push_str("</identity>");
    // a phone reads the target to pick the call up; without one it takes the identity
    let uri = party.target.as_ref().unwrap_or(&party.identity);
    out.push_str("<target");
    xml::attribute(out, "uri", uri);
    match party.rendering {
        Some(renders) => {
            let value = if renders { "yes" } else { "no" };
            out.push_str("><param pname=\"+sip.rendering\"");
            xml::attribute(out, "pval", value);
            out.push_str("/></target>");
        }
        None => out.push_str("/>"),
    }
    out.push_str("</");
    out.push_str(side);
    out.push('>');
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn ringing() -> DialogFacts {
        DialogFacts {
            id: "01HZ".into(),
            call_id: "a84b\"4c76@x".into(),
            local_tag: Some("phone".into()),
            remote_tag: Some("ours".into()),
            initiator: false,
            state: DialogState::Early,
            local: DialogParty {
                identity: "sip:1001@example.test".into(),
                display: Some("Ada <Example> & Co".into()),
                target: Some("sip:1001@127.0.0.9:5060".into()),
                rendering: None,
            },
            remote: DialogParty {
                identity: "sip:1002@example.test".into(),
                display: None,
                target: None,
                rendering: Some(false),
            },
        }
    }

    #[test]
    fn a_ringing_phone_is_told_with_all_that_a_pickup_needs() {
        let text = write(
            "sip:1001@example.test",
            3,
            [ringing()].iter(),
            ["old"].into_iter(),
        );
        insta::assert_snapshot!(text, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="3" state="full" entity="sip:1001@example.test">
        <dialog id="01HZ" call-id="a84b&quot;4c76@x" local-tag="phone" remote-tag="ours" direction="recipient">
        <state>early</state>
        <local><identity display="Ada &lt;Example&gt; &amp; Co">sip:1001@example.test</identity><target uri="sip:1001@127.0.0.9:5060"/></local>
        <remote><identity>sip:1002@example.test</identity><target uri="sip:1002@example.test"><param pname="+sip.rendering" pval="no"/></target></remote>
        </dialog>
        <dialog id="old"><state>terminated</state></dialog>
        </dialog-info>
        "#);
    }

    #[test]
    fn a_filter_passes_only_the_dialog_that_it_names() {
        let dialog = ringing();
        assert!(Filter::default().passes(&dialog));
        let mut filter = Filter {
            call_id: Some(dialog.call_id.clone()),
            to_tag: Some("phone".into()),
            from_tag: Some("ours".into()),
        };
        assert!(filter.passes(&dialog));
        filter.from_tag = Some("other".into());
        assert!(!filter.passes(&dialog));
    }

    #[test]
    fn a_document_of_countless_calls_stays_within_a_datagram() {
        let many: Vec<DialogFacts> = (0..200).map(|_| ringing()).collect();
        let text = write("sip:1001@example.test", 1, many.iter(), std::iter::empty());
        assert_eq!(text.matches("<dialog id=").count(), DIALOGS_MAX);
        assert!(text.len() < 50_000);
    }
}
