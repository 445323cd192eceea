//! Signing of blocks: in parallel, and stored in order once they are decided.
//!
//! Blocks of a channel leave the cutter in order, are signed by a pool in any order, and reach the ledger in order again.
//! What a signature covers is a function of the decided sequence and the signer's header alone (contract 3.3).

use std::sync::Arc;

use aws_lc_rs::rand;
use blockcutter::CutBlock;
use bytes::Bytes;
use fabric_proto::common::{Block, BlockData, MetadataSignature};
use fabric_proto::metadata::{SignerHeader, block_metadata, ordered_by, signature_preimage};
use frontend_shim::certainty::Certainty;
use frontend_shim::ledger::LedgerError;
use frontend_shim::stages::Stage;
use frontend_shim::tentative_blocks::TentativeBlock;
use futures::StreamExt as _;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::fault::{Fault, Faults};
use crate::joined::JoinedChannel;
use crate::keys::SigningIdentity;
use crate::work_pool::WorkPool;

/// Blocks that may be waiting for their signature or for the ledger, for all channels of a group together.
pub const BLOCKS_SIGNING_MAX: usize = 64;

/// How this node names itself in its signatures on the blocks of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureStyle {
    /// By its serialized identity; understood by every peer.
    Creator,
    /// By its number in the consenter mapping; needs capability V3_0.
    Identifier(u32),
}

/// Signs blocks as this node.
#[derive(Clone, Debug)]
pub struct BlockSigner {
    identity: Arc<SigningIdentity>,
}

/// A block on its way to its ledger.
#[derive(Debug)]
pub struct SigningJob {
    /// The block as cut.
    pub block: CutBlock,
    /// Where it goes, and how it is signed.
    pub channel: Arc<JoinedChannel>,
    /// Is it decided? What is not goes to frontends and to no ledger.
    pub certainty: Certainty,
}

impl BlockSigner {
    /// Signs with this identity.
    #[must_use]
    pub const fn new(identity: Arc<SigningIdentity>) -> Self {
        Self { identity }
    }

    /// Signs a header (as DER) together with the value of the signatures slot.
    ///
    /// # Errors
    /// The system gives no randomness, or the key cannot sign.
    pub fn sign(&self, style: SignatureStyle, value: &[u8], header_der: &[u8]) -> Result<MetadataSignature, Fault> {
        let mut nonce = [0; NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| Fault::Signing("the system gives no randomness".to_owned()))?;
        let nonce = Bytes::copy_from_slice(&nonce);
        let header = match style {
            SignatureStyle::Creator => SignerHeader::from_creator(self.identity.serialised().clone(), nonce),
            SignatureStyle::Identifier(id) => SignerHeader::from_identifier(id, nonce),
        };
        let preimage = signature_preimage(value, &header, header_der);
        let signature = self.identity.sign(&preimage);
        Ok(header.into_signature(signature.into()))
    }

    fn sign_block(&self, channel: &JoinedChannel, block: &CutBlock) -> Result<MetadataSignature, Fault> {
        self.sign(channel.style, &block.metadata_value, &block.header.der())
    }

    fn finish(&self, job: SigningJob) -> Result<Signed, Fault> {
        let SigningJob { block, channel, certainty } = job;
        match certainty {
            Certainty::Decided => {
                let (number, encoded) = self.assemble(&channel, block)?;
                Ok(Signed::Decided(channel, number, encoded))
            }
            Certainty::Tentative(regency) => {
                let signature = self.sign_block(&channel, &block)?;
                let CutBlock { header, header_hash, metadata_value, data, .. } = block;
                let data = BlockData { data }.encode_to_vec().into();
                let block = TentativeBlock { regency, header, header_hash, metadata_value, signature, data };
                Ok(Signed::Tentative(channel, Box::new(block)))
            }
        }
    }

    /// The encoded block with this node's signature alone: the one that was made before the decision, if there is one.
    fn assemble(&self, channel: &JoinedChannel, block: CutBlock) -> Result<(u64, Bytes), Fault> {
        let made = channel.served.tentative().signature(block.header.number, &block.header_hash, &block.metadata_value);
        let signature = made.map_or_else(|| self.sign_block(channel, &block), Ok)?;
        let metadata = block_metadata(block.last_config, ordered_by(block.ordered_by.0), vec![signature]);
        let number = block.header.number;
        let data = BlockData { data: block.data };
        let block = Block { header: Some(block.header), data: Some(data), metadata: Some(metadata) };
        Ok((number, block.encode_to_vec().into()))
    }
}

/// Signs and stores until nobody sends blocks any more. A block that cannot be signed or stored is a fault of this node:
/// its ledger must not have a hole, so the node stops.
pub async fn run(jobs: mpsc::Receiver<SigningJob>, signer: BlockSigner, pool: WorkPool, faults: Faults) {
    let mut signed = ReceiverStream::new(jobs)
        .map(|job| {
            let (signer, pool) = (signer.clone(), pool.clone());
            async move { pool.run(move || Stage::SignBlock.within(|| signer.finish(job))).await }
        })
        .buffered(BLOCKS_SIGNING_MAX);
    while let Some(signed) = signed.next().await {
        let stored = match signed {
            Some(Ok(signed)) => signed.keep().map_err(Fault::Ledger),
            Some(Err(fault)) => Err(fault),
            None => Err(Fault::Signing("a signing thread panicked".to_owned())),
        };
        if let Err(fault) = stored {
            return faults.report(fault);
        }
    }
}

/// A block with our signature.
enum Signed {
    Decided(Arc<JoinedChannel>, u64, Bytes),
    Tentative(Arc<JoinedChannel>, Box<TentativeBlock>),
}

impl Signed {
    fn keep(self) -> Result<(), LedgerError> {
        match self {
            Self::Decided(channel, number, encoded) => {
                channel.ledger.append(number, encoded)?;
                channel.served.tentative().decided(number);
            }
            Self::Tentative(channel, block) => channel.served.tentative().put(*block),
        }
        Ok(())
    }
}

const NONCE_BYTES: usize = 24;
