//! Under libFuzzer: [`carillon_fuzz::hand_over`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::hand_over(data));
