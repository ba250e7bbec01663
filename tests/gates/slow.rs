//! T-STREAM: peers on streams that send too slowly, too much, nothing, or do not read. All are cut, and cost little until then.

use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::ground::{Ground, assert_well, memory, metric};
use super::hand::Hand;
use super::report::{ms, percentile, row};
use super::sets::Maker;
use super::wires::{Heard, WAYS, Way, Wire, frame, head, tcp};
use crate::support::lab::DOMAIN;
use crate::support::{address, at, pause, seconds};

/// Longest that a peer may live which never says a whole request: 5 s of handshakes, 5 s for the request, and the machine's own.
const CUT_WITHIN: Duration = Duration::from_secs(13);

/// Asks for each wire again and again until all are cut or the time is over. Gives how many were, and when the last was.
fn wait_until_cut(
    wires: &mut Vec<Wire>,
    limit: Duration,
    mut feed: impl FnMut(&mut Wire),
) -> (usize, Duration) {
    let (began, mut last, all) = (Instant::now(), Duration::ZERO, wires.len());
    while began.elapsed() < limit && !wires.is_empty() {
        let before = wires.len();
        wires.retain_mut(|wire| {
            feed(wire);
            !wire.is_cut()
        });
        if wires.len() < before {
            last = began.elapsed();
        }
        pause(Duration::from_millis(100));
    }
    (all - wires.len(), last)
}

/// What an endless peer repeats, after how it begins.
fn endless(way: Way) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let line = b"OPTIONS sip:pbx.test SIP/2.0\r\n".to_vec();
    if !way.is_web() {
        return vec![
            (
                "endless header",
                [&line[..], b"X: "].concat(),
                vec![b'a'; 8_000],
            ),
            (
                "endless headers",
                line.clone(),
                b"X-Name: value\r\n".repeat(500),
            ),
            (
                "endless start line",
                b"OPTIONS sip:".to_vec(),
                vec![b'a'; 8_000],
            ),
            (
                "huge Content-Length",
                [&line[..], b"Content-Length: 4000000000\r\n\r\n"].concat(),
                vec![b'a'; 8_000],
            ),
            (
                "Content-Length of 65,536",
                [&line[..], b"Content-Length: 65536\r\n\r\n"].concat(),
                vec![b'a'; 8_000],
            ),
        ];
    }
    vec![
        (
            "frame of 2^63 bytes",
            head(0x82, (1 << 63) - 1),
            vec![b'a'; 8_000],
        ),
        (
            "frame of 65,536 bytes",
            head(0x82, 65_536),
            vec![b'a'; 8_000],
        ),
        (
            "endless fragments",
            frame(0x02, &line),
            frame(0x00, &[b'a'; 8_000]),
        ),
        (
            "endless empty fragments",
            frame(0x02, &line),
            frame(0x00, b"").repeat(1_000),
        ),
        ("ping of 126 bytes", frame(0x89, &[b'a'; 126]), Vec::new()),
        ("reserved opcode", frame(0x83, b"a"), Vec::new()),
        ("reserved bit", frame(0xc2, b"a"), Vec::new()),
        ("fragment of nothing", frame(0x80, b"a"), Vec::new()),
        ("frame without mask", vec![0x82, 1, b'a'], Vec::new()),
        ("broken close", frame(0x88, b"a"), Vec::new()),
        ("text that is none", frame(0x81, b"\xff\xfe"), Vec::new()),
    ]
}

/// So many over each way who ask much and read the answers. What a server needs at all for its first connections and for thousands of
/// requests a second is no cost of those who misbehave.
fn well_behaved(ground: &Ground, each: usize) {
    for way in WAYS {
        let mut wires: Vec<Wire> = (0..each)
            .map(|_| Wire::open(ground, way, false, address().into()).expect("connects"))
            .collect();
        let whole = Maker::new(at(address(), 5060), way.name()).request("OPTIONS");
        for _ in 0..40 {
            for wire in &mut wires {
                assert!((0..10).all(|_| wire.send(&whole)), "cut though it reads");
                assert!(!wire.is_cut(), "cut though it reads");
            }
            pause(Duration::from_millis(50));
        }
    }
}

