//! The frontend: Fabric's AtomicBroadcast in front of an ordering cluster.
//!
//! Towards clients it is an orderer: envelopes come in by Broadcast and are judged by [`admission`]; certified blocks
//! leave the [`ledger`] by Deliver. A configuration update goes in
//! as the CONFIG envelope that it leads to, which this process signs ([`config_update`]). Towards the cluster it is a client of Mod-SMaRt: it relays envelopes to the nodes
//! and collects the blocks they sign. A node embeds the same code, so that it can serve clients itself.
#![forbid(unsafe_code)]

pub mod admission;
pub mod authentication;
pub mod block_body;
pub mod block_reading;
mod body_search;
pub mod broadcast;
mod bundle_pace;
pub mod certainty;
pub mod certificate;
pub mod channels;
pub mod client;
mod collector;
pub mod config;
mod config_difference;
pub mod config_update;
pub mod counters;
pub mod deliver;
pub mod directory;
pub mod eras;
pub mod frame;
pub mod framing;
pub mod frontend;
pub mod group;
mod group_frontends;
pub mod group_policy;
pub mod group_settings;
pub mod group_terms;
mod in_flight;
mod inbox;
mod judge_pool;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod local_msp;
mod node_handle;
pub mod node_limits;
mod node_link;
mod order;
pub mod outbox;
mod reach;
mod relay;
pub mod router;
pub mod service;
pub mod signing;
pub mod stages;
pub mod standalone;
pub mod status;
mod subscriptions;
mod tally;
pub mod tls;
pub mod tls_clients;
pub mod tls_identity;
pub mod traffic;
pub mod trusted_clients;
mod update_tracker;
pub mod work_threads;
