//! Four nodes as real processes: what they order, and what they do not lose when they are killed, stopped or attacked.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod crashes;
mod garbage;
mod ordering;
mod overload;
mod settings;
mod stages;
