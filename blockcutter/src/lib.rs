//! The replicated state machine of the ordering service: ordered commands in, chained blocks out.
//!
//! Every replica of an ordering group feeds the same bodies, in the same order, to an [`Ordering`] of its own and gets
//! the same blocks. This crate therefore has no clock, no randomness, no I/O and no unordered map: a cut by time is an
//! ordered command, and a body that makes no sense is skipped alike by everybody. Signing, storing and sending blocks is
//! for others.
//!
//! Read in this order: [`command`], [`admission`], [`cutter`], [`chain`], [`ordering`], [`ahead`], [`timers`], [`snapshot`].
#![forbid(unsafe_code)]

pub mod admission;
pub mod ahead;
pub mod asks;
pub mod bundle;
pub mod chain;
pub mod command;
pub mod config_block;
pub mod cutter;
pub mod limits;
mod opening;
pub mod ordered;
pub mod ordering;
pub mod output;
pub mod snapshot;
pub mod timers;

pub use admission::{CommandReject, Configurations, EnvelopeReject, Objection, Verification, check, judge};
pub use ahead::Ahead;
pub use asks::{GenesisDigest, OpeningAsk};
pub use bundle::BundleBuilder;
pub use chain::{Chain, OpenCut, Tip};
pub use command::{Command, CommandError};
pub use config_block::ConfigBlockReject;
pub use cutter::Cutter;
pub use ordering::Ordering;
pub use output::{CutBlock, Output, SkipReason};
pub use snapshot::RestoreError;
pub use timers::CutTimers;
