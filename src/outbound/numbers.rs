//! Many numbers in little memory: an imported do-not-call register holds millions.
//!
//! The numbers are sorted, and kept as the steps from one to the next in as few bytes as each needs, in blocks of [`BLOCK`] with the first
//! of each beside. A look is a search among the blocks and a walk through one. A register of ten million numbers of one country takes about
//! two bytes for each (`an_import_is_small`).

use serde::{Deserialize, Serialize};

/// Numbers in a block. Larger blocks are smaller, and slower to walk: 64 take a quarter of a microsecond.
const BLOCK: usize = 64;
/// What a file of numbers begins with.
const MAGIC: &[u8; 8] = b"STRWNUM1";

/// A number as one word: the digits behind the `+`. No international number begins with 0, so nothing is lost.
pub fn key_of(number: &str) -> Option<u64> {
    let digits = number.strip_prefix('+')?;
    let fine = !digits.is_empty()
        && digits.len() <= 15
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    fine.then(|| digits.parse().ok()).flatten()
}

/// A set of numbers that does not change.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NumberSet {
    len: usize,
    /// The first number of each block, and where the steps to its others begin.
    blocks: Vec<(u64, u32)>,
    steps: Vec<u8>,
    fingerprint: u32,
}

impl std::fmt::Debug for NumberSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} numbers ({:08x})", self.len, self.fingerprint)
    }
}

/// What is wrong with a line of a list of numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongLine {
    /// Which line, from 1.
    pub line: usize,
    /// What stands there, cut short.
    pub text: String,
}

impl std::fmt::Display for WrongLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "line {}: `{}` is not an international number like +442071838750",
            self.line, self.text
        )
    }
}

impl NumberSet {
    /// The set of these keys.
    pub fn of(mut keys: Vec<u64>) -> NumberSet {
        keys.sort_unstable();
        keys.dedup();
        let mut set = NumberSet {
            len: keys.len(),
            ..NumberSet::default()
        };
        for block in keys.chunks(BLOCK) {
            let Some((&first, rest)) = block.split_first() else {
                continue;
            };
            let start = u32::try_from(set.steps.len()).unwrap_or(u32::MAX);
            set.blocks.push((first, start));
            let mut before = first;
            for &key in rest {
                write_step(key - before, &mut set.steps);
                before = key;
            }
        }
        set.blocks.shrink_to_fit();
        set.steps.shrink_to_fit();
        let mut hash = crc32fast::Hasher::new();
        for (first, _) in &set.blocks {
            hash.update(&first.to_le_bytes());
        }
        hash.update(&set.steps);
        set.fingerprint = hash.finalize();
        set
    }

    /// The set of the numbers of a text: one a line, in the first column of a CSV, with or without `+` in front when `plain` says that
    /// all are international. Lines that are empty or begin with `#` are skipped, and so is a first line of words.
    pub fn read(text: &str) -> Result<NumberSet, WrongLine> {
        let mut keys = Vec::with_capacity(text.len() / 14);
        for (index, line) in text.lines().enumerate() {
            let column = line.split([',', ';', '\t']).next().unwrap_or_default();
            let column = column.trim().trim_matches('"').trim();
            if column.is_empty() || column.starts_with('#') {
                continue;
            }
            match crate::directory::e164(column).and_then(|number| key_of(&number)) {
                Some(key) => keys.push(key),
                None if index == 0 && !column.bytes().any(|byte| byte.is_ascii_digit()) => {}
                None => {
                    return Err(WrongLine {
                        line: index + 1,
                        text: column.chars().take(40).collect(),
                    });
                }
            }
        }
        Ok(NumberSet::of(keys))
    }

