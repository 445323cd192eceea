//! The operations endpoint over real connections, in front of a node that is told how it is.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "../http/mod.rs"]
mod http;

mod configs;
mod endpoint;
mod exposition;
mod metrics;
mod node;
mod readiness;
mod statsd;
