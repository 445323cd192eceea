//! What each stage of an envelope's way costs this process, in processor time.
//!
//! Accounting is exclusive: a thread is in one stage at a time, entering another charges what was used so far to the one
//! before, and leaving goes back to it. So the figures add up, and what no stage claims is told as [`OTHER`]: the runtime,
//! waking and switching threads, handshakes, operations, catching up. Waiting costs nothing, because the clock is that of
//! the thread's own processor time.
//!
//! A switch reads that clock once, a system call of about 0.2 us, so stages are entered for a request, a frame, a
//! decision, a block or one poll of a task, and for single envelopes only where one costs a signature. There is one
//! table for the process: what it serves several channels or groups with is told together. Whoever measures without it
//! calls [`switch_off`].

use std::cell::Cell;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::stream::{self, Stream, StreamExt as _};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::status::StatusReport;

/// A part of an envelope's way through a frontend and a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Connections of applications and peers: TLS, HTTP/2, their sockets.
    ClientSocket,
    /// A frontend decodes an envelope, applies the filters other than the signature, and answers its client.
    Admission,
    /// The creator's signature and the Writers policy, at a frontend, and at a node that verifies for itself.
    VerifyClient,
    /// A frontend bundles envelopes into requests and follows the answers of the nodes.
    Relay,
    /// A frontend seals a request.
    Seal,
    /// Sessions between frontends and nodes, either side: TLS, frames, their sockets.
    SessionSocket,
    /// Requests and messages go from the sockets to the threads that check them, and on to the replica.
    Intake,
    /// Requests and messages become values, with their digests.
    Decode,
    /// The seals of requests.
    VerifySeal,
    /// The signatures of replicas: votes, and what else they state.
    VerifyVote,
    /// The replica: Mod-SMaRt itself.
    Order,
    /// The disk thread: records are encoded, written and synced.
    Journal,
    /// The actions of the replica are performed: messages encoded and handed to the links, answers given.
    Perform,
    /// Votes, and what else this replica states, are signed.
    SignVote,
    /// Links between nodes: TLS, frames, their sockets.
    MeshSocket,
    /// Decisions become blocks: repeats left out, cut, hashed, chained.
    Cut,
    /// Blocks are encoded and signed.
    SignBlock,
    /// Blocks are written, synced, certified and read.
    Ledger,
    /// A node makes of a block what it pushes to frontends.
    Push,
    /// A frontend collects what nodes pushed and makes certified blocks of it.
    Collect,
    /// The signatures of other nodes on blocks.
    VerifyBlock,
    /// Blocks are given to Deliver streams, and their readers judged.
    Deliver,
}

impl Stage {
    /// All stages, in the order of an envelope's way.
    pub const ALL: [Self; 22] = [
        Self::ClientSocket,
        Self::Admission,
        Self::VerifyClient,
        Self::Relay,
        Self::Seal,
        Self::SessionSocket,
        Self::Intake,
        Self::Decode,
        Self::VerifySeal,
        Self::VerifyVote,
        Self::Order,
        Self::Journal,
        Self::Perform,
        Self::SignVote,
        Self::MeshSocket,
        Self::Cut,
        Self::SignBlock,
        Self::Ledger,
        Self::Push,
        Self::Collect,
        Self::VerifyBlock,
        Self::Deliver,
    ];

    /// Its name in reports and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientSocket => "client_socket",
            Self::Admission => "admission",
            Self::VerifyClient => "verify_client",
            Self::Relay => "relay",
            Self::Seal => "seal",
            Self::SessionSocket => "session_socket",
            Self::Intake => "intake",
            Self::Decode => "decode",
            Self::VerifySeal => "verify_seal",
            Self::VerifyVote => "verify_vote",
            Self::Order => "order",
            Self::Journal => "journal",
            Self::Perform => "perform",
            Self::SignVote => "sign_vote",
            Self::MeshSocket => "mesh_socket",
            Self::Cut => "cut",
            Self::SignBlock => "sign_block",
            Self::Ledger => "ledger",
            Self::Push => "push",
            Self::Collect => "collect",
            Self::VerifyBlock => "verify_block",
            Self::Deliver => "deliver",
        }
    }

    /// Does this work in the stage.
    pub fn within<T>(self, work: impl FnOnce() -> T) -> T {
        let _entered = self.enter();
        work()
    }

    /// Runs a task whose every poll is in the stage. What the task enters meanwhile is charged there and not here.
    pub async fn follow<F: Future>(self, task: F) -> F::Output {
        let mut task = pin!(task);
        poll_fn(|context| self.within(|| task.as_mut().poll(context))).await
    }

    /// Passes on a stream whose every poll is in the stage.
    pub fn follow_stream<S: Stream>(self, items: S) -> impl Stream<Item = S::Item> + use<S> {
        let mut items = Box::pin(items);
        stream::poll_fn(move |context| self.within(|| items.poll_next_unpin(context)))
    }

    /// Enters the stage until the guard is dropped. Guards are to be dropped in the reverse order of their making.
    pub fn enter(self) -> Entered {
        if IS_OFF.load(Ordering::Relaxed) {
            return Entered { comes_from: None, _of_this_thread: PhantomData };
        }
        TABLE[self as usize].entries.fetch_add(1, Ordering::Relaxed);
        Entered { comes_from: Some(switch(Some(self))), _of_this_thread: PhantomData }
    }
}

