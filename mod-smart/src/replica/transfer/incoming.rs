//! The chunks of one state: which are here, who is asked for which, and who may be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::checkpoint::{Manifest, StableCheckpoint};
use crate::id::{InstanceId, ReplicaId, Time};
use crate::limits::{CHUNKS_ASKED_MAX, CHUNKS_ASKED_PER_HELPER_MAX};

/// A state of which some chunks are here. Every chunk is here, asked for, or missing.
#[derive(Debug)]
pub(super) struct Incoming {
    checkpoint: StableCheckpoint,
    manifest: Manifest,
    chunks: BTreeMap<u32, Bytes>,
    /// Whom we asked for a chunk, and until when we wait for it.
    asked: BTreeMap<u32, (ReplicaId, Time)>,
    missing: BTreeSet<u32>,
    helpers: BTreeMap<ReplicaId, Helper>,
    /// When the last chunk came.
    progress: Time,
    /// When there may be something new to do though nothing came.
    due: Time,
    /// How long to wait for a chunk.
    patience: Duration,
}

/// A replica that may have the state.
#[derive(Clone, Copy, Debug, Default)]
struct Helper {
    /// Times it let us wait since it last helped.
    failures: u32,
    /// It gave a wrong chunk, or has a newer state in the place of this one: it is asked no more.
    is_useless: bool,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// It is here already, or nobody asked this replica for it.
    Unasked,
    /// It is not what the manifest names.
    Wrong,
    /// It was kept.
    Right,
}

impl Incoming {
    pub(super) fn new(now: Time, patience: Duration, checkpoint: StableCheckpoint, manifest: Manifest) -> Self {
        let missing = (0..manifest.chunks() as u32).collect();
        Self {
            checkpoint,
            manifest,
            chunks: BTreeMap::new(),
            asked: BTreeMap::new(),
            missing,
            helpers: BTreeMap::new(),
            progress: now,
            due: now.after(patience),
            patience,
        }
    }

    pub(super) const fn instance(&self) -> InstanceId {
        self.checkpoint.instance()
    }

    pub(super) const fn deadline(&self) -> Time {
        self.due
    }

    /// Did a chunk come not long ago, and is there anybody left to ask for the next?
    pub(super) fn is_progressing(&self, now: Time) -> bool {
        let has_helper = self.helpers.values().any(|helper| !helper.is_useless);
        has_helper && now < self.progress.after(self.patience * STALLED)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.chunks.len() == self.manifest.chunks()
    }

    /// Takes over what an earlier state has in common with this one.
    pub(super) fn reuse(&mut self, earlier: Option<Self>) {
        let Some(earlier) = earlier else { return };
        for (index, chunk) in earlier.chunks {
            if self.manifest.chunk(index) == earlier.manifest.chunk(index) && self.missing.remove(&index) {
                self.chunks.insert(index, chunk);
            }
        }
    }

    /// This replica has delivered what the state stands for, so it may have it.
    pub(super) fn meet(&mut self, helper: ReplicaId) {
        self.helpers.entry(helper).or_default();
    }

    /// This replica says that it has the state.
    pub(super) fn trust_again(&mut self, helper: ReplicaId) {
        self.helpers.entry(helper).or_default().failures = 0;
    }

    /// This replica says that it has a newer state. Says whether it was asked for a chunk of this one.
    pub(super) fn is_gone(&mut self, helper: ReplicaId) -> bool {
        let is_asked = self.asked.values().any(|(asked, _)| *asked == helper);
        if is_asked {
            self.dismiss(helper);
        }
        is_asked
    }

    fn dismiss(&mut self, helper: ReplicaId) {
        self.helpers.entry(helper).or_default().is_useless = true;
        self.give_up(|(asked, _)| *asked == helper);
    }

    /// Takes a chunk if it is the right one. A wrong one makes its sender a liar, if it was asked.
    pub(super) fn take(&mut self, now: Time, sender: ReplicaId, index: u32, chunk: Bytes) -> Checked {
        let is_asked = self.asked.get(&index).is_some_and(|(helper, _)| *helper == sender);
        if !is_asked && !self.missing.contains(&index) && !self.asked.contains_key(&index) {
            return Checked::Unasked;
        }
        if !self.manifest.has(index, &chunk) {
            if !is_asked {
                return Checked::Unasked;
            }
            self.dismiss(sender);
            return Checked::Wrong;
        }
        self.asked.remove(&index);
        self.missing.remove(&index);
        self.chunks.insert(index, chunk);
        self.trust_again(sender);
        self.progress = now;
        Checked::Right
    }

    /// Waits no longer for what has not come in time.
    pub(super) fn expire(&mut self, now: Time) {
        let late: BTreeSet<ReplicaId> =
            self.asked.values().filter(|(_, until)| *until <= now).map(|(helper, _)| *helper).collect();
        for helper in late {
            self.helpers.entry(helper).or_default().failures += 1;
        }
        self.give_up(|(_, until)| *until <= now);
        self.due = now.after(self.patience);
    }

    /// Whom to ask for what now. Those that let us wait least often are asked, each for a few chunks at once.
    pub(super) fn next_questions(&mut self, now: Time) -> Vec<(ReplicaId, u32)> {
        let mut questions = Vec::new();
        let until = now.after(self.patience);
        while self.asked.len() < CHUNKS_ASKED_MAX
            && let Some(helper) = self.next_helper()
            && let Some(index) = self.missing.pop_first()
        {
            self.asked.insert(index, (helper, until));
            questions.push((helper, index));
        }
        let first = self.asked.values().map(|(_, until)| *until).min();
        self.due = first.unwrap_or(until);
        questions
    }

    fn next_helper(&self) -> Option<ReplicaId> {
        let useful = || self.helpers.iter().filter(|(_, helper)| !helper.is_useless);
        let fewest = useful().map(|(_, helper)| helper.failures).min()?;
        let best = useful().filter(|(_, helper)| helper.failures == fewest);
        let load = |id: ReplicaId| self.asked.values().filter(|(helper, _)| *helper == id).count();
        best.map(|(id, _)| (load(*id), *id))
            .min()
            .filter(|(load, _)| *load < CHUNKS_ASKED_PER_HELPER_MAX)
            .map(|(_, id)| id)
    }

    fn give_up(&mut self, is_hopeless: impl Fn(&(ReplicaId, Time)) -> bool) {
        let missing = &mut self.missing;
        self.asked.retain(|index, asked| {
            let is_hopeless = is_hopeless(asked);
            if is_hopeless {
                missing.insert(*index);
            }
            !is_hopeless
        });
    }

    /// The whole state, with what proves it.
    pub(super) fn into_state(self) -> (StableCheckpoint, Manifest, Bytes) {
        let mut state = BytesMut::with_capacity(self.chunks.values().map(Bytes::len).sum());
        for chunk in self.chunks.into_values() {
            state.extend_from_slice(&chunk);
        }
        (self.checkpoint, self.manifest, state.freeze())
    }
}

/// A transfer is stalled when nothing came for so many times the patience for a chunk.
const STALLED: u32 = 3;
