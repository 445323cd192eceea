//! What every process uses from one tick to the next.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::args::NamedProcess;
use super::report::mib;
use super::usage::Usage;

/// What a process used in a tick. Nothing is known of one that does not run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessShare {
    /// Which.
    pub name: String,
    /// Processors busy with it, on average.
    pub processors: Option<f64>,
    /// Memory in use at its end, MiB.
    pub resident_mib: Option<f64>,
}

/// Looks at the nodes and at this process again and again.
pub(super) struct Sampler {
    processes: Vec<NamedProcess>,
    last: Vec<Option<Usage>>,
    at: Instant,
}

impl Sampler {
    /// Begins now.
    pub(super) fn start(nodes: &[NamedProcess]) -> Self {
        let own = NamedProcess { name: "loadgen".to_owned(), pid: std::process::id() };
        let processes: Vec<_> = nodes.iter().cloned().chain([own]).collect();
        Self { last: usages(&processes), processes, at: Instant::now() }
    }

    /// What they used since the last time.
    pub(super) fn sample(&mut self) -> Vec<ProcessShare> {
        let (now, usages) = (Instant::now(), usages(&self.processes));
        let seconds = (now - self.at).as_secs_f64().max(1e-3);
        let since = self.last.iter().zip(&usages);
        let shares = self.processes.iter().zip(since).map(|(process, (from, until))| {
            let used = from.zip(*until).map(|(from, until)| (until.cpu - from.cpu).total());
            ProcessShare {
                name: process.name.clone(),
                processors: used.map(|used| used.as_secs_f64() / seconds),
                resident_mib: until.map(|usage| mib(usage.memory.resident_bytes)),
            }
        });
        let shares = shares.collect();
        (self.last, self.at) = (usages, now);
        shares
    }
}

fn usages(processes: &[NamedProcess]) -> Vec<Option<Usage>> {
    processes.iter().map(|process| Usage::of(process.pid).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_gone_has_no_share() {
        let gone = NamedProcess { name: "o1".to_owned(), pid: u32::MAX };
        let shares = Sampler::start(&[gone]).sample();
        assert_eq!(shares[0], ProcessShare { name: "o1".to_owned(), ..ProcessShare::default() });
        assert_eq!(shares[1].name, "loadgen");
        assert!(shares[1].processors.is_some() && shares[1].resident_mib > Some(1.0), "{shares:?}");
    }
}
