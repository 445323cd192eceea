//! The options of a channel of type BFT, typed.
//!
//! They are written for Fabric's own BFT library; an ordering service may map the timeouts to its own, but has to
//! understand and keep them. Durations that do not parse, or are not positive, are refused here because they halt a
//! Fabric chain. Contract §9.1, Appendix C 1.

use std::time::Duration;

use fabric_proto::smartbft::Options;
use fabric_proto::smartbft::options::Rotation;
use prost::Message as _;
use thiserror::Error;

use crate::go_duration::{self, DurationError};

/// `smartbft.Options`. Counts and sizes of zero mean the default of the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BftOptions {
    /// Requests in a batch.
    pub request_batch_max_count: u64,
    /// Bytes in a batch.
    pub request_batch_max_bytes: u64,
    /// How long a batch may fill.
    pub request_batch_max_interval: Duration,
    /// Messages waiting at a node.
    pub incoming_message_buffer_size: u64,
    /// Requests waiting at a node.
    pub request_pool_size: u64,
    /// After this a request is forwarded to the leader.
    pub request_forward_timeout: Duration,
    /// After this the leader is complained about.
    pub request_complain_timeout: Duration,
    /// After this a request is forgotten.
    pub request_auto_remove_timeout: Duration,
    /// Bytes in one request.
    pub request_max_bytes: u64,
    /// Interval of repeated complaints.
    pub view_change_resend_interval: Duration,
    /// How long a change of leader may take.
    pub view_change_timeout: Duration,
    /// Silence after which a leader is complained about.
    pub leader_heartbeat_timeout: Duration,
    /// Heartbeats per timeout.
    pub leader_heartbeat_count: u64,
    /// How long answers about the state of others are collected.
    pub collect_timeout: Duration,
    /// Ask others for blocks at start.
    pub sync_on_start: bool,
    /// Change the leader with fewer complaints.
    pub speed_up_view_change: bool,
    /// Whether leaders take turns.
    pub leader_rotation: LeaderRotation,
    /// Decisions before the next leader's turn.
    pub decisions_per_leader: u64,
}

/// Whether leaders take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaderRotation {
    /// Not said; read as off.
    Unspecified,
    /// Leaders stay.
    Off,
    /// Leaders take turns; Fabric refuses it.
    On,
}

/// Why options are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BftOptionsError {
    /// Not an `Options` message.
    #[error("the metadata does not parse as BFT options")]
    Malformed,
    /// A duration.
    #[error("option {name}: {why}")]
    Duration {
        /// Name of the option.
        name: &'static str,
        /// What is wrong with it.
        why: DurationError,
    },
    /// A rotation that is not known.
    #[error("option leader_rotation: value {0} is not known")]
    Rotation(i32),
}

/// Options with which a Fabric orderer would not start.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionsFlaw {
    /// A duration.
    #[error("option {name}: {why}")]
    Duration {
        /// Name of the option.
        name: &'static str,
        /// What is wrong with it.
        why: DurationError,
    },
    /// A count or size.
    #[error("option {0} must not be 0")]
    Zero(&'static str),
    /// Two options that contradict each other.
    #[error("option {smaller} must not be greater than {greater}")]
    Order {
        /// The option that is too great.
        smaller: &'static str,
        /// The option that bounds it.
        greater: &'static str,
    },
    /// A batch has to hold the largest request.
    #[error("option request_batch_max_bytes must be at least {REQUEST_BYTES_CHECKED}")]
    BatchTooSmall,
}

/// The checks that a Fabric orderer makes of options before it starts with them.
pub(crate) fn check_like_fabric(options: &Options) -> Result<(), OptionsFlaw> {
    let duration = |name: &'static str, text: &str| {
        go_duration::parse_positive(text).map_err(|why| OptionsFlaw::Duration { name, why })
    };
    duration("request_batch_max_interval", &options.request_batch_max_interval)?;
    let forward = duration("request_forward_timeout", &options.request_forward_timeout)?;
    let complain = duration("request_complain_timeout", &options.request_complain_timeout)?;
    let remove = duration("request_auto_remove_timeout", &options.request_auto_remove_timeout)?;
    let resend = duration("view_change_resend_interval", &options.view_change_resend_interval)?;
    let change = duration("view_change_timeout", &options.view_change_timeout)?;
    duration("leader_heartbeat_timeout", &options.leader_heartbeat_timeout)?;
    duration("collect_timeout", &options.collect_timeout)?;
    let rotates = options.leader_rotation == i32::from(Rotation::On);
    for (value, name) in [
        (options.request_batch_max_count, "request_batch_max_count"),
        (options.request_batch_max_bytes, "request_batch_max_bytes"),
        (options.incoming_message_buffer_size, "incoming_message_buffer_size"),
        (options.request_pool_size, "request_pool_size"),
        (options.leader_heartbeat_count, "leader_heartbeat_count"),
        (if rotates { options.decisions_per_leader } else { 1 }, "decisions_per_leader"),
    ] {
        if value == 0 {
            return Err(OptionsFlaw::Zero(name));
        }
    }
    let batch_bytes = options.request_batch_max_bytes;
    for (is_wrong, smaller, greater) in [
        (options.request_batch_max_count > batch_bytes, "request_batch_max_count", "request_batch_max_bytes"),
        (forward > complain, "request_forward_timeout", "request_complain_timeout"),
        (complain > remove, "request_complain_timeout", "request_auto_remove_timeout"),
        (resend > change, "view_change_resend_interval", "view_change_timeout"),
    ] {
        if is_wrong {
            return Err(OptionsFlaw::Order { smaller, greater });
        }
    }
    // The default of request_max_bytes is compared, whatever the option says.
    if batch_bytes < REQUEST_BYTES_CHECKED {
        return Err(OptionsFlaw::BatchTooSmall);
    }
    Ok(())
}

