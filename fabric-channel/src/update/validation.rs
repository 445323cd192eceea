//! What a peer does to a CONFIG transaction before it looks at the new configuration.

use fabric_proto::{Envelope, EnvelopeError, canonical};
use thiserror::Error;

use super::error::UpdateError;
use super::propose;
use crate::bundle::Bundle;
use crate::config_content::ConfigContent;

/// Why peers refuse a CONFIG transaction; they stop at it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValidationError {
    /// No configuration.
    #[error("there is no configuration in the transaction")]
    NoConfig,
    /// Not the next sequence.
    #[error("the channel is at config sequence {current}, so {found} cannot be next")]
    Sequence {
        /// Sequence of the present configuration.
        current: u64,
        /// Sequence in the transaction.
        found: u64,
    },
    /// No update.
    #[error("the transaction does not say which update led to its configuration")]
    NoLastUpdate,
    /// The update is no envelope.
    #[error("the update that led to the configuration: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The update is refused.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// Another result.
    #[error("the update that it names leads to another configuration")]
    ResultMismatch,
}

/// Judges the content of a CONFIG transaction as a peer does that has the configuration `current`.
///
/// # Errors
/// [`ValidationError`].
pub fn validate(current: &Bundle, content: &ConfigContent) -> Result<(), ValidationError> {
    let config = content.config.as_ref().ok_or(ValidationError::NoConfig)?;
    let sequence = current.sequence();
    if config.sequence != sequence.wrapping_add(1) {
        return Err(ValidationError::Sequence { current: sequence, found: config.sequence });
    }
    let update = content.last_update.as_ref().ok_or(ValidationError::NoLastUpdate)?;
    let envelope = Envelope::decode(canonical::encode(&update.payload, &update.signature))?;
    let expected = propose(current, &envelope)?;
    if expected.config().root != config.root {
        return Err(ValidationError::ResultMismatch);
    }
    Ok(())
}
