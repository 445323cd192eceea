//! What the clients of each channel do, counted as Fabric's metrics count it (contract §6).
//!
//! A channel counts for itself, so that there are no more counts than channels; what names no channel of this process
//! is counted together as [`UNKNOWN`], whatever name a client made up. Counting is a few atomic additions and decides
//! nothing. [`Counters::traffic`](crate::status::Counters::traffic) gives all counts as plain values, for whoever
//! renders them.

mod histogram;

use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fabric_proto::common::{HeaderType, Status};
use serde::Serialize;

use self::histogram::Histogram;
pub use self::histogram::{BOUNDS_MICROS, HistogramSnapshot};
use crate::channels::Channel;
use crate::status::{Counters, add_one, load};

/// The counts of one channel. They begin anew when a channel is removed and joined again.
#[derive(Debug, Default)]
pub struct ChannelTraffic {
    /// By type of message and status. Most pairs never happen, so their counts are made when they do.
    broadcast: [[OnceLock<Box<BroadcastCounts>>; BROADCAST_STATUSES.len()]; MESSAGE_TYPES.len() + 1],
    deliver_requests_received: AtomicU64,
    deliver_requests_succeeded: AtomicU64,
    deliver_requests_failed: AtomicU64,
    deliver_blocks_sent: AtomicU64,
}

/// Messages of one type that were answered with one status.
#[derive(Debug, Default)]
struct BroadcastCounts {
    processed: AtomicU64,
    validate: Histogram,
    enqueue: Histogram,
}

/// How long one message took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BroadcastTimes {
    /// Until it was judged.
    pub(crate) validate: Duration,
    /// Until the cluster had taken it, or had not; `None` if it was not offered.
    pub(crate) enqueue: Option<Duration>,
}

/// The counts of one channel at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrafficSnapshot {
    /// Name of the channel, or [`UNKNOWN`].
    pub channel: String,
    /// `broadcast_processed_count`, `broadcast_validate_duration` and `broadcast_enqueue_duration`, for the pairs that
    /// have happened.
    pub broadcast: Vec<BroadcastSnapshot>,
    /// `deliver_requests_received`.
    pub deliver_requests_received: u64,
    /// `deliver_requests_completed` with `success="true"`.
    pub deliver_requests_succeeded: u64,
    /// `deliver_requests_completed` with `success="false"`: refused, or left before the last block.
    pub deliver_requests_failed: u64,
    /// `deliver_blocks_sent`.
    pub deliver_blocks_sent: u64,
}

/// Messages of one type that were answered with one status.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BroadcastSnapshot {
    /// Fabric's name of the header type; [`UNKNOWN`] for an envelope that does not parse, or a number without a name.
    pub message_type: &'static str,
    /// Fabric's name of the status.
    pub status: &'static str,
    /// How many.
    pub processed: u64,
    /// How long they took until they were judged.
    pub validate_duration: HistogramSnapshot,
    /// How long those that were offered to the cluster took from then on.
    pub enqueue_duration: HistogramSnapshot,
}

impl ChannelTraffic {
    pub(crate) fn on_broadcast_answered(&self, header_type: Option<i32>, status: Status, times: BroadcastTimes) {
        let known = |header_type| MESSAGE_TYPES.iter().position(|known| i32::from(*known) == header_type);
        let message_type = header_type.and_then(known).unwrap_or(MESSAGE_TYPES.len());
        let Some(status) = BROADCAST_STATUSES.iter().position(|known| *known == status) else { return };
        let counts = self.broadcast[message_type][status].get_or_init(Box::default);
        add_one(&counts.processed);
        counts.validate.observe(times.validate);
        if let Some(enqueue) = times.enqueue {
            counts.enqueue.observe(enqueue);
        }
    }

    pub(crate) fn on_block_sent(&self) {
        add_one(&self.deliver_blocks_sent);
    }

    pub(crate) fn snapshot(&self, channel: &str) -> TrafficSnapshot {
        let names = MESSAGE_TYPES.iter().map(HeaderType::as_str_name).chain([UNKNOWN]);
        let pairs = names.zip(&self.broadcast).flat_map(|(message_type, by_status)| {
            let statuses = BROADCAST_STATUSES.iter().zip(by_status);
            statuses.filter_map(move |(status, counts)| Some((message_type, status.as_str_name(), counts.get()?)))
        });
        let broadcast = pairs.map(|(message_type, status, counts)| BroadcastSnapshot {
            message_type,
            status,
            processed: load(&counts.processed),
            validate_duration: counts.validate.snapshot(),
            enqueue_duration: counts.enqueue.snapshot(),
        });
        TrafficSnapshot {
            channel: channel.to_owned(),
            broadcast: broadcast.collect(),
            deliver_requests_received: load(&self.deliver_requests_received),
            deliver_requests_succeeded: load(&self.deliver_requests_succeeded),
            deliver_requests_failed: load(&self.deliver_requests_failed),
            deliver_blocks_sent: load(&self.deliver_blocks_sent),
        }
    }
}

