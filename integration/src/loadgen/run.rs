//! One load from beginning to end.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::ProgressBar;
use orderer_node::client::EnvelopeFactory;
use tokio::time::sleep;

use super::args::LoadgenArgs;
use super::chain::{Chain, Cutting};
use super::describe::rates;
use super::direct::DirectFrontends;
use super::judge::{judge, judge_receivers};
use super::limits::{
    COOL_DOWN_MAX, COOL_DOWN_USUAL, DRAIN_PATIENCE, PREPARED_PER_S, SETTLE_MAX, SETTLE_USUAL, STALL_PATIENCE,
    WATCH_INTERVAL,
};
use super::matching::Tally;
use super::opaque::OpaqueMaker;
use super::pacer::Schedule;
use super::plan::{ArgsError, Content, Extent, Pace, Plan, Signatures};
use super::progress::Progress;
use super::replay::Replay;
use super::report::{Machine, Report};
use super::shared::{Common, Shared};
use super::snapshot::{Measured, Snapshot, check_processes};
use super::source::{Source, Sources};
use super::stages::StageSnapshot;
use super::stock::{Maker, Stock};
use super::target::{Inside, Target};
use super::ticker::Ticker;
use super::usage;
use super::way::{Lanes, Way};

/// Everything that is known before the first envelope is sent.
pub(super) struct Load {
    pub(super) plan: Plan,
    pub(super) target: Target,
    pub(super) way: Way,
    /// Of each channel that is received by Deliver.
    chains: Vec<Chain>,
    /// Of the first channel, if its genesis block can be read.
    pub(super) cutting: Option<Cutting>,
    load_average_before: Option<f64>,
    progress: Progress,
    pub(super) shared: Arc<Shared>,
}

impl Load {
    /// Reads what there is to read, and makes what can be made before.
    ///
    /// # Errors
    /// A file is not what it should be, or nobody answers.
    pub(super) async fn prepare(args: &LoadgenArgs) -> anyhow::Result<Self> {
        let (mut plan, target) = (args.plan()?, Target::resolve(args)?);
        check_processes(&target.processes)?;
        let load_average_before = usage::load_average().ok();
        let progress = Progress::new();
        // Before anything is started: that the arguments make sense shows here.
        let sources = sources(args, &plan, &target, &progress)?;
        if plan.extent == Extent::File {
            plan.extent = Extent::Count(sources.prepared());
        }
        let way = Self::way(args, &plan, &target).await?;
        let mut chains = Vec::new();
        for factory in target.factories.iter().filter(|_| plan.receivers > 0) {
            chains.push(Chain::ask_any(&target.endpoints, factory).await?);
        }
        let cutting = match &way {
            Way::Broadcast { .. } => chains.first().and_then(|chain| chain.cutting),
            Way::Direct(direct) => direct.cutting(),
        };
        let places = match plan.pace {
            Pace::ClosedLoop { outstanding_per_stream } => outstanding_per_stream.get(),
            // Places come back for every envelope, and nobody waits for one.
            Pace::OpenLoop { .. } => 0,
        };
        let shared = Shared::new(Common {
            sources,
            mix: plan.mix,
            frontends: way.frontends(),
            lanes: way.lane_count(&plan),
            places,
            events: plan.events.clone(),
        });
        Ok(Self { plan, target, way, chains, cutting, load_average_before, progress, shared })
    }

    async fn way(args: &LoadgenArgs, plan: &Plan, target: &Target) -> anyhow::Result<Way> {
        if let (Content::Opaque { .. }, Some(file)) = (plan.content, &args.network) {
            let inside = Inside::from_network(file, &args.channels)?;
            let count = plan.frontends.direct(target.background.nodes.unwrap_or(1));
            return Ok(Way::Direct(DirectFrontends::start(count, &inside).await?));
        }
        let frontends = target.endpoints[..plan.frontends.of(target.endpoints.len())?].to_vec();
        let stray = |factory: &EnvelopeFactory| {
            let data_bytes = if let Content::Transactions { data_bytes, .. } = plan.content { data_bytes } else { 0 };
            Maker::new(factory.clone(), data_bytes, Signatures::Reused)
        };
        let strays = target.factories.iter().filter(|_| plan.mix.unsigned > 0).map(stray);
        Ok(Way::Broadcast { frontends, strays: strays.collect::<anyhow::Result<_>>()? })
    }