    /// Whether it holds this number.
    pub fn contains(&self, key: u64) -> bool {
        let after = self.blocks.partition_point(|(first, _)| *first <= key);
        let Some(at) = after.checked_sub(1) else {
            return false;
        };
        let Some(&(first, start)) = self.blocks.get(at) else {
            return false;
        };
        let end = self
            .blocks
            .get(after)
            .map_or(self.steps.len(), |(_, start)| *start as usize);
        let mut number = first;
        let mut steps = self.steps.get(start as usize..end).unwrap_or_default();
        while number < key {
            let Some((step, rest)) = read_step(steps) else {
                return false;
            };
            number = number.saturating_add(step);
            steps = rest;
        }
        number == key
    }

    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        self.blocks.len() * size_of::<(u64, u32)>() + self.steps.len()
    }

    /// Tells two sets apart.
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// As it is kept in a file.
    pub fn to_file(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + self.blocks.len() * 12 + self.steps.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        out.extend_from_slice(&(self.len as u64).to_le_bytes());
        out.extend_from_slice(&(self.blocks.len() as u64).to_le_bytes());
        for (first, start) in &self.blocks {
            out.extend_from_slice(&first.to_le_bytes());
            out.extend_from_slice(&start.to_le_bytes());
        }
        out.extend_from_slice(&self.steps);
        out
    }

    /// From a file; `None` when it is not whole.
    pub fn from_file(bytes: &[u8]) -> Option<NumberSet> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (fingerprint, rest) = rest.split_first_chunk::<4>()?;
        let (len, rest) = rest.split_first_chunk::<8>()?;
        let (blocks, rest) = rest.split_first_chunk::<8>()?;
        let blocks = usize::try_from(u64::from_le_bytes(*blocks)).ok()?;
        let (table, steps) = rest.split_at_checked(blocks.checked_mul(12)?)?;
        let mut hash = crc32fast::Hasher::new();
        let mut found = Vec::with_capacity(blocks);
        for row in table.chunks_exact(12) {
            let (first, start) = row.split_first_chunk::<8>()?;
            hash.update(first);
            let start = u32::from_le_bytes(*start.first_chunk::<4>()?);
            found.push((u64::from_le_bytes(*first), start));
        }
        hash.update(steps);
        let fingerprint = u32::from_le_bytes(*fingerprint);
        (hash.finalize() == fingerprint).then_some(())?;
        Some(NumberSet {
            len: usize::try_from(u64::from_le_bytes(*len)).ok()?,
            blocks: found,
            steps: steps.to_vec(),
            fingerprint,
        })
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn write_step(mut step: u64, out: &mut Vec<u8>) {
    while step >= 0x80 {
        out.push((step & 0x7f) as u8 | 0x80);
        step >>= 7;
    }
    out.push(step as u8);
}

fn read_step(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut step = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(9) {
        step |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((step, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: &str) -> u64 {
        key_of(number).expect("a number")
    }

    #[test]
    fn a_set_holds_what_it_was_made_of_and_nothing_else() {
        let mut state = 7u64;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            440_000_000_000 + (state >> 33) % 1_000_000
        };
        let keys: Vec<u64> = (0..20_000).map(|_| draw()).collect();
        let set = NumberSet::of(keys.clone());
        let naive: std::collections::BTreeSet<u64> = keys.into_iter().collect();
        assert_eq!(set.len(), naive.len());
        for number in 440_000_000_000..440_000_100_000 {
            assert_eq!(set.contains(number), naive.contains(&number), "{number}");
        }
        assert!(!set.contains(1));
        assert!(!set.contains(u64::MAX));
        assert!(!NumberSet::default().contains(5));
    }

    #[test]
    fn a_file_comes_back_whole_or_not_at_all() {
        let set = NumberSet::read("+442071838750\n+442071838751\n+4930123456\n").expect("numbers");
        let file = set.to_file();
        let back = NumberSet::from_file(&file).expect("whole");
        assert_eq!(back, set);
        assert!(back.contains(key("+4930123456")));
        for cut in 0..file.len() {
            assert_eq!(NumberSet::from_file(&file[..cut]), None, "{cut}");
        }
        let mut wrong = file.clone();
        *wrong.last_mut().expect("bytes") ^= 1;
        assert_eq!(NumberSet::from_file(&wrong), None);
    }

    #[test]
    fn a_list_is_read_as_registers_come() {
        let text =
            "number,added\n# the first\n+44 20 7183 8750,2026-01-01\n\n\"+49 30 123456\";x\r\n";
        let set = NumberSet::read(text).expect("numbers");
        assert_eq!(set.len(), 2);
        assert!(set.contains(key("+442071838750")) && set.contains(key("+4930123456")));
        let wrong = NumberSet::read("+442071838750\n020 7183 8750\n").expect_err("national");
        assert_eq!(
            wrong.to_string(),
            "line 2: `020 7183 8750` is not an international number like +442071838750"
        );
    }

    #[test]
    fn a_hundred_thousand_numbers_take_few_bytes_each() {
        // spread as evenly as a register of one country is at its thinnest
        let keys = (0..100_000u64).map(|n| 447_000_000_000 + n * 9_973);
        let set = NumberSet::of(keys.collect());
        let each = set.bytes() as f64 / set.len() as f64;
        assert!(each < 2.5, "{each}");
    }

    #[test]
    #[ignore = "ten million numbers: a measurement, cargo test --release --lib ten_million -- --ignored --nocapture"]
    fn ten_million_numbers_measured() {
        let keys = (0..10_000_000u64).map(|n| 447_000_000_000 + n * 97 + n % 89);
        let set = NumberSet::of(keys.collect());
        let each = set.bytes() as f64 / set.len() as f64;
        println!("{each:.2} bytes a number, {} MiB in all", set.bytes() >> 20);
        assert!(set.len() == 10_000_000 && each < 2.5);
    }
}
