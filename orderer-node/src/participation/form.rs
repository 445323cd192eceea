//! Forms: a `multipart/form-data` body with exactly one part, a file of a given name.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures::stream;

use crate::http_server::{BodyError, read_body};

/// Why a form is not read. All are the client's fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormError {
    /// Another content type, as the header lists it.
    #[error("unsupported Content-Type: [{0}]")]
    ContentType(String),
    /// A content type that does not parse.
    #[error("cannot parse Mime media type: {0}")]
    MediaType(String),
    /// Nothing separates the parts.
    #[error("cannot read form from request body: multipart: boundary is empty")]
    Boundary,
    /// The body does not arrive, or is too long.
    #[error("cannot read form from request body: {0}")]
    Body(#[from] BodyError),
    /// The body is no form.
    #[error("cannot read form from request body: {0}")]
    Form(#[from] multer::Error),
    /// The part that is asked for is missing.
    #[error("form does not contains part key: {0}")]
    MissingPart(&'static str),
    /// There is more in it.
    #[error("form contains too many parts")]
    TooManyParts,
}

/// True if the request brings a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().any(|value| String::from_utf8_lossy(value.as_bytes()).contains(FORM))
}

/// The values of the header as Fabric prints them.
pub(super) fn content_types(headers: &HeaderMap) -> FormError {
    let values: Vec<_> =
        headers.get_all(CONTENT_TYPE).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    FormError::ContentType(values.join(" "))
}

/// The content of the one file in the form.
pub(super) async fn only_file(
    headers: &HeaderMap,
    body: Body,
    key: &'static str,
    bytes_max: usize,
) -> Result<Bytes, FormError> {
    let boundary = boundary(headers)?;
    let body = read_body(body, bytes_max).await?;
    let mut form = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    let (mut wanted, mut others) = (Vec::new(), 0_usize);
    while let Some(field) = form.next_field().await? {
        // Without a file name it is a value, whatever it is called.
        let is_file = field.file_name().is_some_and(|name| !name.is_empty());
        let is_wanted = is_file && field.name() == Some(key);
        let is_named = field.name().is_some_and(|name| !name.is_empty());
        let content = field.bytes().await?;
        match (is_wanted, is_named) {
            (true, _) => wanted.push(content),
            (false, true) => others += 1,
            (false, false) => {}
        }
    }
    let file = wanted.pop().ok_or(FormError::MissingPart(key))?;
    if !wanted.is_empty() || others > 0 {
        return Err(FormError::TooManyParts);
    }
    Ok(file)
}

fn boundary(headers: &HeaderMap) -> Result<String, FormError> {
    let value = headers.get(CONTENT_TYPE).ok_or(FormError::Boundary)?;
    let text = value.to_str().map_err(|error| FormError::MediaType(error.to_string()))?;
    multer::parse_boundary(text).map_err(|error| match error {
        multer::Error::NoBoundary => FormError::Boundary,
        multer::Error::NoMultipart => FormError::ContentType(text.to_owned()),
        other => FormError::MediaType(other.to_string()),
    })
}

const FORM: &str = "multipart/form-data";
