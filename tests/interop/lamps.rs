//! baresip watches its voicemail and a colleague's presence.

use serde_json::json;

use crate::support::baresip::Phone;
use crate::support::lab::{DOMAIN, Lab, password};
use crate::support::server::Server;
use crate::support::{seconds, wait_for};

#[test]
fn baresip_sees_waiting_messages_and_who_is_there() {
    let server = Server::start(Lab::new());
    let account = |extension: &str| {
        Phone::new(extension).account(&password(extension), DOMAIN, server.lab.phones())
    };
    let mut ann = account("1001")
        .voicemail()
        .watches(&format!("sip:1002@{DOMAIN}"))
        .start();
    ann.wait_registered(seconds(10.0));
    server
        .api()
        .put("/extensions/1001/messages", &json!({ "new": 3, "old": 1 }));
    wait_for("baresip to show the messages", seconds(15.0), || {
        let log = ann.log();
        (log.contains("Messages-Waiting: yes") && log.contains("Voice-Message: 3/1")).then_some(())
    });
    let mut shows = |status: &str| {
        wait_for(&format!("baresip to show {status}"), seconds(15.0), || {
            ann.command("contacts", "").contains(status).then_some(())
        });
    };
    shows("Offline");
    let mut bob = account("1002").start();
    bob.wait_registered(seconds(10.0));
    shows("Online");
}
