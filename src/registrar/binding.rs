//! Bindings: one device of an address of record, and the path on which it is reached.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::{Instant, WallTime};
use crate::sip::Uri;
use crate::transport::Flow;

use super::AddressOfRecord;

/// One registered contact (RFC 3261 §10, RFC 5626 §6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The Contact URI as the device wrote it; it becomes the Request-URI of calls to it.
    pub contact: Arc<str>,
    /// The path on which the REGISTER came, and on which calls go out.
    pub flow: Flow,
    /// Preference in thousandths, 0–1000; 1000 when the device named none.
    pub q: u16,
    /// When it runs out.
    pub expires_at: Instant,
    /// `+sip.instance`, without quotes: the device over restarts and addresses.
    pub instance: Option<Arc<str>>,
    /// `reg-id` (RFC 5626 §4.2): one of several flows of the same device.
    pub reg_id: Option<u32>,
    /// Call-ID of the REGISTER that made or last changed it.
    pub call_id: Arc<str>,
    /// CSeq number of that REGISTER.
    pub cseq: u32,
    /// User-Agent, for people to read.
    pub user_agent: Option<Arc<str>>,
    /// Path values (RFC 3327), topmost first.
    pub path: Vec<Arc<str>>,
    /// When this device registered first; a refresh keeps it.
    pub registered_at: WallTime,
    /// The Contact names another place than the one from which the REGISTER came.
    pub behind_nat: bool,
}

impl Binding {
    /// The same device on the same of its flows: by instance and `reg-id` when both name an instance, else by Contact URI.
    pub(super) fn is_same_device(&self, other: &Binding) -> bool {
        self.is_device(
            other.contact.as_bytes(),
            other.instance.as_deref(),
            other.reg_id,
        )
    }

    pub(super) fn is_device(
        &self,
        contact: &[u8],
        instance: Option<&str>,
        reg_id: Option<u32>,
    ) -> bool {
        match (self.instance.as_deref(), instance) {
            // A REGISTER that counts its flows replaces the device's earlier one that did not, and the reverse.
            (Some(ours), Some(theirs)) => {
                ours == theirs
                    && (self.reg_id == reg_id || self.reg_id.is_none() || reg_id.is_none())
            }
            (None, _) | (_, None) => same_uri(self.contact.as_bytes(), contact),
        }
    }
}

/// RFC 3261 §19.1.4; most refreshes are byte for byte the same.
fn same_uri(ours: &[u8], theirs: &[u8]) -> bool {
    ours == theirs
        || match (Uri::parse(ours), Uri::parse(theirs)) {
            (Ok(ours), Ok(theirs)) => ours.same_as(&theirs),
            (Err(_), _) | (_, Err(_)) => false,
        }
}

/// Does a Contact name another place than the source of its REGISTER? Over UDP address and port count, over a connection only
/// the address, whose port is always another one. A name counts only under `.invalid` (RFC 7118 §5, browsers).
pub(super) fn is_behind_nat(contact: &Uri<'_>, flow: &Flow) -> bool {
    match contact.host_ip() {
        Some(address) => {
            let source: IpAddr = flow.remote.ip().to_canonical();
            let port = contact.port.unwrap_or(flow.transport.default_port());
            address != source || (!flow.transport.is_reliable() && port != flow.remote.port())
        }
        None => contact.host.to_ascii_lowercase().ends_with(b".invalid"),
    }
}

/// What happened to a binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A device that was not there.
    Added,
    /// The same device again, perhaps on another flow.
    Refreshed,
    /// Gone.
    Removed(RemovalReason),
}

/// Why a binding is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemovalReason {
    /// The device asked for it.
    Unregistered,
    /// Its time ran out.
    Expired,
    /// Its connection closed.
    ConnectionClosed,
    /// The same instance registered from elsewhere.
    Replaced,
    /// An operator removed it.
    Operator,
}

/// One change, for the journal and for whoever counts devices. `binding` is what it is now, or was last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindingChange {
    pub change: Change,
    pub aor: AddressOfRecord,
    pub binding: Binding,
}
