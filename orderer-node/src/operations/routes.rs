//! The paths, who may ask for them, and the answers.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::report::rfc3339;
use super::{Component, FailedCheck, Operations, health, metrics, page, readiness};
use crate::http_server::{read_body, require_certificate};

/// The endpoint as a router.
pub fn router(operations: Operations) -> Router {
    let mut protected = Router::new()
        .route("/logspec", any(on_logspec))
        .route("/", get(on_page))
        .route("/status", get(on_page))
        .route("/status.json", get(on_status));
    if operations.has_metrics {
        protected = protected.route("/metrics", get(on_metrics));
    }
    Router::new()
        .route("/healthz", get(on_healthz))
        .route("/readyz", get(on_readyz))
        .route("/version", any(on_version))
        .merge(protected.route_layer(middleware::from_fn(require_certificate)))
        .with_state(operations)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_checks: Vec<FailedCheck>,
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    time: String,
    components: Vec<Component>,
}

#[derive(Serialize, Deserialize)]
struct Spec {
    #[serde(default)]
    spec: String,
}

async fn on_healthz(State(operations): State<Operations>) -> Response {
    let snapshot = operations.observed.snapshot();
    let failed_checks = health(&snapshot);
    let (code, status) = verdict(failed_checks.is_empty());
    uncached((code, Json(Health { status, time: rfc3339(snapshot.time), failed_checks })))
}

async fn on_readyz(State(operations): State<Operations>) -> Response {
    let snapshot = operations.observed.snapshot();
    let components = readiness(&snapshot);
    let (code, status) = verdict(components.iter().all(|component| component.ready));
    uncached((code, Json(Readiness { status, time: rfc3339(snapshot.time), components })))
}

/// Fabric answers other methods with 400.
async fn on_version(State(operations): State<Operations>, method: Method) -> Response {
    #[derive(Serialize)]
    struct Told {
        #[serde(rename = "CommitSHA", skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
        #[serde(rename = "Version")]
        version: String,
    }
    if method != Method::GET {
        let told = serde_json::json!({ "Error": format!("invalid request method: {method}") });
        return (StatusCode::BAD_REQUEST, Json(told)).into_response();
    }
    let version = operations.version;
    Json(Told { commit: version.commit, version: version.version }).into_response()
}

async fn on_logspec(State(operations): State<Operations>, request: Request<Body>) -> Response {
    match *request.method() {
        Method::GET => Json(Spec { spec: operations.log_spec.spec() }).into_response(),
        Method::PUT => match set_log_spec(&operations, request.into_body()).await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(why) => bad(&why),
        },
        ref other => bad(&format!("invalid request method: {other}")),
    }
}

async fn set_log_spec(operations: &Operations, body: Body) -> Result<(), String> {
    let body = read_body(body, LOG_SPEC_BYTES_MAX).await.map_err(|error| error.to_string())?;
    let wanted: Spec = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    operations.log_spec.set(&wanted.spec)?;
    tracing::info!(spec = wanted.spec, "the log specification was changed");
    Ok(())
}

async fn on_metrics(State(operations): State<Operations>) -> Response {
    let text = metrics::render(&operations.snapshot());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn on_status(State(operations): State<Operations>) -> Response {
    uncached(Json(page::told(operations.observed.snapshot())))
}

/// One file without anything from elsewhere, and the browser is told that there is to be nothing.
async fn on_page() -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    uncached(([("content-security-policy", policy)], Html(page::PAGE)))
}

fn verdict(is_good: bool) -> (StatusCode, &'static str) {
    match is_good {
        true => (StatusCode::OK, "OK"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    }
}

fn bad(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(serde_json::json!({ "error": why }))).into_response()
}

fn uncached(answer: impl IntoResponse) -> Response {
    ([(CACHE_CONTROL, "no-store")], answer).into_response()
}

const LOG_SPEC_BYTES_MAX: usize = 64 << 10;
