//! Mod-SMaRt over VP-Consensus, as a pure state machine: events in, ordered actions out.
//!
//! This crate cannot do I/O. It knows no socket, file, clock, key, thread, random number or Fabric type; a request is
//! opaque bytes with an origin and a number. The dependency list and `clippy.toml` prove it. The same object runs in the
//! node, in the simulator and in tests.
//!
//! Source: Sousa, *Byzantine State Machine Replication for the Masses*, chapter 3 (algorithms 1 to 4) and appendix B
//! (algorithms 5 and 6). Deviations and their reasons are listed in the project's `PROTOCOL.md`.
//!
//! Read in this order: [`id`], [`quorum`], [`request`], [`message`], [`seal`], [`surface`], [`replica`].
#![forbid(unsafe_code)]

pub mod certificate;
pub mod checkpoint;
pub mod codec;
pub mod id;
mod instance;
pub mod limits;
pub mod message;
mod ordered_bodies;
mod pending;
pub mod quorum;
pub mod record;
mod recovery;
pub mod replica;
pub mod request;
pub mod seal;
pub mod selection;
pub mod sessions;
pub mod surface;
pub mod synchronization;
mod tally;
mod voters;

pub use certificate::{Proof, WriteCertificate};
pub use checkpoint::{Manifest, StableCheckpoint};
pub use id::{
    Client, Digest, Epoch, FrontendId, GroupId, InstanceId, Regency, ReplicaId, RequestId, Sequence, SessionId, Time,
};
pub use limits::Limits;
pub use message::Message;
pub use quorum::{FaultModel, View, Voters, Weight};
pub use record::Record;
pub use replica::{Recovered, Replica, Restored};
pub use request::Request;
pub use seal::{Keyring, Reject, Sealed, Signature, Signer};
pub use surface::{Action, Answer, Decision, Event, Misbehaviour, Recipients, Statement, Tentative};
pub use synchronization::{Evidence, StopData, Sync};
