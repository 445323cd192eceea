//! Checkpoints of a node: taken, kept, and taken over from others.

use std::time::Duration;

use bytes::Bytes;
use mod_smart::checkpoint::Manifest;
use mod_smart::{Event, InstanceId, ReplicaId, StableCheckpoint};
use orderer_node::checkpoint::Checkpoint;

use super::checkers::Observation;
use super::lifecycle::{End, TICK};
use super::queue::{Happening, Installing, Life, Place, Saving};
use super::world::World;

impl World {
    /// Takes the state in its place in the order, to be written later. While one is being written the next is skipped.
    pub fn take_checkpoint(&mut self, place: Place, instance: InstanceId, sessions: Bytes) {
        let Some(process) = &mut self.nodes[place].process else { return };
        if std::mem::replace(&mut process.is_saving, true) {
            return;
        }
        let checkpoint = Checkpoint { instance, sessions, application: process.application.snapshot() };
        let saving = Saving { checkpoint, height: process.application.blocks.len() };
        self.after_disk(place, |life| Happening::Saved(place, life, Box::new(saving)));
    }

    pub fn install_later(&mut self, place: Place, installing: Installing) {
        self.after_disk(place, |life| Happening::Installing(place, life, Box::new(installing)));
    }

    /// Plans what happens once the disk has written something outside of the journal.
    fn after_disk(&mut self, place: Place, happening: impl FnOnce(Life) -> Happening) {
        let wait = self.plan.sync.0 + Duration::from_micros(self.random.u64(..20_000));
        let node = &self.nodes[place];
        self.queue.after(self.now, wait + node.disk_delay, happening(node.life));
    }

    /// A checkpoint is durable.
    pub fn saved(&mut self, place: Place, life: Life, saving: Saving) {
        if !self.is_alive(place, life) {
            // The write belongs to a process that is gone, or waits with the one that is paused.
            if self.nodes[place].life == life && self.nodes[place].is_paused {
                self.queue.after(self.now, TICK, Happening::Saved(place, life, Box::new(saving)));
            }
            return;
        }
        let node = &mut self.nodes[place];
        let (Some(process), me) = (&mut node.process, node.me) else { return };
        process.is_saving = false;
        let instance = saving.checkpoint.instance;
        match process.store.save(&saving.checkpoint) {
            Ok(manifest) => {
                node.blocks_synced = node.blocks_synced.max(saving.height);
                self.counts.checkpoints += 1;
                self.observe_state(place, me, &manifest, instance);
                self.hear(place, Event::CheckpointTaken { instance, manifest });
            }
            Err(error) => {
                self.trace.say(self.now, || format!("{place} cannot save a checkpoint: {error}"));
                self.end(place, End::Killed);
            }
        }
    }

    fn observe_state(&mut self, place: Place, me: ReplicaId, manifest: &Manifest, at: InstanceId) {
        self.trace.note(self.now, [7, place as u64, at.0, 0], || {
            format!("{place} has saved checkpoint {at} {}", manifest.digest())
        });
        if self.is_believed(place) {
            self.observe(&Observation::State(me, at, manifest.digest()));
        }
    }

    pub fn keep_stable(&mut self, place: Place, stable: &StableCheckpoint) {
        let Some(process) = &self.nodes[place].process else { return };
        if let Err(error) = process.store.keep_stable(stable) {
            self.trace.say(self.now, || format!("{place} cannot keep a certificate: {error}"));
            self.end(place, End::Killed);
        }
    }

    /// A state of others takes the place of our own.
    pub fn install(&mut self, place: Place, life: Life, installing: Installing) {
        if !self.is_alive(place, life) {
            if self.nodes[place].life == life && self.nodes[place].is_paused {
                self.queue.after(self.now, TICK, Happening::Installing(place, life, Box::new(installing)));
            }
            return;
        }
        let Installing { stable, checkpoint } = installing;
        let instance = stable.instance();
        let restored = self.restored_application(&checkpoint.application);
        let node = &mut self.nodes[place];
        let (Some(process), me) = (&mut node.process, node.me) else { return };
        if let Err(error) = process.store.install(&stable, &checkpoint) {
            self.trace.say(self.now, || format!("{place} cannot install a state: {error}"));
            self.end(place, End::Killed);
            return;
        }
        let mut application = match restored {
            Ok(application) => application,
            Err(error) => return self.fail("agreement", format!("a stable state does not decode: {error}")),
        };
        application.blocks = std::mem::take(&mut process.application.blocks);
        if !application.fill(&self.chain) {
            return self.fail("hash chain", format!("a state after {instance} speaks of blocks that nobody has cut"));
        }
        node.blocks_synced = application.blocks.len();
        process.application = application;
        self.counts.transfers += 1;
        self.trace.note(self.now, [8, place as u64, instance.0, 0], || {
            format!("{place} goes on from the state after {instance}")
        });
        if self.is_believed(place) {
            self.observe(&Observation::Installed(me, instance));
        }
        self.hear(place, Event::StateInstalled(instance));
        self.plan_cut_timer(place);
    }
}
