//! Faults: what failed in this node's own surroundings and stops it, with one clear line.

use std::error::Error;
use std::io;
use std::sync::Arc;

use fabric_proto::ChannelId;
use frontend_shim::ledger::LedgerError;
use tokio::sync::mpsc;

use crate::checkpoint::CheckpointError;
use crate::credential_store::CredentialError;
use crate::disk_thread::DiskFault;
use crate::journal::JournalError;

/// Why a node cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The journal.
    #[error(transparent)]
    Disk(#[from] DiskFault),
    /// A ledger.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// A ledger could not be made durable.
    #[error("channel {channel}: the ledger cannot be made durable: {error}")]
    Unsynced {
        /// Whose.
        channel: ChannelId,
        /// Why.
        #[source]
        error: Arc<LedgerError>,
    },
    /// A checkpoint.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The journal could not be truncated.
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    /// A state that a quorum signed cannot be read here: this program is not the one that wrote it.
    #[error("the state of the others cannot be restored: {0}")]
    State(#[from] blockcutter::RestoreError),
    /// The credentials of frontends.
    #[error("frontends: {0}")]
    Credentials(#[from] CredentialError),
    /// A block could not be signed.
    #[error("cannot sign blocks: {0}")]
    Signing(String),
    /// Ours differs from what we stored before: a fork inside this node.
    #[error(
        "channel {channel}: block {number} was decided again with another header; the data folder does not belong to this history"
    )]
    Diverged {
        /// The channel.
        channel: String,
        /// The block.
        number: u64,
    },
    /// The administrator joined a channel with another genesis block than the one that a quorum opened it with.
    #[error("channel {channel}: its ordering group opened it with another genesis block than the one joined here")]
    OtherGenesis {
        /// The channel.
        channel: String,
    },
    /// A task that must run for ever ended.
    #[error("the {0} task ended")]
    Ended(&'static str),
}

impl Fault {
    /// Was there no room to write? Then the files are in order, and the node goes on once it is started with room.
    #[must_use]
    pub fn is_lack_of_room(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(found) = cause {
            if found.downcast_ref::<io::Error>().is_some_and(is_lack_of_room) {
                return true;
            }
            cause = found.source();
        }
        false
    }

    /// Says in the log, as the last thing, why this node stops and what its operator can do.
    pub fn log(&self) {
        if self.is_lack_of_room() {
            tracing::error!(fault = %self, "this node stops: there is no room on its disk; nothing is lost, start it again once there is");
        } else {
            tracing::error!(fault = %self, "this node stops");
        }
    }
}

/// A full disk, a quota, or a limit on the size of files.
fn is_lack_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Where faults are reported. The first one counts.
#[derive(Clone, Debug)]
pub struct Faults(mpsc::Sender<Fault>);

impl Faults {
    /// A place to report to, and where the reports come out.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Fault>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Reports a fault. Later ones are dropped: the node is stopping.
    pub fn report(&self, fault: Fault) {
        // Full means that one was reported before; closed, that the node is ending.
        drop(self.0.try_send(fault));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskError;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one_however_deep_it_lies() {
        let disk = |number| DiskError {
            operation: "write",
            path: "journal-000001.log".into(),
            source: io::Error::from_raw_os_error(number),
        };
        let ledger = |number| LedgerError::Io { path: "blocks".into(), source: io::Error::from_raw_os_error(number) };
        let unsynced = |number| {
            let channel = ChannelId::new("ch").expect("a name");
            Fault::Unsynced { channel, error: Arc::new(ledger(number)) }
        };
        for (number, is_lack) in [(ENOSPC, true), (EDQUOT, true), (EFBIG, true), (EIO, false)] {
            let journal = Fault::from(DiskFault::Journal(JournalError::Disk(disk(number))));
            assert_eq!(journal.is_lack_of_room(), is_lack, "{journal}");
            assert_eq!(Fault::from(ledger(number)).is_lack_of_room(), is_lack);
            assert_eq!(unsynced(number).is_lack_of_room(), is_lack);
            assert_eq!(Fault::from(CheckpointError::Disk(disk(number))).is_lack_of_room(), is_lack);
            assert_eq!(Fault::from(CredentialError::Disk(disk(number))).is_lack_of_room(), is_lack);
        }
        assert!(!Fault::Ended("signing").is_lack_of_room());
    }

    const EIO: i32 = 5;
    const EFBIG: i32 = 27;
    const ENOSPC: i32 = 28;
    const EDQUOT: i32 = 122;
}
