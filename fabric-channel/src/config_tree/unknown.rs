//! Fields of a message that this version does not know.

use std::collections::BTreeMap;
use std::fmt;

use crate::wire::{self, Field};

/// Unknown fields in the order in which they came.
///
/// Equality is that of peers: per field number, the same bytes in the same order; how different numbers are mixed
/// does not matter.
#[derive(Clone, Default)]
pub struct UnknownFields(Vec<u8>);

impl UnknownFields {
    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields as they are written at the end of their message.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn push(&mut self, field: &Field<'_>) {
        field.keep(&mut self.0);
    }

    fn by_number(&self) -> BTreeMap<u64, Vec<u8>> {
        let mut sorted: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for field in wire::fields(&self.0).flatten() {
            field.keep(sorted.entry(field.number).or_default());
        }
        sorted
    }
}

impl PartialEq for UnknownFields {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.0.len() == other.0.len() && self.by_number() == other.by_number()
    }
}

impl Eq for UnknownFields {}

impl fmt::Debug for UnknownFields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "UnknownFields({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(bytes: &[u8]) -> UnknownFields {
        let mut unknown = UnknownFields::default();
        wire::fields(bytes).flatten().for_each(|field| unknown.push(&field));
        unknown
    }

    #[test]
    fn the_order_of_different_numbers_does_not_count() {
        assert_eq!(unknown(b"\x48\x01\x50\x02"), unknown(b"\x50\x02\x48\x01"));
        assert_eq!(unknown(b"\x48\x01\x50\x02\x48\x03"), unknown(b"\x48\x01\x48\x03\x50\x02"));
    }

    #[test]
    fn the_order_within_a_number_and_every_byte_count() {
        assert_ne!(unknown(b"\x48\x01\x48\x02"), unknown(b"\x48\x02\x48\x01"));
        assert_ne!(unknown(b"\x48\x01"), unknown(b"\x48\x81\x00"));
        assert_ne!(unknown(b"\x48\x01"), unknown(b""));
    }
}
