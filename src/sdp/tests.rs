//! The parser against real habits, against damage, and against sdp-types.

use super::*;
use proptest::prelude::*;

const BASIC: &str = "v=0\r\no=alice 2890844526 2890844527 IN IP4 198.51.100.1\r\ns=call\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0 8 97\r\na=rtpmap:97 iLBC/8000\r\na=fmtp:97 mode=30\r\na=ptime:20\r\na=sendonly\r\nm=video 51372 RTP/AVP 31\r\nc=IN IP6 2001:db8::7\r\na=rtpmap:31 H261/90000\r\n";

fn parse(text: &str) -> Session {
    Session::parse(text.to_owned()).expect("parses")
}

#[test]
fn bytes_come_back_as_they_went_in() {
    assert_eq!(&parse(BASIC).bytes()[..], BASIC.as_bytes());
}

#[test]
fn values_of_sections_are_found() {
    let session = parse(BASIC);
    assert_eq!(session.origin(), Some((2_890_844_526, 2_890_844_527)));
    let audio = session.media_at(0).expect("audio");
    assert_eq!(audio.kind(), b"audio");
    assert_eq!(audio.port(), 49_170);
    assert_eq!(audio.profile(), b"RTP/AVP");
    assert_eq!(audio.payload_numbers().collect::<Vec<_>>(), [0, 8, 97]);
    assert_eq!(audio.direction(), Direction::SendOnly);
    assert_eq!(audio.fmtp(97), Some("mode=30"));
    assert_eq!(audio.ptime_ms(), Some(20));
    assert_eq!(
        audio
            .rtpmap(97)
            .map(|map| (map.name, map.clock_hz, map.channels)),
        Some(("iLBC", 8_000, 1))
    );
    assert_eq!(
        audio.connection(),
        Some(Connection::Address("198.51.100.1".parse().expect("ip")))
    );
    let video = session.media_at(1).expect("video");
    assert_eq!(
        video.connection(),
        Some(Connection::Address("2001:db8::7".parse().expect("ip")))
    );
    assert_eq!(video.direction(), Direction::SendRecv);
    assert_eq!(session.media_count(), 2);
}

#[test]
fn media_lines_with_a_port_count_and_any_transport_are_read() {
    let session = parse(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 49170/2 RTP/SAVPF 8 0\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
         m=message 7654 TCP/TLS/MSRP *\r\n\
         m=image 0 udptl t38\r\n",
    );
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let lines: Vec<String> = session
        .media()
        .map(|media| {
            let (kind, profile) = (text(media.kind()), text(media.profile()));
            format!("{kind} {} {profile}", media.port())
        })
        .collect();
    assert_eq!(
        lines,
        [
            "audio 49170 RTP/SAVPF",
            "application 9 UDP/DTLS/SCTP",
            "message 7654 TCP/TLS/MSRP",
            "image 0 udptl",
        ]
    );
    let audio = session.media_at(0).expect("audio");
    assert_eq!(audio.payload_numbers().collect::<Vec<_>>(), [8, 0]);
    let data = session.media_at(1).expect("data");
    assert_eq!(data.payload_numbers().count(), 0);
}

#[test]
fn careless_phones_are_understood() {
    for text in [
        "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 4000 RTP/AVP 8\n",
        "v=0\r\no=Phone with blanks 1 1 IN IP4\r\ns=\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8",
        "v=0\r\no=- 123456789012345678901234 -1 IN IP4 192.0.2.1 \r\ns=-\r\nt=0 0\r\nc=IN IP4 192.0.2.1/127\r\nm=audio  4000  RTP/AVP  8 \r\n\r\n",
        "v=0\r\nm=audio 4000/1 RTP/AVP 8\r\nb=AS:64\r\nc=in ip4 192.0.2.1\r\n",
    ] {
        let session = parse(text);
        let media = session.media_at(0).expect("audio");
        assert_eq!(media.port(), 4000, "{text}");
        assert_eq!(media.payload_numbers().collect::<Vec<_>>(), [8]);
        assert_eq!(
            media.connection(),
            Some(Connection::Address("192.0.2.1".parse().expect("ip"))),
            "{text}"
        );
    }
}

#[test]
fn damage_is_named() {
    assert_eq!(Session::parse("").expect_err("empty"), SdpError::NoVersion);
    assert_eq!(
        Session::parse("v=1\r\n").expect_err("version"),
        SdpError::NoVersion
    );
    assert_eq!(
        Session::parse("o=x\r\nv=0\r\n").expect_err("order"),
        SdpError::NoVersion
    );
    assert_eq!(
        Session::parse("v=0\r\nhello\r\n").expect_err("line"),
        SdpError::Line(2)
    );
    assert_eq!(
        Session::parse("v=0\r\ns=a\rb\r\n").expect_err("bare CR"),
        SdpError::Line(2)
    );
    assert_eq!(
        Session::parse("v=0\r\ns=a\0b\r\n").expect_err("NUL"),
        SdpError::Line(2)
    );
    for line in [
        "m=audio",
        "m=audio 1 RTP/AVP",
        "m=audio x RTP/AVP 8",
        "m=audio -1 RTP/AVP 8",
        "m=audio 65536 RTP/AVP 8",
        "m=audio 1/x RTP/AVP 8",
        "m=audio 1 RTP/\u{7}AVP 8",
    ] {
        assert_eq!(
            Session::parse(format!("v=0\r\n{line}\r\n")).expect_err(line),
            SdpError::MediaLine(2),
            "{line}"
        );
    }
}

