//! Bindings: one device of an address of record, and the path on which it is reached.

use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::AddressOfRecord;
use super::health::Health;
use crate::base::map::HashKey;
use crate::base::{Duration, Instant, Now, Text, WallTime};
use crate::sip::{NameAddr, Uri, split_commas};
use crate::transport::{Flow, Transport, Way};

/// Longest time for which the journal holds a binding beyond what was granted: so long may a telephone that is gone be rung after a
/// crash (guess).
const SLACK_MAX: Duration = Duration::from_secs(1_800);

/// One registered contact (RFC 3261 §10, RFC 5626 §6). There are as many as telephones, so its texts share one allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// Contact URI, instance, Call-ID and Path, one after the other.
    texts: Arc<str>,
    /// Where the first three of them end.
    ends: [u16; 3],
    /// The path on which the REGISTER came, and on which calls go out.
    pub flow: Flow,
    /// Preference in thousandths, 0–1000; 1000 when the device named none.
    pub q: u16,
    /// When it runs out.
    pub expires_at: Instant,
    /// `reg-id` (RFC 5626 §4.2): one of several flows of the same device.
    pub reg_id: Option<u32>,
    /// CSeq number of the REGISTER that made or last changed it.
    pub cseq: u32,
    /// User-Agent, for people to read.
    pub user_agent: Option<Arc<str>>,
    /// When this device registered first; a refresh keeps it.
    pub registered_at: WallTime,
    /// When it registered last: of several flows of a device the newest goes first.
    pub refreshed_at: Instant,
    /// Until when the journal holds it. A refresh that ends no later and changes nothing else needs no record.
    pub kept_until: WallTime,
    /// Names the life of the device's registration in its temporary GRUUs (RFC 5627); zero when it wants none.
    pub life: u64,
    /// It is behind a NAT, as far as the policy tells.
    pub behind_nat: bool,
    /// The device's flows are counted by outbound (RFC 5626): it asked, and its first hop plays along.
    pub outbound: bool,
    /// What its flow answered of late.
    pub(super) health: Health,
}

/// The texts of a binding before they are packed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'a> {
    /// The Contact URI as the device wrote it; it becomes the Request-URI of calls to it. At most 512 bytes, as the others.
    pub contact: &'a str,
    /// `+sip.instance`, without quotes: the device over restarts and addresses; empty when it named none.
    pub instance: &'a str,
    /// Call-ID of the REGISTER that made or last changed it.
    pub call_id: &'a str,
    /// Path values (RFC 3327), topmost first, separated by commas; empty when there are none.
    pub path: &'a str,
}

impl Binding {
    /// A binding of these texts on this flow; what is not named here has its plainest value.
    pub fn new(texts: Texts<'_>, flow: Flow, expires_at: Instant) -> Binding {
        let mut binding = Binding {
            texts: Arc::from(""),
            ends: [0; 3],
            flow,
            q: 1000,
            expires_at,
            reg_id: None,
            cseq: 0,
            user_agent: None,
            registered_at: WallTime::default(),
            refreshed_at: Instant::ZERO,
            kept_until: WallTime::default(),
            life: 0,
            behind_nat: false,
            outbound: false,
            health: Health::default(),
        };
        binding.write(texts);
        binding
    }

    /// Replaces the texts. Texts beyond 65,535 bytes together are cut: the reader of requests lets none through.
    pub(super) fn write(&mut self, texts: Texts<'_>) {
        let Texts {
            contact,
            instance,
            call_id,
            path,
        } = texts;
        let mut whole =
            String::with_capacity(contact.len() + instance.len() + call_id.len() + path.len());
        let mut ends = [0; 3];
        for (text, end) in [contact, instance, call_id].into_iter().zip(&mut ends) {
            whole.push_str(text);
            *end = u16::try_from(whole.len()).unwrap_or(u16::MAX);
        }
        whole.push_str(path);
        self.texts = whole.into();
        self.ends = ends;
    }