/// From now on nothing is claimed by any stage entered. Cannot be undone, so that a report tells of one beginning.
pub fn switch_off() {
    IS_OFF.store(true, Ordering::Relaxed);
}

/// This thread is in a stage.
#[derive(Debug)]
#[must_use = "the stage is left when this is dropped"]
pub struct Entered {
    /// Where to go back to, a stage or none. Absent if there is no way back, because nothing is counted.
    comes_from: Option<Option<Stage>>,
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(before) = self.comes_from {
            switch(before);
        }
    }
}

/// Name of what no stage claims.
pub const OTHER: &str = "other";

/// The name of the section of a [`StatusReport`] that holds a [`StageReport`].
pub const SECTION: &str = "stages";

/// What a process has used since it started, at one moment. Take two and the difference of them: [`StageReport::since`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageReport {
    /// Processor time of the whole process, user and system, in nanoseconds.
    pub process_ns: u64,
    /// The stages, in the order of an envelope's way.
    pub stages: Vec<StageFigures>,
}

/// What one stage has used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageFigures {
    /// Its name.
    pub stage: String,
    /// Processor time in it, user and system, in nanoseconds. A visit that is under way does not count yet.
    pub processor_ns: u64,
    /// How often it was entered.
    pub entries: u64,
}

impl StageReport {
    /// This process, now.
    #[must_use]
    pub fn now() -> Self {
        let stages = Stage::ALL.map(|stage| {
            let counted = &TABLE[stage as usize];
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let (processor_ns, entries) = (read(&counted.processor_ns), read(&counted.entries));
            StageFigures { stage: stage.name().to_owned(), processor_ns, entries }
        });
        // The whole is read after its parts, so that it is never smaller than they are together.
        Self { stages: stages.into(), process_ns: used_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID) }
    }

    /// What the process that made this status report has used, if it says so.
    #[must_use]
    pub fn of(report: &StatusReport) -> Option<Self> {
        Self::deserialize(report.sections.get(SECTION)?).ok()
    }

    /// What was used between an earlier report of the same process and this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let difference = |now: &StageFigures| {
            let then = earlier.stages.iter().find(|then| then.stage == now.stage).cloned().unwrap_or_default();
            StageFigures {
                stage: now.stage.clone(),
                processor_ns: now.processor_ns.saturating_sub(then.processor_ns),
                entries: now.entries.saturating_sub(then.entries),
            }
        };
        Self {
            process_ns: self.process_ns.saturating_sub(earlier.process_ns),
            stages: self.stages.iter().map(difference).collect(),
        }
    }

    /// Nanoseconds that no stage claims.
    #[must_use]
    pub fn other_ns(&self) -> u64 {
        self.process_ns.saturating_sub(self.stages.iter().map(|stage| stage.processor_ns).sum())
    }

    /// Microseconds of processor time for each of so many envelopes, by stage in the order of the way and [`OTHER`] behind
    /// them. Together that is what the process used for each.
    #[must_use]
    pub fn us_per(&self, envelopes: u64) -> Vec<(String, f64)> {
        let us = |ns: u64| ns as f64 / 1e3 / envelopes.max(1) as f64;
        let stages = self.stages.iter().map(|stage| (stage.stage.clone(), us(stage.processor_ns)));
        stages.chain([(OTHER.to_owned(), us(self.other_ns()))]).collect()
    }
}

/// What is counted of one stage. Each has a cache line of its own, for they are counted from many threads.
#[repr(align(64))]
struct Counted {
    processor_ns: AtomicU64,
    entries: AtomicU64,
}

static TABLE: [Counted; Stage::ALL.len()] =
    [const { Counted { processor_ns: AtomicU64::new(0), entries: AtomicU64::new(0) } }; Stage::ALL.len()];

static IS_OFF: AtomicBool = AtomicBool::new(false);

/// Where a thread is, and since which reading of its clock.
#[derive(Clone, Copy)]
struct Position {
    stage: Option<Stage>,
    since_ns: u64,
}

thread_local! {
    static POSITION: Cell<Position> = const { Cell::new(Position { stage: None, since_ns: 0 }) };
}

/// Goes to another stage, or to none, and says where the thread was.
fn switch(stage: Option<Stage>) -> Option<Stage> {
    let now = used_ns(ClockId::CLOCK_THREAD_CPUTIME_ID);
    let before = POSITION.replace(Position { stage, since_ns: now });
    if let Some(left) = before.stage {
        TABLE[left as usize].processor_ns.fetch_add(now.saturating_sub(before.since_ns), Ordering::Relaxed);
    }
    before.stage
}

/// Nanoseconds by this clock. Every Linux has those that are asked for here; without one everything would cost nothing.
fn used_ns(clock: ClockId) -> u64 {
    let Ok(time) = clock_gettime(clock) else { return 0 };
    (time.tv_sec() as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec() as u64)
}
