//! Names of strangers in subjects, and subjects of strangers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_protocol::subject::{decode_token, encode_token};
use sluice_protocol::{InstanceId, ServiceName, Subjects};

fuzz_target!(|input: &str| {
    let token = encode_token(input);
    assert!(
        token
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b))
    );
    // A name has one byte at least: no token is empty.
    let name = Some(input).filter(|name| !name.is_empty());
    assert_eq!(decode_token(&token).as_deref(), name, "a name comes back");
    if let Some(name) = decode_token(input) {
        assert_eq!(encode_token(&name), input, "a name has one token");
    }
    let subjects = Subjects::default();
    if let Some((service, instance)) = subjects.parse_announce(input) {
        assert_eq!(subjects.announce(&service, &instance), input);
    }
    let half = input.floor_char_boundary(input.len() / 2);
    let (service, instance) = input.split_at(half);
    if let (Ok(service), Ok(instance)) = (ServiceName::new(service), InstanceId::new(instance)) {
        let subject = subjects.announce(&service, &instance);
        assert_eq!(subjects.parse_announce(&subject), Some((service, instance)));
    }
});
