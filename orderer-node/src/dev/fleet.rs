//! The processes of the nodes, and of frontends of their own: started together, watched, stopped together.

use std::fs::File;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use frontend_shim::status::{self, StatusReport};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::data_folder::{FrontendFiles, NodeFiles};
use super::frontends::FrontendPlan;
use super::network::NodePlan;
use crate::status::OrderingReport;

/// All processes of a network. Dropping it kills those that run.
pub(super) struct Fleet {
    members: Vec<Member>,
    frontends: Vec<Member>,
}

/// One node's process, or a frontend's.
struct Member {
    kind: &'static str,
    name: String,
    pid: u32,
    child: Child,
    status_socket: PathBuf,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

/// A process that is no more.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// `node o1`, `frontend f1`.
    pub(super) name: String,
    pub(super) how: String,
    pub(super) log: PathBuf,
}

/// Where a node stands, by its own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) name: String,
    /// Blocks that clients see.
    pub(super) height: u64,
    pub(super) is_open: bool,
    /// Place of the leader among the nodes.
    pub(super) leader: Option<u16>,
}

/// Are the ports of all nodes and frontends free?
///
/// # Errors
/// Names the first that is not.
pub(super) fn check_ports(nodes: &[NodePlan], frontends: &[FrontendPlan]) -> anyhow::Result<()> {
    let of_nodes = nodes.iter().map(|node| (node.listen, format!("node {}", node.name)));
    let of_frontends = frontends.iter().map(|frontend| (frontend.listen, format!("frontend {}", frontend.name)));
    for (address, whose) in of_nodes.chain(of_frontends) {
        TcpListener::bind(address).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => anyhow!(
                "port {} is busy: {address} is needed for {whose}; stop what listens there, or choose another --base-port and --data",
                address.port(),
            ),
            _ => anyhow!("cannot listen on {address} for {whose}: {error}"),
        })?;
    }
    Ok(())
}

impl Fleet {
    /// Starts a process for each node: this program, as `node --config FILE`; and one for each frontend: the program
    /// `frontend-shim` beside it.
    ///
    /// # Errors
    /// One cannot be started; those that were are killed.
    pub(super) fn start(
        nodes: &[(NodePlan, NodeFiles)],
        frontends: &[(FrontendPlan, FrontendFiles)],
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let frontend_program = program.with_file_name("frontend-shim");
        let members = nodes.iter().map(|(plan, files)| Member::start_node(&program, plan, files));
        let started =
            Self { members: members.collect::<Result<_, _>>()?, frontends: Vec::with_capacity(frontends.len()) };
        let frontends = frontends.iter().map(|(plan, files)| Member::start_frontend(&frontend_program, plan, files));
        Ok(Self { frontends: frontends.collect::<Result<_, _>>()?, ..started })
    }

