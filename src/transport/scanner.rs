//! Tools that look for open servers, known by the names that they give themselves.

/// Names that scanning tools give themselves, lower case.
const SCANNERS: [&[u8]; 12] = [
    b"friendly-scanner",
    b"friendly-request",
    b"sipvicious",
    b"sipcli",
    b"sip-scan",
    b"sipscan",
    b"sundayddr",
    b"iwar",
    b"vaxsipuseragent",
    b"pplsip",
    b"smap ",
    b"gulp/",
];

/// True when a User-Agent value names a known scanner: the request is dropped without an answer, which would tell it that
/// someone lives here.
pub fn is_scanner(user_agent: &[u8]) -> bool {
    SCANNERS.iter().any(|name| {
        user_agent
            .windows(name.len())
            .any(|window| window.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scanners_are_known_by_name_in_any_case() {
        assert!(is_scanner(b"Friendly-Scanner"));
        assert!(is_scanner(b"Mozilla sipvicious 0.3"));
        assert!(!is_scanner(b"baresip v1.0.0"));
        assert!(!is_scanner(b""));
    }
}
