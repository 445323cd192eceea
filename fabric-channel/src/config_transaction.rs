//! CONFIG envelopes: made by the frontend that admits an update, judged by every replica before it votes.
//!
//! ```text
//! CONFIG_UPDATE -> ConfigChange::evaluate -> wrap    at the frontend: the result, signed with an identity of the
//!                                                    channel, since peers check the envelope's creator too
//! CONFIG -> verify -> the next ChannelConfig         at every replica: nothing is believed, everything recomputed
//! ```
//!
//! One form and no other is ordered, so a faulty frontend or leader has nothing to vary but nonce, time, creator and
//! signature. Deterministic: two replicas with the same configuration come to the same verdict, whatever their clocks
//! say. Contract §2.2, §2.3, §2.6.

use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::canonical::CanonicalError;
use fabric_proto::common::{ChannelHeader, Header, HeaderType, Payload, SignatureHeader};
use fabric_proto::{ChannelId, Envelope, canonical};
use prost::Message as _;
use prost_types::Timestamp;
use thiserror::Error;

use crate::config::ChannelConfig;
use crate::config_change::{ConfigChange, OrderableError, RecomputeError};
use crate::config_content::ConfigContent;
use crate::config_tree::TreeError;
use crate::consenter_set::{self, MoveError};
use crate::filters::{self, FilterReject};

/// Signs for the frontend that wraps: an MSP identity that is valid in the channel.
pub trait EnvelopeSigner {
    /// The identity as a marshalled `SerializedIdentity`.
    fn creator(&self) -> Bytes;

    /// Signs a marshalled payload as Fabric does: ECDSA over its SHA-256, DER, low S.
    ///
    /// # Errors
    /// [`SignError`], if the key cannot be used now.
    fn sign(&self, payload: &[u8]) -> Result<Bytes, SignError>;
}

/// Why nothing could be signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot sign: {0}")]
pub struct SignError(pub String);

/// Why a CONFIG envelope must not be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigTransactionReject {
    /// Another kind of envelope.
    #[error("the envelope is of header type {0}, not CONFIG (1)")]
    Type(i32),
    /// For another channel.
    #[error("the envelope is for channel {named:?}, not for {channel}")]
    Channel {
        /// The channel in its header.
        named: String,
        /// The channel it was submitted to.
        channel: ChannelId,
    },
    /// Another spelling of an envelope.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// Headers with what peers refuse, or with what no orderer writes.
    #[error("the headers are not those of a CONFIG envelope: {0}")]
    Form(&'static str),
    /// A filter.
    #[error(transparent)]
    Filter(#[from] FilterReject),
    /// The content does not parse.
    #[error("the content of the configuration transaction: {0}")]
    Content(#[from] TreeError),
    /// Made for another configuration than the one in force.
    #[error("the channel is at config sequence {current}, so {found} cannot be next")]
    Sequence {
        /// Sequence of the configuration in force.
        current: u64,
        /// Sequence in the transaction.
        found: u64,
    },
    /// Not what its own update leads to.
    #[error(transparent)]
    Recompute(#[from] RecomputeError),
    /// No orderer could go on with it.
    #[error(transparent)]
    Orderable(#[from] OrderableError),
    /// It cannot be ordered by the consenters that it names after the present ones.
    #[error(transparent)]
    Move(#[from] MoveError),
}

/// The CONFIG envelope around the result of an update, canonical, as contract 2.2 step 3. `nonce` has to be random,
/// `seconds` is the time since 1970.
///
/// # Errors
/// [`SignError`] of the signer.
pub fn wrap(
    change: &ConfigChange,
    signer: &dyn EnvelopeSigner,
    nonce: [u8; 24],
    seconds: i64,
) -> Result<Bytes, SignError> {
    let signature_header = SignatureHeader { creator: signer.creator(), nonce: Bytes::copy_from_slice(&nonce) };
    let data = change.proposed().to_content().encode().into();
    let payload = payload(change.next().channel_id().as_str(), seconds, &signature_header, data);
    let signature = signer.sign(&payload)?;
    Ok(canonical::encode(&payload, &signature))
}

/// What every replica demands of a CONFIG envelope under the configuration in force, and the configuration that it
/// leads to: the form that [`wrap`] gives it, a creator who may write, content equal to its own recomputation byte for
/// byte, a result that can be ordered, by the same consenters as now or by others with enough of the present ones
/// among them.
///
/// # Errors
/// [`ConfigTransactionReject`], the first demand that is not met.
pub fn verify(current: &ChannelConfig, envelope: &Envelope) -> Result<Arc<ChannelConfig>, ConfigTransactionReject> {
    let digest = envelope.digest();
    if let Some(next) = current.known_successor(&digest) {
        return Ok(next);
    }
    check_form(current, envelope)?;
    filters::check(current, envelope, None)?;
    check_sequence(current, envelope)?;
    let change = ConfigChange::recompute(current.bundle(), envelope.data())?;
    let next = change.check_orderable()?;
    consenter_set::check(current, &next)?;
    let next = Arc::new(next);
    current.remember_successor(digest, &next);
    Ok(next)
}

fn check_form(current: &ChannelConfig, envelope: &Envelope) -> Result<(), ConfigTransactionReject> {
    if !envelope.is_config() {
        return Err(ConfigTransactionReject::Type(envelope.header_type()));
    }
    let channel = current.channel_id();
    if envelope.channel_id() != channel.as_str() {
        return Err(ConfigTransactionReject::Channel {
            named: envelope.channel_id().to_owned(),
            channel: channel.clone(),
        });
    }
    envelope.check_canonical()?;
    let signer = envelope
        .signature_header()
        .map_err(|_| ConfigTransactionReject::Form("there is no legible signature header"))?;
    if signer.creator.is_empty() || signer.nonce.is_empty() {
        return Err(ConfigTransactionReject::Form("creator or nonce is empty"));
    }
    let seconds = envelope.channel_header().timestamp.as_ref().map(|timestamp| timestamp.seconds);
    let seconds = seconds.ok_or(ConfigTransactionReject::Form("there is no timestamp"))?;
    // Writing the payload anew says it all at once: no epoch, no version, no other field, no other spelling.
    if payload(channel.as_str(), seconds, signer, envelope.data().clone()) != envelope.payload()[..] {
        return Err(ConfigTransactionReject::Form("there is more in them than type, channel, time, creator and nonce"));
    }
    Ok(())
}

/// Said for itself, because it is what happens to honest frontends when two updates meet.
fn check_sequence(current: &ChannelConfig, envelope: &Envelope) -> Result<(), ConfigTransactionReject> {
    let content = ConfigContent::decode(envelope.data())?;
    let found = content.config.map_or(0, |config| config.sequence);
    let current = current.sequence();
    if found != current.wrapping_add(1) {
        return Err(ConfigTransactionReject::Sequence { current, found });
    }
    Ok(())
}

/// The only payload that a CONFIG envelope may have.
fn payload(channel: &str, seconds: i64, signature_header: &SignatureHeader, data: Bytes) -> Vec<u8> {
    let channel_header = ChannelHeader {
        r#type: HeaderType::Config.into(),
        timestamp: Some(Timestamp { seconds, nanos: 0 }),
        channel_id: channel.to_owned(),
        ..ChannelHeader::default()
    };
    let header = Header {
        channel_header: channel_header.encode_to_vec().into(),
        signature_header: signature_header.encode_to_vec().into(),
    };
    Payload { header: Some(header), data }.encode_to_vec()
}
