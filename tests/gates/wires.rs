//! Connections by hand: TCP, TLS and WebSocket over either, from addresses of our choice, whole or broken.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Protocol, Socket, Type};

use super::ground::{Ground, OPEN_PORT};
use crate::support::at;
use crate::support::lab::DOMAIN;
use crate::support::pause;

/// A way to the server that is a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Tcp,
    Tls,
    Ws,
    Wss,
}

pub const WAYS: [Way; 4] = [Way::Tcp, Way::Tls, Way::Ws, Way::Wss];

impl Way {
    /// As it is written in a Via.
    pub fn name(self) -> &'static str {
        match self {
            Way::Tcp => "TCP",
            Way::Tls => "TLS",
            Way::Ws => "WS",
            Way::Wss => "WSS",
        }
    }

    pub fn is_web(self) -> bool {
        matches!(self, Way::Ws | Way::Wss)
    }

    pub fn is_secure(self) -> bool {
        matches!(self, Way::Tls | Way::Wss)
    }

    /// Where the server of the gates listens for it, for phones with a password or for the open profile.
    pub fn to(self, ground: &Ground, open: bool) -> SocketAddr {
        let first = if open { OPEN_PORT } else { 5060 };
        let port = match self {
            Way::Tcp => first,
            Way::Tls => first + 1,
            Way::Ws => first + 2,
            Way::Wss => first + 3,
        };
        at(ground.server.lab.server, port)
    }
}

/// What reading gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Nothing,
    Bytes(Vec<u8>),
    Closed,
}

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// One connection, not blocking.
pub struct Wire {
    way: Way,
    stream: Box<dyn Stream>,
    pub tcp: TcpStream,
}

/// TCP from an address of ours.
pub fn tcp(
    from: IpAddr,
    to: SocketAddr,
    receive_bytes: Option<usize>,
) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(3))?;
    let stream: TcpStream = socket.into();
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(12)))?;
    stream.set_write_timeout(Some(Duration::from_secs(12)))?;
    Ok(stream)
}

impl Wire {
    /// Connects, shakes hands, and is ready to speak.
    pub fn open(ground: &Ground, way: Way, open: bool, from: IpAddr) -> std::io::Result<Wire> {
        Wire::over(ground, way, tcp(from, way.to(ground, open), None)?)
    }

    /// The handshakes of a way over a connection that is there.
    pub fn over(ground: &Ground, way: Way, tcp: TcpStream) -> std::io::Result<Wire> {
        let mut stream: Box<dyn Stream> = match way.is_secure() {
            true => Box::new(secure(ground, tcp.try_clone()?, DOMAIN)?),
            false => Box::new(tcp.try_clone()?),
        };
        if way.is_web() {
            upgrade(&mut stream, ground.server.lab.server.into())?;
        }
        tcp.set_nonblocking(true)?;
        Ok(Wire { way, stream, tcp })
    }

    /// Sends one message as it is framed here.
    pub fn send(&mut self, message: &[u8]) -> bool {
        match self.way.is_web() {
            true => self.raw(&frame(0x82, message)),
            false => self.raw(message),
        }
    }

    /// Sends bytes. False when the peer takes no more of them.
    pub fn raw(&mut self, mut bytes: &[u8]) -> bool {
        let mut waited = 0;
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return false,
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock && waited < 20 => {
                    waited += 1;
                    pause(Duration::from_millis(1));
                }
                Err(_) => return false,
            }
        }
        !matches!(self.stream.flush(), Err(error) if error.kind() != ErrorKind::WouldBlock)
    }

    /// What has come.
    pub fn hear(&mut self) -> Heard {
        let mut buffer = [0; 16_384];
        match self.stream.read(&mut buffer) {
            Ok(0) => Heard::Closed,
            Ok(length) => Heard::Bytes(buffer[..length].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::Nothing,
            Err(_) => Heard::Closed,
        }
    }

    /// True once the server has closed it; what it said before is thrown away.
    pub fn is_cut(&mut self) -> bool {
        loop {
            match self.hear() {
                Heard::Nothing => return false,
                Heard::Bytes(_) => {}
                Heard::Closed => return true,
            }
        }
    }

    /// What comes until `end` is in it or the time is over.
    pub fn wait_for(&mut self, end: &str, limit: Duration) -> Option<String> {
        let until = std::time::Instant::now() + limit;
        let mut heard = Vec::new();
        while std::time::Instant::now() < until {
            match self.hear() {
                Heard::Bytes(bytes) => heard.extend(bytes),
                Heard::Nothing => pause(Duration::from_millis(1)),
                Heard::Closed => return None,
            }
            let text = String::from_utf8_lossy(&heard);
            if text.contains(end) {
                return Some(text.into_owned());
            }
        }
        None
    }
}

/// A client's TLS with a server of that name, handshake done.
pub fn secure(
    ground: &Ground,
    tcp: TcpStream,
    name: &str,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let host = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
    let session = ClientConnection::new(ground.authority.client(None), host)
        .map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(session, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn upgrade(stream: &mut impl Stream, host: IpAddr) -> std::io::Result<()> {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    match head.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(()),
        false => Err(ErrorKind::InvalidData.into()),
    }
}

/// A WebSocket frame of a client, masked with zeros: `first` holds FIN, the reserved bits and the opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = head(first, payload.len() as u64);
    out.extend_from_slice(payload);
    out
}

/// The head of a frame that says it has so many bytes.
pub fn head(first: u8, length: u64) -> Vec<u8> {
    let mut out = vec![first];
    match length {
        0..=125 => out.push(0x80 | length as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend(length.to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out
}

/// Sends every message on a connection of its own, a few at a time, and closes while the server may still be answering. Gives how
/// many could be sent.
pub fn each_alone(
    ground: &Ground,
    way: Way,
    open: bool,
    messages: &[Vec<u8>],
    from: &[IpAddr],
) -> usize {
    let mut sent = 0;
    for (turn, chunk) in messages.chunks(32).enumerate() {
        let source = from[turn % from.len()];
        let mut wires: Vec<Wire> = chunk
            .iter()
            .filter_map(|message| {
                let mut wire = Wire::open(ground, way, open, source).ok()?;
                sent += usize::from(wire.send(message));
                Some(wire)
            })
            .collect();
        pause(Duration::from_millis(5));
        for wire in &mut wires {
            wire.hear();
        }
    }
    sent
}
