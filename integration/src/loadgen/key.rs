//! What an envelope is recognised by in a block.
//!
//! Half of a SHA-256 tells any envelope from any other; one made here with a number in it is known by the number, which
//! costs nothing to read. Both are spread evenly or count up, so they need no hash function against attackers.

use std::hash::{BuildHasherDefault, Hasher};

use sha2::{Digest as _, Sha256};

/// What an envelope is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u128);

impl Key {
    /// The key of any envelope.
    pub(super) fn of(envelope: &[u8]) -> Self {
        let digest = Sha256::digest(envelope);
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(u128::from_be_bytes(half))
    }

    /// The key of an envelope with this number, of this channel.
    pub(super) const fn of_number(number: u64, channel: u16) -> Self {
        Self((channel as u128) << 64 | number as u128)
    }
}

/// Hashes keys for the tables of this process.
pub(super) type KeyHash = BuildHasherDefault<KeyHasher>;

/// One multiplication: see the head of the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(*byte));
        }
    }

    fn write_u128(&mut self, value: u128) {
        // The table looks at the highest and at the lowest bits, and a product mixes upwards only.
        let product = (self.0 ^ value as u64 ^ (value >> 64) as u64).wrapping_mul(ODD);
        self.0 = product ^ product >> 32;
    }
}

/// 2^64 divided by the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn keys_tell_envelopes_apart() {
        let digests: HashSet<Key> = (0_u32..1000).map(|number| Key::of(&number.to_be_bytes())).collect();
        let numbers: HashSet<Key> =
            (0..1000).map(|number| Key::of_number(number % 500, (number / 500) as u16)).collect();
        assert_eq!((digests.len(), numbers.len()), (1000, 1000));
    }

    #[test]
    fn numbers_in_a_row_are_spread_over_the_table() {
        let hash = KeyHash::default();
        let hashes = || (0..4096).map(|number| hash.hash_one(Key::of_number(number, 0)));
        let low: HashSet<u64> = hashes().map(|hash| hash % 4096).collect();
        let high: HashSet<u64> = hashes().map(|hash| hash >> 57).collect();
        assert!(low.len() > 2000 && high.len() == 128, "{} places, {} tags", low.len(), high.len());
    }
}
