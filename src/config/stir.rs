//! `stir = { .. }` of a trunk: whether its callers must be proved, by whom, and how ours are (RFC 8224, SHAKEN).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::auth::identity::{Anchors, Attestation, Chain, Signer};

/// What is done with the signed identity of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyPolicy {
    /// Nobody looks.
    #[default]
    Off,
    /// The dialplan and the API are told.
    Mark,
    /// Calls whose caller is not proved are refused.
    Require,
}

/// Signed identity at the border to one trunk.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stir {
    /// What is done with callers that come from it. Default: off.
    pub verify: VerifyPolicy,
    /// Authorities that are trusted.
    pub anchors: Anchors,
    /// Certificates of signers by the URL that their calls name.
    pub chains: BTreeMap<Arc<str>, Arc<Chain>>,
    /// Signs calls to it; `None`: they leave unsigned.
    pub signer: Option<Arc<Signer>>,
    /// What is attested; `None`: A for an extension with its own number, B for another number, C for calls from elsewhere.
    pub attestation: Option<Attestation>,
    /// Whether Identity headers of calls whose caller was proved go on to it unchanged. Default: false.
    pub pass: bool,
}
