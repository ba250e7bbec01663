//! Forms of text that several files share, and how long things may be.

use std::net::{IpAddr, SocketAddr};

use super::{Form, Kind};
use crate::base::Duration;
use crate::config::network::Network;
use crate::config::settings::{ListenAddress, PublicAddress, RtpPorts};
use crate::config::units::{nearest, size};
use crate::dialplan::hours::Span;
use crate::dialplan::template::is_variable_name;
use crate::dialplan::{Condition, Pattern, Template};
use crate::directory::{NumberFormat, e164};
use crate::media::Codec;
use crate::sip::Uri;
use crate::transport::{Transport, target};

/// Milliseconds.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Seconds.
pub const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Names of objects: they stand in paths of the API and in `goto`.
pub const NAME: Kind = Kind::Form(&Form {
    what: "a name of letters, digits, `-`, `_` and `.`",
    example: "support",
    check: |text| {
        let fine = !text.is_empty()
            && text.len() <= 64
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        fine.then_some(())
            .ok_or_else(|| format!("`{text}` is not a name"))
    },
});

/// Names for people: anything on one line.
pub const LABEL: Kind = Kind::Form(&Form {
    what: "a name on one line",
    example: "Ada Byron",
    check: |text| {
        let fine = !text.trim().is_empty()
            && text.chars().count() <= 128
            && !text.chars().any(char::is_control);
        fine.then_some(())
            .ok_or_else(|| "this name is empty, too long or has control characters".to_owned())
    },
});

/// Extensions: any SIP user part without characters that need escaping (RFC 3261 §25.1).
pub const EXTENSION: Kind = Kind::Form(&Form {
    what: "digits, or a SIP user part",
    example: "1001",
    check: |text| {
        let fine = !text.is_empty()
            && text.len() <= 64
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/".contains(c));
        if !fine {
            return Err(format!("`{text}` is not a SIP user part"));
        }
        if text.starts_with('+') {
            return Err(format!(
                "`{text}` looks like a telephone number: those belong to `number`"
            ));
        }
        Ok(())
    },
});

/// Numbers in E.164.
pub const NUMBER: Kind = Kind::Form(&Form {
    what: "an international number",
    example: "+442071838750",
    check: |text| {
        e164(text)
            .map(|_| ())
            .ok_or_else(|| format!("`{text}` is not an international number"))
    },
});

/// Patterns of numbers.
pub const PATTERN: Kind = Kind::Form(&Form {
    what: "a number or a pattern",
    example: "+442071838{ext:4}",
    check: |text| Pattern::parse(text).map(|_| ()),
});

/// Text with variables.
pub const TEMPLATE: Kind = Kind::Form(&Form {
    what: "text, with `{name}` for variables",
    example: "{ext}",
    check: |text| Template::parse(text).map(|_| ()),
});

/// Expressions.
pub const CONDITION: Kind = Kind::Form(&Form {
    what: "an expression",
    example: "{language} == 'de'",
    check: |text| Condition::parse(text).map(|_| ()),
});

/// Names of variables.
pub const VARIABLE: Form = Form {
    what: "the name of a variable",
    example: "account",
    check: |text| {
        is_variable_name(text)
            .then_some(())
            .ok_or_else(|| format!("`{text}` is not the name of a variable"))
    },
};

/// Spans of opening hours.
pub const SPAN: Kind = Kind::Form(&Form {
    what: "days and times",
    example: "mon-fri 09:00-17:30",
    check: |text| Span::parse(text).map(|_| ()),
});

/// IANA zones.
pub const ZONE: Kind = Kind::Form(&Form {
    what: "a time zone of the IANA data base",
    example: "Europe/London",
    check: |text| {
        jiff::tz::TimeZone::get(text)
            .map(|_| ())
            .map_err(|_| format!("there is no time zone `{text}`"))
    },
});

