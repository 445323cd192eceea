//! Tests of the whole: real processes, judged from outside.
//!
//! [`verifier`] judges blocks with nothing that nodes sign with. [`network`] runs nodes as processes of their own that can be
//! killed and stopped, [`dev_network`] those of the `dev` command. What is seen of either from outside is a [`site`], and
//! [`client`] talks to it as Fabric's clients do, [`fabric`] has Fabric's own programs do it. A [`campaign`] is what happens to the nodes and what must come of it.
//! [`bench`] measures, with the load that [`loadgen`] makes; [`wan`] does over emulated distances.
#![forbid(unsafe_code)]

pub mod administration;
pub mod bench;
pub mod binary;
pub mod campaign;
pub mod client;
pub mod crypto_folder;
pub mod dev_network;
pub mod fabric;
pub mod geo;
pub mod loadgen;
pub mod material;
pub mod mutants;
pub mod network;
pub mod page;
pub mod ports;
pub mod process;
pub mod sim;
pub mod site;
pub mod skip;
pub mod standalone;
pub mod verifier;
pub mod wan;
