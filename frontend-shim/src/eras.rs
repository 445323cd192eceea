//! What the config blocks of a ledger say: which configuration is in force where, and which group orders which stretch.
//!
//! A config block that names other consenters is the last block of the group before, and the group of the new consenters
//! goes on after it (protocol.md, Succession). The chain alone says how often that has happened, and where.

use fabric_channel::{ChannelConfig, ConfigError, consenter_set};
use fabric_proto::common::Block;
use fabric_proto::metadata::{MetadataError, last_config_index};
use prost::Message as _;

use crate::group::{GroupError, OrderingGroup, ordering_group_after};
use crate::group_settings::GroupSettings;
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

/// Why a ledger does not tell its configurations.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
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
pub fn eras(ledger: &Ledger) -> Result<Vec<Era>, HistoryError> {
    let newest = ledger.height().checked_sub(1).ok_or(HistoryError::Missing(0))?;
    let mut config_blocks = Vec::new();
    let mut number = last_config(ledger, newest)?;
    loop {
        config_blocks.push(number);
        let Some(before) = number.checked_sub(1) else { break };
        number = last_config(ledger, before)?;
    }
    let mut eras: Vec<Era> = Vec::new();
    for number in config_blocks.into_iter().rev() {
        let block = read(ledger, number)?;
        let config = configured_by(&block, number)?;
        match eras.last_mut().filter(|era| consenter_set::is_same(&era.config, &config)) {
            Some(era) => era.config = config,
            None => {
                let header_hash = block.header.unwrap_or_default().hash();
                let founded_at = Tip { number, header_hash };
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
    /// The group of its consenters, where members are set up like this.
    ///
    /// # Errors
    /// They cannot form one.
    pub fn group(&self, settings: &GroupSettings) -> Result<OrderingGroup, GroupError> {
        ordering_group_after(&self.config, self.moves, settings)
    }
}

/// The number of the config block under which the block after `number` stands.
///
/// # Errors
/// The ledger lacks the block, or it does not say so.
pub fn last_config(ledger: &Ledger, number: u64) -> Result<u64, HistoryError> {
    last_config_index(&read(ledger, number)?).map_err(|error| HistoryError::Metadata(number, error))
}

/// What config block `number` configures.
///
/// # Errors
/// The ledger lacks it, or it is none that this version reads.
pub fn config_of(ledger: &Ledger, number: u64) -> Result<ChannelConfig, HistoryError> {
    configured_by(&read(ledger, number)?, number)
}

fn configured_by(block: &Block, number: u64) -> Result<ChannelConfig, HistoryError> {
    ChannelConfig::from_block(block).map_err(|error| HistoryError::Config(number, error))
}

fn read(ledger: &Ledger, number: u64) -> Result<Block, HistoryError> {
    let stored = ledger.read(number)?.ok_or(HistoryError::Missing(number))?;
    Block::decode(stored.encoded()).map_err(|error| HistoryError::Block(number, error))
}
