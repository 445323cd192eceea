//! What can be wrong with a journal.

use mod_smart::{Digest, GroupId, InstanceId};

use crate::disk::DiskError;
use crate::journal::segment;

/// Why the journal cannot be read or written. All of these are faults of the environment; none is repaired silently.
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
    /// A segment is not there, although a later one is.
    #[error("{} is missing, although a later segment exists", segment::name(*.segment))]
    SegmentMissing {
        /// Number of the segment.
        segment: u32,
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
    /// An earlier write failed: what is on the disk is unknown until the journal is opened again.
    #[error("the journal has stopped after a failed write")]
    Stopped,
}
