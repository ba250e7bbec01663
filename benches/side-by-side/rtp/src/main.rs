//! rtpload - RTP load generator for comparing media relays side by side.
//!
//! Two UDP sockets (side A, side B) stand for N user agents per side. Every user agent has its own
//! source address: the source IP is set per packet by IP_PKTINFO, so one sendmmsg() serves many agents.
//! Streams are paced on a tick (default 250 us); every stream sends one packet per ptime with its own phase.
//! Send times are kept in a table keyed by (stream, sequence number), so it works through SRTP
//! (header in clear). Receive times are the kernel's SO_TIMESTAMPNS stamps: generator scheduling does not
//! count as latency. One thread, never sleeping in poll(): the relay's sends wake nobody, so the
//! relay's CPU time is its own.
//! CPU of the relay: sum over its threads of /proc/PID/task/*/schedstat (ns precise) in the measured window.
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::mem::{size_of, zeroed};
use std::net::Ipv4Addr;

use aes::cipher::{KeyIvInit, StreamCipher};
use hmac::Mac;
type Ctr = ctr::Ctr128BE<aes::Aes128>;
type HmacSha1 = hmac::Hmac<sha1::Sha1>;

fn now_rt() -> u64 {
    unsafe {
        let mut t: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_REALTIME, &mut t);
        t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
    }
}

fn sleep_until_rt(ns: u64) {
    let t = libc::timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    };
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_REALTIME,
            libc::TIMER_ABSTIME,
            &t,
            std::ptr::null_mut(),
        );
    }
}

struct Args(HashMap<String, String>);
impl Args {
    fn get(&self, k: &str) -> Option<&str> {
        self.0.get(k).map(|s| s.as_str())
    }
    fn num(&self, k: &str, d: f64) -> f64 {
        self.get(k).map(|s| s.parse().expect(k)).unwrap_or(d)
    }
}

#[derive(Clone, Copy)]
struct Cpu {
    relay_ns: u64,
    ksoft_ns: u64,
    busy_ms: u64,
    self_ns: u64,
    rss_kb: u64,
    udp_rcvbuf_err: u64,
    steal_ms: u64,
}

fn schedstat(path: &str) -> u64 {
    fs::read_to_string(path)
        .ok()
        .and_then(|s| s.split_whitespace().next().and_then(|x| x.parse().ok()))
        .unwrap_or(0)
}
fn task_ns(pid: &str) -> u64 {
    let mut s = 0;
    if let Ok(rd) = fs::read_dir(format!("/proc/{pid}/task")) {
        for e in rd.flatten() {
            s += schedstat(&format!("{}/schedstat", e.path().display()));
        }
    }
    s
}
fn ksoft_pids() -> Vec<String> {
    let mut v = vec![];
    for e in fs::read_dir("/proc").unwrap().flatten() {
        let n = e.file_name().into_string().unwrap_or_default();
        if n.bytes().all(|c| c.is_ascii_digit()) {
            if let Ok(c) = fs::read_to_string(format!("/proc/{n}/comm")) {
                if c.starts_with("ksoftirqd/") {
                    v.push(n);
                }
            }
        }
    }
    v
}
fn sample(pids: &[String], ks: &[String]) -> Cpu {
    let st = fs::read_to_string("/proc/stat").unwrap();
    let f: Vec<u64> = st
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .skip(1)
        .map(|x| x.parse().unwrap_or(0))
        .collect();
    let mut rss = 0;
    for p in pids {
        if let Ok(s) = fs::read_to_string(format!("/proc/{p}/status")) {
            for l in s.lines() {
                if let Some(r) = l.strip_prefix("VmRSS:") {
                    rss += r
                        .trim()
                        .split(' ')
                        .next()
                        .unwrap()
                        .parse::<u64>()
                        .unwrap_or(0);
                }
            }
        }
    }
    let snmp = fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut rberr = 0;
    let u: Vec<&str> = snmp.lines().filter(|l| l.starts_with("Udp:")).collect();
    if u.len() == 2 {
        let i = u[0]
            .split_whitespace()
            .position(|x| x == "RcvbufErrors")
            .unwrap_or(0);
        rberr = u[1]
            .split_whitespace()
            .nth(i)
            .and_then(|x| x.parse().ok())
            .unwrap_or(0);
    }
    Cpu {
        relay_ns: pids.iter().map(|p| task_ns(p)).sum(),
        ksoft_ns: ks.iter().map(|p| task_ns(p)).sum(),
        busy_ms: (f[0] + f[1] + f[2] + f[5] + f[6]) * 10,
        steal_ms: f[7] * 10,
        self_ns: task_ns("self"),
        rss_kb: rss,
        udp_rcvbuf_err: rberr,
    }
}