fn too_much(each: usize) {
    let mut ground = Ground::open();
    well_behaved(&ground, each);
    for way in WAYS {
        let before = memory(&mut ground.server);
        let (mut grown, mut opened, mut cut, mut last) = (0, 0, 0, Duration::ZERO);
        for (name, begin, more) in endless(way) {
            let from: IpAddr = address().into();
            let mut wires: Vec<Wire> = (0..each)
                .map(|_| Wire::open(&ground, way, false, from).expect("connects"))
                .collect();
            opened += wires.len();
            for wire in &mut wires {
                wire.raw(&begin);
            }
            let mut rounds = 0;
            let (gone, when) = wait_until_cut(&mut wires, CUT_WITHIN, |wire| {
                // never more than it takes, and no more than a megabyte
                if !more.is_empty() && rounds < each * 125 {
                    rounds += 1;
                    wire.raw(&more);
                }
            });
            assert_eq!(gone, each, "{name} over {}: only {gone} cut", way.name());
            grown = grown.max(memory(&mut ground.server).saturating_sub(before));
            (cut, last) = (cut + gone, last.max(when));
        }
        let per = grown / each as u64;
        row(
            "T-STREAM-1",
            &format!(
                "{}: endless and broken streams cut; the last after; memory each",
                way.name()
            ),
            format!(
                "{cut} of {opened}; {:.1} s; {} kB",
                last.as_secs_f64(),
                per / 1024
            ),
            "all; 13 s; 64 kB (and 4 MB in all)",
        );
        assert!(grown < each as u64 * 64 * 1024 + (4 << 20), "{grown} bytes");
    }
    assert_well(&mut ground.server, "endless streams");
}

#[test]
#[ignore = "long: make gates"]
fn gate_endless_streams_are_cut_and_cost_little() {
    too_much(40);
}

/// Connects and asks, from an address of its own each time, until told to stop; gives how long each took.
fn visitor(ground: &Ground, way: Way, times: usize) -> Vec<Duration> {
    let from: IpAddr = address().into();
    let mut took = Vec::new();
    for number in 0..times {
        let began = Instant::now();
        let answer = Wire::open(ground, way, false, from).ok().and_then(|mut wire| {
            let text = format!(
                "OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/{} visitor.invalid;branch=z9hG4bKv{number}\r\nMax-Forwards: 70\r\nFrom: <sip:v@{DOMAIN}>;tag=v\r\n\
                 To: <sip:{DOMAIN}>\r\nCall-ID: visit-{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
                way.name()
            );
            wire.send(text.as_bytes());
            wire.wait_for("SIP/2.0 200 ", seconds(5.0))
        });
        took.push(match answer {
            Some(_) => began.elapsed(),
            None => Duration::from_secs(60),
        });
        pause(Duration::from_millis(50));
    }
    took
}

fn too_slow(each: usize) {
    let mut ground = Ground::open();
    for way in WAYS {
        let whole = Maker::new(at(address(), 5060), way.name()).request("OPTIONS");
        let (one, other): (IpAddr, IpAddr) = (address().into(), address().into());
        let mut wires = Vec::new();
        for _ in 0..each {
            // nothing at all, half a request, and one that comes byte by byte
            wires.push(Wire::open(&ground, way, false, one).expect("connects"));
            let mut half = Wire::open(&ground, way, false, other).expect("connects");
            match way.is_web() {
                true => half.raw(&frame(0x82, &whole)[..60]),
                false => half.raw(&whole[..40]),
            };
            wires.push(half);
        }
        // those who do not even shake hands
        let mute: Vec<_> = (0..each)
            .map(|_| tcp(one, way.to(&ground, false), None).expect("connects"))
            .collect();
        let mut watched = Vec::new();
        let begun = Instant::now();
        let (cut, _) = std::thread::scope(|scope| {
            let visits = scope.spawn(|| visitor(&ground, way, 60));
            let mut turn = 0;
            let found = wait_until_cut(&mut wires, CUT_WITHIN, |wire| {
                turn += 1;
                if turn % 2 == 0 {
                    wire.raw(b"a");
                }
            });
            watched = visits.join().expect("the visitor");
            found
        });
        // handshakes of one source take turns: who waits for its own is cut later than others
        let mut silent = 0;
        for mut stream in &mute {
            let left = CUT_WITHIN.saturating_sub(begun.elapsed());
            let patience = left.max(Duration::from_millis(1));
            stream.set_read_timeout(Some(patience)).expect("a timeout");
            // the end comes orderly or as a reset, after an alert perhaps
            silent += usize::from(loop {
                match stream.read(&mut [0; 512]) {
                    Ok(0) => break false,
                    Ok(_) => {}
                    Err(error) => break error.kind() != ErrorKind::ConnectionReset,
                }
            });
        }
        let last = begun.elapsed();
        let p99 = percentile(&mut watched, 0.99);
        row(
            "T-STREAM-2",
            &format!(
                "{}: idle, slow and mute connections cut; the last after",
                way.name()
            ),
            format!(
                "{} of {}; {:.1} s",
                cut + mute.len() - silent,
                3 * each,
                last.as_secs_f64()
            ),
            "all; 13 s",
        );
        row(
            "T-STREAM-2",
            &format!(
                "{}: a visitor meanwhile, connect to answer, p99",
                way.name()
            ),
            ms(p99),
            "500 ms",
        );
        assert_eq!((wires.len(), silent), (0, 0), "not cut: {last:?}");
        assert!(p99 < Duration::from_millis(500), "{p99:?}");
    }
    assert_well(&mut ground.server, "slow peers");
}

