//! The load generator: envelopes in, blocks out, and what that cost each process.
//!
//! It speaks nothing but Fabric's interface, Broadcast and Deliver, so it loads any orderer. Only with `--opaque` it is a
//! frontend itself, as in the thesis, and speaks to the nodes of this project. What is measured:
//!
//! - An envelope is *delivered* when the block that holds it has arrived on the first receiver's Deliver stream; with
//!   `--opaque`, when it is in the ledger of the first frontend inside this process, certified. Its latency
//!   counts from when it was due: in open loop the moment its rate intended, in closed loop the moment it was sent.
//! - In closed loop an envelope occupies its place on the stream until it is delivered, so the number of envelopes in the
//!   system is known: places = rate x mean latency.
//! - Rates and processor time are those of a window, which begins after the ramp and the warm-up. For `--for` it ends with the
//!   time, and the load goes on until everything that was due within is delivered: the quiet at the end belongs to no envelope
//!   that counts. For `--count` it ends when the last envelope is delivered.
//! - Processor time is the system's own account of user and system time of a process; it is divided by the envelopes
//!   delivered within the window.
//! - The time line covers the whole load, from before the warm-up to the end.
//!
//! Nothing is sent twice unless the mix says so: what is refused is counted, and a stream that ends is opened again for other
//! envelopes. So an envelope that comes twice is the orderer's doing.

mod args;
mod chain;
mod command;
mod describe;
mod direct;
mod direct_lane;
mod dues;
mod judge;
mod key;
mod lane;
mod limits;
mod matching;
mod mix;
mod opaque;
mod pacer;
mod percentiles;
mod plan;
mod progress;
mod quota;
mod receiver;
mod replay;
mod report;
mod report_page;
mod report_text;
mod run;
mod sampler;
mod shared;
mod sign;
mod snapshot;
mod source;
mod stages;
mod stock;
mod stray;
mod target;
mod ticker;
mod timeline;
mod usage;
mod way;

pub use args::{Cli, Command, LoadgenArgs, NamedProcess, ReportArgs, SignArgs};
pub use command::{run, run_all};
pub use mix::Mix;
pub use percentiles::{LatencyPoint, Percentiles};
pub use plan::{ArgsError, Content, Extent, Frontends, Pace, Plan, Signatures};
pub use report::{ChannelRates, Conditions, Counts, Machine, ProcessCost, Rates, Report};
pub use report_page::render_report;
pub use sampler::ProcessShare;
pub use sign::sign;
pub use stages::{ProcessStages, StageCost};
pub use timeline::{Event, Tick};
