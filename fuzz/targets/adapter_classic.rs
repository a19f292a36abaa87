//! Under libFuzzer: [`carillon_fuzz::adapter_classic`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::adapter_classic(data));
