//! Every mode of the conference by the tones that each member hears.

use super::*;
use crate::media::signal::tone::{amplitude_at, rms, sine_from};

const LEVEL: f64 = 6_000.0;

/// Members with a tone each; what each hears of a second.
struct Room {
    mixer: Mixer,
    members: Vec<(Seat, f64)>,
    heard: Vec<Vec<i16>>,
    at: u64,
}

impl Room {
    fn new(rate_hz: u32, tones: &[f64]) -> Room {
        let mut mixer = Mixer::new(rate_hz);
        let members = tones
            .iter()
            .map(|hz| (mixer.join(Part::default()), *hz))
            .collect();
        Room {
            mixer,
            members,
            heard: vec![Vec::new(); tones.len()],
            at: 0,
        }
    }

    fn seat(&self, n: usize) -> Seat {
        self.members[n].0
    }

    /// Half a second in which all speak whose number `speaks` says yes to; forgets what was heard before.
    fn talk(&mut self, speaks: impl Fn(usize) -> bool) {
        self.heard.iter_mut().for_each(Vec::clear);
        let frame = self.mixer.frame();
        let mut out = vec![0; frame];
        for _ in 0..25 {
            for (n, (seat, hz)) in self.members.iter().enumerate() {
                if speaks(n) {
                    let said = sine_from(self.mixer.rate_hz(), *hz, LEVEL, self.at, frame);
                    self.mixer.put(*seat, &said);
                }
            }
            self.mixer.mix();
            for (heard, (seat, _)) in self.heard.iter_mut().zip(&self.members) {
                self.mixer.hear(*seat, &mut out);
                heard.extend(&out);
            }
            self.mixer.finish();
            self.at += frame as u64;
        }
    }

    /// Which tones each hears, as the numbers of their speakers.
    fn who_hears_whom(&self) -> Vec<Vec<usize>> {
        let rate = self.mixer.rate_hz();
        self.heard
            .iter()
            .map(|heard| {
                let tail = &heard[heard.len() / 2..];
                let present = |hz: f64| amplitude_at(tail, rate, hz) / LEVEL;
                let mut there = Vec::new();
                for (n, (_, hz)) in self.members.iter().enumerate() {
                    let level = present(*hz);
                    assert!(
                        level < 0.02 || (0.95..1.05).contains(&level),
                        "{hz} Hz at {level}: neither there nor absent"
                    );
                    if level > 0.5 {
                        there.push(n);
                    }
                }
                there
            })
            .collect()
    }
}

#[test]
fn everybody_hears_all_but_itself_at_every_rate() {
    for rate_hz in [8_000, 16_000, 48_000] {
        let mut room = Room::new(rate_hz, &[400.0, 700.0, 1_000.0, 1_300.0]);
        room.talk(|_| true);
        assert_eq!(
            room.who_hears_whom(),
            [vec![1, 2, 3], vec![0, 2, 3], vec![0, 1, 3], vec![0, 1, 2]]
        );
        room.talk(|n| n == 1);
        assert_eq!(room.who_hears_whom(), [vec![1], vec![], vec![1], vec![1]]);
        assert_eq!(rms(&room.heard[1]), 0.0);
    }
}

/// 0 is the customer, 1 the agent, 2 the supervisor.
#[test]
fn supervisor_listens_whispers_and_barges() {
    let mut room = Room::new(16_000, &[400.0, 700.0, 1_000.0]);
    let agent = room.seat(1);
    let supervisor = room.seat(2);
    for (mode, expected) in [
        (Supervision::Listen, [vec![1], vec![0], vec![0, 1]]),
        (Supervision::Whisper, [vec![1], vec![0, 2], vec![0, 1]]),
        (Supervision::Barge, [vec![1, 2], vec![0, 2], vec![0, 1]]),
        (Supervision::Listen, [vec![1], vec![0], vec![0, 1]]),
    ] {
        room.mixer.set(supervisor, mode.part(agent));
        room.talk(|_| true);
        assert_eq!(room.who_hears_whom(), expected, "{mode:?}");
    }
    // whom it whispered to is gone: nobody hears it
    room.mixer.set(supervisor, Supervision::Whisper.part(agent));
    room.mixer.leave(agent);
    let next = room.mixer.join(Part::default());
    assert_eq!(next, agent, "the seat is used again");
    room.talk(|n| n != 1);
    assert_eq!(room.who_hears_whom(), [vec![], vec![0], vec![0]]);
}

