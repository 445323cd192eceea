//! Answers: JSON with the headers that go with it, and refusals.

use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use super::{ChannelInfo, ChannelStatus, ConsensusRelation};

/// Where the channels are.
pub(super) const CHANNELS: &str = "/participation/v1/channels";

/// The list of channels. `null` stands for none, as Fabric's clients compare it.
#[derive(Serialize)]
struct ChannelList {
    #[serde(rename = "systemChannel")]
    system_channel: Option<ListedChannel>,
    channels: Option<Vec<ListedChannel>>,
}

#[derive(Serialize)]
struct ListedChannel {
    name: String,
    url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownChannel {
    name: String,
    url: String,
    consensus_relation: ConsensusRelation,
    status: ChannelStatus,
    height: u64,
}

#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
}

/// 200 with the channels of these names.
pub(super) fn list(ids: &[fabric_proto::ChannelId]) -> Response {
    let shown = ids.iter().map(|id| ListedChannel { name: id.to_string(), url: url(id.as_str()) });
    let channels = (!ids.is_empty()).then(|| shown.collect());
    uncached(json(StatusCode::OK, &ChannelList { system_channel: None, channels }))
}

/// 200 with one channel.
pub(super) fn channel(info: &ChannelInfo) -> Response {
    uncached(json(StatusCode::OK, &shown(info)))
}

/// 201 with one channel, and where to find it.
pub(super) fn created(info: &ChannelInfo) -> Response {
    let mut response = json(StatusCode::CREATED, &shown(info));
    if let Ok(location) = HeaderValue::from_str(&url(info.id.as_str())) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// 200 with an encoded block.
pub(super) fn block(bytes: Bytes) -> Response {
    uncached(([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// A status with a text.
pub(super) fn refusal(status: StatusCode, text: &str) -> Response {
    json(status, &Refusal { error: text })
}

/// 405 with what would be allowed.
pub(super) fn not_allowed(text: &str, allowed: &'static str) -> Response {
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// 404 for a path that leads nowhere, in plain text.
pub(super) fn no_such_path() -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
    let mut response = (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response();
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn shown(info: &ChannelInfo) -> ShownChannel {
    ShownChannel {
        name: info.id.to_string(),
        url: url(info.id.as_str()),
        consensus_relation: info.relation,
        status: info.status,
        height: info.height,
    }
}

fn url(name: &str) -> String {
    format!("{CHANNELS}/{name}")
}

fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// One line of JSON.
fn json(status: StatusCode, content: &impl Serialize) -> Response {
    match serde_json::to_vec(content) {
        Ok(mut text) => {
            text.push(b'\n');
            (status, [(CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
