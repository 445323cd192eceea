//! Fabric's own interface from the other side: signed envelopes in by Broadcast, blocks out by Deliver, and how long it
//! took in between. A node follows channels with it; `dev`, tests and the load generator drive load.
//!
//! Four parts. [`EnvelopeFactory`] signs as a client of the channel.
//! [`BroadcastClient`] keeps many envelopes of one stream in flight. [`DeliverClient`] yields blocks.
//! [`LatencyRecorder`] pairs what was submitted with what was delivered. [`OpenLoop`] puts them together: envelopes fall
//! due at a rate, whatever becomes of the ones before, and latency counts from the moment they were due.

mod broadcast;
mod connection;
mod deliver;
mod envelopes;
mod lane;
mod latency;
mod limits;
mod open_loop;

pub use broadcast::{Answer, BroadcastClient, Pending};
pub use connection::{ClientError, Connection, Endpoint};
pub use deliver::{Content, DeliverClient, Position, Seek};
pub use envelopes::EnvelopeFactory;
pub use latency::{EnvelopeKey, Latencies, LatencyRecorder, Unaccounted};
pub use limits::{OUTSTANDING_MAX, STREAM_OUTSTANDING_MAX};
pub use open_loop::{LoadCounts, LoadPlan, OpenLoop};
