//! Writes XML: elements with what they hold, and text that cannot break out of them.

/// The beginning of every document.
pub(super) const PROLOGUE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Adds text as content or attribute value: what means something to XML is escaped, what XML cannot hold is left out.
pub(super) fn text(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(' '),
            // XML 1.0 §2.2: no other control characters, no surrogates (which a `char` never is), no non-characters
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
}

/// Adds ` name="value"`.
pub(super) fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    text(out, value);
    out.push('"');
}

/// Adds `<name>value</name>`.
pub(super) fn element(out: &mut String, name: &str, value: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    text(out, value);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_breaks_out_of_its_place() {
        let mut out = String::new();
        attribute(&mut out, "a", "\"><x y='&'/>\u{0}\u{1b}\u{ffff}\n");
        assert_eq!(out, " a=\"&quot;&gt;&lt;x y=&apos;&amp;&apos;/&gt; \"");
        let mut out = String::new();
        element(&mut out, "e", "</e>");
        assert_eq!(out, "<e>&lt;/e&gt;</e>");
    }
}
