//! Identity headers (RFC 8224): a line of input is one value. Read, judged without any certificate, and canonical numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger::auth::identity::{Anchors, Chain, canonical, presented};

fuzz_target!(|data: &[u8]| {
    let values = data.split(|&byte| byte == b'\n');
    if let Ok(list) = presented(values.clone()) {
        for one in &list {
            assert!(!one.url.is_empty());
        }
    }
    for value in values {
        if let Ok(text) = std::str::from_utf8(value) {
            if let Some(number) = canonical(text) {
                assert!(number.bytes().all(|b| b.is_ascii_digit()), "of {text:?}");
                assert_eq!(canonical(&format!("+{number}")), Some(number));
            }
        }
    }
    // certificates come from the operator's files, which may be anything as well
    let _ = Anchors::parse(data);
    let _ = Chain::parse(data);
});
