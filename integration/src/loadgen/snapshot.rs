//! What everybody has used at the two ends of the window, and what that makes for each envelope.

use std::time::{Duration, Instant};

use super::args::NamedProcess;
use super::report::ProcessCost;
use super::usage::{self, CpuTime, Usage};

/// What everybody had used at one moment.
pub(super) struct Snapshot {
    pub(super) at: Instant,
    own: Usage,
    nodes: Vec<Option<Usage>>,
    machine_busy: Option<Duration>,
}

/// The two ends of the window.
pub(super) struct Measured {
    pub(super) from: Snapshot,
    pub(super) until: Snapshot,
}

impl Snapshot {
    pub(super) fn take(processes: &[NamedProcess]) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            own: Usage::of(std::process::id())?,
            nodes: processes.iter().map(|process| Usage::of(process.pid).ok()).collect(),
            machine_busy: usage::machine_busy().ok(),
        })
    }
}

impl Measured {
    /// What the nodes used, and which of them did not run all the time.
    pub(super) fn nodes(&self, processes: &[NamedProcess], envelopes: u64) -> (Vec<ProcessCost>, Vec<String>) {
        let (mut costs, mut absent) = (Vec::new(), Vec::new());
        let usages = self.from.nodes.iter().zip(&self.until.nodes);
        for (process, usages) in processes.iter().zip(usages) {
            match usages {
                (Some(from), Some(until)) => costs.push(self.cost(process.clone(), from, until, envelopes)),
                _ => absent.push(process.name.clone()),
            }
        }
        (costs, absent)
    }

    pub(super) fn own(&self, envelopes: u64) -> ProcessCost {
        let process = NamedProcess { name: "loadgen".to_owned(), pid: std::process::id() };
        self.cost(process, &self.from.own, &self.until.own, envelopes)
    }

    fn cost(&self, process: NamedProcess, from: &Usage, until: &Usage, envelopes: u64) -> ProcessCost {
        let used: CpuTime = until.cpu - from.cpu;
        let per_envelope = |time: Duration| (envelopes > 0).then(|| time.as_secs_f64() * 1e6 / envelopes as f64);
        let mut cost = ProcessCost {
            name: process.name,
            pid: process.pid,
            processors: used.total().as_secs_f64() / self.elapsed().as_secs_f64(),
            cpu_us_per_envelope: per_envelope(used.total()),
            user_us_per_envelope: per_envelope(used.user),
            system_us_per_envelope: per_envelope(used.system),
            ..ProcessCost::default()
        };
        cost.set_memory(until.memory);
        cost
    }

    pub(super) fn processors_used_by_others(&self) -> Option<f64> {
        let machine = self.until.machine_busy?.saturating_sub(self.from.machine_busy?);
        let own = (self.until.own.cpu - self.from.own.cpu).total();
        let usages = self.from.nodes.iter().zip(&self.until.nodes);
        let used = |(from, until): (&Option<Usage>, &Option<Usage>)| Some(((*until)?.cpu - (*from)?.cpu).total());
        let nodes: Duration = usages.filter_map(used).sum();
        Some(machine.saturating_sub(own + nodes).as_secs_f64() / self.elapsed().as_secs_f64())
    }

    fn elapsed(&self) -> Duration {
        (self.until.at - self.from.at).max(Duration::from_millis(1))
    }
}

/// Some of the nodes may not run. If none does, they are not those that were meant.
pub(super) fn check_processes(processes: &[NamedProcess]) -> anyhow::Result<()> {
    let mut failed = None;
    for NamedProcess { name, pid } in processes {
        match Usage::of(*pid) {
            Ok(_) => return Ok(()),
            Err(error) => {
                failed = Some(error.context(format!("{name} does not run as process {pid}, nor does any other")))
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(at: Instant, user_ms: u64, busy_ms: u64) -> Snapshot {
        let used = |user_ms: u64| Usage {
            cpu: CpuTime { user: Duration::from_millis(user_ms), system: Duration::from_millis(user_ms / 2) },
            ..Usage::default()
        };
        Snapshot {
            at,
            own: used(user_ms),
            nodes: vec![Some(used(user_ms * 2)), None],
            machine_busy: Some(Duration::from_millis(busy_ms)),
        }
    }

    fn measured() -> Measured {
        let start = Instant::now();
        let until = snapshot(start + Duration::from_secs(2), 1200, 4000);
        Measured { from: snapshot(start, 1000, 1000), until }
    }

    fn process(name: &str) -> NamedProcess {
        NamedProcess { name: name.to_owned(), pid: 1 }
    }

    #[test]
    fn cost_is_what_was_used_within_the_window() {
        let measured = measured();
        let own = measured.own(1000);
        assert_eq!(own.cpu_us_per_envelope, Some(300.0));
        assert_eq!((own.user_us_per_envelope, own.system_us_per_envelope), (Some(200.0), Some(100.0)));
        assert!((own.processors - 0.15).abs() < 1e-9);
        let (nodes, absent) = measured.nodes(&[process("o1"), process("o2")], 1000);
        assert_eq!(
            nodes.iter().map(|node| (node.name.as_str(), node.cpu_us_per_envelope)).collect::<Vec<_>>(),
            [("o1", Some(600.0))]
        );
        assert_eq!(absent, ["o2"]);
        assert_eq!(measured.own(0).cpu_us_per_envelope, None);
    }

    #[test]
    fn others_used_what_nobody_of_ours_did() {
        let others = measured().processors_used_by_others().unwrap_or_default();
        assert!((others - (3.0 - 0.3 - 0.6) / 2.0).abs() < 1e-9, "{others}");
    }

    #[test]
    fn a_network_that_does_not_run_is_an_error() {
        let (here, gone) = (
            NamedProcess { pid: std::process::id(), ..process("o1") },
            NamedProcess { pid: u32::MAX, ..process("o2") },
        );
        assert!(check_processes(&[gone.clone(), here]).is_ok() && check_processes(&[]).is_ok());
        let error = check_processes(&[gone]).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("o2 does not run as process 4294967295, nor does any other"));
    }
}