    /// The texts as they are.
    pub fn texts(&self) -> Texts<'_> {
        Texts {
            contact: self.contact(),
            instance: self.instance().unwrap_or_default(),
            call_id: self.call_id(),
            path: self.path(),
        }
    }

    fn part(&self, from: usize, to: usize) -> &str {
        self.texts.get(from..to).unwrap_or_default()
    }

    fn places(&self) -> [usize; 3] {
        self.ends.map(usize::from)
    }

    /// The Contact URI as the device wrote it; it becomes the Request-URI of calls to it.
    pub fn contact(&self) -> &str {
        let [contact, _, _] = self.places();
        self.part(0, contact)
    }

    /// [`Binding::contact`], to keep.
    pub fn contact_text(&self) -> Text {
        let [contact, _, _] = self.places();
        Text::part(&self.texts, 0..contact)
    }

    /// `+sip.instance`, without quotes: the device over restarts and addresses.
    pub fn instance(&self) -> Option<&str> {
        let [contact, instance, _] = self.places();
        Some(self.part(contact, instance)).filter(|text| !text.is_empty())
    }

    /// [`Binding::instance`], to keep.
    pub fn instance_text(&self) -> Option<Text> {
        let [contact, instance, _] = self.places();
        (instance > contact).then(|| Text::part(&self.texts, contact..instance))
    }

    /// Call-ID of the REGISTER that made or last changed it.
    pub fn call_id(&self) -> &str {
        let [_, instance, call_id] = self.places();
        self.part(instance, call_id)
    }

    /// [`Binding::call_id`], to keep.
    pub fn call_id_text(&self) -> Text {
        let [_, instance, call_id] = self.places();
        Text::part(&self.texts, instance..call_id)
    }

    /// Path values (RFC 3327), topmost first, separated by commas.
    pub fn path(&self) -> &str {
        let [_, _, call_id] = self.places();
        self.part(call_id, self.texts.len())
    }

    /// Each Path value.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        split_commas(self.path().as_bytes())
            .filter_map(|value| std::str::from_utf8(value.trim_ascii()).ok())
            .filter(|value| !value.is_empty())
    }

    /// How requests reach the device: every request to it, in whatever room it is made, goes this way.
    ///
    /// Without Path that is the flow of its REGISTER, whatever its Contact says: behind a NAT nothing else is true. With Path the
    /// first of it is the next hop (RFC 3327 §5.4); where that is an address literal it is sent there, over the connection of the
    /// REGISTER if that leads there too, else to where the REGISTER came from.
    pub fn way(&self) -> Way {
        Way {
            flow: self.next_hop().unwrap_or(self.flow),
            request_uri: Bytes::copy_from_slice(self.contact().as_bytes()),
            routes: self
                .paths()
                .map(|path| Bytes::copy_from_slice(path.as_bytes()))
                .collect(),
        }
    }

    fn next_hop(&self) -> Option<Flow> {
        let first = NameAddr::parse(self.paths().next()?.as_bytes()).ok()?;
        let address = first.uri.host_ip()?;
        let transport = match first.uri.transport() {
            Some(name) => Transport::parse(name)?,
            None => Transport::Udp,
        };
        let port = first.uri.port.unwrap_or(transport.default_port());
        let remote = SocketAddr::new(address, port);
        let source = self.flow.remote;
        if transport != self.flow.transport
            || address.is_ipv4() != source.ip().to_canonical().is_ipv4()
            || (self.flow.connection.is_some() && address == source.ip().to_canonical())
        {
            return None;
        }
        Some(Flow {
            remote,
            connection: None,
            ..self.flow
        })
    }

    /// Names the device among those of its address of record, over its connections and restarts: by its instance, else by what of
    /// its Contact a new connection leaves as it was.
    pub fn device(&self) -> u64 {
        let key = HashKey::default();
        if let Some(instance) = self.instance() {
            return key.hash_one(instance);
        }
        match Uri::parse(self.contact().as_bytes()) {
            Ok(uri) if self.flow.transport.is_reliable() => {
                key.hash_one((uri.user, uri.host.to_ascii_lowercase()))
            }
            Ok(_) | Err(_) => key.hash_one(self.contact()),
        }
    }

    /// True when its instance is `urn`, given without angle brackets.
    pub fn is_instance(&self, urn: &str) -> bool {
        self.instance()
            .is_some_and(|instance| super::gruu::urn(instance) == urn)
    }

    /// After a REGISTER that granted so much: true when the journal holds all of this already, for long enough. Else it is to be written,
    /// to be held for longer than it was granted. `before` is what it was.
    ///
    /// What was written in the same instant may be of the same batch, whose write may fail and hold back the answer to that alone: it
    /// does not count.
    pub(super) fn keep(&mut self, now: Now, granted: Duration, before: &Binding) -> bool {
        let end = now.wall_at(self.expires_at);
        let latest = end + slack(granted);
        let kept = before.refreshed_at < now.mono
            && before.is_recorded_as(self)
            && (end..=latest).contains(&self.kept_until);
        if !kept {
            self.kept_until = latest;
        }
        kept
    }

    /// Is the record of the other the same, but for times and CSeq?
    fn is_recorded_as(&self, other: &Binding) -> bool {
        // every field by name: who adds one decides here
        let Binding {
            texts,
            ends,
            flow,
            q,
            expires_at: _,
            reg_id,
            cseq: _,
            user_agent,
            registered_at,
            refreshed_at: _,
            kept_until: _,
            life,
            behind_nat,
            outbound,
            health: _,
        } = self;
        (texts, ends, flow, q) == (&other.texts, &other.ends, &other.flow, &other.q)
            && (reg_id, user_agent) == (&other.reg_id, &other.user_agent)
            && (registered_at, life) == (&other.registered_at, &other.life)
            && (behind_nat, outbound) == (&other.behind_nat, &other.outbound)
    }

    /// Is it another flow of the same device (RFC 5626 §4.2)?
    pub fn is_sibling_of(&self, other: &Binding) -> bool {
        self.instance().is_some() && self.instance() == other.instance()
    }

    /// The same device on the same of its flows: by instance and `reg-id` when both name an instance, else by Contact URI.
    pub(super) fn is_same_device(&self, other: &Binding) -> bool {
        self.is_device(other.contact().as_bytes(), other.instance(), other.reg_id)
    }

    pub(super) fn is_device(
        &self,
        contact: &[u8],
        instance: Option<&str>,
        reg_id: Option<u32>,
    ) -> bool {
        match (self.instance(), instance) {
            // A REGISTER that counts its flows replaces the device's earlier one that did not, and the reverse.
            (Some(ours), Some(theirs)) => {
                ours == theirs
                    && (self.reg_id == reg_id || self.reg_id.is_none() || reg_id.is_none())
            }
            (None, _) | (_, None) => same_uri(self.contact().as_bytes(), contact),
        }
    }
}

/// How much longer than it was granted the journal holds a binding: by half. A device that refreshes after half of its time is written
/// every other time at best, one that refreshes every minute of its hour once in half an hour.
pub(super) fn slack(granted: Duration) -> Duration {
    (granted / 2).min(SLACK_MAX)
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
pub(super) fn shows_nat(contact: &Uri<'_>, flow: &Flow) -> bool {
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
    /// A device that was not there, or another flow of one that was.
    Added,
    /// The same device again.
    Refreshed,
    /// The same device again, on another flow than before: what is sent to it goes there from now on.
    Moved,
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
    /// The same instance registered from elsewhere, or a newer device took its place.
    Replaced,
    /// An operator removed it.
    Operator,
    /// The configuration knows its user or its profile no more.
    NotConfigured,
}

/// One change, for the journal, for watchers and for whoever counts devices. `binding` is what it is now, or was last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindingChange {
    pub change: Change,
    /// The journal holds it already: as it is, but for its CSeq, and for as long as it lives or longer.
    pub kept: bool,
    pub aor: AddressOfRecord,
    pub binding: Binding,
}
