//! What a reload finds between two configurations.

use strowger::config::{Object, diff};

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
fn a_listening_address_is_taken_over_while_the_server_runs() {
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
            "profile `internal` changed",
        ]
    );
}

#[test]
fn profiles_keep_their_places_over_a_reload() {
    let profile = |name: &str, port: u16| {
        format!(
            "name = \"{name}\"\nlisten = [\"udp:127.0.0.1:{port}\"]\ndialplan = \"internal\"\nauth = \"digest\"\n"
        )
    };
    let load = |house: &super::House| {
        let directory = tempfile::tempdir().expect("a directory");
        house
            .load_in(directory.path(), &|_| None)
            .expect("a house that is fine")
    };
    let names = |settings: &strowger::config::Settings| -> Vec<String> {
        let name = |p: &std::sync::Arc<strowger::config::SipProfile>| p.name.to_string();
        settings.profiles.iter().map(name).collect()
    };
    let mut before = house();
    before.file("sip-profiles/m.toml", &profile("m", 5071));
    let old = load(&before);
    let places = names(&old);
    let at = |settings: &strowger::config::Settings, name: &str| {
        names(settings).iter().position(|n| n == name)
    };

    // one that sorts before all others comes behind them
    let mut added = house();
    added.file("sip-profiles/m.toml", &profile("m", 5071));
    added.file("sip-profiles/a.toml", &profile("a", 5072));
    let mut new = load(&added);
    assert_eq!(at(&new, "a"), Some(0));
    new.take_over_from(&old);
    assert_eq!(names(&new)[..places.len()], places[..]);
    assert_eq!(at(&new, "a"), Some(places.len()));

    // a rename keeps the place
    let mut renamed = house();
    let text = format!("{}was = \"m\"\n", profile("z", 5071));
    renamed.file("sip-profiles/z.toml", &text);
    let mut new = load(&renamed);
    new.take_over_from(&old);
    assert_eq!(at(&new, "z"), at(&old, "m"));
    assert_eq!(new.profiles.len(), old.profiles.len());

    // one that is taken out leaves its place to nobody, is not found by name, and is named as removed once
    let mut removed = house();
    removed.file("sip-profiles/a.toml", &profile("a", 5072));
    let loaded = load(&removed);
    let mut new = loaded.clone();
    new.take_over_from(&old);
    let gone = &new.profiles[at(&old, "m").expect("there")];
    assert!(gone.is_gone() && &*gone.name == "m");
    assert!(new.profile("m").is_none());
    let of_profiles = |a, b| {
        let changes = diff(a, b).into_iter();
        changes.filter(|c| c.object == Object::Profile).count()
    };
    assert_eq!(of_profiles(&new, &loaded), 0);
    assert_eq!(of_profiles(&old, &loaded), 2);
    let mut again = load(&before);
    again.take_over_from(&new);
    assert_eq!(at(&again, "m"), at(&old, "m"));
    assert!(again.profile("m").is_some());
}
