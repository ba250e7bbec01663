//! Phones with one codec each call each other: every pair hears each other, where they have none in common too, plain and with SRTP.

use std::time::Instant;

use crate::support::baresip::{Baresip, Phone};
use crate::support::ear::Ear;
use crate::support::lab::{DID, DOMAIN, Lab, password};
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{at, pause, seconds};

const CODECS: [&str; 4] = ["PCMU/8000/1", "PCMA/8000/1", "G722/16000/1", "opus/48000/2"];

/// A house of eight phones; its profile lets all codecs through.
fn lab(srtp: &str) -> Lab {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/internal.toml",
        "codecs   = [\"pcma\", \"pcmu\"]",
        &format!("codecs   = [\"opus\", \"g722\", \"pcma\", \"pcmu\"]\nsrtp     = \"{srtp}\""),
    );
    let mut people = String::new();
    for extension in 1001..=1008 {
        people.push_str(&format!(
            "[[user]]\nextension = \"{extension}\"\nname = \"Person {extension}\"\npassword = \"{}\"\nrole = \"agent\"\n\n",
            password(&extension.to_string())
        ));
    }
    lab.file("directory/people.toml", &people);
    lab
}

/// The tone of an extension; far enough from the others' and their harmonics.
fn tone(extension: usize) -> u32 {
    [440, 530, 610, 700, 790, 930, 1030, 1130][extension - 1001]
}

fn phone(server: &Server, extension: usize, codec: &'static str, srtp: bool) -> Baresip {
    let name = extension.to_string();
    let phone = Phone::new(&name)
        .account(&password(&name), DOMAIN, server.lab.phones())
        .codecs(codec)
        .tone(tone(extension));
    let phone = if srtp {
        phone.protection("srtp-mand")
    } else {
        phone
    };
    let mut phone = phone.start();
    phone.wait_registered(seconds(20.0));
    phone
}

/// Four callers and four called, a codec each; in four rounds each caller talks to each called.
fn every_pair(srtp: bool) {
    let server = Server::start(lab(if srtp { "required" } else { "off" }));
    let mut callers: Vec<Baresip> = (0..4)
        .map(|n| phone(&server, 1001 + n, CODECS[n], srtp))
        .collect();
    let mut called: Vec<Baresip> = (0..4)
        .map(|n| phone(&server, 1005 + n, CODECS[n], srtp))
        .collect();
    for round in 0..4 {
        // a recording is named by its second
        pause(seconds(1.1));
        let partner = |n: usize| (n + round) % 4;
        for (n, caller) in callers.iter_mut().enumerate() {
            caller.dial(&(1005 + partner(n)).to_string());
        }
        for phone in &mut called {
            phone.wait_nth("CALL_INCOMING", round + 1, seconds(10.0));
            phone.accept();
        }
        for caller in &callers {
            caller.wait_nth("CALL_ESTABLISHED", round + 1, seconds(10.0));
        }
        pause(seconds(2.0));
        for caller in &mut callers {
            caller.hangup();
        }
        for phone in &called {
            phone.wait_nth("CALL_CLOSED", round + 1, seconds(10.0));
        }
        for (n, caller) in callers.iter().enumerate() {
            let other = partner(n);
            println!("round {round}: {} with {}", CODECS[n], CODECS[other]);
            caller.assert_heard(f64::from(tone(1005 + other)), 1.2);
            called[other].assert_heard(f64::from(tone(1001 + n)), 1.2);
        }
    }
    server.wait_idle();
}

#[test]
fn every_pair_of_codecs_hears_each_other() {
    every_pair(false);
}

#[test]
fn every_pair_of_codecs_hears_each_other_under_srtp() {
    every_pair(true);
}

#[test]
fn phone_without_g711_hears_what_is_played() {
    let mut lab = lab("off");
    lab.file(
        "dialplans/internal.toml",
        "context = \"internal\"\n\n[[rule]]\nname   = \"ringing\"\nnumber = \"*1\"\ndo     = [ { play = \"tones/ringback\" }, { play = \"tones/ringback\" } ]\n",
    );
    let server = Server::start(lab);
    for (n, codec) in [(2, CODECS[2]), (3, CODECS[3])] {
        let mut phone = phone(&server, 1001 + n, codec, false);
        phone.dial("*1");
        phone.wait_nth("CALL_ESTABLISHED", 1, seconds(10.0));
        pause(seconds(3.0));
        phone.hangup();
        phone.wait_nth("CALL_CLOSED", 1, seconds(10.0));
        let (samples, rate) = phone.recordings().pop().expect("a recording");
        // the British ringing tone: 400 and 450 Hz together
        let frame = rate as usize / 10;
        let ringing = samples
            .chunks_exact(frame)
            .filter(|frame| {
                let share = |hz| strowger::media::signal::tone::power_at(frame, rate, hz);
                share(400.0) > 0.3 && share(450.0) > 0.3
            })
            .count();
        assert!(ringing >= 6, "{codec}: {ringing} tenths of a second");
    }
    server.wait_idle();
}

/// The customer comes from a carrier with G.711 alone and is answered by the server; the agent's phone has another codec.
#[test]
fn customer_with_g711_and_agent_without_hear_each_other() {
    for (n, codec) in [(0, CODECS[3]), (1, CODECS[2])] {
        let server = Server::start(lab("off"));
        let mut agent = phone(&server, 1001 + n, codec, false);
        let name = (1001 + n).to_string();
        server.agent_ready(&name);
        let ear = Ear::open(server.lab.carrier, Some(370.0));
        let mut call = Sipp::new("call", at(server.lab.carrier, 7010))
            .to(server.lab.trunks())
            .ear(&ear)
            .set("domain", server.lab.server)
            .set("caller", "+493012340001")
            .set("callee", DID)
            .set("password", "none")
            .set("talk_ms", 9_000)
            .timeout(seconds(60.0))
            .start();
        ear.follow(&call.actions());
        agent.wait_nth("CALL_INCOMING", 1, seconds(20.0));
        agent.accept();
        agent.wait_nth("CALL_ESTABLISHED", 1, seconds(10.0));
        let bridged = Instant::now();
        pause(seconds(2.5));
        let hz = f64::from(tone(1001 + n));
        ear.assert_heard_since("the customer", bridged + seconds(0.5), hz, 1.2);
        agent.wait_nth("CALL_CLOSED", 1, seconds(20.0));
        agent.assert_heard(370.0, 1.2);
        call.succeed();
        server.wait_idle();
    }
}
