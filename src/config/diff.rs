//! What differs between two settings, object by object, so that a reload applies only that and says so in words.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::settings::Settings;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Something in it differs.
    Changed,
    /// It has another name; it may differ in more.
    Renamed,
}

/// What kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    /// A section of `strowger.toml`.
    Section,
    /// A SIP profile.
    Profile,
    /// A trunk.
    Trunk,
    /// A user.
    User,
    /// A list of extensions.
    List,
    /// A queue.
    Queue,
    /// A context of the dialplan.
    Context,
    /// A menu.
    Menu,
    /// Opening hours.
    Hours,
    /// A ring group.
    Group,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind of object.
    pub object: Object,
    /// Its name now.
    pub name: Arc<str>,
    /// Its name before, if it was renamed.
    pub was: Option<Arc<str>>,
    /// What happened.
    pub kind: ChangeKind,
    /// True when it takes a restart of the server: domain, data directory, RTP ports, HTTP, store, workers.
    pub needs_restart: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = match self.object {
            Object::Section => "section",
            Object::Profile => "profile",
            Object::Trunk => "trunk",
            Object::User => "user",
            Object::List => "list",
            Object::Queue => "queue",
            Object::Context => "context",
            Object::Menu => "menu",
            Object::Hours => "hours",
            Object::Group => "group",
        };
        let name = &self.name;
        match (self.kind, &self.was) {
            (ChangeKind::Added, _) => write!(f, "{object} `{name}` added"),
            (ChangeKind::Removed, _) => write!(f, "{object} `{name}` removed"),
            (ChangeKind::Renamed, Some(was)) => {
                write!(f, "{object} `{was}` is now `{name}`")
            }
            (ChangeKind::Changed | ChangeKind::Renamed, _) => {
                write!(f, "{object} `{name}` changed")
            }
        }?;
        if self.needs_restart {
            f.write_str(" (needs a restart)")?;
        }
        Ok(())
    }
}

/// Everything that differs, in the order: sections, profiles, trunks, users, queues, dialplan. Empty when nothing does.
pub fn diff(old: &Settings, new: &Settings) -> Vec<Change> {
    let mut out = Vec::new();
    sections(old, new, &mut out);
    objects(
        Object::Profile,
        old.profiles
            .iter()
            .filter(|profile| !profile.is_gone())
            .map(|profile| (&profile.name, profile)),
        new.profiles
            .iter()
            .filter(|profile| !profile.is_gone())
            .map(|profile| (&profile.name, profile.was.as_ref(), profile)),
        |old, new| {
            // Trunks are objects of their own.
            let mut old = super::SipProfile::clone(old);
            old.trunks.clone_from(&new.trunks);
            old.was.clone_from(&new.was);
            old == **new
        },
        // Ports are opened and closed while the server runs.
        |_, _| false,
        &mut out,
    );
    objects(
        Object::Trunk,
        old.trunks().map(|trunk| (&trunk.name, trunk)),
        new.trunks()
            .map(|trunk| (&trunk.name, trunk.was.as_ref(), trunk)),
        |old, new| {
            let mut old = super::Trunk::clone(old);
            old.was.clone_from(&new.was);
            old == **new
        },
        |_, _| false,
        &mut out,
    );
    objects(
        Object::User,
        old.directory.users().map(|user| (&user.extension, user)),
        new.directory
            .users()
            .map(|user| (&user.extension, user.was.as_ref(), user)),
        |old, new| {
            let mut old = crate::directory::User::clone(old);
            old.was.clone_from(&new.was);
            old == **new
        },
        |_, _| false,
        &mut out,
    );
    objects(
        Object::List,
        old.directory.lists().map(|list| (&list.name, list)),
        new.directory.lists().map(|list| (&list.name, None, list)),
        |old, new| old == new,
        |_, _| false,
        &mut out,
    );
    objects(
        Object::Queue,
        old.queues.iter().map(|queue| (&queue.acd.name, queue)),
        new.queues
            .iter()
            .map(|queue| (&queue.acd.name, queue.was.as_ref(), queue)),
        |old, new| {
            let mut old = super::QueueSettings::clone(old);
            old.was.clone_from(&new.was);
            old == **new
        },
        |_, _| false,
        &mut out,
    );
    let (before, after) = (old.dialplan.model(), new.dialplan.model());
    macro_rules! part {
        ($object:expr, $field:ident) => {
            objects(
                $object,
                before.$field.iter(),
                after.$field.iter().map(|(name, value)| (name, None, value)),
                |old, new| old == new,
                |_, _| false,
                &mut out,
            )
        };
    }
    part!(Object::Context, contexts);
    part!(Object::Menu, menus);
    part!(Object::Hours, hours);
    part!(Object::Group, groups);
    out
}

fn sections(old: &Settings, new: &Settings, out: &mut Vec<Change>) {
    let mut section = |name: &str, differs: bool, needs_restart: bool| {
        if differs {
            out.push(Change {
                object: Object::Section,
                name: name.into(),
                was: None,
                kind: ChangeKind::Changed,
                needs_restart,
            });
        }
    };
    let (a, b) = (&old.server, &new.server);
    section(
        "server",
        a != b,
        a.domain != b.domain
            || a.data_dir != b.data_dir
            || a.rtp_ports != b.rtp_ports
            || a.name_servers != b.name_servers,
    );
    section("http", old.http != new.http, true);
    section("store", old.store != new.store, true);
    section("media", old.media != new.media, true);
    let restart =
        old.log.format != new.log.format || old.log.ladder_memory != new.log.ladder_memory;
    section("log", old.log != new.log, restart);
    section("hep", old.hep != new.hep, true);
    section("guard", old.guard != new.guard, false);
    section("outbound", old.outbound != new.outbound, false);
}

fn objects<'a, T: 'a>(
    object: Object,
    old: impl Iterator<Item = (&'a Arc<str>, &'a T)>,
    new: impl Iterator<Item = (&'a Arc<str>, Option<&'a Arc<str>>, &'a T)>,
    same: impl Fn(&T, &T) -> bool,
    needs_restart: impl Fn(Option<&T>, Option<&T>) -> bool,
    out: &mut Vec<Change>,
) {
    let mut old: Vec<(&Arc<str>, &T)> = old.collect();
    let mut take = |name: &Arc<str>| {
        let index = old.iter().position(|(old, _)| *old == name)?;
        Some(old.remove(index).1)
    };
    // An object of the same name comes first: `was` may stay in the file after the rename has been taken over.
    let new: Vec<_> = new
        .map(|(name, was, value)| (name, was, value, take(name)))
        .collect();
    let mut changes = Vec::new();
    for (name, was, value, found) in new {
        let renamed = match &found {
            Some(_) => None,
            None => was.and_then(|was| Some((was, take(was)?))),
        };
        let (kind, was, before) = match (found, renamed) {
            (Some(before), _) if same(before, value) => continue,
            (Some(before), _) => (ChangeKind::Changed, None, Some(before)),
            (None, Some((was, before))) => (ChangeKind::Renamed, Some(was.clone()), Some(before)),
            (None, None) => (ChangeKind::Added, None, None),
        };
        changes.push(Change {
            object,
            name: name.clone(),
            was,
            kind,
            needs_restart: needs_restart(before, Some(value)),
        });
    }
    for (name, value) in old {
        out.push(Change {
            object,
            name: name.clone(),
            was: None,
            kind: ChangeKind::Removed,
            needs_restart: needs_restart(Some(value), None),
        });
    }
    out.extend(changes);
}
