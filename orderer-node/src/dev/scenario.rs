//! What happens while a network runs: it opens, it is shown, it is loaded, and at the end it is judged.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use blockcutter::config_block::cut_timeout;
use fabric_channel::{ChannelConfig, go_duration};
use frontend_shim::group_settings::GroupSettings;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::DevArgs;
use super::agreement::{self, Agreement, Stretch};
use super::display::Display;
use super::fleet::{Fleet, Standing};
use super::follower::Follower;
use super::network::Network;
use super::network_file::NetworkFile;
use super::plan::VerificationOption;
use crate::client::{Endpoint, EnvelopeFactory, Latencies, LatencyRecorder, LoadCounts, LoadPlan, OpenLoop};

/// What is to happen, and with whom.
pub(super) struct Scenario<'a> {
    description: &'a NetworkFile,
    config: &'a ChannelConfig,
    /// The nodes by name.
    endpoints: Vec<(String, Endpoint)>,
    /// Where a load is sent: the frontends of their own if there are any, otherwise the nodes.
    doors: Vec<Endpoint>,
    factory: EnvelopeFactory,
    verification: VerificationOption,
    rate_per_s: Option<u32>,
    duration: Option<Duration>,
}

/// What runs beside the nodes.
struct Underway {
    recorder: Arc<LatencyRecorder>,
    follower: Follower,
    load: Option<OpenLoop>,
}

impl<'a> Scenario<'a> {
    /// # Errors
    /// The client's keys or an authority's certificate cannot be used.
    pub(super) fn new(network: &'a Network, description: &'a NetworkFile, args: &DevArgs) -> anyhow::Result<Self> {
        let client = &description.client;
        let factory = EnvelopeFactory::load(network.config.channel_id().clone(), &client.msp_dir, &client.msp_id)?;
        let endpoint =
            |node: &super::NodeEntry| Ok((node.name.clone(), Endpoint::tls(&node.address, &node.tls_ca, None)?));
        let endpoints = description.nodes.iter().map(endpoint).collect::<anyhow::Result<Vec<_>>>()?;
        let doors = description.frontends.iter().map(|it| Endpoint::tls(&it.address, &it.tls_ca, None));
        let mut doors = doors.collect::<Result<Vec<_>, _>>()?;
        if doors.is_empty() {
            doors.extend(endpoints.iter().map(|(_, endpoint)| endpoint.clone()));
        }
        Ok(Self {
            description,
            config: &network.config,
            endpoints,
            doors,
            factory,
            verification: args.verification,
            rate_per_s: args.load,
            duration: args.seconds.map(Duration::from_secs),
        })
    }

    /// Runs until the time is over, and judges; without an end, for ever. What goes wrong and does not end it is added
    /// to `failures`.
    ///
    /// # Errors
    /// The nodes do not open, or all end, or cannot be judged.
    pub(super) async fn play(
        &self,
        fleet: &mut Fleet,
        display: &mut Display,
        failures: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let standings = fleet.wait_until_open(&self.description.channel).await?;
        for further in self.description.channels.iter().skip(1) {
            fleet.wait_until_open(&further.name).await?;
        }
        let since = standings.iter().map(|standing| standing.height).max().unwrap_or(0).max(1);
        self.introduce(display, since);
        let mut underway = self.begin(since);
        self.watch(&underway, fleet, display, failures).await?;
        let counts = match underway.load.take() {
            Some(load) => Some(load.stop(ANSWER_PATIENCE).await),
            None => None,
        };
        let height = self.wait_for_quiet(&underway.recorder, fleet).await?;
        note_ended(fleet, display, failures);
        ensure!(height >= since, "the nodes are at height {height}, and began at {since}");
        failures.extend(underway.follower.broken());
        if let Some(counts) = &counts {
            display.say(&describe_load(counts, &conditions(self.verification, &self.description.ordering)));
            if counts.due < self.expected_due() / 10 * 9 {
                display.say("the load fell behind: this machine cannot sign and send as many");
            }
            failures.extend(judge_load(counts, &underway.recorder));
        }
        let agreement = self.check_agreement(fleet, Stretch { since, height }).await?;
        if failures.is_empty() {
            display.say(&summary(&agreement, &underway.recorder.latencies()));
        }
        Ok(())
    }

