//! What is measured for each target: a network, loads on it, and the figures that are taken from them.

use orderer_node::dev::VerificationOption;

use super::load::{Content, Extent, LoadPlan, Outcome, Pace};
use super::network::{BLOCK_TIMEOUT_MS, NetworkPlan};
use super::stock::StockKind;
use super::table::{Circumstances, Conditions, Goal, Row, Unit};

/// A network and what is done to it.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) system: System,
    /// One after the other on the same network. Their seconds are multiples of those asked for.
    pub(super) loads: Vec<LoadPlan>,
    pub(super) figures: Vec<Figure>,
    /// It takes many minutes: measured if asked for, and then once.
    pub(super) is_long: bool,
}

/// What orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Ours(NetworkPlan),
    /// Fabric's own orderer, with blocks of so many envelopes.
    Stock(StockKind, u32),
}

/// What is taken from the loads of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: Unit,
    pub(super) goal: Option<Goal>,
    pub(super) of: fn(&[Outcome]) -> Option<f64>,
}

impl Scenario {
    /// A row for each figure, without figures.
    pub(super) fn rows(&self, seconds: u64) -> Vec<Row> {
        let of_load = self.loads.first().map(|load| load.lasting(seconds).extent);
        let circumstances = Circumstances {
            seconds: of_load.and_then(|extent| match extent {
                Extent::Seconds(seconds) => Some(seconds),
                Extent::Count(_) => None,
            }),
            ..Circumstances::default()
        };
        let row = |figure: &Figure| Row {
            name: figure.name.to_owned(),
            what: figure.what.to_owned(),
            unit: figure.unit,
            goal: figure.goal,
            values: Vec::new(),
            spread: None,
            conditions: self.conditions(),
            circumstances,
            failures: Vec::new(),
        };
        self.figures.iter().map(row).collect()
    }

    /// The same with so many consensus instances open at once, if it is this service that orders.
    pub(super) fn with_window(mut self, window: u64) -> Self {
        if let System::Ours(plan) = &mut self.system {
            plan.window = window;
        }
        self
    }

    /// Is it, or one of its rows, called so?
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.figures.iter().any(|figure| figure.name == name)
    }

    fn conditions(&self) -> Conditions {
        let is_opaque = |load: &LoadPlan| matches!(load.content, Content::Opaque(_));
        let by_frontend = if self.loads.iter().any(is_opaque) { NOBODY } else { FRONTEND };
        let (orderer, nodes, block_envelopes_max, block_timeout_ms, verification, durability, frontends) =
            match self.system {
                System::Ours(plan) => (
                    "orderer-node",
                    plan.nodes,
                    plan.block_envelopes_max,
                    BLOCK_TIMEOUT_MS,
                    match plan.verification {
                        VerificationOption::Full => EVERYBODY,
                        VerificationOption::Frontends => by_frontend,
                    },
                    "journal synced to disk before a node's word leaves it",
                    match (self.loads.iter().any(is_opaque), plan.frontends) {
                        (true, _) => "the load generator is the frontend".to_owned(),
                        (false, 0) => "frontends embedded in the nodes".to_owned(),
                        (false, 1) => "one frontend, a process of its own".to_owned(),
                        (false, count) => format!("{count} frontends, processes of their own"),
                    },
                ),
                System::Stock(kind, block_envelopes_max) => (
                    kind.orderer(),
                    kind.nodes(),
                    block_envelopes_max,
                    kind.block_timeout_ms(),
                    kind.verification(),
                    "as Fabric does it",
                    "Broadcast at every node".to_owned(),
                ),
            };
        Conditions {
            orderer: orderer.to_owned(),
            nodes,
            envelope: words(&self.loads, |load| load.content.to_string()),
            block_envelopes_max,
            block_timeout_ms,
            verification: verification.to_owned(),
            durability: durability.to_owned(),
            instances_open_max: match self.system {
                System::Ours(plan) => Some(plan.window),
                System::Stock(..) => None,
            },
            frontends,
            receivers: words(&self.loads, |load| match (load.content, load.receivers) {
                (Content::Opaque(_), _) => "blocks collected by the load generator".to_owned(),
                (_, 1) => "1 Deliver stream".to_owned(),
                (_, count) => format!("{count} Deliver streams"),
            }),
            pace: words(&self.loads, LoadPlan::describe_pace),
        }
    }
}

