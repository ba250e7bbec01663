//! What trunks show of themselves.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::WallTime;

/// One gateway of a trunk.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct GatewayView {
    /// The URI in the configuration.
    #[schema(value_type = String)]
    pub uri: Arc<str>,
    /// `UDP`, `TCP` or `TLS`.
    pub transport: &'static str,
    /// Address and port.
    pub address: String,
    /// `up`, `down` or `unknown` (not asked).
    pub state: &'static str,
    /// Why it is down.
    #[schema(value_type = Option<String>)]
    pub why: Option<Arc<str>>,
    /// The circuit breaker: `closed` (calls go there), `open` (it is left alone), `half-open` (one call tries it).
    pub breaker: &'static str,
    /// When it is tried again.
    #[schema(value_type = Option<String>)]
    pub open_until: Option<WallTime>,
    /// Round trip of the last OPTIONS, in milliseconds.
    pub ping_ms: Option<f64>,
}

/// A trunk's registration.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[schema(as = TrunkRegistrationView)] // bindings have a view of the same name
pub struct RegistrationView {
    /// `registered`, `registering` or `unregistered`.
    pub state: &'static str,
    /// The address that is registered.
    #[schema(value_type = String)]
    pub aor: Arc<str>,
    /// The registrar that took it, or was asked last.
    pub registrar: Option<String>,
    /// Why it is not registered.
    #[schema(value_type = Option<String>)]
    pub why: Option<Arc<str>>,
    /// When the registration ends unless it is refreshed.
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<WallTime>,
    /// When the next REGISTER is due.
    #[schema(value_type = Option<String>)]
    pub next_at: Option<WallTime>,
}

/// One trunk.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    /// Its name.
    pub name: Arc<str>,
    /// `up`, `down` or `unknown`.
    pub state: &'static str,
    /// Its hosts as configured.
    pub proxies: Vec<String>,
    /// Its gateways as found.
    pub gateways: Vec<GatewayView>,
    /// Its registration, if it registers.
    pub registration: Option<RegistrationView>,
}
