//! Under libFuzzer: [`carillon_fuzz::adapter_sharded`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::adapter_sharded(data));
