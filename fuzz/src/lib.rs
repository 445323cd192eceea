//! Fuzz targets for every decoder that faces a socket or a disk.
//!
//! A target is a function from bytes to an [`Outcome`] in the table [`TARGETS`]. It must not panic, must stay within
//! its bound of memory, and checks what has to hold of the result: what decodes encodes to the same bytes, what is
//! damaged never yields what was not written, what one part admits the next one admits too.
//!
//! ```text
//! cargo test  --release -p fuzz                                    the corpus, and a fixed number of mutations of it
//! cargo run   --release -p fuzz -- all --minutes 60 --seed 7       longer, on stable Rust
//! cargo run   --release -p fuzz -- seeds                           writes the seeds of the corpus again
//! cargo run   --release -p fuzz -- replay journal_file FILE        one input, with its outcome
//! ```
//!
//! `README.md` beside this crate tells more.
#![forbid(unsafe_code)]

pub mod campaign;
mod configs;
pub mod corpus;
mod damage;
mod fixtures;
pub mod mutate;
mod outcome;
pub mod runner;
mod sealed;
mod target;
mod targets;
mod wire;

pub use outcome::Outcome;
pub use target::{CASE, Heap, INPUT_BYTES_MAX, SEED, Seed, Target};
pub use targets::TARGETS;

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Counts what is allocated, so that a bound on it can be checked.
#[global_allocator]
static HEAP: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
