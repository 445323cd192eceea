//! An update before anybody has signed it.

use bytes::Bytes;
use fabric_proto::common::ConfigUpdateEnvelope;
use prost::Message as _;

use super::compute::{NoDifference, UpdateSets, compute_update};
use super::signed_update::SignedUpdate;
use crate::bundle::Bundle;
use crate::config_tree::ConfigTree;
use crate::wire::push_content;

/// An update with the channel it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateDraft {
    channel_id: String,
    sets: UpdateSets,
}

impl UpdateDraft {
    /// The update that leads from the present configuration of a channel to another one.
    ///
    /// # Errors
    /// [`NoDifference`].
    pub fn new(current: &Bundle, desired: &ConfigTree) -> Result<Self, NoDifference> {
        let sets = compute_update(current.tree(), desired)?;
        Ok(Self { channel_id: current.channel_id().as_str().to_owned(), sets })
    }

    /// Read set and write set.
    #[must_use]
    pub fn sets(&self) -> &UpdateSets {
        &self.sets
    }

    /// The marshalled `ConfigUpdate`: the bytes that signatures cover.
    #[must_use]
    pub fn config_update(&self) -> Bytes {
        let mut out = Vec::new();
        push_content(&mut out, 1, self.channel_id.as_bytes());
        push_content(&mut out, 2, &self.sets.read_set.encode());
        push_content(&mut out, 3, &self.sets.write_set.encode());
        out.into()
    }

    /// The marshalled CONFIG_UPDATE envelope without any signature, as `peer channel signconfigtx` takes it.
    #[must_use]
    pub fn envelope(&self) -> Bytes {
        let signed = ConfigUpdateEnvelope { config_update: self.config_update(), signatures: Vec::new() };
        SignedUpdate::unsigned_envelope(&self.channel_id, signed.encode_to_vec().into())
    }
}
