//! Telephone numbers: E.164 as people write it, and what carriers want instead.

use std::fmt;

/// `text` as `+` and digits (ITU-T E.164: at most 15), with spaces, dots, dashes, slashes and parentheses taken out. `None` when it is not an
/// international number.
pub fn e164(text: &str) -> Option<String> {
    let mut number = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '+' if number.is_empty() => number.push('+'),
            '0'..='9' if !number.is_empty() => number.push(c),
            ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')' if !number.is_empty() => {}
            _ => return None,
        }
    }
    let digits = number.strip_prefix('+')?;
    let sane = (5..=15).contains(&digits.len()) && !digits.starts_with('0');
    sane.then_some(number)
}

/// Numbering plan of a country, as far as writing a number needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166-1 alpha-2.
    pub code: &'static str,
    /// ITU country code, without `+`.
    pub calling: &'static str,
    /// What a national number begins with, or empty.
    pub trunk_prefix: &'static str,
    /// What an international number begins with when dialled there.
    pub international_prefix: &'static str,
    /// Digits of the shortest national number without its trunk prefix; anything shorter is left alone (emergency, short codes).
    pub shortest: usize,
}

const fn country(
    code: &'static str,
    calling: &'static str,
    trunk_prefix: &'static str,
    international_prefix: &'static str,
    shortest: usize,
) -> Country {
    Country {
        code,
        calling,
        trunk_prefix,
        international_prefix,
        shortest,
    }
}

/// Countries that `national:XX` knows. Source: ITU-T operational bulletin list of dialling procedures, in short.
pub const COUNTRIES: &[Country] = &[
    country("AT", "43", "0", "00", 6),
    country("AU", "61", "0", "0011", 9),
    country("BE", "32", "0", "00", 8),
    country("CA", "1", "", "011", 10),
    country("CH", "41", "0", "00", 9),
    country("CZ", "420", "", "00", 9),
    country("DE", "49", "0", "00", 6),
    country("DK", "45", "", "00", 8),
    country("ES", "34", "", "00", 9),
    country("FI", "358", "0", "00", 6),
    country("FR", "33", "0", "00", 9),
    country("GB", "44", "0", "00", 9),
    country("GR", "30", "", "00", 10),
    country("HU", "36", "06", "00", 8),
    country("IE", "353", "0", "00", 7),
    country("IN", "91", "0", "00", 10),
    country("IT", "39", "", "00", 8),
    country("JP", "81", "0", "010", 9),
    country("LU", "352", "", "00", 6),
    country("NL", "31", "0", "00", 9),
    country("NO", "47", "", "00", 8),
    country("NZ", "64", "0", "00", 8),
    country("PL", "48", "", "00", 9),
    country("PT", "351", "", "00", 9),
    country("RO", "40", "0", "00", 9),
    country("SE", "46", "0", "00", 7),
    country("SK", "421", "0", "00", 9),
    country("UA", "380", "0", "00", 9),
    country("US", "1", "", "011", 10),
    country("ZA", "27", "0", "00", 9),
];

/// How a carrier writes numbers, in both directions. Default: `+E164`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NumberFormat {
    /// `+442071838750`
    #[default]
    PlusE164,
    /// `442071838750`
    E164,
    /// `00442071838750`
    DoubleZeroE164,
    /// `02071838750` at home, the country's international prefix and digits elsewhere.
    National(&'static Country),
}

impl NumberFormat {
    /// From the setting's text: `+E164`, `E164`, `00E164`, `national:GB`.
    pub fn parse(text: &str) -> Option<NumberFormat> {
        match text {
            "+E164" => Some(NumberFormat::PlusE164),
            "E164" => Some(NumberFormat::E164),
            "00E164" => Some(NumberFormat::DoubleZeroE164),
            _ => {
                let code = text.strip_prefix("national:")?;
                COUNTRIES
                    .iter()
                    .find(|country| country.code == code)
                    .map(NumberFormat::National)
            }
        }
    }

