//! Phones over TLS: they register, call and are heard, and a new certificate disturbs no call.

use std::net::TcpStream;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, StreamOwned};

use crate::support::authority::{Authority, certificate_of};
use crate::support::baresip::{Baresip, Phone};
use crate::support::lab::{DOMAIN, Lab, password};
use crate::support::server::Server;
use crate::support::{at, pause, seconds};

const PROFILE: &str = "sip-profiles/internal.toml";

fn lab(authority: &Authority) -> Lab {
    let mut lab = Lab::new();
    let server = lab.server;
    let udp = format!("\"tcp:{server}:5060\"");
    lab.change(PROFILE, &udp, &format!("{udp}, \"tls:{server}:5061\""));
    let auth = "auth     = \"digest\"\n";
    let tls = "tls = { certificate = \"certs/pbx.pem\", key = \"certs/pbx.key\" }\n";
    lab.change(PROFILE, auth, &format!("{auth}{tls}"));
    renew(&mut lab, authority);
    lab
}

fn renew(lab: &mut Lab, authority: &Authority) -> CertificateDer<'static> {
    let (certificate, key) = authority.vouch(DOMAIN);
    lab.file("certs/pbx.pem", &certificate);
    lab.file("certs/pbx.key", &key);
    certificate_of(&certificate)
}

fn phone(server: &Server, extension: &str, tone_hz: u32) -> Baresip {
    let mut phone = Phone::new(extension)
        .account(&password(extension), DOMAIN, at(server.lab.server, 5061))
        .tls()
        .tone(tone_hz)
        .start();
    phone.wait_registered(seconds(10.0));
    phone
}

/// The certificate that a new connection is shown.
fn shown(server: &Server, authority: &Authority) -> CertificateDer<'static> {
    let stream = TcpStream::connect(at(server.lab.server, 5061)).expect("connects");
    let name = ServerName::try_from(DOMAIN).expect("a name");
    let session = ClientConnection::new(authority.client(None), name).expect("a session");
    let mut tls = StreamOwned::new(session, stream);
    tls.conn.complete_io(&mut tls.sock).expect("shakes hands");
    let certificates = tls.conn.peer_certificates().expect("shown");
    certificates.first().expect("one").clone().into_owned()
}

#[test]
fn phones_call_over_tls_and_a_new_certificate_disturbs_no_call() {
    let authority = Authority::new();
    let mut server = Server::start(lab(&authority));
    let (mut ann, mut ben) = (phone(&server, "1001", 440), phone(&server, "1002", 700));
    let registered = server.wait_registered("1001", 1);
    assert_eq!(registered[0]["transport"], "TLS", "{registered:?}");
    ann.dial(&format!("sip:1002@{DOMAIN}"));
    ben.wait("CALL_INCOMING", seconds(5.0));
    ben.accept();
    ann.wait("CALL_ESTABLISHED", seconds(5.0));
    pause(seconds(1.0));

    let before = shown(&server, &authority);
    let new = renew(&mut server.lab, &authority);
    server.write_files();
    let reload = server.command(&["reload"]);
    assert!(reload.status.success(), "{reload:?}");
    assert_eq!(shown(&server, &authority), new);
    assert_ne!(before, new);

    // A key of another certificate: refused, and nothing changes.
    let (certificate, _) = authority.vouch(DOMAIN);
    server.lab.file("certs/pbx.pem", &certificate);
    server.write_files();
    let reload = server.command(&["reload"]);
    let said = format!("{reload:?}");
    assert!(!reload.status.success(), "{said}");
    assert!(said.contains("does not belong"), "{said}");
    assert_eq!(shown(&server, &authority), new);

    pause(seconds(1.5));
    assert_eq!(ann.count("CALL_CLOSED") + ben.count("CALL_CLOSED"), 0);
    // The BYE travels on the connections of before.
    ann.hangup();
    ben.wait("CALL_CLOSED", seconds(5.0));
    ann.assert_heard(700.0, 2.0);
    ben.assert_heard(440.0, 2.0);
    server.wait_idle();
}
