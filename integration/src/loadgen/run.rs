//! One load from beginning to end.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::ProgressBar;
use orderer_node::client::Endpoint;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::args::{Extent, LoadgenArgs, Pace, Plan, Signatures};
use super::chain::Chain;
use super::lane::{Dues, Lane};
use super::limits::{
    COOL_DOWN_MAX, COOL_DOWN_USUAL, DRAIN_PATIENCE, PREPARED_PER_S, RECEIVERS_PATIENCE, SETTLE_MAX, SETTLE_USUAL,
    STALL_PATIENCE, STREAM_DUE_MAX, WATCH_INTERVAL,
};
use super::matching::{LaneIndex, Tally};
use super::pacer;
use super::progress::Progress;
use super::receiver::{Receiver, Role};
use super::report::{Conditions, Counts, Machine, Rates, Report};
use super::shared::Shared;
use super::snapshot::{Measured, Snapshot, check_processes};
use super::stock::{Maker, Stock};
use super::target::Target;
use super::usage;

/// Loads an ordering service, prints what came out, and gives it. What should not be is among its failures.
///
/// # Errors
/// The load could not be made at all.
pub async fn run(args: &LoadgenArgs) -> anyhow::Result<Report> {
    let report = Load::prepare(args).await?.run().await?;
    print!("{report}");
    if let Some(file) = &args.json {
        write_json(&report, file)?;
    }
    Ok(report)
}

fn write_json(report: &Report, file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report).context("the report cannot be written as JSON")?;
    std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

/// Everything that is known before the first envelope is sent.
struct Load {
    plan: Plan,
    target: Target,
    /// The frontends sent to.
    frontends: Vec<Endpoint>,
    chain: Chain,
    load_average_before: Option<f64>,
    progress: Progress,
    shared: Arc<Shared>,
}

impl Load {
    async fn prepare(args: &LoadgenArgs) -> anyhow::Result<Self> {
        let (plan, target) = (args.plan(), Target::resolve(args)?);
        let frontends = target.endpoints[..plan.frontends.of(target.endpoints.len())?].to_vec();
        check_processes(&target.processes)?;
        let chain = Chain::ask_any(&target.endpoints, &target.factory).await?;
        let load_average_before = usage::load_average().ok();
        let progress = Progress::new();
        let maker = Maker::new(target.factory.clone(), plan.data_bytes, plan.signatures)?;
        let stock = tokio::task::block_in_place(|| {
            let bar = progress.envelopes("signing", plan.envelopes_needed());
            let stock = Stock::prepare(maker, plan.envelopes_needed(), || bar.inc(1));
            bar.finish_and_clear();
            stock
        });
        let places = match plan.pace {
            Pace::ClosedLoop { outstanding_per_stream } => outstanding_per_stream.get(),
            // Places come back for every envelope, and nobody waits for one.
            Pace::OpenLoop { .. } => 0,
        };
        let shared = Shared::new(stock, frontends.len() * plan.streams_per_frontend, places);
        Ok(Self { plan, target, frontends, chain, load_average_before, progress, shared })
    }

    async fn run(&self) -> anyhow::Result<Report> {
        let mut receivers = self.start_receivers();
        let lanes = self.start_lanes();
        let mut failures = Vec::new();
        if self.plan.warmup > Duration::ZERO {
            sleep(self.plan.warmup).await;
        }
        let from = self.open_window()?;
        failures.extend(self.watch(&from, &lanes).await);
        let measured = Measured { from, until: self.close_window()? };
        self.cool_down().await;
        self.drain(lanes).await;
        sleep(self.settle_time()).await;
        failures.extend(judge_receivers(&mut receivers).await);
        self.report(&measured, failures)
    }

    fn start_receivers(&self) -> Vec<Receiver> {
        let start = |index: usize| {
            let mut endpoints = self.target.endpoints.clone();
            let first = index % endpoints.len();
            endpoints.rotate_left(first);
            let role = if index == 0 { Role::Measures } else { Role::Follows };
            Receiver::start(endpoints, self.target.factory.clone(), &self.chain, role, Arc::clone(&self.shared))
        };
        (0..self.plan.receivers).map(start).collect()
    }

