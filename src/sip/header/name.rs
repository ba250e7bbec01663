//! The one table of header names: variant, canonical text, compact form.
#![deny(clippy::indexing_slicing)]

use std::fmt;

macro_rules! names {
    ($($variant:ident $text:literal $($compact:literal)?;)*) => {
        /// A header field's name, whatever its case or form on the wire (RFC 3261 §7.3.1, §7.3.3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// A name that the table lacks; see the name as written.
            Other,
        }

        impl Name {
            /// Every name of the table.
            pub const ALL: &'static [Name] = &[$(Name::$variant),*];

            /// The name as it is written by us; empty for `Other`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Name::$variant => $text,)*
                    Name::Other => "",
                }
            }

            /// The compact form, lower case (RFC 3261 §7.3.3).
            pub const fn compact(self) -> Option<&'static [u8]> {
                match self {
                    $($(Name::$variant => Some($compact),)?)*
                    _ => None,
                }
            }
        }
    };
}

names! {
    // RFC 3261 §20. The first seven are those of `is_single` and Via, whose places every message keeps.
    Via "Via" b"v";
    From "From" b"f";
    To "To" b"t";
    CallId "Call-ID" b"i";
    CSeq "CSeq";
    MaxForwards "Max-Forwards";
    ContentLength "Content-Length" b"l";
    Contact "Contact" b"m";
    Route "Route";
    RecordRoute "Record-Route";
    ContentType "Content-Type" b"c";
    ContentDisposition "Content-Disposition";
    ContentEncoding "Content-Encoding" b"e";
    ContentLanguage "Content-Language";
    MimeVersion "MIME-Version";
    Expires "Expires";
    MinExpires "Min-Expires";
    Authorization "Authorization";
    ProxyAuthorization "Proxy-Authorization";
    WwwAuthenticate "WWW-Authenticate";
    ProxyAuthenticate "Proxy-Authenticate";
    AuthenticationInfo "Authentication-Info";
    Require "Require";
    ProxyRequire "Proxy-Require";
    Supported "Supported" b"k";
    Unsupported "Unsupported";
    Allow "Allow";
    Accept "Accept";
    AcceptEncoding "Accept-Encoding";
    AcceptLanguage "Accept-Language";
    AlertInfo "Alert-Info";
    CallInfo "Call-Info";
    ErrorInfo "Error-Info";
    InReplyTo "In-Reply-To";
    Organization "Organization";
    Priority "Priority";
    ReplyTo "Reply-To";
    RetryAfter "Retry-After";
    Server "Server";
    Subject "Subject" b"s";
    Timestamp "Timestamp";
    UserAgent "User-Agent";
    Warning "Warning";
    Date "Date";
    // RFC 6665 events, RFC 3903 publication
    Event "Event" b"o";
    AllowEvents "Allow-Events" b"u";
    SubscriptionState "Subscription-State";
    SipIfMatch "SIP-If-Match";
    SipETag "SIP-ETag";
    // RFC 3515, 3892, 3891, 3911: transfer
    ReferTo "Refer-To" b"r";
    ReferredBy "Referred-By" b"b";
    ReferSub "Refer-Sub";
    Replaces "Replaces";
    TargetDialog "Target-Dialog";
    Join "Join";
    // RFC 3326
    Reason "Reason";
    // RFC 3262
    RSeq "RSeq";
    RAck "RAck";
    // RFC 4028
    SessionExpires "Session-Expires" b"x";
    MinSe "Min-SE";
    // RFC 3327, 3608, 5626
    Path "Path";
    ServiceRoute "Service-Route";
    FlowTimer "Flow-Timer";
    // RFC 3325, 3323 and what came before
    PAssertedIdentity "P-Asserted-Identity";
    PPreferredIdentity "P-Preferred-Identity";
    RemotePartyId "Remote-Party-ID";
    Privacy "Privacy";
    // RFC 8224
    Identity "Identity" b"y";
    IdentityInfo "Identity-Info" b"n";
    // RFC 5806, 7044
    Diversion "Diversion";
    HistoryInfo "History-Info";
    // RFC 7433
    UserToUser "User-to-User";
    // RFC 5393
    MaxBreadth "Max-Breadth";
    // RFC 3841
    AcceptContact "Accept-Contact" b"a";
    RejectContact "Reject-Contact" b"j";
    RequestDisposition "Request-Disposition" b"d";
    // RFC 6086
    InfoPackage "Info-Package";
    RecvInfo "Recv-Info";
    // RFC 3329
    SecurityClient "Security-Client";
    SecurityServer "Security-Server";
    SecurityVerify "Security-Verify";
    // RFC 4412, 7315, 7989
    ResourcePriority "Resource-Priority";
    AcceptResourcePriority "Accept-Resource-Priority";
    PChargingVector "P-Charging-Vector";
    PAccessNetworkInfo "P-Access-Network-Info";
    PAssociatedUri "P-Associated-URI";
    PCalledPartyId "P-Called-Party-ID";
    PEarlyMedia "P-Early-Media";
    SessionId "Session-ID";
    Geolocation "Geolocation";
    AnswerMode "Answer-Mode";
}

