//! Keeping what recovery starts from: checkpoints of our own, certificates, and states taken over from others.

use std::sync::Arc;

use bytes::Bytes;
use mod_smart::{Event, InstanceId, StableCheckpoint};
use tokio::sync::mpsc;

use crate::application::Application;
use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::fault::{Fault, Faults};
use crate::joined::JoinedChannel;
use crate::journal::Truncator;
use crate::left_over::LeftOvers;

/// Keeps checkpoints and lets go of the journal before them. All of it happens beside the task.
#[derive(Debug)]
pub struct Keeping {
    checkpoints: Arc<CheckpointStore>,
    truncator: Truncator,
    /// Held by whoever saves a checkpoint of our own at the moment.
    saving: Arc<tokio::sync::Mutex<()>>,
    /// Where the replica hears what was done.
    own: mpsc::Sender<Event>,
    faults: Faults,
}

/// A checkpoint that was asked for, with what must be kept elsewhere before it stands in for the decisions behind it.
#[derive(Debug)]
pub struct Asked {
    /// The state.
    pub checkpoint: Checkpoint,
    /// The channels whose ledgers must hold every block it speaks of, with the height of each.
    pub ledgers: Vec<(Arc<JoinedChannel>, u64)>,
    /// Where goes what channels have left over that moved, and how often that has happened.
    pub left_overs: (LeftOvers, u64),
}

impl Asked {
    /// Takes a snapshot of the application now, in its place in the order.
    #[must_use]
    pub fn now(instance: InstanceId, sessions: Bytes, application: &Application) -> Self {
        let checkpoint = Checkpoint { instance, sessions, application: application.snapshot() };
        let left_overs = application.left_overs().clone();
        let taken = left_overs.taken();
        Self { checkpoint, ledgers: application.ledgers(), left_overs: (left_overs, taken) }
    }
}

impl Keeping {
    /// Keeps in this store.
    #[must_use]
    pub fn new(
        checkpoints: Arc<CheckpointStore>,
        truncator: Truncator,
        own: mpsc::Sender<Event>,
        faults: Faults,
    ) -> Self {
        Self { checkpoints, truncator, saving: Arc::default(), own, faults }
    }

    /// Can a checkpoint be taken now? While one is being saved the next is skipped: recovery starts from an older one then.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.saving.try_lock().is_ok()
    }

    /// Makes a checkpoint of our own durable, once every block it speaks of is in its ledger and synced, for recovery
    /// replays nothing before it.
    pub fn save(&self, asked: Asked) {
        let Ok(saving) = Arc::clone(&self.saving).try_lock_owned() else { return };
        let (store, own, faults) = (Arc::clone(&self.checkpoints), self.own.clone(), self.faults.clone());
        tokio::spawn(async move {
            let Asked { checkpoint, ledgers, left_overs: (left_overs, taken) } = asked;
            let instance = checkpoint.instance;
            left_overs.are_passed_on(taken).await;
            let mut stored = Vec::new();
            for (channel, height) in &ledgers {
                // One that is removed meanwhile needs no blocks any more.
                if channel.is_stored(*height).await {
                    stored.push(Arc::clone(&channel.ledger));
                }
            }
            let save = move || {
                stored.iter().try_for_each(|ledger| ledger.sync())?;
                Ok(store.save(&checkpoint)?)
            };
            if let Some(manifest) = blocking(save, &faults).await {
                tracing::debug!(%instance, "a checkpoint is durable");
                drop(saving);
                drop(own.send(Event::CheckpointTaken { instance, manifest }).await);
            }
        });
    }

    /// Keeps a certificate beside its state.
    pub fn keep_stable(&self, stable: StableCheckpoint) {
        let (store, faults) = (Arc::clone(&self.checkpoints), self.faults.clone());
        tokio::spawn(async move {
            let instance = stable.instance();
            if blocking(move || Ok(store.keep_stable(&stable)?), &faults).await.is_some() {
                tracing::debug!(%instance, "a checkpoint is stable");
            }
        });
    }

    /// Lets go of the journal before a mark.
    pub fn truncate(&self, mark: InstanceId) {
        let (truncator, faults) = (self.truncator.clone(), self.faults.clone());
        tokio::spawn(async move {
            if let Some(segments @ 1..) = blocking(move || Ok(truncator.truncate(mark)?), &faults).await {
                tracing::debug!(%mark, segments, "the journal was truncated");
            }
        });
    }

    /// Lets the application continue from a state of others, in this place in the order: nothing is delivered until the
    /// replica hears that it is durable. Blocks that the ledgers lack are fetched beside all this, and what the
    /// application cuts meanwhile waits behind them. What a loss of power leaves behind is told in [`crate::checkpoint`].
    ///
    /// # Errors
    /// The state is none, although a quorum signed it; or a ledger holds blocks of another history.
    pub fn install(
        &self,
        stable: StableCheckpoint,
        (sessions, snapshot): (Bytes, Bytes),
        application: &mut Application,
    ) -> Result<(), Fault> {
        let instance = stable.instance();
        application.restore(snapshot.clone())?;
        let checkpoint = Checkpoint { instance, sessions, application: snapshot };
        let (store, own, faults) = (Arc::clone(&self.checkpoints), self.own.clone(), self.faults.clone());
        tokio::spawn(async move {
            if blocking(move || Ok(store.install(&stable, &checkpoint)?), &faults).await.is_some() {
                tracing::info!(%instance, "state transfer: done, this replica goes on from the state of the others");
                drop(own.send(Event::StateInstalled(instance)).await);
            }
        });
        Ok(())
    }
}

/// Runs what blocks, and reports what goes wrong.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    faults: &Faults,
) -> Option<T> {
    let fault = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(fault)) => fault,
        Err(_) => Fault::Ended("checkpoint"),
    };
    faults.report(fault);
    None
}
