//! DTMF by ear: the two tones of a key in the sound itself (ITU-T Q.23), for callers whose network sends no telephone-events.
//!
//! Windows of 20 ms, each 10 ms further, are searched for the eight tones. A key is taken when two in a row agree, so that 40 ms are
//! always heard and 23 ms never (Q.24, annex A); four without it end it. Speech does not pass: two tones must have most of the energy,
//! in a proportion that telephones make.

use super::tone::goertzel;

/// The rate at which keys are listened for.
pub const RATE_HZ: u32 = 8_000;
const WINDOW: usize = 160;
const HOP: usize = 80;
const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];
/// Share of the energy that the two tones have together: half of it is left of tones that are off by the 1.5 % of Q.24.
const SHARE: f64 = 0.5;
/// Each quarter of a window has this part of a quarter of its energy: a key fills the window, or it is not yet there.
const FILLED: f64 = 0.4;
/// The higher tone may be louder by 6 dB, weaker by 9 (Q.24: 4 and 8 dB must be taken), as ratios of energy.
const LOUDER: f64 = 4.0;
const WEAKER: f64 = 8.0;
/// The other tones of a row or column are weaker than the key's by 8 dB.
const APART: f64 = 6.3;
/// Root mean square below which nothing is listened to: −45 dBm0 or so.
const QUIET: f64 = 90.0;
/// Windows in a row that make a key, and that end it: a drop of 10 ms spoils three, a pause of 40 ms five.
const BEGIN: u32 = 2;
const END: u32 = 4;

/// A key that was pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeardKey {
    /// `0`–`9`, `*`, `#`, `A`–`D`.
    pub digit: char,
    /// How long it sounded, in milliseconds, to 10 of them.
    pub duration_ms: u32,
}

/// The listener of one stream.
#[derive(Clone, Debug, Default)]
pub struct KeyListener {
    samples: Vec<i16>,
    /// What the last windows held, and how many of them in a row.
    seen: Option<char>,
    windows: u32,
    /// The key that is down, for how many windows, and how many there are without it.
    down: Option<(char, u32)>,
    without: u32,
}

impl KeyListener {
    /// Takes samples at 8 kHz; keys that were let go meanwhile are appended.
    pub fn hear(&mut self, samples: &[i16], out: &mut Vec<HeardKey>) {
        self.samples.extend_from_slice(samples);
        let mut start = 0;
        while let Some(window) = self.samples.get(start..start + WINDOW) {
            let key = key_in(window);
            start += HOP;
            out.extend(self.step(key));
        }
        self.samples.drain(..start);
    }

    fn step(&mut self, key: Option<char>) -> Option<HeardKey> {
        if key == self.seen {
            self.windows += 1;
        } else {
            self.seen = key;
            self.windows = 1;
        }
        if let Some((down, length)) = &mut self.down {
            if key == Some(*down) {
                *length += 1 + std::mem::take(&mut self.without);
                return None;
            }
            self.without += 1;
            if self.without < END {
                return None;
            }
            let ended = HeardKey {
                digit: *down,
                // the first window lies behind its beginning by as much as the last before its end
                duration_ms: (*length + 1) * 10,
            };
            self.down = None;
            self.without = 0;
            return Some(ended);
        }
        if let Some(key) = key
            && self.windows >= BEGIN
        {
            self.down = Some((key, self.windows));
            self.without = 0;
        }
        None
    }
}

/// The key in a window, if there is one and nothing else.
fn key_in(window: &[i16]) -> Option<char> {
    let energy: f64 = window.iter().map(|s| f64::from(*s).powi(2)).sum();
    if energy < QUIET * QUIET * window.len() as f64 {
        return None;
    }
    let filled = window.chunks_exact(WINDOW / 4).all(|quarter| {
        let part: f64 = quarter.iter().map(|s| f64::from(*s).powi(2)).sum();
        part * 4.0 > energy * FILLED
    });
    if !filled {
        return None;
    }
    let of = |tones: [f64; 4]| tones.map(|hz| goertzel(window, RATE_HZ, hz));
    let (rows, columns) = (of(ROWS), of(COLUMNS));
    let (row, low) = strongest(&rows)?;
    let (column, high) = strongest(&columns)?;
    let balanced = high <= low * LOUDER && low <= high * WEAKER;
    if !balanced || low + high < SHARE * energy {
        return None;
    }
    KEYS.get(row)?.get(column).copied()
}

