//! Two halves of the honest replicas, and another batch for the second: what two-faced liars share.
//!
//! Who is on which side follows from the instance and the epoch alone, so all liars agree on it without a word.

use std::collections::BTreeSet;

use mod_smart::{Digest, Epoch, InstanceId, ReplicaId};

use super::forge;
use crate::sim::actor::Hand;
use crate::sim::keys::checksum;

/// One of the two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Is told what the honest replica inside the liar says.
    Front,
    /// Is told something else.
    Back,
}

/// On which side a replica is. Over the instances every way to cut the replicas in two comes up.
pub(super) fn side(instance: InstanceId, epoch: Epoch, replica: ReplicaId) -> Side {
    let name = [instance.0.to_be_bytes(), epoch.0.to_be_bytes(), u64::from(replica.0).to_be_bytes()].concat();
    if checksum(0x51de, &name) & 0x10 == 0 { Side::Front } else { Side::Back }
}

/// Another batch that a correct leader might have proposed instead: one request less, the same in another order, or other
/// requests; if nothing else is known, one that does not exist.
pub(super) fn other_batch(requests: &[Digest], hand: &mut Hand<'_>) -> Vec<Digest> {
    if requests.len() >= 2 {
        let mut other = requests.to_vec();
        if hand.random.bool() {
            other.reverse();
        } else {
            other.pop();
        }
        return other;
    }
    let taken: BTreeSet<Digest> = requests.iter().copied().collect();
    let other = hand.requests.iter().rev().map(mod_smart::Sealed::<mod_smart::Request>::digest);
    let other: Vec<Digest> = other.filter(|digest| !taken.contains(digest)).take(2).collect();
    if other.is_empty() { vec![forge::invented_digest(hand)] } else { other }
}