    fn begin(&self, since: u64) -> Underway {
        let recorder = Arc::new(LatencyRecorder::new());
        let endpoints: Vec<Endpoint> = self.endpoints.iter().map(|(_, endpoint)| endpoint.clone()).collect();
        let follower = Follower::start(endpoints, self.factory.clone(), since, Arc::clone(&recorder));
        let load = self.rate_per_s.map(|rate_per_s| {
            let plan = LoadPlan { endpoints: self.doors.clone(), streams_per_endpoint: 1, rate_per_s };
            OpenLoop::start(plan, self.factory.sign_ahead(DATA_BYTES), Arc::clone(&recorder))
        });
        Underway { recorder, follower, load }
    }

    /// Shows how the nodes fare, until the time is over.
    async fn watch(
        &self,
        underway: &Underway,
        fleet: &mut Fleet,
        display: &mut Display,
        failures: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let end = self.duration.map(|duration| Instant::now() + duration);
        let mut ticks = interval(STATUS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut counted, mut counted_at) = (0, ticks.tick().await);
        loop {
            tokio::select! {
                () = sleep_until(end.unwrap_or(counted_at)), if end.is_some() => return Ok(()),
                _ = ticks.tick() => {}
            }
            note_ended(fleet, display, failures);
            if fleet.alive() == 0 {
                bail!("all nodes have ended: {}", failures.join("; "));
            }
            if let Some(broken) = underway.follower.broken() {
                bail!("the chain is broken: {broken}");
            }
            let standings = fleet.standings(&self.description.channel).await;
            let (now, envelopes) = (Instant::now(), underway.follower.envelopes());
            let rate = (envelopes - counted) as f64 / (now - counted_at).as_secs_f64();
            (counted, counted_at) = (envelopes, now);
            display.status(&self.status_line(&standings, rate, &underway.recorder.latencies()));
        }
    }

    fn status_line(&self, standings: &[Standing], rate: f64, latencies: &Latencies) -> String {
        let height = standings.iter().map(|standing| standing.height).max().unwrap_or(0);
        let mut line = format!("height {height} | {rate:.0} envelopes/s | leader {}", self.leader(standings));
        line += &format!(" | {} of {} nodes answer", standings.len(), self.endpoints.len());
        if latencies.count > 0 {
            line += &format!(" | p50 {} p99 {}", millis(latencies.p50), millis(latencies.p99));
        }
        line
    }

    /// How many envelopes the load was to have sent in the end.
    fn expected_due(&self) -> u64 {
        u64::from(self.rate_per_s.unwrap_or(0)) * self.duration.unwrap_or_default().as_secs()
    }

    /// Whom most of those who answer take for the leader.
    fn leader(&self, standings: &[Standing]) -> String {
        let votes = |leader: u16| standings.iter().filter(|standing| standing.leader == Some(leader)).count();
        let leader = standings.iter().filter_map(|standing| standing.leader).max_by_key(|leader| votes(*leader));
        let node = leader.and_then(|leader| self.endpoints.get(usize::from(leader)));
        node.map_or("unknown", |(name, _)| name).to_owned()
    }