struct Sess {
    ua: [(u32, u16); 2],
    relay: [(u32, u16); 2],
}

fn ip(s: &str) -> u32 {
    u32::from(s.parse::<Ipv4Addr>().expect(s))
}

fn sockaddr(ipa: u32, port: u16) -> libc::sockaddr_in {
    unsafe {
        let mut sa: libc::sockaddr_in = zeroed();
        sa.sin_family = libc::AF_INET as u16;
        sa.sin_port = port.to_be();
        sa.sin_addr.s_addr = ipa.to_be();
        sa
    }
}

fn mksock(port: u16) -> i32 {
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0);
        assert!(fd >= 0);
        let on = 1i32;
        let buf = 16i32 << 20;
        let so = |l, o, v: &i32| libc::setsockopt(fd, l, o, v as *const i32 as _, 4);
        so(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &buf);
        so(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &buf);
        so(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &on);
        let sa = sockaddr(0, port);
        assert_eq!(
            libc::bind(fd, &sa as *const _ as _, 16),
            0,
            "bind {port}: {}",
            std::io::Error::last_os_error()
        );
        fd
    }
}

const TXCHUNK: usize = 8;
const RXB: usize = 64;
const PKTMAX: usize = 1600;
const SEQN: usize = 512;

#[repr(C, align(8))]
struct CtlBuf([u8; 64]);

struct Srtp {
    enc_key: [u8; 16],
    salt: [u8; 14],
    mac: HmacSha1,
}
impl Srtp {
    /// AES_CM_128_HMAC_SHA1_80, key derivation per RFC 3711 4.3 with KDR 0
    fn new(master: &[u8; 30]) -> Self {
        let mk: [u8; 16] = master[..16].try_into().unwrap();
        let ms = &master[16..30];
        let kdf = |label: u8, out: &mut [u8]| {
            let mut iv = [0u8; 16];
            iv[..14].copy_from_slice(ms);
            iv[7] ^= label;
            let mut c = Ctr::new(&mk.into(), &iv.into());
            out.fill(0);
            c.apply_keystream(out);
        };
        let mut k = [0u8; 16];
        let mut a = [0u8; 20];
        let mut s = [0u8; 14];
        kdf(0, &mut k);
        kdf(1, &mut a);
        kdf(2, &mut s);
        Srtp {
            enc_key: k,
            salt: s,
            mac: HmacSha1::new_from_slice(&a).unwrap(),
        }
    }
    fn crypt(&self, pkt: &mut [u8], roc: u32) {
        let mut iv = [0u8; 16];
        iv[..14].copy_from_slice(&self.salt);
        for i in 0..4 {
            iv[4 + i] ^= pkt[8 + i];
        }
        for i in 0..4 {
            iv[8 + i] ^= roc.to_be_bytes()[i];
        }
        iv[12] ^= pkt[2];
        iv[13] ^= pkt[3];
        let mut c = Ctr::new(&self.enc_key.into(), &iv.into());
        c.apply_keystream(&mut pkt[12..]);
    }
    fn tag(&self, pkt: &[u8], roc: u32) -> [u8; 10] {
        let mut m = self.mac.clone();
        m.update(pkt);
        m.update(&roc.to_be_bytes());
        m.finalize().into_bytes()[..10].try_into().unwrap()
    }
}

