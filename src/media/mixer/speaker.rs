//! Who speaks: the loudest, unless it is only a cough.

use super::Seat;

/// Frames for which another must be louder before it is the one who speaks: 300 ms, longer than a cough.
const CHALLENGE_FRAMES: u32 = 15;
/// How much louder than the present speaker: 3 dB.
const LOUDER: f32 = 1.4;

/// The one who speaks.
#[derive(Default)]
pub(super) struct ActiveSpeaker {
    current: Option<Seat>,
    challenger: Option<Seat>,
    frames: u32,
    level: f32,
    loudest: Option<(Seat, f32)>,
}

impl ActiveSpeaker {
    /// A frame begins.
    pub fn begin(&mut self) {
        self.level = 0.0;
        self.loudest = None;
    }

    /// A member speaks at this level in the frame.
    pub fn hear(&mut self, seat: Seat, level: f32) {
        if self.current == Some(seat) {
            self.level = level;
        }
        if self.loudest.is_none_or(|(_, loudest)| level > loudest) {
            self.loudest = Some((seat, level));
        }
    }

    /// The frame is over.
    pub fn end(&mut self) {
        let challenger = self
            .loudest
            .filter(|(seat, level)| self.current != Some(*seat) && *level > self.level * LOUDER)
            .map(|(seat, _)| seat);
        if challenger.is_none() || challenger != self.challenger {
            self.challenger = challenger;
            self.frames = 0;
        }
        if challenger.is_some() {
            self.frames += 1;
            if self.frames >= CHALLENGE_FRAMES || self.current.is_none() {
                self.current = challenger;
                self.challenger = None;
            }
        }
    }

    /// A member is there no more.
    pub fn gone(&mut self, seat: Seat) {
        if self.current == Some(seat) {
            self.current = None;
        }
        if self.challenger == Some(seat) {
            self.challenger = None;
        }
    }

    /// Who speaks, or spoke last.
    pub fn current(&self) -> Option<Seat> {
        self.current
    }
}
