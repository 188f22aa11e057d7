//! See `inputs::callers::certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dbproxy_fuzz::inputs::callers::certificate(input));
