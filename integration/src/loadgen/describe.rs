//! What was done and what came of it, put into the words and numbers of a report.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::matching::{ChannelTally, Tally};
use super::mix::Mix;
use super::plan::{Content, Pace, Signatures};
use super::report::{ChannelRates, Conditions, Counts, Rates};
use super::run::Load;
use super::way::Way;

impl Load {
    pub(super) fn conditions(&self) -> Conditions {
        let Self { plan, target, cutting, way, .. } = self;
        let background = target.background.clone();
        let (pace, rate_per_s, outstanding_per_stream) = match plan.pace {
            Pace::ClosedLoop { outstanding_per_stream: places } => (
                format!("closed loop, {places} envelopes of each stream sent and not delivered"),
                None,
                Some(places.get()),
            ),
            Pace::OpenLoop { rate_per_s, .. } => {
                (format!("open loop at {rate_per_s} envelopes/s"), Some(rate_per_s), None)
            }
        };
        let (payload_bytes, signatures) = match plan.content {
            Content::Opaque { envelope_bytes } => (envelope_bytes, "opaque: unsigned, nobody looks at them"),
            Content::Transactions { data_bytes, signatures: Signatures::Fresh } => {
                (data_bytes, "each with an ECDSA P-256 signature of its own")
            }
            Content::Transactions { data_bytes, signatures: Signatures::Reused } => {
                (data_bytes, "unsigned: all with the signature of the first")
            }
            Content::File => (0, "from a file"),
        };
        let is_direct = matches!(way, Way::Direct(_));
        Conditions {
            orderer: background.orderer,
            nodes: background.nodes,
            channels: target.channels().map(ToString::to_string).collect(),
            payload_bytes,
            envelope_bytes: self.shared.sources.envelope_bytes(),
            signatures: signatures.to_owned(),
            mix: (plan.mix != Mix::PLAIN).then_some(plan.mix),
            verification: if is_direct { UNVERIFIED.to_owned() } else { background.verification },
            block_envelopes_max: cutting.map(|cutting| cutting.message_count_max),
            block_timeout_ms: cutting.map(|cutting| cutting.timeout.as_millis() as u64),
            durability: background.durability,
            instances_open_max: background.instances_open_max,
            frontends: way.frontends(),
            frontends_inside: if is_direct { way.frontends() } else { 0 },
            streams: way.stream_count(plan),
            receivers: plan.receivers,
            pace,
            rate_per_s,
            ramp_s: if let Pace::OpenLoop { ramp, .. } = plan.pace { ramp.as_secs_f64() } else { 0.0 },
            outstanding_per_stream,
            warmup_s: plan.warmup.as_secs_f64(),
        }
    }

    pub(super) fn counts(&self, tally: &Tally, lost: u64) -> Counts {
        Counts {
            sent: tally.sent,
            sent_measured: tally.sent_measured,
            acknowledged: tally.acknowledged,
            delivered: tally.delivered,
            delivered_in_window: tally.delivered_in_window,
            refused: tally.refused,
            unanswered: tally.unanswered,
            copies: tally.copies,
            copies_acknowledged: tally.copies_acknowledged,
            left_out: self.shared.left_out.load(Relaxed),
            lost,
            repeated: tally.repeated,
            foreign: tally.foreign,
            reopened: self.shared.reopened.load(Relaxed),
            prepared: self.shared.sources.prepared(),
            made_late: self.shared.sources.made_late(),
        }
    }

    pub(super) fn channel_rates(&self, tallies: &[ChannelTally], window: Duration) -> Vec<ChannelRates> {
        let rates = |(channel, tally): (_, &ChannelTally)| ChannelRates {
            channel: ToString::to_string(channel),
            delivered_per_s: per_s(tally.delivered_in_window, window),
            blocks_per_s: per_s(tally.blocks_in_window, window),
        };
        self.target.channels().zip(tallies).map(rates).collect()
    }
}

pub(super) fn rates(tally: &Tally, window: Duration) -> Rates {
    Rates {
        acknowledged_per_s: per_s(tally.acknowledged_in_window, window),
        delivered_per_s: per_s(tally.delivered_in_window, window),
        blocks_per_s: per_s(tally.blocks_in_window, window),
        envelopes_per_block: tally.delivered_in_window as f64 / tally.blocks_in_window.max(1) as f64,
    }
}

fn per_s(count: u64, window: Duration) -> f64 {
    if window.is_zero() { 0.0 } else { count as f64 / window.as_secs_f64() }
}

const UNVERIFIED: &str = "client signatures by nobody";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_without_length_has_no_rates() {
        let tally = Tally { delivered_in_window: 100, blocks_in_window: 10, ..Tally::default() };
        let found = rates(&tally, Duration::from_secs(2));
        assert!((found.delivered_per_s - 50.0).abs() < 1e-9 && (found.envelopes_per_block - 10.0).abs() < 1e-9);
        assert!(rates(&tally, Duration::ZERO).delivered_per_s.abs() < 1e-9);
        assert!(rates(&Tally::default(), Duration::from_secs(2)).envelopes_per_block.abs() < 1e-9);
    }
}
