//! What a replica was when its node stopped: the newest checkpoint, and the journal after it.
//!
//! A replica whose journal is whole says again what it had said and goes on. One whose journal is damaged or lost may have
//! signed what it does not know of any more: the damaged journal is moved aside, nothing of it is believed, and the
//! replica begins silent from its newest durable checkpoint, to be repaired from the others (protocol.md, "Durability").
//! Nobody can tell an empty disk from a lost one, so a new replica begins in the same way; if all of a quorum are new,
//! they find that out from each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use aws_lc_rs::rand;
use blockcutter::Ordering;
use mod_smart::{Action, Limits, Recovered, Replica, ReplicaId, View};
use tokio::sync::mpsc;

use super::past::{self, Useless, instance_of};
use crate::application::Application;
use crate::block_catch_up::BlockCatchUp;
use crate::checkpoint::{CheckpointStore, Found};
use crate::clock::Clock;
use crate::disk::{DirDisk, Disk};
use crate::effects::Asked;
use crate::joined::JoinedChannels;
use crate::journal::{self, Durability, Journal, JournalOptions, Replay};
use crate::judge::InForce;
use crate::left_over::LeftOvers;
use crate::signer::SigningJob;

/// Who recovers, and from where.
pub(super) struct Recovery {
    pub(super) me: ReplicaId,
    pub(super) view: View,
    pub(super) limits: Limits,
    /// Checkpoints are a folder in this one.
    pub(super) dir: PathBuf,
    pub(super) journal_dir: PathBuf,
    pub(super) durability: Durability,
    /// What the application needs.
    pub(super) channels: JoinedChannels,
    pub(super) signing: mpsc::Sender<SigningJob>,
    pub(super) catch_up: BlockCatchUp,
    pub(super) clock: Clock,
    pub(super) in_force: InForce,
    pub(super) left_overs: LeftOvers,
}

/// What there is to go on with.
pub(super) struct Restored {
    pub(super) replica: Replica,
    pub(super) application: Application,
    pub(super) journal: Journal,
    pub(super) checkpoints: CheckpointStore,
    /// What the replica says before anything new.
    pub(super) said: Vec<Action>,
    /// The newest checkpoint that was passed on the way and is not durable.
    pub(super) asked: Option<Asked>,
}

/// A replica and its application as they stand after the replay.
struct Replayed {
    recovered: Recovered,
    application: Application,
    asked: Option<Asked>,
}

impl Recovery {
    /// The newest checkpoint, then every decision after it, executed again. Blocks that are stored already are compared,
    /// the others are signed and stored.
    ///
    /// # Errors
    /// The disk fails, what is on it belongs to another group, version or history, or it cannot be repaired from others
    /// because there are none.
    pub(super) async fn run(self) -> anyhow::Result<Restored> {
        let group = self.view.group();
        let (checkpoints, opened) = CheckpointStore::open(disk(&self.dir.join("checkpoints"))?, group)?;
        for damaged in &opened.damaged {
            let (file, reason) = (&damaged.file, &damaged.reason);
            tracing::error!(file, reason, "a file of a checkpoint is damaged and is not used");
        }
        let newest = opened.newest;
        let disk = disk(&self.journal_dir)?;
        let useless = match past::open(&disk, group, self.journal_options(), newest.as_ref())? {
            Err(useless) => useless,
            Ok((journal, replay)) => match self.replay(newest.as_ref(), replay).await? {
                Ok(Replayed { recovered, application, asked }) => {
                    let mut said = Vec::new();
                    let replica = recovered.finish(&mut said);
                    // Its mark may have been lost, which is then being written again.
                    let asked = asked.filter(|asked| journal.reader().has_mark(asked.checkpoint.instance));
                    tracing::info!(%group, checkpoint = %instance_of(newest.as_ref()), delivered = %replica.delivered(),
                        regency = %replica.regency(), pending = replica.pending().0, "recovered the ordering group");
                    return Ok(Restored { replica, application, journal, checkpoints, said, asked });
                }
                Err(useless) => {
                    drop(journal);
                    useless
                }
            },
        };
        self.begin_silent(&disk, (checkpoints, newest), &useless)
    }

