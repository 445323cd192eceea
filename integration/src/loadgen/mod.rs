//! The load generator: signed envelopes in by Broadcast, blocks out by Deliver, and what that cost each process.
//!
//! It speaks nothing but Fabric's interface, so it loads any orderer. What is measured:
//!
//! - An envelope is *delivered* when the block that holds it has arrived on the first receiver's Deliver stream. Its latency
//!   counts from when it was due: in open loop the moment its rate intended, in closed loop the moment it was sent.
//! - In closed loop an envelope occupies its place on the stream until it is delivered, so the number of envelopes in the
//!   system is known: places = rate x mean latency.
//! - Rates and processor time are those of a window, which begins after the warm-up. For `--for` it ends with the time, and
//!   the load goes on until everything that was due within is delivered: the quiet at the end belongs to no envelope
//!   that counts. For `--count` it ends when the last envelope is delivered.
//! - Processor time is the system's own account of user and system time of a process; it is divided by the envelopes
//!   delivered within the window.
//!
//! Nothing is sent twice: what is refused is counted, and a stream that ends is opened again for other envelopes. So an
//! envelope that comes twice is the orderer's doing.

mod args;
mod chain;
mod lane;
mod limits;
mod matching;
mod pacer;
mod percentiles;
mod progress;
mod quota;
mod receiver;
mod report;
mod run;
mod shared;
mod snapshot;
mod stock;
mod target;
mod usage;

pub use args::{ArgsError, Extent, Frontends, LoadgenArgs, Pace, Plan, Signatures};
pub use percentiles::Percentiles;
pub use report::{Conditions, Counts, Machine, ProcessCost, Rates, Report};
pub use run::run;