struct Hist {
    v: Vec<u32>,
} // 1 us buckets to 200 ms
impl Hist {
    fn new() -> Self {
        Hist {
            v: vec![0; 200_001],
        }
    }
    fn add(&mut self, ns: u64) {
        let b = ((ns / 1000) as usize).min(200_000);
        self.v[b] += 1;
    }
    fn q(&self, q: f64) -> u64 {
        let tot: u64 = self.v.iter().map(|x| *x as u64).sum();
        if tot == 0 {
            return 0;
        }
        let want = ((tot as f64) * q).ceil() as u64;
        let mut s = 0u64;
        for (i, x) in self.v.iter().enumerate() {
            s += *x as u64;
            if s >= want {
                return i as u64;
            }
        }
        200_000
    }
    fn max(&self) -> u64 {
        self.v.iter().rposition(|x| *x > 0).unwrap_or(0) as u64
    }
}

fn load_payloads(path: Option<&str>) -> Vec<Vec<u8>> {
    match path {
        None => (0..50u32)
            .map(|f| {
                (0..160u32)
                    .map(|i| {
                        (f.wrapping_mul(131).wrapping_add(i.wrapping_mul(29)) ^ (i >> 3)) as u8
                            | 0x80
                    })
                    .collect()
            })
            .collect(),
        Some(p) => {
            // u16 BE length + bytes, repeated
            let mut b = vec![];
            fs::File::open(p).unwrap().read_to_end(&mut b).unwrap();
            let mut o = 0;
            let mut v = vec![];
            while o + 2 <= b.len() {
                let l = u16::from_be_bytes([b[o], b[o + 1]]) as usize;
                o += 2;
                v.push(b[o..o + l].to_vec());
                o += l;
            }
            v
        }
    }
}

