//! Three phones in a conference: each hears the two others and not itself, whatever codec it speaks; one may go.

use crate::support::baresip::{Baresip, Phone};
use crate::support::lab::{DOMAIN, Lab, password};
use crate::support::server::Server;
use crate::support::{pause, seconds};
use strowger::media::signal::tone::amplitude_at;

const TONES: [u32; 3] = [440, 700, 1030];
const CODECS: [&str; 3] = ["PCMA/8000/1", "G722/16000/1", "opus/48000/2"];

fn lab(workers: u8) -> Lab {
    let mut lab = Lab::new();
    lab.change(
        "strowger.toml",
        "[http]",
        &format!("[media]\nworkers = {workers}\n\n[http]"),
    );
    lab.change(
        "sip-profiles/internal.toml",
        "codecs   = [\"pcma\", \"pcmu\"]",
        "codecs   = [\"opus\", \"g722\", \"pcma\", \"pcmu\"]",
    );
    lab.change(
        "dialplans/internal.toml",
        "[[rule]]\nname   = \"extensions\"",
        "[[rule]]\nname   = \"conference\"\nnumber = \"*7{room:2}\"\ndo     = [ { conference = \"room {room}\" } ]\n\n[[rule]]\nname   = \"extensions\"",
    );
    lab
}

/// Which tones are in the last second but one of what a phone heard.
fn heard(phone: &Baresip) -> Vec<u32> {
    let (samples, rate) = phone.recordings().pop().expect("a recording");
    let second = rate as usize;
    assert!(samples.len() > 3 * second, "{} samples", samples.len());
    let end = samples.len() - second / 2;
    let part = &samples[end - second..end];
    let levels = TONES.map(|hz| amplitude_at(part, rate, f64::from(hz)));
    let loudest = levels.iter().copied().fold(500.0, f64::max);
    let there = TONES
        .iter()
        .zip(levels)
        .filter(|(_, level)| *level > loudest / 4.0);
    there.map(|(hz, _)| *hz).collect()
}

fn meet(workers: u8) {
    let server = Server::start(lab(workers));
    let mut phones: Vec<Baresip> = (0..3)
        .map(|n| {
            let extension = (1001 + n).to_string();
            let mut phone = Phone::new(&extension)
                .account(&password(&extension), DOMAIN, server.lab.phones())
                .codecs(CODECS[n])
                .tone(TONES[n])
                .start();
            phone.wait_registered(seconds(20.0));
            phone
        })
        .collect();
    for phone in &mut phones {
        phone.dial("*742");
        phone.wait_nth("CALL_ESTABLISHED", 1, seconds(10.0));
    }
    pause(seconds(4.0));
    for phone in &mut phones {
        phone.hangup();
    }
    for phone in &phones {
        phone.wait_nth("CALL_CLOSED", 1, seconds(10.0));
    }
    pause(seconds(0.5));
    assert_eq!(heard(&phones[0]), [700, 1030]);
    assert_eq!(heard(&phones[1]), [440, 1030]);
    // the last one hears the others go: it was the last to hang up
    assert_eq!(heard(&phones[2]), [440, 700]);
    server.wait_idle();
}

#[test]
fn three_phones_with_three_codecs_hear_each_other_in_a_conference() {
    meet(1);
}

#[test]
fn conference_gathers_callers_of_all_media_workers() {
    meet(3);
}
