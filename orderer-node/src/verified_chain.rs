//! A chain that comes from outside, block by block, verified as a peer verifies it: number, link, form, data hash, and a
//! signature set that satisfies BlockValidation under the configuration in force there. Contract, section 8.

use bytes::Bytes;
use fabric_channel::{BlockVerifier, ChannelConfig};
use fabric_proto::ChannelId;
use fabric_proto::block::{data_hash, is_config};
use fabric_proto::common::{Block, BlockHeader};
use fabric_proto::metadata::last_config_index;
use frontend_shim::ledger::{Ledger, LedgerError};
use prost::Message as _;

/// What the next block has to fit.
#[derive(Debug)]
pub(crate) struct VerifiedChain {
    next: u64,
    previous_hash: Option<[u8; 32]>,
    /// None before block 0.
    rules: Option<Rules>,
}

#[derive(Debug)]
struct Rules {
    config: ChannelConfig,
    verifier: BlockVerifier,
}

/// A block that fits.
#[derive(Debug)]
pub(crate) struct VerifiedBlock {
    number: u64,
    hash: [u8; 32],
    encoded: Bytes,
    slot0: Bytes,
    config: Option<ChannelConfig>,
}

impl VerifiedChain {
    /// The chain in a ledger up to this height. Reads files.
    ///
    /// # Errors
    /// The ledger lacks a block below, or it cannot be read.
    pub(crate) fn below(ledger: &Ledger, next: u64) -> anyhow::Result<Self> {
        let Some(newest) = next.checked_sub(1) else { return Ok(Self { next, previous_hash: None, rules: None }) };
        let read = |number: u64| -> anyhow::Result<Block> {
            let stored = ledger.read(number)?;
            let stored = stored.ok_or_else(|| anyhow::anyhow!("block {number} is not in the ledger"))?;
            Ok(Block::decode(stored.encoded())?)
        };
        let block = read(newest)?;
        let config = ChannelConfig::from_block(&read(last_config_index(&block)?)?)?;
        let previous_hash = block.header.as_ref().map(BlockHeader::hash);
        Ok(Self { next, previous_hash, rules: Some(Rules::new(config)) })
    }

    /// The number of the next block.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The hash of the newest block's header.
    pub(crate) const fn previous_hash(&self) -> Option<[u8; 32]> {
        self.previous_hash
    }

    /// The configuration in force. None before block 0.
    pub(crate) fn config(&self) -> Option<&ChannelConfig> {
        self.rules.as_ref().map(|rules| &rules.config)
    }

    /// Judges the next block. Block 0 carries no signatures: whoever hands it in has to know that it is the right one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn verify(&self, channel: &ChannelId, block: &Block) -> Result<VerifiedBlock, String> {
        let number = self.next;
        let hash = match &self.rules {
            Some(Rules { verifier, .. }) => {
                let previous = self.previous_hash.as_ref().map(|hash| &hash[..]);
                verifier.verify_block(block, number, previous).map_err(|why| why.to_string())?;
                block.header.as_ref().map(BlockHeader::hash).ok_or("it has no header")?
            }
            None => check_first(block)?,
        };
        let config = if is_config(block.entries()) {
            let config = ChannelConfig::from_block(block).map_err(|why| why.to_string())?;
            if config.channel_id() != channel {
                return Err(format!("it configures the channel {}", config.channel_id()));
            }
            Some(config)
        } else {
            None
        };
        let slot0 = block.metadata.as_ref().and_then(|metadata| metadata.metadata.first()).cloned().unwrap_or_default();
        Ok(VerifiedBlock { number, hash, encoded: block.encode_to_vec().into(), slot0, config })
    }

    /// Goes on after a block that has been stored.
    pub(crate) fn advance(&mut self, block: VerifiedBlock) {
        self.next = block.number + 1;
        self.previous_hash = Some(block.hash);
        if let Some(config) = block.config {
            self.rules = Some(Rules::new(config));
        }
    }
}

impl VerifiedBlock {
    /// The hash of its header.
    pub(crate) const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// What it configures, if it is a config block.
    pub(crate) const fn config(&self) -> Option<&ChannelConfig> {
        self.config.as_ref()
    }

    /// Stores it as a certified block. Writes files.
    ///
    /// # Errors
    /// The ledger's.
    pub(crate) fn store(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        ledger.append(self.number, self.encoded.clone())?;
        ledger.certify(self.number, self.slot0.clone())
    }
}

impl Rules {
    fn new(config: ChannelConfig) -> Self {
        Self { verifier: BlockVerifier::new(&config), config }
    }
}

fn check_first(block: &Block) -> Result<[u8; 32], String> {
    let header = block.header.as_ref().ok_or("it has no header")?;
    if header.number != 0 || !header.previous_hash.is_empty() {
        return Err("it is not the first block of a chain".to_owned());
    }
    if header.data_hash != data_hash(block.entries())[..] {
        return Err("its data hash is not that of its data".to_owned());
    }
    if !is_config(block.entries()) {
        return Err("it configures no channel".to_owned());
    }
    Ok(header.hash())
}
