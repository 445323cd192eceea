//! Which group orders which stretch of a chain.
//!
//! A config block that names other consenters is the last block of the group before, and the group of the new consenters
//! goes on after it (protocol.md, Succession). The chain alone says how often that has happened, and where.

use fabric_channel::{ChannelConfig, ConfigError, consenter_set};
use fabric_proto::common::Block;
use fabric_proto::metadata::{MetadataError, last_config_index};
use prost::Message as _;

use crate::group::{GroupError, OrderingGroup, ordering_group_after};
use crate::ledger::{Ledger, LedgerError, Tip};

/// A stretch of a chain that one group orders.
#[derive(Clone, Debug)]
pub struct Era {
    /// The config block that named its consenters first: block 0, or the last one that the group before ordered.
    pub founded_at: Tip,
    /// How often the chain had moved to other consenters.
    pub moves: u64,
    /// The latest configuration of the stretch.
    pub config: ChannelConfig,
}

/// Why the stretches of a chain cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum EraError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It does not hold a block that a later one names, or none at all.
    #[error("the ledger lacks block {0}, which the configuration depends on")]
    Missing(u64),
    /// A stored block does not parse.
    #[error("block {0} in the ledger is malformed: {1}")]
    Block(u64, prost::DecodeError),
    /// A stored block does not say under which configuration it is.
    #[error("block {0} in the ledger does not name its configuration: {1}")]
    Metadata(u64, MetadataError),
    /// A config block that this version does not read.
    #[error("config block {0}: {1}")]
    Config(u64, ConfigError),
}

/// The stretches of the chain in a ledger, the first one first; never none. Reads every config block.
///
/// # Errors
/// The ledger holds no block, or cannot be read.
pub fn eras(ledger: &Ledger) -> Result<Vec<Era>, EraError> {
    let newest = ledger.height().checked_sub(1).ok_or(EraError::Missing(0))?;
    let mut config_blocks = Vec::new();
    let mut number = last_config(ledger, newest)?;
    loop {
        config_blocks.push(number);
        let Some(before) = number.checked_sub(1) else { break };
        number = last_config(ledger, before)?;
    }
    let mut eras: Vec<Era> = Vec::new();
    for number in config_blocks.into_iter().rev() {
        let stored = ledger.read(number)?.ok_or(EraError::Missing(number))?;
        let block = Block::decode(stored.encoded.clone()).map_err(|error| EraError::Block(number, error))?;
        let config = ChannelConfig::from_block(&block).map_err(|error| EraError::Config(number, error))?;
        match eras.last_mut().filter(|era| consenter_set::is_same(&era.config, &config)) {
            Some(era) => era.config = config,
            None => {
                let founded_at = Tip { number, header_hash: stored.header.hash() };
                eras.push(Era { founded_at, moves: eras.len() as u64, config });
            }
        }
    }
    Ok(eras)
}

/// The stretch that block `number` belongs to. Block 0, which nobody orders, is taken for the first one's.
#[must_use]
pub fn era_of(eras: &[Era], number: u64) -> Option<&Era> {
    eras.iter().rev().find(|era| era.founded_at.number < number).or_else(|| eras.first())
}

impl Era {
    /// The group of its consenters.
    ///
    /// # Errors
    /// They cannot form one.
    pub fn group(&self) -> Result<OrderingGroup, GroupError> {
        ordering_group_after(&self.config, self.moves)
    }
}

fn last_config(ledger: &Ledger, number: u64) -> Result<u64, EraError> {
    let stored = ledger.read(number)?.ok_or(EraError::Missing(number))?;
    let block = Block::decode(stored.encoded.clone()).map_err(|error| EraError::Block(number, error))?;
    last_config_index(&block).map_err(|error| EraError::Metadata(number, error))
}
