//! The bytes of Hyperledger Fabric: messages, envelopes, blocks, hashes, signature preimages.
//!
//! This crate knows how Fabric writes things down and nothing else. It does no I/O, has no clock,
//! no thread and no randomness, and every function of it is total: hostile bytes give an error,
//! never a panic.
//!
//! The messages themselves are generated from `proto/`, one module per wire package. Their bytes
//! fields are `bytes::Bytes` and share the buffer they were decoded from; their maps are ordered,
//! so encoding one value gives the same bytes on every replica. Decoding drops unknown fields, and
//! is stricter than Go in two ways that only make hostile input fail earlier: a known field with
//! another wire type is an error, and messages nest at most 100 deep.
#![forbid(unsafe_code)]

pub mod block;
pub mod canonical;
pub mod low_s;
pub mod metadata;

mod channel_id;
mod der;
mod envelope;

pub use channel_id::{ChannelId, ChannelIdError};
pub use envelope::{Envelope, EnvelopeError};

/// Package `common`: envelopes, blocks, the config tree, policies.
pub mod common {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/common.rs"));
}

/// Package `msp`: identities, membership service providers, principals.
pub mod msp {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/msp.rs"));
}

/// Package `orderer`: the Broadcast and Deliver messages, the values of `/Channel/Orderer`.
pub mod orderer {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/orderer.rs"));
}

/// Package `etcdraft`: consensus metadata of channels of that type.
pub mod etcdraft {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/etcdraft.rs"));
}

/// Package `smartbft`: consensus metadata of channels of type `BFT`.
pub mod smartbft {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/smartbft.rs"));
}

/// Package `protos`: values of `/Channel/Application`.
pub mod protos {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}
