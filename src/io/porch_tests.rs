//! Tests of how connections begin, over loopback: TLS with good, strange and absent peers, certificates that change, PROXY headers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use super::tcp::tests::{PATIENCE, REQUEST, Rig, impatient, is_cut, rig};
use crate::config::{self, ListenAddress, Settings};
use crate::switch::Input;
use crate::transport::{ProfileId, Transport};

/// An authority, and what it vouches for.
pub(super) struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Authority {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("signed");
        let issuer = rcgen::Issuer::new(params, key);
        Authority {
            certificate,
            issuer,
        }
    }

    /// Certificate and key in PEM.
    fn vouch(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    /// The same in DER.
    fn der(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        use rustls::pki_types::pem::PemObject;
        let (certificate, key) = self.vouch(name);
        (
            CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM"),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
        )
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a root");
        roots
    }
}

/// Settings of one profile that listens on TLS at `pbx.test`, with more lines for the profile.
pub(super) fn settings(authority: &Authority, tls: &str, more: &str) -> Settings {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = authority.vouch("pbx.test");
    let files = [
        ("strowger.toml", "[server]\ndomain = \"pbx.test\"\n".to_owned()),
        ("ca.pem", authority.certificate.pem()),
        ("pbx.pem", certificate),
        ("pbx.key", key),
        (
            "sip-profiles/main.toml",
            format!(
                "name = \"main\"\nlisten = \"tls:127.0.0.1:5061\"\ndialplan = \"main\"\nauth = \"digest\"\n\
                 tls = {{ certificate = \"pbx.pem\", key = \"pbx.key\"{tls} }}\n{more}\n"
            ),
        ),
        (
            "dialplans/main.toml",
            "context = \"main\"\n\n[[rule]]\nnumber = \"{ext}\"\ndo = [ { hangup = \"normal\" } ]\n"
                .to_owned(),
        ),
    ];
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    config::load_with(folder.path(), &|_| None).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn listen(rig: &Rig, transport: Transport) -> SocketAddr {
    let configured = ListenAddress {
        transport,
        address: "127.0.0.1:0".parse().expect("address"),
    };
    let streams = &rig.streams;
    streams.listen(ProfileId(0), configured).expect("listens")
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn client(
    authority: &Authority,
    identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(authority.roots());
    Arc::new(match identity {
        Some((certificate, key)) => builder
            .with_client_auth_cert(vec![certificate], key)
            .expect("an identity"),
        None => builder.with_no_client_auth(),
    })
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(server: SocketAddr, config: &Arc<ClientConfig>) -> Tls {
    let stream = TcpStream::connect(server).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let name = ServerName::try_from("pbx.test").expect("a name");
    let session = ClientConnection::new(config.clone(), name).expect("a session");
    StreamOwned::new(session, stream)
}

#[test]
fn a_request_over_tls_is_answered_and_the_session_resumed() {
    let authority = Authority::new();
    let rig = rig(Default::default());
    rig.streams
        .configure(&settings(&authority, "", ""))
        .expect("configured");
    let server = listen(&rig, Transport::Tls);
    let config = client(&authority, None);
    for again in [false, true] {
        let mut peer = connect(server, &config);
        peer.write_all(REQUEST).expect("writes");
        let (flow, bytes) = rig.message();
        assert_eq!(bytes, REQUEST);
        assert_eq!(flow.transport, Transport::Tls);
        rig.streams
            .send(flow, Bytes::from_static(b"SIP/2.0 200 OK"));
        let mut buffer = [0; 14];
        peer.read_exact(&mut buffer).expect("reads");
        assert_eq!(&buffer, b"SIP/2.0 200 OK");
        let resumed = peer.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        assert_eq!(resumed, again);
        // Nobody who connects to us is sent what is meant for its address: it has proved no name.
        let unbound = crate::transport::Flow {
            connection: None,
            ..flow
        };
        rig.streams.send(unbound, Bytes::from_static(b"INVITE"));
        assert!(matches!(rig.next(), Input::SendFailed { flow: f } if f == unbound));
        drop(peer);
        assert_eq!(Some(rig.closed()), flow.connection);
    }
    assert!(rig.empty());
}

#[test]
fn a_reload_shows_the_new_certificate_and_cuts_nobody() {
    let authority = Authority::new();
    let rig = rig(Default::default());
    let first = settings(&authority, "", "");
    rig.streams.configure(&first).expect("configured");
    let server = listen(&rig, Transport::Tls);
    let shown = |config: &Arc<ClientConfig>| {
        let mut peer = connect(server, config);
        peer.write_all(REQUEST).expect("writes");
        rig.message();
        let certificates = peer.conn.peer_certificates().expect("shown").to_vec();
        (peer, certificates)
    };
    let config = client(&authority, None);
    let (mut old, before) = shown(&config);
    assert_eq!(
        before,
        first.profiles[0].tls.as_ref().expect("tls").identity.chain
    );
    let second = settings(&authority, "", "");
    rig.streams.configure(&second).expect("configured");
    let (_new, after) = shown(&client(&authority, None));
    assert_eq!(
        after,
        second.profiles[0].tls.as_ref().expect("tls").identity.chain
    );
    assert_ne!(before, after);
    old.write_all(REQUEST).expect("writes");
    rig.message();
    // Nothing changed: tickets stay good.
    rig.streams.configure(&second).expect("configured");
}

#[test]
fn who_does_not_shake_hands_is_cut_in_time() {
    let authority = Authority::new();
    let rig = rig(impatient());
    rig.streams
        .configure(&settings(&authority, "", ""))
        .expect("configured");
    let server = listen(&rig, Transport::Tls);
    let began = std::time::Instant::now();
    let mut silent = TcpStream::connect(server).expect("connects");
    let mut half = TcpStream::connect(server).expect("connects");
    half.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        .expect("writes");
    let mut plain = TcpStream::connect(server).expect("connects");
    plain.write_all(REQUEST).expect("writes");
    for peer in [&mut silent, &mut half, &mut plain] {
        peer.set_read_timeout(Some(PATIENCE)).expect("timeout");
        assert!(is_cut(peer));
    }
    assert!(began.elapsed() < Duration::from_secs(3));
    rig.wait_empty();
    let failed = &rig.metrics.handshakes_failed;
    assert_eq!(failed.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[test]
fn a_client_certificate_is_demanded_and_its_names_are_told() {
    let authority = Authority::new();
    let rig = rig(Default::default());
    rig.streams
        .configure(&settings(&authority, ", client-ca = \"ca.pem\"", ""))
        .expect("configured");
    let server = listen(&rig, Transport::Tls);
    let mut stranger = connect(server, &client(&authority, None));
    // TLS 1.3 tells the client only after its first words.
    let _ = stranger.write_all(REQUEST);
    let mut buffer = [0; 16];
    assert!(stranger.read(&mut buffer).is_err());
    let forged = Authority::new().der("gw.acme.example");
    let mut forger = connect(server, &client(&authority, Some(forged)));
    let _ = forger.write_all(REQUEST);
    assert!(forger.read(&mut buffer).is_err());
    let known = authority.der("gw.acme.example");
    let mut peer = connect(server, &client(&authority, Some(known)));
    peer.write_all(REQUEST).expect("writes");
    let Input::PeerVerified { connection, names } = rig.next() else {
        panic!("nobody was introduced");
    };
    assert_eq!(names, [Arc::from("gw.acme.example")]);
    let (flow, _) = rig.message();
    assert_eq!(flow.connection, Some(connection));

    // RFC 5923: offered for where it listens, and taken only where that name is expected.
    let remote: SocketAddr = "127.0.0.1:5999".parse().expect("address");
    let to = crate::transport::Flow {
        remote,
        connection: None,
        ..flow
    };
    rig.streams.alias(connection, remote);
    rig.streams.send(to, Bytes::from_static(b"INVITE"));
    assert!(matches!(rig.next(), Input::SendFailed { flow: f } if f == to));
    let with_trunk = settings(
        &authority,
        ", client-ca = \"ca.pem\"",
        "[[trunk]]\nname = \"acme\"\nproxy = \"sips:gw.acme.example\"\ntls = { ca = \"ca.pem\" }\n",
    );
    rig.streams.configure(&with_trunk).expect("configured");
    rig.streams
        .expect(ProfileId(0), remote, "gw.acme.example", "acme".into());
    rig.streams.alias(connection, remote);
    rig.streams.send(to, Bytes::from_static(b"INVITE"));
    let mut buffer = [0; 6];
    peer.read_exact(&mut buffer).expect("reads");
    assert_eq!(&buffer, b"INVITE");

    // The offer goes with the connection: what is sent there now opens another one.
    drop(peer);
    let closed = |input: &Input| matches!(input, Input::ConnectionClosed { .. });
    while !closed(&rig.next()) {}
    let listener = TcpListener::bind(remote).expect("nobody listens there");
    listener.set_nonblocking(true).expect("set");
    rig.streams.send(to, Bytes::from_static(b"INVITE"));
    let begin = std::time::Instant::now();
    while listener.accept().is_err() {
        assert!(begin.elapsed() < PATIENCE, "no new connection");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// A gateway with a certificate: accepts one connection, and gives what came first.
fn gateway(
    authority: &Authority,
    name: &str,
) -> (SocketAddr, std::thread::JoinHandle<Option<Vec<u8>>>) {
    let (certificate, key) = authority.der(name);
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("an identity");
    let listener = TcpListener::bind("127.0.0.2:0").expect("binds");
    let address = listener.local_addr().expect("address");
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let session = rustls::ServerConnection::new(Arc::new(config)).ok()?;
        let mut tls = StreamOwned::new(session, stream);
        let mut buffer = [0; 64];
        let length = tls.read(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    });
    (address, thread)
}

#[test]
fn a_gateway_must_prove_the_name_of_the_proxy() {
    let (authority, other) = (Authority::new(), Authority::new());
    let rig = rig(Default::default());
    let trunks = settings(
        &authority,
        "",
        "[[trunk]]\nname = \"acme\"\nproxy = \"sips:gw.acme.example\"\ntls = { ca = \"ca.pem\" }\n\
         [[trunk]]\nname = \"lab\"\nproxy = \"sips:gw.lab.example\"\ntls = { verify = false }\n",
    );
    rig.streams.configure(&trunks).expect("configured");
    let try_one = |gateway_of: &Authority, shows: &str, expected: Option<(&str, &str)>| {
        let (remote, thread) = gateway(gateway_of, shows);
        if let Some((name, trunk)) = expected {
            rig.streams.expect(ProfileId(0), remote, name, trunk.into());
        }
        let flow = crate::transport::Flow {
            transport: Transport::Tls,
            ..rig.flow_to(remote)
        };
        rig.streams.send(flow, Bytes::from_static(b"OPTIONS"));
        let came = thread.join().expect("the gateway ends");
        assert!(came.is_none() || came == Some(b"OPTIONS".to_vec()));
        let first = rig.next();
        match &came {
            Some(_) => assert!(matches!(first, Input::ConnectionClosed { .. })),
            None => assert!(matches!(first, Input::SendFailed { flow: f } if f == flow)),
        }
        came.is_some()
    };
    let acme = Some(("gw.acme.example", "acme"));
    assert!(try_one(&authority, "gw.acme.example", acme));
    assert!(!try_one(&authority, "gw.evil.example", acme));
    assert!(!try_one(&other, "gw.acme.example", acme));
    assert!(!try_one(&authority, "gw.acme.example", None));
    assert!(try_one(
        &other,
        "anybody.example",
        Some(("gw.lab.example", "lab"))
    ));
    rig.wait_empty();
}

#[test]
fn a_connection_is_not_used_for_a_name_that_it_has_not_proved() {
    let authority = Authority::new();
    let rig = rig(Default::default());
    let trunks = settings(
        &authority,
        "",
        "[[trunk]]\nname = \"acme\"\nproxy = \"sips:gw.acme.example\"\ntls = { ca = \"ca.pem\" }\n\
         [[trunk]]\nname = \"other\"\nproxy = \"sips:gw.other.example\"\ntls = { ca = \"ca.pem\" }\n",
    );
    rig.streams.configure(&trunks).expect("configured");
    let (certificate, key) = authority.der("gw.acme.example");
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("an identity");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.2:0").expect("binds");
    let remote = listener.local_addr().expect("address");
    let flow = crate::transport::Flow {
        transport: Transport::Tls,
        ..rig.flow_to(remote)
    };
    let accept = || {
        let (stream, _) = listener.accept().expect("accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let session = rustls::ServerConnection::new(config.clone()).expect("a session");
        StreamOwned::new(session, stream)
    };
    let expect = |host: &str, trunk: &str| {
        rig.streams.expect(ProfileId(0), remote, host, trunk.into());
    };
    expect("gw.acme.example", "acme");
    rig.streams.send(flow, Bytes::from_static(b"one"));
    let mut first = accept();
    let mut buffer = [0; 3];
    first.read_exact(&mut buffer).expect("reads");
    // The same again is nothing new: the connection is used again.
    expect("gw.acme.example", "acme");
    rig.streams.send(flow, Bytes::from_static(b"two"));
    first.read_exact(&mut buffer).expect("reads");
    assert_eq!(&buffer, b"two");
    // Another trunk at the same address: a new connection, which fails for want of the second name.
    expect("gw.other.example", "other");
    rig.streams.send(flow, Bytes::from_static(b"six"));
    let mut second = accept();
    assert!(second.read_exact(&mut buffer).is_err());
    assert!(matches!(rig.next(), Input::SendFailed { flow: f } if f == flow));
}

fn header(source: &str) -> Vec<u8> {
    let SocketAddr::V4(source) = source.parse().expect("address") else {
        panic!("IPv4");
    };
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    bytes.extend(source.ip().octets());
    bytes.extend([203, 0, 113, 9]);
    bytes.extend(source.port().to_be_bytes());
    bytes.extend(5060u16.to_be_bytes());
    bytes
}

#[test]
fn a_load_balancer_must_say_whom_it_brings_and_nobody_else_may() {
    let authority = Authority::new();
    let rig = rig(impatient());
    let balanced = settings(&authority, "", "proxy-protocol = \"127.0.0.7/32\"\n");
    rig.streams.configure(&balanced).expect("configured");
    let from = |ip: &str| {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let local: SocketAddr = format!("{ip}:0").parse().expect("address");
        socket.bind(&local.into()).expect("binds");
        socket.connect(&rig.server.into()).expect("connects");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream
    };
    let mut good = from("127.0.0.7");
    let mut whole = header("192.0.2.1:40000");
    whole.extend(REQUEST);
    for piece in whole.chunks(5) {
        good.write_all(piece).expect("writes");
    }
    let (flow, bytes) = rig.message();
    assert_eq!(bytes, REQUEST);
    assert_eq!(flow.remote, "192.0.2.1:40000".parse().expect("address"));
    assert_eq!(flow.local, "203.0.113.9:5060".parse().expect("address"));
    rig.streams
        .send(flow, Bytes::from_static(b"SIP/2.0 200 OK"));
    let mut buffer = [0; 14];
    good.read_exact(&mut buffer).expect("reads");
    // Without a header, with a slow one, or from elsewhere: cut, and nothing is heard.
    let mut bare = from("127.0.0.7");
    bare.write_all(REQUEST).expect("writes");
    let mut slow = from("127.0.0.7");
    slow.write_all(&whole[..10]).expect("writes");
    let mut liar = from("127.0.0.8");
    liar.write_all(&whole).expect("writes");
    for peer in [&mut bare, &mut slow, &mut liar] {
        assert!(is_cut(peer));
    }
    drop(good);
    let mut heard = 0;
    while !rig.empty() {
        heard += usize::from(matches!(rig.next(), Input::Received { .. }));
    }
    assert_eq!(heard, 0);
}
