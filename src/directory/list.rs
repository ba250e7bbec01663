//! A list of extensions that a console watches as one (RFC 4662).

use std::sync::Arc;

use super::Place;

/// Extensions under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The user part of its URI; no extension has it.
    pub name: Arc<str>,
    /// Its extensions, in order, each once; at most 50.
    pub members: Arc<[Arc<str>]>,
    /// Where it is defined.
    pub place: Place,
}
