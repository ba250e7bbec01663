//! A conference: frames of 20 ms go in, one for each member who speaks, and each member hears all the others.
//!
//! Goes in: [`Mixer::join`] and what a member may ([`Part`]), frames by [`Mixer::put`], a tick by [`Mixer::mix`]. Comes out:
//! [`Mixer::hear`] for each member, and who speaks. All sums are kept in 32 bits, in loops that the compiler turns into vector
//! instructions: what everybody hears is added once, and each member gets it less its own. Supervisors are members whose part is
//! narrower: nobody hears who listens, one hears who whispers.
//! It knows no packets, no codecs and no time.

mod speaker;

use crate::media::signal::{Gain, VoiceActivity};
use speaker::ActiveSpeaker;

/// Length of a frame in milliseconds.
pub const FRAME_MS: u32 = 20;
/// Up to so many members the background of each is heard, as in a room; beyond it only those who speak are added.
const ALL_HEARD_MAX: usize = 8;

/// A place in a conference. Places are used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seat(u32);

/// Who hears a member.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Audience {
    /// Everybody.
    #[default]
    All,
    /// Nobody.
    Nobody,
    /// One other member.
    Only(Seat),
}

/// What a member may.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Part {
    /// Who hears it.
    pub audience: Audience,
    /// It is not heard for the moment, whoever its audience is.
    pub muted: bool,
    /// It hears nothing.
    pub deaf: bool,
}

/// How a supervisor takes part in a call of an agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Supervision {
    /// Hears all, is heard by nobody.
    Listen,
    /// Hears all, is heard by the agent alone.
    Whisper,
    /// Hears all, is heard by all.
    Barge,
}

impl Supervision {
    /// The part of a supervisor of `agent`.
    pub fn part(self, agent: Seat) -> Part {
        let audience = match self {
            Supervision::Listen => Audience::Nobody,
            Supervision::Whisper => Audience::Only(agent),
            Supervision::Barge => Audience::All,
        };
        Part {
            audience,
            ..Part::default()
        }
    }
}

struct Member {
    part: Part,
    /// Of what it says, and of what it hears.
    says: Gain,
    hears: Gain,
    activity: VoiceActivity,
    frame: Vec<i16>,
    /// It has said something in this frame.
    put: bool,
    /// That is part of the sum of all.
    added: bool,
}

/// A conference of any size at one rate.
pub struct Mixer {
    rate_hz: u32,
    members: Vec<Option<Member>>,
    count: usize,
    sum: Vec<i32>,
    /// The sum as everybody hears it who added nothing to it.
    common: Vec<i16>,
    speaker: ActiveSpeaker,
}

impl Mixer {
    /// An empty conference at 8,000, 16,000 or 48,000 Hz.
    pub fn new(rate_hz: u32) -> Mixer {
        let frame = (rate_hz * FRAME_MS / 1_000) as usize;
        Mixer {
            rate_hz,
            members: Vec::new(),
            count: 0,
            sum: vec![0; frame],
            common: vec![0; frame],
            speaker: ActiveSpeaker::default(),
        }
    }

    /// Samples per second.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Samples of a frame.
    pub fn frame(&self) -> usize {
        self.sum.len()
    }

