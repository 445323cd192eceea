//! Blocks that a source gave: judged and signed by us as well, each for itself, and stored one after the other.

use std::sync::Arc;

use bytes::Bytes;
use fabric_channel::BlockVerifier;
use fabric_proto::ChannelId;
use fabric_proto::block::{data_hash, header_hash, is_config};
use fabric_proto::common::{Block, BlockData, BlockHeader, BlockMetadata, Metadata, OrdererBlockMetadata};
use fabric_proto::metadata::{block_metadata, last_config_index, metadata_value, signatures_slot};
use frontend_shim::block_body::read_body;
use frontend_shim::block_reading::GivenBlock;
use frontend_shim::certificate::{CertificateJudge, JudgeError, Verdict};
use frontend_shim::counters::Grievance;
use frontend_shim::eras::HistoryError;
use frontend_shim::group::OrderingGroup;
use frontend_shim::ledger::{Ledger, LedgerError};
use prost::Message as _;

use super::section::Expected;
use crate::fault::Fault;
use crate::signer::{BlockSigner, SignatureStyle};
use crate::verified_chain::VerifiedChain;

/// Puts fetched blocks into the ledger of one channel.
pub(super) struct BlockStore {
    pub(super) channel: ChannelId,
    pub(super) ledger: Arc<Ledger>,
    pub(super) group: Arc<OrderingGroup>,
    pub(super) signer: BlockSigner,
    pub(super) style: SignatureStyle,
    /// The last block that the group did not make: the one after which it took the channel up.
    pub(super) taken_up_at: u64,
}

/// What a configuration says of the blocks under it. The same until the next config block.
pub(super) struct Rules {
    last_config: u64,
    /// None if the configuration cannot be read in this version, or is another group's: no certificate is believed then.
    judge: Option<CertificateJudge>,
    /// Of blocks that others made: they are certified if a peer would take them. None behind the last of these.
    others: Option<(u64, BlockVerifier)>,
}

/// A block that is the expected one, ready to be stored.
pub(super) struct Judged {
    expected: Expected,
    given: GivenBlock,
    rules: Arc<Rules>,
    /// With our signature alone.
    encoded: Bytes,
    /// What certifies it, if that has come with it: the content of its signatures slot.
    certificate: Option<Bytes>,
    is_config: bool,
    complaint: Option<Complaint>,
}

/// What was stored of some blocks.
pub(super) struct Put {
    pub(super) stored: Vec<Stored>,
    /// The rules for the block after them.
    pub(super) rules: Arc<Rules>,
    /// Why the rest was not.
    pub(super) outcome: Result<(), Refused>,
}

/// A block that was stored.
pub(super) struct Stored {
    pub(super) is_certified: bool,
    /// What was wrong around it: the block is the right one all the same.
    pub(super) complaint: Option<Complaint>,
}

/// Something that no correct node sends.
pub(super) type Complaint = (Grievance, String);

/// Why a block was not stored.
pub(super) enum Refused {
    /// The source's fault.
    Lie(Complaint),
    /// Ours.
    Fault(Fault),
}

impl From<LedgerError> for Refused {
    fn from(error: LedgerError) -> Self {
        Self::Fault(error.into())
    }
}

impl BlockStore {
    /// Judges a block by itself: it must be the expected one. Its certificate is judged by these rules. Takes long, and
    /// leaves the ledger alone: any number of blocks can be judged at a time.
    pub(super) fn judge(&self, rules: Arc<Rules>, expected: Expected, given: GivenBlock) -> Result<Judged, Refused> {
        let Expected { number, previous_hash, .. } = expected;
        let (data, data_hash) =
            check_body(expected, &given.body).map_err(|what| Refused::Lie((Grievance::WrongBody, what)))?;
        let header = BlockHeader {
            number,
            previous_hash: Bytes::copy_from_slice(&previous_hash),
            data_hash: Bytes::copy_from_slice(&data_hash),
        };
        let is_config = is_config(&data.data);
        let last_config = if is_config { number } else { rules.last_config };
        let own_value = metadata_value(last_config, Bytes::new());
        let (certificate, complaint) = match rules.judge(&header, &given.signatures, &own_value) {
            Ok(certificate) => (certificate, None),
            Err(what) => (None, Some((Grievance::WrongSignature, what))),
        };
        let value = certificate.as_ref().map_or(own_value, |certificate| certificate.value.clone());
        let said = OrdererBlockMetadata::decode(value.clone()).unwrap_or_default();
        let last_config = said.last_config.map_or(last_config, |last| last.index);
        let own = self.signer.sign(self.style, &value, &header.der()).map_err(Refused::Fault)?;
        let mut metadata = block_metadata(last_config, said.consenter_metadata, Vec::new());
        metadata.metadata[0] = signatures_slot(value, vec![own]);
        let block = Block { header: Some(header), data: Some(data), metadata: Some(metadata) };
        let encoded = block.encode_to_vec().into();
        let certificate = certificate.map(|Metadata { value, signatures }| signatures_slot(value, signatures));
        Ok(Judged { expected, given, rules, encoded, certificate, is_config, complaint })
    }

