//! Configuration updates at the door: judged against the configuration in force, and wrapped into the CONFIG envelope
//! that is ordered in their place (contract §2.2).
//!
//! ```text
//! initial checks      the filters, on the envelope as it came
//! the update          authorised, its result valid, one that orderers can go on with, enough of the present ones among them
//! wrapping            the result, signed with this process's identity
//! final checks        the filters, on the CONFIG envelope: our identity may write, and it is not too large
//! ```
//!
//! Beginnings of texts are Fabric's; what follows names the element and who has to sign. Fabric makes its maintenance
//! checks after the final ones; which of two reasons an administrator reads first is the only difference.

use std::sync::Arc;

use blockcutter::limits::CONFIG_BLOCK_BYTES_MAX;
use bytes::Bytes;
use fabric_channel::config_change::ChangeError;
use fabric_channel::config_transaction::{EnvelopeSigner, wrap};
use fabric_channel::{ChannelConfig, ConfigChange, ExpiryCheck, RaftMetadataError, consenter_set, filters};
use fabric_proto::Envelope;
use fabric_proto::common::Status;

use crate::admission::Refusal;
use crate::authentication::Moment;
use crate::broadcast::Order;

/// An update that may be ordered.
#[derive(Clone, Debug)]
pub struct WrappedUpdate {
    /// The config sequence that it leads on from.
    pub sequence: u64,
    /// The CONFIG envelope, canonical.
    pub config: Bytes,
    /// The CONFIG_UPDATE envelope as its submitter sent it.
    pub update: Envelope,
    /// Who submitted it, for the log.
    pub submitter: String,
    /// What it changes, for the log.
    pub changes: String,
    /// The configuration that it leads to, if that names other consenters.
    pub moves_to: Option<Arc<ChannelConfig>>,
}

impl WrappedUpdate {
    /// What is asked of the cluster.
    #[must_use]
    pub fn order(&self) -> Order {
        Order::Config { sequence: self.sequence, envelope: self.config.clone() }
    }
}

/// Judges an update under this configuration at this time, and wraps its result.
///
/// # Errors
/// The answer for the client.
pub fn wrap_update(
    config: &ChannelConfig,
    update: &Envelope,
    signer: &dyn EnvelopeSigner,
    moment: Moment,
) -> Result<WrappedUpdate, Refusal> {
    let now = moment.unix_s();
    filters::check(config, update, moment.expiry_unix_s())
        .map_err(|reject| Refusal::filtered(INITIAL_CHECKS, &reject))?;
    let change = ConfigChange::evaluate(config.bundle(), update, ExpiryCheck::At { now_unix_s: now })
        .map_err(|error| reject_change(config, &error))?;
    let applying = |why: String| {
        let info = format!("error applying config update to existing channel '{}': {why}", config.channel_id());
        Refusal::new(Status::BadRequest, info)
    };
    let next = change.check_orderable().map_err(|error| applying(error.to_string()))?;
    consenter_set::check(config, &next).map_err(|error| applying(error.to_string()))?;
    let unsigned = |why: String| Refusal::new(Status::ServiceUnavailable, why);
    let wrapped =
        wrap(&change, signer, nonce().map_err(unsigned)?, now).map_err(|error| unsigned(error.to_string()))?;
    check_wrapped(config, &wrapped, moment)?;
    Ok(WrappedUpdate {
        sequence: config.sequence(),
        config: wrapped,
        update: update.clone(),
        submitter: submitter(config, update),
        changes: changes(&change),
        moves_to: (!consenter_set::is_same(config, &next)).then(|| Arc::new(next)),
    })
}

/// Fabric's orderer makes these on what it has signed itself.
fn check_wrapped(config: &ChannelConfig, wrapped: &Bytes, moment: Moment) -> Result<(), Refusal> {
    let envelope = Envelope::decode(wrapped.clone())
        .map_err(|error| Refusal::new(Status::InternalServerError, format!("{FINAL_CHECKS}{error}")))?;
    filters::check(config, &envelope, moment.expiry_unix_s()).map_err(|reject| {
        if reject.is_forbidden() {
            let channel = config.channel_id();
            tracing::error!("channel {channel}: the identity of this orderer may not write, so no update can be taken");
        }
        Refusal::filtered(FINAL_CHECKS, &reject)
    })?;
    if wrapped.len() > CONFIG_BLOCK_BYTES_MAX {
        let info = format!(
            "{FINAL_CHECKS}the configuration would have {} bytes, more than {CONFIG_BLOCK_BYTES_MAX}",
            wrapped.len()
        );
        return Err(Refusal::new(Status::BadRequest, info));
    }
    Ok(())
}

/// Fabric says by the beginning of its text where an update failed.
fn reject_change(config: &ChannelConfig, error: &ChangeError) -> Refusal {
    let stage = match error {
        ChangeError::Update(error) => format!("{}: ", error.step()),
        ChangeError::Bundle(_) => "initializing channelconfig failed: ".to_owned(),
        ChangeError::Resources(_) => "config update is not compatible: ".to_owned(),
        ChangeError::Transition(_) => String::new(),
        // Fabric v3 does not survive another type than BFT; these are the words of v2.5.
        ChangeError::Maintenance(_) | ChangeError::RaftMetadata(RaftMetadataError::Type(_)) => {
            let info = format!(
                "config update for existing channel did not pass maintenance checks: \
                 config transaction inspection failed: {error}"
            );
            return Refusal::new(Status::BadRequest, info);
        }
        ChangeError::RaftMetadata(_) => "consensus metadata update for channel config update is invalid: ".to_owned(),
        // Fabric finds this out only when it hands the update on to be ordered.
        ChangeError::Bft(error) => return Refusal::new(Status::ServiceUnavailable, error.to_string()),
    };
    let channel = config.channel_id();
    let info = format!("error applying config update to existing channel '{channel}': {stage}{error}");
    Refusal::new(Status::BadRequest, info)
}

fn submitter(config: &ChannelConfig, update: &Envelope) -> String {
    let creator = update.signature_header().ok().map(|header| &header.creator[..]).unwrap_or_default();
    config.msps().deserialise(creator).map_or_else(|_| "somebody unknown".to_owned(), |identity| identity.to_string())
}

fn changes(change: &ConfigChange) -> String {
    let changed = change.proposed().changed();
    let mut texts: Vec<String> = changed.iter().take(CHANGES_SHOWN_MAX).map(ToString::to_string).collect();
    if changed.len() > CHANGES_SHOWN_MAX {
        texts.push(format!("{} more", changed.len() - CHANGES_SHOWN_MAX));
    }
    texts.join(", ")
}

fn nonce() -> Result<[u8; 24], String> {
    let mut nonce = [0; 24];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| "the system has no randomness".to_owned())?;
    Ok(nonce)
}

const INITIAL_CHECKS: &str = "config update for existing channel did not pass initial checks: ";
const FINAL_CHECKS: &str = "config update for existing channel did not pass final checks: ";
const CHANGES_SHOWN_MAX: usize = 8;
