//! `semievol_fuzz::safetensors` on what libFuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| semievol_fuzz::safetensors(data));
