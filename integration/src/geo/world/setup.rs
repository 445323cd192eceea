//! What a world is made of, before it begins.

use std::time::Duration;

use crate::geo::deployment::Deployment;
use crate::geo::matrix::{Matrix, Site};

/// A group, its clients, and what lies between them.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How far sites are.
    pub matrix: Matrix,
    /// The group.
    pub deployment: Deployment,
    /// The site of each client.
    pub clients: Vec<Site>,
    /// When they ask.
    pub load: Load,
    /// Bytes of an envelope, beside its headers.
    pub envelope_bytes: usize,
    /// Envelopes in a block.
    pub block_envelopes: u32,
    /// Instances that may be open at once.
    pub window: u64,
    /// Who sends the envelopes of a block to a client.
    pub bodies: Bodies,
    /// What stands for a replica.
    pub engine: Engine,
    /// What the network is like.
    pub weather: Weather,
    /// What work costs.
    pub cost: Cost,
    /// What is asked before this time is not measured.
    pub warm_up: Duration,
    /// Nothing is asked after this time.
    pub lasts: Duration,
    /// All chance comes from here.
    pub seed: u64,
}

/// When clients ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// Each client asks once in such a time, and they take turns at equal distances.
    Turns(Duration),
    /// Each client has so many requests outstanding.
    Closed(usize),
    /// Each client asks so often in a second, at random times.
    Open(f64),
}

/// Who sends the envelopes of a block to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bodies {
    /// Every replica, as in the thesis.
    Everybody,
    /// One replica, which rotates; the others send what they signed. See `frontend_shim::frame::body_source`.
    InTurn,
    /// Nobody: the client shares the ledger of a node.
    Embedded,
}

/// What stands for a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The core and the block cutter of the service.
    Core,
    /// Counters of messages, for patterns and quorums that the service does not have.
    Steps,
}

/// What the network is like beside its distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Of the deviations of the matrix, so much is there: 0 for a network without jitter, 1 for that of the matrix.
    pub jitter: f64,
    /// Of all messages, so many are lost once and sent again by the transport.
    pub loss: f64,
    /// Megabits that a place sends in a second; none if that costs no time.
    pub mbit: Option<f64>,
    /// Does each direction take half of its own round trip, and not half the mean of both?
    pub is_directed: bool,
}

/// What work costs a place, in order, on one processor. Nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// To read or to send a message.
    pub message: Duration,
    /// To sign.
    pub sign: Duration,
    /// To check a signature.
    pub verify: Duration,
    /// Whatever else an envelope costs.
    pub envelope: Duration,
    /// To make something durable.
    pub sync: Duration,
}

impl Weather {
    /// Distances and nothing else.
    pub const CALM: Self = Self { jitter: 0.0, loss: 0.0, mbit: None, is_directed: false };
}

impl Cost {
    /// One processor of the machine that `BENCHMARKS.md` describes: P-256 signatures, small messages over TCP, one disk.
    #[must_use]
    pub const fn measured() -> Self {
        Self {
            message: Duration::from_micros(3),
            sign: Duration::from_micros(16),
            verify: Duration::from_micros(49),
            envelope: Duration::from_micros(3),
            sync: Duration::from_micros(150),
        }
    }
}

impl Setup {
    /// One request at a time and nothing but distances: what is held against the floor.
    #[must_use]
    pub fn calm(matrix: Matrix, deployment: Deployment, clients: Vec<Site>) -> Self {
        Self {
            matrix,
            deployment,
            load: Load::Turns(TURN * clients.len().max(1) as u32),
            clients,
            envelope_bytes: 1024,
            block_envelopes: 1,
            window: 1,
            bodies: Bodies::Everybody,
            engine: Engine::Core,
            weather: Weather::CALM,
            cost: Cost::default(),
            warm_up: WARM_UP,
            lasts: Duration::from_secs(120),
            seed: 1,
        }
    }
}

/// Longer than any request takes, so that none meets another.
const TURN: Duration = Duration::from_millis(1_500);

/// Until then replicas hear of each other.
const WARM_UP: Duration = Duration::from_secs(5);
