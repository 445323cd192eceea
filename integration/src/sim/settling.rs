//! The end of a run: is everybody where everybody should be?

use std::time::Duration;

use super::checkers::{Observation, Standing};
use super::queue::{Happening, Place};
use super::world::{Phase, World};

impl World {
    /// A replica that was silenced and speaks again counts towards `f` no more.
    pub fn readmit(&mut self) {
        for place in 0..self.nodes.len() {
            let process = self.nodes[place].process.as_ref();
            if self.standings[place] == Standing::Silenced && process.is_some_and(|p| !p.replica.is_silent()) {
                self.standings[place] = Standing::Correct;
                self.counts.readmitted += 1;
                self.trace.say(self.now, || format!("{place} speaks again"));
            }
        }
    }

    /// Ends the run if all is well, or if it should have been by now.
    pub fn look_whether_settled(&mut self) {
        let Phase::Liveness(since) = self.phase else { return };
        self.readmit();
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

    /// Is there a replica that needs more decisions to be readmitted?
    pub fn is_load_needed(&self) -> bool {
        self.nodes.iter().filter_map(|node| node.process.as_ref()).any(|p| p.replica.is_silent())
    }

    fn unsettled(&self) -> Vec<String> {
        let believed: Vec<Place> = (0..self.nodes.len()).filter(|place| self.is_believed(*place)).collect();
        let highest =
            believed.iter().filter_map(|at| Some(self.nodes[*at].process.as_ref()?.replica.delivered())).max();
        let highest = highest.unwrap_or_default();
        let mut unsettled = Vec::new();
        for place in believed {
            let Some(process) = &self.nodes[place].process else {
                unsettled.push(format!("node {place} does not run"));
                continue;
            };
            let replica = &process.replica;
            if replica.delivered() != highest {
                unsettled.push(format!("replica {place} has delivered {} of {highest}", replica.delivered()));
            }
            if replica.is_silent() {
                unsettled.push(format!("replica {place} is still silent"));
            }
            if replica.pending().0 > 0 {
                unsettled.push(format!("{} requests wait at replica {place}", replica.pending().0));
            }
            if !process.application.is_all_cut() {
                unsettled.push(format!("a cut is open at replica {place}"));
            }
            for (at, frontend) in self.frontends.iter().enumerate() {
                if frontend.height() != process.application.height() {
                    let (here, there) = (frontend.height(), process.application.height());
                    unsettled.push(format!("frontend {at} has {here} of {there} blocks of replica {place}"));
                }
            }
        }
        for (at, frontend) in self.frontends.iter().enumerate().filter(|(_, frontend)| frontend.waiting() > 0) {
            unsettled.push(format!("{} requests of frontend {at} are not acknowledged", frontend.waiting()));
        }
        unsettled
    }
}

/// How long the liveness phase may be.
const SETTLING_MAX: Duration = Duration::from_secs(40);
