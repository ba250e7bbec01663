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
    let says = |what: &str| {
        wait_for(&format!("baresip to say {what}"), seconds(15.0), || {
            ann.log().contains(what).then_some(())
        });
    };
    server
        .api()
        .put("/extensions/1001/messages", &json!({ "new": 3, "old": 1 }));
    says("Messages-Waiting: yes");
    says("Voice-Message: 3/1");
    says("Offline");
    let mut bob = account("1002").start();
    bob.wait_registered(seconds(10.0));
    says("Online");
}
