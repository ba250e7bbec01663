//! Reads `stir` of a trunk: the files are opened now, so that nothing is wrong with them at the first call.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Reading;
use crate::auth::identity::{Anchors, Attestation, Chain, Signer, Unreadable};
use crate::config::fields::Fields;
use crate::config::stir::{Stir, VerifyPolicy};

/// `stir` of a trunk.
pub fn read(reading: &mut Reading<'_>, trunk: &Fields<'_>) -> Option<Stir> {
    let fields = trunk.fields("stir")?;
    let verify = fields
        .one_of(
            "verify",
            &[
                ("off", VerifyPolicy::Off),
                ("mark", VerifyPolicy::Mark),
                ("require", VerifyPolicy::Require),
            ],
        )
        .unwrap_or_default();
    let anchors = file(reading, &fields, "ca", Anchors::parse);
    let mut chains = BTreeMap::new();
    for entry in fields.tables("certificates") {
        let chain = file(reading, &entry, "file", Chain::parse);
        if let (Some(url), Some(chain)) = (entry.shared("url"), chain) {
            chains.insert(url, Arc::new(chain));
        }
    }
    if verify != VerifyPolicy::Off && fields.node("ca").is_none() {
        let message = "`verify` needs `ca`: without an authority nobody is proved";
        reading.error(fields.source, fields.span("verify"), message);
    } else if verify != VerifyPolicy::Off && fields.node("certificates").is_none() {
        let message = "no caller is proved: `certificates` names none";
        reading.warning(fields.source, fields.span("verify"), message);
    }
    let signer = match (fields.node("key"), fields.shared("x5u")) {
        (Some(_), Some(x5u)) => {
            let signer = file(reading, &fields, "key", |pem| Signer::parse(pem, &x5u));
            if let Some(name) = fields.text("key") {
                let path = reading.directory_path.join(name);
                if signer.is_some() && super::is_world_readable(&path) {
                    let message = format!("everybody on this machine may read the key `{name}`");
                    reading
                        .warning(fields.source, fields.span("key"), message)
                        .help = Some(format!("chmod o-r {name}"));
                }
            }
            signer.map(Arc::new)
        }
        (Some(_), None) => {
            let message = "`key` needs `x5u`: where is its certificate published?";
            reading.error(fields.source, fields.span("key"), message);
            None
        }
        (None, Some(_)) => {
            let message = "`x5u` without `key`: nothing is signed";
            reading.warning(fields.source, fields.span("x5u"), message);
            None
        }
        (None, None) => None,
    };
    Some(Stir {
        verify,
        anchors: anchors.unwrap_or_default(),
        chains,
        signer,
        attestation: fields.one_of(
            "attestation",
            &[
                ("A", Attestation::A),
                ("B", Attestation::B),
                ("C", Attestation::C),
            ],
        ),
        pass: fields.flag("pass").unwrap_or(false),
    })
}

fn file<T>(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    key: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
) -> Option<T> {
    let name = fields.text(key)?;
    let path = reading.directory_path.join(name);
    let message = match std::fs::read(&path) {
        Ok(bytes) => match parse(&bytes) {
            Ok(found) => return Some(found),
            Err(error) => format!("`{name}`: {error}"),
        },
        Err(error) => format!("cannot read `{name}`: {error}"),
    };
    let help = "paths are relative to the configuration directory".to_owned();
    reading.error(fields.source, fields.span(key), message).help = Some(help);
    None
}