impl BftOptions {
    /// Reads the metadata of the consensus type.
    ///
    /// # Errors
    /// [`BftOptionsError`] names the option.
    pub fn from_metadata(metadata: &[u8]) -> Result<Self, BftOptionsError> {
        let options = Options::decode(metadata).map_err(|_| BftOptionsError::Malformed)?;
        let duration = |name: &'static str, text: &str| {
            go_duration::parse_positive(text).map_err(|why| BftOptionsError::Duration { name, why })
        };
        Ok(Self {
            request_batch_max_count: options.request_batch_max_count,
            request_batch_max_bytes: options.request_batch_max_bytes,
            request_batch_max_interval: duration("request_batch_max_interval", &options.request_batch_max_interval)?,
            incoming_message_buffer_size: options.incoming_message_buffer_size,
            request_pool_size: options.request_pool_size,
            request_forward_timeout: duration("request_forward_timeout", &options.request_forward_timeout)?,
            request_complain_timeout: duration("request_complain_timeout", &options.request_complain_timeout)?,
            request_auto_remove_timeout: duration("request_auto_remove_timeout", &options.request_auto_remove_timeout)?,
            request_max_bytes: options.request_max_bytes,
            view_change_resend_interval: duration("view_change_resend_interval", &options.view_change_resend_interval)?,
            view_change_timeout: duration("view_change_timeout", &options.view_change_timeout)?,
            leader_heartbeat_timeout: duration("leader_heartbeat_timeout", &options.leader_heartbeat_timeout)?,
            leader_heartbeat_count: options.leader_heartbeat_count,
            collect_timeout: duration("collect_timeout", &options.collect_timeout)?,
            sync_on_start: options.sync_on_start,
            speed_up_view_change: options.speed_up_view_change,
            leader_rotation: read_rotation(options.leader_rotation)?,
            decisions_per_leader: options.decisions_per_leader,
        })
    }

    /// The metadata of the consensus type, as Fabric's tools write it.
    #[must_use]
    pub fn to_metadata(&self) -> Vec<u8> {
        let rotation = match self.leader_rotation {
            LeaderRotation::Unspecified => Rotation::Unspecified,
            LeaderRotation::Off => Rotation::Off,
            LeaderRotation::On => Rotation::On,
        };
        let options = Options {
            request_batch_max_count: self.request_batch_max_count,
            request_batch_max_bytes: self.request_batch_max_bytes,
            request_batch_max_interval: go_duration::format(self.request_batch_max_interval),
            incoming_message_buffer_size: self.incoming_message_buffer_size,
            request_pool_size: self.request_pool_size,
            request_forward_timeout: go_duration::format(self.request_forward_timeout),
            request_complain_timeout: go_duration::format(self.request_complain_timeout),
            request_auto_remove_timeout: go_duration::format(self.request_auto_remove_timeout),
            request_max_bytes: self.request_max_bytes,
            view_change_resend_interval: go_duration::format(self.view_change_resend_interval),
            view_change_timeout: go_duration::format(self.view_change_timeout),
            leader_heartbeat_timeout: go_duration::format(self.leader_heartbeat_timeout),
            leader_heartbeat_count: self.leader_heartbeat_count,
            collect_timeout: go_duration::format(self.collect_timeout),
            sync_on_start: self.sync_on_start,
            speed_up_view_change: self.speed_up_view_change,
            leader_rotation: rotation.into(),
            decisions_per_leader: self.decisions_per_leader,
        };
        options.encode_to_vec()
    }
}

/// The values of Fabric's sample configuration.
impl Default for BftOptions {
    fn default() -> Self {
        Self {
            request_batch_max_count: 100,
            request_batch_max_bytes: 10 * 1024 * 1024,
            request_batch_max_interval: Duration::from_millis(50),
            incoming_message_buffer_size: 200,
            request_pool_size: 100_000,
            request_forward_timeout: Duration::from_secs(2),
            request_complain_timeout: Duration::from_secs(20),
            request_auto_remove_timeout: Duration::from_secs(180),
            request_max_bytes: 10 * 1024 * 1024,
            view_change_resend_interval: Duration::from_secs(5),
            view_change_timeout: Duration::from_secs(20),
            leader_heartbeat_timeout: Duration::from_secs(60),
            leader_heartbeat_count: 10,
            collect_timeout: Duration::from_secs(1),
            sync_on_start: false,
            speed_up_view_change: false,
            leader_rotation: LeaderRotation::Unspecified,
            decisions_per_leader: 0,
        }
    }
}

fn read_rotation(value: i32) -> Result<LeaderRotation, BftOptionsError> {
    match Rotation::try_from(value) {
        Ok(Rotation::Unspecified) => Ok(LeaderRotation::Unspecified),
        Ok(Rotation::Off) => Ok(LeaderRotation::Off),
        Ok(Rotation::On) => Ok(LeaderRotation::On),
        Err(_) => Err(BftOptionsError::Rotation(value)),
    }
}

const REQUEST_BYTES_CHECKED: u64 = 10 * 1024;
