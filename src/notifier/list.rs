//! The NOTIFY body of a resource list (RFC 4662 §5): an RLMI document, and the state of each resource as a part of its own.

use super::xml;

/// The state of one resource of a list.
pub(super) struct Part {
    /// Its URI.
    pub uri: String,
    /// Its name, for people.
    pub name: Option<String>,
    /// Its document; none when it does not exist, or when this NOTIFY has no room left for it.
    pub document: Option<String>,
    /// False when there is no such resource (any more).
    pub exists: bool,
}

/// Media type of the list document.
pub(super) const RLMI: &str = "application/rlmi+xml";
/// Bytes of documents in one NOTIFY; what does not fit comes in the next. Within a datagram, with room for headers and envelopes.
pub(super) const BYTES_MAX: usize = 24_000;

/// Content-Type and body. `boundary` is random, so that no document holds it.
pub(super) fn write(
    list: &str,
    version: u32,
    full: bool,
    body_type: &str,
    boundary: &str,
    parts: &[Part],
) -> (String, Vec<u8>) {
    let start = format!("list-{boundary}@strowger");
    let content_type =
        format!("multipart/related;type=\"{RLMI}\";start=\"<{start}>\";boundary=\"{boundary}\"");
    let mut out = String::with_capacity(BYTES_MAX);
    head(
        &mut out,
        boundary,
        &start,
        &format!("{RLMI};charset=\"UTF-8\""),
    );
    out.push_str(xml::PROLOGUE);
    out.push_str("<list xmlns=\"urn:ietf:params:xml:ns:rlmi\"");
    xml::attribute(&mut out, "uri", list);
    xml::attribute(&mut out, "version", &version.to_string());
    xml::attribute(&mut out, "fullState", if full { "true" } else { "false" });
    out.push_str(">\n");
    for (n, part) in parts.iter().enumerate() {
        out.push_str("<resource");
        xml::attribute(&mut out, "uri", &part.uri);
        out.push('>');
        if let Some(name) = &part.name {
            xml::element(&mut out, "name", name);
        }
        if part.document.is_some() {
            let cid = format!("{n}-{boundary}@strowger");
            out.push_str("<instance id=\"1\" state=\"active\"");
            xml::attribute(&mut out, "cid", &cid);
            out.push_str("/>");
        } else if !part.exists {
            out.push_str("<instance id=\"1\" state=\"terminated\" reason=\"noresource\"/>");
        }
        out.push_str("</resource>\n");
    }
    out.push_str("</list>\n");
    for (n, part) in parts.iter().enumerate() {
        if let Some(document) = &part.document {
            out.push_str("\r\n");
            head(
                &mut out,
                boundary,
                &format!("{n}-{boundary}@strowger"),
                body_type,
            );
            out.push_str(document);
        }
    }
    out.push_str("\r\n--");
    out.push_str(boundary);
    out.push_str("--\r\n");
    (content_type, out.into_bytes())
}

fn head(out: &mut String, boundary: &str, id: &str, body_type: &str) {
    out.push_str("--");
    out.push_str(boundary);
    out.push_str("\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <");
    out.push_str(id);
    out.push_str(">\r\nContent-Type: ");
    out.push_str(body_type);
    out.push_str("\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_its_part_and_the_missing_one_is_named() {
        let parts = [
            Part {
                uri: "sip:1001@example.test".into(),
                name: Some("Ada <Example>".into()),
                document: Some("<one/>".into()),
                exists: true,
            },
            Part {
                uri: "sip:1009@example.test".into(),
                name: None,
                document: None,
                exists: false,
            },
            Part {
                uri: "sip:1003@example.test".into(),
                name: None,
                document: None,
                exists: true,
            },
        ];
        let (kind, body) = write(
            "sip:desk@example.test",
            4,
            true,
            "application/dialog-info+xml",
            "b0und",
            &parts,
        );
        let body = String::from_utf8(body).expect("text").replace('\r', "");
        insta::assert_snapshot!(format!("{kind}\n\n{body}"), @r#"
        multipart/related;type="application/rlmi+xml";start="<list-b0und@strowger>";boundary="b0und"

        --b0und
        Content-Transfer-Encoding: binary
        Content-ID: <list-b0und@strowger>
        Content-Type: application/rlmi+xml;charset="UTF-8"

        <?xml version="1.0" encoding="UTF-8"?>
        <list xmlns="urn:ietf:params:xml:ns:rlmi" uri="sip:desk@example.test" version="4" fullState="true">
        <resource uri="sip:1001@example.test"><name>Ada &lt;Example&gt;</name><instance id="1" state="active" cid="0-b0und@strowger"/></resource>
        <resource uri="sip:1009@example.test"><instance id="1" state="terminated" reason="noresource"/></resource>
        <resource uri="sip:1003@example.test"></resource>
        </list>

        --b0und
        Content-Transfer-Encoding: binary
        Content-ID: <0-b0und@strowger>
        Content-Type: application/dialog-info+xml

        <one/>
        --b0und--
        "#);
    }
}
