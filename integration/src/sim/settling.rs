//! The end of a run: is everybody where everybody should be?

use std::time::Duration;

use mod_smart::InstanceId;

use super::checkers::{Observation, Standing};
use super::queue::{Happening, Place};
use super::world::{Phase, World};

impl World {
    /// A replica that was silenced and speaks again counts towards `f` no more, from that very step on: the checkers ask
    /// whenever anybody does anything.
    pub fn readmit(&mut self, place: Place) {
        let process = self.nodes[place].process.as_ref();
        if self.standings[place] == Standing::Silenced && process.is_some_and(|p| !p.replica.is_silent()) {
            self.standings[place] = Standing::Correct;
            self.counts.readmitted += 1;
            self.trace.say(self.now, || format!("{place} speaks again"));
        }
    }

    /// Ends the run if all is well, or if it should have been by now.
    pub fn look_whether_settled(&mut self) {
        let Phase::Liveness(since) = self.phase else { return };
        let unsettled = self.unsettled();
        if unsettled.is_empty() || self.now > since.after(SETTLING_MAX) {
            self.phase = Phase::Settled;
            self.counts.settling = self.now.0 - since.0;
            self.counts.settling_max = self.counts.settling;
            self.observe(&Observation::Ended(&unsettled));
        } else {
            self.queue.after(self.now, Duration::from_millis(50), Happening::Settled);
        }
    }

    /// Is there a replica that needs more decisions to be readmitted? A liar may stay silent for ever, and what is asked for
    /// beyond the goal would not be waited for and look lost.
    pub fn is_load_needed(&self) -> bool {
        let believed = (0..self.nodes.len()).filter(|place| self.is_believed(*place));
        let mut processes = believed.filter_map(|place| self.nodes[place].process.as_ref());
        self.goal.is_none() && processes.any(|process| process.replica.is_silent())
    }

    /// Whoever is not where all should be. At first everything that correct clients asked for is to be ordered; where
    /// that ends is the goal, which everybody must reach: liars may keep the group busy beyond it.
    fn unsettled(&mut self) -> Vec<String> {
        let believed: Vec<Place> = (0..self.nodes.len()).filter(|place| self.is_believed(*place)).collect();
        let unsettled = match self.goal {
            Some((delivered, height)) => self.short_of(&believed, delivered, height),
            None => self.unordered(&believed),
        };
        if !unsettled.is_empty() || self.goal.is_some() {
            return unsettled;
        }
        let processes = || believed.iter().filter_map(|place| self.nodes[*place].process.as_ref());
        let delivered = processes().map(|process| process.replica.delivered()).max().unwrap_or_default();
        let height = processes().map(|process| process.application.height()).max().unwrap_or_default();
        self.goal = Some((delivered, height));
        self.short_of(&believed, delivered, height)
    }

    /// What is not ordered yet, and who cannot take part yet.
    fn unordered(&self, believed: &[Place]) -> Vec<String> {
        let mut unsettled = Vec::new();
        for &place in believed {
            let Some(process) = &self.nodes[place].process else {
                unsettled.push(format!("node {place} does not run"));
                continue;
            };
            let replica = &process.replica;
            if replica.is_silent() {
                unsettled.push(format!("replica {place} is still silent"));
            }
            if replica.pending().0 > 0 && self.coalition.is_empty() {
                unsettled.push(format!("{} requests wait at replica {place}", replica.pending().0));
            }
            if !process.application.is_all_cut() {
                unsettled.push(format!("a cut is open at replica {place}"));
            }
        }
        for (at, frontend) in self.frontends.iter().enumerate().filter(|(_, frontend)| frontend.waiting() > 0) {
            unsettled.push(format!("{} requests of frontend {at} are not acknowledged", frontend.waiting()));
        }
        if let Some(id) = self.outstanding.first() {
            unsettled.push(format!("{} requests are not ordered, among them {id}", self.outstanding.len()));
        }
        unsettled
    }

    fn short_of(&self, believed: &[Place], delivered: InstanceId, height: u64) -> Vec<String> {
        let mut unsettled = Vec::new();
        for &place in believed {
            match &self.nodes[place].process {
                Some(process) if process.replica.delivered() >= delivered => {}
                Some(process) => unsettled
                    .push(format!("replica {place} has delivered {} of {delivered}", process.replica.delivered())),
                None => unsettled.push(format!("node {place} does not run")),
            }
        }
        for (at, frontend) in self.frontends.iter().enumerate().filter(|(_, frontend)| frontend.height() < height) {
            unsettled.push(format!("frontend {at} has {} of {height} blocks", frontend.height()));
        }
        unsettled
    }
}

/// How long the liveness phase may be. A second is usual; a liar that leads just quickly enough not to be stopped, ten replicas
/// that each ask for every cut and batches of one request take a minute to work off what faults left behind.
const SETTLING_MAX: Duration = Duration::from_secs(120);
