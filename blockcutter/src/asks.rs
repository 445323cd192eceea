//! Which replicas have asked for which channel to be opened, and how.
//!
//! A channel opens when a quorum asks for the same genesis block, or for the same tip of a chain that others ordered so far
//! (protocol.md, Actors and groups). Only digests are kept: the ask that completes a quorum brings the rest itself. A later ask of a replica replaces its earlier one, so an
//! administrator who joined with the wrong file can join again.

use std::collections::BTreeMap;

use fabric_proto::ChannelId;
use mod_smart::{ReplicaId, Voters};
use sha2::{Digest as _, Sha256};

use crate::limits::ASKS_PER_REPLICA_MAX;

/// SHA-256 of the bytes of a genesis block: what replicas compare when they open a channel.
pub type GenesisDigest = [u8; 32];

/// See [`GenesisDigest`].
#[must_use]
pub fn genesis_digest(genesis: &[u8]) -> GenesisDigest {
    Sha256::digest(genesis).into()
}

/// The asks for channels that are not open. No channel stands here without an ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpeningAsks {
    channels: BTreeMap<ChannelId, BTreeMap<ReplicaId, GenesisDigest>>,
}

/// One replica's wish to open one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningAsk {
    /// Which channel.
    pub channel: ChannelId,
    /// Who asks.
    pub replica: ReplicaId,
    /// With which genesis block. Two different ones for one channel are a conflict that its administrators must settle.
    pub genesis: GenesisDigest,
}

impl OpeningAsks {
    /// Notes an ask and says who asks for the same. None if the replica has too many open asks already.
    pub fn on_ask(&mut self, ask: OpeningAsk) -> Option<Voters> {
        let OpeningAsk { channel, replica, genesis } = ask;
        let is_replacement = self.channels.get(&channel).is_some_and(|asks| asks.contains_key(&replica));
        if !is_replacement && self.count_of(replica) >= ASKS_PER_REPLICA_MAX {
            return None;
        }
        let asks = self.channels.entry(channel).or_default();
        asks.insert(replica, genesis);
        Some(asks.iter().filter(|(_, other)| **other == genesis).map(|(&replica, _)| replica).collect())
    }

    /// Does this ask stand already?
    #[must_use]
    pub fn contains(&self, ask: &OpeningAsk) -> bool {
        self.channels.get(&ask.channel).and_then(|asks| asks.get(&ask.replica)) == Some(&ask.genesis)
    }

    /// Forgets the asks for a channel, because it has opened.
    pub fn remove(&mut self, channel: &ChannelId) {
        self.channels.remove(channel);
    }

    /// All asks, by channel and replica.
    pub fn iter(&self) -> impl Iterator<Item = OpeningAsk> {
        self.channels.iter().flat_map(|(channel, asks)| {
            asks.iter().map(|(&replica, &genesis)| OpeningAsk { channel: channel.clone(), replica, genesis })
        })
    }

    fn count_of(&self, replica: ReplicaId) -> usize {
        self.channels.values().filter(|asks| asks.contains_key(&replica)).count()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ask(channel: &str, replica: u16, genesis: u8) -> OpeningAsk {
        let channel = ChannelId::new(channel).unwrap();
        OpeningAsk { channel, replica: ReplicaId(replica), genesis: [genesis; 32] }
    }

    fn voters(replicas: &[u16]) -> Option<Voters> {
        Some(replicas.iter().copied().map(ReplicaId).collect())
    }

    #[test]
    fn asks_for_one_genesis_add_up_and_a_later_one_replaces_an_earlier() {
        let mut asks = OpeningAsks::default();
        assert_eq!(asks.on_ask(ask("ch", 0, 1)), voters(&[0]));
        assert_eq!(asks.on_ask(ask("ch", 1, 2)), voters(&[1]));
        assert_eq!(asks.on_ask(ask("ch", 2, 1)), voters(&[0, 2]));
        assert_eq!(asks.on_ask(ask("other", 3, 1)), voters(&[3]));
        assert_eq!(asks.on_ask(ask("ch", 0, 2)), voters(&[0, 1]));
        assert_eq!(asks.on_ask(ask("ch", 0, 2)), voters(&[0, 1]));
        assert_eq!(
            asks.iter().collect::<Vec<_>>(),
            [ask("ch", 0, 2), ask("ch", 1, 2), ask("ch", 2, 1), ask("other", 3, 1)]
        );
        assert!(
            asks.contains(&ask("ch", 2, 1)) && !asks.contains(&ask("ch", 2, 2)) && !asks.contains(&ask("ch", 3, 1))
        );
        asks.remove(&ChannelId::new("ch").unwrap());
        assert_eq!(asks.iter().count(), 1);
    }

    #[test]
    fn one_replica_cannot_fill_the_state() {
        let mut asks = OpeningAsks::default();
        for number in 0..ASKS_PER_REPLICA_MAX {
            assert!(asks.on_ask(ask(&format!("ch{number}"), 0, 1)).is_some());
        }
        assert_eq!(asks.on_ask(ask("one-more", 0, 1)), None);
        assert_eq!(asks.on_ask(ask("ch0", 0, 2)), voters(&[0]), "a replacement needs no room");
        assert!(asks.on_ask(ask("one-more", 1, 1)).is_some(), "others have their own room");
    }
}
