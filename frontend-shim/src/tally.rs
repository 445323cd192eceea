//! Counts what nodes have signed under one block number, until one header is certified.
//!
//! A push counts for its header and metadata value together, once per node, and only after its signature has been
//! verified: peers will verify it too. A header is certified when the signers satisfy the channel's BlockValidation
//! policy *and* the nodes are a quorum of the protocol (protocol.md, "From decision to block"). Nothing is verified twice,
//! and nothing after the certificate is complete.

use std::sync::Arc;

use bytes::Bytes;
use fabric_channel::{BlockVerifier, ChannelConfig, VerifiedSigner};
use fabric_proto::block::{header_der, header_hash};
use fabric_proto::common::MetadataSignature;
use fabric_proto::metadata::signatures_slot;
use mod_smart::{ReplicaId, Voters};
use prost::Message as _;

use crate::counters::Grievance;
use crate::eras::{HistoryError, config_of, last_config};
use crate::frame::Push;
use crate::group::OrderingGroup;
use crate::ledger::Ledger;
use crate::stages::Stage;

/// Who may sign blocks under one configuration of a channel.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) group: Arc<OrderingGroup>,
    pub(crate) verifier: BlockVerifier,
}

/// Why there is no judge for a block.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The ledger does not tell the configuration.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Its consenters are others.
    #[error("config block {0} gives the channel to another ordering group")]
    Moved(u64),
}

impl Judge {
    /// The judge for blocks under this configuration, which `group` orders.
    pub(crate) fn new(config: &ChannelConfig, group: Arc<OrderingGroup>) -> Self {
        Self { group, verifier: BlockVerifier::new(config) }
    }

    /// The judge for the block after `last`: the configuration is the one in force there, which the ledger has.
    pub(crate) fn after(
        ledger: &Ledger,
        last: u64,
        group: &Arc<OrderingGroup>,
    ) -> Result<(Self, ChannelConfig), JudgeError> {
        let last_config = last_config(ledger, last)?;
        let config = config_of(ledger, last_config)?;
        if !group.is_of(&config) {
            return Err(JudgeError::Moved(last_config));
        }
        Ok((Self::new(&config, group.clone()), config))
    }
}

/// What is known of one block number.
#[derive(Debug)]
pub(crate) struct Tally {
    number: u64,
    previous_hash: [u8; 32],
    examined: Voters,
    candidates: Vec<Candidate>,
}

/// A header that somebody signed.
#[derive(Debug)]
struct Candidate {
    data_hash: [u8; 32],
    value: Bytes,
    voters: Voters,
    signers: Vec<VerifiedSigner>,
    signatures: Vec<(ReplicaId, MetadataSignature)>,
}

/// A header with enough signatures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Certified {
    pub(crate) previous_hash: [u8; 32],
    pub(crate) data_hash: [u8; 32],
    /// `Metadata.value` of the signatures slot.
    pub(crate) value: Bytes,
    /// The signatures, in replica order.
    pub(crate) signatures: Vec<MetadataSignature>,
    /// Whose they are.
    pub(crate) voters: Voters,
}

impl Certified {
    /// The hash of the header, as block `number`.
    pub(crate) fn header_hash(&self, number: u64) -> [u8; 32] {
        header_hash(number, &self.previous_hash, &self.data_hash)
    }

    /// The content of the signatures slot.
    pub(crate) fn slot0(&self) -> Bytes {
        signatures_slot(self.value.clone(), self.signatures.clone())
    }
}

impl Tally {
    /// Nothing yet of the block `number`, which follows the header with this hash.
    pub(crate) const fn new(number: u64, previous_hash: [u8; 32]) -> Self {
        Self { number, previous_hash, examined: Voters::NONE, candidates: Vec::new() }
    }

