//! Counts what nodes have signed under one block number, until one header is certified.
//!
//! A push counts for its header and metadata value together, once per node, and only after its signature has been
//! verified: peers will verify it too. A header is certified when the signers satisfy the channel's BlockValidation
//! policy *and* the nodes are a quorum of the protocol (protocol.md, "From decision to block"). What nodes say before a block
//! is decided counts in their regency only ([`crate::certainty`]). Nothing is verified twice, and nothing after the
//! certificate is complete.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fabric_channel::{BlockVerifier, ChannelConfig, VerifiedSigner};
use fabric_proto::block::{header_der, header_hash};
use fabric_proto::common::MetadataSignature;
use fabric_proto::metadata::signatures_slot;
use mod_smart::{ReplicaId, Voters};
use prost::Message as _;

use crate::certainty::{Certainty, Support};
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
    /// What was looked at, of whom. A node whose regencies change all the time is not looked at for ever.
    examined: BTreeMap<ReplicaId, Vec<Certainty>>,
    candidates: Vec<Candidate>,
}

/// A header that somebody signed.
#[derive(Debug)]
struct Candidate {
    data_hash: [u8; 32],
    value: Bytes,
    support: Support,
    /// One of each who signed.
    signatures: BTreeMap<ReplicaId, (VerifiedSigner, MetadataSignature)>,
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
        Self { number, previous_hash, examined: BTreeMap::new(), candidates: Vec::new() }
    }

    /// Looks at what a node pushed, once. `Err` is what to hold against the node.
    pub(crate) fn examine(
        &mut self,
        replica: ReplicaId,
        push: &Push,
        judge: &Judge,
    ) -> Result<(), (Grievance, String)> {
        let examined = self.examined.entry(replica).or_default();
        let is_too_many = examined.len() >= REGENCIES_MAX && push.certainty != Certainty::Decided;
        if is_too_many || examined.contains(&push.certainty) {
            return Ok(());
        }
        examined.push(push.certainty);
        if push.previous_hash != self.previous_hash {
            return match push.certainty {
                Certainty::Decided => {
                    Err((Grievance::WrongHeader, "it does not follow the block before it".to_owned()))
                }
                // The node may have had to take back the block before it.
                Certainty::Tentative(_) => Ok(()),
            };
        }
        // Equal headers are signed once: of a node that has signed this one, it only matters how sure it is now.
        let signed = self.candidates.iter_mut().find(|candidate| candidate.says(&push.data_hash, &push.metadata_value));
        if let Some(candidate) = signed.filter(|candidate| candidate.signatures.contains_key(&replica)) {
            candidate.support.add(replica, push.certainty);
            return Ok(());
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
        candidate.support.add(replica, push.certainty);
        candidate.signatures.insert(replica, (signer, signature));
        Ok(())
    }

    /// The header that is certified, if one is.
    pub(crate) fn certified(&self, judge: &Judge) -> Option<Certified> {
        let (candidate, voters) =
            self.candidates.iter().find_map(|candidate| Some((candidate, candidate.final_by(judge)?)))?;
        let signatures = candidate.signatures.iter().filter(|(replica, _)| voters.contains(**replica));
        Some(Certified {
            previous_hash: self.previous_hash,
            data_hash: candidate.data_hash,
            value: candidate.value.clone(),
            signatures: signatures.map(|(_, (_, signature))| signature.clone()).collect(),
            voters,
        })
    }

    /// Who is sure of something else than what is certified.
    pub(crate) fn dissenters(&self, certified: &Certified) -> Voters {
        let others = self.candidates.iter().filter(|candidate| !candidate.says(&certified.data_hash, &certified.value));
        others.flat_map(|candidate| candidate.support.decided().iter()).collect()
    }

    fn candidate(&mut self, push: &Push) -> &mut Candidate {
        let known = self.candidates.iter().position(|candidate| candidate.says(&push.data_hash, &push.metadata_value));
        let at = known.unwrap_or_else(|| {
            self.candidates.push(Candidate {
                data_hash: push.data_hash,
                value: push.metadata_value.clone(),
                support: Support::default(),
                signatures: BTreeMap::new(),
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

    /// Those by whose signatures it is final, if it is: a quorum whose signatures count together and satisfy the policy.
    fn final_by(&self, judge: &Judge) -> Option<Voters> {
        let is_final = |voters: &Voters| {
            let signed = self.signatures.iter().filter(|(replica, _)| voters.contains(**replica));
            let signers: Vec<VerifiedSigner> = signed.map(|(_, (signer, _))| signer.clone()).collect();
            judge.verifier.policy().is_satisfied(&signers)
        };
        self.support.together().find(|voters| judge.group.view().is_delivery_quorum(*voters) && is_final(voters))
    }
}

/// Regencies in which what one node says of one block is looked at. It is decided long before, or the node lies.
const REGENCIES_MAX: usize = 8;

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
                certainty: Certainty::Decided,
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

    /// WHEAT: thesis 5.3.2, and protocol.md, "Tentative blocks".
    #[test]
    fn tentative_pushes_count_together_in_one_regency_and_with_decided_ones() {
        use Certainty::{Decided, Tentative};
        let (judge, (pushes, _, previous_hash)) = (judge(), real(2));
        let (zero, one) = (Tentative(mod_smart::Regency(0)), Tentative(mod_smart::Regency(1)));
        let voters = |certainties: [Certainty; 3]| {
            let mut tally = Tally::new(2, previous_hash);
            for ((replica, push), certainty) in pushes.iter().zip(certainties) {
                tally.examine(*replica, &Push { certainty, ..push.clone() }, &judge).unwrap();
            }
            tally.certified(&judge).map(|certified| certified.voters.len())
        };
        assert_eq!(pushes.len(), 3);
        assert_eq!(voters([zero, zero, zero]), Some(3));
        assert_eq!(voters([zero, zero, Decided]), Some(3));
        assert_eq!(voters([one, Decided, Decided]), Some(3));
        assert_eq!(voters([zero, zero, one]), None, "two regencies");
        assert_eq!(voters([zero, one, Decided]), None, "two regencies");
    }

    #[test]
    fn a_node_that_becomes_sure_is_believed_without_another_signature() {
        let (judge, (pushes, _, previous_hash)) = (judge(), real(2));
        let regencies = [0, 1, 2].map(|regency| Certainty::Tentative(mod_smart::Regency(regency)));
        let mut tally = Tally::new(2, previous_hash);
        for ((replica, push), certainty) in pushes.iter().zip(regencies) {
            tally.examine(*replica, &Push { certainty, ..push.clone() }, &judge).unwrap();
        }
        for (replica, push) in &pushes[..2] {
            assert_eq!(tally.certified(&judge), None);
            let again = Push { signature: Bytes::from_static(b"another"), ..push.clone() };
            tally.examine(*replica, &again, &judge).unwrap();
        }
        assert!(tally.certified(&judge).is_some());
    }

    #[test]
    fn a_tentative_push_that_follows_a_block_that_was_taken_back_is_nothing_to_complain_of() {
        let (judge, (pushes, _, previous_hash)) = (judge(), real(2));
        let mut tally = Tally::new(2, previous_hash);
        let (replica, push) = &pushes[0];
        let certainty = Certainty::Tentative(mod_smart::Regency(0));
        let stale = Push { previous_hash: [3; 32], certainty, ..push.clone() };
        assert_eq!(tally.examine(*replica, &stale, &judge), Ok(()));
        assert_eq!(tally.examine(*replica, push, &judge), Ok(()));
        assert_eq!(tally.candidates.len(), 1);
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
