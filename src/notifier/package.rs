//! The event packages that are served, and the numbers that each sets for its subscriptions.

use crate::base::Duration;

/// An event package (RFC 6665 §7.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Package {
    /// State of the calls of an extension (RFC 4235).
    Dialog,
    /// Messages that wait for an extension (RFC 3842).
    MessageSummary,
    /// Whether a person can be reached (RFC 3856).
    Presence,
    /// Registrations of an extension (RFC 3680).
    Reg,
}

/// Value of Allow-Events (RFC 6665 §8.2.2).
pub const ALLOW_EVENTS: &str = "dialog, message-summary, presence, reg";

impl Package {
    /// All of them.
    pub const ALL: [Package; 4] = [
        Package::Dialog,
        Package::MessageSummary,
        Package::Presence,
        Package::Reg,
    ];

    /// Its name in the Event header.
    pub const fn name(self) -> &'static str {
        match self {
            Package::Dialog => "dialog",
            Package::MessageSummary => "message-summary",
            Package::Presence => "presence",
            Package::Reg => "reg",
        }
    }

    /// The package of this name, compared byte by byte (RFC 6665 §8.2.1).
    pub fn parse(name: &[u8]) -> Option<Package> {
        Package::ALL
            .into_iter()
            .find(|package| package.name().as_bytes() == name)
    }

    /// Media type of its documents.
    pub const fn body_type(self) -> &'static str {
        match self {
            Package::Dialog => "application/dialog-info+xml",
            Package::MessageSummary => "application/simple-message-summary",
            Package::Presence => "application/pidf+xml",
            Package::Reg => "application/reginfo+xml",
        }
    }

    /// Granted when the subscriber wishes nothing: an hour (RFC 4235 §3.4, RFC 3842 §3.4, RFC 3856 §6.4); `reg` has a number of its own
    /// (RFC 3680 §4.4).
    pub const fn expires_default(self) -> Duration {
        match self {
            Package::Dialog | Package::MessageSummary | Package::Presence => {
                Duration::from_secs(3_600)
            }
            Package::Reg => Duration::from_secs(3_761),
        }
    }

    /// Shortest subscription; a shorter wish is answered 423 (RFC 6665 §4.2.1.1).
    pub const fn expires_min(self) -> Duration {
        Duration::from_secs(60)
    }

    /// Longest subscription; a longer wish is cut.
    pub const fn expires_max(self) -> Duration {
        self.expires_default()
    }

    /// Least time between two NOTIFYs of one subscription that only a change of state asks for. Lamps must follow calls at once; RFC 3842
    /// §3.10, RFC 3856 §6.10 and RFC 3680 §4.10 ask for longer pauses, of which a second is what people do not yet feel (guess).
    pub const fn pause(self) -> Duration {
        match self {
            Package::Dialog => Duration::from_millis(200),
            Package::MessageSummary | Package::Presence | Package::Reg => {
                Duration::from_millis(1_000)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_known_by_their_exact_name_and_all_are_announced() {
        for package in Package::ALL {
            assert_eq!(Package::parse(package.name().as_bytes()), Some(package));
            assert!(ALLOW_EVENTS.split(", ").any(|name| name == package.name()));
            assert!(package.expires_min() < package.expires_default());
        }
        assert_eq!(ALLOW_EVENTS.split(", ").count(), Package::ALL.len());
        assert_eq!(Package::parse(b"Dialog"), None);
        assert_eq!(Package::parse(b"dialog.winfo"), None);
    }
}