/// Where something is counted: with its channel, or with all that names none.
#[derive(Clone, Debug)]
pub(crate) enum CountedWith {
    Channel(Arc<Channel>),
    Unknown(Arc<Counters>),
}

impl Deref for CountedWith {
    type Target = ChannelTraffic;

    fn deref(&self) -> &ChannelTraffic {
        match self {
            Self::Channel(channel) => channel.traffic(),
            Self::Unknown(counters) => counters.unknown_traffic(),
        }
    }
}

/// A Deliver request that is being served. It has failed, unless somebody says otherwise before it is dropped.
#[derive(Debug)]
pub(crate) struct CountedRequest {
    with: CountedWith,
    has_succeeded: bool,
}

impl CountedRequest {
    pub(crate) fn new(with: CountedWith) -> Self {
        add_one(&with.deliver_requests_received);
        Self { with, has_succeeded: false }
    }

    pub(crate) fn succeed(&mut self) {
        self.has_succeeded = true;
    }
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        add_one(if self.has_succeeded {
            &self.with.deliver_requests_succeeded
        } else {
            &self.with.deliver_requests_failed
        });
    }
}

/// The label of what has no better one; Fabric's.
pub const UNKNOWN: &str = "unknown";

/// The statuses a Broadcast answer may carry.
pub(crate) const BROADCAST_STATUSES: [Status; 5] =
    [Status::Success, Status::BadRequest, Status::Forbidden, Status::InternalServerError, Status::ServiceUnavailable];

const MESSAGE_TYPES: [HeaderType; 7] = [
    HeaderType::Message,
    HeaderType::Config,
    HeaderType::ConfigUpdate,
    HeaderType::EndorserTransaction,
    HeaderType::OrdererTransaction,
    HeaderType::DeliverSeekInfo,
    HeaderType::ChaincodePackage,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_is_counted_by_type_and_status_and_made_up_types_together() {
        let traffic = ChannelTraffic::default();
        let times = BroadcastTimes { validate: Duration::from_millis(3), enqueue: Some(Duration::from_millis(40)) };
        for header_type in [Some(3), Some(3), Some(99), Some(-7), None] {
            traffic.on_broadcast_answered(header_type, Status::Success, times);
        }
        traffic.on_broadcast_answered(Some(3), Status::Forbidden, BroadcastTimes { enqueue: None, ..times });
        let snapshot = traffic.snapshot("ch");
        let told: Vec<_> = snapshot
            .broadcast
            .iter()
            .map(|it| (it.message_type, it.status, it.processed, it.validate_duration.count, it.enqueue_duration.count))
            .collect();
        let expected = [
            ("ENDORSER_TRANSACTION", "SUCCESS", 2, 2, 2),
            ("ENDORSER_TRANSACTION", "FORBIDDEN", 1, 1, 0),
            (UNKNOWN, "SUCCESS", 3, 3, 3),
        ];
        assert_eq!(told, expected);
        assert!((snapshot.broadcast[0].enqueue_duration.sum_s - 0.08).abs() < 1e-9);
    }

    #[test]
    fn a_request_that_is_left_has_failed() {
        let counters = Arc::new(Counters::default());
        let request = || CountedRequest::new(CountedWith::Unknown(Arc::clone(&counters)));
        let mut served = request();
        served.succeed();
        drop((served, request()));
        let _open = request();
        let snapshot = counters.unknown_traffic().snapshot(UNKNOWN);
        let told = (snapshot.deliver_requests_received, snapshot.deliver_requests_succeeded);
        assert_eq!((told, snapshot.deliver_requests_failed), ((3, 1), 1));
    }

    #[test]
    fn every_status_and_type_that_fabric_names_has_its_place() {
        assert!((0..7).all(|number| MESSAGE_TYPES[number as usize] as i32 == number));
        assert!(HeaderType::try_from(7).is_err());
    }
}
