//! Faults: what failed in this node's own surroundings and stops it, with one clear line.

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
