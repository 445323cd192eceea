//! The paths and what is done at each.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, LOCATION};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use bytes::Bytes;
use fabric_channel::{ChannelConfig, join_block};
use fabric_proto::common::{Block, Envelope};
use fabric_proto::{ChannelId, ChannelIdError};
use prost::Message as _;

use super::channel_info::BlockChoiceError;
use super::{
    BlockChoice, FetchError, JoinBlock, JoinError, ParticipationSettings, Registrar, RemoveError, UpdateError, answer,
    form, update_envelope,
};

/// The API as a router: every path, and 404 for all others.
pub fn router(registrar: Arc<dyn Registrar>, settings: ParticipationSettings) -> Router {
    if !settings.is_enabled {
        let paths = Router::new().route(BASE, any(on_disabled)).route(&format!("{BASE}{{*rest}}"), any(on_disabled));
        return paths.fallback(on_other_path);
    }
    Router::new()
        .route(BASE, any(on_base))
        .route(answer::CHANNELS, any(on_channels))
        .route(&format!("{}/{{channel}}", answer::CHANNELS), any(on_channel))
        .route(&format!("{}/{{channel}}/blocks/{{block}}", answer::CHANNELS), any(on_block))
        .fallback(on_other_path)
        .with_state(Api { registrar, body_bytes_max: settings.body_bytes_max })
}

#[derive(Clone)]
struct Api {
    registrar: Arc<dyn Registrar>,
    body_bytes_max: usize,
}

/// Why a request is not even put to the registrar.
struct Refused(StatusCode, String);

impl From<Refused> for Response {
    fn from(Refused(status, text): Refused) -> Self {
        answer::refusal(status, &text)
    }
}

async fn on_disabled() -> Response {
    answer::refusal(StatusCode::SERVICE_UNAVAILABLE, "channel participation API is disabled")
}

async fn on_other_path() -> Response {
    answer::no_such_path()
}

