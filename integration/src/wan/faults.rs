//! `wan faults`: the node of the leader's site is killed under load and comes back, then that of another site.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;

use super::args::FaultsArgs;
use super::layout::Layout;
use super::load::{Load, LoadPlan};
use super::network::{Door, WanNetwork};
use super::outcome::{Fault, FaultsOutcome, LeaderChange, SiteCourse};
use super::reigns::{Beginning, Reigns};
use super::{page, write_json, write_text};
use crate::campaign::{Audit, Watch};
use crate::loadgen::Report;
use crate::site::NodeId;

/// Runs it.
///
/// # Errors
/// It cannot be run.
pub(super) async fn run(args: &FaultsArgs) -> anyhow::Result<Vec<String>> {
    let layout = Layout::of(&args.setting)?;
    let mut network = WanNetwork::start(&args.setting, &layout, args.block).await?;
    let ids = network.nodes.ids();
    let doors = network.doors();
    let watches = Watch::all(&network.frontends, &network.frontends.ids())?;
    let reigns = Reigns::start(network.nodes.clone());
    let plan = LoadPlan {
        rate_per_s: Some(args.rate),
        payload_bytes: PAYLOAD_BYTES,
        seconds: args.step * STEPS + MARGIN_S,
        warmup_s: 0,
        tick_ms: TICK_MS,
    };
    let loads = doors.iter().map(|door| Load::start(door, &plan, network.folder()));
    let loads = loads.collect::<anyhow::Result<Vec<_>>>()?;
    let mut course =
        Course { network: &mut network, watches: &watches, step: Duration::from_secs(args.step), done: Vec::new() };
    course.rest().await;
    course.play(args, &layout).await?;
    let done = course.done;
    let reports = try_join_all(loads.into_iter().map(Load::finish)).await?;
    let leaders: Vec<Led> =
        reigns.seen().into_iter().map(|it| (it.clone(), network.site(it.leader as NodeId + 1))).collect();
    let audit = Audit::of(&network.nodes, &ids).await.context("the chains at the end")?;
    for watch in &watches {
        watch.check(&audit).context("what a client was given")?;
    }
    let outcome = judge(args, &network.description, (&doors, &reports), (done, leaders, &audit));
    print!("{}", page::text(&outcome));
    if let Some(file) = &args.html {
        write_text(&page::page(&outcome).render(), file)?;
    }
    if let Some(file) = &args.json {
        write_json(&outcome, file)?;
    }
    Ok(outcome.failures)
}

/// What was done, and when.
type Done = (SystemTime, Fault);

/// A regency that began, and the site of its leader.
type Led = (Beginning, String);

/// What happens to the network.
struct Course<'a> {
    network: &'a mut WanNetwork,
    watches: &'a [Watch],
    step: Duration,
    done: Vec<Done>,
}

