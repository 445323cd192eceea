//! The `[ordering]` section: the limits of the protocol that an operator may set, and what the members of a group share.

use std::time::Duration;

use frontend_shim::group_settings::{FaultModel, GroupSettings, SettingKey, WrittenSettings};
use mod_smart::Limits;
use serde::Deserialize;

use super::{ConfigError, Place, check_limits};

/// What was written; what is not there keeps its default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenOrdering {
    request_timeout_ms: Option<u64>,
    request_timeout_max_ms: Option<u64>,
    decision_time_ms: Option<u64>,
    checkpoint_interval: Option<u64>,
    batch_requests_max: Option<usize>,
    fault_model: Option<FaultModel>,
    delta: Option<usize>,
    heavy: Option<Vec<u32>>,
    leaders: Option<Vec<u32>>,
    window: Option<u64>,
    tentative: Option<bool>,
}

impl WrittenOrdering {
    pub(super) fn limits(&self, place: &Place<'_>) -> Result<Limits, ConfigError> {
        let mut limits = Limits::default();
        if let Some(millis) = self.request_timeout_ms {
            limits.request_timeout = Duration::from_millis(millis);
            limits.request_timeout_max = limits.request_timeout_max.max(limits.request_timeout);
        }
        if let Some(millis) = self.request_timeout_max_ms {
            limits.request_timeout_max = Duration::from_millis(millis);
        }
        if let Some(millis) = self.decision_time_ms {
            limits.decision_time = Duration::from_millis(millis);
        }
        limits.checkpoint_interval = self.checkpoint_interval.unwrap_or(limits.checkpoint_interval);
        limits.batch_requests_max = self.batch_requests_max.unwrap_or(limits.batch_requests_max);
        place.consistent(check_limits(&limits))?;
        Ok(limits)
    }

    pub(super) fn settings(self, place: &Place<'_>) -> Result<GroupSettings, ConfigError> {
        let Self { fault_model, delta, heavy, leaders, window, tentative, .. } = self;
        let written = WrittenSettings { fault_model, delta, heavy, leaders, window, tentative };
        GroupSettings::try_from(written).map_err(|flaw| {
            let key = match flaw.key() {
                SettingKey::Heavy => "ordering.heavy",
                SettingKey::Leaders => "ordering.leaders",
                SettingKey::Window => "ordering.window",
                SettingKey::Tentative => "ordering.tentative",
            };
            place.wrong(key, flaw.to_string())
        })
    }
}
