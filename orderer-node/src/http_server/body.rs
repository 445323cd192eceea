//! Reading the body of a request: bounded in bytes and in time.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::READ_TIME_MAX;

/// Why a body was not read. The texts follow Fabric's where its clients may match on them.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than allowed.
    #[error("http: request body too large")]
    TooLarge,
    /// It took too long to arrive.
    #[error("the request body did not arrive within {} s", READ_TIME_MAX.as_secs())]
    TooSlow,
    /// The connection broke.
    #[error("{0}")]
    Broken(#[from] axum::Error),
}

/// The whole body, if it has at most `bytes_max` bytes and arrives within ten seconds.
///
/// # Errors
/// [`BodyError`].
pub async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    timeout(READ_TIME_MAX, collect(body, bytes_max)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if data.len() > bytes_max - collected.len() {
            discard(body, DISCARDED_BYTES_MAX).await;
            return Err(BodyError::TooLarge);
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}

/// Takes what a client is still sending and forgets it: one that cannot get rid of its request would never read the answer.
async fn discard(mut body: Body, mut bytes_max: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        match bytes_max.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(left) => bytes_max = left,
            None => return,
        }
    }
}

/// As much as a gRPC message may be long.
const DISCARDED_BYTES_MAX: usize = 100 << 20;
