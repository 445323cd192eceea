//! The ledgers of this node's channels on disk: opened, set aside when they are damaged, thrown away when a channel is
//! removed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fabric_proto::ChannelId;
use frontend_shim::ledger::{Ledger, LedgerError};

use super::Inner;
use super::store::Kept;

impl Inner {
    pub(super) fn ledger_dir(&self, id: &ChannelId) -> PathBuf {
        self.data_dir.join("ledger").join(id.as_str())
    }

    /// Opens the ledger of a channel. One that is damaged is set aside whole, for none of it can be relied on: its blocks are
    /// fetched from other nodes then, as after the loss of a disk.
    pub(super) fn open_ledger(&self, id: &ChannelId) -> anyhow::Result<Ledger> {
        let dir = self.ledger_dir(id);
        match Ledger::open(&dir) {
            Err(damage @ LedgerError::Damaged { .. }) => {
                let to = self.set_ledger_aside(id, DAMAGED)?;
                let (damage, to) = (damage.to_string(), to.display());
                tracing::error!(channel = %id, damage, "the ledger is damaged; it was moved to {to}, and its blocks are fetched from other nodes");
                Ok(Ledger::open(&dir)?)
            }
            opened => Ok(opened?),
        }
    }

    pub(super) fn finish_removals(&self, kept: &Kept) -> anyhow::Result<()> {
        let dir = self.data_dir.join(REMOVED);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
        }
        kept.removing.iter().try_for_each(|id| self.finish_removal(id))
    }

    /// Deletes the blocks of a channel. They are moved aside first, so that the place is free for a channel of the same name
    /// even while somebody still reads from an open file.
    pub(super) fn finish_removal(&self, id: &ChannelId) -> anyhow::Result<()> {
        self.throw_away_ledger(id)?;
        Ok(self.store.end_removal(id)?)
    }

    pub(super) fn throw_away_ledger(&self, id: &ChannelId) -> anyhow::Result<()> {
        if !self.ledger_dir(id).exists() {
            return Ok(());
        }
        let to = self.set_ledger_aside(id, REMOVED)?;
        std::fs::remove_dir_all(&to).with_context(|| format!("cannot delete {}", to.display()))
    }

    /// Moves the ledger of a channel to a folder of its own below this one.
    fn set_ledger_aside(&self, id: &ChannelId, folder: &str) -> anyhow::Result<PathBuf> {
        let (from, aside) = (self.ledger_dir(id), self.data_dir.join(folder));
        std::fs::create_dir_all(&aside).with_context(|| format!("cannot create {}", aside.display()))?;
        let to = unused_name(&aside, id);
        std::fs::rename(&from, &to).with_context(|| format!("cannot move {} aside", from.display()))?;
        Ok(to)
    }
}

/// A name below `dir` that nothing has yet.
fn unused_name(dir: &Path, id: &ChannelId) -> PathBuf {
    let free = (0_u64..).map(|number| dir.join(format!("{id}.{number}"))).find(|path| !path.exists());
    free.unwrap_or_else(|| dir.join(id.as_str()))
}

/// Where damaged ledgers are kept, for whoever wants to know what happened.
const DAMAGED: &str = "damaged";

/// Where ledgers are moved before they are deleted.
const REMOVED: &str = "removed";
