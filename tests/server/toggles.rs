//! Do-not-disturb from the telephone, over kill -9, and off again by the command.

use crate::devices::Device;
use crate::support::lab::Lab;
use crate::support::seconds;
use crate::support::server::Server;

#[test]
fn do_not_disturb_by_code_survives_kill_9_and_ends_by_the_command() {
    let mut lab = Lab::new();
    lab.change(
        "dialplans/internal.toml",
        "context = \"internal\"\n",
        "context = \"internal\"\n[[rule]]\nnumber = \"*78\"\ndo = [ { feature = \"do-not-disturb-on\" }, { play = \"do-not-disturb-on\" } ]\n",
    );
    // what the phone said is what the caller hears
    lab.change(
        "dialplans/internal.toml",
        ", { hangup = \"no-answer\" }",
        "",
    );
    let mut server = Server::start(lab);
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    server.agent_ready("1002");
    let mut code = bob
        .calls(&server, "call-until-bye", "*78")
        .timeout(seconds(30.0))
        .start();
    code.succeed();
    ann.calls(&server, "refused", "1002")
        .set("status", 486)
        .run();
    server.kill9();
    server.restart();
    ann.calls(&server, "refused", "1002")
        .set("status", 486)
        .run();
    let said = |arguments: &[&str]| {
        let output = server.command(arguments);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let why = said(&["why", "1002"]);
    assert!(why.contains("has switched do-not-disturb on"), "{why}");
    let devices = said(&["devices"]);
    assert!(devices.contains("do not disturb"), "{devices}");
    let devices = said(&["devices", "dnd", "1002", "off"]);
    assert!(devices.contains("ok"), "{devices}");
    let mut rings = bob.sipp("answer").set("ring_ms", 50).start();
    bob.ear.follow(&rings.actions());
    ann.calls(&server, "call", "1002").set("talk_ms", 200).run();
    rings.succeed();
    let off = said(&["devices", "ring", "1002", "off"]);
    assert!(off.contains("off"), "{off}");
    ann.calls(&server, "refused", "1002")
        .set("status", 480)
        .run();
    server.wait_idle();
}