impl Name {
    /// The name that these bytes spell, in any case, in full or compact form; `Other` if the table lacks it.
    pub fn parse(bytes: &[u8]) -> Name {
        let mut slot = hash(bytes) as usize;
        // The table is more than half empty, so the walk ends after a step or two.
        while let Some(Slot { text, name }) = TABLE.get(slot & (SLOTS - 1)) {
            if text.is_empty() {
                break;
            }
            // Nearly everybody writes the canonical case.
            if *text == bytes || text.eq_ignore_ascii_case(bytes) {
                return *name;
            }
            slot += 1;
        }
        Name::Other
    }

    /// Whether a message may carry the header only once, and two of them make it unreadable for us (RFC 3261 §7.3.1).
    pub const fn is_single(self) -> bool {
        matches!(
            self,
            Name::From
                | Name::To
                | Name::CallId
                | Name::CSeq
                | Name::MaxForwards
                | Name::ContentLength
        )
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const SLOTS: usize = 512;

const fn at(bytes: &[u8], index: usize) -> u32 {
    match bytes.split_at_checked(index) {
        Some((_, [byte, ..])) => (*byte | 0x20) as u32,
        _ => 0,
    }
}

/// Length, first, middle and last letters without case: enough to spread the table, four loads to compute.
const fn hash(bytes: &[u8]) -> u32 {
    let len = bytes.len();
    let mixed = (len as u32).wrapping_mul(0x9E37)
        ^ at(bytes, 0).wrapping_mul(0x85EB_CA6B)
        ^ at(bytes, len / 2).wrapping_mul(0xC2B2_AE35)
        ^ at(bytes, len.saturating_sub(1)).wrapping_mul(0x27D4_EB2F);
    mixed >> 20
}

/// One spelling, full or compact, in lower or mixed case; an empty slot has no text and ends a walk.
#[derive(Clone, Copy)]
struct Slot {
    text: &'static [u8],
    name: Name,
}

#[expect(
    clippy::indexing_slicing,
    reason = "runs while compiling; a bad index would not compile"
)]
const fn build() -> [Slot; SLOTS] {
    let empty = Slot {
        text: &[],
        name: Name::Other,
    };
    let mut table = [empty; SLOTS];
    let mut i = 0;
    while i < Name::ALL.len() {
        let name = Name::ALL[i];
        put(&mut table, name, name.as_str().as_bytes());
        if let Some(letter) = name.compact() {
            put(&mut table, name, letter);
        }
        i += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    reason = "runs while compiling; a bad index would not compile"
)]
const fn put(table: &mut [Slot; SLOTS], name: Name, text: &'static [u8]) {
    let mut slot = hash(text) as usize;
    while !table[slot & (SLOTS - 1)].text.is_empty() {
        slot += 1;
    }
    table[slot & (SLOTS - 1)] = Slot { text, name };
}

static TABLE: [Slot; SLOTS] = build();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_in_any_case_and_compact() {
        for &name in Name::ALL {
            assert_eq!(Name::parse(name.as_str().as_bytes()), name);
            assert_eq!(Name::parse(name.as_str().to_lowercase().as_bytes()), name);
            assert_eq!(Name::parse(name.as_str().to_uppercase().as_bytes()), name);
            if let Some(letter) = name.compact() {
                assert_eq!(Name::parse(letter), name);
                assert_eq!(Name::parse(&letter.to_ascii_uppercase()), name);
            }
        }
    }

    #[test]
    fn compact_forms_are_unique() {
        let mut letters: Vec<&[u8]> = Name::ALL.iter().filter_map(|name| name.compact()).collect();
        letters.sort_unstable();
        let count = letters.len();
        letters.dedup();
        assert_eq!(letters.len(), count);
    }

    #[test]
    fn unknown_names_are_other() {
        for name in ["", "X-Internal", "z", "Viaa", "Fro", "Call_ID", "\u{fc}"] {
            assert_eq!(Name::parse(name.as_bytes()), Name::Other, "{name}");
        }
    }

    #[test]
    fn walks_in_the_table_are_short() {
        let longest = TABLE
            .iter()
            .chain(TABLE.iter())
            .fold((0, 0), |(longest, run), slot| match slot.text {
                [] => (longest, 0),
                _ => (longest.max(run + 1), run + 1),
            })
            .0;
        assert!(longest <= 8, "longest walk {longest}");
    }
}
