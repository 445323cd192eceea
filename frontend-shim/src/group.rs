//! The ordering group of a channel: its consenters in the order of their ids are the replicas `0..n`.
//!
//! The group's id is the hash of the consenters' ids and pinned keys and of an incarnation, so channels with the same
//! consenters share one group, and a renewed certificate, host or port changes nothing. The incarnation counts how often
//! the chain has moved to other consenters ([`crate::eras`]), so a channel that comes back to a set comes to another group.
//! Nodes and frontends compute it from the same function.

use fabric_channel::{ChannelConfig, Consenter};
use mod_smart::quorum::ViewError;
use mod_smart::{GroupId, ReplicaId, View};
use sha2::{Digest as _, Sha256};

use crate::tls::Spki;

/// The members of an ordering group, as a channel's configuration writes them.
#[derive(Clone, Debug)]
pub struct OrderingGroup {
    view: View,
    moves: u64,
    consenters: Vec<Consenter>,
}

/// Why the consenters of a channel are no ordering group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Too many of them.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Two of them have one key, so one could speak as the other.
    #[error("consenters {0} and {1} have the same key")]
    SharedKey(u32, u32),
}

/// The group that orders a channel of this configuration which has had no other consenters yet.
///
/// # Errors
/// The consenters cannot form a group.
pub fn ordering_group(config: &ChannelConfig) -> Result<OrderingGroup, GroupError> {
    ordering_group_after(config, FIRST_INCARNATION)
}

/// The group that orders a channel of this configuration after so many moves to other consenters: a flat view of its
/// consenters.
///
/// # Errors
/// The consenters cannot form a group.
pub fn ordering_group_after(config: &ChannelConfig, moves: u64) -> Result<OrderingGroup, GroupError> {
    let consenters = config.consenters().to_vec();
    for (at, second) in consenters.iter().enumerate() {
        if let Some(first) = consenters[..at].iter().find(|first| first.pinned_key() == second.pinned_key()) {
            return Err(GroupError::SharedKey(first.id, second.id));
        }
    }
    let view = View::flat(group_id(&consenters, moves), consenters.len())?;
    Ok(OrderingGroup { view, moves, consenters })
}

impl OrderingGroup {
    /// The membership as the protocol knows it.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Names the group.
    #[must_use]
    pub const fn id(&self) -> GroupId {
        self.view.group()
    }

    /// How often its channels had moved to other consenters before they came to it.
    #[must_use]
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// The consenters in replica order.
    #[must_use]
    pub fn consenters(&self) -> &[Consenter] {
        &self.consenters
    }

    /// The consenter that a replica is.
    #[must_use]
    pub fn consenter(&self, replica: ReplicaId) -> Option<&Consenter> {
        self.consenters.get(replica.index())
    }

    /// The replica that the consenter with this id is.
    #[must_use]
    pub fn replica_of(&self, consenter: u32) -> Option<ReplicaId> {
        self.position(|member| member.id == consenter)
    }

    /// The replica whose client or server TLS certificate has this key: whom an accepted connection comes from.
    #[must_use]
    pub fn replica_by_tls_key(&self, key: &Spki) -> Option<ReplicaId> {
        let key = key.der();
        self.position(|member| member.client_tls_cert.spki_der() == key || member.server_tls_cert.spki_der() == key)
    }

    /// Does this configuration name the members of this group, wherever they are reached now?
    #[must_use]
    pub fn is_of(&self, config: &ChannelConfig) -> bool {
        let is_same =
            |(ours, theirs): (&Consenter, &Consenter)| ours.id == theirs.id && ours.pinned_key() == theirs.pinned_key();
        let theirs = config.consenters();
        theirs.len() == self.consenters.len() && self.consenters.iter().zip(theirs).all(is_same)
    }

    /// How log lines call a replica.
    #[must_use]
    pub fn name(&self, replica: ReplicaId) -> String {
        match self.consenter(replica) {
            Some(consenter) => format!("node {} at {}", consenter.id, consenter.address()),
            None => format!("replica {replica}"),
        }
    }

    fn position(&self, is_wanted: impl Fn(&Consenter) -> bool) -> Option<ReplicaId> {
        self.consenters.iter().position(is_wanted).map(|index| ReplicaId(index as u16))
    }
}

/// The hash that names a group: of every member's id and pinned key, in order, and the incarnation.
fn group_id(consenters: &[Consenter], incarnation: u64) -> GroupId {
    let mut hash = Sha256::new();
    hash.update(b"ordering group 1");
    hash.update((consenters.len() as u32).to_be_bytes());
    for consenter in consenters {
        let key = consenter.pinned_key();
        hash.update(consenter.id.to_be_bytes());
        hash.update((key.len() as u32).to_be_bytes());
        hash.update(key);
    }
    hash.update(incarnation.to_be_bytes());
    GroupId(hash.finalize().into())
}

/// The incarnation of the set that a channel begins with.
const FIRST_INCARNATION: u64 = 0;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_proto::common::Block;
    use prost::Message as _;

    use super::*;
    use crate::tls_identity::parse_certificates;

    fn group() -> OrderingGroup {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chain/0.block");
        let genesis = Block::decode(bytes::Bytes::from(std::fs::read(path).unwrap())).unwrap();
        ordering_group(&ChannelConfig::from_block(&genesis).unwrap()).unwrap()
    }

    #[test]
    fn replicas_are_the_consenters_in_the_order_of_their_ids() {
        let group = group();
        assert_eq!((group.view().n(), group.view().f()), (4, 1));
        for (replica, id) in (0..4).map(ReplicaId).zip(1..) {
            assert_eq!(group.replica_of(id), Some(replica));
            assert_eq!(group.consenter(replica).unwrap().id, id);
            let key = Spki::from_der(group.consenter(replica).unwrap().server_tls_cert.spki_der().clone());
            assert_eq!(group.replica_by_tls_key(&key), Some(replica));
        }
        assert_eq!((group.replica_of(5), group.replica_of(0)), (None, None));
        assert_eq!(group.name(ReplicaId(2)), "node 3 at 127.0.0.1:7152");
    }

    /// What the channel configuration pins and what TLS sees are read by two parsers.
    #[test]
    fn keys_of_the_configuration_are_those_that_tls_sees() {
        for consenter in group().consenters() {
            let certificate = parse_certificates(consenter.server_tls_cert.to_pem().as_bytes()).unwrap().remove(0);
            assert_eq!(Spki::of_certificate(&certificate).unwrap().der(), consenter.server_tls_cert.spki_der());
        }
    }

    #[test]
    fn the_id_depends_on_ids_keys_and_incarnation_and_nothing_else() {
        let group = group();
        let mut consenters = group.consenters().to_vec();
        consenters[1].host = "elsewhere.example.com".to_owned();
        consenters[1].port += 1;
        assert_eq!(group_id(&consenters, 0), group.id());
        assert_ne!(group_id(&consenters, 1), group.id());
        assert_ne!(group_id(&consenters[..3], 0), group.id());
        consenters[3].id = 9;
        assert_ne!(group_id(&consenters, 0), group.id());
        consenters[3].id = 4;
        consenters[3].identity = consenters[2].identity.clone();
        assert_ne!(group_id(&consenters, 0), group.id());
    }
}