    /// Looks at what a node pushed, once. `Err` is what to hold against the node.
    pub(crate) fn examine(
        &mut self,
        replica: ReplicaId,
        push: &Push,
        judge: &Judge,
    ) -> Result<(), (Grievance, String)> {
        if !self.examined.insert(replica) {
            return Ok(());
        }
        if push.previous_hash != self.previous_hash {
            return Err((Grievance::WrongHeader, "it does not follow the block before it".to_owned()));
        }
        let der = header_der(self.number, &push.previous_hash, &push.data_hash);
        let wrong = |what: &dyn std::fmt::Display| (Grievance::WrongSignature, what.to_string());
        let signature = MetadataSignature::decode(push.signature.clone()).map_err(|e| wrong(&e))?;
        let verifying = || judge.verifier.verify_signature(&der, &push.metadata_value, &signature);
        let verified = Stage::VerifyBlock.within(verifying);
        let signer = verified.map_err(|e| wrong(&e))?;
        // On type etcdraft the configuration does not say by which identity a consenter signs.
        let signed_by = judge.verifier.signer_of(&signer).map(|id| judge.group.replica_of(id));
        if signed_by.is_some_and(|signed_by| signed_by != Some(replica)) {
            return Err(wrong(&"it is another node's signature"));
        }
        let candidate = self.candidate(push);
        candidate.voters.insert(replica);
        candidate.signers.push(signer);
        candidate.signatures.push((replica, signature));
        Ok(())
    }

    /// The header that is certified, if one is.
    pub(crate) fn certified(&self, judge: &Judge) -> Option<Certified> {
        let is_enough = |candidate: &&Candidate| {
            judge.group.view().is_quorum(candidate.voters) && judge.verifier.policy().is_satisfied(&candidate.signers)
        };
        let candidate = self.candidates.iter().find(is_enough)?;
        let mut signatures = candidate.signatures.clone();
        signatures.sort_by_key(|(replica, _)| *replica);
        Some(Certified {
            previous_hash: self.previous_hash,
            data_hash: candidate.data_hash,
            value: candidate.value.clone(),
            signatures: signatures.into_iter().map(|(_, signature)| signature).collect(),
            voters: candidate.voters,
        })
    }

    /// Who signed something else than what is certified.
    pub(crate) fn dissenters(&self, certified: &Certified) -> Voters {
        let others = self.candidates.iter().filter(|candidate| !candidate.says(&certified.data_hash, &certified.value));
        others.flat_map(|candidate| candidate.voters.iter()).collect()
    }

    fn candidate(&mut self, push: &Push) -> &mut Candidate {
        let known = self.candidates.iter().position(|candidate| candidate.says(&push.data_hash, &push.metadata_value));
        let at = known.unwrap_or_else(|| {
            self.candidates.push(Candidate {
                data_hash: push.data_hash,
                value: push.metadata_value.clone(),
                voters: Voters::NONE,
                signers: Vec::new(),
                signatures: Vec::new(),
            });
            self.candidates.len() - 1
        });
        &mut self.candidates[at]
    }
}

