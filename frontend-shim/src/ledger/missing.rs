//! Blocks that a ledger lacks although its node goes on after them, and the headers by which others fetch theirs.

use fabric_proto::common::BlockHeader;

use super::backlog::Backlog;
use super::block::{self, StoredBlock};
use super::{Ledger, LedgerError, State, Tip, files};

/// Blocks that a ledger lacks although the ones after them are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub tip: Tip,
}

/// What a header says beside its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The hash of the header before it.
    pub previous_hash: [u8; 32],
    /// The hash of the block's data.
    pub data_hash: [u8; 32],
}

impl Ledger {
    /// Says that the chain goes on after this block, because the state of this node does. Says in turn whether blocks up
    /// to it are missing here; [`Ledger::missing`] tells which, until they have been appended.
    ///
    /// # Errors
    /// [`LedgerError::Fork`] if another block has its number here.
    pub fn expect(&self, tip: Tip) -> Result<bool, LedgerError> {
        let mut state = self.state();
        if tip.number < state.index.height() {
            drop(state);
            let stored = self.read(tip.number)?.map(|stored| stored.header.hash());
            return if stored == Some(tip.header_hash) {
                Ok(false)
            } else {
                Err(LedgerError::Fork { number: tip.number })
            };
        }
        match &state.backlog {
            Some(known) if !known.agrees_with(tip) => return Err(LedgerError::WrongTip { number: tip.number }),
            Some(known) if known.newest().number >= tip.number => {}
            _ => state.backlog = Some(Backlog::new(tip)),
        }
        Ok(true)
    }

    /// The blocks that are expected and not here.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        let state = self.state();
        let tip = state.backlog.as_ref()?.tip();
        Some(Missing { from: state.index.height(), tip })
    }

    /// What the headers of blocks say, from block `last` downwards: at most so many, down to block 1 at the lowest. Empty
    /// if block `last` is not here. Reads a few bytes for each, without their checksum: whoever links headers by their
    /// hashes notices any change.
    pub fn links(&self, last: u64, count: usize) -> Result<Vec<Link>, LedgerError> {
        let lowest = last.saturating_sub(count as u64) + 1;
        let mut links = Vec::new();
        for number in (lowest..=last).rev() {
            let Some(link) = self.link(number)? else { break };
            links.push(link);
        }
        Ok(links)
    }

    fn link(&self, number: u64) -> Result<Option<Link>, LedgerError> {
        if let Some(block) = self.cached(number) {
            return Ok(link_of(&block.header));
        }
        let mut state = self.state();
        let Some(entry) = state.index.find(number) else { return Ok(None) };
        let (file, path) = state.files.file(entry.block.segment)?;
        drop(state);
        let start = files::read_start_at(&file, &path, entry.block, block::HEADER_FIELD_BYTES_MAX)?;
        let header =
            block::decode_leading_header(&start).map_err(|source| LedgerError::Malformed { number, source })?;
        Ok(link_of(&header))
    }

    /// Stores what waited, once nothing before it is missing.
    pub(super) fn store_backlog(&self, state: &mut State) -> Result<(), LedgerError> {
        loop {
            let height = state.index.height();
            let Some(backlog) = &state.backlog else { return Ok(()) };
            let Some(encoded) = backlog.next(height) else {
                if backlog.newest().number < height {
                    state.backlog = None;
                }
                return Ok(());
            };
            let block =
                StoredBlock::decode(&encoded).map_err(|source| LedgerError::Malformed { number: height, source })?;
            self.store(state, &block, &encoded)?;
            if let Some(backlog) = &mut state.backlog {
                backlog.on_stored();
            }
        }
    }
}

/// Block 0 links to nothing, and no other header lacks a hash.
fn link_of(header: &BlockHeader) -> Option<Link> {
    let (previous_hash, data_hash) = (header.previous_hash[..].try_into().ok()?, header.data_hash[..].try_into().ok()?);
    Some(Link { previous_hash, data_hash })
}
