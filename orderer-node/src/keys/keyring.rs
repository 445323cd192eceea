//! The public keys of one ordering group: what its replicas vote with, and the frontends it serves.
//!
//! Nothing enters unchecked. A vote key enters by a binding under the key that the channel configuration names, and the
//! first one stays: a correct replica derives the same vote key for ever, so a second one is the work of a liar, and
//! believing it would make a certificate valid at one replica and void at another. Reads take no lock.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use fabric_channel::{Msp, PublicKey};
use frontend_shim::keys::Credential;
use frontend_shim::stages::Stage;
use mod_smart::{Client, GroupId, Keyring, ReplicaId, Signature};
use tokio::sync::watch;

use super::frontends::{AdmitError, Frontends, Room};
use super::{BindingReject, VoteBinding};

/// Whom one replica believes.
pub struct NodeKeyring {
    group: GroupId,
    pins: Vec<PublicKey>,
    votes: ArcSwap<Vec<Option<Arc<Bound>>>>,
    frontends: Frontends,
    /// Held while a table is replaced, so that no change is lost.
    changing: Mutex<()>,
    changes: watch::Sender<u64>,
}

struct Bound {
    binding: VoteBinding,
    key: ParsedPublicKey,
}

/// Why a binding does not enter the keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The group has no such replica.
    #[error("the group has no replica {0}")]
    Unknown(ReplicaId),
    /// The binding is not believed.
    #[error(transparent)]
    Reject(#[from] BindingReject),
    /// The vote key is not one.
    #[error("replica {0} binds bytes that are no Ed25519 key")]
    Key(ReplicaId),
    /// The replica has bound another vote key before; no correct replica does that.
    #[error("replica {0} has bound two different vote keys")]
    Conflict(ReplicaId),
}

impl NodeKeyring {
    /// A keyring without vote keys and frontends. `pins` are the keys that the channel configuration names for the
    /// replicas, in the order of the view; `authorities` are the orderer organisations, whose TLS certificates can have
    /// frontends.
    #[must_use]
    pub fn new(group: GroupId, pins: Vec<PublicKey>, authorities: Vec<Msp>) -> Self {
        Self {
            group,
            votes: ArcSwap::from_pointee(vec![None; pins.len()]),
            pins,
            frontends: Frontends::new(group, authorities),
            changing: Mutex::new(()),
            changes: watch::Sender::new(0),
        }
    }

    /// The ordering group it serves.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Checks a binding and believes it from now on. Say it to the keyring as often as you hear it: what is known costs
    /// nothing.
    ///
    /// # Errors
    /// See [`BindError`]; nothing changes then.
    pub fn bind(&self, binding: &VoteBinding) -> Result<(), BindError> {
        let replica = binding.replica;
        let pinned = self.pins.get(replica.index()).ok_or(BindError::Unknown(replica))?;
        if self.binding(replica).is_some_and(|known| known == *binding) {
            return Ok(());
        }
        binding.verify(self.group, replica, pinned)?;
        let key = ParsedPublicKey::new(&ED25519, binding.vote_key.0).map_err(|_| BindError::Key(replica))?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut votes = Vec::clone(&self.votes.load());
        match &votes[replica.index()] {
            // Equal statements have different signatures, because ECDSA signatures are random.
            Some(known) if known.binding.vote_key == binding.vote_key => return Ok(()),
            Some(_) => return Err(BindError::Conflict(replica)),
            None => votes[replica.index()] = Some(Arc::new(Bound { binding: binding.clone(), key })),
        }
        self.votes.store(Arc::new(votes));
        self.note_change();
        Ok(())
    }

    /// Checks the credential of a frontend that has come itself, also of one that is known, and serves it from now on. Says
    /// whether it is new. When there are too many, the one that was silent longest gives way.
    ///
    /// # Errors
    /// See [`AdmitError`]; nothing changes then.
    pub fn admit(&self, credential: &Credential) -> Result<bool, AdmitError> {
        self.frontends.judge(credential)?;
        self.enter(credential, Room::Make)
    }

    /// The same for a frontend that another replica speaks of: nobody gives way to it.
    ///
    /// # Errors
    /// See [`AdmitError`]; nothing changes then.
    pub fn learn(&self, credential: &Credential) -> Result<bool, AdmitError> {
        self.enter(credential, Room::Free)
    }

    fn enter(&self, credential: &Credential, room: Room) -> Result<bool, AdmitError> {
        if self.frontends.knows(credential)? {
            return Ok(false);
        }
        let newcomer = self.frontends.check(credential)?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.frontends.knows(credential)? {
            return Ok(false);
        }
        self.frontends.insert(newcomer, room)?;
        self.note_change();
        Ok(true)
    }