/// SIP URIs.
pub const SIP_URI: Kind = Kind::Form(&Form {
    what: "a SIP URI",
    example: "sip:gw1.acme.example",
    check: |text| {
        sip_uri(text)?;
        uri_transport(text).map(|_| ())
    },
});

/// `host:port` of an address.
pub const SOCKET: Kind = Kind::Form(&Form {
    what: "an address and a port",
    example: "127.0.0.1:8080",
    check: |text| {
        text.parse::<SocketAddr>()
            .map(|_| ())
            .map_err(|_| format!("`{text}` is not an address and a port"))
    },
});

/// Where a capture server listens.
pub const CAPTURE_SERVER: Kind = Kind::Form(&Form {
    what: "`udp:`, an address and a port",
    example: "udp:192.0.2.10:9060",
    check: |text| capture_server(text).map(|_| ()),
});

/// Parses [`CAPTURE_SERVER`].
pub fn capture_server(text: &str) -> Result<SocketAddr, String> {
    match text.split_once(':') {
        Some(("udp", address)) => address
            .parse()
            .map_err(|_| format!("`{address}` is not an address and a port")),
        Some(("tcp" | "tls", _)) => Err("copies go over UDP only".to_owned()),
        _ => Err(format!("`{text}` does not begin with `udp:`")),
    }
}

/// Memory, at most 4 GiB.
pub const MEMORY: Kind = Kind::Form(&Form {
    what: "a size",
    example: "64MiB",
    check: |text| match size(text)? {
        0..=0x1_0000_0000 => Ok(()),
        _ => Err(format!("`{text}` is more than 4GiB")),
    },
});

/// Listening addresses.
pub const LISTEN: Kind = Kind::Form(&Form {
    what: "a transport, an address and a port",
    example: "udp:0.0.0.0:5060",
    check: |text| listen(text).map(|_| ()),
});

/// Names of hosts and domains.
pub const DOMAIN_NAME: Kind = Kind::Form(&Form {
    what: "the name of a host or a domain",
    example: "gw1.acme.example",
    check: |text| {
        let fine = !text.is_empty()
            && text.len() <= 253
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        fine.then_some(())
            .ok_or_else(|| format!("`{text}` is not a name of a host"))
    },
});

/// Paths of the HTTP listener that a profile may have.
pub const WEB_PATH: Kind = Kind::Form(&Form {
    what: "a path that the server does not use itself",
    example: "/sip",
    check: |text| {
        let taken = ["/api", "/healthz", "/readyz", "/metrics", "/phone"]
            .iter()
            .any(|own| text == *own || text.starts_with(&format!("{own}/")));
        let fine = text.len() > 1
            && text.len() <= 128
            && text.starts_with('/')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
        if taken {
            Err(format!("`{text}` is a path of the server's own"))
        } else if fine {
            Ok(())
        } else {
            Err(format!("`{text}` is not a path"))
        }
    },
});

/// `auto` or an address.
pub const PUBLIC_ADDRESS: Kind = Kind::Form(&Form {
    what: "`auto` or an IP address",
    example: "auto",
    check: |text| public_address(text).map(|_| ()),
});

/// Port ranges.
pub const PORTS: Kind = Kind::Form(&Form {
    what: "a range of ports",
    example: "20000-29999",
    check: |text| ports(text).map(|_| ()),
});

/// Source addresses.
pub const NETWORK: Kind = Kind::Form(&Form {
    what: "an address or a range",
    example: "203.0.113.0/28",
    check: |text| Network::parse(text).map(|_| ()),
});

/// Number formats.
pub const NUMBER_FORMAT: Kind = Kind::Form(&Form {
    what: "one of `+E164`, `E164`, `00E164`, `national:GB`",
    example: "+E164",
    check: |text| {
        NumberFormat::parse(text)
            .map(|_| ())
            .ok_or_else(|| format!("`{text}` is not a number format"))
    },
});

