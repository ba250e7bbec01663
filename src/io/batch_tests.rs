//! Tests of the batched sockets over loopback.

use super::*;

fn socket(address: &str) -> BatchSocket {
    BatchSocket::bind(address.parse().expect("address"), SIGNALLING_BUFFER_BYTES).expect("bind")
}

fn exchange(receiver_address: &str, sender_address: &str, to: &str, from: &str) -> Vec<Received> {
    let receiver = socket(receiver_address);
    let sender = socket(sender_address);
    let to = SocketAddr::new(to.parse().expect("ip"), receiver.local().port());
    let items: Vec<Outgoing> = (0..200u32)
        .map(|i| Outgoing {
            bytes: Bytes::from(vec![i as u8; 1 + (i as usize * 37) % 1400]),
            to,
            from: from.parse().expect("ip"),
        })
        .collect();
    let sent = send(&sender, &items, |_, error| panic!("refused: {error}"));
    assert_eq!(sent, 200);
    let mut poller = Poller::new(4).expect("epoll");
    poller.add(&receiver, 7).expect("add");
    let (mut batches, mut out) = (Receiver::new(), Vec::new());
    while out.len() < 200 {
        let mut ready = Vec::new();
        poller
            .wait(Some(Duration::from_secs(10)), &mut ready)
            .expect("wait");
        assert_eq!(ready, [7]);
        let (count, dropped) = batches.receive(&receiver, &mut out).expect("receive");
        assert!(count <= BATCH);
        assert_eq!(dropped.unwrap_or(0), 0);
    }
    for (item, received) in items.iter().zip(&out) {
        assert_eq!(item.bytes, received.bytes);
    }
    out
}

#[test]
fn datagrams_arrive_in_order_and_whole_over_ipv4() {
    let out = exchange("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1", "0.0.0.0");
    assert!(out.iter().all(|r| r.local.ip() == r.source.ip()));
}

#[test]
fn datagrams_arrive_in_order_and_whole_over_ipv6() {
    let out = exchange("[::1]:0", "[::1]:0", "::1", "::");
    assert!(out.iter().all(|r| r.source.ip() == Ipv6Addr::LOCALHOST));
}

#[test]
fn a_wildcard_socket_says_where_a_datagram_came_to_and_answers_from_there() {
    let out = exchange("0.0.0.0:0", "0.0.0.0:0", "127.0.0.9", "127.0.0.7");
    let local: IpAddr = "127.0.0.9".parse().expect("ip");
    let source: IpAddr = "127.0.0.7".parse().expect("ip");
    assert!(
        out.iter()
            .all(|r| r.local.ip() == local && r.source.ip() == source)
    );
}

#[test]
fn a_refused_datagram_does_not_stop_the_others() {
    let (receiver, sender) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let item = |bytes: Vec<u8>, to: SocketAddr| Outgoing {
        bytes: bytes.into(),
        to,
        from: "0.0.0.0".parse().expect("ip"),
    };
    let items = [
        item(vec![1], receiver.local()),
        item(vec![2; 70_000], receiver.local()), // larger than UDP can carry
        item(vec![3], receiver.local()),
        item(vec![4], "[::1]:9".parse().expect("address")), // wrong family
        item(vec![5], receiver.local()),
    ];
    let mut refused = Vec::new();
    let sent = send(&sender, &items, |index, _| refused.push(index));
    assert_eq!(sent, 3);
    assert_eq!(refused, [1, 3]);
    let mut out = Vec::new();
    while out.len() < 3 {
        Receiver::new()
            .receive(&receiver, &mut out)
            .expect("receive");
    }
    let got: Vec<u8> = out.iter().map(|r| r.bytes[0]).collect();
    assert_eq!(got, [1, 3, 5]);
}

#[test]
fn overflowing_the_receive_buffer_is_counted() {
    let receiver = BatchSocket::bind("127.0.0.1:0".parse().expect("address"), 4096).expect("bind");
    let sender = socket("127.0.0.1:0");
    let item = Outgoing {
        bytes: Bytes::from(vec![0; 1000]),
        to: receiver.local(),
        from: "0.0.0.0".parse().expect("ip"),
    };
    send(&sender, &vec![item.clone(); 100], |_, _| {});
    let (mut batches, mut out) = (Receiver::new(), Vec::new());
    while batches.receive(&receiver, &mut out).expect("receive").0 > 0 {}
    assert!(out.len() < 100);
    // The counter rides on the next datagram that is queued.
    send(&sender, &[item], |_, _| {});
    let (_, dropped) = batches.receive(&receiver, &mut out).expect("receive");
    assert_eq!(dropped.map(|d| d as usize), Some(101 - out.len()));
}

#[test]
fn a_waker_ends_a_wait_from_another_thread() {
    let waker = std::sync::Arc::new(Waker::new().expect("eventfd"));
    let mut poller = Poller::new(1).expect("epoll");
    poller.add(&*waker, 1).expect("add");
    let other = waker.clone();
    #[allow(clippy::disallowed_methods)] // a test of the shell
    let thread = std::thread::spawn(move || {
        other.wake();
        other.wake();
    });
    let mut ready = Vec::new();
    poller
        .wait(Some(Duration::from_secs(10)), &mut ready)
        .expect("wait");
    assert_eq!(ready, [1]);
    thread.join().expect("thread");
    waker.clear();
    ready.clear();
    poller.wait(Some(Duration::ZERO), &mut ready).expect("wait");
    assert!(ready.is_empty());
}
