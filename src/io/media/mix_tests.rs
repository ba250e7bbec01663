//! Conferences over loopback: phones with a tone each, and what every one of them hears.

use super::tests::{Lab, Phone};
use super::*;
use crate::media::codec::g711::Law;
use crate::media::signal::tone::{amplitude_at, sine_from};
use crate::media::{MixAudience, MixPart, SourcePolicy};
use crate::rtp::Header;

const LEVEL: f64 = 6_000.0;
/// The streams of these tests have ports that no other test asks for on all addresses.
const FIRST: u64 = 31;

/// Which of the tones are in what a phone heard.
fn tones(heard: &[i16], all: &[f64]) -> Vec<usize> {
    // what was said before and what was concealed at the end are left out
    let middle = &heard[heard.len() / 3..heard.len() * 4 / 5];
    let share = |hz: &f64| amplitude_at(middle, 8_000, *hz) / LEVEL;
    let there = all.iter().enumerate().filter(|(_, hz)| share(hz) > 0.3);
    there.map(|(n, _)| n).collect()
}

/// All say their tone for a second and a bit; the numbers of those whom each hears.
fn talk(lab: &Lab, phones: &mut [Phone], hz: &[f64]) -> Vec<Vec<usize>> {
    phones.iter().for_each(|phone| {
        phone.drain();
    });
    for n in 0..60u64 {
        for (place, phone) in phones.iter_mut().enumerate() {
            let said = sine_from(8_000, hz[place], LEVEL, n * 160, 160);
            let mut codes = [0; 160];
            Law::A.encode_into(&said, &mut codes);
            phone.send(
                lab.port_of(StreamId::new(0, FIRST + place as u64)),
                8,
                &codes,
            );
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    phones
        .iter()
        .map(|phone| {
            let mut heard = Vec::new();
            for packet in phone.drain() {
                let header = Header::parse(&packet).expect("valid RTP");
                assert_eq!(header.payload_number, 8);
                heard.extend(
                    header
                        .payload(&packet)
                        .iter()
                        .map(|code| Law::A.decode(*code)),
                );
            }
            assert!(heard.len() > 50 * 160, "{} samples", heard.len());
            tones(&heard, hz)
        })
        .collect()
}

fn part(heard_by: MixAudience) -> MixPart {
    MixPart {
        heard_by,
        ..MixPart::default()
    }
}

#[test]
fn members_hear_each_other_and_a_supervisor_as_its_mode_says() {
    let lab = Lab::new();
    let hz = [400.0, 700.0, 1_000.0];
    let streams: Vec<StreamId> = (0..3).map(|n| StreamId::new(0, FIRST + n)).collect();
    let mut phones: Vec<Phone> = (1..=3).map(|n| lab.phone(n)).collect();
    for (stream, phone) in streams.iter().zip(&phones) {
        lab.open(*stream);
        lab.agree(*stream, phone, SourcePolicy::Signalled);
        lab.workers.send(MediaCommand::Mix {
            stream: *stream,
            conference: 9,
            part: MixPart::default(),
        });
    }
    lab.settle();
    assert_eq!(talk(&lab, &mut phones, &hz), [[1, 2], [0, 2], [0, 1]]);
    for (mode, expected) in [
        (MixAudience::Nobody, [vec![1], vec![0], vec![0, 1]]),
        (
            MixAudience::Only(streams[1]),
            [vec![1], vec![0, 2], vec![0, 1]],
        ),
        (MixAudience::All, [vec![1, 2], vec![0, 2], vec![0, 1]]),
    ] {
        lab.workers.send(MediaCommand::Mix {
            stream: streams[2],
            conference: 9,
            part: part(mode),
        });
        lab.settle();
        assert_eq!(talk(&lab, &mut phones, &hz), expected, "{mode:?}");
    }
    // one goes; the others go on
    lab.workers.send(MediaCommand::Part { stream: streams[0] });
    lab.settle();
    phones.remove(0);
    lab.close(streams[0]);
    for phone in &phones {
        phone.drain();
        let (header, ..) = phone.receive();
        assert_eq!(header.payload_number, 8);
    }
    for stream in &streams[1..] {
        let statistics = lab.close(*stream);
        assert!(statistics.packets_sent > 200, "{statistics:?}");
    }
}

#[test]
fn stream_without_a_codec_of_ours_is_refused_by_name() {
    let lab = Lab::new();
    let stream = StreamId::new(0, FIRST);
    lab.open(stream);
    lab.workers.send(MediaCommand::Mix {
        stream,
        conference: 1,
        part: MixPart::default(),
    });
    let told = lab.wait(|event| matches!(event, MediaEvent::Failed { .. }));
    let MediaEvent::Failed { reason, .. } = told else {
        panic!("{told:?}");
    };
    assert_eq!(reason, "nothing agreed yet");
}
