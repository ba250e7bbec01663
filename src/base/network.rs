//! Ranges of addresses: `203.0.113.0/28`, `2001:db8::/32`, or one address.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A range of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Parses an address or `address/prefix`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Network, String> {
        let wrong = || format!("`{text}` is not an address or a range like `203.0.113.0/28`");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= longest)
                .ok_or_else(wrong)?,
            None => longest,
        };
        let network = Network { address, prefix };
        if network.bits(address) != bits(address) {
            return Err(format!(
                "`{text}` has bits set after the first {prefix}: write `{}/{prefix}`",
                network.first()
            ));
        }
        Ok(network)
    }

    /// The range that holds one address.
    pub fn of(address: IpAddr) -> Network {
        Network {
            address,
            prefix: if address.is_ipv4() { 32 } else { 128 },
        }
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// True of one address, and of the /64 of IPv6 that one subscriber gets, or less.
    pub fn is_one_source(&self) -> bool {
        self.prefix >= if self.address.is_ipv4() { 32 } else { 64 }
    }

    /// Bits that all its addresses share.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// True when `address` is in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.bits(address) == bits(self.address)
    }

    /// True when both ranges share an address.
    pub fn overlaps(&self, other: &Network) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    fn bits(&self, address: IpAddr) -> u128 {
        let width = if address.is_ipv4() { 32u8 } else { 128 };
        let rest = u32::from(width.saturating_sub(self.prefix));
        bits(address)
            .checked_shr(rest)
            .and_then(|bits| bits.checked_shl(rest))
            .unwrap_or(0)
    }

    fn first(&self) -> IpAddr {
        let bits = self.bits(self.address);
        match self.address {
            IpAddr::V4(_) => IpAddr::V4((bits as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(bits.into()),
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Network, String> {
        Network::parse(&text)
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        Network::parse(text)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        Network::parse(network)
            .expect(network)
            .contains(address.parse().expect(address))
    }

    #[test]
    fn ranges_hold_their_addresses_only() {
        assert!(holds("203.0.113.0/28", "203.0.113.15"));
        assert!(!holds("203.0.113.0/28", "203.0.113.16"));
        assert!(holds("203.0.113.7", "203.0.113.7"));
        assert!(holds("203.0.113.7", "::ffff:203.0.113.7"));
        assert!(!holds("203.0.113.7", "203.0.113.8"));
        assert!(holds("0.0.0.0/0", "198.51.100.1"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(holds("::/0", "2001:db8:1::1"));
    }

    #[test]
    fn broken_ranges_are_refused() {
        for bad in [
            "",
            "gw.example",
            "203.0.113.0/33",
            "203.0.113.0/",
            "2001:db8::/129",
        ] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Network::parse("203.0.113.9/28"),
            Err(
                "`203.0.113.9/28` has bits set after the first 28: write `203.0.113.0/28`"
                    .to_owned()
            )
        );
    }
}
