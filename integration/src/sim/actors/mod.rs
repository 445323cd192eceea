//! The liars of the simulated world, one file each. A file says what the attack is, where it was described, and what the
//! protocol answers.
//!
//! Liars work together: each holds the keys of all, and [`sides`] lets them tell the same two stories without a word.

mod any;
mod censor;
mod early_cutter;
mod equivocator;
mod false_claimer;
mod forge;
mod forger;
mod hasty;
mod hider;
mod lying_helper;
mod memory;
mod mute;
mod pass_through;
mod replayer;
mod sides;
pub(super) mod slow_leader;
mod smuggler;
mod stale;
mod stopper;
mod twin;
mod usurper;
mod whisperer;
mod withholder;
mod wrong_block_signer;

#[cfg(test)]
mod tests;

use super::actor::Actor;

/// Makes an actor from a seed.
pub type Make = fn(u64) -> Box<dyn Actor>;

/// Every kind of liar. Each gives its own name.
#[must_use]
pub fn all() -> &'static [Make] {
    ALL
}

/// The kinds that tell one kind of lie: all but the mixture and the honest one at the end.
const SINGLE: &[Make] = ALL.split_at(ALL.len() - 2).0;

const ALL: &[Make] = &[
    equivocator::make,
    twin::make,
    hider::make,
    usurper::make,
    whisperer::make,
    stale::make,
    replayer::make,
    forger::make,
    hasty::make,
    mute::make,
    slow_leader::make,
    censor::make,
    withholder::make,
    stopper::make,
    early_cutter::make,
    lying_helper::make,
    false_claimer::make,
    wrong_block_signer::make,
    smuggler::make,
    any::make,
    pass_through::make,
];
