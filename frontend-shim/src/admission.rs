//! Whether an envelope may be ordered: the one table of contract §1.3 and §2.1, for one envelope at a time.
//!
//! The order of the checks and the texts are those of Fabric v3, since tools match on them:
//!
//! ```text
//! readable, channel known        400
//! CONFIG, ORDERER_TRANSACTION    400
//! CONFIG_UPDATE                  crate::config_update
//! everything else                maintenance 503, then the filters: size 400, expiry 400, Writers 403
//! ```
//!
//! What is admitted carries the config sequence under which it was judged: whoever orders it later knows what the
//! verdict rests on. An empty envelope is one without a header, as in Fabric.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use fabric_channel::config_transaction::EnvelopeSigner;
use fabric_channel::filters::{self, FilterReject};
use fabric_proto::common::{HeaderType, Status};
use fabric_proto::{Envelope, EnvelopeError, canonical};

use crate::authentication::Moment;
use crate::broadcast::Order;
use crate::channels::{Channel, ChannelState, Channels};
use crate::config_update::{WrappedUpdate, wrap_update};
use crate::stages::Stage;

/// An identity that signs for this process, shared by all that work for it.
pub type Signer = Arc<dyn EnvelopeSigner + Send + Sync>;

/// An envelope that may be ordered.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Where it belongs.
    pub channel: Arc<Channel>,
    /// What is asked of the cluster.
    pub what: Admissible,
}

/// What may be asked of the cluster.
#[derive(Clone, Debug)]
pub enum Admissible {
    /// An ordinary envelope, in its canonical form: the received bytes, unless those were spelled otherwise.
    Ordinary(Order),
    /// A configuration update, wrapped.
    Update(Box<WrappedUpdate>),
}

/// What the client is told instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Never SUCCESS.
    pub status: Status,
    /// The text for `info`.
    pub info: String,
}

impl Refusal {
    /// A refusal with this text.
    pub fn new(status: Status, info: impl Into<String>) -> Self {
        Self { status, info: info.into() }
    }

    /// The answer to what a filter refuses, behind these words.
    pub(crate) fn filtered(prefix: &str, reject: &FilterReject) -> Self {
        let status = if reject.is_forbidden() { Status::Forbidden } else { Status::BadRequest };
        Self::new(status, format!("{prefix}{reject}"))
    }
}

/// What envelopes are judged by.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Who signs what configuration updates lead to. Without, none are taken.
    pub signer: Option<&'a dyn EnvelopeSigner>,
    /// The time.
    pub moment: Moment,
}

/// An envelope that was looked at.
#[derive(Debug)]
pub struct Judged {
    /// The channel that it names, if that is one of this process.
    pub channel: Option<Arc<Channel>>,
    /// The number of its type; `None` if it does not parse.
    pub header_type: Option<i32>,
    /// Whether it may be ordered.
    pub verdict: Result<Admitted, Refusal>,
}

/// Judges the bytes of an envelope at this time. Without a signer no configuration update is taken. Costs the time of a
/// signature verification, and for a configuration update milliseconds.
///
/// # Errors
/// The answer for the client, if the envelope is not taken.
pub fn admit(
    channels: &Channels,
    signer: Option<&dyn EnvelopeSigner>,
    bytes: Bytes,
    now: SystemTime,
) -> Result<Admitted, Refusal> {
    judge(channels, bytes, Rules { signer, moment: Moment::at(now) }).verdict
}

/// As [`admit`], and says what was judged in either case.
#[must_use]
pub fn judge(channels: &Channels, bytes: Bytes, rules: Rules<'_>) -> Judged {
    let envelope = match Envelope::decode(bytes) {
        Ok(envelope) => envelope,
        Err(error) => return Judged { channel: None, header_type: None, verdict: Err(reject_unreadable(error)) },
    };
    let header_type = Some(envelope.header_type());
    let channel = channels.find(envelope.channel_id());
    let verdict = match &channel {
        None => Err(Refusal::new(Status::BadRequest, "channel does not exist")),
        Some(channel) => judge_for(channel, envelope, rules),
    };
    Judged { channel, header_type, verdict }
}

fn judge_for(channel: &Arc<Channel>, envelope: Envelope, rules: Rules<'_>) -> Result<Admitted, Refusal> {
    let what = match HeaderType::try_from(envelope.header_type()) {
        Ok(HeaderType::Config) => return Err(reject_type("message is of type that cannot be processed directly")),
        Ok(HeaderType::OrdererTransaction) => {
            return Err(reject_type("message is of type that is no longer supported"));
        }
        Ok(HeaderType::ConfigUpdate) => {
            let signer = rules.signer.ok_or_else(reject_without_signer)?;
            Admissible::Update(Box::new(wrap_update(&channel.config(), &envelope, signer, rules.moment)?))
        }
        // Every other number is a normal message.
        _ => Admissible::Ordinary(admit_ordinary(channel, envelope, rules.moment)?),
    };
    check_ready(channel)?;
    Ok(Admitted { channel: Arc::clone(channel), what })
}

fn admit_ordinary(channel: &Channel, envelope: Envelope, moment: Moment) -> Result<Order, Refusal> {
    // One configuration for all checks, whatever comes into force meanwhile.
    let config = channel.config();
    if filters::is_in_maintenance(&config) {
        let info = "normal transactions are rejected: maintenance mode";
        return Err(Refusal::new(Status::ServiceUnavailable, info));
    }
    Stage::VerifyClient
        .within(|| filters::check(&config, &envelope, moment.expiry_unix_s()))
        .map_err(|reject| Refusal::filtered("", &reject))?;
    let envelope = canonical::canonicalize(envelope.bytes().clone())
        .map_err(|error| Refusal::new(Status::BadRequest, error.to_string()))?;
    Ok(Order::Envelope { sequence: config.sequence(), envelope })
}

fn reject_unreadable(error: EnvelopeError) -> Refusal {
    Refusal::new(Status::BadRequest, format!("could not determine channel ID: {error}"))
}

fn reject_type(info: &str) -> Refusal {
    Refusal::new(Status::BadRequest, info)
}

fn reject_without_signer() -> Refusal {
    let info = "this orderer takes no config updates: it has no MSP identity to sign their results with";
    Refusal::new(Status::ServiceUnavailable, info)
}

fn check_ready(channel: &Channel) -> Result<(), Refusal> {
    if channel.state() == ChannelState::Open {
        return Ok(());
    }
    let info = format!("channel {} does not take envelopes now: not connected to enough nodes", channel.id());
    Err(Refusal::new(Status::ServiceUnavailable, info))
}
