//! Model 2: several open instances. Windows, gaps, repeats, carried-over instances, the chain of blocks.
//!
//! *State.* What the leader of each regency proposed for each instance; for every correct replica its regency, how far it
//! delivered, what it reported in its STOPDATA, and per (regency, instance) whether it wrote and whether it holds a
//! certificate. Correct replicas are 0, 1 and 2; replica 3 lies: it votes for everything, reports any delivered prefix that
//! can be proven and any certificate that exists. Leaders before the last regency propose anything; the last is correct.
//!
//! *Abstracted.* One leader sends one SYNC and one proposal per instance (what equivocation can do is model 1); a correct
//! replica WRITEs as soon as it may, which only adds certificates that could exist; a batch is one request or a no-op.
//!
//! *Properties.* Agreement per instance; no request is delivered twice; a block that satisfies a peer is never contradicted;
//! from every state the correct replicas alone can finish what is open.

use mod_smart::quorum::View;

use crate::explorer::Model;
use crate::rules::Rules;
use crate::windows_key;
use crate::windows_state::{Batch, CORRECT, MAX, Replica, State, Step, enter, voters};

/// Instances `1..=instances` of four replicas, up to `alpha` of them open at a replica at a time.
pub struct Windows {
    pub rules: Rules,
    pub view: View,
    pub alpha: u8,
    pub instances: u8,
    pub regencies: u8,
    /// Requests that clients have sent: `1..=requests`.
    pub requests: u8,
    pub pace: Pace,
}

/// How far apart correct replicas may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As far as they like.
    Free,
    /// They enter a regency together. Which of them saw what in it, and which collects its successor is shown, stays free.
    Together,
}

impl Model for Windows {
    type State = State;
    type Step = Step;
    type Key = State;

    fn start(&self) -> State {
        assert!(usize::from(self.instances.max(self.regencies)) <= MAX);
        State { synced: [true, false, false], ..State::default() }
    }

    fn steps(&self, state: &State, each: &mut dyn FnMut(Step, State)) {
        for regency in 0..self.regencies {
            if state.synced[usize::from(regency)] {
                self.propose(state, regency, each);
            } else {
                self.sync(state, regency, &mut |step, next| each(step, self.written(next)));
            }
        }
        let regency = state.replicas[0].regency;
        if !self.is_last(regency) && self.pace == Pace::Together {
            let mut next = *state;
            next.replicas.iter_mut().for_each(enter);
            each(Step::EnterAll { regency: regency + 1 }, next);
        }
        for replica in 0..CORRECT {
            self.act(state, replica, &mut |step, next| each(step, self.written(next)));
        }
    }

    fn broken(&self, state: &State) -> Option<String> {
        let differ = |instance: &u8| {
            let mut decisions = self.decisions(state, *instance);
            decisions.next().is_some_and(|first| decisions.any(|other| other != first))
        };
        if let Some(instance) = (1..=self.instances).find(differ) {
            return Some(format!("AGREEMENT: two batches are decided for instance {instance}"));
        }
        let log = self.log(state, state.replicas.iter().map(|me| me.delivered).max().unwrap_or_default());
        if let Some(twice) =
            (1..=self.requests).find(|request| log.iter().filter(|&known| known == request).count() > 1)
        {
            return Some(format!("NO DUPLICATE: {} is delivered twice", Batch::Request(twice)));
        }
        if self.looks_at_blocks() { self.contradicted_block(state) } else { None }
    }

    fn key(&self, state: &State) -> State {
        windows_key::key(self, state)
    }

    fn is_honest(&self, step: Step) -> bool {
        match step {
            Step::Propose { by_liar, .. } => !by_liar,
            Step::Accept { by_correct, .. } | Step::Deliver { by_correct, .. } => by_correct,
            Step::Enter { .. } | Step::EnterAll { .. } => true,
            Step::Sync { with_liar, .. } => !with_liar,
        }
    }
}

impl Windows {
    /// Everything decided, bound or proposed in the last regency is delivered everywhere.
    pub fn is_finished(&self, state: &State) -> bool {
        let last = self.regencies - 1;
        let is_open = |instance| state.batch(last, instance) != Batch::None || self.is_decided(state, instance);
        let open = (1..=self.instances).rev().find(|&instance| is_open(instance)).unwrap_or_default();
        state.synced[usize::from(last)] && state.replicas.iter().all(|me| me.regency == last && me.delivered >= open)
    }

    /// Tentative blocks are followed where one instance is open at a time; else a tentative block may chain to another.
    pub fn looks_at_blocks(&self) -> bool {
        self.alpha == 1
    }

    /// What is decided for an instance.
    pub fn decided(&self, state: &State, instance: u8) -> Option<Batch> {
        self.decisions(state, instance).next()
    }

    pub fn is_decided(&self, state: &State, instance: u8) -> bool {
        self.decided(state, instance).is_some()
    }

    fn is_last(&self, regency: u8) -> bool {
        regency + 1 == self.regencies
    }