    /// What came from the carrier, as `+E164` where it is a full number, else unchanged (short codes, names, `anonymous`).
    pub fn inward(&self, user: &str) -> String {
        if let Some(number) = e164(user) {
            return number;
        }
        if user.is_empty() || !user.bytes().all(|b| b.is_ascii_digit()) {
            return user.to_owned();
        }
        let international = |digits: &str| e164(&format!("+{digits}"));
        let number = match self {
            NumberFormat::PlusE164 => None,
            NumberFormat::E164 => (user.len() >= 7).then(|| international(user)).flatten(),
            NumberFormat::DoubleZeroE164 => user.strip_prefix("00").and_then(international),
            NumberFormat::National(country) => {
                if let Some(digits) = user.strip_prefix(country.international_prefix) {
                    international(digits)
                } else {
                    user.strip_prefix(country.trunk_prefix)
                        .filter(|rest| rest.len() >= country.shortest)
                        .and_then(|rest| {
                            // Where there is no trunk prefix the carrier may put the country code in front (1 202 …).
                            let rest = match rest.strip_prefix(country.calling) {
                                Some(bare)
                                    if country.trunk_prefix.is_empty()
                                        && bare.len() >= country.shortest =>
                                {
                                    bare
                                }
                                _ => rest,
                            };
                            international(&format!("{}{rest}", country.calling))
                        })
                }
            }
        };
        number.unwrap_or_else(|| user.to_owned())
    }

    /// A `+E164` number as the carrier wants it; anything else unchanged.
    pub fn outward(&self, number: &str) -> String {
        let Some(number) = e164(number) else {
            return number.to_owned();
        };
        let digits = number.strip_prefix('+').unwrap_or(&number);
        match self {
            NumberFormat::PlusE164 => number,
            NumberFormat::E164 => digits.to_owned(),
            NumberFormat::DoubleZeroE164 => format!("00{digits}"),
            NumberFormat::National(country) => match digits.strip_prefix(country.calling) {
                Some(national) => format!("{}{national}", country.trunk_prefix),
                None => format!("{}{digits}", country.international_prefix),
            },
        }
    }
}

impl fmt::Display for NumberFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberFormat::PlusE164 => f.write_str("+E164"),
            NumberFormat::E164 => f.write_str("E164"),
            NumberFormat::DoubleZeroE164 => f.write_str("00E164"),
            NumberFormat::National(country) => write!(f, "national:{}", country.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e164_takes_spaces_and_refuses_what_is_not_international() {
        assert_eq!(e164("+44 20 7183 8750").as_deref(), Some("+442071838750"));
        assert_eq!(e164("+1 (202) 555-0123").as_deref(), Some("+12025550123"));
        for bad in [
            "",
            "+",
            "020 7183",
            "44207",
            "+0441",
            "+44x",
            "+1234567890123456",
            "++44207183",
            "+123",
        ] {
            assert_eq!(e164(bad), None, "{bad}");
        }
    }

    #[test]
    fn formats_convert_both_ways() {
        let cases = [
            ("+E164", "+442071838750", "+442071838750"),
            ("E164", "442071838750", "+442071838750"),
            ("00E164", "00442071838750", "+442071838750"),
            ("national:GB", "02071838750", "+442071838750"),
            ("national:GB", "0012025550123", "+12025550123"),
            ("national:US", "2025550123", "+12025550123"),
            ("national:US", "011442071838750", "+442071838750"),
            ("national:IT", "0669812345", "+390669812345"),
            ("national:HU", "0612345678", "+3612345678"),
        ];
        for (format, carrier, number) in cases {
            let parsed = NumberFormat::parse(format).expect(format);
            assert_eq!(parsed.to_string(), format);
            assert_eq!(parsed.inward(carrier), number, "{format} in");
            assert_eq!(parsed.outward(number), carrier, "{format} out");
        }
    }

    #[test]
    fn carriers_that_mix_formats_are_understood() {
        let gb = NumberFormat::parse("national:GB").expect("known");
        assert_eq!(gb.inward("+442071838750"), "+442071838750");
        let us = NumberFormat::parse("national:US").expect("known");
        assert_eq!(us.inward("12025550123"), "+12025550123");
    }

    #[test]
    fn short_codes_and_names_pass_unchanged() {
        let gb = NumberFormat::parse("national:GB").expect("known");
        for same in ["999", "112", "anonymous", "", "1571"] {
            assert_eq!(gb.inward(same), same);
            assert_eq!(gb.outward(same), same);
        }
        assert_eq!(NumberFormat::parse("national:XX"), None);
        assert_eq!(NumberFormat::parse("e164"), None);
    }
}