/// What is said of each load, once if it is the same of all.
fn words(loads: &[LoadPlan], say: impl Fn(&LoadPlan) -> String) -> String {
    let mut said: Vec<String> = loads.iter().map(say).collect();
    said.dedup();
    said.join(", then ")
}

/// Everything that there is to measure, in this order.
pub(super) fn all() -> Vec<Scenario> {
    let mut scenarios = vec![opaque("opaque-40", OPAQUE_40, 40, 5.0), opaque("opaque-1k", OPAQUE_1K, 1024, 7.5)];
    scenarios.extend([real_frontends(), real_nodes(), system_frontends(), system_nodes()]);
    scenarios.extend([latency(), idle(), receivers(), memory()]);
    scenarios.extend([StockKind::SmartBft, StockKind::Etcdraft].map(stock));
    scenarios
}

fn opaque(name: &'static str, what: &'static str, bytes: usize, limit: f64) -> Scenario {
    Scenario {
        name,
        system: System::Ours(NetworkPlan { is_bare: true, ..NetworkPlan::USUAL }),
        loads: vec![LoadPlan { content: Content::Opaque(bytes), pace: Pace::Outstanding(4000), ..LoadPlan::USUAL }],
        figures: vec![cost(name, what, limit)],
        is_long: false,
    }
}

fn real_frontends() -> Scenario {
    let at_frontend = Figure {
        name: "frontend-admits",
        what: "processor time at the frontend that admits a signed envelope and verifies its signature",
        unit: Unit::CpuUsPerEnvelope,
        goal: Some(Goal::AtMost(VERIFICATION_US + 20.0)),
        of: |outcomes| outcomes.first()?.frontend_cost(),
    };
    Scenario {
        name: "real-frontends",
        system: System::Ours(NetworkPlan { frontends: 1, is_bare: true, ..NetworkPlan::USUAL }),
        loads: vec![BUSY_FRONTEND],
        figures: vec![
            cost(
                "real-frontends",
                "processor time at an ordering node, signed envelopes verified at the frontend",
                10.0,
            ),
            at_frontend,
        ],
        is_long: false,
    }
}

fn real_nodes() -> Scenario {
    let limit = VERIFICATION_US + 12.0;
    Scenario {
        name: "real-nodes",
        system: System::Ours(NetworkPlan {
            frontends: 1,
            is_bare: true,
            verification: VerificationOption::Full,
            ..NetworkPlan::USUAL
        }),
        loads: vec![BUSY_FRONTEND],
        figures: vec![cost("real-nodes", "the same, every node verifying the client signature", limit)],
        is_long: false,
    }
}

fn system_frontends() -> Scenario {
    let what = "the whole system on this machine, verifying at the frontend";
    system("system-frontends", what, VerificationOption::Frontends, 12_000.0)
}

fn system_nodes() -> Scenario {
    let what = "the whole system on this machine, every node verifying";
    system("system-nodes", what, VerificationOption::Full, 5_600.0)
}

fn system(name: &'static str, what: &'static str, verification: VerificationOption, least: f64) -> Scenario {
    let goal = Some(Goal::AtLeast(least));
    Scenario {
        name,
        system: System::Ours(NetworkPlan { verification, ..NetworkPlan::USUAL }),
        loads: vec![LoadPlan { extent: Extent::Seconds(SYSTEM_TIMES), ..BUSY }],
        figures: vec![Figure {
            name,
            what,
            unit: Unit::EnvelopesPerS,
            goal,
            of: |outcomes| Some(outcomes.first()?.delivered_per_s()),
        }],
        is_long: false,
    }
}

fn latency() -> Scenario {
    let figure =
        |name, what, limit, of| Figure { name, what, unit: Unit::Milliseconds, goal: Some(Goal::AtMost(limit)), of };
    Scenario {
        name: "latency",
        system: System::Ours(NetworkPlan { block_envelopes_max: 10, ..NetworkPlan::USUAL }),
        loads: vec![LoadPlan { pace: Pace::PerSecond(1000), ..LoadPlan::USUAL }],
        figures: vec![
            figure("latency-p50", "submit to delivered, half of the envelopes", 12.0, p50),
            figure("latency-p99", "submit to delivered, ninety-nine of a hundred", 40.0, |outcomes| {
                Some(outcomes.first()?.report.latency.p99_ms)
            }),
        ],
        is_long: false,
    }
}

