//! An update on its way: collecting signatures, then wrapped by the one who sends it.

use bytes::Bytes;
use fabric_proto::common::{
    ChannelHeader, ConfigSignature, ConfigUpdateEnvelope, Header, HeaderType, Payload, SignatureHeader,
};
use fabric_proto::{Envelope, canonical};
use prost::Message as _;
use prost_types::Timestamp;
use thiserror::Error;

use crate::config_tree::{Decoder, Group, read_text};
use crate::limits::UPDATE_SIGNATURES_MAX;
use crate::wire;

/// An update with the signatures of administrators.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedUpdate {
    channel_id: String,
    read_set: Group,
    write_set: Group,
    content: ConfigUpdateEnvelope,
}

/// Why bytes are no update that can be signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignedUpdateError {
    /// None of the three forms.
    #[error("neither a CONFIG_UPDATE envelope nor a ConfigUpdateEnvelope nor a ConfigUpdate")]
    NotAnUpdate,
    /// Another kind of envelope.
    #[error("an envelope of header type {0}, not CONFIG_UPDATE (2)")]
    OtherEnvelope(i32),
    /// Header and update contradict each other, and orderers would look for the wrong channel.
    #[error("the header of the envelope names channel {header:?}, the update in it is for {update:?}")]
    OtherChannel {
        /// In the channel header.
        header: String,
        /// In the update.
        update: String,
    },
    /// No room for one more.
    #[error("an update can have {UPDATE_SIGNATURES_MAX} signatures at most")]
    TooManySignatures,
}

impl SignedUpdate {
    /// Reads an update in any of the forms in which tools hand it around: a CONFIG_UPDATE envelope, a
    /// `ConfigUpdateEnvelope`, or the bare `ConfigUpdate`.
    ///
    /// # Errors
    /// [`SignedUpdateError`].
    pub fn read(bytes: &Bytes) -> Result<Self, SignedUpdateError> {
        if let Some(update) = Self::from_config_update(bytes, Vec::new()) {
            return Ok(update);
        }
        if let Some(update) = Self::from_content(bytes) {
            return Ok(update);
        }
        let envelope = Envelope::decode(bytes.clone()).map_err(|_| SignedUpdateError::NotAnUpdate)?;
        if envelope.header_type() != i32::from(HeaderType::ConfigUpdate) {
            return Err(SignedUpdateError::OtherEnvelope(envelope.header_type()));
        }
        let update = Self::from_content(envelope.data()).ok_or(SignedUpdateError::NotAnUpdate)?;
        if envelope.channel_id() != update.channel_id {
            let header = envelope.channel_id().to_owned();
            return Err(SignedUpdateError::OtherChannel { header, update: update.channel_id });
        }
        Ok(update)
    }

    fn from_content(bytes: &Bytes) -> Option<Self> {
        let content = ConfigUpdateEnvelope::decode(bytes.clone()).ok()?;
        Self::from_config_update(&content.config_update, content.signatures)
    }

    /// A message counts as an update if it writes something and what would be its channel is text: the two outer forms
    /// have a message there, which begins with a control character. Whether the channel is right is judged later.
    fn from_config_update(bytes: &Bytes, signatures: Vec<ConfigSignature>) -> Option<Self> {
        let (mut channel_id, mut read_set, mut write_set) = (String::new(), Group::default(), None);
        let mut decoder = Decoder::new(bytes);
        for field in wire::fields(bytes) {
            let field = field.ok()?;
            match (field.number, field.content()) {
                (1, Some(text)) => channel_id = read_text(text).ok()?,
                (2, Some(group)) => decoder.merge_root(&mut read_set, group).ok()?,
                (3, Some(group)) => decoder.merge_root(write_set.get_or_insert_default(), group).ok()?,
                _ => {}
            }
        }
        if channel_id.contains(char::is_control) {
            return None;
        }
        let content = ConfigUpdateEnvelope { config_update: bytes.clone(), signatures };
        Some(Self { channel_id, read_set, write_set: write_set?, content })
    }

    /// The channel it is for.
    #[must_use]
    pub fn channel_id(&self) -> &str {
        &self.channel_id
    }

    /// What its author saw.
    #[must_use]
    pub fn read_set(&self) -> &Group {
        &self.read_set
    }

    /// What shall be.
    #[must_use]
    pub fn write_set(&self) -> &Group {
        &self.write_set
    }

    /// The update and its signatures as they are sent.
    #[must_use]
    pub fn content(&self) -> &ConfigUpdateEnvelope {
        &self.content
    }

    /// What a signature under this `SignatureHeader` covers.
    #[must_use]
    pub fn preimage(&self, signature_header: &[u8]) -> Vec<u8> {
        [signature_header, &self.content.config_update].concat()
    }

    /// Adds a signature over [`Self::preimage`].
    ///
    /// # Errors
    /// [`SignedUpdateError::TooManySignatures`].
    pub fn add_signature(&mut self, signature_header: Bytes, signature: Bytes) -> Result<(), SignedUpdateError> {
        if self.content.signatures.len() >= UPDATE_SIGNATURES_MAX {
            return Err(SignedUpdateError::TooManySignatures);
        }
        self.content.signatures.push(ConfigSignature { signature_header, signature });
        Ok(())
    }

    /// The envelope without a sender: administrators pass it on to each other in this form.
    #[must_use]
    pub fn to_unsigned_envelope(&self) -> Bytes {
        Self::unsigned_envelope(&self.channel_id, self.content.encode_to_vec().into())
    }

    /// The payload that its sender signs. `created_unix_s` is the sender's time in seconds since 1970.
    #[must_use]
    pub fn to_payload(&self, sender: &SignatureHeader, created_unix_s: i64) -> Bytes {
        let timestamp = Some(Timestamp { seconds: created_unix_s, nanos: 0 });
        let channel_header = ChannelHeader { timestamp, ..channel_header(&self.channel_id) };
        payload(&channel_header, sender.encode_to_vec(), self.content.encode_to_vec().into())
    }

    pub(super) fn unsigned_envelope(channel_id: &str, content: Bytes) -> Bytes {
        canonical::encode(&payload(&channel_header(channel_id), Vec::new(), content), b"")
    }
}

fn channel_header(channel_id: &str) -> ChannelHeader {
    let r#type = HeaderType::ConfigUpdate.into();
    ChannelHeader { r#type, channel_id: channel_id.to_owned(), ..ChannelHeader::default() }
}

fn payload(channel_header: &ChannelHeader, signature_header: Vec<u8>, data: Bytes) -> Bytes {
    let channel_header = channel_header.encode_to_vec().into();
    let header = Header { channel_header, signature_header: signature_header.into() };
    Payload { header: Some(header), data }.encode_to_vec().into()
}
