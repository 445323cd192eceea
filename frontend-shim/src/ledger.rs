//! The chain of one channel on disk, with the signatures that certify its blocks.
//!
//! Append-only. A block enters only with the next number and the header hash of the block before it; the same block
//! again changes nothing, another block under a number that is taken is a fork and refused (contract §8).
//! Certificates (the content of metadata slot 0) may come later and in any order, but clients see only the certified
//! prefix. Whoever hosts the ledger appends; a collector certifies; streams read. Reading never waits for a sync.
//!
//! A node that took over the state of others [expects](Ledger::expect) blocks that it never cut. Until they have been
//! fetched, the blocks that it cuts itself wait, see `backlog`.

mod backlog;
mod block;
mod cache;
mod error;
mod files;
mod index;
mod missing;
mod reading;
mod recovery;
mod response;
mod segment;

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use self::backlog::Backlog;
pub use self::block::{MalformedBlock, StoredBlock};
use self::cache::Cache;
pub use self::error::LedgerError;
use self::files::Files;
use self::index::{Entry, Index};
pub use self::missing::{Link, Missing};
use self::segment::Kind;
use crate::limits::{LEDGER_CACHE_BYTES_MAX, LEDGER_RECORD_BYTES_MAX, LEDGER_SEGMENT_BYTES};
use crate::stages::Stage;

/// The blocks of one channel. Shared between the tasks of one process; a second process cannot open it.
#[derive(Debug)]
pub struct Ledger {
    state: Mutex<State>,
    cache: Mutex<Cache>,
    heights: watch::Sender<Heights>,
    certified: watch::Sender<u64>,
    /// What the first damage is that somebody met while reading.
    damage: OnceLock<String>,
    // Held for the file lock it carries.
    _lock: File,
}

#[derive(Debug)]
struct State {
    files: Files,
    index: Index,
    backlog: Option<Backlog>,
}

/// How far a ledger has come; numbers of blocks, so the newest block is one less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heights {
    /// Blocks that are stored.
    pub height: u64,
    /// Blocks from the first on that are certified without a gap: what clients see.
    pub certified: u64,
}

/// The newest block of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its number.
    pub number: u64,
    /// Its header hash, which the next block must name as its previous hash.
    pub header_hash: [u8; 32],
}

/// What may be chosen about a ledger.
#[derive(Clone, Copy, Debug)]
pub struct LedgerOptions {
    /// Bytes of encoded blocks kept in memory.
    pub cache_bytes_max: usize,
    /// Size at which a new segment file begins.
    pub segment_bytes: u64,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { cache_bytes_max: LEDGER_CACHE_BYTES_MAX, segment_bytes: LEDGER_SEGMENT_BYTES }
    }
}

