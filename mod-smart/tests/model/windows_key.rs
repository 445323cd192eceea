//! When two states of model 2 are the same for everything that can follow.
//!
//! Correct replicas are interchangeable, and where no block is looked at so are the first two requests. What can change
//! nothing any more is left out: reports that a SYNC has used; votes, certificates and proposals of an epoch that all
//! correct replicas have left, where they were too few and no certificate or decision came of them; and of an instance that
//! all have delivered, and every SYNC to come proves, all but what it decided (with a rule dropped even that may matter).

use crate::rules::Rules;
use crate::windows::Windows;
use crate::windows_state::{Batch, Replica, State, voters};

/// The key of a state: a state again.
pub fn key(model: &Windows, state: &State) -> State {
    let forgotten = forget(model, state);
    if model.looks_at_blocks() {
        return sorted(forgotten);
    }
    sorted(forgotten).min(sorted(renamed(model, forgotten)))
}

fn forget(model: &Windows, state: &State) -> State {
    let mut key = *state;
    for regency in (0..model.regencies).map(usize::from).filter(|&regency| state.synced[regency]) {
        key.replicas.iter_mut().for_each(|me| me.reported[regency] = 0);
    }
    if !model.looks_at_blocks() {
        key.top = Default::default();
    }
    let left = state.replicas.iter().map(|me| me.regency).min().unwrap_or_default();
    let all_synced = (0..model.regencies).all(|regency| state.synced[usize::from(regency)]);
    for (epoch, instance) in (0..left).flat_map(|epoch| (1..=model.instances).map(move |instance| (epoch, instance))) {
        let is_certified = model.view.is_quorum(voters(state, true, |me| me.wrote.has(epoch, instance)));
        let is_decided = model.view.is_quorum(voters(state, true, |me| me.held.has(epoch, instance)));
        let is_useless = all_synced && !is_decided && !model.looks_at_blocks();
        for me in &mut key.replicas {
            me.wrote.put(epoch, instance, is_certified && !is_useless);
            if is_useless {
                me.held.put(epoch, instance, false);
            }
        }
        if !is_certified || is_useless {
            key.proposed[usize::from(epoch)][usize::from(instance) - 1] = Batch::None;
        }
    }
    if !model.looks_at_blocks() && model.rules == Rules::ALL {
        forget_delivered(model, state, &mut key);
    }
    key
}

/// What remains of an instance that is behind everybody is its decision, noted as one of epoch 0.
fn forget_delivered(model: &Windows, state: &State, key: &mut State) {
    let unsynced = || (0..model.regencies).filter(|&regency| !state.synced[usize::from(regency)]);
    let reports = |me: &Replica| {
        let arrived = unsynced().filter(|&regency| me.regency >= regency);
        arrived.map(|regency| me.reported[usize::from(regency)]).min().unwrap_or(me.delivered)
    };
    let behind = state.replicas.iter().map(reports).min().unwrap_or_default();
    for instance in 1..=behind {
        let decided = model.decided(state, instance).unwrap_or_default();
        for epoch in 0..model.regencies {
            let is_noted = epoch == 0;
            key.proposed[usize::from(epoch)][usize::from(instance) - 1] = if is_noted { decided } else { Batch::None };
            key.bound.put(epoch, instance, false);
            for me in &mut key.replicas {
                me.wrote.put(epoch, instance, is_noted);
                me.held.put(epoch, instance, is_noted);
            }
        }
    }
}

fn renamed(model: &Windows, mut state: State) -> State {
    if model.requests < 2 {
        return state;
    }
    for batch in state.proposed.iter_mut().flatten() {
        *batch = match *batch {
            Batch::Request(1) => Batch::Request(2),
            Batch::Request(2) => Batch::Request(1),
            other => other,
        };
    }
    state
}

fn sorted(mut state: State) -> State {
    state.replicas.sort_unstable();
    state
}
