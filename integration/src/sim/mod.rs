//! The simulated world: one thread, one number, everything that can go wrong.
//!
//! A [`world`] is a group of nodes with their frontends, in virtual time. The nodes run the protocol core, the journal, the
//! checkpoint store and the block cutter as they are; messages travel as bytes through the core's codecs and seals.
//! What stands in for the outside is here: the [`network`], the [`disk`]s, the [`keys`]. The [`plan`] draws all of it from
//! the seed; the [`nemesis`] breaks things in the *safety phase*, while the [`checkers`] look at every step; then faults
//! end, and in the *liveness phase* everybody correct must come to the same place. Liars are [`actor`]s; they lie to the
//! end. [`scenarios`] are worlds that are set by hand to measure one thing.
//!
//! Nothing reads a clock, and nothing depends on an order that is not planned: a seed that is run twice must come to the
//! same hash of its [`trace`].

pub mod actor;
pub mod actors;
mod application;
mod blocks;
pub mod campaign;
pub mod checkers;
mod clients;
mod contraband;
pub mod counts;
mod disk;
mod fault_kind;
mod frontend;
mod genesis;
mod hand_overs;
pub mod keys;
mod liar_client;
mod lifecycle;
mod members;
pub mod nemesis;
pub mod network;
mod node;
mod perform;
pub mod plan;
mod queue;
mod recovery;
pub mod scenarios;
mod settling;
mod speech;
mod states;
pub mod trace;
mod traffic;
mod updates;
mod world;

use checkers::Violation;
use counts::{Counts, Course};
pub use plan::Options;

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// In numbers.
    pub counts: Counts,
    /// What must not have been seen, if something was.
    pub violation: Option<Violation>,
    /// Equal for equal runs.
    pub hash: u64,
    /// The story, as far as it was asked for.
    pub story: Vec<String>,
    /// What happened when, if that was asked for.
    pub course: Option<Course>,
}

/// Lives one world to its end.
///
/// # Errors
/// The options make no sense.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut world = world::World::new(options)?;
    world.run();
    Ok(world.into_outcome())
}
