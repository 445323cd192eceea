//! Identities that one set of MSPs has verified, by the bytes that name them.
//!
//! What an identity is follows from these bytes and the MSPs alone, so remembering changes no verdict, and neither does
//! forgetting. Only valid identities enter: certificates that no authority of the channel vouches for take no room.
//! One valid certificate can still be serialised in endless ways, so number and bytes are bounded, and the cache gives
//! way at its new entries first (S3-FIFO): who signs all the time stays.
//!
//! The hasher has a random seed, against keys chosen to collide. It decides what is forgotten first, nothing else.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::identity::Identity;
use crate::limits::{KNOWN_IDENTITIES_BYTES_MAX, KNOWN_IDENTITIES_MAX, KNOWN_IDENTITY_BYTES_MAX};

/// A bounded memory of identities, shared by its clones and by threads.
#[derive(Clone)]
pub(crate) struct KnownIdentities(Option<Arc<Cache<Bytes, Identity, Bytewise>>>);

/// Weighs an entry by the memory it takes. None weighs less than its share of the bytes, so that the bound on bytes is
/// one on their number too.
#[derive(Debug, Clone, Copy)]
struct Bytewise;

impl KnownIdentities {
    /// The identity that these bytes name, if it is known.
    pub(crate) fn get(&self, serialised: &[u8]) -> Option<Identity> {
        self.0.as_ref()?.get(serialised)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |cache| cache.len())
    }

    /// Remembers an identity, if it is valid and of usual length.
    pub(crate) fn keep(&self, serialised: &[u8], identity: &Identity) {
        if let Some(cache) = &self.0
            && serialised.len() <= KNOWN_IDENTITY_BYTES_MAX
            && identity.validity().is_ok()
        {
            // A copy, since the bytes may be part of a large message.
            cache.insert(Bytes::copy_from_slice(serialised), identity.clone());
        }
    }
}

impl Default for KnownIdentities {
    /// Nobody is known yet.
    fn default() -> Self {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(KNOWN_IDENTITIES_MAX)
            .weight_capacity(KNOWN_IDENTITIES_BYTES_MAX as u64)
            .build();
        // Both capacities are set, so there are options; without a cache everything would work, slower.
        let cache = options.ok().map(|options| {
            Cache::with_options(options, Bytewise, DefaultHashBuilder::default(), DefaultLifecycle::default())
        });
        Self(cache.map(Arc::new))
    }
}

impl Weighter<Bytes, Identity> for Bytewise {
    fn weight(&self, serialised: &Bytes, identity: &Identity) -> u64 {
        (serialised.len() + identity.memory_bytes()).max(ENTRY_BYTES_MIN) as u64
    }
}

impl fmt::Debug for KnownIdentities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KnownIdentities({})", self.len())
    }
}

/// Parts with a lock of their own, for threads that verify side by side.
const SHARDS: usize = 16;
const ENTRY_BYTES_MIN: usize = KNOWN_IDENTITIES_BYTES_MAX / KNOWN_IDENTITIES_MAX;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use fabric_proto::common::Block;
    use prost::Message as _;

    use super::*;
    use crate::config::ChannelConfig;

    /// A valid identity of a real channel.
    fn identity() -> Identity {
        let block = Block::decode(&include_bytes!("../tests/data/bft-chain/0.block")[..]).unwrap();
        let config = ChannelConfig::from_block(&block).unwrap();
        let pem = &config.consenters()[0].identity.as_ref().unwrap().pem;
        config.msps().identity("OrdererMSP", pem).unwrap()
    }

    fn weight(known: &KnownIdentities) -> u64 {
        known.0.as_ref().unwrap().weight()
    }

    #[test]
    fn number_and_bytes_are_bounded_and_who_comes_often_stays() {
        let (known, identity) = (KnownIdentities::default(), identity());
        known.keep(b"often", &identity);
        for form in 0..40_000_u32 {
            assert!(known.get(b"often").is_some(), "forgotten after {form} others");
            let length = if form % 3 == 0 { KNOWN_IDENTITY_BYTES_MAX } else { 900 };
            let mut key = vec![0; length];
            key[..4].copy_from_slice(&form.to_be_bytes());
            known.keep(&key, &identity);
            if form % 1000 == 0 {
                assert!(known.len() <= KNOWN_IDENTITIES_MAX);
                assert!(weight(&known) <= KNOWN_IDENTITIES_BYTES_MAX as u64);
            }
        }
        assert!(known.len() > 1000, "{known:?}");
    }

    #[test]
    fn small_entries_count_for_their_share() {
        let (known, identity) = (KnownIdentities::default(), identity());
        (0..10_000_u32).for_each(|form| known.keep(&form.to_be_bytes(), &identity));
        assert!((2000..=KNOWN_IDENTITIES_MAX).contains(&known.len()), "{known:?}");
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let (known, identity) = (KnownIdentities::default(), identity());
        known.keep(&[0; KNOWN_IDENTITY_BYTES_MAX + 1], &identity);
        assert_eq!((known.len(), weight(&known)), (0, 0));
        known.keep(&[0; KNOWN_IDENTITY_BYTES_MAX], &identity);
        assert_eq!(known.get(&[0; KNOWN_IDENTITY_BYTES_MAX]), Some(identity));
    }
}
