//! Every bound of this crate, in one place.
//!
//! Channel configurations are written by administrators and ordered by consensus, but they arrive as bytes from
//! outside, so the work they can cause is bounded here.

/// Signature checks made while building the chains of one certificate; the bound that Go's verifier uses.
pub const CHAIN_SIGNATURE_CHECKS_MAX: usize = 100;

/// Nesting of rules in a signature policy, and of principals in a combined principal. The protobuf decoder stops
/// deeper input before this is reached; the bound keeps compiled policies safe to evaluate recursively wherever
/// they come from.
pub const POLICY_DEPTH_MAX: usize = 64;

/// Verified identities that the MSPs of one configuration remember.
pub const KNOWN_IDENTITIES_MAX: usize = 4096;

/// What these identities may take together, in bytes; the few that are larger than usual leave room for fewer.
pub const KNOWN_IDENTITIES_BYTES_MAX: usize = 24 << 20;

/// Longest serialised identity that is remembered; certificates of members have a tenth of it.
pub const KNOWN_IDENTITY_BYTES_MAX: usize = 16 << 10;

/// Depth of configuration groups below the root.
pub const GROUP_DEPTH_MAX: usize = 16;

/// Consenters of one channel.
pub const CONSENTERS_MAX: usize = 256;

/// Signatures looked at in the metadata of one block; a longer list makes the block invalid.
pub const BLOCK_SIGNATURES_MAX: usize = 4 * CONSENTERS_MAX;

/// Groups, values and policies in one configuration tree or in one set of an update.
pub const CONFIG_ELEMENTS_MAX: usize = 16_384;

/// Signatures in one configuration update; a longer list makes the update invalid.
pub const UPDATE_SIGNATURES_MAX: usize = 1024;

/// Elements and signatures that the error about missing authorisation explains; the others are counted.
pub const UNAUTHORISED_SHOWN_MAX: usize = 16;

/// Bytes of the text that describes one policy in an error.
pub const POLICY_TEXT_BYTES_MAX: usize = 1024;
