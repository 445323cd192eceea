//! What can go wrong with a ledger.

use std::io;
use std::path::PathBuf;

use super::MalformedBlock;

/// What can go wrong with a ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file or directory cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or another part of this one, has the ledger open.
    #[error("{}: the ledger is in use", dir.display())]
    InUse {
        /// Its directory.
        dir: PathBuf,
    },
    /// An earlier sync failed, so nobody knows what is on the disk.
    #[error("{}: a sync failed earlier, the ledger must be opened again", dir.display())]
    SyncFailed {
        /// Its directory.
        dir: PathBuf,
    },
    /// A segment was written by another version of this program.
    #[error("{}: format version {found}, this program knows version {known}", file.display())]
    Version {
        /// The segment.
        file: PathBuf,
        /// What it says.
        found: u32,
        /// What is known here.
        known: u32,
    },
    /// Bytes that had been durable are not what they were.
    #[error("{} is damaged at offset {offset}: {what}", file.display())]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where the bad record begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The bytes are not a block that can be stored or certified.
    #[error("block {number}: {source}")]
    Malformed {
        /// The number under which it was given.
        number: u64,
        /// What is wrong.
        source: MalformedBlock,
    },
    /// The block would make a message that no client takes.
    #[error("block {number} has {bytes} bytes, {bytes_max} are possible")]
    TooLarge {
        /// Its number.
        number: u64,
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The number in the header, or the number of the next block, is another one.
    #[error("block {number} cannot be stored under number {given}, the height is {height}")]
    WrongNumber {
        /// The number in its header.
        number: u64,
        /// The number under which it was given.
        given: u64,
        /// Blocks that are stored.
        height: u64,
    },
    /// The block does not follow the newest one.
    #[error("block {number} names another previous block than the one stored here")]
    WrongPrevious {
        /// Its number.
        number: u64,
    },
    /// Another block has this number.
    #[error("block {number} is stored already with another header: the chain would fork")]
    Fork {
        /// Its number.
        number: u64,
    },
    /// The blocks that were fetched do not lead to the one that must follow from them.
    #[error("block {number} is not the one that the state of this node follows from")]
    WrongTip {
        /// Its number.
        number: u64,
    },
    /// A certificate for a block that is not here.
    #[error("block {number} cannot be certified, the height is {height}")]
    NotStored {
        /// Its number.
        number: u64,
        /// Blocks that are stored.
        height: u64,
    },
}

impl LedgerError {
    /// Met while a stored block was read: are its bytes not there any more as they were written? Reading again does not help;
    /// the block has to come from elsewhere.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Malformed { .. } => true,
            // A file that was cut short or taken away, and a disk that cannot give what it holds.
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
                    || source.raw_os_error() == Some(EIO)
            }
            _ => false,
        }
    }
}

/// "Input/output error" on Linux; the standard library has no name for it.
const EIO: i32 = 5;
