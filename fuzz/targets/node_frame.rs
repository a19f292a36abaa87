//! Under libFuzzer: [`carillon_fuzz::node_frame`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::node_frame(data));
