//! Judging a whole set of signatures under a block, as somebody hands it over who had collected it.
//!
//! The rule is that of the collector: distinct consenters whose signatures verify over one header and one metadata value,
//! enough for the channel's BlockValidation policy *and* for a quorum of the protocol.

use std::sync::Arc;

use fabric_channel::VerifiedSigner;
use fabric_proto::common::{BlockHeader, Metadata};
use mod_smart::{ReplicaId, Voters};

use crate::group::OrderingGroup;
use crate::ledger::Ledger;
use crate::tally::Judge;
pub use crate::tally::JudgeError;

/// Judges the certificates of blocks under one configuration.
#[derive(Debug)]
pub struct CertificateJudge(Judge);

/// What a set of signatures is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It certifies the block.
    Certified,
    /// All are good, and too few: the block was not certified where it comes from.
    TooFew,
    /// One of them is not good: no correct node hands out such a set.
    Wrong(String),
}

impl CertificateJudge {
    /// The judge for the block after `last`, under the configuration in force there, which the ledger has.
    ///
    /// # Errors
    /// There is none, see [`JudgeError`].
    pub fn after(ledger: &Ledger, last: u64, group: &Arc<OrderingGroup>) -> Result<Self, JudgeError> {
        Judge::after(ledger, last, group).map(|(judge, _)| Self(judge))
    }

    /// Judges the content of the signatures slot of the block with this header.
    #[must_use]
    pub fn judge(&self, header: &BlockHeader, slot0: &Metadata) -> Verdict {
        let Judge { group, verifier } = &self.0;
        if slot0.signatures.len() > group.view().n() {
            return Verdict::Wrong(format!("{} signatures of {} nodes", slot0.signatures.len(), group.view().n()));
        }
        let (der, mut signers) = (header.der(), Vec::new());
        for signature in &slot0.signatures {
            match verifier.verify_signature(&der, &slot0.value, signature) {
                Ok(signer) if signers.contains(&signer) => return Verdict::Wrong("one signer signed twice".to_owned()),
                Ok(signer) => signers.push(signer),
                Err(reject) => return Verdict::Wrong(reject.to_string()),
            }
        }
        let is_quorum = group.view().is_quorum(self.voters(&signers));
        let is_certified = is_quorum && verifier.policy().is_satisfied(&signers);
        if is_certified { Verdict::Certified } else { Verdict::TooFew }
    }

    /// On type etcdraft the configuration does not say by which identity a consenter signs, so distinct signers are
    /// counted there.
    fn voters(&self, signers: &[VerifiedSigner]) -> Voters {
        let Judge { group, verifier } = &self.0;
        let replica = |(at, signer)| match verifier.signer_of(signer) {
            Some(consenter) => group.replica_of(consenter),
            None => Some(ReplicaId(at)),
        };
        (0..).zip(signers).filter_map(replica).collect()
    }
}
