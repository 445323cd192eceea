//! Runs the target that the environment variable `TARGET` names, with coverage guidance.
#![no_main]

use std::sync::LazyLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("TARGET").unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| panic!("TARGET={name:?} is no target"))
});

fuzz_target!(|input: &[u8]| {
    // The bounds on memory are for the driver on stable Rust: sanitizers have their own bookkeeping.
    let _ = (TARGET.run)(input);
});