/// The strongest of four, when it stands out.
fn strongest(energies: &[f64; 4]) -> Option<(usize, f64)> {
    let (place, best) = energies
        .iter()
        .copied()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let alone = energies
        .iter()
        .enumerate()
        .all(|(other, energy)| other == place || energy * APART < best);
    alone.then_some((place, best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::ComfortNoise;
    use crate::media::codec::g711::Law;
    use crate::media::prompts;
    use crate::media::signal::tone::sine;

    fn tones(key: char) -> (f64, f64) {
        for (row, keys) in KEYS.iter().enumerate() {
            if let Some(column) = keys.iter().position(|known| *known == key) {
                return (ROWS[row], COLUMNS[column]);
            }
        }
        panic!("no key {key}");
    }

    /// A key with the level of each tone in decibels of full scale, off its frequency by `off`.
    fn pressed(key: char, ms: usize, low_db: f64, high_db: f64, off: f64) -> Vec<i16> {
        let (low, high) = tones(key);
        let amplitude = |db: f64| 32_767.0 * 10f64.powf(db / 20.0);
        let one = sine(RATE_HZ, low * (1.0 + off), amplitude(low_db), ms * 8);
        let two = sine(RATE_HZ, high * (1.0 + off), amplitude(high_db), ms * 8);
        one.iter()
            .zip(&two)
            .map(|(a, b)| a.saturating_add(*b))
            .collect()
    }

    fn heard(samples: &[i16]) -> Vec<HeardKey> {
        let (mut listener, mut out) = (KeyListener::default(), Vec::new());
        // frames of other lengths than windows
        samples
            .chunks(111)
            .for_each(|part| listener.hear(part, &mut out));
        listener.hear(&[0; 400], &mut out);
        out
    }

    fn digits(samples: &[i16]) -> String {
        heard(samples).iter().map(|key| key.digit).collect()
    }

    #[test]
    fn all_keys_are_heard_once_with_their_length_through_g711() {
        let all = "1234567890*#ABCD";
        for (on, off) in [(40, 40), (70, 60), (250, 100)] {
            let mut samples = vec![0; 333];
            for key in all.chars() {
                samples.extend(pressed(key, on, -10.0, -9.0, 0.0));
                samples.extend(vec![0; off * 8]);
            }
            for law in [Law::A, Law::Mu] {
                let through: Vec<i16> =
                    samples.iter().map(|s| law.decode(law.encode(*s))).collect();
                assert_eq!(digits(&through), all, "{on} ms");
                for key in heard(&through) {
                    assert!(
                        key.duration_ms.abs_diff(on as u32) <= 20,
                        "{key:?} of {on} ms"
                    );
                }
            }
        }
    }

    #[test]
    fn bounds_of_q24_for_level_twist_frequency_and_length_hold() {
        for key in "159D0".chars() {
            let one = |ms, low, high, off| digits(&pressed(key, ms, low, high, off));
            let expected = key.to_string();
            assert_eq!(one(100, -6.0, -6.0, 0.0), expected, "loud");
            assert_eq!(one(100, -35.0, -35.0, 0.0), expected, "quiet");
            assert_eq!(one(100, -60.0, -60.0, 0.0), "", "too quiet");
            assert_eq!(one(100, -12.0, -8.0, 0.0), expected, "high louder");
            assert_eq!(one(100, -8.0, -16.0, 0.0), expected, "high weaker");
            assert_eq!(one(100, -8.0, -24.0, 0.0), "", "far too weak");
            assert_eq!(one(100, -10.0, -10.0, 0.015), expected, "1.5 % off");
            assert_eq!(one(100, -10.0, -10.0, -0.015), expected, "1.5 % off");
            assert_eq!(one(100, -10.0, -10.0, 0.05), "", "5 % off");
            for at in 0..80 {
                let mut samples = vec![0; at];
                samples.extend(pressed(key, 23, -10.0, -10.0, 0.0));
                assert_eq!(digits(&samples), "", "23 ms are too short, at {at}");
                samples.truncate(at);
                samples.extend(pressed(key, 40, -10.0, -10.0, 0.0));
                assert_eq!(digits(&samples), expected, "40 ms are enough, at {at}");
            }
        }
    }

    #[test]
    fn a_short_drop_does_not_make_two_of_one_and_noise_hides_nothing() {
        let mut samples = pressed('7', 60, -10.0, -10.0, 0.0);
        samples.extend([0; 40]);
        samples.extend(pressed('7', 60, -10.0, -10.0, 0.0));
        assert_eq!(digits(&samples), "7");
        let mut noise = Vec::new();
        ComfortNoise::white(35).sound(samples.len(), &mut noise);
        samples.iter_mut().zip(&noise).for_each(|(s, n)| *s += n);
        assert_eq!(digits(&samples), "7");
    }

    #[test]
    fn nobody_speaks_keys() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/prompts");
        let mut files = 0;
        let mut seconds = 0;
        for part in ["en", "en/digits", "music", "tones"] {
            for entry in std::fs::read_dir(format!("{folder}/{part}")).expect("prompts") {
                let path = entry.expect("an entry").path();
                if path.extension().is_none_or(|kind| kind != "flac") {
                    continue;
                }
                let sound = prompts::decode(&std::fs::read(&path).expect("readable"));
                let sound = sound.expect("a sound");
                assert_eq!(digits(&sound), "", "{}", path.display());
                files += 1;
                seconds += sound.len() / 8_000;
            }
        }
        assert!(files > 50 && seconds > 60, "{files} files, {seconds} s");
    }
}
