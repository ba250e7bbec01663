//! Reads `directory/*.toml`.

use std::sync::Arc;

use super::{Reading, To};
use crate::auth::Stored;
use crate::base::Secret;
use crate::config::fields::Fields;
use crate::directory::{Device, List, Role, User, e164};

/// Most members of a list: the state of all of them must fit into a few messages.
const MEMBERS_MAX: usize = 50;

/// Reads one file.
pub fn read(reading: &mut Reading<'_>, file: &Fields<'_>) {
    for fields in file.tables("user") {
        if let Some(user) = user(reading, &fields) {
            reading.users.push(Arc::new(user));
        }
    }
    for fields in file.tables("list") {
        list(reading, &fields);
    }
}

fn list(reading: &mut Reading<'_>, fields: &Fields<'_>) {
    let Some(name) = fields.shared("name") else {
        return;
    };
    if !reading.define("list", &name, fields.source, fields.span("name")) {
        return;
    }
    let mut members: Vec<Arc<str>> = Vec::new();
    for (member, span) in fields.texts("members") {
        if members.iter().any(|other| **other == *member) {
            let message = format!("`{member}` is twice on the list `{name}`");
            reading.warning(fields.source, span, message);
            continue;
        }
        reading.refer(To::Extension, member, fields.source, span);
        members.push(Arc::from(member));
    }
    if members.is_empty() && fields.node("members").is_some() {
        let message = format!("nobody is on the list `{name}`");
        reading.warning(fields.source, fields.span("members"), message);
    }
    if members.len() > MEMBERS_MAX {
        let message = format!(
            "the list `{name}` has {} members, at most {MEMBERS_MAX} fit",
            members.len()
        );
        let help = "make two lists of it".to_owned();
        reading
            .error(fields.source, fields.span("members"), message)
            .help = Some(help);
    }
    reading.lists.push(Arc::new(List {
        name,
        members: Arc::from(members),
        place: fields.place(),
    }));
}

/// A list and an extension of the same name could not be told apart.
pub fn check_lists(reading: &mut Reading<'_>) {
    for list in reading.lists.clone() {
        if reading.definition("extension", &list.name).is_some()
            && let Some((source, span)) = reading.definition("list", &list.name)
        {
            let message = format!("the list `{}` has the name of an extension", list.name);
            reading.error(&source, span, message);
        }
    }
}

fn user(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<User> {
    let extension = fields.text("extension")?;
    if !reading.define(
        "extension",
        extension,
        fields.source,
        fields.span("extension"),
    ) {
        return None;
    }
    let number = fields.text("number").and_then(e164);
    if let Some(number) = &number {
        reading.define("number", number, fields.source, fields.span("number"));
    }
    let password = password(reading, fields);
    let mut devices: Vec<Device> = Vec::new();
    for device in fields.tables("device") {
        let Some(name) = device.shared("name") else {
            continue;
        };
        if devices.iter().any(|other| other.name == name) {
            let message = format!("extension `{extension}` has two devices named `{name}`");
            reading.error(device.source, device.span("name"), message);
            continue;
        }
        for (key, message) in [
            (
                "number",
                "calls are not forwarded to numbers in this version: this device does not ring",
            ),
            (
                "ring",
                "devices cannot be told apart in this version: all that are registered ring",
            ),
        ] {
            let meant = match key {
                "number" => device.text(key).and_then(e164).is_some(),
                _ => device.flag(key) == Some(false),
            };
            if meant {
                reading.warning(device.source, device.span(key), message);
            }
        }
        devices.push(Device {
            name,
            number: device.text("number").and_then(e164).map(Arc::from),
            ring: device.flag("ring").unwrap_or(true),
        });
    }
    Some(User {
        was: fields.shared("was"),
        email: fields.shared("email"),
        password,
        number: number.map(Arc::from),
        max_concurrent_calls: fields.integer("max-concurrent-calls").unwrap_or(2),
        role: fields.one_of("role", Role::NAMES).unwrap_or_default(),
        skills: fields
            .levels("skills")
            .into_iter()
            .map(|(skill, level, _)| (skill, level))
            .collect(),
        pickup: fields
            .texts("pickup")
            .into_iter()
            .map(|(group, _)| group.into())
            .collect(),
        devices,
        place: fields.place(),
        ..User::new(extension, fields.text("name").unwrap_or(extension))
    })
}

fn password(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<Stored> {
    let hash = |key| {
        fields
            .text(key)
            .map(|text| Secret::new(text.to_ascii_lowercase()))
    };
    let (md5, sha256) = (hash("ha1-md5"), hash("ha1-sha256"));
    let hashed = md5.is_some() || sha256.is_some();
    let plain = reading.secret(fields, "password");
    if hashed && fields.node("password").is_some() {
        let help = "a hash stands instead of the password".to_owned();
        reading
            .error(
                fields.source,
                fields.span("password"),
                "give `password` or its hashes, not both",
            )
            .help = Some(help);
    }
    match plain {
        Some(plain) => Some(Stored::Password(plain)),
        None if hashed => Some(Stored::Ha1 { md5, sha256 }),
        None => None,
    }
}