    /// Waits until nothing is on its way any more and all living nodes have the same height.
    async fn wait_for_quiet(&self, recorder: &LatencyRecorder, fleet: &Fleet) -> anyhow::Result<u64> {
        let quiet = (self.config.batch_timeout() * 2).max(QUIET_MIN);
        let deadline = Instant::now() + QUIET_TIMEOUT;
        let (mut last, mut last_change) = (Vec::new(), Instant::now());
        loop {
            let standings = fleet.standings(&self.description.channel).await;
            if standings != last {
                (last, last_change) = (standings, Instant::now());
            }
            let patience = if recorder.outstanding() == 0 { quiet } else { quiet * OUTSTANDING_PATIENCE };
            let heights: Vec<u64> = last.iter().map(|standing| standing.height).collect();
            let is_equal = heights.windows(2).all(|pair| pair[0] == pair[1]);
            if let (true, Some(height)) = (is_equal && last_change.elapsed() >= patience, heights.first()) {
                return Ok(*height);
            }
            if Instant::now() > deadline {
                let heights: Vec<String> = last.iter().map(|it| format!("{} at {}", it.name, it.height)).collect();
                bail!(
                    "the nodes do not come to rest at one height within {} s: {}",
                    QUIET_TIMEOUT.as_secs(),
                    heights.join(", ")
                );
            }
            sleep(QUIET_POLL_INTERVAL).await;
        }
    }

    /// Of the nodes that live.
    async fn check_agreement(&self, fleet: &Fleet, stretch: Stretch) -> anyhow::Result<Agreement> {
        let standings = fleet.standings(&self.description.channel).await;
        let lives = |name: &str| standings.iter().any(|standing| standing.name == name);
        let nodes: Vec<_> = self.endpoints.iter().filter(|(name, _)| lives(name)).cloned().collect();
        agreement::check(&nodes, &self.factory, self.config, stretch).await
    }

    /// What a Fabric client needs to know.
    fn introduce(&self, display: &mut Display, height: u64) {
        let network = self.description;
        let batch = self.config.batch_size();
        let timeout = go_duration::format(cut_timeout(self.config));
        let (count, channel) = (batch.max_message_count, &network.channel);
        display.say(&format!(
            "channel {channel} at height {height}: blocks of up to {count} envelopes, or after {timeout}"
        ));
        for node in &network.nodes {
            display.say(&format!(
                "  {:<4} {:<22} pid {:<8} log {}",
                node.name,
                node.address,
                node.pid,
                node.log.display()
            ));
        }
        for frontend in &network.frontends {
            let (name, address, log) = (&frontend.name, &frontend.address, frontend.log.display());
            display.say(&format!("  {name:<4} {address:<22} pid {:<8} log {log}", frontend.pid));
        }
        if let [_, further @ ..] = &network.channels[..]
            && !further.is_empty()
        {
            let names: Vec<&str> = further.iter().map(|channel| channel.name.as_str()).collect();
            display.say(&format!("further channels {}", names.join(", ")));
        }
        let Some(first) = network.nodes.first() else { return };
        let (msp, ca) = (network.client.msp_dir.display(), first.tls_ca.display());
        display.say(&format!("genesis block   {}", network.genesis.display()));
        display.say(&format!("TLS authority   {ca}"));
        display.say(&format!("client's MSP    {msp} ({})", network.client.msp_id));
        display.say(&format!("all keys        {}", network.crypto.display()));
        display.say("try:");
        display.say(&format!("  CORE_PEER_LOCALMSPID={} CORE_PEER_MSPCONFIGPATH={msp} \\", network.client.msp_id));
        display.say(&format!(
            "  peer channel fetch newest newest.block -c {channel} -o {} --tls --cafile {ca}",
            first.address
        ));
    }
}

fn note_ended(fleet: &mut Fleet, display: &mut Display, failures: &mut Vec<String>) {
    for ended in fleet.newly_ended() {
        let text = format!("{} {}, see {}", ended.name, ended.how, ended.log.display());
        display.say(&text);
        failures.push(text);
    }
}

/// What `dev` writes into the configuration of its nodes, in the words of [`crate::config`].
fn conditions(verification: VerificationOption, settings: &GroupSettings) -> String {
    let verification = match verification {
        VerificationOption::Full => "verification full: client signatures by the frontend and by every node",
        VerificationOption::Frontends => "verification frontends: client signatures by the frontend alone",
    };
    format!("{verification}; durability full; {settings}")
}

