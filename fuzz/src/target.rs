//! What a fuzz target is.

use crate::outcome::Outcome;

/// One decoder, or a few that look at the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// What it reads, and what must hold of it.
    pub about: &'static str,
    /// Decodes the input. Panics when a property does not hold.
    pub run: fn(&[u8]) -> Outcome,
    /// Valid inputs, made with real encoders or taken from real networks.
    pub seeds: fn() -> Vec<Seed>,
    /// How much memory an input may cost at its peak.
    pub heap: Heap,
    /// Mutations of the whole corpus in the test command: fewer where a run is slow.
    pub test_runs: usize,
}

/// An input to begin with.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Its file name in the corpus: `seed-` and a name if the target must accept it, `case-` and a name if not.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Seed {
    /// An input that the target must accept.
    pub fn new(name: impl std::fmt::Display, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: format!("{SEED}{name}"), bytes: bytes.into() }
    }

    /// An input that it may refuse.
    pub fn case(name: impl std::fmt::Display, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: format!("{CASE}{name}"), bytes: bytes.into() }
    }
}

/// A bound on memory: `base + per_byte x` length of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// Bytes that even an empty input may cost.
    pub base: usize,
    /// Bytes for each byte of input.
    pub per_byte: usize,
}

impl Heap {
    /// For decoders of our own formats, which share the memory of their input.
    pub const SMALL: Self = Self { base: 16 << 10, per_byte: 16 };
    /// For protobuf with many small fields, certificates and policies.
    pub const MEDIUM: Self = Self { base: 128 << 10, per_byte: 96 };
    /// For readers that hold a window of a file, or a whole connection.
    pub const LARGE: Self = Self { base: 6 << 20, per_byte: 96 };

    /// The bound for an input of this length.
    #[must_use]
    pub const fn bytes_max(self, input: usize) -> usize {
        self.base + self.per_byte * input
    }
}

/// How the names of inputs begin that their target must accept.
pub const SEED: &str = "seed-";

/// How the names of inputs begin that are made by us, and that their target may refuse.
pub const CASE: &str = "case-";

/// Longest input that is made by mutation.
pub const INPUT_BYTES_MAX: usize = 96 << 10;