fn idle() -> Scenario {
    Scenario {
        name: "idle",
        system: System::Ours(NetworkPlan { block_envelopes_max: 1, ..NetworkPlan::USUAL }),
        loads: vec![LoadPlan { pace: Pace::Outstanding(1), is_to_one_door: true, ..LoadPlan::USUAL }],
        figures: vec![Figure {
            name: "idle",
            what: "submit to delivered for one client that waits for each envelope, half of them",
            unit: Unit::Milliseconds,
            goal: Some(Goal::AtMost(4.0)),
            of: p50,
        }],
        is_long: false,
    }
}

fn receivers() -> Scenario {
    let load = LoadPlan { content: Content::Real(1024), ..BUSY };
    Scenario {
        name: "receivers",
        system: System::Ours(NetworkPlan::USUAL),
        loads: vec![load, LoadPlan { receivers: 32, ..load }],
        figures: vec![Figure {
            name: "receivers",
            what: "throughput with 32 Deliver streams over TLS, as a share of that with one",
            unit: Unit::Percent,
            goal: Some(Goal::AtLeast(70.0)),
            of: |outcomes| match outcomes {
                [one, many] => Some(100.0 * many.delivered_per_s() / one.delivered_per_s()),
                _ => None,
            },
        }],
        is_long: false,
    }
}

fn memory() -> Scenario {
    let extent = Extent::Count(MEMORY_ENVELOPES);
    Scenario {
        name: "memory",
        system: System::Ours(NetworkPlan { is_bare: true, ..NetworkPlan::USUAL }),
        loads: vec![LoadPlan {
            content: Content::Opaque(40),
            pace: Pace::Outstanding(2000),
            extent,
            ..LoadPlan::USUAL
        }],
        figures: vec![
            Figure {
                name: "memory-growth",
                what: "growth of a node's resident memory after the first fifth of ten million envelopes",
                unit: Unit::Percent,
                goal: Some(Goal::AtMost(5.0)),
                of: |outcomes| growth_percent(&outcomes.first()?.node_memory()),
            },
            Figure {
                name: "memory-max",
                what: "resident memory of a node at most",
                unit: Unit::MiB,
                goal: Some(Goal::AtMost(400.0)),
                of: |outcomes| {
                    let nodes = outcomes.first()?.report.nodes.iter();
                    nodes.map(|node| node.resident_max_mib).max_by(f64::total_cmp)
                },
            },
        ],
        is_long: true,
    }
}

fn stock(kind: StockKind) -> Scenario {
    let figure = |(name, what, unit, of)| Figure { name, what, unit, goal: None, of };
    let [cost, rate, latency] = kind.rows();
    Scenario {
        name: kind.orderer(),
        system: System::Stock(kind, 100),
        loads: vec![BUSY],
        figures: vec![
            figure((cost, "processor time at an ordering node", Unit::CpuUsPerEnvelope, |it| it.first()?.node_cost())),
            figure((rate, "the whole system on this machine", Unit::EnvelopesPerS, |it| {
                Some(it.first()?.delivered_per_s())
            })),
            figure((latency, "submit to delivered under that load, half of the envelopes", Unit::Milliseconds, |it| {
                p50(it)
            })),
        ],
        is_long: false,
    }
}

fn cost(name: &'static str, what: &'static str, limit: f64) -> Figure {
    let of: fn(&[Outcome]) -> Option<f64> = |outcomes| outcomes.first()?.node_cost();
    Figure { name, what, unit: Unit::CpuUsPerEnvelope, goal: Some(Goal::AtMost(limit)), of }
}

fn p50(outcomes: &[Outcome]) -> Option<f64> {
    Some(outcomes.first()?.report.latency.p50_ms)
}

/// By how much more memory the node that grew most had in the last tenth of the time than in the tenth behind the first
/// fifth, which is for warming up. `memory` is a list of the nodes' for each moment.
fn growth_percent(memory: &[Vec<f64>]) -> Option<f64> {
    let tenth = memory.len() / 10;
    if tenth == 0 {
        return None;
    }
    let nodes = memory.iter().map(Vec::len).min()?;
    let mean = |part: &[Vec<f64>], node: usize| part.iter().map(|at| at[node]).sum::<f64>() / part.len() as f64;
    let growth = |node| {
        let (early, late) = (mean(&memory[2 * tenth..3 * tenth], node), mean(&memory[memory.len() - tenth..], node));
        100.0 * (late / early - 1.0)
    };
    (0..nodes).map(growth).max_by(f64::total_cmp)
}

