//! What the relay costs for one packet without the kernel: header, source, statistics, payload map, counters of both streams.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strowger::base::time::Instant;
use strowger::media::stream::{Stream, Taken, join};
use strowger::media::{MediaPlan, Payload, SourcePolicy, StreamId};
use strowger::rtp::{HEADER_BYTES, Header, write_header};
use strowger::sdp::Direction;

fn phone(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 4000))
}

fn stream(last: u8, payload: Payload) -> Stream {
    let payloads = vec![payload, Payload::telephone_event(101)];
    let plan = MediaPlan {
        remote_rtp: Some(phone(last)),
        remote_rtcp: None,
        receive: payloads.clone(),
        payloads,
        telephone_event: Some(101),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        remote_hold: false,
        srtp: None,
    };
    let mut stream = Stream::new(StreamId::new(0, u64::from(last)), u128::from(last));
    stream.agree(Instant::ZERO, plan, SourcePolicy::Signalled);
    stream
}

fn relay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relay");
    group.throughput(Throughput::Elements(1));
    let mut packet = [0xd5; HEADER_BYTES + 160];
    let mut out = Vec::new();
    let mut step = |name: &str, to: Payload| {
        let (mut a, mut b) = (stream(1, Payload::pcma()), stream(2, to));
        join(Instant::ZERO, &mut a, &mut b);
        let mut sequence = 0u16;
        let mut now = Instant::ZERO;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                sequence = sequence.wrapping_add(1);
                now += Duration::from_millis(20);
                let header: &mut [u8; HEADER_BYTES] =
                    packet.first_chunk_mut().expect("longer than a header");
                write_header(header, false, 8, sequence, u32::from(sequence) * 160, 7);
                let taken = a.receive(now, phone(1), black_box(&mut packet), &mut out);
                assert_eq!(taken, Taken::Relay);
                black_box(b.send(now, &mut packet))
            });
        });
    };
    step("same codec", Payload::pcma());
    step("A-law to mu-law", Payload::pcmu());
    group.bench_function("header alone", |bencher| {
        bencher.iter(|| black_box(Header::parse(black_box(&packet))));
    });
    group.finish();
}

criterion_group!(benches, relay);
criterion_main!(benches);
