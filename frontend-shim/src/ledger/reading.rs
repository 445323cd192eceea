//! Reading blocks back, and what is remembered of those that could not be read.

use std::sync::Arc;

use bytes::Bytes;

use super::block::StoredBlock;
use super::index::Entry;
use super::{Ledger, LedgerError, State, files};
use crate::stages::Stage;

impl Ledger {
    /// Block `number` if it is in memory.
    #[must_use]
    pub fn cached(&self, number: u64) -> Option<Arc<StoredBlock>> {
        self.cache().find(number)
    }

    /// Block `number` with its certificate if it has one; `None` if it is not stored. May read a file.
    pub fn read(&self, number: u64) -> Result<Option<Arc<StoredBlock>>, LedgerError> {
        match self.cached(number) {
            Some(block) => Ok(Some(block)),
            None => Stage::Ledger.within(|| self.noting_damage(number, self.read_from_files(number))),
        }
    }

    /// The first damage that was met while blocks were read since the ledger was opened: which block, and where it lies.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    fn read_from_files(&self, number: u64) -> Result<Option<Arc<StoredBlock>>, LedgerError> {
        let mut state = self.state();
        let Some(entry) = state.index.find(number) else {
            return Ok(None);
        };
        let (block, block_path) = state.files.file(entry.block.segment)?;
        let certificate = match entry.certificate {
            Some(position) => Some((state.files.file(position.segment)?, position)),
            None => None,
        };
        // Positions never change, so the files are read without the lock.
        drop(state);
        let encoded = files::read_at(&block, &block_path, entry.block)?.payload;
        let slot0 = match certificate {
            Some(((file, path), position)) => Some(files::read_at(&file, &path, position)?.payload),
            None => None,
        };
        let block = assemble(number, &encoded, slot0)?;
        // A block that may be certified at this moment must not hide its better form.
        if block.certified {
            self.cache().insert(&block);
        }
        Ok(Some(block))
    }

    /// Judges a block whose number is taken.
    pub(super) fn accept_again(&self, block: &StoredBlock) -> Result<(), LedgerError> {
        match self.read(block.number)? {
            Some(stored) if stored.header == block.header => Ok(()),
            _ => Err(LedgerError::Fork { number: block.number }),
        }
    }

    /// Reads a block under the lock, as certifying needs it.
    pub(super) fn read_entry(
        &self,
        state: &mut State,
        number: u64,
        entry: Entry,
    ) -> Result<Arc<StoredBlock>, LedgerError> {
        if let Some(block) = self.cached(number) {
            return Ok(block);
        }
        let (file, path) = state.files.file(entry.block.segment)?;
        let read = files::read_at(&file, &path, entry.block);
        self.noting_damage(number, read.and_then(|record| assemble(number, &record.payload, None)))
    }

    fn noting_damage<T>(&self, number: u64, read: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if let Err(error) = &read
            && error.is_damage()
        {
            self.damage.get_or_init(|| format!("block {number} cannot be read: {error}"));
        }
        read
    }
}

fn assemble(number: u64, encoded: &Bytes, slot0: Option<Bytes>) -> Result<Arc<StoredBlock>, LedgerError> {
    let block = StoredBlock::decode(encoded);
    let block = match slot0 {
        Some(slot0) => block.and_then(|block| block.certify(&slot0)),
        None => block,
    };
    block.map_err(|source| LedgerError::Malformed { number, source })
}
