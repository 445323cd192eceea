//! JSON in the shape of Fabric's `configtxlator`: nested messages decoded, bytes in Base64, 64-bit numbers as texts.
//!
//! What cannot be decoded stays Base64. Fields of the configuration tree that are not known, which Fabric's tool
//! drops, are shown under `unknown_fields`.

mod definition;
mod message;
mod msp;
mod policy;
mod tree;

pub(crate) use definition::read_organization;
pub(crate) use message::{block, config_update, envelope, update_content};
pub(crate) use tree::config;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

fn base64(bytes: &[u8]) -> Json {
    Json::String(STANDARD.encode(bytes))
}

fn base64_list(list: &[bytes::Bytes]) -> Json {
    list.iter().map(|bytes| base64(bytes)).collect()
}

/// Absent messages are `null`.
fn optional<T>(message: Option<&T>, to_json: impl FnOnce(&T) -> Json) -> Json {
    message.map_or(Json::Null, to_json)
}