const OPAQUE_40: &str = "processor time at an ordering node, unsigned requests of 40 B";
const OPAQUE_1K: &str = "processor time at an ordering node, unsigned requests of 1 KiB";
const EVERYBODY: &str = "client signatures checked by the frontend and by every node";
const FRONTEND: &str = "client signatures checked by the frontend alone";
const NOBODY: &str = "no client signatures";

/// Enough on their way that blocks fill and no node waits.
const BUSY: LoadPlan = LoadPlan { pace: Pace::Outstanding(250), ..LoadPlan::USUAL };
/// The same through one door.
const BUSY_FRONTEND: LoadPlan = LoadPlan { streams: 4, ..BUSY };
/// One verification of a P-256 signature on the machine that the targets were set on.
const VERIFICATION_US: f64 = 49.0;
/// A minute, for ten seconds of the others.
const SYSTEM_TIMES: u64 = 6;
const MEMORY_ENVELOPES: u64 = 10_000_000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let names: Vec<&str> = all().iter().flat_map(|scenario| &scenario.figures).map(|figure| figure.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }

    #[test]
    fn every_target_of_the_project_has_a_row() {
        let rows: Vec<Row> = all().iter().flat_map(|scenario| scenario.rows(10)).collect();
        for (name, goal) in [
            ("opaque-40", Goal::AtMost(5.0)),
            ("opaque-1k", Goal::AtMost(7.5)),
            ("real-frontends", Goal::AtMost(10.0)),
            ("real-nodes", Goal::AtMost(61.0)),
            ("frontend-admits", Goal::AtMost(69.0)),
            ("system-frontends", Goal::AtLeast(12_000.0)),
            ("system-nodes", Goal::AtLeast(5_600.0)),
            ("latency-p50", Goal::AtMost(12.0)),
            ("latency-p99", Goal::AtMost(40.0)),
            ("idle", Goal::AtMost(4.0)),
            ("receivers", Goal::AtLeast(70.0)),
            ("memory-growth", Goal::AtMost(5.0)),
            ("memory-max", Goal::AtMost(400.0)),
        ] {
            let row = rows.iter().find(|row| row.name == name).unwrap();
            assert_eq!(row.goal, Some(goal), "{name}");
        }
    }

    #[test]
    fn conditions_say_what_is_done() {
        let of = |name: &str| all().iter().find(|scenario| scenario.is_called(name)).unwrap().conditions();
        let system = of("system-nodes");
        assert_eq!((system.nodes, system.block_envelopes_max, system.verification.as_str()), (4, 100, EVERYBODY));
        assert_eq!(system.frontends, "frontends embedded in the nodes");
        assert_eq!(of("receivers").receivers, "1 Deliver stream, then 32 Deliver streams");
        assert_eq!(of("receivers").envelope, "signed by a client, 1024 B payload");
        assert_eq!((of("opaque-40").verification.as_str(), of("etcdraft-cost").nodes), (NOBODY, 3));
        assert!(of("latency-p99").pace.contains("1000"), "{}", of("latency-p99").pace);
    }

    #[test]
    fn the_whole_system_is_loaded_for_a_minute() {
        let of = |name: &str| all().iter().find(|scenario| scenario.is_called(name)).unwrap().rows(10);
        assert_eq!(of("system-nodes")[0].circumstances.seconds, Some(60));
        assert_eq!(of("idle")[0].circumstances.seconds, Some(10));
        assert_eq!(of("memory")[0].circumstances.seconds, None);
    }

    #[test]
    fn growth_is_that_of_the_node_that_grew_most_after_the_start() {
        let flat: Vec<Vec<f64>> = (0..100).map(|at| if at < 20 { vec![1.0, 1.0] } else { vec![100.0, 50.0] }).collect();
        assert_eq!(growth_percent(&flat), Some(0.0));
        let growing: Vec<Vec<f64>> =
            flat.iter().zip(0..).map(|(it, at)| vec![it[0], if at < 90 { 50.0 } else { 60.0 }]).collect();
        assert!((growth_percent(&growing).unwrap() - 20.0).abs() < 1e-9);
        assert_eq!(growth_percent(&flat[..9]), None, "too short to say");
        assert_eq!(growth_percent(&[]), None);
    }
}
