//! A name server that knows what a test tells it: A, SRV and NAPTR over UDP.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const A: u16 = 1;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

/// One record, ready for the wire.
struct Record {
    name: String,
    kind: u16,
    data: Vec<u8>,
}

/// What it knows.
#[derive(Default)]
pub struct Zone {
    records: Vec<Record>,
}

impl Zone {
    fn add(mut self, name: &str, kind: u16, data: Vec<u8>) -> Zone {
        self.records.push(Record {
            name: name.to_lowercase(),
            kind,
            data,
        });
        self
    }

    pub fn address(self, name: &str, ip: Ipv4Addr) -> Zone {
        self.add(name, A, ip.octets().to_vec())
    }

    pub fn srv(self, name: &str, priority: u16, weight: u16, port: u16, host: &str) -> Zone {
        let mut data: Vec<u8> = [priority, weight, port]
            .into_iter()
            .flat_map(u16::to_be_bytes)
            .collect();
        data.extend(labels(host));
        self.add(name, SRV, data)
    }

    pub fn naptr(self, name: &str, order: u16, service: &str, replacement: &str) -> Zone {
        let mut data: Vec<u8> = [order, 10].into_iter().flat_map(u16::to_be_bytes).collect();
        for text in ["s", service, ""] {
            data.push(text.len() as u8);
            data.extend(text.bytes());
        }
        data.extend(labels(replacement));
        self.add(name, NAPTR, data)
    }

    /// Answers at `address` until the value is dropped.
    pub fn serve(self, address: SocketAddr) -> Dns {
        let socket = UdpSocket::bind(address).expect("a free port");
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("settable");
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while !told.load(Ordering::Relaxed) {
                if let Ok((length, peer)) = socket.recv_from(&mut buffer)
                    && let Some(answer) = self.answer(&buffer[..length])
                {
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Dns {
            over,
            thread: Some(thread),
        }
    }

    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let mut at = 12;
        let mut name = Vec::new();
        loop {
            let length = usize::from(*query.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            name.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
            at += length;
        }
        let name = name.join(".");
        let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
        let question = query.get(12..at + 4)?;
        let found: Vec<&Record> = self
            .records
            .iter()
            .filter(|record| record.kind == kind && record.name == name)
            .collect();
        let mut answer = query.get(..2)?.to_vec();
        answer.extend([0x84, 0, 0, 1, 0, found.len() as u8, 0, 0, 0, 0]);
        answer.extend(question);
        for record in found {
            answer.extend([0xc0, 12]);
            answer.extend(record.kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 60]);
            answer.extend((record.data.len() as u16).to_be_bytes());
            answer.extend(&record.data);
        }
        Some(answer)
    }
}

fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.push(0);
    out
}

/// A name server that runs.
pub struct Dns {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