    fn start_lanes(&self) -> Vec<AbortOnDropHandle<()>> {
        let (mut lanes, mut queues) = (Vec::new(), Vec::new());
        let homes = self.frontends.iter().cycle().take(self.lane_count());
        for (index, endpoint) in homes.enumerate() {
            let dues = match self.plan.pace {
                Pace::ClosedLoop { .. } => Dues::WhenFree,
                Pace::OpenLoop { .. } => {
                    let (queue, dues) = mpsc::channel(STREAM_DUE_MAX);
                    queues.push(queue);
                    Dues::Paced(dues)
                }
            };
            let lane =
                Lane { index: LaneIndex(index), endpoint: endpoint.clone(), dues, shared: Arc::clone(&self.shared) };
            lanes.push(AbortOnDropHandle::new(tokio::spawn(lane.run())));
        }
        if let Pace::OpenLoop { rate_per_s } = self.plan.pace {
            pacer::start(rate_per_s, queues, Arc::clone(&self.shared));
        }
        lanes
    }

    fn lane_count(&self) -> usize {
        self.frontends.len() * self.plan.streams_per_frontend
    }

    /// Nobody sends or receives meanwhile: what is within the window and what is not is the same for all.
    fn open_window(&self) -> anyhow::Result<Snapshot> {
        let mut matching = self.shared.matching();
        let snapshot = Snapshot::take(&self.target.processes)?;
        matching.open_window(snapshot.at);
        if let Extent::Count(count) = self.plan.extent {
            self.shared.quota.limit(count);
        }
        Ok(snapshot)
    }

    /// For `--count` the window ended with the last delivery, whenever that is noticed.
    fn close_window(&self) -> anyhow::Result<Snapshot> {
        let mut matching = self.shared.matching();
        let snapshot = Snapshot::take(&self.target.processes)?;
        matching.close_window(snapshot.at);
        Ok(snapshot)
    }

    /// Waits for the end of the window. Says what is wrong if nothing is delivered any more.
    async fn watch(&self, from: &Snapshot, lanes: &[AbortOnDropHandle<()>]) -> Option<String> {
        let bar = match self.plan.extent {
            Extent::Count(count) => self.progress.envelopes("loading", count),
            Extent::For(duration) => self.progress.time("loading", duration),
        };
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let wrong = loop {
            let pause = match self.plan.extent {
                Extent::Count(_) => WATCH_INTERVAL,
                Extent::For(duration) => duration.saturating_sub(from.at.elapsed()).min(WATCH_INTERVAL),
            };
            tokio::select! {
                _ = &mut interrupted => break None,
                () = sleep(pause) => {}
            }
            let tally = self.shared.matching().tally();
            show(&bar, self.plan.extent, from.at.elapsed(), &tally);
            let is_over = match self.plan.extent {
                Extent::Count(_) => tally.underway == 0 && lanes.iter().all(AbortOnDropHandle::is_finished),
                Extent::For(duration) => from.at.elapsed() >= duration,
            };
            if is_over {
                break None;
            }
            if tally.quiet_for(from.at, Instant::now()) > STALL_PATIENCE {
                break Some(format!("nothing was delivered for {} s", STALL_PATIENCE.as_secs()));
            }
        };
        bar.finish_and_clear();
        wrong
    }

    /// The load goes on until what was due within the window is delivered.
    async fn cool_down(&self) {
        let since = Instant::now();
        while self.shared.matching().tally().underway_measured > 0 && since.elapsed() < COOL_DOWN_MAX {
            sleep(WATCH_INTERVAL).await;
        }
        self.shared.stop.cancel();
    }

    /// Waits until everything sent has come to its end, as long as that goes on.
    async fn drain(&self, lanes: Vec<AbortOnDropHandle<()>>) {
        let since = Instant::now();
        loop {
            let tally = self.shared.matching().tally();
            let is_over = tally.underway == 0 && lanes.iter().all(AbortOnDropHandle::is_finished);
            if is_over || tally.quiet_for(since, Instant::now()) > DRAIN_PATIENCE {
                return;
            }
            sleep(WATCH_INTERVAL).await;
        }
    }

    /// What comes again, comes within the time that a block may take to fill.
    fn settle_time(&self) -> Duration {
        self.chain.cutting.map_or(SETTLE_USUAL, |cutting| (cutting.timeout * 2).min(SETTLE_MAX))
    }

