//! See `inputs::callers::aws_proof`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dbproxy_fuzz::inputs::callers::aws_proof(input));
