//! From a CONFIG_UPDATE envelope to the update in it.

use bytes::Bytes;
use fabric_proto::Envelope;
use fabric_proto::common::{ConfigUpdateEnvelope, HeaderType, SignatureHeader};
use prost::Message as _;

use super::error::UpdateError;
use crate::config_tree::{Decoder, Group, TreeError, read_text};
use crate::limits::UPDATE_SIGNATURES_MAX;
use crate::msps::SignedData;
use crate::wire::{self, Field};

/// An update with its signatures, nothing of it checked.
pub(super) struct Update {
    pub(super) channel_id: String,
    pub(super) read_set: Option<Group>,
    pub(super) write_set: Option<Group>,
    signed: ConfigUpdateEnvelope,
}

/// Signatures over an update, ready for verification.
pub(super) struct Signatures {
    entries: Vec<Signature>,
}

struct Signature {
    data: Vec<u8>,
    creator: Bytes,
    signature: Bytes,
}

impl Update {
    pub(super) fn read(envelope: &Envelope) -> Result<Self, UpdateError> {
        let header_type = envelope.header_type();
        if header_type != i32::from(HeaderType::ConfigUpdate) {
            return Err(UpdateError::NotAnUpdate { header_type });
        }
        let signed = ConfigUpdateEnvelope::decode(envelope.data().clone()).map_err(|_| UpdateError::MalformedData)?;
        let bytes = signed.config_update.clone();
        let mut update = Self { channel_id: String::new(), read_set: None, write_set: None, signed };
        let mut decoder = Decoder::new(&bytes);
        for field in wire::fields(&bytes) {
            let field = field.map_err(TreeError::from)?;
            match (field.number, field.content()) {
                (1, Some(text)) => update.channel_id = read_text(text)?,
                (2, Some(group)) => decoder.merge_root(update.read_set.get_or_insert_default(), group)?,
                (3, Some(group)) => decoder.merge_root(update.write_set.get_or_insert_default(), group)?,
                (5, Some(entry)) => check_isolated_data(entry)?,
                _ => {}
            }
        }
        Ok(update)
    }

    /// What the signatures cover: their own header, then the update.
    pub(super) fn signatures(&self) -> Result<Signatures, UpdateError> {
        let count = self.signed.signatures.len();
        if count > UPDATE_SIGNATURES_MAX {
            return Err(UpdateError::TooManySignatures(count));
        }
        let mut entries = Vec::with_capacity(count);
        for (index, entry) in self.signed.signatures.iter().enumerate() {
            let header = SignatureHeader::decode(entry.signature_header.clone())
                .map_err(|_| UpdateError::MalformedSignatureHeader { index })?;
            entries.push(Signature {
                data: [&entry.signature_header[..], &self.signed.config_update[..]].concat(),
                creator: header.creator,
                signature: entry.signature.clone(),
            });
        }
        Ok(Signatures { entries })
    }
}

impl Signatures {
    pub(super) fn signed_data(&self) -> Vec<SignedData<'_>> {
        let entries = self.entries.iter();
        entries
            .map(|entry| SignedData { data: &entry.data, identity: &entry.creator, signature: &entry.signature })
            .collect()
    }
}

/// A map from texts to bytes that nobody reads; only its form counts.
fn check_isolated_data(entry: &[u8]) -> Result<(), TreeError> {
    for field in wire::fields(entry) {
        let field: Field<'_> = field?;
        if let (1, Some(key)) = (field.number, field.content()) {
            read_text(key)?;
        }
    }
    Ok(())
}
