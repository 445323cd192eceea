//! What each stage of an envelope's way has cost, as the processes themselves account for it: section `stages` of the report on
//! their status sockets. Processes that have none are left out.

use std::path::PathBuf;

use frontend_shim::status;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::limits::STATUS_TIMEOUT;

/// A process and where it says what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StatusSocket {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// What the stages of one process cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessStages {
    /// Which.
    pub name: String,
    /// In the order of an envelope's way. What no stage claims is the last one, `other`.
    pub stages: Vec<StageCost>,
}

/// What one stage costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageCost {
    /// Its name.
    pub stage: String,
    /// Microseconds of processor time for each envelope delivered within the window.
    pub us_per_envelope: f64,
}

/// What all processes said at one moment.
pub(super) struct StageSnapshot(Vec<Option<Figures>>);

/// Nanoseconds since the start of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Figures {
    process_ns: u64,
    stages: Vec<StageFigures>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct StageFigures {
    stage: String,
    processor_ns: u64,
}

impl StageSnapshot {
    /// Asks all of them at once. Who does not answer soon says nothing.
    pub(super) async fn take(sockets: &[StatusSocket]) -> Self {
        let ask = async |socket: &StatusSocket| {
            let report = timeout(STATUS_TIMEOUT, status::fetch(&socket.path)).await.ok()?.ok()?;
            serde_json::from_value(report.sections.get(SECTION)?.clone()).ok()
        };
        Self(join_all(sockets.iter().map(ask)).await)
    }

    /// What was used since `from`, for each of so many envelopes.
    pub(super) fn costs_since(&self, from: &Self, sockets: &[StatusSocket], envelopes: u64) -> Vec<ProcessStages> {
        if envelopes == 0 {
            return Vec::new();
        }
        let figures = from.0.iter().zip(&self.0);
        let of_process = |(socket, figures): (&StatusSocket, (&Option<Figures>, &Option<Figures>))| {
            let (Some(from), Some(until)) = figures else { return None };
            Some(ProcessStages { name: socket.name.clone(), stages: until.costs_since(from, envelopes) })
        };
        sockets.iter().zip(figures).filter_map(of_process).collect()
    }
}

impl Figures {
    fn costs_since(&self, from: &Self, envelopes: u64) -> Vec<StageCost> {
        let cost = |stage: &str, ns: u64| StageCost {
            stage: stage.to_owned(),
            us_per_envelope: ns as f64 / 1000.0 / envelopes as f64,
        };
        let before = |stage: &str| from.stages.iter().find(|figures| figures.stage == stage);
        let used = self.stages.iter().map(|StageFigures { stage, processor_ns }| {
            (stage, processor_ns.saturating_sub(before(stage).map_or(0, |before| before.processor_ns)))
        });
        let used: Vec<_> = used.collect();
        let claimed: u64 = used.iter().map(|(_, ns)| ns).sum();
        let other = self.process_ns.saturating_sub(from.process_ns).saturating_sub(claimed);
        used.iter().map(|(stage, ns)| cost(stage, *ns)).chain([cost(OTHER, other)]).collect()
    }
}

/// The mean of each stage over processes of which all have it.
pub(super) fn mean(of: &[&ProcessStages]) -> Vec<StageCost> {
    let Some(first) = of.first() else { return Vec::new() };
    let sum = |stage: &str| {
        let of_stage = of.iter().flat_map(|process| &process.stages).filter(|cost| cost.stage == stage);
        of_stage.map(|cost| cost.us_per_envelope).sum::<f64>()
    };
    let mean = |StageCost { stage, .. }: &StageCost| StageCost {
        stage: stage.clone(),
        us_per_envelope: sum(stage) / of.len() as f64,
    };
    first.stages.iter().map(mean).collect()
}

/// Of a status report.
const SECTION: &str = "stages";
const OTHER: &str = "other";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn figures(process_ns: u64, verify_ns: u64) -> Figures {
        let text = format!(
            r#"{{"process_ns": {process_ns}, "stages": [{{"stage": "verify", "processor_ns": {verify_ns}, "entries": 3}},
            {{"stage": "order", "processor_ns": 1000, "entries": 1}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn sockets() -> Vec<StatusSocket> {
        ["o1", "o2"].map(|name| StatusSocket { name: name.to_owned(), path: "/nowhere".into() }).to_vec()
    }

    #[test]
    fn stages_and_the_rest_come_to_what_the_process_used() {
        let from = StageSnapshot(vec![Some(figures(5_000, 2_000)), Some(figures(0, 0))]);
        let until = StageSnapshot(vec![Some(figures(105_000, 72_000)), None]);
        let costs = until.costs_since(&from, &sockets(), 10);
        assert_eq!(costs.len(), 1, "the other one does not answer any more");
        assert_eq!(costs[0].name, "o1");
        let found: Vec<_> = costs[0].stages.iter().map(|cost| (cost.stage.as_str(), cost.us_per_envelope)).collect();
        assert_eq!(found, [("verify", 7.0), ("order", 0.0), ("other", 3.0)]);
        assert_eq!(until.costs_since(&from, &sockets(), 0), []);
    }

    #[test]
    fn the_mean_is_over_processes() {
        let process = |us_per_envelope| ProcessStages {
            name: "o".to_owned(),
            stages: vec![StageCost { stage: "verify".to_owned(), us_per_envelope }],
        };
        let (one, other) = (process(2.0), process(4.0));
        assert_eq!(mean(&[&one, &other]), process(3.0).stages);
        assert_eq!(mean(&[]), []);
    }

    #[tokio::test]
    async fn who_does_not_answer_says_nothing() {
        let snapshot = StageSnapshot::take(&sockets()).await;
        assert_eq!(snapshot.0, [None, None]);
    }
}