/// Codecs by name.
pub const CODECS: &[(&str, Codec)] = &[
    ("opus", Codec::Opus),
    ("g722", Codec::G722),
    ("pcma", Codec::Pcma),
    ("pcmu", Codec::Pcmu),
    ("g729", Codec::G729),
];

/// The names of [`CODECS`].
pub const CODEC_NAMES: &[&str] = &["opus", "g722", "pcma", "pcmu", "g729"];

/// A SIP URI with a host: the host and, if it is one, its address.
pub fn sip_uri(text: &str) -> Result<(String, Option<IpAddr>), String> {
    let wrong = || format!("`{text}` is not a SIP URI");
    let rest = text
        .strip_prefix("sip:")
        .or_else(|| text.strip_prefix("sips:"))
        .ok_or_else(wrong)?;
    if text
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || "<>\"".contains(c))
    {
        return Err(wrong());
    }
    let rest = rest.split([';', '?']).next().unwrap_or_default();
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
        let (host, port) = inner.split_once(']').ok_or_else(wrong)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
        (
            host,
            port.strip_prefix(':')
                .or_else(|| (!port.is_empty()).then_some("x")),
        )
    } else {
        match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port == "0") {
        return Err(format!("`{text}` has a port that is none"));
    }
    let named = !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':'));
    if !named {
        return Err(wrong());
    }
    Ok((host.to_owned(), host.parse().ok()))
}

/// The transport of a SIP URI that we would send to; the error says why we would not.
pub fn uri_transport(text: &str) -> Result<Transport, String> {
    let uri = Uri::parse(text.as_bytes()).map_err(|_| format!("`{text}` is not a SIP URI"))?;
    match target::of(&uri) {
        Ok(target) => Ok(target.transport_or_default()),
        Err(_) => Err(format!(
            "`{text}` leads nowhere: the transport is `udp`, `tcp` or `tls`"
        )),
    }
}

/// A listening address.
pub fn listen(text: &str) -> Result<ListenAddress, String> {
    let (transport, address) = text
        .split_once(':')
        .ok_or_else(|| format!("`{text}` names no transport"))?;
    let transport = Transport::parse(transport.as_bytes())
        .filter(|known| known.as_str().to_ascii_lowercase() == transport)
        .ok_or_else(|| {
            const NAMES: [&str; 5] = ["udp", "tcp", "tls", "ws", "wss"];
            let meant = nearest(transport, NAMES.iter().copied())
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            format!("`{transport}` is not a transport: `udp`, `tcp`, `tls`, `ws` or `wss`{meant}")
        })?;
    let address = address.parse().map_err(|_| {
        format!("`{address}` is not an address and a port; `0.0.0.0:5060` listens on every address")
    })?;
    Ok(ListenAddress { transport, address })
}

/// `auto` or an address.
pub fn public_address(text: &str) -> Result<PublicAddress, String> {
    if text == "auto" {
        return Ok(PublicAddress::Auto);
    }
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => Err(format!(
            "`{text}` cannot be advertised: nobody can send there"
        )),
        Ok(address) => Ok(PublicAddress::Address(address)),
        Err(_) => Err(format!("`{text}` is not an IP address")),
    }
}

/// RTP and RTCP for each of two parties.
const PORTS_OF_A_CALL: u32 = 4;

/// A range of ports.
pub fn ports(text: &str) -> Result<RtpPorts, String> {
    let wrong = || format!("`{text}` is not a range of ports");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let first: u16 = first.trim().parse().map_err(|_| wrong())?;
    let last: u16 = last.trim().parse().map_err(|_| wrong())?;
    if first < 1024 {
        return Err("ports below 1024 need rights that the server does not have".to_owned());
    }
    if last <= first {
        return Err(format!("`{text}` ends before it begins"));
    }
    let count = u32::from(last - first) + 1;
    if count < PORTS_OF_A_CALL {
        return Err(format!(
            "`{text}` holds {count} ports, and one call between two parties takes {PORTS_OF_A_CALL}"
        ));
    }
    Ok(RtpPorts { first, last })
}
