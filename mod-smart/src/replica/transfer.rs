//! Taking over a state that the log no longer leads to: a stable checkpoint, chunk by chunk, from several replicas.
//!
//! It begins with the answer to a question of ours, and its certificate proves that a quorum has that state. Every chunk is
//! checked alone, so a liar costs one chunk, and is asked no more. While chunks come, nothing takes the place of this
//! state; when none comes any more, or everybody who had it has a newer one instead, that may replace it: chunks that are
//! the same are kept. Ordinary delivery goes on meanwhile and ends the transfer if it gets there first.

mod incoming;

use bytes::Bytes;

use self::incoming::{Checked, Incoming};
use super::{Replica, report, send};
use crate::checkpoint::{Manifest, StableCheckpoint, split_state};
use crate::id::{InstanceId, ReplicaId, Time};
use crate::limits::CHUNKS_SERVED_MAX;
use crate::message::Message;
use crate::record::Record;
use crate::sessions::Sessions;
use crate::surface::{Action, MisbehaviourKind};
use crate::synchronization::Evidence;

/// A state on its way here, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Transfer {
    incoming: Option<Incoming>,
    installing: Option<Installing>,
}

/// A state that the shell makes durable.
#[derive(Debug)]
struct Installing {
    checkpoint: StableCheckpoint,
    manifest: Manifest,
    sessions: Sessions,
}

impl Transfer {
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.incoming.as_ref().map(Incoming::deadline)
    }

    /// Is there nothing to gain from asking for decisions now?
    pub(crate) fn is_progressing(&self, now: Time) -> bool {
        self.installing.is_some() || self.incoming.as_ref().is_some_and(|incoming| incoming.is_progressing(now))
    }
}

impl Replica {
    /// A state is being made durable: nothing is delivered until the shell says so.
    pub(super) const fn is_installing(&self) -> bool {
        self.transfer.installing.is_some()
    }

    /// The decisions we asked for are no longer kept, but the state after them is. Certificate and manifest were checked.
    pub(super) fn on_stable(
        &mut self,
        now: Time,
        sender: ReplicaId,
        checkpoint: StableCheckpoint,
        manifest: Manifest,
        actions: &mut Vec<Action>,
    ) {
        let running = self.transfer.incoming.as_mut();
        // A helper that has a newer one does not keep the one we ask for.
        let has_gone = running.is_some_and(|r| checkpoint.instance() > r.instance() && r.is_gone(sender));
        let is_asked = has_gone || self.catching_up.has_asked(sender);
        if !is_asked || checkpoint.instance() <= self.delivered || self.is_installing() {
            return;
        }
        let patience = self.limits.fetch_interval * CHUNK_PATIENCE;
        match self.transfer.incoming.as_mut() {
            Some(running) if checkpoint.instance() == running.instance() => running.trust_again(sender),
            Some(running) if checkpoint.instance() < running.instance() => return,
            Some(running) if running.is_progressing(now) => {}
            _ => {
                let earlier = self.transfer.incoming.take();
                let mut incoming = Incoming::new(now, patience, checkpoint, manifest);
                incoming.trust_again(sender);
                incoming.reuse(earlier);
                self.transfer.incoming = Some(incoming);
            }
        }
        self.ask_for_chunks(now, actions);
        self.install_when_complete(actions);
    }

    /// Gives a chunk away, or tells of the state that took its place. Asking costs less than answering, so a peer gets so
    /// many in a fetch interval and no more.
    pub(super) fn on_fetch_chunk(
        &mut self,
        now: Time,
        sender: ReplicaId,
        (instance, index): (InstanceId, u32),
        actions: &mut Vec<Action>,
    ) {
        let interval = self.limits.fetch_interval;
        let peer = self.peers.entry(sender).or_default();
        if sender == self.me || !peer.may_serve_chunk(now, interval, CHUNKS_SERVED_MAX) {
            return;
        }
        if self.checkpoints.has_chunk(instance, index) {
            actions.push(Action::SendChunk { to: sender, instance, index });
        } else if let Some((stable, manifest)) = self.checkpoints.to_give().filter(|(at, _)| at.instance() > instance) {
            send(sender, Message::Stable(stable.clone(), manifest.clone()), actions);
        }
    }

