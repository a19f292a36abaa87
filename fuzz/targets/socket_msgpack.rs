//! Under libFuzzer: [`carillon_fuzz::socket_msgpack`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::socket_msgpack(data));
