//! One load: `loadgen` as a process of its own, so that what it uses is counted apart from what it measures.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::network::program;
use super::read_json;
use crate::loadgen::{ProcessCost, Report};
use crate::process::tail;

/// Whom to load.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Of a network of ours; opaque requests need it.
    pub(super) network_file: Option<PathBuf>,
    /// Where Broadcast and Deliver are served, `host:port`.
    pub(super) doors: Vec<String>,
    /// The authority of their server certificates.
    pub(super) tls_ca: PathBuf,
    pub(super) msp_dir: PathBuf,
    pub(super) msp_id: String,
    /// The load is spread over all of them.
    pub(super) channels: Vec<String>,
    /// Whose processor time is counted.
    pub(super) processes: Vec<(String, u32)>,
}

/// With what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoadPlan {
    pub(super) content: Content,
    pub(super) pace: Pace,
    /// Only to the first door, as one client has one orderer.
    pub(super) is_to_one_door: bool,
    /// Broadcast streams to each door.
    pub(super) streams: usize,
    pub(super) receivers: usize,
    pub(super) extent: Extent,
}

/// What envelopes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Signed by a client, around a payload of so many bytes.
    Real(usize),
    /// Unsigned, so many bytes in all; the load generator is itself the frontend.
    Opaque(usize),
}

/// When an envelope is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// When one of its stream is delivered; so many are on their way.
    Outstanding(usize),
    /// So many a second, whatever becomes of the ones before.
    PerSecond(u32),
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// What goes through in so many seconds.
    Seconds(u64),
    /// So many envelopes.
    Count(u64),
}

/// What came out.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) report: Report,
    /// The whole of it, with what only some versions of the load generator tell.
    pub(super) json: Value,
}

impl LoadPlan {
    /// Signed envelopes with a payload of 200 B, to all doors, for as long as asked for.
    pub(super) const USUAL: Self = Self {
        content: Content::Real(200),
        pace: Pace::Outstanding(50),
        is_to_one_door: false,
        streams: 1,
        receivers: 1,
        extent: Extent::Seconds(1),
    };

    /// With its seconds taken as multiples of these.
    pub(super) const fn lasting(self, seconds: u64) -> Self {
        match self.extent {
            Extent::Seconds(times) => Self { extent: Extent::Seconds(times * seconds), ..self },
            Extent::Count(_) => self,
        }
    }

    /// How envelopes follow one another, in words.
    pub(super) fn describe_pace(&self) -> String {
        match self.pace {
            Pace::Outstanding(count) => {
                let streams = match (self.is_to_one_door, self.streams) {
                    (true, 1) => "one stream".to_owned(),
                    (true, streams) => format!("{streams} streams"),
                    (false, 1) => "a stream to each frontend".to_owned(),
                    (false, streams) => format!("{streams} streams to each frontend"),
                };
                format!("closed loop, {streams}, at most {count} of its envelopes on their way")
            }
            Pace::PerSecond(rate) => format!("open loop at {rate} envelopes/s"),
        }
    }

    fn arguments(&self, target: &Target) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut give =
            |name: &str, value: &dyn std::fmt::Display| arguments.extend([name.to_owned(), value.to_string()]);
        match (self.content, &target.network_file) {
            (Content::Opaque(bytes), Some(file)) => {
                give("--network", &file.display());
                give("--opaque", &bytes);
                give("--frontends", &1);
            }
            (Content::Real(bytes) | Content::Opaque(bytes), _) => {
                let count = if self.is_to_one_door { 1 } else { target.doors.len() };
                for door in &target.doors[..count] {
                    give("--endpoint", door);
                }
                give("--tls-ca", &target.tls_ca.display());
                give("--msp", &target.msp_dir.display());
                give("--mspid", &target.msp_id);
                for channel in &target.channels {
                    give("--channel", channel);
                }
                give("--size", &bytes);
                give("--receivers", &self.receivers);
                for (name, pid) in &target.processes {
                    give("--pid", &format!("{name}={pid}"));
                }
            }
        }
        give("--streams", &self.streams);
        match self.pace {
            Pace::Outstanding(count) => give("--outstanding", &count),
            Pace::PerSecond(rate) => give("--rate", &rate),
        }
        match self.extent {
            Extent::Seconds(seconds) => give("--for", &seconds),
            Extent::Count(count) => give("--count", &count),
        }
        give("--warmup", &WARMUP_S);
        arguments
    }

    fn patience(&self) -> Duration {
        match self.extent {
            Extent::Seconds(seconds) => Duration::from_secs(seconds) + PATIENCE,
            Extent::Count(_) => COUNT_PATIENCE,
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real(bytes) => write!(f, "signed by a client, {bytes} B payload"),
            Self::Opaque(bytes) => write!(f, "unsigned, {bytes} B in all"),
        }
    }
}

impl Outcome {
    /// Mean over the nodes of the processor time for each envelope, microseconds.
    pub(super) fn node_cost(&self) -> Option<f64> {
        let costs = self.costs_of('o');
        if costs.is_empty() { None } else { Some(costs.iter().sum::<f64>() / costs.len() as f64) }
    }

    /// Of all frontends of their own together: each envelope is admitted by one of them.
    pub(super) fn frontend_cost(&self) -> Option<f64> {
        let costs = self.costs_of('f');
        if costs.is_empty() { None } else { Some(costs.iter().sum()) }
    }

    fn costs_of(&self, kind: char) -> Vec<f64> {
        let named = |process: &&ProcessCost| process.name.starts_with(kind);
        self.report.nodes.iter().filter(named).filter_map(|process| process.cpu_us_per_envelope).collect()
    }

    /// Envelopes delivered in a second.
    pub(super) const fn delivered_per_s(&self) -> f64 {
        self.report.rates.delivered_per_s
    }

