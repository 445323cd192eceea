//! The SYNC of model 2: which instances a set of n - f collects carries over, and what binds each.

use crate::windows::Windows;
use crate::windows_state::{Batch, MAX, Replica, State, Step, voters};

/// A certificate as a collect shows it: epoch and batch.
type Shown = Option<(u8, Batch)>;

impl Windows {
    /// Every SYNC that the leader of this regency can send: all sets of n - f collects, all reports of the liar.
    pub fn sync(&self, state: &State, regency: u8, each: &mut dyn FnMut(Step, State)) {
        let arrived = |me: &&Replica| me.regency >= regency;
        let correct: Vec<&Replica> = state.replicas.iter().filter(arrived).collect();
        let waited_for = self.view.n() - self.view.f();
        if correct.len() == waited_for {
            self.sync_of(state, regency, &correct, None, each);
        }
        let proven =
            (0..=self.instances).take_while(|&k| k == 0 || self.is_decided(state, k)).last().unwrap_or_default();
        for collects in crate::collects::subsets(&correct, waited_for - 1) {
            for delivered in 0..=proven {
                self.sync_of(state, regency, &collects, Some(delivered), each);
            }
        }
    }

    /// The SYNCs of these correct replicas, and of the liar if it says how much it delivered.
    fn sync_of(
        &self,
        state: &State,
        regency: u8,
        correct: &[&Replica],
        liar: Option<u8>,
        each: &mut dyn FnMut(Step, State),
    ) {
        let at = usize::from(regency);
        let base = correct.iter().map(|me| me.reported[at]).chain(liar).max().unwrap_or_default();
        let mut choices: Vec<[Batch; MAX]> = vec![[Batch::None; MAX]];
        for instance in (base + 1..=base + self.alpha).filter(|&instance| instance <= self.instances) {
            let highest = correct.iter().filter_map(|me| self.report(state, me, regency, instance)).max();
            let options = self.bindings(state, regency, instance, highest, liar.is_some());
            let with = |choice: &[Batch; MAX], batch| {
                let mut choice = *choice;
                choice[usize::from(instance) - 1] = batch;
                choice
            };
            choices = choices.iter().flat_map(|choice| options.iter().map(move |&batch| with(choice, batch))).collect();
        }
        for bound in choices {
            let mut next = *state;
            next.synced[at] = true;
            next.base[at] = base;
            next.top[at] = base;
            for instance in 1..=self.instances {
                let batch = bound[usize::from(instance) - 1];
                if batch != Batch::None {
                    next.proposed[at][usize::from(instance) - 1] = batch;
                    next.bound.set(regency, instance);
                    next.top[at] = instance;
                }
            }
            each(Step::Sync { regency, base, bound, with_liar: liar.is_some() }, next);
        }
    }

    /// What a correct replica reports about an instance when it enters this regency.
    fn report(&self, state: &State, me: &Replica, regency: u8, instance: u8) -> Shown {
        let delivered = me.reported[usize::from(regency)];
        let end = if self.rules.window_is_reported { delivered + self.alpha } else { delivered + 1 };
        let held = |&epoch: &u8| me.held.has(epoch, instance);
        let highest = (0..regency).rev().find(held).filter(|_| instance > delivered && instance <= end)?;
        Some((highest, state.batch(highest, instance)))
    }

    /// What can come out for an instance: `None` is unbound.
    fn bindings(&self, state: &State, regency: u8, instance: u8, highest: Shown, with_liar: bool) -> Vec<Batch> {
        let mut options = vec![highest.map_or(Batch::None, |(_, batch)| batch)];
        let all = (0..regency).flat_map(|epoch| (1..=self.instances).map(move |of| (epoch, of)));
        for (epoch, of) in all.filter(|_| with_liar) {
            let exists = self.view.is_quorum(voters(state, true, |me| me.wrote.has(epoch, of)));
            let passes = exists && (of == instance || !self.rules.instance_is_signed);
            let batch = state.batch(epoch, of);
            if passes && highest.is_none_or(|(known, _)| epoch >= known) && !options.contains(&batch) {
                options.push(batch);
            }
        }
        options
    }
}
