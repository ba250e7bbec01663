//! Negotiation as peers do it: dialects of hold, odd numbers, refused streams.

use super::*;
use crate::sdp::SdpError;

fn local(payloads: Vec<Payload>) -> LocalMedia {
    LocalMedia {
        address: "192.0.2.1".parse().expect("address"),
        port: 30_000,
        session_id: 7,
        version: 1,
        payloads,
        direction: Direction::SendRecv,
        srtp: None,
    }
}

fn g711() -> LocalMedia {
    local(vec![
        Payload::pcma(),
        Payload::pcmu(),
        Payload::telephone_event(101),
    ])
}

fn description(lines: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n{lines}"
    )
}

fn offer_of(lines: &str) -> SdpOffer {
    SdpOffer::parse(description(lines)).expect("offer parses")
}

fn answer_of(lines: &str) -> SdpAnswer {
    SdpAnswer::parse(description(lines)).expect("answer parses")
}

fn body(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).expect("our descriptions are text")
}

const PHONE: &str =
    "m=audio 4000 RTP/AVP 0 8 96\r\na=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\n";

#[test]
fn offer_has_all_that_a_phone_needs() {
    insta::assert_snapshot!(body(&offer(&g711())).replace("\r\n", "\n"), @r"
    v=0
    o=- 7 1 IN IP4 192.0.2.1
    s=-
    c=IN IP4 192.0.2.1
    t=0 0
    m=audio 30000 RTP/AVP 8 0 101
    a=rtpmap:8 PCMA/8000
    a=rtpmap:0 PCMU/8000
    a=rtpmap:101 telephone-event/8000
    a=fmtp:101 0-15
    a=ptime:20
    a=sendrecv
    ");
}

#[test]
fn our_offer_can_be_answered_by_ourselves() {
    let offered = offer(&g711());
    let (answered, theirs) =
        answer(&SdpOffer::parse(offered).expect("parses"), &g711()).expect("answers");
    let ours = accept(&g711(), &SdpAnswer::parse(answered).expect("parses")).expect("accepts");
    assert_eq!(ours.payloads, theirs.payloads);
    assert_eq!(ours.direction, Direction::SendRecv);
    assert_eq!(
        ours.remote_rtcp,
        Some("192.0.2.1:30001".parse().expect("address"))
    );
}

#[test]
fn answer_keeps_the_offerers_numbers_and_our_order() {
    let (sdp, plan) = answer(&offer_of(PHONE), &g711()).expect("answers");
    assert!(body(&sdp).contains("m=audio 30000 RTP/AVP 8 0 96\r\n"));
    assert!(body(&sdp).contains("a=fmtp:96 0-15\r\n"));
    assert_eq!(plan.telephone_event, Some(96));
    assert_eq!(
        plan.remote_rtp,
        Some("198.51.100.7:4000".parse().expect("address"))
    );
    assert_eq!(
        plan.remote_rtcp,
        Some("198.51.100.7:4001".parse().expect("address"))
    );
    assert!(!plan.remote_hold);
}

#[test]
fn codecs_match_by_name_clock_and_channels_not_by_number() {
    let offered = offer_of(
        "m=audio 4000 RTP/AVP 97 98 111\r\na=rtpmap:97 pcma/16000\r\na=rtpmap:98 pcma/8000\r\na=rtpmap:111 opus/48000/2\r\n",
    );
    let opus = Payload::new(107, Codec::Opus);
    let (sdp, plan) = answer(&offered, &local(vec![opus, Payload::pcma()])).expect("answers");
    let numbers: Vec<u8> = plan.payloads.iter().map(|payload| payload.number).collect();
    assert_eq!(numbers, [111, 98]);
    assert!(body(&sdp).contains("a=rtpmap:111 opus/48000/2\r\n"));
}

#[test]
fn telephone_event_alone_is_no_common_codec() {
    let offered = offer_of("m=audio 4000 RTP/AVP 18 101\r\na=rtpmap:101 telephone-event/8000\r\n");
    assert_eq!(
        answer(&offered, &g711()).expect_err("refused"),
        MediaRefusal::NoCommonCodec
    );
}

#[test]
fn three_dialects_of_hold_mean_the_same() {
    for (lines, direction) in [
        (
            "m=audio 4000 RTP/AVP 8\r\na=sendonly\r\n",
            Direction::RecvOnly,
        ),
        (
            "m=audio 4000 RTP/AVP 8\r\na=inactive\r\n",
            Direction::Inactive,
        ),
        (
            "m=audio 4000 RTP/AVP 8\r\nc=IN IP4 0.0.0.0\r\n",
            Direction::RecvOnly,
        ),
        (
            "m=audio 4000 RTP/AVP 8\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n",
            Direction::Inactive,
        ),
    ] {
        let (sdp, plan) = answer(&offer_of(lines), &g711()).expect("answers");
        assert!(plan.remote_hold, "{lines}");
        assert_eq!(plan.direction, direction, "{lines}");
        assert!(!plan.direction.sends());
        assert!(body(&sdp).ends_with(&format!("a={}\r\n", direction.as_str())));
    }
}

#[test]
fn direction_of_the_session_holds_for_its_stream() {
    let text = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\na=sendonly\r\nm=audio 4000 RTP/AVP 8\r\n";
    let (_, plan) = answer(&SdpOffer::parse(text).expect("parses"), &g711()).expect("answers");
    assert!(plan.remote_hold);
}

#[test]
fn peer_that_answers_our_hold_is_not_itself_on_hold() {
    let mut ours = g711();
    ours.direction = Direction::SendOnly;
    let plan = accept(
        &ours,
        &answer_of("m=audio 4000 RTP/AVP 8\r\na=recvonly\r\n"),
    )
    .expect("accepts");
    assert!(!plan.remote_hold);
    assert_eq!(plan.direction, Direction::SendOnly);
    ours.direction = Direction::Inactive;
    let plan = accept(
        &ours,
        &answer_of("m=audio 4000 RTP/AVP 8\r\na=inactive\r\n"),
    )
    .expect("accepts");
    assert!(!plan.remote_hold);
}

#[test]
fn peer_may_hold_in_its_answer() {
    let plan = accept(
        &g711(),
        &answer_of("m=audio 4000 RTP/AVP 8\r\na=sendonly\r\n"),
    )
    .expect("accepts");
    assert!(plan.remote_hold);
    assert_eq!(plan.direction, Direction::RecvOnly);
}

#[test]
fn extra_streams_are_answered_with_port_zero_in_their_places() {
    let offered = offer_of(
        "m=video 5000 RTP/AVP 31 34\r\na=rtpmap:34 H263/90000\r\nm=audio 4000 RTP/AVP 8\r\nm=text 6000 RTP/AVP 98\r\nm=application 7000 UDP/BFCP *\r\n",
    );
    let (sdp, _) = answer(&offered, &g711()).expect("answers");
    let lines: Vec<&str> = body(&sdp)
        .lines()
        .filter(|line| line.starts_with("m="))
        .collect();
    assert_eq!(
        lines,
        [
            "m=video 0 RTP/AVP 31 34",
            "m=audio 30000 RTP/AVP 8",
            "m=text 0 RTP/AVP 98",
            "m=application 0 UDP/BFCP *"
        ]
    );
}

#[test]
fn secure_profiles_are_refused_and_never_answered_in_the_clear() {
    for profile in ["RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"] {
        let offered = offer_of(&format!("m=audio 4000 {profile} 8\r\n"));
        let refusal = answer(&offered, &g711()).expect_err("refused");
        assert_eq!(refusal, MediaRefusal::UnsupportedProfile);
        assert_eq!(refusal.status(), 488);
    }
}

#[test]
fn plain_alternative_beside_a_secure_stream_is_taken() {
    let offered =
        offer_of("m=audio 4000 RTP/SAVP 8\r\na=crypto:1 X inline:y\r\nm=audio 4002 RTP/AVP 8\r\n");
    let (sdp, plan) = answer(&offered, &g711()).expect("answers");
    assert_eq!(plan.remote_rtp.map(|at| at.port()), Some(4002));
    assert!(body(&sdp).contains("m=audio 0 RTP/SAVP 8\r\nm=audio 30000 RTP/AVP 8\r\n"));
    assert!(!body(&sdp).contains("crypto"));
}

#[test]
fn rejected_stream_in_an_answer_is_told_apart() {
    assert_eq!(
        accept(&g711(), &answer_of("m=audio 0 RTP/AVP 8\r\n")).expect_err("refused"),
        MediaRefusal::Rejected
    );
    assert_eq!(
        accept(&g711(), &answer_of("")).expect_err("refused"),
        MediaRefusal::NoAudio
    );
    assert_eq!(
        accept(&g711(), &answer_of("m=audio 4000 RTP/SAVP 8\r\n")).expect_err("refused"),
        MediaRefusal::UnsupportedProfile
    );
    assert_eq!(
        accept(&g711(), &answer_of("m=audio 4000 RTP/AVP 18\r\n")).expect_err("refused"),
        MediaRefusal::NoCommonCodec
    );
}

#[test]
fn offer_without_wanted_audio_is_refused() {
    for lines in ["", "m=audio 0 RTP/AVP 8\r\n", "m=image 4000 udptl t38\r\n"] {
        assert_eq!(
            answer(&offer_of(lines), &g711()).expect_err("refused"),
            MediaRefusal::NoAudio
        );
    }
}

#[test]
fn unusable_addresses_are_refused() {
    for line in [
        "c=IN IP4 224.0.0.1",
        "c=IN IP6 2001:db8::1",
        "c=IN IP4 phone.example",
    ] {
        let offered = offer_of(&format!("m=audio 4000 RTP/AVP 8\r\n{line}\r\n"));
        assert_eq!(
            answer(&offered, &g711()).expect_err("refused"),
            MediaRefusal::BadAddress
        );
    }
}

#[test]
fn answer_with_other_numbers_is_sent_with_theirs_and_read_with_both() {
    let plan = accept(
        &g711(),
        &answer_of("m=audio 4000 RTP/AVP 8 100\r\na=rtpmap:100 telephone-event/8000\r\n"),
    )
    .expect("accepts");
    assert_eq!(plan.telephone_event, Some(100));
    let events: Vec<u8> = plan
        .receive
        .iter()
        .filter(|payload| payload.codec == Codec::TelephoneEvent)
        .map(|payload| payload.number)
        .collect();
    assert_eq!(events, [101, 100]);
}

#[test]
fn rtcp_attribute_moves_rtcp() {
    let (_, plan) = answer(
        &offer_of("m=audio 4000 RTP/AVP 8\r\na=rtcp:9001\r\n"),
        &g711(),
    )
    .expect("answers");
    assert_eq!(
        plan.remote_rtcp,
        Some("198.51.100.7:9001".parse().expect("address"))
    );
    let (_, plan) = answer(
        &offer_of("m=audio 4000 RTP/AVP 8\r\na=rtcp:9001 IN IP4 198.51.100.9\r\n"),
        &g711(),
    )
    .expect("answers");
    assert_eq!(
        plan.remote_rtcp,
        Some("198.51.100.9:9001".parse().expect("address"))
    );
    let (_, plan) = answer(&offer_of("m=audio 65535 RTP/AVP 8\r\n"), &g711()).expect("answers");
    assert_eq!(plan.remote_rtcp, None);
}

#[test]
fn events_follow_the_clock_of_the_audio() {
    let offered = offer_of(
        "m=audio 4000 RTP/AVP 111 101 110\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:110 telephone-event/48000\r\n",
    );
    let mut wide = Payload::telephone_event(110);
    wide.clock_hz = 48_000;
    let ours = local(vec![
        Payload::new(96, Codec::Opus),
        Payload::telephone_event(101),
        wide,
    ]);
    let (_, plan) = answer(&offered, &ours).expect("answers");
    assert_eq!(plan.telephone_event, Some(110));
}

#[test]
fn odd_ptime_falls_back_to_20_ms() {
    for (ptime, expected) in [
        ("30", 30),
        ("20.0", 20),
        ("0", 20),
        ("900", 20),
        ("x", 20),
        ("99999999999", 20),
    ] {
        let offered = offer_of(&format!("m=audio 4000 RTP/AVP 8\r\na=ptime:{ptime}\r\n"));
        let (_, plan) = answer(&offered, &g711()).expect("answers");
        assert_eq!(plan.ptime_ms, expected, "{ptime}");
    }
}

#[test]
fn malformed_description_never_reaches_negotiation() {
    assert_eq!(
        SdpOffer::parse("v=0\r\nm=audio 70000 RTP/AVP 8\r\n").expect_err("refused"),
        SdpError::MediaLine(2)
    );
}

// ---- SRTP with keys in the description (RFC 4568, RFC 8643)

fn protected(required: bool) -> LocalMedia {
    let lines = crate::sdp::CryptoSuite::ALL
        .into_iter()
        .zip(1..)
        .map(|(suite, tag)| {
            let bytes = vec![9; suite.key_bytes() + suite.salt_bytes()];
            let key = crate::sdp::MasterKey::new(suite, bytes).expect("lengths");
            Crypto { tag, suite, key }
        })
        .collect();
    LocalMedia {
        srtp: Some(LocalSrtp {
            required,
            savp: required,
            lines,
        }),
        ..g711()
    }
}

const KEY_80: &str = "AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn secure(profile: &str, tag: u32) -> String {
    format!("m=audio 4000 {profile} 8\r\na=crypto:{tag} {KEY_80}\r\n")
}

