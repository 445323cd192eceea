//! The configuration tree of a channel, kept without loss.
//!
//! The generated messages drop fields that they do not know. A configuration update may carry such fields, peers
//! keep them, and peers compare them when they recompute the update: a service that lost one field would order a
//! configuration on which every peer stops. So updates work on this tree, which knows the fields of its messages,
//! keeps all others, and tells an absent policy from an empty one. Contract §2.4 step 9.
//!
//! Encoding is canonical: equal trees that came by the same way give equal bytes on every replica. It is the
//! deterministic form of Go's encoder (fields by number, maps sorted by key, unknown fields last).

mod convert;
mod decode;
mod encode;
mod unknown;

use std::collections::BTreeMap;

use bytes::Bytes;
use thiserror::Error;

use crate::limits::{CONFIG_ELEMENTS_MAX, GROUP_DEPTH_MAX};

pub(crate) use decode::{Decoder, read_text};
pub use unknown::UnknownFields;

/// The message `Config`: a whole configuration and how many updates led to it. Fields of this outermost message that
/// are not known are not kept; nobody compares them, and no update carries them on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigTree {
    /// How many updates led here.
    pub sequence: u64,
    /// The group `/Channel`; every valid configuration has one.
    pub root: Option<Group>,
}

/// An inner node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Grows with each change of the group's own members, not of what they contain.
    pub version: u64,
    /// Child groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Values by name.
    pub values: BTreeMap<String, Value>,
    /// Policies by name.
    pub policies: BTreeMap<String, PolicyEntry>,
    /// The policy that a change has to satisfy.
    pub mod_policy: String,
    /// What else the message held.
    pub unknown: UnknownFields,
}

/// A leaf whose bytes are a message chosen by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// Grows with each change.
    pub version: u64,
    /// A marshalled message, never re-encoded.
    pub value: Bytes,
    /// The policy that a change has to satisfy.
    pub mod_policy: String,
    /// What else the message held.
    pub unknown: UnknownFields,
}

/// A leaf that holds a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyEntry {
    /// Grows with each change.
    pub version: u64,
    /// The policy. Absent and empty are different.
    pub policy: Option<PolicyBody>,
    /// The policy that a change has to satisfy.
    pub mod_policy: String,
    /// What else the message held.
    pub unknown: UnknownFields,
}

/// The message `Policy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyBody {
    /// SIGNATURE or IMPLICIT_META, as a number.
    pub kind: i32,
    /// A marshalled message chosen by the kind, never re-encoded.
    pub value: Bytes,
    /// What else the message held.
    pub unknown: UnknownFields,
}

/// Why bytes are no configuration tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TreeError {
    /// Not protobuf.
    #[error("the bytes do not parse")]
    Malformed,
    /// A text with other bytes than UTF-8.
    #[error("a text is not valid UTF-8")]
    NotText,
    /// Nested too deeply.
    #[error("groups are nested deeper than {GROUP_DEPTH_MAX} levels")]
    TooDeep,
    /// Too many groups, values and policies.
    #[error("there are more than {CONFIG_ELEMENTS_MAX} groups, values and policies")]
    TooManyElements,
}

impl ConfigTree {
    /// The group below the root with this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.root.as_ref()?.groups.get(name)
    }
}