    /// Memory of the nodes over the run, MiB: a list for each moment, in time.
    pub(super) fn node_memory(&self) -> Vec<Vec<f64>> {
        let of_process = |process: &Value| {
            let is_node = process.get("name")?.as_str()?.starts_with('o');
            process.get("resident_mib")?.as_f64().filter(|_| is_node)
        };
        let of_tick = |tick: &Value| -> Vec<f64> {
            let processes = tick.get("processes").and_then(Value::as_array);
            processes.into_iter().flatten().filter_map(of_process).collect()
        };
        let ticks = self.json.get("timeline").and_then(Value::as_array);
        ticks.into_iter().flatten().map(of_tick).filter(|memory| !memory.is_empty()).collect()
    }
}

/// Loads, and waits for what comes out. `folder` takes the report.
///
/// # Errors
/// The load could not be made. What became of the envelopes is in the report.
pub(super) async fn run(target: &Target, plan: &LoadPlan, folder: &Path) -> anyhow::Result<Outcome> {
    let file = folder.join("report.json");
    if file.exists() {
        std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    let mut command = Command::new(program("loadgen")?);
    command.args(plan.arguments(target)).arg("--json").arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let running = command.spawn().context("cannot start loadgen")?;
    let ended = timeout(plan.patience(), running.wait_with_output()).await;
    let ended = ended.context("loadgen does not come to an end")?.context("cannot wait for loadgen")?;
    if !file.exists() {
        bail!("loadgen: {}", tail(String::from_utf8_lossy(&ended.stderr).trim(), 3));
    }
    let json: Value = read_json(&file)?;
    let report = serde_json::from_value(json.clone()).context("not a report of this version of loadgen")?;
    Ok(Outcome { report, json })
}

const WARMUP_S: u64 = 2;
/// Signing beforehand and waiting for the last envelopes take as long as the machine is slow.
const PATIENCE: Duration = Duration::from_secs(300);
const COUNT_PATIENCE: Duration = Duration::from_secs(3 * 3600);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::*;
    use crate::loadgen::LoadgenArgs;

    fn target() -> Target {
        Target {
            network_file: Some("/n/network.json".into()),
            doors: vec!["a:1".to_owned(), "b:2".to_owned()],
            tls_ca: "/ca".into(),
            msp_dir: "/msp".into(),
            msp_id: "Org1MSP".to_owned(),
            channels: vec!["c".to_owned()],
            processes: vec![("o1".to_owned(), 7), ("f1".to_owned(), 8)],
        }
    }

    fn plan() -> LoadPlan {
        LoadPlan {
            content: Content::Real(200),
            pace: Pace::Outstanding(9),
            is_to_one_door: false,
            streams: 2,
            receivers: 3,
            extent: Extent::Seconds(4),
        }
    }

    fn parsed(plan: &LoadPlan) -> LoadgenArgs {
        let arguments = std::iter::once("loadgen".to_owned()).chain(plan.arguments(&target()));
        LoadgenArgs::try_parse_from(arguments).unwrap()
    }

    #[test]
    fn the_load_generator_understands_what_it_is_told() {
        let args = parsed(&plan());
        assert_eq!((args.endpoints.len(), args.processes.len()), (2, 2));
        assert_eq!((args.size, args.seconds, args.streams.get()), (200, Some(4), 2));
        assert!(plan().arguments(&target()).join(" ").contains("--channel c --size 200 --receivers 3"));
        let one = LoadPlan { is_to_one_door: true, pace: Pace::PerSecond(1000), extent: Extent::Count(50), ..plan() };
        let args = parsed(&one);
        assert_eq!((args.endpoints.len(), args.rate, args.count, args.outstanding), (1, Some(1000), Some(50), None));
    }

    #[test]
    fn opaque_requests_go_past_the_frontends() {
        let arguments = LoadPlan { content: Content::Opaque(40), ..plan() }.arguments(&target()).join(" ");
        assert!(arguments.starts_with("--network /n/network.json --opaque 40 --frontends 1 "), "{arguments}");
        assert!(!arguments.contains("--endpoint") && !arguments.contains("--size"), "{arguments}");
    }

    #[test]
    fn memory_over_time_is_that_of_the_nodes() {
        let process = |name: &str, mib: f64| json!({"name": name, "resident_mib": mib});
        let tick =
            |mib: f64| json!({"processes": [process("o1", mib), process("f1", 999.0), process("o2", mib + 1.0)]});
        let json = json!({"timeline": [tick(10.0), json!({}), tick(20.0)]});
        let outcome = Outcome { report: empty_report(), json };
        assert_eq!(outcome.node_memory(), [[10.0, 11.0], [20.0, 21.0]]);
        assert!(Outcome { report: empty_report(), json: json!({}) }.node_memory().is_empty());
    }

    #[test]
    fn costs_are_a_mean_over_nodes_and_a_sum_over_frontends() {
        let process = |name: &str, cost| ProcessCost {
            name: name.to_owned(),
            cpu_us_per_envelope: cost,
            ..ProcessCost::default()
        };
        let mut report = empty_report();
        report.nodes = vec![
            process("o1", Some(4.0)),
            process("o2", Some(6.0)),
            process("f1", Some(50.0)),
            process("f2", Some(7.0)),
        ];
        let outcome = Outcome { report, json: json!({}) };
        assert_eq!((outcome.node_cost(), outcome.frontend_cost()), (Some(5.0), Some(57.0)));
        let nobody = Outcome { report: empty_report(), json: json!({}) };
        assert_eq!((nobody.node_cost(), nobody.frontend_cost()), (None, None));
    }

    fn empty_report() -> Report {
        super::super::targets::tests::report()
    }
}
