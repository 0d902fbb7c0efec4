//! One target, named by `BYLINE_FUZZ_TARGET`, under libFuzzer. Built and run by `./dev fuzz`.
#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls a function of C")]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<byline_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("BYLINE_FUZZ_TARGET").unwrap_or_default();
    byline_fuzz::target(&name).expect("BYLINE_FUZZ_TARGET names a target")
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
