//! Under libFuzzer: [`carillon_fuzz::socket_json`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::socket_json(data));
