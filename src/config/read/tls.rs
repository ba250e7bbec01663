//! Reads `tls` of profiles and trunks: every file is opened and held against its neighbours now, so that nothing is wrong with it later.

use std::path::PathBuf;
use std::sync::Arc;

use super::Reading;
use crate::config::certificates::{
    self, Identity, ProfileTls, TlsVersion, TrunkTls, Trust, validity,
};
use crate::config::fields::Fields;
use crate::config::settings::ListenAddress;

const PATHS: &str = "paths are relative to the configuration directory";

/// `tls` of a profile.
pub fn profile(
    reading: &mut Reading<'_>,
    file: &Fields<'_>,
    listen: &[(ListenAddress, std::ops::Range<usize>)],
) -> Option<ProfileTls> {
    let secure = listen
        .iter()
        .find(|(address, _)| address.transport.is_secure());
    let Some(fields) = file.fields("tls") else {
        if let (Some((address, span)), None) = (secure, file.node("tls")) {
            let message = format!("`{address}` needs a certificate");
            reading.error(file.source, span.clone(), message).help =
                Some("give `tls = { certificate = \"FILE\", key = \"FILE\" }`".to_owned());
        }
        return None;
    };
    if secure.is_none() {
        let message =
            "nobody is shown this certificate: the profile listens on no `tls:` or `wss:`";
        reading.warning(file.source, file.span("tls"), message);
    }
    let client_ca = trust(reading, &fields, "client-ca");
    if fields.node("client-certificate").is_some() && fields.node("client-ca").is_none() {
        let span = fields.span("client-certificate");
        let message = "`client-certificate` needs `client-ca`: who vouches for them?";
        reading.error(fields.source, span, message);
    }
    let client_required = fields.text("client-certificate") != Some("optional");
    let min_version = min_version(&fields);
    Some(ProfileTls {
        identity: identity(reading, &fields)?,
        client_ca,
        client_required,
        min_version,
    })
}

/// `tls` of a trunk.
pub fn trunk(reading: &mut Reading<'_>, trunk: &Fields<'_>) -> Option<TrunkTls> {
    let fields = trunk.fields("tls")?;
    let ca = match fields.text("ca") {
        None | Some("system") => Trust::System,
        Some(_) => trust(reading, &fields, "ca")?,
    };
    let verify = fields.flag("verify").unwrap_or(true);
    if !verify {
        let message = "whoever stands in its way can pretend to be this trunk";
        reading.warning(fields.source, fields.span("verify"), message);
    }
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if fields.node(one).is_some() && fields.node(other).is_none() {
            let message = format!("`{one}` needs `{other}`");
            reading.error(fields.source, fields.span(one), message);
            return None;
        }
    }
    let identity = match fields.node("certificate") {
        Some(_) => Some(identity(reading, &fields)?),
        None => None,
    };
    Some(TrunkTls {
        ca,
        verify,
        identity,
        names: fields
            .texts("names")
            .iter()
            .map(|(name, _)| Arc::from(name.to_ascii_lowercase()))
            .collect(),
        min_version: min_version(&fields),
    })
}

fn min_version(fields: &Fields<'_>) -> TlsVersion {
    let words = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
    fields.one_of("min-version", &words).unwrap_or_default()
}

/// Reads `certificate` and `key` and sees that they belong together.
fn identity(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<Identity> {
    let chain = read(reading, fields, "certificate", certificates::certificates);
    let key = read(reading, fields, "key", certificates::private_key);
    let (chain, key) = (chain?, key?);
    if let Some(why) = certificates::mismatch(&chain, &key) {
        let (shown, of) = (
            fields.text("key").unwrap_or_default(),
            fields.text("certificate").unwrap_or_default(),
        );
        let message = format!("the key in `{shown}` {why} in `{of}`");
        reading.error(fields.source, fields.span("key"), message);
        return None;
    }
    let path = path(reading, fields, "key")?;
    let node = fields.node("key")?;
    reading.bare(fields.source, node, &path, "key");
    Some(Identity {
        valid: validity(chain.first()?)?,
        chain,
        key: Arc::new(key),
        file: fields.shared("certificate")?,
        at: (fields.source.clone(), fields.span("certificate")),
    })
}

fn trust(reading: &mut Reading<'_>, fields: &Fields<'_>, key: &str) -> Option<Trust> {
    fields.node(key)?;
    let roots = read(reading, fields, key, certificates::certificates)?;
    Some(Trust::Roots(Arc::new(roots)))
}

fn path(reading: &Reading<'_>, fields: &Fields<'_>, key: &str) -> Option<PathBuf> {
    Some(reading.directory_path.join(fields.text(key)?))
}

fn read<T>(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    key: &str,
    parse: impl Fn(&std::path::Path) -> Result<T, String>,
) -> Option<T> {
    let path = path(reading, fields, key)?;
    match parse(&path) {
        Ok(value) => Some(value),
        Err(why) => {
            let shown = fields.text(key).unwrap_or_default();
            let message = format!("cannot use `{shown}`: {why}");
            let problem = reading.error(fields.source, fields.span(key), message);
            problem.help = (!path.exists()).then(|| PATHS.to_owned());
            None
        }
    }
}
