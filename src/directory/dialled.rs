//! The number in a URI: `tel:` and `sip:` with `user=phone`, visual separators, contexts, parameters that ride in the user part (RFC 3966).

use crate::sip::{Scheme, Uri};

/// The number or user that a URI names, as a carrier meant it: `+` and digits for a global number however it is written, a local one
/// with its context in front when that is a global prefix, and the bare user of anything else. `None` without a user.
pub fn dialled(uri: &Uri<'_>) -> Option<String> {
    let text = uri.user_text()?;
    // RFC 3966 §3 parameters of a telephone number stand in the user part of a sip URI (RFC 3261 §19.1.6)
    let (user, inner) = match text.split_once(';') {
        Some((user, parameters)) if uri.scheme != Scheme::Tel && looks_like_number(user) => {
            (user, Some(parameters))
        }
        _ => (text.as_str(), None),
    };
    let context = match uri.scheme {
        Scheme::Tel => uri
            .params
            .value("phone-context")
            .map(|value| String::from_utf8_lossy(value).into_owned()),
        Scheme::Sip | Scheme::Sips | Scheme::Other => inner.and_then(|parameters| {
            parameters
                .split(';')
                .filter_map(|parameter| parameter.split_once('='))
                .find(|(name, _)| name.eq_ignore_ascii_case("phone-context"))
                .map(|(_, value)| value.to_owned())
        }),
    };
    if let Some(number) = super::e164(user) {
        return Some(number);
    }
    let context = context.filter(|context| context.starts_with('+') && !user.starts_with('+'));
    if let Some(number) = context.and_then(|context| super::e164(&format!("{context}{user}"))) {
        return Some(number);
    }
    let is_phone = uri.scheme == Scheme::Tel
        || uri
            .params
            .value("user")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"phone"));
    if is_phone {
        return Some(user.replace(['-', '.', '(', ')'], ""));
    }
    Some(user.to_owned())
}

fn looks_like_number(user: &str) -> bool {
    let digits = user.strip_prefix('+').unwrap_or(user);
    !digits.is_empty()
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"-.()*#".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_number_is_read() {
        for (uri, number) in [
            ("sip:+442071838750@carrier.example", "+442071838750"),
            (
                "sip:+44-20-7183-8750@carrier.example;user=phone",
                "+442071838750",
            ),
            ("tel:+44-20-7183-8750", "+442071838750"),
            ("tel:+44(20)7183.8750;isub=12", "+442071838750"),
            ("tel:7183-8750;phone-context=+4420", "+442071838750"),
            ("tel:7183-8750;phone-context=example.com", "71838750"),
            (
                "sip:+442071838750;npdi;rn=+442071830000@carrier.example;user=phone",
                "+442071838750",
            ),
            (
                "sip:71838750;phone-context=+4420@carrier.example",
                "+442071838750",
            ),
            ("sip:020-7183@carrier.example;user=phone", "0207183"),
            ("sip:%2B442071838750@carrier.example", "+442071838750"),
        ] {
            let parsed = Uri::parse(uri.as_bytes()).expect("a URI");
            assert_eq!(dialled(&parsed).as_deref(), Some(number), "{uri}");
        }
    }

    #[test]
    fn names_stay_as_they_are() {
        for (uri, user) in [
            ("sip:ann.example@carrier.example", Some("ann.example")),
            ("sip:a;b@carrier.example", Some("a;b")),
            ("sip:anonymous@anonymous.invalid", Some("anonymous")),
            ("sip:carrier.example", None),
        ] {
            let parsed = Uri::parse(uri.as_bytes()).expect("a URI");
            assert_eq!(dialled(&parsed).as_deref(), user, "{uri}");
        }
    }
}
