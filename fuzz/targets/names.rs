//! Under libFuzzer: [`carillon_fuzz::names`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::names(data));
