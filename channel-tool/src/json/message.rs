//! Blocks, envelopes and updates.

use fabric_channel::ConfigContent;
use fabric_channel::authoring::SignedUpdate;
use fabric_proto::Envelope;
use fabric_proto::common::{self, Block, ChannelHeader, HeaderType, SignatureHeader};
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::{base64, base64_list, msp, optional, tree};
use crate::time;

/// A `Block` message.
pub(crate) fn block(block: &Block) -> Json {
    let entries: Json = block.entries().iter().map(entry).collect();
    json!({
        "data": { "data": entries },
        "header": optional(block.header.as_ref(), |header| json!({
            "data_hash": base64(&header.data_hash),
            "number": header.number.to_string(),
            "previous_hash": base64(&header.previous_hash),
        })),
        "metadata": optional(block.metadata.as_ref(), |metadata| json!({ "metadata": base64_list(&metadata.metadata) })),
    })
}

fn entry(bytes: &bytes::Bytes) -> Json {
    Envelope::decode(bytes.clone()).map_or_else(|_| base64(bytes), |envelope| self::envelope(&envelope))
}

/// An `Envelope` message.
pub(crate) fn envelope(envelope: &Envelope) -> Json {
    let data = match HeaderType::try_from(envelope.header_type()) {
        Ok(HeaderType::Config) => config_content(envelope.data()),
        Ok(HeaderType::ConfigUpdate) => SignedUpdate::read(envelope.bytes()).ok().map(|update| update_content(&update)),
        _ => None,
    };
    let signature_header = envelope.signature_header().map_or(Json::Null, signature_header);
    json!({
        "payload": {
            "data": data.unwrap_or_else(|| base64(envelope.data())),
            "header": {
                "channel_header": channel_header(envelope.channel_header()),
                "signature_header": signature_header,
            },
        },
        "signature": base64(envelope.signature()),
    })
}

fn config_content(bytes: &bytes::Bytes) -> Option<Json> {
    let content = ConfigContent::decode(bytes).ok()?;
    // Only an update is looked into: envelopes within envelopes could go on for ever.
    let last_update = |update: &common::Envelope| {
        let bytes = update.encode_to_vec().into();
        if SignedUpdate::read(&bytes).is_ok() { entry(&bytes) } else { base64(&bytes) }
    };
    Some(json!({
        "config": optional(content.config.as_ref(), tree::config),
        "last_update": optional(content.last_update.as_ref(), last_update),
    }))
}

/// A `ConfigUpdateEnvelope` message.
pub(crate) fn update_content(update: &SignedUpdate) -> Json {
    let signature = |entry: &common::ConfigSignature| {
        let header = SignatureHeader::decode(entry.signature_header.clone())
            .map_or_else(|_| base64(&entry.signature_header), |header| signature_header(&header));
        json!({ "signature": base64(&entry.signature), "signature_header": header })
    };
    let signatures: Json = update.content().signatures.iter().map(signature).collect();
    json!({ "config_update": config_update(update), "signatures": signatures })
}

/// A `ConfigUpdate` message.
pub(crate) fn config_update(update: &SignedUpdate) -> Json {
    json!({
        "channel_id": update.channel_id(),
        "isolated_data": {},
        "read_set": tree::group(update.read_set()),
        "write_set": tree::group(update.write_set()),
    })
}

fn channel_header(header: &ChannelHeader) -> Json {
    let extension = if header.extension.is_empty() { Json::Null } else { base64(&header.extension) };
    json!({
        "channel_id": header.channel_id,
        "epoch": header.epoch.to_string(),
        "extension": extension,
        "timestamp": optional(header.timestamp.as_ref(), |at| json!(time::instant(at.seconds, at.nanos))),
        "tls_cert_hash": base64(&header.tls_cert_hash),
        "tx_id": header.tx_id,
        "type": header.r#type,
        "version": header.version,
    })
}

fn signature_header(header: &SignatureHeader) -> Json {
    json!({ "creator": msp::identity(&header.creator), "nonce": base64(&header.nonce) })
}
