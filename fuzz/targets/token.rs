//! Under libFuzzer: [`carillon_fuzz::token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::token(data));
