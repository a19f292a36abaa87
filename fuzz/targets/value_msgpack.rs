//! Under libFuzzer: [`carillon_fuzz::value_msgpack`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::value_msgpack(data));
