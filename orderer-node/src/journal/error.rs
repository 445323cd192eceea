//! What can be wrong with a journal.

use mod_smart::{Digest, GroupId, InstanceId};

use crate::disk::DiskError;
use crate::journal::segment;

/// Why the journal cannot be read or written. Almost all of these are faults of the environment; none is repaired silently.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed. If it failed while writing, the journal takes nothing more.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Bytes that were durable are not what was written. Nothing was deleted.
    #[error("{} is damaged at byte {offset}: {reason}; nothing was deleted", segment::name(*.segment))]
    Damaged {
        /// Number of the segment.
        segment: u32,
        /// Where the record begins that is not as it should be; 0 for the head of the segment.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A segment is not there, although it belongs to the journal and a later one is.
    #[error("{} is missing, although a later segment exists", segment::name(*.segment))]
    SegmentMissing {
        /// Number of the segment.
        segment: u32,
    },
    /// The file that says where the journal begins is not what was written.
    #[error("journal.start is damaged: {reason}; nothing was deleted")]
    StartDamaged {
        /// What is wrong with it.
        reason: String,
    },
    /// The file that says where the journal begins was written by another version of this program.
    #[error("journal.start has format version {found}; this program reads version {expected}")]
    StartVersion {
        /// The version it names.
        found: u32,
        /// The version of this program.
        expected: u32,
    },
    /// The file that says where the journal begins is another ordering group's.
    #[error("journal.start does not belong to ordering group {expected}")]
    StartOfOtherGroup {
        /// The group it was opened for.
        expected: GroupId,
    },
    /// What was asked for stood in a part of the journal that was truncated.
    #[error("it stood before {}, where the journal begins now", segment::name(*.first))]
    NotKept {
        /// Number of the first segment that is kept.
        first: u32,
    },
    /// The journal was written by another version of this program.
    #[error("{} has format version {found}; this program reads version {expected}", segment::name(*.segment))]
    Version {
        /// Number of the segment.
        segment: u32,
        /// The version it names.
        found: u32,
        /// The version of this program.
        expected: u32,
    },
    /// The journal belongs to another ordering group.
    #[error("{} belongs to ordering group {found}, not to {expected}", segment::name(*.segment))]
    OtherGroup {
        /// Number of the segment.
        segment: u32,
        /// The group it names.
        found: GroupId,
        /// The group it was opened for.
        expected: GroupId,
    },
    /// A record is larger than a reader would accept, or would make its segment longer than positions can say.
    #[error("a record of {bytes} bytes is too large for the journal")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A decision names a request whose body was never journalled.
    #[error("instance {instance} names request {digest}, whose body is not in the journal")]
    BodyMissing {
        /// The instance.
        instance: InstanceId,
        /// The request.
        digest: Digest,
    },
    /// Every number that a segment can have is used.
    #[error("{} is the last segment there can be", segment::name(u32::MAX))]
    Full,
    /// An earlier write failed: what is on the disk is unknown until the journal is opened again.
    #[error("the journal has stopped after a failed write")]
    Stopped,
}

impl JournalError {
    /// Is what was durable lost or altered? Then this replica may have forgotten what it said. Everything else is a disk
    /// that fails at the moment, or a folder that is not this replica's.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::SegmentMissing { .. } | Self::StartDamaged { .. } | Self::BodyMissing { .. }
        )
    }
}
