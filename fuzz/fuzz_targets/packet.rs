#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zotferry_fuzz::packet(bytes));
