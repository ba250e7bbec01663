//! What a telephone network sounds like in each country: ringing, busy, congestion (ITU-T E.180 supplement 2, 1994; GB also BS 6305,
//! US also Telcordia GR-506), and the milliwatt of those who measure lines (ITU-T O.6).

use super::tone::sine_from;

/// A tone with its cadence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct CallTone {
    country: &'static str,
    name: &'static str,
    /// Hertz, all at the same time.
    hz: &'static [u16],
    /// Milliseconds of sound and silence in turn; nothing is a tone without end.
    cadence_ms: &'static [u16],
}

const fn tone(
    country: &'static str,
    name: &'static str,
    hz: &'static [u16],
    cadence_ms: &'static [u16],
) -> CallTone {
    CallTone {
        country,
        name,
        hz,
        cadence_ms,
    }
}

const RINGBACK: &str = "ringback";
const BUSY: &str = "busy";
const REORDER: &str = "reorder";

static TONES: &[CallTone] = &[
    tone("at", RINGBACK, &[420], &[1000, 5000]),
    tone("at", BUSY, &[420], &[400, 400]),
    tone("at", REORDER, &[420], &[200, 200]),
    tone("au", RINGBACK, &[400, 425, 450], &[400, 200, 400, 2000]),
    tone("au", BUSY, &[425], &[375, 375]),
    tone("ch", RINGBACK, &[425], &[1000, 4000]),
    tone("ch", BUSY, &[425], &[500, 500]),
    tone("ch", REORDER, &[425], &[200, 200]),
    tone("de", RINGBACK, &[425], &[1000, 4000]),
    tone("de", BUSY, &[425], &[480, 480]),
    tone("de", REORDER, &[425], &[240, 240]),
    tone("es", RINGBACK, &[425], &[1500, 3000]),
    tone("es", BUSY, &[425], &[200, 200]),
    tone("es", REORDER, &[425], &[200, 200, 200, 200, 200, 600]),
    tone("fr", RINGBACK, &[440], &[1500, 3500]),
    tone("fr", BUSY, &[440], &[500, 500]),
    tone("fr", REORDER, &[440], &[250, 250]),
    tone("gb", RINGBACK, &[400, 450], &[400, 200, 400, 2000]),
    tone("gb", BUSY, &[400], &[375, 375]),
    tone("gb", REORDER, &[400], &[400, 350, 225, 525]),
    tone("it", RINGBACK, &[425], &[1000, 4000]),
    tone("it", BUSY, &[425], &[500, 500]),
    tone("it", REORDER, &[425], &[200, 200]),
    tone("nl", RINGBACK, &[425], &[1000, 4000]),
    tone("nl", BUSY, &[425], &[500, 500]),
    tone("nl", REORDER, &[425], &[250, 250]),
    tone("se", RINGBACK, &[425], &[1000, 5000]),
    tone("se", BUSY, &[425], &[250, 250]),
    tone("se", REORDER, &[425], &[250, 750]),
    tone("us", RINGBACK, &[440, 480], &[2000, 4000]),
    tone("us", BUSY, &[480, 620], &[500, 500]),
    tone("us", REORDER, &[480, 620], &[250, 250]),
];

/// Level of a tone: −19 dB of full scale together, some −13 dBm0 as networks send them (E.180 §3).
const LEVEL: f64 = 3_600.0;
/// One milliwatt: 0 dBm0 is 3.14 dB below the loudest sine of A-law (G.711 §4).
const MILLIWATT: f64 = 32_767.0 * 0.6967;
/// O.6's reference frequency: no divisor of the sampling rate.
const MILLIWATT_HZ: f64 = 1_020.0;

/// All names that [`sound`] knows: `tones/gb/busy`, `tones/milliwatt`.
pub fn names() -> impl Iterator<Item = String> {
    TONES
        .iter()
        .map(|tone| format!("tones/{}/{}", tone.country, tone.name))
        .chain(std::iter::once("tones/milliwatt".to_owned()))
}

/// One turn of a cadence, which may be repeated without a seam; a second of the milliwatt.
pub fn sound(name: &str, rate_hz: u32) -> Option<Vec<i16>> {
    let rest = name.strip_prefix("tones/")?;
    if rest == "milliwatt" {
        return Some(sine_from(
            rate_hz,
            MILLIWATT_HZ,
            MILLIWATT,
            0,
            rate_hz as usize,
        ));
    }
    let (country, kind) = rest.split_once('/')?;
    let tone = TONES
        .iter()
        .find(|tone| tone.country == country && tone.name == kind)?;
    let amplitude = LEVEL / tone.hz.len() as f64;
    let mut out = Vec::new();
    for (place, ms) in tone.cadence_ms.iter().enumerate() {
        let samples = usize::from(*ms) * rate_hz as usize / 1_000;
        let start = out.len();
        out.resize(start + samples, 0);
        if place % 2 == 1 {
            continue;
        }
        for hz in tone.hz {
            let part = sine_from(rate_hz, f64::from(*hz), amplitude, 0, samples);
            out.iter_mut()
                .skip(start)
                .zip(&part)
                .for_each(|(sample, part)| *sample += part);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::signal::tone::{amplitude_at, rms};

    #[test]
    fn tones_have_their_frequencies_and_their_cadence() {
        let busy = sound("tones/us/busy", 8_000).expect("known");
        assert_eq!(busy.len(), 8_000);
        for hz in [480.0, 620.0] {
            let level = amplitude_at(&busy[..4_000], 8_000, hz);
            assert!((level - LEVEL / 2.0).abs() < 20.0, "{hz}: {level}");
        }
        assert!(busy[4_000..].iter().all(|sample| *sample == 0));
        let ringing = sound("tones/gb/ringback", 16_000).expect("known");
        let parts: Vec<bool> = ringing
            .chunks(3_200)
            .map(|part| rms(part) > 100.0)
            .collect();
        // fifths of a second: two of sound, one of silence, two of sound, ten of silence
        let expected = [true, true, false, true, true]
            .into_iter()
            .chain([false; 10]);
        assert!(parts.into_iter().eq(expected));
    }

    #[test]
    fn every_name_sounds_and_others_do_not() {
        for name in names() {
            let sound = sound(&name, 8_000).expect("known");
            assert!(rms(&sound) > 300.0, "{name}");
        }
        for name in ["tones/xx/busy", "tones/gb/happy", "tones", "gb/busy"] {
            assert_eq!(sound(name, 8_000), None, "{name}");
        }
    }

    #[test]
    fn milliwatt_is_3_14_decibels_below_the_loudest_tone() {
        let one = sound("tones/milliwatt", 8_000).expect("known");
        let level = amplitude_at(&one, 8_000, MILLIWATT_HZ);
        let below = 20.0 * (level / 32_767.0).log10();
        assert_eq!((below * 100.0).round(), -314.0, "{below}");
    }
}