    fn report(&self, measured: &Measured, mut failures: Vec<String>) -> anyhow::Result<Report> {
        let matching = self.shared.matching();
        let tally = matching.tally();
        let counts = self.counts(&tally, matching.acknowledged_undelivered());
        failures.extend(judge(&counts));
        let window = match self.plan.extent {
            Extent::Count(_) => {
                tally.last_delivery.unwrap_or(measured.until.at).saturating_duration_since(measured.from.at)
            }
            Extent::For(_) => measured.until.at - measured.from.at,
        };
        let (nodes, absent) = measured.nodes(&self.target.processes, tally.delivered_in_window);
        let report = Report {
            conditions: self.conditions(),
            window_s: window.as_secs_f64(),
            counts,
            rates: rates(&tally, window),
            latency: matching.delivery(),
            acknowledgement: matching.acknowledgement(),
            loadgen: measured.own(tally.delivered_in_window),
            machine: Machine {
                processors: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
                load_average_before: self.load_average_before,
                processors_used_by_others: measured.processors_used_by_others(),
            },
            nodes,
            absent,
            failures,
            trouble: self.shared.trouble(),
        };
        Ok(report)
    }

    fn conditions(&self) -> Conditions {
        let Self { plan, target, chain, .. } = self;
        let background = target.background.clone();
        let (pace, rate_per_s, outstanding_per_stream) = match plan.pace {
            Pace::ClosedLoop { outstanding_per_stream: places } => (
                format!("closed loop, {places} envelopes of each stream sent and not delivered"),
                None,
                Some(places.get()),
            ),
            Pace::OpenLoop { rate_per_s } => (format!("open loop at {rate_per_s} envelopes/s"), Some(rate_per_s), None),
        };
        let signatures = match plan.signatures {
            Signatures::Fresh => "each with an ECDSA P-256 signature of its own",
            Signatures::Reused => "unsigned: all with the signature of the first",
        };
        Conditions {
            orderer: background.orderer,
            nodes: background.nodes,
            payload_bytes: plan.data_bytes,
            envelope_bytes: self.shared.stock.envelope_bytes,
            signatures: signatures.to_owned(),
            verification: background.verification,
            block_envelopes_max: chain.cutting.map(|cutting| cutting.message_count_max),
            block_timeout_ms: chain.cutting.map(|cutting| cutting.timeout.as_millis() as u64),
            durability: background.durability,
            instances_open_max: background.instances_open_max,
            frontends: self.frontends.len(),
            streams: self.lane_count(),
            receivers: plan.receivers,
            pace,
            rate_per_s,
            outstanding_per_stream,
            warmup_s: plan.warmup.as_secs_f64(),
        }
    }

    fn counts(&self, tally: &Tally, lost: u64) -> Counts {
        Counts {
            sent: tally.sent,
            sent_measured: tally.sent_measured,
            acknowledged: tally.acknowledged,
            delivered: tally.delivered,
            refused: tally.refused,
            unanswered: tally.unanswered,
            left_out: self.shared.left_out.load(Relaxed),
            lost,
            repeated: tally.repeated,
            foreign: tally.foreign,
            reopened: self.shared.reopened.load(Relaxed),
            prepared: self.shared.stock.prepared,
            made_late: self.shared.stock.made_late(),
        }
    }
}

impl Plan {
    /// How many envelopes to make beforehand.
    fn envelopes_needed(&self) -> u64 {
        // The window opens a little later than asked for.
        let before = if self.warmup.is_zero() { 0 } else { self.warmup.as_secs() + 1 };
        let per_s = match self.pace {
            Pace::OpenLoop { rate_per_s } => u64::from(rate_per_s),
            Pace::ClosedLoop { .. } => PREPARED_PER_S,
        };
        let measured = match self.extent {
            Extent::Count(count) => count,
            Extent::For(duration) => per_s.saturating_mul(duration.as_secs() + COOL_DOWN_USUAL.as_secs()),
        };
        per_s.saturating_mul(before).saturating_add(measured)
    }
}

