//! One block that a source gave: judged, signed by us as well, and stored.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::block::{data_hash, header_hash, is_config};
use fabric_proto::common::{Block, BlockData, BlockHeader, Metadata, OrdererBlockMetadata};
use fabric_proto::metadata::{block_metadata, last_config_index, metadata_value, signatures_slot};
use frontend_shim::block_body::read_body;
use frontend_shim::block_reading::GivenBlock;
use frontend_shim::certificate::{CertificateJudge, JudgeError, Verdict};
use frontend_shim::counters::Grievance;
use frontend_shim::group::OrderingGroup;
use frontend_shim::ledger::{Ledger, LedgerError};
use prost::Message as _;

use super::section::Expected;
use crate::fault::Fault;
use crate::signer::{BlockSigner, SignatureStyle};

/// Puts fetched blocks into the ledger of one channel.
pub(super) struct BlockStore {
    pub(super) channel: ChannelId,
    pub(super) ledger: Arc<Ledger>,
    pub(super) group: Arc<OrderingGroup>,
    pub(super) signer: BlockSigner,
    pub(super) style: SignatureStyle,
    /// The configuration in force after the block with this number.
    pub(super) rules: Mutex<Option<Arc<Rules>>>,
}

/// What a configuration says of the blocks under it.
pub(super) struct Rules {
    last_config: u64,
    /// None if the configuration cannot be read in this version: no certificate is believed then.
    judge: Option<CertificateJudge>,
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
    /// Stores the block that follows the ledger's newest one, if it is the expected one. Takes long: not for a task.
    pub(super) fn put(&self, expected: Expected, given: &GivenBlock) -> Result<Stored, Refused> {
        let Expected { number, previous_hash, .. } = expected;
        let data = check_body(expected, &given.body).map_err(|what| Refused::Lie((Grievance::WrongBody, what)))?;
        let header = BlockHeader {
            number,
            previous_hash: Bytes::copy_from_slice(&previous_hash),
            data_hash: Bytes::copy_from_slice(&data_hash(&data.data)),
        };
        let rules = self.rules_after(number - 1)?;
        let is_config = is_config(&data.data);
        let last_config = if is_config { number } else { rules.last_config };
        let judged = rules.judge(&header, &given.signatures, &metadata_value(last_config, Bytes::new()));
        let (certificate, complaint) = match judged {
            Ok(certificate) => (certificate, None),
            Err(what) => (None, Some((Grievance::WrongSignature, what))),
        };
        let value = match &certificate {
            Some(certificate) => OrdererBlockMetadata::decode(certificate.value.clone()).ok(),
            None => None,
        };
        let last_config = value.as_ref().and_then(|value| value.last_config).map_or(last_config, |last| last.index);
        let consenter_metadata = value.map_or(Bytes::new(), |value| value.consenter_metadata);
        let mut metadata = block_metadata(last_config, consenter_metadata, Vec::new());
        let value = match &certificate {
            Some(certificate) => certificate.value.clone(),
            None => metadata_value(last_config, Bytes::new()),
        };
        let own = self.signer.sign(self.style, &value, &header.der()).map_err(Refused::Fault)?;
        metadata.metadata[0] = signatures_slot(value, vec![own]);
        let block = Block { header: Some(header), data: Some(data), metadata: Some(metadata) };
        self.ledger.append(number, block.encode_to_vec().into())?;
        let is_certified = certificate.is_some();
        if let Some(Metadata { value, signatures }) = certificate {
            self.ledger.certify(number, signatures_slot(value, signatures))?;
        }
        if is_config {
            *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(Stored { is_certified, complaint })
    }

    /// The rules for the block after this one, which the ledger has. They stay until the next config block.
    fn rules_after(&self, number: u64) -> Result<Arc<Rules>, Refused> {
        let mut known = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = &*known {
            return Ok(Arc::clone(rules));
        }
        let malformed = || Refused::Fault(Fault::Diverged { channel: self.channel.to_string(), number });
        let stored = self.ledger.read(number)?.ok_or_else(malformed)?;
        let block = Block::decode(stored.encoded.clone()).map_err(|_| malformed())?;
        let last_config = last_config_index(&block).map_err(|_| malformed())?;
        let judge = match CertificateJudge::after(&self.ledger, number, &self.group) {
            Ok(judge) => Some(judge),
            Err(JudgeError::Ledger(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(channel = %self.channel, %error, "blocks are fetched without their certificates");
                None
            }
        };
        let rules = Arc::new(Rules { last_config, judge });
        *known = Some(Arc::clone(&rules));
        Ok(rules)
    }
}

impl Rules {
    /// The certificate in what a source gives as a block's signatures, if it is one. A complete one vouches for the
    /// metadata value, too; otherwise the value has to be the one that we would have signed.
    fn judge(&self, header: &BlockHeader, given: &Bytes, own_value: &Bytes) -> Result<Option<Metadata>, String> {
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

/// The data of a block, if it is what the header's hash says.
fn check_body(expected: Expected, body: &Bytes) -> Result<BlockData, String> {
    let data = read_body(body)?;
    let hash = header_hash(expected.number, &expected.previous_hash, &data_hash(&data.data));
    if hash != expected.header_hash {
        return Err("it does not belong to the header that the chain says".to_owned());
    }
    Ok(data)
}
