//! See `targets::cni_args` for what must hold.
#![no_main]

#[path = "../../tests/it/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::cni_args(data));