#[test]
fn protected_offer_is_answered_with_a_key_under_its_tag_and_profile() {
    for (profile, required) in [
        ("RTP/SAVP", true),
        ("RTP/SAVP", false),
        ("RTP/SAVPF", true),
        ("RTP/AVP", true),
        ("RTP/AVP", false),
    ] {
        let (sdp, plan) =
            answer(&offer_of(&secure(profile, 7)), &protected(required)).expect("agreed");
        assert!(body(&sdp).contains(&format!("m=audio 30000 {profile} 8\r\n")));
        assert_eq!(body(&sdp).matches("a=crypto:").count(), 1);
        assert!(body(&sdp).contains("a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:CQkJ"));
        let srtp = plan.srtp.expect("protected");
        assert_eq!(srtp.savp, profile != "RTP/AVP");
        assert_ne!(srtp.send, srtp.receive);
    }
}

#[test]
fn what_cannot_be_protected_is_never_answered_in_the_clear_where_it_must_be() {
    let plain = offer_of("m=audio 4000 RTP/AVP 8\r\n");
    assert_eq!(
        answer(&plain, &protected(true)),
        Err(MediaRefusal::NotProtected)
    );
    let (_, plan) = answer(&plain, &protected(false)).expect("plain is let in");
    assert_eq!(plan.srtp, None);
    for keyless in [
        "m=audio 4000 RTP/SAVP 8\r\n".to_owned(),
        "m=audio 4000 RTP/SAVP 8\r\na=fingerprint:sha-256 AB:CD\r\na=setup:actpass\r\n".to_owned(),
        secure("RTP/SAVP", 1).replace("WVNf", "WV"),
        secure("RTP/SAVP", 1).replace("SHA1_80 ", "SHA1_99 "),
    ] {
        for required in [false, true] {
            assert_eq!(
                answer(&offer_of(&keyless), &protected(required)),
                Err(MediaRefusal::NoKey),
                "{keyless}"
            );
        }
    }
    assert_eq!(
        answer(&offer_of(&secure("RTP/SAVP", 1)), &g711()),
        Err(MediaRefusal::UnsupportedProfile)
    );
}

