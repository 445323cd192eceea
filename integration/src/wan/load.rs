//! The clients of one site: `loadgen` as a process of its own, in front of the frontend of that site.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::network::Door;
use crate::bench::program;
use crate::loadgen::Report;
use crate::process::{Process, tail};

/// What to send, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadPlan {
    /// Envelopes per second; without it one after the other.
    pub(super) rate_per_s: Option<u32>,
    pub(super) payload_bytes: u32,
    pub(super) seconds: u64,
    pub(super) warmup_s: u64,
    pub(super) tick_ms: u64,
}

/// One of them at work. It is killed when this is dropped.
pub(super) struct Load {
    process: Process,
    report: PathBuf,
    patience: Duration,
}

impl Load {
    /// Begins; `folder` takes what it writes.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(door: &Door, plan: &LoadPlan, folder: &Path) -> anyhow::Result<Self> {
        let report = folder.join(format!("{}.json", door.name));
        if report.exists() {
            std::fs::remove_file(&report).with_context(|| format!("cannot remove {}", report.display()))?;
        }
        let mut command = Command::new(program("loadgen")?);
        command.args(["--endpoint", &door.address, "--mspid", &door.msp_id, "--channel", &door.channel]);
        command.arg("--tls-ca").arg(&door.tls_ca).arg("--msp").arg(&door.msp_dir).arg("--json").arg(&report);
        for (name, value) in [
            ("--size", u64::from(plan.payload_bytes)),
            ("--for", plan.seconds),
            ("--warmup", plan.warmup_s),
            ("--tick-ms", plan.tick_ms),
        ] {
            command.arg(name).arg(value.to_string());
        }
        match plan.rate_per_s {
            Some(rate) => command.args(["--rate", &rate.to_string()]),
            None => command.args(["--outstanding", "1"]),
        };
        let log = folder.join(format!("{}.load.log", door.name));
        let process = Process::start(&format!("loadgen at {}", door.name), &mut command, &log)?;
        Ok(Self { process, report, patience: Duration::from_secs(plan.seconds + plan.warmup_s) + PATIENCE })
    }

    /// Waits until it has ended, and reads what it has written.
    ///
    /// # Errors
    /// It could not load, or does not end.
    pub(super) async fn finish(mut self) -> anyhow::Result<Report> {
        let waited = tokio::task::spawn_blocking(move || {
            let ended = self.process.wait(self.patience);
            (ended, self)
        });
        let (ended, load) = waited.await?;
        ended?;
        ensure!(load.report.exists(), "{}: {}", load.process.name(), tail(load.process.log().trim(), 3));
        let text = std::fs::read(&load.report).with_context(|| format!("cannot read {}", load.report.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no report", load.report.display()))
    }
}

/// To sign beforehand, and for what is on its way in the end.
const PATIENCE: Duration = Duration::from_secs(120);
