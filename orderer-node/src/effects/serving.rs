//! What other replicas ask for is read beside the task and sent: decisions out of the journal, chunks of checkpoints.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mod_smart::limits::{BODIES_PER_MESSAGE_BYTES_MAX, DECISIONS_PER_MESSAGE_MAX};
use mod_smart::{InstanceId, Message, ReplicaId};
use tokio::sync::Semaphore;

use crate::checkpoint::{CheckpointError, CheckpointStore};
use crate::journal::{JournalError, JournalReader};
use crate::mesh::MeshHandle;

/// Reads for other replicas.
#[derive(Debug)]
pub struct Serving {
    mesh: MeshHandle,
    decisions: JournalReader,
    checkpoints: Arc<CheckpointStore>,
    /// Readings under way, by who asked: one replica that asks too much does not keep the others waiting.
    readings: BTreeMap<ReplicaId, Arc<Semaphore>>,
    damage: Arc<DamageSeen>,
}

/// Damage that was noticed while something was read for another replica, for log lines and status displays. What is
/// damaged is never sent. The journal is repaired from others at the next start.
#[derive(Debug, Default)]
pub struct DamageSeen {
    count: AtomicU64,
    last: Mutex<Option<String>>,
}

impl DamageSeen {
    /// How often damage was met, and what the last line said.
    #[must_use]
    pub fn read(&self) -> (u64, Option<String>) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.count.load(Ordering::Relaxed), last)
    }

    /// Notes it, and says so in a log line: the first time, and then ever more rarely.
    fn note(&self, what: &str) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_owned());
        if count.is_power_of_two() {
            tracing::error!(count, "what was durable is damaged, and is not given to others: {what}");
        }
    }
}

impl Serving {
    /// Reads out of these.
    #[must_use]
    pub fn new(
        mesh: MeshHandle,
        decisions: JournalReader,
        checkpoints: Arc<CheckpointStore>,
        damage: Arc<DamageSeen>,
    ) -> Self {
        Self { mesh, decisions, checkpoints, readings: BTreeMap::new(), damage }
    }

    /// Sends decisions from `from` on, as many as one message takes.
    pub fn send_decisions(&mut self, to: ReplicaId, from: InstanceId) {
        let (decisions, mesh, damage) = (self.decisions.clone(), self.mesh.clone(), Arc::clone(&self.damage));
        self.read(to, move || {
            match decisions.read_decisions(from, BODIES_PER_MESSAGE_BYTES_MAX, DECISIONS_PER_MESSAGE_MAX) {
                Ok(batches) if batches.is_empty() => tracing::debug!(%to, %from, "asked for decisions not kept here"),
                Ok(batches) => mesh.send(to, &Message::Decisions(batches).encode()),
                Err(error @ JournalError::NotKept { .. }) => tracing::debug!(%to, %from, %error, "asked for decisions"),
                Err(error) if error.is_damage() => damage.note(&error.to_string()),
                Err(error) => tracing::error!(%error, %from, "cannot read decisions for replica {to}"),
            }
        });
    }

    /// Sends one chunk of a checkpoint, if that is still kept.
    pub fn send_chunk(&mut self, to: ReplicaId, instance: InstanceId, index: u32) {
        let (checkpoints, mesh, damage) = (Arc::clone(&self.checkpoints), self.mesh.clone(), Arc::clone(&self.damage));
        self.read(to, move || match checkpoints.read_chunk(instance, index) {
            Ok(Some(chunk)) => mesh.send(to, &Message::Chunk(instance, index, chunk).encode()),
            Ok(None) => tracing::debug!(%to, %instance, index, "asked for a chunk not kept here"),
            Err(error @ CheckpointError::Damaged { .. }) => damage.note(&error.to_string()),
            Err(error) => tracing::error!(%error, %instance, "cannot read a checkpoint for replica {to}"),
        });
    }

    /// Whoever asks for more at a time than is read at a time asks again.
    fn read(&mut self, to: ReplicaId, reading: impl FnOnce() + Send + 'static) {
        let places = self.readings.entry(to).or_insert_with(|| Arc::new(Semaphore::new(READINGS_MAX)));
        let Ok(place) = Arc::clone(places).try_acquire_owned() else { return };
        tokio::task::spawn_blocking(move || {
            reading();
            drop(place);
        });
    }
}

/// Readings under way for one replica.
const READINGS_MAX: usize = 16;
