//! Conferences of a worker: each has a mixer, and all tick together on the grid of the players.

use super::{FRAME, LATE_MAX, MADE_BYTES_MAX, Place, Worker, on_grid, slot_at, slot_at_mut};
use crate::base::Instant;
use crate::media::mixer::{Audience, Mixer, Part, Seat};
use crate::media::{MediaEvent, MixAudience, MixPart, StreamId};

/// The rate of all conferences: wide band, which G.722 and Opus have, and nothing is lost of the others.
const RATE_HZ: u32 = 16_000;

struct Member {
    index: usize,
    stream: StreamId,
    seat: Seat,
    wanted: MixPart,
}

/// A conference and who is in it.
pub(super) struct Room {
    mixer: Mixer,
    members: Vec<Member>,
}

impl Room {
    fn new() -> Room {
        Room {
            mixer: Mixer::new(RATE_HZ),
            members: Vec::new(),
        }
    }

    /// Puts the parts of all into effect: whom one whispers to may have come or gone.
    fn cast(&mut self) {
        for member in &self.members {
            let audience = match member.wanted.heard_by {
                MixAudience::All => Audience::All,
                MixAudience::Nobody => Audience::Nobody,
                MixAudience::Only(stream) => self
                    .members
                    .iter()
                    .find(|other| other.stream == stream)
                    .map_or(Audience::Nobody, |other| Audience::Only(other.seat)),
            };
            let part = Part {
                audience,
                muted: member.wanted.muted,
                deaf: member.wanted.deaf,
            };
            self.mixer.set(member.seat, part);
        }
    }

    /// 20 ms: hears all, mixes, and speaks to all.
    fn tick(&mut self, now: Instant, places: &mut [Place], frame: &mut Vec<i16>) {
        let mut packet = [0; MADE_BYTES_MAX];
        frame.resize(self.mixer.frame(), 0);
        for member in &self.members {
            if let Some(slot) = slot_at_mut(places, member.index)
                && slot.stream.hear_frame(now, frame)
            {
                self.mixer.put(member.seat, frame);
            }
        }
        self.mixer.mix();
        for member in &self.members {
            self.mixer.hear(member.seat, frame);
            if let Some(slot) = slot_at_mut(places, member.index) {
                slot.stream.say_frame(now, frame, RATE_HZ);
                slot.send_made(now, &mut packet);
            }
        }
        self.mixer.finish();
    }
}

impl<E: Fn(MediaEvent)> Worker<E> {
    /// Takes a stream into a conference, or changes its part.
    pub(super) fn mix(
        &mut self,
        now: Instant,
        stream: StreamId,
        conference: u64,
        part: MixPart,
    ) -> Result<(), String> {
        let index = self.index.get(&stream).copied().ok_or("no such stream")?;
        let already = slot_at(&self.places, index).and_then(|slot| slot.room);
        if already != Some(conference) {
            self.part(index);
            self.stop(index);
            let slot = slot_at_mut(&mut self.places, index).ok_or("no such stream")?;
            slot.stream.mix(now, RATE_HZ)?;
            slot.room = Some(conference);
            let room = self.rooms.entry(conference).or_insert_with(Room::new);
            let seat = room.mixer.join(Part::default());
            room.members.push(Member {
                index,
                stream,
                seat,
                wanted: part,
            });
            self.rooms_due.get_or_insert(on_grid(now));
        }
        if let Some(room) = self.rooms.get_mut(&conference) {
            if let Some(member) = room.members.iter_mut().find(|m| m.stream == stream) {
                member.wanted = part;
            }
            room.cast();
        }
        Ok(())
    }

    /// Takes a stream out of its conference, which ends with its last member.
    pub(super) fn leave_room(&mut self, index: usize) {
        let Some(slot) = slot_at_mut(&mut self.places, index) else {
            return;
        };
        let Some(conference) = slot.room.take() else {
            return;
        };
        slot.stream.idle();
        let Some(room) = self.rooms.get_mut(&conference) else {
            return;
        };
        if let Some(place) = room.members.iter().position(|m| m.index == index) {
            let member = room.members.swap_remove(place);
            room.mixer.leave(member.seat);
        }
        room.cast();
        if room.members.is_empty() {
            self.rooms.remove(&conference);
        }
        if self.rooms.is_empty() {
            self.rooms_due = None;
        }
    }

    /// The conferences' frame, when it is due.
    pub(super) fn tick_rooms(&mut self, now: Instant) {
        let Some(due) = self.rooms_due.filter(|due| now >= *due) else {
            return;
        };
        for room in self.rooms.values_mut() {
            room.tick(now, &mut self.places, &mut self.frame);
        }
        self.rooms_due = Some(if now.since(due) > LATE_MAX {
            on_grid(now)
        } else {
            due + FRAME
        });
    }
}