fn main() {
    let mut a = HashMap::new();
    let mut it = std::env::args().skip(1);
    while let Some(k) = it.next() {
        let v = it.next().expect("value");
        a.insert(k.trim_start_matches("--").to_string(), v);
    }
    let a = Args(a);
    let sess: Vec<Sess> = fs::read_to_string(a.get("sessions").expect("--sessions FILE"))
        .unwrap()
        .lines()
        .filter(|l| !l.is_empty())
        .map(|l| {
            let f: Vec<&str> = l.split_whitespace().collect(); // ua_a ip port  relay_for_a ip port  ua_b ip port  relay_for_b ip port
            Sess {
                ua: [
                    (ip(f[0]), f[1].parse().unwrap()),
                    (ip(f[4]), f[5].parse().unwrap()),
                ],
                relay: [
                    (ip(f[2]), f[3].parse().unwrap()),
                    (ip(f[6]), f[7].parse().unwrap()),
                ],
            }
        })
        .collect();
    let n = sess.len();
    let secs = a.num("secs", 4.0);
    let warm = a.num("warm", 1.0);
    let ptime_us = a.num("ptime-us", 20_000.0);
    let tick_us = a.num("tick-us", 250.0);
    let pids: Vec<String> = a
        .get("pid")
        .map(|s| s.split(',').map(|x| x.to_string()).collect())
        .unwrap_or_default();
    if let Some(c) = a.get("cpu") {
        unsafe {
            let mut s: libc::cpu_set_t = zeroed();
            libc::CPU_SET(c.parse().unwrap(), &mut s);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &s);
        }
    }
    let pt = [a.num("pt-a", 0.0) as u8, a.num("pt-b", 0.0) as u8];
    let pay = [
        load_payloads(a.get("payload-a")),
        load_payloads(a.get("payload-b")),
    ];
    let tsinc = [
        a.num("tsinc-a", 160.0) as u32,
        a.num("tsinc-b", 160.0) as u32,
    ];
    let srtp_a = a.get("srtp-a").map(|h| {
        let mut k = [0u8; 30];
        for i in 0..30 {
            k[i] = u8::from_str_radix(&h[2 * i..2 * i + 2], 16).unwrap();
        }
        Srtp::new(&k)
    });
    let count_only = a.get("count-only").is_some(); // transcoding: the relay rewrites sequence numbers
    let expect = [
        a.num("expect-len-a", 0.0) as usize,
        a.num("expect-len-b", 0.0) as usize,
    ];

    let socks = [mksock(sess[0].ua[0].1), mksock(sess[0].ua[1].1)];
    let nstreams = 2 * n;
    let mut sent_ts = vec![0u64; nstreams * SEQN];
    let mut seq = vec![1u16; nstreams];
    let nticks = (ptime_us / tick_us).round().max(1.0) as usize;
    let tick_ns = (ptime_us * 1000.0 / nticks as f64) as u64;
    // spread stream phases over the ticks; same tick keeps the two sides mixed
    let mut slots: Vec<[Vec<u32>; 2]> = (0..nticks).map(|_| [vec![], vec![]]).collect();
    for s in 0..nstreams {
        let ph = (s as u64 * 0x9E37_79B9 % 1_000_003) as usize * nticks / 1_000_003;
        slots[ph][s & 1].push(s as u32);
    }

    let ks = ksoft_pids();
    let mut hist = Hist::new();
    let (mut tx, mut rx, mut txw, mut rxw, mut dup, mut bad, mut late) =
        (0u64, 0u64, 0u64, 0u64, 0u64, 0u64, 0u64);
    let mut okpay = 0u64;
    let mut txerr = 0u64;
    let mut late_ticks = 0u64;

    // tx scratch
    let mut txbuf = vec![[0u8; 1600]; TXCHUNK];
    let mut txctl: Vec<CtlBuf> = (0..TXCHUNK).map(|_| CtlBuf([0; 64])).collect();
    let mut txsa = vec![sockaddr(0, 0); TXCHUNK];
    let mut txiov: Vec<libc::iovec> = (0..TXCHUNK).map(|_| unsafe { zeroed() }).collect();
    let mut txm: Vec<libc::mmsghdr> = (0..TXCHUNK).map(|_| unsafe { zeroed() }).collect();
    for i in 0..TXCHUNK {
        txiov[i].iov_base = txbuf[i].as_mut_ptr() as _;
        let h = &mut txm[i].msg_hdr;
        h.msg_name = &mut txsa[i] as *mut _ as _;
        h.msg_namelen = 16;
        h.msg_iov = &mut txiov[i];
        h.msg_iovlen = 1;
        h.msg_control = txctl[i].0.as_mut_ptr() as _;
        unsafe {
            h.msg_controllen = libc::CMSG_SPACE(size_of::<libc::in_pktinfo>() as u32) as usize;
            let c = libc::CMSG_FIRSTHDR(h);
            (*c).cmsg_level = libc::IPPROTO_IP;
            (*c).cmsg_type = libc::IP_PKTINFO;
            (*c).cmsg_len = libc::CMSG_LEN(size_of::<libc::in_pktinfo>() as u32) as usize;
        }
    }
    // rx scratch
    let mut rxbuf = vec![[0u8; PKTMAX]; RXB];
    let mut rxctl: Vec<CtlBuf> = (0..RXB).map(|_| CtlBuf([0; 64])).collect();
    let mut rxiov: Vec<libc::iovec> = (0..RXB).map(|_| unsafe { zeroed() }).collect();
    let mut rxm: Vec<libc::mmsghdr> = (0..RXB).map(|_| unsafe { zeroed() }).collect();
    for i in 0..RXB {
        rxiov[i].iov_base = rxbuf[i].as_mut_ptr() as _;
        rxiov[i].iov_len = PKTMAX;
        let h = &mut rxm[i].msg_hdr;
        h.msg_iov = &mut rxiov[i];
        h.msg_iovlen = 1;
        h.msg_control = rxctl[i].0.as_mut_ptr() as _;
    }

    let start = now_rt() + 20_000_000;
    let t_meas = start + (warm * 1e9) as u64;
    let t_end = t_meas + (secs * 1e9) as u64;
    let mut next = start;
    let mut slot = 0usize;
    let mut measuring = false;
    let mut ended = false;
    let mut c0: Option<Cpu> = None;
    let mut c1: Option<Cpu> = None;
    let mut wall0 = 0;
    let mut wall1 = 0;
    let stop_rx = t_end + 300_000_000;
    sleep_until_rt(start);
    loop {
        let t = now_rt();
        if !measuring && t >= t_meas {
            c0 = Some(sample(&pids, &ks));
            wall0 = now_rt();
            measuring = true;
        }
        if !ended && t >= t_end {
            c1 = Some(sample(&pids, &ks));
            wall1 = now_rt();
            ended = true;
        }
        if t >= stop_rx {
            break;
        }
        let mut sent_now = false;
        if !ended && t >= next {
            if t > next + 2 * tick_ns {
                late_ticks += 1;
            }
            let inwin = measuring;
            for side in 0..2 {
                let list = &slots[slot][side];
                let mut i = 0;
                while i < list.len() {
                    let m = (list.len() - i).min(TXCHUNK);
                    let ts = now_rt();
                    for j in 0..m {
                        let st = list[i + j] as usize;
                        let k = st >> 1;
                        let sq = seq[st];
                        seq[st] = sq.wrapping_add(1);
                        let b = &mut txbuf[j];
                        b[0] = 0x80;
                        b[1] = pt[side];
                        b[2..4].copy_from_slice(&sq.to_be_bytes());
                        b[4..8]
                            .copy_from_slice(&(sq as u32).wrapping_mul(tsinc[side]).to_be_bytes());
                        b[8..12].copy_from_slice(&(0x5200_0000u32 | st as u32).to_be_bytes());
                        let p = &pay[side][sq as usize % pay[side].len()];
                        b[12..12 + p.len()].copy_from_slice(p);
                        let mut len = 12 + p.len();
                        if side == 0 {
                            if let Some(s) = &srtp_a {
                                s.crypt(&mut b[..len], 0);
                                let tg = s.tag(&b[..len], 0);
                                b[len..len + 10].copy_from_slice(&tg);
                                len += 10;
                            }
                        }
                        txiov[j].iov_len = len;
                        txsa[j] = sockaddr(sess[k].relay[side].0, sess[k].relay[side].1);
                        unsafe {
                            let c = libc::CMSG_FIRSTHDR(&txm[j].msg_hdr);
                            let pi = libc::CMSG_DATA(c) as *mut libc::in_pktinfo;
                            (*pi).ipi_ifindex = 0;
                            (*pi).ipi_spec_dst.s_addr = sess[k].ua[side].0.to_be();
                            (*pi).ipi_addr.s_addr = 0;
                        }
                        // mark in-window packets with bit 63 so that only they are counted
                        let cell = &mut sent_ts[st * SEQN + (sq as usize % SEQN)];
                        *cell = ts | if inwin { 1 << 63 } else { 0 };
                    }
                    let r = unsafe { libc::sendmmsg(socks[side], txm.as_mut_ptr(), m as u32, 0) };
                    if r != m as i32 {
                        txerr += m as u64 - r.max(0) as u64;
                    }
                    tx += r.max(0) as u64;
                    if inwin {
                        txw += r.max(0) as u64;
                    }
                    i += m;
                }
            }
            slot = (slot + 1) % nticks;
            next += tick_ns;
            sent_now = true;
            if now_rt() > next + 50_000_000 {
                next = now_rt();
            } // overloaded: do not try to catch up for ever
        }
        // drain receive side
        let mut got = 0;
        for side in 0..2 {
            for h in rxm.iter_mut() {
                h.msg_hdr.msg_controllen = 64;
            }
            let r = unsafe {
                libc::recvmmsg(
                    socks[side],
                    rxm.as_mut_ptr(),
                    RXB as u32,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                )
            };
            if r <= 0 {
                continue;
            }
            got += r;
            for j in 0..r as usize {
                let len = rxm[j].msg_len as usize;
                let b = &rxbuf[j];
                rx += 1;
                if count_only {
                    if len > 12 {
                        if measuring && !ended {
                            rxw += 1;
                        }
                        if expect[side] > 0 && len == expect[side] {
                            okpay += 1;
                        }
                    } else {
                        bad += 1;
                    }
                    continue;
                }
                let ssrc = u32::from_be_bytes(b[8..12].try_into().unwrap());
                let st = (ssrc & 0x00ff_ffff) as usize;
                if len < 12
                    || b[0] & 0xc0 != 0x80
                    || ssrc >> 24 != 0x52
                    || st >= nstreams
                    || (st & 1) == side
                {
                    bad += 1;
                    continue;
                }
                let sq = u16::from_be_bytes([b[2], b[3]]);
                let cell = &mut sent_ts[st * SEQN + (sq as usize % SEQN)];
                let v = *cell;
                *cell = 0;
                if v == 0 {
                    dup += 1;
                    continue;
                }
                if v >> 63 == 1 {
                    rxw += 1;
                    unsafe {
                        let c = libc::CMSG_FIRSTHDR(&rxm[j].msg_hdr);
                        if !c.is_null() && (*c).cmsg_type == libc::SO_TIMESTAMPNS {
                            let ts = std::ptr::read_unaligned(
                                libc::CMSG_DATA(c) as *const libc::timespec
                            );
                            let rxt = ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64;
                            let s = v & !(1 << 63);
                            let d = rxt.saturating_sub(s);
                            hist.add(d);
                            if d > 20_000_000 {
                                late += 1;
                            }
                        }
                    }
                }
                // verify payload on plain side, one packet in 64
                if rx & 63 == 0 {
                    let from = st & 1;
                    let p = &pay[from][sq as usize % pay[from].len()];
                    if srtp_a.is_some() && side == 0 {
                        if len == 12 + p.len() + 10 {
                            okpay += 1;
                        } else {
                            bad += 1;
                        }
                    } else if len == 12 + p.len() && b[12..len] == p[..] {
                        okpay += 1;
                    } else {
                        bad += 1;
                    }
                }
            }
        }
        if got == 0 && !sent_now {
            let t = now_rt();
            let wake = if ended { t + 2_000_000 } else { next };
            if wake > t + 10_000 {
                sleep_until_rt(wake);
            }
        }
    }
    let (c0, c1) = (c0.unwrap(), c1.unwrap());
    let wall = (wall1 - wall0) as f64 / 1e9;
    let rcpu = (c1.relay_ns - c0.relay_ns) as f64 / 1000.0;
    println!("{{\"n\":{n},\"wall\":{wall:.3},\"tx\":{txw},\"rx\":{rxw},\"pps\":{:.0},\"loss_pct\":{:.5},\"relay_us_pkt\":{:.4},\"relay_cpu_pct\":{:.1},\"ksoft_us_pkt\":{:.4},\"gen_us_pkt\":{:.4},\"gen_cpu_pct\":{:.1},\"busy_us_pkt\":{:.4},\"steal_ms\":{},\"p50\":{},\"p90\":{},\"p99\":{},\"p999\":{},\"max\":{},\"rss_kb\":{},\"dup\":{dup},\"bad\":{bad},\"okpay\":{okpay},\"txerr\":{txerr},\"late_ticks\":{late_ticks},\"late20ms\":{late},\"rcvbuf_err\":{},\"tx_all\":{tx},\"rx_all\":{rx}}}",
        rxw as f64 / wall,
        (txw as f64 - rxw as f64) / (txw.max(1) as f64) * 100.0,
        rcpu / rxw.max(1) as f64, rcpu / 1e4 / wall,
        (c1.ksoft_ns - c0.ksoft_ns) as f64 / 1000.0 / rxw.max(1) as f64,
        (c1.self_ns - c0.self_ns) as f64 / 1000.0 / rxw.max(1) as f64, (c1.self_ns - c0.self_ns) as f64 / 1e7 / wall,
        (c1.busy_ms - c0.busy_ms) as f64 * 1000.0 / rxw.max(1) as f64, c1.steal_ms - c0.steal_ms,
        hist.q(0.5), hist.q(0.9), hist.q(0.99), hist.q(0.999), hist.max(), c1.rss_kb, c1.udp_rcvbuf_err - c0.udp_rcvbuf_err);
}
