//! Header values read alone: URIs, addresses, Via, Contact, CSeq, Reason, comma lists. A line of input is one value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_fuzz::sip::{CSeq, ContactValue, NameAddr, Params, Reason, Uri, Via, split_commas};
use strowger_fuzz::walk;

fuzz_target!(|data: &[u8]| {
    let mut before: Option<Uri<'_>> = None;
    for value in data.split(|&byte| byte == b'\n') {
        if let Ok(uri) = Uri::parse(value) {
            assert_eq!(uri.raw, value);
            walk::uri(&uri);
            wrapped(&uri);
            if let Some(before) = before.replace(uri) {
                assert_eq!(before.same_as(&uri), uri.same_as(&before));
            }
        }
        if let Ok(address) = NameAddr::parse(value) {
            walk::name_addr(&address);
            tagged(value, &address);
        }
        if let Ok(via) = Via::parse(value) {
            walk::via(&via);
        }
        if let Ok(contact) = ContactValue::parse(value) {
            walk::contact(&contact);
        }
        if let Ok(cseq) = CSeq::parse(value) {
            let written = format!("{} {}", cseq.number, cseq.method);
            assert_eq!(CSeq::parse(written.as_bytes()), Ok(cseq));
        }
        let _ = Reason::parse(value);
        walk::params(&Params::new(value));
        for item in split_commas(value) {
            assert!(!item.is_empty());
            // An item is one value: whoever reads it alone must not find two.
            assert!(split_commas(item).eq([item]), "{item:?}");
        }
    }
});

/// A URI in brackets is the same URI, and ends where the brackets end.
fn wrapped(uri: &Uri<'_>) {
    for (before, after) in [
        ("<", ">"),
        ("\"A, B\" <", ">;tag=1"),
        ("A B<", "> ; tag = 1"),
    ] {
        let value = [before.as_bytes(), uri.raw, after.as_bytes()].concat();
        let address = NameAddr::parse(&value).expect("a URI that reads alone reads in brackets");
        assert_eq!(address.uri, *uri);
        assert_eq!(address.tag().is_some(), after.contains("tag"));
        assert_eq!(split_commas(&value).count(), 1, "{value:?}");
    }
}

/// A tag put behind an address without one is found there.
fn tagged(value: &[u8], address: &NameAddr<'_>) {
    if address.param("tag").is_some() {
        return;
    }
    let tagged = [value.trim_ascii(), b";tag=t1"].concat();
    let again = NameAddr::parse(&tagged).expect("a parameter breaks nothing");
    assert_eq!(again.tag(), Some(&b"t1"[..]), "{tagged:?}");
    assert_eq!(again.uri, address.uri);
}