    /// Begins with what others have to tell.
    fn begin_silent(
        &self,
        disk: &Arc<dyn Disk>,
        (checkpoints, newest): (CheckpointStore, Option<Found>),
        useless: &Useless,
    ) -> anyhow::Result<Restored> {
        let (group, at) = (self.view.group(), instance_of(newest.as_ref()));
        match useless {
            Useless::Damaged(what) => {
                let prefix = journal::set_aside(&**disk, group)?;
                tracing::error!(dir = %self.journal_dir.display(), checkpoint = %at,
                    "{what}. The journal was moved aside whole, to files that begin with {prefix}: this replica may have forgotten what it signed, and stays silent until the others have repaired it");
            }
            Useless::Empty if newest.is_some() => tracing::error!(dir = %self.journal_dir.display(),
                checkpoint = %at, "there is a checkpoint but no journal: it was lost, and this replica stays silent until the others have repaired it"),
            Useless::Empty => tracing::info!(%group,
                "nothing is stored here: this replica is new, or its disk was lost; it asks the others"),
        }
        if let Some(found) = &newest {
            checkpoints.disown(found)?;
        }
        let (journal, _) = Journal::open(Arc::clone(disk), group, self.journal_options(), at)?;
        let Replayed { recovered, application, .. } = self.restore(newest.as_ref())?;
        let mut said = Vec::new();
        let replica = recovered.finish_silent(nonce()?, &mut said);
        Ok(Restored { replica, application, journal, checkpoints, said, asked: None })
    }

    async fn replay(&self, newest: Option<&Found>, replay: Replay) -> anyhow::Result<Result<Replayed, Useless>> {
        let mut replayed = self.restore(newest)?;
        let mut actions = Vec::new();
        for record in replay {
            let record = match record {
                Ok(record) => record,
                Err(error) if error.is_damage() => return Ok(Err(Useless::Damaged(error.to_string()))),
                Err(error) => return Err(error.into()),
            };
            if let Err(error) = replayed.recovered.replay(record, &mut actions) {
                return Ok(Err(Useless::Damaged(error.to_string())));
            }
            for action in actions.drain(..) {
                match action {
                    Action::Deliver(decision) => replayed.application.deliver(decision).await?,
                    Action::TakeCheckpoint { instance, sessions } => {
                        replayed.asked = Some(Asked::now(instance, sessions, &replayed.application));
                    }
                    _ => {}
                }
            }
        }
        Ok(Ok(replayed))
    }

    /// What stands at the checkpoint, before anything is replayed.
    fn restore(&self, newest: Option<&Found>) -> anyhow::Result<Replayed> {
        let restored = newest.map(|found| mod_smart::Restored {
            instance: found.checkpoint.instance,
            sessions: found.checkpoint.sessions.clone(),
            manifest: found.manifest.clone(),
            stable: found.stable.clone(),
            older: found.older.clone(),
        });
        let recovered = Recovered::new(self.me, self.view.clone(), self.limits.clone(), restored)?;
        let ordering = match newest {
            Some(found) => Ordering::restore(self.view.clone(), found.checkpoint.application.clone())?,
            None => Ordering::new(self.view.clone()),
        };
        let (channels, signing) = (self.channels.clone(), self.signing.clone());
        let application = Application::new(
            ordering,
            channels,
            signing,
            self.catch_up.clone(),
            self.clock.clone(),
            self.in_force.clone(),
            self.left_overs.clone(),
        )?;
        for (channel, height) in application.ledgers() {
            let ledger = &channel.ledger;
            anyhow::ensure!(
                ledger.height() >= height || self.view.n() > 1,
                "a ledger holds {} blocks, but the newest checkpoint was taken after {height}: blocks were lost or removed, and there is no other node to fetch them from",
                ledger.height()
            );
        }
        Ok(Replayed { recovered, application, asked: None })
    }

    fn journal_options(&self) -> JournalOptions {
        JournalOptions { durability: self.durability, ..JournalOptions::default() }
    }
}

fn disk(path: &Path) -> anyhow::Result<Arc<dyn Disk>> {
    Ok(Arc::new(DirDisk::open(path).with_context(|| format!("cannot use folder {}", path.display()))?))
}

/// A number that no earlier question of this replica had.
fn nonce() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).context("the system gives no randomness")?;
    Ok(u64::from_be_bytes(bytes))
}