    /// The batches decided for an instance, by epoch: one batch, unless agreement is broken.
    fn decisions(&self, state: &State, instance: u8) -> impl Iterator<Item = Batch> {
        let is_decided =
            move |&regency: &u8| self.view.is_quorum(voters(state, true, |me| me.held.has(regency, instance)));
        (0..self.regencies).filter(is_decided).map(move |regency| state.batch(regency, instance))
    }

    /// The requests delivered by instances `1..=delivered`, in order.
    pub fn log(&self, state: &State, delivered: u8) -> Vec<u8> {
        let mut log = Vec::with_capacity(MAX);
        for instance in 1..=delivered {
            if let Some(Batch::Request(request)) = self.decided(state, instance)
                && !(self.rules.repeats_are_skipped && log.contains(&request))
            {
                log.push(request);
            }
        }
        log
    }

    /// The request that this instance orders, as a bit.
    fn ordered(&self, state: &State, instance: u8) -> u8 {
        match self.decided(state, instance) {
            Some(Batch::Request(request)) => 1 << request,
            _ => 0,
        }
    }

    /// Is this instance in the window of this replica?
    fn is_open(&self, me: &Replica, instance: u8) -> bool {
        instance > me.delivered && instance <= me.delivered + self.alpha
    }

    fn propose(&self, state: &State, regency: u8, each: &mut dyn FnMut(Step, State)) {
        let row = &state.proposed[usize::from(regency)];
        let furthest = state.replicas.iter().map(|me| me.delivered + self.alpha).max().unwrap_or_default();
        for instance in state.base[usize::from(regency)] + 1..=furthest.min(self.instances) {
            if row[usize::from(instance) - 1] != Batch::None {
                continue;
            }
            if self.is_last(regency)
                && instance > state.base[usize::from(regency)] + 1
                && row[usize::from(instance) - 2] == Batch::None
            {
                break; // A correct leader leaves no gap.
            }
            let gap = (instance + 1..=self.instances).any(|above| state.bound.has(regency, above));
            let requests = (1..=self.requests).map(Batch::Request).filter(|batch| {
                let decided =
                    (1..=self.instances).any(|known| self.decisions(state, known).any(|decided| decided == *batch));
                !self.is_last(regency) || !row.contains(batch) && !decided
            });
            for batch in requests.chain((gap && self.rules.gaps_are_filled).then_some(Batch::NoOp)) {
                let mut next = *state;
                next.proposed[usize::from(regency)][usize::from(instance) - 1] = batch;
                let by_liar = !self.is_last(regency);
                each(Step::Propose { regency, instance, batch, by_liar }, self.written(next));
            }
        }
    }

    /// Every correct replica WRITEs whatever it may: the proposal is in its window and fresh, or bound.
    fn written(&self, mut state: State) -> State {
        for at in 0..CORRECT {
            let me = state.replicas[at];
            let delivered: u8 =
                (1..=me.delivered).map(|instance| self.ordered(&state, instance)).fold(0, |all, one| all | one);
            for instance in (1..=self.instances).filter(|&instance| self.is_open(&me, instance)) {
                let is_valid = match state.batch(me.regency, instance) {
                    Batch::None => false,
                    Batch::NoOp => true,
                    Batch::Request(request) => {
                        let exempt = self.rules.bound_is_exempt && state.bound.has(me.regency, instance);
                        exempt || delivered & 1 << request == 0
                    }
                };
                if is_valid {
                    state.replicas[at].wrote.set(me.regency, instance);
                }
            }
        }
        state
    }

    fn act(&self, state: &State, at: usize, each: &mut dyn FnMut(Step, State)) {
        let me = state.replicas[at];
        let mut go = |step, change: &dyn Fn(&mut Replica)| {
            let mut next = *state;
            change(&mut next.replicas[at]);
            each(step, next);
        };
        let regency = me.regency;
        for instance in (1..=self.instances).filter(|&instance| self.is_open(&me, instance)) {
            let wrote = |other: &Replica| other.wrote.has(regency, instance);
            if self.view.is_quorum(voters(state, true, wrote)) && !me.held.has(regency, instance) {
                let batch = state.batch(regency, instance);
                let by_correct = self.view.is_quorum(voters(state, false, wrote));
                let step = Step::Accept { replica: at, regency, instance, batch, by_correct };
                go(step, &|me| me.held.set(regency, instance));
            }
        }
        let instance = me.delivered + 1;
        if instance <= self.instances && self.is_decided(state, instance) {
            let held = |regency| voters(state, false, |other| other.held.has(regency, instance));
            let delivered_elsewhere = state.replicas.iter().any(|other| other.delivered >= instance);
            let in_a_sync = state.base.iter().any(|&proven| proven >= instance);
            let by_correct =
                delivered_elsewhere || in_a_sync || (0..self.regencies).any(|epoch| self.view.is_quorum(held(epoch)));
            go(Step::Deliver { replica: at, instance, by_correct }, &|me| me.delivered += 1);
        }
        if !self.is_last(regency) && self.pace == Pace::Free {
            go(Step::Enter { replica: at, regency: regency + 1 }, &enter);
        }
    }
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
