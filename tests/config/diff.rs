//! What a reload finds between two configurations.

use strowger::config::diff;

use super::house;

fn words(change: impl Fn(&mut super::House)) -> Vec<String> {
    let old = house();
    let mut new = house();
    change(&mut new);
    // Both from one folder: a data directory elsewhere would be a difference.
    let directory = tempfile::tempdir().expect("a directory");
    let load = |house: &super::House| {
        house
            .load_in(directory.path(), &|_| None)
            .expect("a house that is fine")
    };
    diff(&load(&old), &load(&new))
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn an_unchanged_directory_has_no_difference() {
    assert_eq!(words(|_| {}), [""; 0]);
}

#[test]
fn comments_and_blank_lines_change_nothing() {
    let found = words(|house| {
        house.change(
            "dialplans/inbound.toml",
            "context",
            "# moved down\n\n\ncontext",
        );
        house.change("queues/support.toml", "name", "# moved down\nname");
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn only_the_object_that_differs_is_named() {
    let found = words(|house| {
        house.change("queues/support.toml", "", "ring-timeout = \"30s\"");
        house.change("sip-profiles/external.toml", "", "max-channels = 3");
        house.change("dialplans/internal.toml", "{ext:4}\"", "{ext:3}\"");
        house.change(
            "directory/people.toml",
            "",
            "[[user]]\nextension = \"1002\"\nname = \"Ben Example\"",
        );
    });
    assert_eq!(
        found,
        [
            "trunk `acme` changed",
            "user `1002` added",
            "queue `support` changed",
            "context `internal` changed",
        ]
    );
}

#[test]
fn a_rename_says_what_it_was() {
    let found = words(|house| {
        house.change(
            "sip-profiles/external.toml",
            "\"acme\"",
            "\"bestcom\"\nwas = \"acme\"",
        );
    });
    assert_eq!(found, ["trunk `acme` is now `bestcom`"]);
}

#[test]
fn a_listening_address_needs_a_restart() {
    let found = words(|house| {
        house.change("sip-profiles/internal.toml", "5060", "5070");
        house.change(
            "strowger.toml",
            "[http]",
            "[http]\nlisten = \"127.0.0.1:8081\"",
        );
        house.change("strowger.toml", "[log]", "[log]\nlevel = \"debug\"");
    });
    assert_eq!(
        found,
        [
            "section `http` changed (needs a restart)",
            "section `log` changed",
            "profile `internal` changed (needs a restart)",
        ]
    );
}
