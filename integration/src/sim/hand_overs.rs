//! Hand-overs in a world: now and then a node gives the lead away, and now and then one that has none to give.

use std::time::Duration;

use blockcutter::Command;
use mod_smart::ReplicaId;

use super::queue::Happening;
use super::world::{Phase, World};

impl World {
    /// Somebody asks that another replica lead, and somebody will do so again.
    pub fn hand_over(&mut self) {
        let (Some(every), Phase::Safety) = (self.plan.hand_over_every, self.phase) else { return };
        let wait = Duration::from_nanos(self.nemesis.random.u64(..2 * every.as_nanos() as u64));
        self.queue.after(self.now, wait, Happening::HandOver);
        let n = self.nodes.len();
        let (stranger, to) = (self.nemesis.random.usize(..n), self.nemesis.random.usize(..n));
        let asker = if self.nemesis.random.u8(..4) == 0 { stranger } else { self.leader() };
        if !self.nodes[asker].is_up() {
            return;
        }
        let Some(process) = &self.nodes[asker].process else { return };
        let (regency, to) = (process.replica.regency(), ReplicaId(to as u16));
        self.counts.hand_overs += u64::from(process.replica.leader().index() == asker);
        self.trace.note(self.now, [12, asker as u64, regency.0, to.0.into()], || {
            format!("--- {asker} hands over regency {regency} to {to}")
        });
        self.ask(asker, &[Command::HandOver { regency, to }]);
    }
}