fn show(bar: &ProgressBar, extent: Extent, elapsed: Duration, tally: &Tally) {
    let position = match extent {
        Extent::Count(_) => tally.delivered_in_window,
        Extent::For(_) => elapsed.as_millis() as u64,
    };
    bar.set_position(position);
    let per_s = |count: u64| count as f64 / elapsed.as_secs_f64().max(0.001);
    let (acknowledged, delivered) = (per_s(tally.acknowledged_in_window), per_s(tally.delivered_in_window));
    bar.set_message(format!(
        "{acknowledged:.0}/s acknowledged, {delivered:.0}/s delivered, {} on their way",
        tally.underway
    ));
}

fn rates(tally: &Tally, window: Duration) -> Rates {
    let per_s = |count: u64| if window.is_zero() { 0.0 } else { count as f64 / window.as_secs_f64() };
    Rates {
        acknowledged_per_s: per_s(tally.acknowledged_in_window),
        delivered_per_s: per_s(tally.delivered_in_window),
        blocks_per_s: per_s(tally.blocks_in_window),
        envelopes_per_block: tally.delivered_in_window as f64 / tally.blocks_in_window.max(1) as f64,
    }
}

/// What no load may end with.
fn judge(counts: &Counts) -> Vec<String> {
    let findings = [
        (counts.lost, format!("{} acknowledged envelopes were never delivered", counts.lost)),
        (counts.repeated, format!("envelopes were delivered again {} times", counts.repeated)),
        (u64::from(counts.delivered == 0), "no envelope was delivered".to_owned()),
    ];
    findings.into_iter().filter(|(count, _)| *count > 0).map(|(_, what)| what).collect()
}

/// All must have come as far as the first one, along the same chain.
async fn judge_receivers(receivers: &mut [Receiver]) -> Vec<String> {
    let mut failures: Vec<String> = receivers.iter().filter_map(|receiver| receiver.standing().broken).collect();
    let [first, others @ ..] = receivers else { return failures };
    let first = first.standing();
    for (index, other) in others.iter_mut().enumerate() {
        let reached = tokio::time::timeout(RECEIVERS_PATIENCE, other.reach(first.next)).await;
        let standing = reached.unwrap_or_else(|_| other.standing());
        let name = format!("receiver {}", index + 2);
        if standing.next < first.next {
            failures.push(format!("{name} has come to height {}, the first one to {}", standing.next, first.next));
        } else if standing.next == first.next && standing.tip != first.tip {
            failures.push(format!("{name} has seen another chain than the first one"));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_not_be_is_a_failure() {
        let fine = Counts { delivered: 5, refused: 2, unanswered: 1, left_out: 9, foreign: 3, ..Counts::default() };
        assert_eq!(judge(&fine), Vec::<String>::new());
        assert_eq!(judge(&Counts { lost: 2, ..fine }), ["2 acknowledged envelopes were never delivered"]);
        assert_eq!(judge(&Counts { repeated: 1, ..fine }), ["envelopes were delivered again 1 times"]);
        assert_eq!(judge(&Counts::default()), ["no envelope was delivered"]);
    }

    #[test]
    fn enough_is_made_beforehand() {
        let plan = |pace, extent, seconds| Plan {
            data_bytes: 200,
            pace,
            extent,
            warmup: Duration::from_secs(seconds),
            streams_per_frontend: 1,
            frontends: super::super::args::Frontends::All,
            receivers: 1,
            signatures: Signatures::Fresh,
        };
        let closed = Pace::ClosedLoop { outstanding_per_stream: NonZeroUsize::MIN };
        let open = Pace::OpenLoop { rate_per_s: 100 };
        let for_ten = Extent::For(Duration::from_secs(10));
        assert_eq!(plan(open, for_ten, 1).envelopes_needed(), 100 * (2 + 10 + 1));
        assert_eq!(plan(open, Extent::Count(7), 1).envelopes_needed(), 207);
        assert_eq!(plan(open, Extent::Count(7), 0).envelopes_needed(), 7);
        assert_eq!(plan(closed, Extent::Count(7), 0).envelopes_needed(), 7);
        assert_eq!(plan(closed, Extent::Count(u64::MAX), 1).envelopes_needed(), u64::MAX);
        assert_eq!(plan(closed, for_ten, 1).envelopes_needed(), PREPARED_PER_S * (2 + 10 + 1));
    }
}
