//! Every bound of this crate, in one place.
//!
//! Bodies of requests come from clients, so each number here is also a bound on what one of them can make every replica
//! hold. What is bounded per channel is bounded in all by [`CHANNELS_MAX`].

/// Most bytes of one request body. Leaves room for the largest envelope that Fabric's own 100 MiB messages can carry.
pub const BODY_BYTES_MAX: usize = 104 << 20;

/// Most commands in one request body.
pub const COMMANDS_MAX: usize = 1024;

/// Most envelopes in one request body, over all of its commands.
pub const ENVELOPES_MAX: usize = 4096;

/// Most bytes of the genesis block a channel may be opened with, and of a config block kept in the state.
pub const CONFIG_BLOCK_BYTES_MAX: usize = 4 << 20;

/// Most channels of one ordering group.
pub const CHANNELS_MAX: usize = 1000;

/// Most channels that one replica can ask to open at the same time, beside those that are open.
pub const ASKS_PER_REPLICA_MAX: usize = CHANNELS_MAX;

/// How many of the last ordered envelopes of a channel are remembered, so that a repeat is left out.
pub const ORDERED_DIGESTS_MAX: usize = 65_536;

const _: () = assert!(CONFIG_BLOCK_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX <= u32::MAX as usize);
