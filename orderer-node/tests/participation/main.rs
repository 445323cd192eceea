//! The channel participation API over real connections, in front of a registrar that is told what to say.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "../http/mod.rs"]
mod http;

mod over_tls;
mod reading;
mod real_osnadmin;
mod registrar;
mod server;
mod writing;
