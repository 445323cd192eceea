//! The `[ordering]` section: the limits of the protocol that an operator may set.

use std::time::Duration;

use mod_smart::Limits;
use mod_smart::limits::BATCH_REQUESTS_MAX;
use serde::Deserialize;

use super::{ConfigError, Place};

/// What was written; what is not there keeps its default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenOrdering {
    request_timeout_ms: Option<u64>,
    request_timeout_max_ms: Option<u64>,
    checkpoint_interval: Option<u64>,
    batch_requests_max: Option<usize>,
}

impl WrittenOrdering {
    pub(super) fn resolve(self, place: &Place<'_>) -> Result<Limits, ConfigError> {
        let mut limits = Limits::default();
        if let Some(millis) = self.request_timeout_ms {
            limits.request_timeout = Duration::from_millis(millis);
            limits.request_timeout_max = limits.request_timeout_max.max(limits.request_timeout);
        }
        if let Some(millis) = self.request_timeout_max_ms {
            limits.request_timeout_max = Duration::from_millis(millis);
        }
        limits.checkpoint_interval = self.checkpoint_interval.unwrap_or(limits.checkpoint_interval);
        limits.batch_requests_max = self.batch_requests_max.unwrap_or(limits.batch_requests_max);
        if limits.request_timeout.is_zero() {
            return Err(place.wrong("ordering.request_timeout_ms", "must be at least 1"));
        }
        if limits.request_timeout_max < limits.request_timeout {
            return Err(place.wrong("ordering.request_timeout_max_ms", "is less than the request timeout"));
        }
        if limits.checkpoint_interval == 0 {
            return Err(place.wrong("ordering.checkpoint_interval", "must be at least 1"));
        }
        if !(1..=BATCH_REQUESTS_MAX).contains(&limits.batch_requests_max) {
            let why = format!("must be from 1 to {BATCH_REQUESTS_MAX}");
            return Err(place.wrong("ordering.batch_requests_max", why));
        }
        Ok(limits)
    }
}
