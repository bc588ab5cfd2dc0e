//! Anything at all is fed to the codec. What must hold is in `tests/any_bytes.rs`, which the tests of the crate run too.
#![no_main]

#[path = "../../tests/any_bytes.rs"]
mod any_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_bytes::hold(bytes));
