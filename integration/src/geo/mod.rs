//! The geo-distribution laboratory: what a request costs between continents, predicted, simulated and planned.
//!
//! A [`matrix`] of round trips says how far sites are; a [`deployment`] places a group over them. The [`mod@floor`] is what
//! messages cost at least, computed from distances alone; the [`plan`]ner searches for the deployment with the lowest one; the
//! [`world`] runs the service's own core over those distances in virtual time.

pub mod args;
pub mod command;
pub mod deployment;
pub mod experiments;
pub mod finding;
pub mod floor;
pub mod matrix;
pub mod measure;
pub mod plan;
pub mod plan_finding;
pub mod stats;
pub mod world;