    /// Members.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A new member.
    pub fn join(&mut self, part: Part) -> Seat {
        let member = Member {
            part,
            says: Gain::default(),
            hears: Gain::default(),
            activity: VoiceActivity::default(),
            frame: vec![0; self.frame()],
            put: false,
            added: false,
        };
        self.count += 1;
        let free = self.members.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.members.push(None);
            self.members.len() - 1
        });
        if let Some(seat) = self.members.get_mut(place) {
            *seat = Some(member);
        }
        Seat(place as u32)
    }

    /// A member goes. Who was heard by it alone is heard by nobody.
    pub fn leave(&mut self, seat: Seat) {
        let Some(member) = self.members.get_mut(seat.0 as usize) else {
            return;
        };
        if member.take().is_some() {
            self.count -= 1;
        }
        for member in self.members.iter_mut().flatten() {
            if member.part.audience == Audience::Only(seat) {
                member.part.audience = Audience::Nobody;
            }
        }
        self.speaker.gone(seat);
    }

    /// Changes what a member may, from the next frame on.
    pub fn set(&mut self, seat: Seat, part: Part) {
        if let Some(member) = self.member(seat) {
            member.part = part;
        }
    }

    /// Changes the level of what a member says and of what it hears, in decibels.
    pub fn set_gain(&mut self, seat: Seat, says_db: f32, hears_db: f32) {
        if let Some(member) = self.member(seat) {
            member.says.set_db(says_db);
            member.hears.set_db(hears_db);
        }
    }

    /// What a member says in this frame. Who says nothing is silent. A frame of another length is cut or filled up.
    pub fn put(&mut self, seat: Seat, samples: &[i16]) {
        let rate_hz = self.rate_hz;
        let Some(member) = self.member(seat) else {
            return;
        };
        let length = samples.len().min(member.frame.len());
        let (said, rest) = member.frame.split_at_mut(length);
        said.copy_from_slice(&samples[..length]);
        rest.fill(0);
        member.says.apply(&mut member.frame);
        member.activity.judge(&member.frame, rate_hz);
        member.put = true;
    }

    /// Makes the frame that [`Mixer::hear`] then gives to each.
    pub fn mix(&mut self) {
        self.sum.fill(0);
        let all = self.count <= ALL_HEARD_MAX;
        self.speaker.begin();
        for (place, member) in self.members.iter_mut().enumerate() {
            let Some(member) = member else {
                continue;
            };
            let heard = member.put && !member.part.muted;
            let speaks = heard && member.activity.is_speech();
            member.added = heard && member.part.audience == Audience::All && (all || speaks);
            if member.added {
                for (sum, sample) in self.sum.iter_mut().zip(&member.frame) {
                    *sum += i32::from(*sample);
                }
                if speaks {
                    let level = member.activity.level();
                    self.speaker.hear(Seat(place as u32), level);
                }
            }
        }
        self.speaker.end();
        for (sample, sum) in self.common.iter_mut().zip(&self.sum) {
            *sample = clip(*sum);
        }
    }

    /// What a member hears in this frame, into `out` of a frame's length. False when that is nothing, and `out` is silence.
    pub fn hear(&mut self, seat: Seat, out: &mut [i16]) -> bool {
        let Some(listener) = self.members.get(seat.0 as usize).and_then(Option::as_ref) else {
            out.fill(0);
            return false;
        };
        if listener.part.deaf {
            out.fill(0);
            return false;
        }
        if listener.added {
            let own = self.sum.iter().zip(&listener.frame);
            for (out, (sum, own)) in out.iter_mut().zip(own) {
                *out = clip(*sum - i32::from(*own));
            }
        } else {
            for (out, common) in out.iter_mut().zip(&self.common) {
                *out = *common;
            }
        }
        for whisperer in self.members.iter().flatten() {
            let whispers = whisperer.put && !whisperer.part.muted;
            if whispers && whisperer.part.audience == Audience::Only(seat) {
                for (out, sample) in out.iter_mut().zip(&whisperer.frame) {
                    *out = out.saturating_add(*sample);
                }
            }
        }
        if let Some(listener) = self.member(seat) {
            listener.hears.apply(out);
        }
        true
    }

    /// To be called when all have heard the frame: the next one begins in silence.
    pub fn finish(&mut self) {
        for member in self.members.iter_mut().flatten() {
            if !member.put {
                // silence is judged as well, so that who stops is not taken for speaking
                member.frame.fill(0);
                member.activity.judge(&member.frame, self.rate_hz);
            }
            member.put = false;
            member.added = false;
        }
    }

    /// Who speaks, or spoke last.
    pub fn active_speaker(&self) -> Option<Seat> {
        self.speaker.current()
    }

    fn member(&mut self, seat: Seat) -> Option<&mut Member> {
        self.members.get_mut(seat.0 as usize)?.as_mut()
    }
}

fn clip(sum: i32) -> i16 {
    sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests;
