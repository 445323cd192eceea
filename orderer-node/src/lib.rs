//! One ordering node: the process that hosts a replica of each of its ordering groups.
//!
//! The protocol is in `mod-smart`, which can do nothing by itself. This crate is what surrounds it: the journal and the
//! checkpoints that make its word durable, the mesh between replicas, the keys, and the tasks that move events in and
//! actions out.
#![forbid(unsafe_code)]

pub mod administration;
pub mod application;
pub mod block_catch_up;
pub mod checkpoint;
pub mod client;
pub mod clock;
pub mod config;
pub mod credential_store;
pub mod dev;
pub mod disk;
pub mod disk_thread;
pub mod effects;
pub mod embedded;
pub mod error_text;
pub mod fabric_ledger;
pub mod fault;
pub mod group;
pub mod hand_over;
pub mod http_server;
pub mod joined;
pub mod journal;
pub mod judge;
pub mod keys;
pub mod left_over;
pub mod listener;
pub mod logging;
pub mod mesh;
pub mod node;
pub mod operations;
pub mod orderer_yaml;
pub mod own_requests;
pub mod participation;
pub mod registrar;
pub mod replica_task;
pub mod sessions;
pub mod signer;
pub mod status;
mod stop_signals;
pub mod tentative;
mod verified_chain;
pub mod version;
pub mod vote_arrivals;
pub mod work_pool;