    /// Stores blocks that follow the ledger's newest one, in this order, under the rules in force for the first of them.
    /// Takes long: not for a task.
    pub(super) fn put(&self, blocks: Vec<Judged>, rules: Arc<Rules>) -> Put {
        let mut put = Put { stored: Vec::new(), rules, outcome: Ok(()) };
        for judged in blocks {
            match self.put_one(judged, &mut put.rules) {
                Ok(stored) => put.stored.push(stored),
                Err(refused) => {
                    put.outcome = Err(refused);
                    break;
                }
            }
        }
        put
    }

    fn put_one(&self, judged: Judged, rules: &mut Arc<Rules>) -> Result<Stored, Refused> {
        // It was judged before a config block ahead of it had been stored.
        let is_outdated = !Arc::ptr_eq(&judged.rules, rules);
        let judged = if is_outdated { self.judge(Arc::clone(rules), judged.expected, judged.given)? } else { judged };
        let number = judged.expected.number;
        self.ledger.append(number, judged.encoded)?;
        let is_certified = judged.certificate.is_some();
        if let Some(slot0) = judged.certificate {
            self.ledger.certify(number, slot0)?;
        }
        if judged.is_config {
            *rules = self.rules_after(number)?;
        }
        Ok(Stored { is_certified, complaint: judged.complaint })
    }

    /// The rules for the block after this one, which the ledger has. Reads files: not for a task.
    pub(super) fn rules_after(&self, number: u64) -> Result<Arc<Rules>, Refused> {
        let malformed = || Refused::Fault(Fault::Diverged { channel: self.channel.to_string(), number });
        let stored = self.ledger.read(number)?.ok_or_else(malformed)?;
        let block = Block::decode(stored.encoded()).map_err(|_| malformed())?;
        let last_config = last_config_index(&block).map_err(|_| malformed())?;
        let others = self.rules_of_others(number);
        let judge = match CertificateJudge::after(&self.ledger, number, &self.group) {
            Ok(judge) => Some(judge),
            Err(JudgeError::History(HistoryError::Ledger(error))) => return Err(error.into()),
            Err(error) => {
                if others.is_none() {
                    tracing::warn!(channel = %self.channel, %error, "blocks are fetched without their certificates");
                }
                None
            }
        };
        Ok(Arc::new(Rules { last_config, judge, others }))
    }

    /// The rules for the block after this one, if others made it.
    fn rules_of_others(&self, number: u64) -> Option<(u64, BlockVerifier)> {
        let chain = (number < self.taken_up_at).then(|| VerifiedChain::below(&self.ledger, number + 1).ok())??;
        Some((self.taken_up_at, BlockVerifier::new(chain.config()?)))
    }
}

impl Judged {
    /// Bytes of its body.
    pub(super) fn bytes(&self) -> usize {
        self.given.body.len()
    }
}

impl Rules {
    /// The certificate in what a source gives as a block's signatures, if it is one. A complete one vouches for the
    /// metadata value, too; otherwise the value has to be the one that we would have signed.
    fn judge(&self, header: &BlockHeader, given: &Bytes, own_value: &Bytes) -> Result<Option<Metadata>, String> {
        if let Some((_, verifier)) = self.others.as_ref().filter(|(last, _)| header.number <= *last) {
            let metadata = BlockMetadata { metadata: vec![given.clone()] };
            let is_taken = verifier.verify_signatures(header, &metadata).is_ok();
            return Ok(is_taken.then(|| Metadata::decode(given.clone()).ok()).flatten());
        }
        let Some(judge) = &self.judge else { return Ok(None) };
        let slot0 = Metadata::decode(given.clone()).map_err(|error| error.to_string())?;
        match judge.judge(header, &slot0) {
            Verdict::Certified => Ok(Some(slot0)),
            Verdict::TooFew if slot0.value == *own_value => Ok(None),
            Verdict::TooFew => Err("it signs another metadata value".to_owned()),
            Verdict::Wrong(what) => Err(what),
        }
    }
}

/// The data of a block, and its hash, if it is what the header's hash says.
fn check_body(expected: Expected, body: &Bytes) -> Result<(BlockData, [u8; 32]), String> {
    let data = read_body(body)?;
    let data_hash = data_hash(&data.data);
    if header_hash(expected.number, &expected.previous_hash, &data_hash) != expected.header_hash {
        return Err("it does not belong to the header that the chain says".to_owned());
    }
    Ok((data, data_hash))
}