impl Course<'_> {
    async fn rest(&self) {
        tokio::time::sleep(self.step).await;
    }

    async fn play(&mut self, args: &FaultsArgs, layout: &Layout) -> anyhow::Result<()> {
        let ids = self.network.nodes.ids();
        let leader = self.network.reign(&ids).await?.leader as NodeId + 1;
        let site = self.network.site(leader);
        self.kill(leader, &format!("the node at {site}, which leads, is killed")).await?;
        self.restart(leader).await?;
        let second = match &args.second {
            Some(site) => {
                let place = layout.matrix.site(site).with_context(|| format!("{site:?} is no site"))?;
                let node = layout.sites().iter().position(|&replica| replica == place);
                node.with_context(|| format!("there is no node at {site}"))? as NodeId + 1
            }
            None => {
                let leads = self.network.reign(&ids).await?.leader as NodeId + 1;
                let mut others = ids.iter().copied().filter(|&id| id != leader && id != leads);
                let heavy = |id: &NodeId| args.setting.heavy.iter().any(|&heavy| NodeId::from(heavy) == *id);
                let of_heavy = others.clone().find(heavy);
                of_heavy.or_else(|| others.next()).context("there is no third node")?
            }
        };
        let what =
            if args.setting.heavy.iter().any(|&heavy| NodeId::from(heavy) == second) { ", a heavy one," } else { "" };
        let site = self.network.site(second);
        self.kill(second, &format!("the node at {site}{what} is killed")).await?;
        self.restart(second).await
    }

    async fn kill(&mut self, id: NodeId, what: &str) -> anyhow::Result<()> {
        let others: Vec<NodeId> = self.network.nodes.ids().into_iter().filter(|&other| other != id).collect();
        let before = self.network.reign(&others).await?;
        let (at, wall) = (Instant::now(), SystemTime::now());
        self.network.kill(id)?;
        self.rest().await;
        self.note((at, wall), what, before.regency, None, &others).await
    }

    async fn restart(&mut self, id: NodeId) -> anyhow::Result<()> {
        let ids = self.network.nodes.ids();
        let other = ids.iter().copied().find(|&other| other != id).context("there is one node only")?;
        let others: Vec<NodeId> = ids.iter().copied().filter(|&other| other != id).collect();
        let before = self.network.reign(&others).await?;
        let (at, wall) = (Instant::now(), SystemTime::now());
        let missed = self.network.nodes.height(other).await?;
        self.network.restart(id)?;
        let is_back = async || {
            let site = &self.network.nodes;
            site.is_open(id).await && site.height(id).await.is_ok_and(|height| height >= missed)
        };
        while !is_back().await {
            ensure!(at.elapsed() < PATIENCE, "node {id} does not come back");
            tokio::time::sleep(POLL).await;
        }
        let rejoined = at.elapsed();
        tokio::time::sleep(self.step.saturating_sub(rejoined)).await;
        let what = format!("the node at {} is started again", self.network.site(id));
        self.note((at, wall), &what, before.regency, Some(rejoined), &ids).await
    }

    /// What has come of it by now.
    async fn note(
        &mut self,
        (at, wall): (Instant, SystemTime),
        what: &str,
        regency_before: u64,
        rejoined: Option<Duration>,
        ids: &[NodeId],
    ) -> anyhow::Result<()> {
        let now = Instant::now();
        let outage = self.watches.iter().map(|watch| watch.longest_gap(at, now)).max().unwrap_or_default();
        let reign = self.network.reign(ids).await?;
        let fault = Fault {
            at_s: 0.0,
            what: what.to_owned(),
            outage_s: outage.as_secs_f64(),
            regency_changes: reign.regency - regency_before,
            rejoined_s: rejoined.map(|it| it.as_secs_f64()),
            leader: self.network.site(reign.leader as NodeId + 1),
        };
        eprintln!("{what}: {:.2} s without a block at most, {} leads", fault.outage_s, fault.leader);
        self.done.push((wall, fault));
        Ok(())
    }
}

fn judge(
    args: &FaultsArgs,
    setting: &str,
    (doors, reports): (&[Door], &[Report]),
    (done, leaders, audit): (Vec<Done>, Vec<Led>, &Audit),
) -> FaultsOutcome {
    let began = reports.iter().map(|report| report.began_unix_s).fold(f64::INFINITY, f64::min);
    let since_began = |wall: SystemTime| wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() - began;
    let faults: Vec<Fault> = done.into_iter().map(|(wall, fault)| Fault { at_s: since_began(wall), ..fault }).collect();
    let change = |(Beginning { at, regency, reason, .. }, leader)| LeaderChange {
        at_s: since_began(at),
        regency,
        leader,
        reason,
    };
    let leaders = leaders.into_iter().map(change).collect();
    let course = |(door, report): (&Door, &Report)| SiteCourse {
        site: door.site.clone(),
        began_s: report.began_unix_s - began,
        latency: report.latency,
        sent: report.counts.sent,
        acknowledged: report.counts.acknowledged,
        unsuccessful: report.counts.refused + report.counts.unanswered,
        lost: report.counts.lost,
        repeated: report.counts.repeated,
        timeline: report.timeline.clone(),
    };
    let mut failures: Vec<String> = Vec::new();
    for (door, report) in doors.iter().zip(reports) {
        failures.extend(report.failures.iter().map(|failure| format!("{}: {failure}", door.site)));
    }
    let long = faults.iter().filter(|fault| fault.outage_s > args.outage_max);
    failures.extend(long.map(|fault| format!("{}: {:.1} s without a block", fault.what, fault.outage_s)));
    let (rate, block) = (args.rate, args.block);
    FaultsOutcome {
        conditions: format!("{setting}; {rate} envelopes/s of {PAYLOAD_BYTES} B at each site, blocks of {block}"),
        faults,
        leaders,
        sites: doors.iter().zip(reports).map(course).collect(),
        blocks: audit.blocks() as u64,
        envelopes: audit.envelopes() as u64,
        failures,
    }
}

/// Before the first event, and after each.
const STEPS: u64 = 5;
/// What is done takes a little longer than its steps.
const MARGIN_S: u64 = 5;
const PAYLOAD_BYTES: u32 = 1024;
const TICK_MS: u64 = 500;
const POLL: Duration = Duration::from_millis(50);
/// A node that comes back has little to catch up with.
const PATIENCE: Duration = Duration::from_secs(120);