    /// Replaces the orderer organisations, after a change of the channel configuration. Frontends of organisations that
    /// are gone are not taken in any more; what those that are known have sealed is still believed.
    pub fn trust(&self, authorities: Vec<Msp>) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.frontends.trust(authorities);
        self.note_change();
    }

    /// The binding of this replica, if it is known.
    #[must_use]
    pub fn binding(&self, replica: ReplicaId) -> Option<VoteBinding> {
        Some(self.votes.load().get(replica.index())?.as_ref()?.binding.clone())
    }

    /// All bindings that are known. They stand alone: others believe them whoever shows them, and so does a later run of
    /// this node.
    #[must_use]
    pub fn bindings(&self) -> Vec<VoteBinding> {
        self.votes.load().iter().flatten().map(|bound| bound.binding.clone()).collect()
    }

    /// The credentials of all admitted frontends.
    #[must_use]
    pub fn credentials(&self) -> Vec<Credential> {
        self.frontends.credentials()
    }

    /// Tells of every change of what [`NodeKeyring::bindings`] and [`NodeKeyring::credentials`] give.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn note_change(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Keyring for NodeKeyring {
    fn verify_replica(&self, replica: ReplicaId, message: &[u8], signature: &Signature) -> bool {
        let votes = self.votes.load();
        let bound = votes.get(replica.index()).and_then(Option::as_ref);
        bound.is_some_and(|bound| Stage::VerifyVote.within(|| bound.key.verify_sig(message, &signature.0)).is_ok())
    }

    fn verify_client(&self, client: Client, message: &[u8], signature: &Signature) -> bool {
        match client {
            Client::Replica(replica) => self.verify_replica(replica, message, signature),
            Client::Frontend(frontend) => {
                Stage::VerifySeal.within(|| self.frontends.verify(frontend, message, signature))
            }
        }
    }
}

impl std::fmt::Debug for NodeKeyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKeyring({}, {} replicas)", self.group, self.pins.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use frontend_shim::keys::FrontendKey;
    use mod_smart::Signer as _;

    use super::*;
    use crate::keys::test_authority::{TestAuthority, pinned};
    use crate::keys::{SigningKey, VoteKey};

    const GROUP: GroupId = GroupId([7; 32]);

    fn keyring() -> (NodeKeyring, Vec<SigningKey>) {
        let (keys, pins) = (0..2).map(|_| pinned()).unzip();
        (NodeKeyring::new(GROUP, pins, Vec::new()), keys)
    }

    #[test]
    fn votes_verify_once_the_vote_key_is_bound() {
        let (keyring, keys) = keyring();
        let vote_key = VoteKey::derive(&keys[1]);
        let signature = vote_key.sign(b"vote");
        assert!(!keyring.verify_replica(ReplicaId(1), b"vote", &signature));
        let mut changes = keyring.changes();
        let binding = VoteBinding::sign(GROUP, ReplicaId(1), &vote_key, &keys[1]);
        keyring.bind(&binding).unwrap();
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        keyring.bind(&binding).unwrap();
        keyring.bind(&VoteBinding::sign(GROUP, ReplicaId(1), &vote_key, &keys[1])).unwrap();
        assert!(!changes.has_changed().unwrap(), "known already");
        assert!(keyring.verify_replica(ReplicaId(1), b"vote", &signature));
        assert!(keyring.verify_client(Client::Replica(ReplicaId(1)), b"vote", &signature));
        assert!(!keyring.verify_replica(ReplicaId(1), b"another", &signature));
        assert!(!keyring.verify_replica(ReplicaId(0), b"vote", &signature));
        assert!(!keyring.verify_replica(ReplicaId(9), b"vote", &signature));
        assert_eq!(keyring.bindings(), [binding]);
    }

    #[test]
    fn a_second_vote_key_and_foreign_bindings_are_refused() {
        let (keyring, keys) = keyring();
        let (first, second) = (VoteKey::derive(&keys[0]), VoteKey::derive(&keys[1]));
        keyring.bind(&VoteBinding::sign(GROUP, ReplicaId(0), &first, &keys[0])).unwrap();
        let again = VoteBinding::sign(GROUP, ReplicaId(0), &second, &keys[0]);
        assert_eq!(keyring.bind(&again), Err(BindError::Conflict(ReplicaId(0))));
        let forged = VoteBinding::sign(GROUP, ReplicaId(1), &second, &keys[0]);
        assert_eq!(keyring.bind(&forged), Err(BindError::Reject(BindingReject::Signature(ReplicaId(1)))));
        let unknown = VoteBinding::sign(GROUP, ReplicaId(2), &second, &keys[1]);
        assert_eq!(keyring.bind(&unknown), Err(BindError::Unknown(ReplicaId(2))));
        let elsewhere = VoteBinding::sign(GroupId([8; 32]), ReplicaId(1), &second, &keys[1]);
        assert_eq!(keyring.bind(&elsewhere), Err(BindError::Reject(BindingReject::Group(GroupId([8; 32])))));
        assert!(keyring.verify_replica(ReplicaId(0), b"vote", &first.sign(b"vote")), "the first stays");
    }

    #[test]
    fn admitted_frontends_are_clients() {
        let authority = TestAuthority::new();
        let keyring = NodeKeyring::new(GROUP, Vec::new(), vec![authority.msp("OrdererMSP")]);
        let key = FrontendKey::generate().unwrap();
        let credential = Credential::issue(GROUP, key.id(), &authority.issue("frontend")).unwrap();
        let mut changes = keyring.changes();
        assert!(keyring.learn(&credential).unwrap());
        assert!(!keyring.admit(&credential).unwrap(), "not new");
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        let signature = key.sign(b"request");
        assert!(keyring.verify_client(Client::Frontend(key.id()), b"request", &signature));
        keyring.trust(Vec::new());
        assert!(changes.has_changed().unwrap());
        assert!(keyring.verify_client(Client::Frontend(key.id()), b"request", &signature), "it may have been promised");
        assert!(matches!(keyring.admit(&credential), Err(AdmitError::Authority(_))));
    }
}