async fn on_base(method: Method) -> Response {
    match method {
        Method::GET => (StatusCode::FOUND, [(LOCATION, answer::CHANNELS)]).into_response(),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

async fn on_channels(State(api): State<Api>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    match head.method {
        Method::GET => match check_accept(&head.headers) {
            Ok(()) => answer::list(&api.registrar.list()),
            Err(refused) => refused.into(),
        },
        Method::POST => api.join(&head.headers, body).await.unwrap_or_else(Response::from),
        Method::PUT => api.update(&head.headers, body).await.unwrap_or_else(Response::from),
        other => wrong_method(&other, "GET, POST, PUT"),
    }
}

async fn on_channel(
    State(api): State<Api>,
    method: Method,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Response {
    if method != Method::GET && method != Method::DELETE {
        return wrong_method(&method, "GET, DELETE");
    }
    let id = match check_accept(&headers).and_then(|()| channel_id(name.ok().map(|Path(name)| name))) {
        Ok(id) => id,
        Err(refused) => return refused.into(),
    };
    if method == Method::DELETE {
        return api.remove(id).await;
    }
    match api.registrar.info(&id) {
        Some(info) => answer::channel(&info),
        None => answer::refusal(StatusCode::NOT_FOUND, &FetchError::NotFound.to_string()),
    }
}

async fn on_block(
    State(api): State<Api>,
    method: Method,
    headers: HeaderMap,
    names: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    if method != Method::GET {
        return wrong_method(&method, "GET");
    }
    let (channel, block) = names.ok().map(|Path(names)| names).unzip();
    let id = match check_accept(&headers).and_then(|()| channel_id(channel)) {
        Ok(id) => id,
        Err(refused) => return refused.into(),
    };
    match block.unwrap_or_default().parse::<BlockChoice>() {
        Ok(which) => api.fetch(id, which).await,
        Err(error @ BlockChoiceError::Unknown(_)) => answer::refusal(StatusCode::BAD_REQUEST, &error.to_string()),
        Err(error @ BlockChoiceError::Negative(_)) => answer::refusal(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

impl Api {
    async fn join(&self, headers: &HeaderMap, body: Body) -> Result<Response, Refused> {
        let bytes = self.only_file(headers, body, "config-block").await?;
        let block = Block::decode(bytes.clone())
            .map_err(|error| bad(format!("cannot unmarshal file part config-block into a block: {error}")))?;
        let bundle = join_block::read(&block).map_err(|error| bad(format!("invalid join block: {error}")))?;
        let config = ChannelConfig::from_bundle(bundle).map_err(|error| bad(format!("cannot join: {error}")))?;
        let number = block.header.map_or(0, |header| header.number);
        let channel = config.channel_id().clone();
        match self.registrar.join(JoinBlock { number, bytes, config }).await {
            Ok(info) => {
                tracing::info!(%channel, number, relation = ?info.relation, status = ?info.status, "joined a channel");
                Ok(answer::created(&info))
            }
            Err(error) => {
                tracing::warn!(%channel, number, %error, "cannot join a channel");
                let text = format!("cannot join: {error}");
                Ok(match error {
                    JoinError::AlreadyExists => answer::not_allowed(&text, "GET, DELETE"),
                    JoinError::PendingRemoval => answer::refusal(StatusCode::CONFLICT, &text),
                    JoinError::RemovalFailed => answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, &text),
                    JoinError::Refused(_) => bad(text).into(),
                })
            }
        }
    }

    async fn update(&self, headers: &HeaderMap, body: Body) -> Result<Response, Refused> {
        let bytes = self.only_file(headers, body, "config-update-envelope").await?;
        let envelope = Envelope::decode(bytes.clone()).map_err(|error| {
            bad(format!("cannot unmarshal file part config-update-envelope into an envelope: {error}"))
        })?;
        let name = update_envelope::channel_of(&envelope)
            .map_err(|error| bad(format!("invalid config update envelope: {error}")))?;
        let outcome = match ChannelId::new(&name) {
            Ok(id) => self.registrar.update(id, bytes).await,
            // No channel can have this name.
            Err(_) => Err(UpdateError::NotFound),
        };
        Ok(match outcome {
            Ok(info) => {
                tracing::info!(channel = name, "submitted a configuration update");
                answer::created(&info)
            }
            Err(error) => {
                tracing::info!(channel = name, %error, "cannot submit a configuration update");
                let status = match error {
                    UpdateError::NotFound => StatusCode::METHOD_NOT_ALLOWED,
                    UpdateError::Follower => StatusCode::FORBIDDEN,
                    UpdateError::PendingRemoval => StatusCode::CONFLICT,
                    UpdateError::RemovalFailed => StatusCode::INTERNAL_SERVER_ERROR,
                    UpdateError::Refused(_) => StatusCode::BAD_REQUEST,
                };
                answer::refusal(status, &format!("cannot update: {error}"))
            }
        })
    }

    async fn only_file(&self, headers: &HeaderMap, body: Body, key: &'static str) -> Result<Bytes, Refused> {
        if !form::is_form(headers) {
            return Err(bad(form::content_types(headers).to_string()));
        }
        check_accept(headers)?;
        form::only_file(headers, body, key, self.body_bytes_max).await.map_err(|error| bad(error.to_string()))
    }

    async fn remove(&self, id: ChannelId) -> Response {
        match self.registrar.remove(id.clone()).await {
            Ok(()) => {
                tracing::info!(channel = %id, "removing a channel");
                StatusCode::NO_CONTENT.into_response()
            }
            Err(error) => {
                tracing::warn!(channel = %id, %error, "cannot remove a channel");
                let status = match error {
                    RemoveError::NotFound => StatusCode::NOT_FOUND,
                    RemoveError::PendingRemoval => StatusCode::CONFLICT,
                    RemoveError::Failed(_) => StatusCode::BAD_REQUEST,
                };
                answer::refusal(status, &format!("cannot remove: {error}"))
            }
        }
    }

    async fn fetch(&self, id: ChannelId, which: BlockChoice) -> Response {
        match self.registrar.fetch(id, which).await {
            Ok(block) => answer::block(block),
            Err(error @ FetchError::Unreadable(_)) => {
                answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
            }
            Err(error) => answer::refusal(StatusCode::NOT_FOUND, &error.to_string()),
        }
    }
}

/// Only JSON is spoken, also where a block is the answer: errors are JSON.
fn check_accept(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(accept) = headers.get(ACCEPT).map(|value| String::from_utf8_lossy(value.as_bytes())) else {
        return Ok(());
    };
    if accept.is_empty() || ACCEPTED.iter().any(|kind| accept.contains(kind)) {
        return Ok(());
    }
    Err(Refused(StatusCode::NOT_ACCEPTABLE, "response Content-Type is application/json only".to_owned()))
}

fn channel_id(name: Option<String>) -> Result<ChannelId, Refused> {
    let name = name.ok_or_else(|| bad("invalid channel ID: it is no UTF-8"))?;
    ChannelId::new(&name).map_err(|error| {
        let why = match error {
            ChannelIdError::IllegalCharacter { name } => format!("'{name}' contains illegal characters"),
            ChannelIdError::TooLong { .. } => {
                format!("channel ID illegal, cannot be longer than {}", ChannelId::BYTES_MAX)
            }
            other @ ChannelIdError::Empty => other.to_string(),
        };
        bad(format!("invalid channel ID: {why}"))
    })
}

fn wrong_method(method: &Method, allowed: &'static str) -> Response {
    answer::not_allowed(&format!("invalid request method: {method}"), allowed)
}

fn bad(text: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, text.into())
}

const BASE: &str = "/participation/v1/";

/// What a client may ask for to get JSON.
const ACCEPTED: [&str; 3] = ["application/json", "application/*", "*/*"];
