//! Signing of decided blocks: in parallel, appended in order.
//!
//! Blocks of a channel leave the cutter in order, are signed by a pool in any order, and reach the ledger in order again.
//! What a signature covers is a function of the decided sequence and the signer's header alone (contract 3.3).

use std::sync::Arc;

use aws_lc_rs::rand;
use blockcutter::CutBlock;
use bytes::Bytes;
use fabric_proto::common::{Block, BlockData, MetadataSignature};
use fabric_proto::metadata::{SignerHeader, block_metadata, ordered_by, signature_preimage};
use frontend_shim::ledger::Ledger;
use frontend_shim::stages::Stage;
use futures::StreamExt as _;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::fault::{Fault, Faults};
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
    /// Where it goes.
    pub ledger: Arc<Ledger>,
    /// How it is signed.
    pub style: SignatureStyle,
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

    /// The encoded block with this node's signature alone.
    fn assemble(&self, style: SignatureStyle, block: CutBlock) -> Result<(u64, Bytes), Fault> {
        let signature = self.sign(style, &block.metadata_value, &block.header.der())?;
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
        .map(|SigningJob { block, ledger, style }| {
            let (signer, pool) = (signer.clone(), pool.clone());
            async move { (ledger, pool.run(move || Stage::SignBlock.within(|| signer.assemble(style, block))).await) }
        })
        .buffered(BLOCKS_SIGNING_MAX);
    while let Some((ledger, assembled)) = signed.next().await {
        let stored = match assembled {
            Some(Ok((number, encoded))) => ledger.append(number, encoded).map_err(Fault::Ledger),
            Some(Err(fault)) => Err(fault),
            None => Err(Fault::Signing("a signing thread panicked".to_owned())),
        };
        if let Err(fault) = stored {
            return faults.report(fault);
        }
    }
}

const NONCE_BYTES: usize = 24;
