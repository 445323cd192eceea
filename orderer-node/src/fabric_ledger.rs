//! Reading the block files of Fabric's orderers: what a node finds that takes the place of one.
//!
//! Facts (Fabric v2.5 and v3.1, `common/ledger/blkstorage`): below `FileLedger.Location`, `chains/<channel>/` holds
//! `blockfile_000000` and those after it. A file is a sequence of blocks, each the varint of its length and so many bytes:
//!
//! ```text
//! number, data hash, previous hash | count, envelopes | count, metadata slots     (varints; bytes with their length before)
//! ```
//! The last file may end in the middle of a block, when the orderer lost power: that block was never used. Files are only
//! read. Every length is checked against what is left before memory is taken for it.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use bytes::{Buf as _, Bytes};
use fabric_proto::ChannelId;
use fabric_proto::common::{Block, BlockData, BlockHeader, BlockMetadata};
use frontend_shim::limits::LEDGER_RECORD_BYTES_MAX;

/// Why block files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FabricLedgerError {
    /// The disk.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Bytes that Fabric does not write.
    #[error("{path}, block at offset {offset}: {what}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where the block begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The chains that an orderer of Fabric keeps in a folder, with the folder of each. Channels whose removal it had begun, and
/// those without any block, are not among them.
///
/// # Errors
/// The folder cannot be read.
pub fn chains(location: &Path) -> Result<Vec<(ChannelId, PathBuf)>, FabricLedgerError> {
    let dir = location.join(CHAINS);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |source| FabricLedgerError::Io { path: dir.clone(), source };
    let mut chains = Vec::new();
    for entry in fs::read_dir(&dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Ok(channel) = ChannelId::new(name) else { continue };
        let is_being_removed = location.join(PENDING_REMOVALS).join(format!("{name}.remove")).exists();
        let has_blocks = fs::metadata(block_file(&path, 0)).is_ok_and(|file| file.len() > 0);
        if has_blocks && !is_being_removed {
            chains.push((channel, path));
        }
    }
    chains.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(chains)
}

/// The blocks of one chain, from the first on.
#[derive(Debug)]
pub struct FabricBlocks {
    dir: PathBuf,
    /// The number of the file that is being read.
    number: u32,
    file: Option<BlockFile>,
}

#[derive(Debug)]
struct BlockFile {
    path: PathBuf,
    reader: BufReader<File>,
    /// Where the next block begins.
    offset: u64,
    len: u64,
    /// No file follows: only here may a block be cut short.
    is_last: bool,
}

impl FabricBlocks {
    /// Those in the folder of a chain, see [`chains`].
    #[must_use]
    pub fn open(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), number: 0, file: None }
    }

    /// Gives up at the first error: what follows it cannot be told apart.
    fn next_block(&mut self) -> Result<Option<Block>, FabricLedgerError> {
        loop {
            let file = match &mut self.file {
                Some(file) => file,
                none => match BlockFile::open(&self.dir, self.number)? {
                    Some(file) => none.insert(file),
                    None => return Ok(None),
                },
            };
            if let Some(block) = file.next_block()? {
                return Ok(Some(block));
            }
            self.number += 1;
            self.file = None;
        }
    }
}

impl Iterator for FabricBlocks {
    type Item = Result<Block, FabricLedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_block().transpose()
    }
}

impl BlockFile {
    fn open(dir: &Path, number: u32) -> Result<Option<Self>, FabricLedgerError> {
        let path = block_file(dir, number);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(FabricLedgerError::Io { path, source }),
        };
        let len = file.metadata().map_err(|source| FabricLedgerError::Io { path: path.clone(), source })?.len();
        let is_last = !block_file(dir, number + 1).exists();
        Ok(Some(Self { path, reader: BufReader::new(file), offset: 0, len, is_last }))
    }

    fn next_block(&mut self) -> Result<Option<Block>, FabricLedgerError> {
        let left = self.len - self.offset;
        if left == 0 {
            return Ok(None);
        }
        let Some((length, prefix)) = self.read_length(left)? else { return self.torn(left) };
        if length > LEDGER_RECORD_BYTES_MAX as u64 {
            return Err(self.malformed("it is longer than any block may be"));
        }
        if length > left - prefix {
            return self.torn(left);
        }
        let mut bytes = vec![0; length as usize];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|source| FabricLedgerError::Io { path: self.path.clone(), source })?;
        let block = read_block(bytes.into()).map_err(|what| self.malformed(what))?;
        self.offset += prefix + length;
        Ok(Some(block))
    }

    /// The varint before a block, and how long it is. None if the file ends within it.
    fn read_length(&mut self, left: u64) -> Result<Option<(u64, u64)>, FabricLedgerError> {
        let (mut length, mut read) = (0, 0);
        while read < left {
            let mut byte = [0];
            self.reader
                .read_exact(&mut byte)
                .map_err(|source| FabricLedgerError::Io { path: self.path.clone(), source })?;
            length |= u64::from(byte[0] & 0x7f) << (7 * read);
            read += 1;
            if byte[0] & 0x80 == 0 {
                return Ok(Some((length, read)));
            }
            if read == LENGTH_BYTES_MAX {
                return Err(self.malformed("its length is not a number"));
            }
        }
        Ok(None)
    }

    fn torn(&self, bytes: u64) -> Result<Option<Block>, FabricLedgerError> {
        if !self.is_last {
            return Err(self.malformed("it is cut short, and another file follows"));
        }
        let (file, offset) = (self.path.display(), self.offset);
        tracing::warn!(%file, offset, bytes, "the last block in a block file is cut short: it is left out, as Fabric does");
        Ok(None)
    }

    fn malformed(&self, what: &'static str) -> FabricLedgerError {
        FabricLedgerError::Malformed { path: self.path.clone(), offset: self.offset, what }
    }
}

/// A block in Fabric's own serialization.
fn read_block(mut bytes: Bytes) -> Result<Block, &'static str> {
    let number = varint(&mut bytes).ok_or("it has no number")?;
    let data_hash = slice(&mut bytes).ok_or("it has no data hash")?;
    let previous_hash = slice(&mut bytes).ok_or("it has no previous hash")?;
    let data = list(&mut bytes).ok_or("its data is cut short")?;
    let metadata = list(&mut bytes).ok_or("its metadata is cut short")?;
    if !bytes.is_empty() {
        return Err("something follows it within its length");
    }
    Ok(Block {
        header: Some(BlockHeader { number, previous_hash, data_hash }),
        data: Some(BlockData { data }),
        metadata: Some(BlockMetadata { metadata }),
    })
}

fn list(bytes: &mut Bytes) -> Option<Vec<Bytes>> {
    let count = varint(bytes)?;
    // Each takes at least the byte of its length, so nothing is allocated for what is not there.
    (0..count).map(|_| slice(bytes)).collect()
}

fn slice(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(varint(bytes)?).ok()?;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

fn varint(bytes: &mut Bytes) -> Option<u64> {
    let mut value: u64 = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.has_remaining().then(|| bytes.get_u8())?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn block_file(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("blockfile_{number:06}"))
}

/// Where an orderer keeps its chains.
const CHAINS: &str = "chains";

/// Where it notes channels whose removal has begun.
const PENDING_REMOVALS: &str = "pendingops/remove";

/// Bytes of a block's length that Fabric looks at.
const LENGTH_BYTES_MAX: u64 = 8;

#[cfg(test)]
mod tests;