fn describe_load(counts: &LoadCounts, conditions: &str) -> String {
    let LoadCounts { due, acknowledged, refused, left_out, resent, .. } = counts;
    format!(
        "load: {due} envelopes due, {acknowledged} acknowledged, {refused} refused, {left_out} left out, {resent} sent again\n\
         conditions: {conditions}"
    )
}

/// What a load may not end with. That the machine could not keep up is no fault.
fn judge_load(counts: &LoadCounts, recorder: &LatencyRecorder) -> Vec<String> {
    let unaccounted = recorder.unaccounted();
    let trouble = counts.trouble.as_deref().unwrap_or("no reason given");
    let findings = [
        (unaccounted.acknowledged as u64, "acknowledged envelopes are in no block".to_owned()),
        (unaccounted.unanswered as u64, format!("envelopes were never answered, last trouble: {trouble}")),
        (unaccounted.repeated, "envelopes are in the chain twice".to_owned()),
        (counts.refused, format!("envelopes were refused, last trouble: {trouble}")),
    ];
    findings.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
}

fn summary(agreement: &Agreement, latencies: &Latencies) -> String {
    let Agreement { nodes, blocks, envelopes } = agreement;
    let mut line = format!("blocks={blocks} envelopes={envelopes} ");
    if latencies.count > 0 {
        line += &format!("p50={} p99={} ", millis(latencies.p50), millis(latencies.p99));
    }
    line + &format!("equal block hashes on {nodes} nodes")
}

fn millis(duration: Duration) -> String {
    format!("{:.1}ms", duration.as_secs_f64() * 1000.0)
}

/// Data of an envelope of the load.
const DATA_BYTES: usize = 200;
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// Longer than a frontend waits before it gives up.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
const QUIET_MIN: Duration = Duration::from_secs(1);
const QUIET_POLL_INTERVAL: Duration = Duration::from_millis(100);
const QUIET_TIMEOUT: Duration = Duration::from_secs(60);
/// How many times longer to wait while something is still on its way.
const OUTSTANDING_PATIENCE: u32 = 5;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::client::EnvelopeKey;

    #[test]
    fn the_summary_is_one_line() {
        let agreement = Agreement { nodes: 4, blocks: 1001, envelopes: 10_001 };
        let mut latencies = Latencies::default();
        assert_eq!(summary(&agreement, &latencies), "blocks=1001 envelopes=10001 equal block hashes on 4 nodes");
        (latencies.count, latencies.p50) = (10_001, Duration::from_micros(26_240));
        latencies.p99 = Duration::from_millis(1047);
        let expected = "blocks=1001 envelopes=10001 p50=26.2ms p99=1047.0ms equal block hashes on 4 nodes";
        assert_eq!(summary(&agreement, &latencies), expected);
    }

    #[test]
    fn only_what_is_lost_refused_or_repeated_counts_against_the_nodes() {
        let (recorder, now) = (LatencyRecorder::new(), Instant::now());
        let mut counts = LoadCounts { due: 10, acknowledged: 8, left_out: 1, resent: 5, ..LoadCounts::default() };
        assert!(judge_load(&counts, &recorder).is_empty());
        let [lost, unanswered, repeated] = [b"1", b"2", b"3"].map(|it| EnvelopeKey::of(it));
        for key in [lost, unanswered, repeated] {
            recorder.on_submitted(key, now);
        }
        recorder.on_acknowledged(lost);
        recorder.on_delivered(repeated, now);
        recorder.on_delivered(repeated, now);
        (counts.refused, counts.trouble) = (2, Some("BAD_REQUEST: why".to_owned()));
        let expected = [
            "1 acknowledged envelopes are in no block",
            "1 envelopes were never answered, last trouble: BAD_REQUEST: why",
            "1 envelopes are in the chain twice",
            "2 envelopes were refused, last trouble: BAD_REQUEST: why",
        ];
        assert_eq!(judge_load(&counts, &recorder), expected);
    }
}
