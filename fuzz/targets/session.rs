//! Under libFuzzer: [`carillon_fuzz::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::session(data));