    /// The process ids, in order of the nodes.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.members.iter().map(|member| member.pid)
    }

    /// The process ids, in order of the frontends.
    pub(super) fn frontend_pids(&self) -> impl Iterator<Item = u32> {
        self.frontends.iter().map(|member| member.pid)
    }

    /// How many nodes run.
    pub(super) fn alive(&self) -> usize {
        self.members.iter().filter(|member| member.ended.is_none()).count()
    }

    /// Nodes and frontends that have ended since this was last asked.
    pub(super) fn newly_ended(&mut self) -> Vec<Ended> {
        self.members.iter_mut().chain(&mut self.frontends).filter_map(Member::notice_end).collect()
    }

    /// What the living nodes say about a channel; who does not answer within a second is left out.
    pub(super) async fn standings(&self, channel: &str) -> Vec<Standing> {
        standings(&self.members, channel).await
    }

    /// Waits until every node and every frontend answers and takes envelopes for the channel; says where the nodes stand.
    ///
    /// # Errors
    /// A node ends, or it takes too long.
    pub(super) async fn wait_until_open(&mut self, channel: &str) -> anyhow::Result<Vec<Standing>> {
        let deadline = Instant::now() + OPEN_TIMEOUT;
        loop {
            if let Some(ended) = self.newly_ended().first() {
                bail!(
                    "{} {} while starting; the end of {}:\n{}",
                    ended.name,
                    ended.how,
                    ended.log.display(),
                    tail(&ended.log)
                );
            }
            let standings = self.standings(channel).await;
            let is_open = |of: &[Standing], all: usize| of.len() == all && of.iter().all(|it| it.is_open);
            if is_open(&standings, self.members.len())
                && is_open(&self::standings(&self.frontends, channel).await, self.frontends.len())
            {
                return Ok(standings);
            }
            if Instant::now() > deadline {
                bail!(
                    "not all nodes and frontends are open for channel {channel} after {} s{}",
                    OPEN_TIMEOUT.as_secs(),
                    self.explain(&standings)
                );
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Asks every process to stop, and kills those that do not; says which.
    pub(super) async fn stop(mut self) -> Vec<String> {
        for member in self.members.iter().chain(&self.frontends).filter(|member| member.ended.is_none()) {
            // It may have ended by itself since; its pid is not used again before it is waited for.
            let _ = kill(Pid::from_raw(member.pid.cast_signed()), Signal::SIGTERM);
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        let mut killed = Vec::new();
        for member in self.members.iter_mut().chain(&mut self.frontends).filter(|member| member.ended.is_none()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if timeout(left, member.child.wait()).await.is_err() {
                let _ = member.child.kill().await;
                killed.push(member.whose());
            }
        }
        killed
    }

    fn explain(&self, standings: &[Standing]) -> String {
        let explain = |member: &Member| {
            let state = match standings.iter().find(|standing| standing.name == member.name) {
                None => "does not answer",
                Some(standing) if standing.is_open => "is open",
                Some(_) => "is not open yet",
            };
            format!("; {} {state} ({})", member.name, member.log.display())
        };
        let of_frontends =
            self.frontends.iter().map(|member| format!("; frontend {} ({})", member.name, member.log.display()));
        self.members.iter().map(explain).chain(of_frontends).collect()
    }
}

impl Member {
    fn start_node(program: &Path, plan: &NodePlan, files: &NodeFiles) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg("node").arg("--config").arg(&files.config);
        Self::start("node", &plan.name, command, &files.log, &files.status_socket)
    }

    fn start_frontend(program: &Path, plan: &FrontendPlan, files: &FrontendFiles) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg("--config").arg(&files.config);
        Self::start("frontend", &plan.name, command, &files.log, &files.status_socket)
            .with_context(|| format!("--frontends needs the program {}", program.display()))
    }

    fn start(
        kind: &'static str,
        name: &str,
        mut command: Command,
        log: &Path,
        status_socket: &Path,
    ) -> anyhow::Result<Self> {
        let open = || File::options().create(true).append(true).open(log);
        let file = open().with_context(|| format!("cannot write {}", log.display()))?;
        let also_file = file.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file).stderr(also_file);
        // In a group of its own, so that Ctrl-C reaches it only through us.
        command.process_group(0).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {kind} {name}"))?;
        let pid = child.id().with_context(|| format!("{kind} {name} ended at once"))?;
        Ok(Self {
            kind,
            name: name.to_owned(),
            pid,
            child,
            status_socket: status_socket.to_owned(),
            log: log.to_owned(),
            ended: None,
        })
    }

    /// `node o1`, `frontend f1`.
    fn whose(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    fn notice_end(&mut self) -> Option<Ended> {
        if self.ended.is_some() {
            return None;
        }
        let status = self.child.try_wait().ok().flatten()?;
        self.ended = Some(status);
        Some(Ended { name: self.whose(), how: format!("ended ({status})"), log: self.log.clone() })
    }

    async fn standing(&self, channel: &str) -> Option<Standing> {
        let report = timeout(STATUS_TIMEOUT, status::fetch(&self.status_socket)).await.ok()?.ok()?;
        let ours = report.channels.iter().find(|it| it.id == channel)?;
        Some(Standing {
            name: self.name.clone(),
            height: ours.certified_height,
            is_open: ours.state == "open",
            leader: leader(&report),
        })
    }
}

/// What those that live say about a channel; who does not answer within a second is left out.
async fn standings(members: &[Member], channel: &str) -> Vec<Standing> {
    let living = members.iter().filter(|member| member.ended.is_none());
    let asked = futures::future::join_all(living.map(|member| member.standing(channel))).await;
    asked.into_iter().flatten().collect()
}

/// The leader of the one ordering group that a node here is in.
fn leader(report: &StatusReport) -> Option<u16> {
    let section = report.sections.get("ordering")?.clone();
    let groups: Vec<OrderingReport> = serde_json::from_value(section).ok()?;
    groups.first().map(|group| group.leader)
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

const POLL_INTERVAL: Duration = Duration::from_millis(100);
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);
/// A node with a long journal has much to read before it opens.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const TAIL_LINES: usize = 10;
