//! Tests of the whole: real processes, judged from outside.
//!
//! [`verifier`] judges blocks with nothing that nodes sign with. [`network`] runs nodes as processes of their own that can be
//! killed and stopped. [`client`] talks to them as Fabric's clients do.
#![forbid(unsafe_code)]

pub mod binary;
pub mod client;
pub mod loadgen;
pub mod material;
pub mod network;
pub mod ports;
pub mod process;
pub mod verifier;