impl Ledger {
    /// Opens the ledger in `dir` with the usual options; creates what is missing.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        Self::open_with(dir, LedgerOptions::default())
    }

    /// Opens the ledger in `dir`. Reads every segment once; a torn tail is cut off and logged.
    pub fn open_with(dir: &Path, options: LedgerOptions) -> Result<Self, LedgerError> {
        fs::create_dir_all(dir).map_err(|source| LedgerError::Io { path: dir.to_owned(), source })?;
        let lock = lock_dir(dir)?;
        let (files, index) = recovery::recover(dir, options.segment_bytes.min(LEDGER_SEGMENT_BYTES))?;
        let heights = Heights { height: index.height(), certified: index.certified() };
        Ok(Self {
            state: Mutex::new(State { files, index, backlog: None }),
            cache: Mutex::new(Cache::new(options.cache_bytes_max)),
            heights: watch::Sender::new(heights),
            certified: watch::Sender::new(heights.certified),
            damage: OnceLock::new(),
            _lock: lock,
        })
    }

    /// How many blocks are stored.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.heights.borrow().height
    }

    /// How many blocks from the first on are certified: the height that clients see.
    #[must_use]
    pub fn certified_height(&self) -> u64 {
        *self.certified.borrow()
    }

    /// The newest block that is stored, certified or not.
    #[must_use]
    pub fn tip(&self) -> Option<Tip> {
        self.state().index.tip()
    }

    /// Follows both heights.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Heights> {
        self.heights.subscribe()
    }

    /// Follows the certified height alone: streams need not wake for a block they may not see.
    #[must_use]
    pub fn watch_certified(&self) -> watch::Receiver<u64> {
        self.certified.subscribe()
    }

    /// Stores an encoded block as number `number`. Durable after the next [`Ledger::sync`].
    ///
    /// A block whose metadata does not parse is refused: it could never be certified. One that is stored already is
    /// accepted again if its header is the same. While blocks before it are missing, a block waits for them in memory, or
    /// is let go to be fetched like them. Writes to a file: not for a task that must not block.
    pub fn append(&self, number: u64, encoded: Bytes) -> Result<(), LedgerError> {
        let _entered = Stage::Ledger.enter();
        check_size(number, encoded.len())?;
        let block = StoredBlock::decode_new(&encoded).map_err(|source| LedgerError::Malformed { number, source })?;
        let mut state = self.state();
        let height = state.index.height();
        if block.number != number {
            return Err(LedgerError::WrongNumber { number: block.number, given: number, height });
        }
        if number < height {
            drop(state);
            return self.accept_again(&block);
        }
        if number > height {
            let lacking = LedgerError::WrongNumber { number, given: number, height };
            return state.backlog.as_mut().ok_or(lacking)?.push(&block, encoded, height);
        }
        let stored = self.store(&mut state, &block, &encoded).and_then(|()| self.store_backlog(&mut state));
        self.publish(&state.index);
        stored
    }

    /// Stores what makes block `number` a certified one: the content of its metadata slot 0, an encoded
    /// `common.Metadata` whose signatures the caller has verified. The first certificate of a block stays; block 0
    /// never takes one.
    pub fn certify(&self, number: u64, slot0: Bytes) -> Result<(), LedgerError> {
        let _entered = Stage::Ledger.enter();
        let mut state = self.state();
        let height = state.index.height();
        let entry = state.index.find(number).ok_or(LedgerError::NotStored { number, height })?;
        if number == 0 || entry.certificate.is_some() {
            return Ok(());
        }
        let plain = self.read_entry(&mut state, number, entry)?;
        check_size(number, plain.encoded_len() + slot0.len())?;
        let block = plain.certify(&slot0).map_err(|source| LedgerError::Malformed { number, source })?;
        let position = state.files.append(Kind::Certificate, number, &slot0)?;
        state.index.certify(number, position);
        self.cache().insert(&block);
        self.publish(&state.index);
        Ok(())
    }

    /// Makes everything durable that was appended before the call. Appends go on meanwhile.
    pub fn sync(&self) -> Result<(), LedgerError> {
        let Some(step) = self.state().files.begin_sync()? else {
            return Ok(());
        };
        let result = step.run();
        self.state().files.end_sync(&step, result)
    }

    /// Stores the next block.
    fn store(&self, state: &mut State, block: &Arc<StoredBlock>, encoded: &[u8]) -> Result<(), LedgerError> {
        let number = block.number;
        let previous = state.index.tip().map_or(Bytes::new(), |tip| Bytes::copy_from_slice(&tip.header_hash));
        if block.header.previous_hash != previous {
            return Err(LedgerError::WrongPrevious { number });
        }
        let tip = Tip { number, header_hash: block.header.hash() };
        if state.backlog.as_ref().is_some_and(|backlog| !backlog.agrees_with(tip)) {
            return Err(LedgerError::WrongTip { number });
        }
        let position = state.files.append(Kind::Block, number, encoded)?;
        state.index.append(Entry::new(position), tip);
        self.cache().insert(block);
        Ok(())
    }

    /// Tells the watchers. Called under the lock, so that they never see a height fall.
    fn publish(&self, index: &Index) {
        let heights = Heights { height: index.height(), certified: index.certified() };
        self.heights.send_replace(heights);
        self.certified.send_if_modified(|certified| {
            let is_news = *certified != heights.certified;
            *certified = heights.certified;
            is_news
        });
    }

    // Nothing in here panics half-way through a change, so a poisoned lock guards a whole state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Err(error) = self.sync() {
            tracing::error!(%error, "a ledger could not be made durable while it was closed");
        }
    }
}

fn check_size(number: u64, bytes: usize) -> Result<(), LedgerError> {
    if bytes > LEDGER_RECORD_BYTES_MAX {
        return Err(LedgerError::TooLarge { number, bytes, bytes_max: LEDGER_RECORD_BYTES_MAX });
    }
    Ok(())
}

fn lock_dir(dir: &Path) -> Result<File, LedgerError> {
    let path = dir.join(LOCK_FILE);
    let file = File::create(&path).map_err(|source| LedgerError::Io { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(LedgerError::Io { path, source }),
    }
}

/// The file whose lock keeps a second opener away.
const LOCK_FILE: &str = "lock";
