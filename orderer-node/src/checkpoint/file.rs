//! The two kinds of files of a checkpoint, and their bytes.
//!
//! ```text
//! state:       magic 8 | version u32 | group 32 | instance u64 | origin u32 | length u64 | state | checksum u32
//! certificate: magic 8 | version u32 | group 32 | instance u64 | origin u32 | length u64 | certificate | checksum u32
//! ```
//!
//! `state` is that of [`mod_smart::checkpoint::join_state`]. The checksum (CRC-32C) covers everything before it. A file is
//! written under a temporary name, synced, renamed, and its name synced: it has its name only when it is whole.

use std::sync::Arc;

use bytes::Bytes;
use mod_smart::codec::{CodecError, Reader};
use mod_smart::{GroupId, InstanceId};

use crate::disk::{Disk, DiskError, DiskFile};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    State,
    Certificate,
}

/// Where a state comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This replica took it, when the checkpoint's mark was durable in its journal.
    Ours,
    /// It was taken over from others, or the journal that it belongs to is lost.
    Others,
}

/// A file and its content.
pub(super) struct Content {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) origin: Origin,
    pub(super) bytes: Bytes,
}

/// What can be wrong with the content of a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Defect {
    #[error("{0} bytes are no such file")]
    Size(u64),
    #[error("its checksum does not match")]
    Checksum,
    #[error("it does not begin as such a file")]
    Magic,
    #[error("its format version is {0}; this program reads version {VERSION}")]
    Version(u32),
    #[error("it holds the one after instance {0}")]
    Name(InstanceId),
    #[error("{0}")]
    Codec(#[from] CodecError),
    #[error("it is not the state that a quorum signed")]
    NotTheQuorums,
}

/// Why a file is not used.
#[derive(Debug)]
pub(super) enum Unusable {
    Disk(DiskError),
    OtherGroup(GroupId),
    Defect(Defect),
}

impl From<DiskError> for Unusable {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<Defect> for Unusable {
    fn from(defect: Defect) -> Self {
        Self::Defect(defect)
    }
}

impl From<CodecError> for Unusable {
    fn from(error: CodecError) -> Self {
        Self::Defect(error.into())
    }
}

impl Kind {
    const fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::State => b"bftchkp\n",
            Self::Certificate => b"bftstbl\n",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::State => "checkpoint-",
            Self::Certificate => "stable-",
        }
    }

    /// The name of the file about this instance.
    pub(super) fn name(self, instance: InstanceId) -> String {
        format!("{}{:020}", self.prefix(), instance.0)
    }

    /// The instance that a file with this name is about, if it is of this kind.
    pub(super) fn parse(self, file: &str) -> Option<InstanceId> {
        let instance = InstanceId(file.strip_prefix(self.prefix())?.parse().ok()?);
        (self.name(instance) == file).then_some(instance)
    }

    /// Makes a file durable, in place of what stood under its name. Gives the file.
    ///
    /// # Errors
    /// The disk fails: the old file stands there, or the new one already.
    pub(super) fn write(
        self,
        disk: &dyn Disk,
        group: GroupId,
        (instance, origin): (InstanceId, Origin),
        content: &[u8],
    ) -> Result<Arc<dyn DiskFile>, DiskError> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend_from_slice(self.magic());
        head.extend_from_slice(&VERSION.to_be_bytes());
        head.extend_from_slice(&group.0);
        head.extend_from_slice(&instance.0.to_be_bytes());
        head.extend_from_slice(&(origin as u32).to_be_bytes());
        head.extend_from_slice(&(content.len() as u64).to_be_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&head), content).to_be_bytes();
        let (name, temporary) = (self.name(instance), format!("{}{TEMPORARY}", self.name(instance)));
        disk.remove(&temporary)?;
        let file = disk.create(&temporary)?;
        file.write_at(0, &head)?;
        file.write_at(HEAD_BYTES as u64, content)?;
        file.write_at((HEAD_BYTES + content.len()) as u64, &checksum)?;
        file.sync()?;
        disk.rename(&temporary, &name)?;
        disk.sync_names()?;
        Ok(file)
    }

    /// Reads a file whole and checks it.
    pub(super) fn read(
        self,
        disk: &dyn Disk,
        group: GroupId,
        instance: InstanceId,
        bytes_max: u64,
    ) -> Result<Content, Unusable> {
        let file = disk.open(&self.name(instance))?;
        let bytes = file.len()?;
        if bytes > bytes_max.saturating_add(OVERHEAD_BYTES) || bytes < OVERHEAD_BYTES {
            return Err(Defect::Size(bytes).into());
        }
        let mut content = vec![0; bytes as usize];
        file.read_at(0, &mut content)?;
        let content = Bytes::from(content);
        let (body, checksum) = (content.slice(..content.len() - 4), content.slice(content.len() - 4..));
        let mut reader = Reader::new(body.clone());
        if reader.array::<8>()? != *self.magic() {
            return Err(Defect::Magic.into());
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(Defect::Version(version).into());
        }
        if crc32c::crc32c(&body).to_be_bytes() != checksum[..] {
            return Err(Defect::Checksum.into());
        }
        let (found, named) = (GroupId(reader.array()?), InstanceId(reader.u64()?));
        if found != group {
            return Err(Unusable::OtherGroup(found));
        }
        if named != instance {
            return Err(Defect::Name(named).into());
        }
        let origin = match reader.u32()? {
            0 => Origin::Ours,
            1 => Origin::Others,
            _ => return Err(Defect::Magic.into()),
        };
        if reader.u64()? != reader.left() as u64 {
            return Err(CodecError::Truncated.into());
        }
        Ok(Content { file, origin, bytes: body.slice(HEAD_BYTES..) })
    }
}

/// Was this file left behind by a saving that was interrupted?
pub(super) fn is_left_behind(file: &str) -> bool {
    let kinds = [Kind::State, Kind::Certificate];
    kinds.iter().any(|kind| file.strip_suffix(TEMPORARY).is_some_and(|name| kind.parse(name).is_some()))
}

/// Where the content begins.
pub(super) const HEAD_BYTES: usize = 8 + 4 + 32 + 8 + 4 + 8;

const OVERHEAD_BYTES: u64 = HEAD_BYTES as u64 + 4;
const VERSION: u32 = 2;
const TEMPORARY: &str = ".new";