#[test]
fn muted_members_are_not_heard_and_deaf_ones_do_not_hear() {
    let mut room = Room::new(8_000, &[400.0, 700.0, 1_000.0]);
    let (muted, deaf) = (room.seat(0), room.seat(1));
    room.mixer.set(
        muted,
        Part {
            muted: true,
            ..Part::default()
        },
    );
    room.mixer.set(
        deaf,
        Part {
            deaf: true,
            ..Part::default()
        },
    );
    room.talk(|_| true);
    assert_eq!(room.who_hears_whom(), [vec![1, 2], vec![], vec![1]]);
    assert_eq!(rms(&room.heard[1]), 0.0);
}

#[test]
fn gains_change_what_is_said_and_what_is_heard() {
    let mut room = Room::new(16_000, &[400.0, 700.0, 1_000.0]);
    let (one, two) = (room.seat(0), room.seat(1));
    room.mixer.set_gain(one, -6.0, 0.0);
    room.mixer.set_gain(two, 0.0, -12.0);
    room.talk(|_| true);
    let level = |who: usize, hz| {
        let heard = &room.heard[who];
        20.0 * (amplitude_at(&heard[heard.len() / 2..], 16_000, hz) / LEVEL).log10()
    };
    for (who, hz, db) in [
        (2, 400.0, -6.0),
        (1, 400.0, -18.0),
        (1, 1_000.0, -12.0),
        (0, 700.0, 0.0),
    ] {
        assert!(
            (level(who, hz) - db).abs() < 0.2,
            "{who} {hz}: {}",
            level(who, hz)
        );
    }
}

#[test]
fn sum_of_many_loud_ones_clips_and_never_wraps() {
    let mut mixer = Mixer::new(8_000);
    let seats: Vec<Seat> = (0..200).map(|_| mixer.join(Part::default())).collect();
    let mut out = vec![0; mixer.frame()];
    for sign in [1i16, -1] {
        for seat in &seats {
            mixer.put(*seat, &[sign * 30_000; 160]);
        }
        mixer.mix();
        assert!(mixer.hear(seats[7], &mut out));
        let full = if sign > 0 { i16::MAX } else { i16::MIN };
        assert!(out.iter().all(|sample| *sample == full));
        mixer.finish();
    }
}

#[test]
fn in_a_crowd_the_background_of_the_silent_is_left_out() {
    let mut mixer = Mixer::new(8_000);
    let seats: Vec<Seat> = (0..50).map(|_| mixer.join(Part::default())).collect();
    let mut out = vec![0; mixer.frame()];
    let mut noise = crate::media::codec::ComfortNoise::white(60);
    for n in 0..60 {
        for seat in &seats {
            let mut room = Vec::new();
            noise.sound(160, &mut room);
            if *seat == seats[3] && n > 20 {
                room = sine_from(8_000, 500.0, LEVEL, n * 160, 160);
            }
            mixer.put(*seat, &room);
        }
        mixer.mix();
        mixer.hear(seats[0], &mut out);
        mixer.finish();
    }
    let own = amplitude_at(&out, 8_000, 500.0);
    assert!((own / LEVEL - 1.0).abs() < 0.02);
    let rest = rms(&out) - LEVEL / 2f64.sqrt();
    assert!(rest.abs() < 5.0, "{rest}");
    assert_eq!(mixer.active_speaker(), Some(seats[3]));
}

#[test]
fn who_speaks_changes_with_the_speaker_but_not_with_a_cough() {
    let mut room = Room::new(16_000, &[400.0, 700.0, 1_000.0]);
    room.talk(|_| false);
    assert_eq!(room.mixer.active_speaker(), None);
    room.talk(|n| n == 0);
    assert_eq!(room.mixer.active_speaker(), Some(room.seat(0)));
    // a louder one for a fifth of a second
    let loud = room.seat(2);
    for n in 0..10u64 {
        let frame = room.mixer.frame();
        let said = sine_from(16_000, 400.0, LEVEL, n * frame as u64, frame);
        room.mixer.put(room.members[0].0, &said);
        room.mixer
            .put(loud, &sine_from(16_000, 900.0, 20_000.0, 0, frame));
        room.mixer.mix();
        room.mixer.finish();
    }
    assert_eq!(room.mixer.active_speaker(), Some(room.seat(0)));
    room.talk(|n| n == 1);
    assert_eq!(room.mixer.active_speaker(), Some(room.seat(1)));
    let gone = room.seat(1);
    room.mixer.leave(gone);
    assert_eq!(room.mixer.active_speaker(), None);
}
