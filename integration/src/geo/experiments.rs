//! The experiments of the thesis's chapters 5 and 6 that are about distances, each a named command.

mod leader;
mod measured;
mod ordering;
mod quorum;
mod replies;
mod steps;
mod variants;
mod wheat;

use super::finding::Finding;
use super::world::{Cost, Weather};
pub(super) use measured::{Measured, engine_of, measure};

/// An experiment.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Does it.
    pub run: fn(&Conditions) -> anyhow::Result<Finding>,
}

/// What is the same in all experiments of a run.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// What the network is like where it is not calm.
    pub weather: Weather,
    /// What work costs.
    pub cost: Cost,
    /// Of the window that is wider than one.
    pub window: u64,
    /// How many requests of each client stand behind a figure with jitter, about.
    pub requests: u32,
    /// All chance comes from here.
    pub seed: u64,
}

/// All of them, in the order of the thesis.
pub const ALL: &[Experiment] = &[
    Experiment { name: "steps", about: "fewer communication steps (thesis 5.2.2)", run: steps::run },
    Experiment { name: "replies", about: "fewer replies (thesis 5.2.3)", run: replies::run },
    Experiment { name: "quorum", about: "smaller quorums by a spare replica (thesis 5.2.4)", run: quorum::run },
    Experiment { name: "leader", about: "where the leader is (thesis 5.2.5, table 5.6)", run: leader::run },
    Experiment { name: "wheat", about: "WHEAT against BFT-SMaRt (thesis 5.3.3, table 5.8)", run: wheat::run },
    Experiment { name: "ordering", about: "the ordering service at four frontends (thesis 6.2.8)", run: ordering::run },
];
