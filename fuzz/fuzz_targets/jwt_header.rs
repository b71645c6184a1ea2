//! Tokens of strangers, before any signature is verified.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_gateway::identity::{Credential, token};

fuzz_target!(|input: &str| {
    let _ = token::parse(input, 8 << 10);
    let _ = Credential::of_sub_protocol(input);
    let _ = Credential::bearer(input);
});