    /// Makes the load, and says what came of it.
    ///
    /// # Errors
    /// The system does not say what this process has used.
    pub(super) async fn run(&self) -> anyhow::Result<Report> {
        let Self { plan, target, shared, .. } = self;
        let (endpoints, factories) = (&target.endpoints, &target.factories);
        let mut receivers = self.way.start_receivers(plan, &self.chains, endpoints, factories, shared);
        let ticker = Ticker::start(Arc::clone(shared), &target.processes, plan.tick);
        let mut stages = StageSnapshot::take(&target.status_sockets).await;
        let mut failures = Vec::new();
        let before = plan.before_window();
        let (lanes, from) = if before.is_zero() {
            // Nothing is sent before it counts.
            let from = self.open_window()?;
            (self.way.start_lanes(plan, shared), from)
        } else {
            let lanes = self.way.start_lanes(plan, shared);
            sleep(before).await;
            stages = StageSnapshot::take(&target.status_sockets).await;
            (lanes, self.open_window()?)
        };
        failures.extend(self.watch(&from, &lanes).await);
        let measured = Measured { from, until: self.close_window()? };
        let stages = (stages, StageSnapshot::take(&target.status_sockets).await);
        self.cool_down().await;
        self.drain(lanes).await;
        ticker.stop().await;
        sleep(self.settle_time()).await;
        for of_channel in &mut receivers {
            failures.extend(judge_receivers(of_channel).await);
        }
        failures.extend(shared.sources.failures());
        drop(receivers);
        self.way.stop().await;
        Ok(self.report(&measured, &stages, failures))
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
    async fn watch(&self, from: &Snapshot, lanes: &Lanes) -> Option<String> {
        let bar = match self.plan.extent {
            Extent::For(duration) => self.progress.time("loading", duration),
            Extent::Count(count) => self.progress.envelopes("loading", count),
            Extent::File => self.progress.envelopes("loading", self.shared.sources.prepared()),
        };
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let wrong = loop {
            let pause = match self.plan.extent {
                Extent::Count(_) | Extent::File => WATCH_INTERVAL,
                Extent::For(duration) => duration.saturating_sub(from.at.elapsed()).min(WATCH_INTERVAL),
            };
            tokio::select! {
                _ = &mut interrupted => break None,
                () = sleep(pause) => {}
            }
            let tally = self.shared.matching().tally();
            self.show(&bar, from.at.elapsed(), &tally);
            // A file may end before the time does.
            let is_all_done = tally.underway == 0 && lanes.iter().all(|lane| lane.is_finished());
            let is_time_over = matches!(self.plan.extent, Extent::For(duration) if from.at.elapsed() >= duration);
            let is_over = is_all_done || is_time_over;
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
    async fn drain(&self, lanes: Lanes) {
        let since = Instant::now();
        loop {
            let tally = self.shared.matching().tally();
            let is_over = tally.underway == 0 && lanes.iter().all(|lane| lane.is_finished());
            if is_over || tally.quiet_for(since, Instant::now()) > DRAIN_PATIENCE {
                return;
            }
            sleep(WATCH_INTERVAL).await;
        }
    }

    /// What comes again, comes within the time that a block may take to fill.
    fn settle_time(&self) -> Duration {
        self.cutting.map_or(SETTLE_USUAL, |cutting| (cutting.timeout * 2).min(SETTLE_MAX))
    }

    fn show(&self, bar: &ProgressBar, elapsed: Duration, tally: &Tally) {
        let position = match self.plan.extent {
            Extent::Count(_) | Extent::File => tally.delivered_in_window,
            Extent::For(_) => elapsed.as_millis() as u64,
        };
        bar.set_position(position);
        let per_s = |count: u64| count as f64 / elapsed.as_secs_f64().max(0.001);
        let (acknowledged, delivered) = (per_s(tally.acknowledged_in_window), per_s(tally.delivered_in_window));
        let text =
            format!("{acknowledged:.0}/s acknowledged, {delivered:.0}/s delivered, {} on their way", tally.underway);
        self.progress.line(elapsed, &text);
        bar.set_message(text);
    }

    fn report(
        &self,
        measured: &Measured,
        stages: &(StageSnapshot, StageSnapshot),
        mut failures: Vec<String>,
    ) -> Report {
        let (timeline, events) = self.shared.timeline().finish();
        let matching = self.shared.matching();
        let tally = matching.tally();
        let counts = self.counts(&tally, matching.acknowledged_undelivered());
        failures.extend(judge(&counts));
        let window = match self.plan.extent {
            Extent::Count(_) | Extent::File => {
                tally.last_delivery.unwrap_or(measured.until.at).saturating_duration_since(measured.from.at)
            }
            Extent::For(_) => measured.until.at - measured.from.at,
        };
        let (nodes, absent) = measured.nodes(&self.target.processes, tally.delivered_in_window);
        Report {
            conditions: self.conditions(),
            began_unix_s: unix_s(self.shared.began),
            window_s: window.as_secs_f64(),
            window_from_s: measured.from.at.saturating_duration_since(self.shared.began).as_secs_f64(),
            counts,
            refusals: self.shared.refusals(),
            rates: rates(&tally, window),
            channels: self.channel_rates(matching.channels(), window),
            latency: matching.delivery(),
            latency_distribution: matching.delivery_distribution(),
            acknowledgement: matching.acknowledgement(),
            loadgen: measured.own(tally.delivered_in_window),
            machine: Machine {
                processors: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
                load_average_before: self.load_average_before,
                processors_used_by_others: measured.processors_used_by_others(),
            },
            nodes,
            stages: stages.1.costs_since(&stages.0, &self.target.status_sockets, tally.delivered_in_window),
            absent,
            timeline,
            events,
            failures,
            trouble: self.shared.trouble(),
        }
    }
}

/// A moment that has been, in seconds since 1970.
fn unix_s(at: Instant) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(at.elapsed()).as_secs_f64()
}

/// For each channel, where its envelopes come from.
fn sources(args: &LoadgenArgs, plan: &Plan, target: &Target, progress: &Progress) -> anyhow::Result<Sources> {
    let channels = target.factories.len();
    let mut of_channels = Vec::new();
    for (index, factory) in target.factories.iter().enumerate() {
        of_channels.push(match (plan.content, &args.from) {
            (Content::Opaque { envelope_bytes }, _) => {
                Source::Opaque(OpaqueMaker::new(factory.channel(), index as u16, envelope_bytes)?)
            }
            (Content::File, Some(path)) if channels == 1 => Source::Replay(Replay::open(path, factory.channel())?),
            (Content::File, _) => return Err(ArgsError::Channels(channels).into()),
            (Content::Transactions { data_bytes, signatures }, _) => {
                let maker = Maker::new(factory.clone(), data_bytes, signatures)?;
                let needed = plan.envelopes_needed().div_ceil(channels as u64);
                let bar = progress.envelopes("signing", needed);
                let prepare = || Stock::prepare(maker, needed, channels, || bar.inc(1));
                let stock = tokio::task::block_in_place(prepare);
                bar.finish_and_clear();
                Source::Stock(stock)
            }
        });
    }
    Ok(Sources::new(of_channels))
}

impl Plan {
    /// How long the load goes on before the window opens.
    fn before_window(&self) -> Duration {
        match self.pace {
            Pace::OpenLoop { ramp, .. } => ramp + self.warmup,
            Pace::ClosedLoop { .. } => self.warmup,
        }
    }

    /// How many envelopes to make beforehand.
    fn envelopes_needed(&self) -> u64 {
        // The window opens a little later than asked for.
        let before = if self.warmup.is_zero() { 0 } else { self.warmup.as_secs() + 1 };
        let (per_s, of_ramp) = match self.pace {
            Pace::OpenLoop { rate_per_s, ramp } => (u64::from(rate_per_s), Schedule { rate_per_s, ramp }.of_ramp()),
            Pace::ClosedLoop { .. } => (PREPARED_PER_S, 0),
        };
        let measured = match self.extent {
            Extent::Count(count) => count,
            Extent::For(duration) => per_s.saturating_mul(duration.as_secs() + COOL_DOWN_USUAL.as_secs()),
            Extent::File => 0,
        };
        per_s.saturating_mul(before).saturating_add(of_ramp).saturating_add(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mix::Mix;
    use super::super::plan::Frontends;
    use super::*;

    #[test]
    fn enough_is_made_beforehand() {
        let plan = |pace, extent, seconds| Plan {
            content: Content::Transactions { data_bytes: 200, signatures: Signatures::Fresh },
            mix: Mix::PLAIN,
            pace,
            extent,
            warmup: Duration::from_secs(seconds),
            streams_per_frontend: 1,
            frontends: Frontends::All,
            receivers: 1,
            tick: Duration::from_secs(1),
            events: Vec::new(),
        };
        let closed = Pace::ClosedLoop { outstanding_per_stream: NonZeroUsize::MIN };
        let open = Pace::OpenLoop { rate_per_s: 100, ramp: Duration::ZERO };
        let rising = Pace::OpenLoop { rate_per_s: 100, ramp: Duration::from_secs(4) };
        let for_ten = Extent::For(Duration::from_secs(10));
        assert_eq!(plan(open, for_ten, 1).envelopes_needed(), 100 * (2 + 10 + 1));
        assert_eq!(plan(rising, for_ten, 1).envelopes_needed(), 200 + 100 * (2 + 10 + 1));
        assert_eq!(plan(rising, for_ten, 1).before_window(), Duration::from_secs(5));
        assert_eq!(plan(open, Extent::Count(7), 1).envelopes_needed(), 207);
        assert_eq!(plan(open, Extent::Count(7), 0).envelopes_needed(), 7);
        assert_eq!(plan(closed, Extent::Count(7), 0).envelopes_needed(), 7);
        assert_eq!(plan(closed, Extent::Count(u64::MAX), 1).envelopes_needed(), u64::MAX);
        assert_eq!(plan(closed, for_ten, 1).envelopes_needed(), PREPARED_PER_S * (2 + 10 + 1));
    }
}
