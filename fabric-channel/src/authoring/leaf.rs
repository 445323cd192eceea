//! Values and policies: elements without members, alike in all that matters when configurations are compared.

use crate::config_tree::{PolicyEntry, Value};

/// A value or a policy.
pub(super) trait Leaf: Clone + Default + PartialEq {
    /// Its version.
    fn version(&self) -> u64;

    /// The same with another version.
    fn at_version(&self, version: u64) -> Self;

    /// Are both equal but for their versions?
    fn is_same(&self, other: &Self) -> bool {
        self.at_version(other.version()) == *other
    }
}

impl Leaf for Value {
    fn version(&self) -> u64 {
        self.version
    }

    fn at_version(&self, version: u64) -> Self {
        Self { version, ..self.clone() }
    }
}

impl Leaf for PolicyEntry {
    fn version(&self) -> u64 {
        self.version
    }

    fn at_version(&self, version: u64) -> Self {
        Self { version, ..self.clone() }
    }
}
