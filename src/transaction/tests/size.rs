//! Large requests: TCP first where the peer may take it, and UDP after all (RFC 3261 §18.1.1).

use super::*;
use crate::sip::{Name, edit};

fn large(method: Method, branch: &str) -> Message {
    let request = our_request(method, branch);
    edit::add(&request, Name::Subject, &[b'x'; 1_300])
}

/// A bench that may send large requests over TCP to the peer of `udp()`.
fn sized() -> Bench {
    let mut bench = Bench::new();
    let peer = (udp().profile, udp().remote, udp().local);
    bench.layer.large_over_tcp([peer].into_iter());
    bench
}

fn sent(bench: &mut Bench) -> (Transport, Vec<u8>) {
    let [Act::Send { flow, message }] = &bench.out[..] else {
        panic!("{:?}", bench.out);
    };
    let found = (flow.transport, message.top_via().transport.to_vec());
    assert_eq!((flow.connection, flow.remote), (None, udp().remote));
    bench.out.clear();
    found
}

#[test]
fn a_large_request_goes_over_tcp_where_the_peer_may_take_it() {
    let mut bench = sized();
    bench.send(udp(), large(Method::Invite, "z9hG4bK1"));
    assert_eq!(sent(&mut bench), (Transport::Tcp, b"TCP".to_vec()));
    assert_eq!(bench.wait(ms(1_000)), [""; 0], "nothing is repeated on TCP");
    bench.send(udp(), our_request(Method::Invite, "z9hG4bK2"));
    assert_eq!(sent(&mut bench), (Transport::Udp, b"UDP".to_vec()));
    let other = Flow {
        remote: "127.0.0.3:5070".parse().expect("address"),
        ..udp()
    };
    bench.send(other, large(Method::Invite, "z9hG4bK3"));
    assert!(matches!(&bench.out[..], [Act::Send { flow, .. }] if *flow == other));
}

#[test]
fn a_large_request_goes_over_udp_when_there_is_no_tcp() {
    for method in [Method::Invite, Method::Options] {
        let mut bench = sized();
        let name = method.as_str().to_owned();
        bench.send(udp(), large(method.clone(), "z9hG4bK1"));
        let Act::Send { flow: tried, .. } = bench.out[0].clone() else {
            panic!("not sent");
        };
        assert_eq!(sent(&mut bench).0, Transport::Tcp);
        bench.layer.flow_failed(bench.now, &tried, &mut bench.out);
        assert_eq!(sent(&mut bench), (Transport::Udp, b"UDP".to_vec()));
        // From here on it is as if it had left over UDP: repeated, and lost with the flow.
        assert_eq!(bench.wait(ms(600)).len(), 1);
        // The next one does not try again.
        bench.send(udp(), large(method.clone(), "z9hG4bK2"));
        assert_eq!(sent(&mut bench).0, Transport::Udp);
        bench.layer.flow_failed(bench.now, &udp(), &mut bench.out);
        assert_eq!(bench.out.len(), 2, "{name}");
        assert!(
            bench
                .out
                .iter()
                .all(|act| matches!(act, Act::Failed { .. }))
        );
        bench.out.clear();
        bench.assert_empty();
        bench.now.mono += secs(601);
        bench.send(udp(), large(method, "z9hG4bK3"));
        assert_eq!(sent(&mut bench).0, Transport::Tcp);
    }
}