#[test]
fn of_a_plain_and_a_protected_line_the_protected_one_is_taken() {
    let both = offer_of(&format!(
        "m=audio 4000 RTP/AVP 8\r\n{}",
        secure("RTP/SAVP", 1).replace("4000", "4002")
    ));
    let (sdp, plan) = answer(&both, &protected(false)).expect("agreed");
    assert!(plan.srtp.is_some());
    assert_eq!(plan.remote_rtp.expect("an address").port(), 4002);
    assert!(body(&sdp).contains("m=audio 0 RTP/AVP 8\r\nm=audio 30000 RTP/SAVP 8\r\n"));
}

#[test]
fn our_offer_of_protection_is_answered_with_a_key_of_ours_or_not_at_all() {
    assert!(body(&offer(&protected(true))).contains("RTP/SAVP"));
    let opportunistic = offer(&protected(false));
    assert!(body(&opportunistic).contains("RTP/AVP"));
    assert_eq!(body(&opportunistic).matches("a=crypto:").count(), 4);
    // AES_CM_128_HMAC_SHA1_80 is our third line
    let good = answer_of(&secure("RTP/SAVP", 3));
    assert!(
        accept(&protected(true), &good)
            .expect("agreed")
            .srtp
            .is_some()
    );
    let good = answer_of(&secure("RTP/AVP", 3));
    assert!(
        accept(&protected(false), &good)
            .expect("agreed")
            .srtp
            .is_some()
    );
    let plain = answer_of("m=audio 4000 RTP/AVP 8\r\n");
    assert_eq!(accept(&protected(false), &plain).expect("plain").srtp, None);
    for (local, answered, refusal) in [
        (protected(true), plain, MediaRefusal::NotProtected),
        (
            protected(true),
            answer_of(&secure("RTP/SAVP", 1)),
            MediaRefusal::NoKey,
        ),
        (
            protected(true),
            answer_of("m=audio 4000 RTP/SAVP 8\r\na=fingerprint:sha-256 AB:CD\r\n"),
            MediaRefusal::NoKey,
        ),
        (
            g711(),
            answer_of(&secure("RTP/SAVP", 3)),
            MediaRefusal::UnsupportedProfile,
        ),
    ] {
        assert_eq!(accept(&local, &answered), Err(refusal));
    }
}

#[test]
fn offer_for_another_is_widened_by_what_can_be_transcoded_behind_what_it_has() {
    let ours: Vec<Payload> = ["opus", "g722", "pcma", "g729"]
        .iter()
        .filter_map(|name| Payload::of_name(name, 96))
        .collect();
    let names = |list: &[Payload]| -> Vec<(u8, String)> {
        let pairs = list.iter().map(|p| (p.number, p.codec.name().to_owned()));
        pairs.collect()
    };
    let theirs = vec![Payload::pcma(), Payload::telephone_event(96)];
    let expected = [
        (8, "PCMA"),
        (96, "telephone-event"),
        (97, "opus"),
        (9, "G722"),
    ];
    let expected: Vec<(u8, String)> = expected
        .iter()
        .map(|(number, name)| (*number, (*name).to_owned()))
        .collect();
    assert_eq!(names(&widen(theirs, &ours)), expected);
    let untouchable = vec![Payload::new(18, Codec::G729)];
    assert_eq!(widen(untouchable.clone(), &ours), untouchable);
}
