//! What an envelope must be to be taken for the update of a channel's configuration, as far as the envelope alone tells.

use bytes::Bytes;
use fabric_proto::common::{ChannelHeader, ConfigUpdate, ConfigUpdateEnvelope, Envelope, HeaderType, Payload};
use prost::Message as _;

/// Why an envelope is no update. Fabric's texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UpdateEnvelopeError {
    #[error("bad payload")]
    Payload,
    #[error("bad header")]
    Header,
    #[error("could not unmarshall channel header")]
    ChannelHeader,
    #[error("bad type")]
    Type,
    #[error("empty channel id")]
    EmptyChannel,
    #[error("bad config update envelope: {0}")]
    Update(prost::DecodeError),
}

/// The name of the channel that an encoded envelope is to update: the one in the update, which is what is signed.
pub(super) fn channel_of(envelope: &Envelope) -> Result<String, UpdateEnvelopeError> {
    let payload = Payload::decode(envelope.payload.clone()).map_err(|_| UpdateEnvelopeError::Payload)?;
    let header = payload.header.map(|header| header.channel_header).filter(|header| !header.is_empty());
    let header = ChannelHeader::decode(header.ok_or(UpdateEnvelopeError::Header)?)
        .map_err(|_| UpdateEnvelopeError::ChannelHeader)?;
    if header.r#type != i32::from(HeaderType::ConfigUpdate) {
        return Err(UpdateEnvelopeError::Type);
    }
    if header.channel_id.is_empty() {
        return Err(UpdateEnvelopeError::EmptyChannel);
    }
    update(payload.data).map(|update| update.channel_id).map_err(UpdateEnvelopeError::Update)
}

fn update(data: Bytes) -> Result<ConfigUpdate, prost::DecodeError> {
    ConfigUpdate::decode(ConfigUpdateEnvelope::decode(data)?.config_update)
}