    pub(super) fn on_chunk(
        &mut self,
        now: Time,
        sender: ReplicaId,
        (instance, index): (InstanceId, u32),
        chunk: Bytes,
        actions: &mut Vec<Action>,
    ) {
        let Some(incoming) = self.transfer.incoming.as_mut().filter(|incoming| incoming.instance() == instance) else {
            return;
        };
        match incoming.take(now, sender, index, chunk) {
            Checked::Unasked => return,
            Checked::Wrong => report(sender, MisbehaviourKind::LyingHelper, actions),
            Checked::Right => {}
        }
        self.ask_for_chunks(now, actions);
        self.install_when_complete(actions);
    }

    pub(super) fn transfer_when_due(&mut self, now: Time, actions: &mut Vec<Action>) {
        if self.transfer.incoming.as_ref().is_some_and(|incoming| incoming.instance() <= self.delivered) {
            self.transfer.incoming = None;
        }
        if let Some(incoming) = self.transfer.incoming.as_mut().filter(|incoming| now >= incoming.deadline()) {
            incoming.expire(now);
            self.ask_for_chunks(now, actions);
        }
    }

    fn ask_for_chunks(&mut self, now: Time, actions: &mut Vec<Action>) {
        let Some(incoming) = self.transfer.incoming.as_mut() else { return };
        let instance = incoming.instance();
        for (peer, _) in self.peers.iter().filter(|(peer, at)| **peer != self.me && at.delivered >= instance) {
            incoming.meet(*peer);
        }
        for (helper, index) in incoming.next_questions(now) {
            send(helper, Message::FetchChunk(instance, index), actions);
        }
    }

    /// All chunks are here: the state is handed to the shell. What a quorum signed reads as a state, unless more lie
    /// than may; then the transfer is given up.
    fn install_when_complete(&mut self, actions: &mut Vec<Action>) {
        let Some(incoming) = self.transfer.incoming.take_if(|incoming| incoming.is_complete()) else { return };
        let (checkpoint, manifest, state) = incoming.into_state();
        if checkpoint.instance() <= self.delivered {
            return;
        }
        let Ok((sessions, application)) = split_state(state) else { return };
        let Ok(windows) = Sessions::decode(sessions.clone(), self.limits.session_window) else { return };
        self.retract(actions);
        self.ahead = super::tentative::Ahead::default();
        actions.push(Action::InstallState { checkpoint: checkpoint.clone(), sessions, application });
        self.transfer.installing = Some(Installing { checkpoint, manifest, sessions: windows });
    }

    /// The state is durable and the application continues from it: so does the core.
    pub(super) fn on_state_installed(&mut self, now: Time, instance: InstanceId, actions: &mut Vec<Action>) {
        let installed = self.transfer.installing.take_if(|installing| installing.checkpoint.instance() == instance);
        let Some(Installing { checkpoint, manifest, sessions }) = installed else { return };
        assert!(instance > self.delivered, "nothing is delivered while a state is installed");
        actions.push(Action::Persist(Record::Stable(checkpoint.clone())));
        self.sessions = sessions;
        self.set_delivered(Evidence::Checkpoint(checkpoint.clone()));
        self.instances = self.instances.split_off(&instance.next());
        self.pending.remove_ended(&self.sessions);
        self.pending.ordered.delivered(instance);
        self.checkpoints.restore(instance, manifest);
        self.checkpoints.learn(checkpoint);
        self.checkpoints.begin_log(instance);
        self.patience.progressed(now, instance);
        self.catch_up_anew(now, actions);
        self.adopt_proofs();
        self.open_next(now, actions);
        self.deliver_ready(now, actions);
    }
}

/// Fetch intervals that a chunk may take.
const CHUNK_PATIENCE: u32 = 4;