#[test]
fn sizes_are_limited() {
    let many = format!("v=0\r\n{}", "m=audio 1 RTP/AVP 8\r\n".repeat(33));
    assert_eq!(
        Session::parse(many).expect_err("media"),
        SdpError::TooLarge("media sections")
    );
    let many = format!("v=0\r\nm=audio 1 RTP/AVP 8\r\n{}", "a=x\r\n".repeat(513));
    assert_eq!(
        Session::parse(many).expect_err("attributes"),
        SdpError::TooLarge("lines of a media section")
    );
    let many = format!("v=0\r\n{}", "a=x\r\n".repeat(2048));
    assert_eq!(
        Session::parse(many).expect_err("lines"),
        SdpError::TooLarge("lines")
    );
    let many = format!("v=0\r\ns={}\r\n", "x".repeat(65_536));
    assert_eq!(
        Session::parse(many).expect_err("bytes"),
        SdpError::TooLarge("bytes")
    );
}

#[test]
fn attributes_that_make_no_sense_are_as_if_absent() {
    let session = parse(
        "v=0\r\nm=audio 1 RTP/AVP 96 300 x\r\na=rtpmap:96\r\na=rtpmap:96 X\r\na=rtpmap:96 X/0\r\na=rtpmap:300 X/8000\r\na=rtpmap:96 a b/8000\r\na=fmtp:96\r\na=rtcp:\r\na=rtcp:0\r\n",
    );
    let media = session.media_at(0).expect("audio");
    assert_eq!(media.rtpmap(96), None);
    assert_eq!(media.fmtp(96), None);
    assert_eq!(media.rtcp(), None);
    assert_eq!(media.payload_numbers().collect::<Vec<_>>(), [96]);
}

#[test]
fn written_value_cannot_open_a_line() {
    let text = Writer::new(1, 1, "192.0.2.1".parse().expect("ip"))
        .media("audio", 4000, "RTP/AVP", ["8\r\na=evil"])
        .attribute("x", "y\r\nm=audio 1 RTP/AVP 0")
        .finish();
    let session = Session::parse(text).expect("parses");
    assert_eq!(session.media_count(), 1);
    assert_eq!(session.media_at(0).expect("audio").attribute("evil"), None);
}

#[test]
fn differs_from_sdp_types_only_by_being_more_lenient() {
    let mut agreed = 0;
    for ip in ["IN IP4 192.0.2.1", "IN IP6 2001:db8::1"] {
        for direction in ["sendrecv", "sendonly", "recvonly", "inactive"] {
            for formats in ["0", "8 0", "96 97 101 0"] {
                for port in [0, 1, 4000, 65_535] {
                    let text = format!(
                        "v=0\r\no=- 5 6 {ip}\r\ns=-\r\nc={ip}\r\nt=0 0\r\na={direction}\r\nm=audio {port} RTP/AVP {formats}\r\na=rtpmap:96 opus/48000/2\r\na=ptime:30\r\n"
                    );
                    let oracle = sdp_types::Session::parse(text.as_bytes()).expect("oracle parses");
                    let ours = parse(&text);
                    let media = ours.media_at(0).expect("audio");
                    let theirs = oracle.medias.first().expect("audio");
                    assert_eq!(media.port(), theirs.port);
                    assert_eq!(media.kind(), theirs.media.as_bytes());
                    assert_eq!(media.profile(), theirs.proto.as_bytes());
                    let joined = media
                        .formats()
                        .map(|f| std::str::from_utf8(f).expect("ascii"))
                        .collect::<Vec<_>>()
                        .join(" ");
                    assert_eq!(joined, theirs.fmt);
                    assert_eq!(
                        media.attribute("ptime"),
                        theirs
                            .get_first_attribute_value("ptime")
                            .flatten()
                            .map(str::as_bytes)
                    );
                    assert_eq!(
                        media.attribute("rtpmap"),
                        theirs
                            .get_first_attribute_value("rtpmap")
                            .flatten()
                            .map(str::as_bytes)
                    );
                    assert!(oracle.has_attribute(media.direction().as_str()));
                    assert_eq!(ours.origin(), Some((5, 6)));
                    agreed += 1;
                }
            }
        }
    }
    assert_eq!(agreed, 96);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        touch(bytes);
    }

    #[test]
    fn no_damage_to_a_real_description_makes_it_panic(at in 0..BASIC.len(), with in any::<u8>(), cut in 0..BASIC.len()) {
        let mut bytes = BASIC.as_bytes().to_vec();
        bytes[at] = with;
        touch(bytes.clone());
        bytes.truncate(cut);
        touch(bytes);
    }

    #[test]
    fn what_sdp_types_takes_we_take(at in 0..BASIC.len(), with in 0x20u8..0x7f) {
        let mut bytes = BASIC.as_bytes().to_vec();
        bytes[at] = with;
        if let Ok(oracle) = sdp_types::Session::parse(&bytes)
            && oracle.medias.iter().all(|media| !media.media.contains(char::is_control))
        {
            match Session::parse(bytes) {
                Ok(ours) => prop_assert_eq!(ours.media_count(), oracle.medias.len()),
                // the oracle skips lines whose letter it does not know, even when that is none
                Err(error) => prop_assert!(matches!(error, SdpError::Line(_)), "{error}"),
            }
        }
    }
}

fn touch(bytes: Vec<u8>) {
    let Ok(session) = Session::parse(bytes.clone()) else {
        return;
    };
    assert_eq!(&session.bytes()[..], &bytes[..]);
    let _ = (
        session.origin(),
        session.connection(),
        session.attribute("group"),
    );
    for media in session.media() {
        let _ = (
            media.kind(),
            media.port(),
            media.profile(),
            media.connection(),
            media.direction(),
        );
        let _ = (media.ptime_ms(), media.rtcp(), media.attribute("mid"));
        for number in media.payload_numbers() {
            let _ = (media.rtpmap(number), media.fmtp(number));
        }
    }
}