impl Candidate {
    fn says(&self, data_hash: &[u8; 32], value: &Bytes) -> bool {
        self.data_hash == *data_hash && self.value == *value
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_proto::common::Metadata;
    use fabric_proto::metadata::{SignerHeader, parse_signatures_slot};

    use fabric_proto::common::Block;

    use super::*;
    use crate::group::ordering_group;

    /// Block `number` of a chain that Fabric's own orderers signed, as each of its signers would have pushed it.
    fn real(number: u64) -> (Vec<(ReplicaId, Push)>, Metadata, [u8; 32]) {
        let path = format!("{}/tests/data/chain/{number}.block", env!("CARGO_MANIFEST_DIR"));
        let block = Block::decode(Bytes::from(std::fs::read(path).unwrap())).unwrap();
        let header = block.header.clone().unwrap();
        let slot0 = parse_signatures_slot(block.metadata.as_ref().unwrap()).unwrap();
        let pushes = slot0.signatures.iter().map(|signature| {
            let SignerHeader::Identifier(signer) = SignerHeader::of(signature) else { panic!("a v3 block") };
            let signer = fabric_proto::common::IdentifierHeader::decode(signer).unwrap().identifier;
            let push = Push {
                channel: "bftch".parse().unwrap(),
                number,
                previous_hash: header.previous_hash[..].try_into().unwrap(),
                data_hash: header.data_hash[..].try_into().unwrap(),
                metadata_value: slot0.value.clone(),
                signature: signature.encode_to_vec().into(),
                body: None,
            };
            (ReplicaId(signer as u16 - 1), push)
        });
        (pushes.collect(), slot0.clone(), header.previous_hash[..].try_into().unwrap())
    }

    fn judge() -> Judge {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chain/0.block");
        let genesis = Block::decode(Bytes::from(std::fs::read(path).unwrap())).unwrap();
        let config = ChannelConfig::from_block(&genesis).unwrap();
        Judge::new(&config, Arc::new(ordering_group(&config).unwrap()))
    }

    #[test]
    fn real_blocks_are_certified_by_exactly_their_signers() {
        let judge = judge();
        for number in 1..=4 {
            let (pushes, slot0, previous_hash) = real(number);
            let mut tally = Tally::new(number, previous_hash);
            for (replica, push) in &pushes {
                assert_eq!(tally.certified(&judge), None, "a quorum is needed");
                tally.examine(*replica, push, &judge).unwrap();
                tally.examine(*replica, push, &judge).unwrap();
            }
            let certified = tally.certified(&judge).unwrap();
            assert_eq!(certified.voters, pushes.iter().map(|(replica, _)| *replica).collect());
            assert_eq!(certified.value, slot0.value);
            assert!(slot0.signatures.iter().all(|signature| certified.signatures.contains(signature)));
            assert!(tally.dissenters(&certified).is_empty());
        }
    }

    #[test]
    fn a_signature_counts_for_its_signer_its_header_and_its_value_only() {
        let (judge, (pushes, _, previous_hash)) = (judge(), real(2));
        let (signer, push) = &pushes[0];
        let examine = |replica: ReplicaId, push: &Push| {
            let mut tally = Tally::new(2, previous_hash);
            let outcome = tally.examine(replica, push, &judge);
            assert!(tally.candidates.len() == usize::from(outcome.is_ok()));
            outcome.map_err(|(grievance, _)| grievance)
        };
        assert_eq!(examine(*signer, push), Ok(()));
        let another = ReplicaId((signer.0 + 1) % 4);
        assert_eq!(examine(another, push), Err(Grievance::WrongSignature));
        let changed = Push { metadata_value: Bytes::from_static(b"\x0a\x00"), ..push.clone() };
        assert_eq!(examine(*signer, &changed), Err(Grievance::WrongSignature));
        let changed = Push { data_hash: [1; 32], ..push.clone() };
        assert_eq!(examine(*signer, &changed), Err(Grievance::WrongSignature));
        let changed = Push { previous_hash: [1; 32], ..push.clone() };
        assert_eq!(examine(*signer, &changed), Err(Grievance::WrongHeader));
        let mut tally = Tally::new(3, previous_hash);
        assert!(tally.examine(*signer, push, &judge).is_err(), "under another number");
    }

    #[test]
    fn a_first_wrong_push_is_the_only_one_of_its_node() {
        let (judge, (pushes, _, previous_hash)) = (judge(), real(2));
        let mut tally = Tally::new(2, previous_hash);
        let (signer, push) = &pushes[0];
        let wrong = Push { data_hash: [1; 32], ..push.clone() };
        assert!(tally.examine(*signer, &wrong, &judge).is_err());
        assert_eq!(tally.examine(*signer, push, &judge), Ok(()), "not looked at");
        for (replica, push) in &pushes[1..] {
            tally.examine(*replica, push, &judge).unwrap();
        }
        assert_eq!(tally.certified(&judge), None);
    }
}
