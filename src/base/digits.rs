//! Numbers and addresses as text, without the machinery of formatting: a call writes two hundred of them.

use std::net::{IpAddr, SocketAddr};

/// Appends a whole number.
pub fn push_number(text: &mut String, number: impl itoa::Integer) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// Appends an address as it displays.
pub fn push_ip(text: &mut String, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    text.push('.');
                }
                push_number(text, octet);
            }
        }
        IpAddr::V6(ip) => text.push_str(&ip.to_string()),
    }
}

/// Appends `ip:port`, an IPv6 address in brackets and without its zone.
pub fn push_host_port(text: &mut String, ip: IpAddr, port: u16) {
    if ip.is_ipv6() {
        text.push('[');
    }
    push_ip(text, ip);
    text.push_str(if ip.is_ipv6() { "]:" } else { ":" });
    push_number(text, port);
}

/// As [`serde::Serialize`] of the address writes it.
pub fn serialize_socket<S: serde::Serializer>(
    address: &SocketAddr,
    to: S,
) -> Result<S::Ok, S::Error> {
    use serde::Serialize;
    if address.is_ipv6() {
        return address.serialize(to);
    }
    let mut text = String::with_capacity("255.255.255.255:65535".len());
    push_host_port(&mut text, address.ip(), address.port());
    to.serialize_str(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_what_display_and_serialize_write(address: SocketAddr, number: u64) {
            // without a zone, which is nobody's business but this host's
            let address = SocketAddr::new(address.ip(), address.port());
            let mut text = String::new();
            push_host_port(&mut text, address.ip(), address.port());
            prop_assert_eq!(&text, &address.to_string());
            let mut ours = Vec::new();
            serialize_socket(&address, &mut serde_json::Serializer::new(&mut ours)).expect("writes");
            prop_assert_eq!(ours, serde_json::to_vec(&address).expect("writes"));
            text.clear();
            push_ip(&mut text, address.ip());
            prop_assert_eq!(&text, &address.ip().to_string());
            text.clear();
            push_number(&mut text, number);
            prop_assert_eq!(&text, &number.to_string());
        }
    }
}