#[test]
#[ignore = "long: make gates"]
fn gate_slow_and_idle_connections_are_cut() {
    too_slow(60);
}

/// The short form: few of each kind, over TCP and a WebSocket, side by side.
#[test]
fn slow_and_idle_connections_are_cut() {
    let mut ground = Ground::open();
    let from: IpAddr = address().into();
    let whole = Maker::new(at(address(), 5060), "TCP").request("OPTIONS");
    let mut wires = Vec::new();
    for way in [Way::Tcp, Way::Tls, Way::Ws] {
        let mut open = |first: &[u8]| {
            let mut wire = Wire::open(&ground, way, false, from).expect("connects");
            wire.raw(first);
            wires.push(wire);
        };
        for _ in 0..5 {
            open(b"");
            open(&whole[..40]);
            for (_, begin, _) in endless(way) {
                open(&begin);
            }
        }
    }
    let all = wires.len();
    let (cut, last) = wait_until_cut(&mut wires, CUT_WITHIN, |wire| {
        wire.raw(b"a");
    });
    assert_eq!(cut, all, "the last after {last:?}");
    assert_well(&mut ground.server, "slow peers");
}

/// Peers that ask and do not read the answers.
#[test]
#[ignore = "long: make gates"]
fn gate_peers_that_do_not_read_are_cut() {
    let mut ground = Ground::open();
    let before = metric(&ground.server, "strowger_sip_connections_cut_unread_total ");
    well_behaved(&ground, 10);
    let small = memory(&mut ground.server);
    for way in WAYS {
        let mut wires = Vec::new();
        for _ in 0..10 {
            let stream =
                tcp(address().into(), way.to(&ground, false), Some(4_096)).expect("connects");
            wires.push(Wire::over(&ground, way, stream).expect("shakes hands"));
        }
        let whole = Maker::new(at(address(), 5060), way.name()).request("OPTIONS");
        let began = Instant::now();
        let (mut last, mut most) = (Duration::ZERO, 0);
        while began.elapsed() < seconds(40.0) && !wires.is_empty() {
            let count = wires.len();
            // some hundred requests a second of each, which the guard lets in, and nothing is read
            wires.retain_mut(|wire| (0..40).all(|_| wire.send(&whole)));
            if wires.len() < count {
                last = began.elapsed();
            }
            most = most.max(memory(&mut ground.server).saturating_sub(small));
            pause(Duration::from_millis(50));
        }
        row(
            "T-STREAM-2",
            &format!(
                "{}: peers that do not read cut; the last after; memory of 10",
                way.name()
            ),
            format!(
                "{} of 10; {:.1} s; {:.1} MB",
                10 - wires.len(),
                last.as_secs_f64(),
                most as f64 / 1e6
            ),
            "all; 40 s; 5 MB",
        );
        assert!(wires.is_empty(), "{} not cut", wires.len());
        assert!(most < 5 << 20, "{most}");
    }
    let cut = metric(&ground.server, "strowger_sip_connections_cut_unread_total ") - before;
    assert_eq!(cut, 40, "cut for another reason");
    assert_well(&mut ground.server, "peers that do not read");
}

/// One source may have so many, and leaves room for others.
#[test]
#[ignore = "long: make gates"]
fn gate_one_source_has_so_many_connections() {
    let mut ground = Ground::open();
    let (from, to) = (address().into(), Way::Tcp.to(&ground, false));
    let mut wires: Vec<Wire> = (0..400)
        .filter_map(|_| Wire::over(&ground, Way::Tcp, tcp(from, to, None).ok()?).ok())
        .collect();
    pause(seconds(1.0));
    let whole = Maker::new(at(address(), 5060), "TCP").request("OPTIONS");
    let mut served = 0;
    for wire in &mut wires {
        wire.send(&whole);
    }
    pause(seconds(1.0));
    for wire in &mut wires {
        served += usize::from(matches!(wire.hear(), Heard::Bytes(_)));
    }
    let other = visitor(&ground, Way::Tcp, 3).into_iter().max();
    row(
        "T-STREAM-2",
        "connections of one source of 400 that are served",
        served,
        "256",
    );
    assert_eq!(served, 256);
    assert!(other < Some(seconds(0.5)), "{other:?}");
    let mut hand = Hand::new(ground.server.lab.phones());
    let ping = hand.request(
        "OPTIONS",
        &format!("sip:{DOMAIN}"),
        ("1001", "1001"),
        "",
        "",
    );
    assert!(hand.ask(&ping).is_some());
    assert_well(&mut ground.server, "many connections");
}
