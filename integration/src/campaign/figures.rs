//! What a campaign measured, under which conditions.

use std::fmt;
use std::time::Duration;

use mod_smart::Limits;

use crate::client::LoadPlan;
use crate::material::{Cutting, ORDERERS};

/// Names and values, in the order in which they became known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures(Vec<(String, String)>);

impl Figures {
    /// Begins with what holds for every campaign.
    #[must_use]
    pub fn under(cutting: &Cutting) -> Self {
        let limits = Limits::default();
        let mut figures = Self::default();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let busy = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let busy = busy.split_ascii_whitespace().next().unwrap_or("?").to_owned();
        figures.note("machine", format!("{processors} processors, load average before {busy}"));
        figures.note("network", format!("{ORDERERS} nodes with embedded frontends, one process each, loopback, TLS"));
        figures.note("durability", "journal synced to disk before a node's word leaves it");
        let (timeout, interval) = (limits.request_timeout.as_millis(), limits.checkpoint_interval);
        figures.note("protocol", format!("request timeout {timeout} ms, a checkpoint every {interval} decisions"));
        let Cutting { message_count_max, timeout, .. } = cutting;
        figures.note("blocks", format!("up to {message_count_max} envelopes, or after {} ms", timeout.as_millis()));
        figures
    }

    /// Adds the load.
    pub fn note_load(&mut self, load: LoadPlan, endpoints: usize) {
        let LoadPlan { rate_per_s, data_bytes } = load;
        self.note("load", format!("{rate_per_s} envelopes/s of {data_bytes} B to each of {endpoints} frontends"));
    }

    /// Adds one.
    pub fn note(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Adds times: all of them while they are few, else the quantiles.
    pub fn note_times(&mut self, name: &str, times: &[Duration]) {
        let mut sorted = times.to_vec();
        sorted.sort();
        let ms = |time: &Duration| time.as_millis().to_string();
        let text = match &sorted[..] {
            [] => "none".to_owned(),
            few if few.len() <= FEW => format!("{} ms", few.iter().map(ms).collect::<Vec<_>>().join(", ")),
            [least, .., most] => {
                let (median, count) = (ms(&sorted[sorted.len() / 2]), sorted.len());
                format!("{} to {} ms, median {median} ms (n = {count})", ms(least), ms(most))
            }
            [_] => String::new(),
        };
        self.note(name, text);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name:<26} {value}"))
    }
}

/// Times that are printed one by one.
const FEW: usize = 8;
