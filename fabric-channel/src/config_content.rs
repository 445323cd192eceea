//! The data of a CONFIG payload: a whole configuration, and the update that led to it.

use bytes::Bytes;
use fabric_proto::canonical;
use fabric_proto::common::Envelope;
use prost::Message as _;

use crate::config_tree::{ConfigTree, Decoder, TreeError};
use crate::wire::{self, push_content};

/// The message `ConfigEnvelope`, its configuration kept without loss.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigContent {
    /// The configuration; absent only in what nobody accepts.
    pub config: Option<ConfigTree>,
    /// The CONFIG_UPDATE envelope that led to it; absent in block 0.
    pub last_update: Option<Envelope>,
}

impl ConfigContent {
    /// Reads the data of a CONFIG payload.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn decode(bytes: &Bytes) -> Result<Self, TreeError> {
        let mut content = Self::default();
        let mut decoder = Decoder::new(bytes);
        for field in wire::fields(bytes) {
            let field = field?;
            match (field.number, field.content()) {
                (1, Some(part)) => decoder.merge_tree(content.config.get_or_insert_default(), part)?,
                (2, Some(part)) => content
                    .last_update
                    .get_or_insert_default()
                    .merge(bytes.slice_ref(part))
                    .map_err(|_| TreeError::Malformed)?,
                _ => {}
            }
        }
        Ok(content)
    }

    /// The data of a CONFIG payload in canonical form, equal on every replica.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(config) = &self.config {
            push_content(&mut out, 1, &config.encode());
        }
        if let Some(update) = &self.last_update {
            push_content(&mut out, 2, &canonical::encode(&update.payload, &update.signature));
        }
        out
    }
}
