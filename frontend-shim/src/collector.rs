//! Turns pushed headers and signatures into certified blocks: one task per channel.
//!
//! Works on one number at a time, the lowest that is not certified. When its header is certified ([`crate::tally`]) the
//! block needs a body: the shared ledger's own block when a node of this process orders the channel, else one that a node
//! pushed and that hashes to what the header says ([`crate::body_search`]). A node that lies or is silent is named and
//! counted and changes nothing else. The configuration that judges a block is the one in the ledger below it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::block::data_hash;
use fabric_proto::common::{Block, BlockData, BlockHeader, OrdererBlockMetadata};
use fabric_proto::metadata::block_metadata;
use mod_smart::{FrontendId, ReplicaId};
use prost::Message as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::block_body::read_body;
use crate::body_search::{BodySearch, Silence, search};
use crate::channels::{Channel, ChannelState};
use crate::counters::Grievance;
use crate::eras::{HistoryError, config_of};
use crate::frame::{Bodies, Push, body_source};
use crate::group::OrderingGroup;
use crate::inbox::Inbox;
use crate::ledger::{Heights, Ledger, LedgerError};
use crate::node_limits::{LEDGER_RETRY_AFTER, WINDOW_BLOCKS_MAX, WINDOW_BLOCKS_MIN, WINDOW_BYTES};
use crate::stages::Stage;
use crate::tally::{Certified, Judge, JudgeError, Tally};

/// The collector of one channel.
pub(crate) struct Collector {
    inbox: Arc<Inbox>,
    channel: Arc<Channel>,
    group: Arc<OrderingGroup>,
    frontend: FrontendId,
    bodies: Bodies,
    judge: Judge,
    number: u64,
    phase: Phase,
    silence: Silence,
    /// Size of recent bodies, leaning towards the large ones.
    usual_body_bytes: usize,
    /// When to look again whether nodes need credit.
    credit_due: Instant,
    stats: Arc<CollectorStats>,
}

/// What has become of a channel's blocks, for the status page.
#[derive(Debug, Default)]
pub(crate) struct CollectorStats {
    pub(crate) certified: AtomicU64,
    pub(crate) bodies_fetched: AtomicU64,
    pub(crate) stopped: std::sync::OnceLock<String>,
}

/// What the block is waiting for.
enum Phase {
    /// Signatures.
    Tallying(Tally),
    /// Its body.
    Certified(Arc<Certified>, Option<BodySearch>),
}

/// Everything a collector begins with.
pub(crate) struct CollectorSetup {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) group: Arc<OrderingGroup>,
    pub(crate) frontend: FrontendId,
    pub(crate) bodies: Bodies,
    pub(crate) stats: Arc<CollectorStats>,
}

/// Why a collector cannot go on. Our environment's fault, or the end of the channel in this group.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectorError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Judge(#[from] JudgeError),
    #[error("the ledger here holds another block {0} than the nodes have certified")]
    Diverged(u64),
    #[error("the certified block {0} has a metadata value without a last config block")]
    Metadata(u64),
    #[error("the ledger's task was ended")]
    Ended,
    #[error("{0}")]
    Body(String),
}

/// What a look at the next block came to.
enum Step {
    /// It is certified and stored; there may be more.
    Advanced,
    /// Something must happen first.
    Wait,
}

impl Collector {
    /// A collector for a channel whose ledger holds at least the genesis block.
    pub(crate) fn new(setup: CollectorSetup) -> Result<Self, CollectorError> {
        let CollectorSetup { inbox, group, frontend, bodies, stats } = setup;
        let channel = inbox.channel().clone();
        let number = channel.ledger().certified_height();
        let (judge, config, tally) = start_at(channel.ledger(), number, &group)?;
        if bodies == Bodies::Pushed {
            // The channel may have been added with an older one: its first.
            channel.install_config(config);
        }
        let silence = Silence::new(inbox.nodes().len());
        let phase = Phase::Tallying(tally);
        let (usual_body_bytes, credit_due) = (0, Instant::now());
        Ok(Self {
            inbox,
            channel,
            group,
            frontend,
            bodies,
            judge,
            number,
            phase,
            silence,
            usual_body_bytes,
            credit_due,
            stats,
        })
    }

    /// Runs until `stop`, or until it cannot go on: the channel is marked as errored then.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            error = self.collect() => {
                if let CollectorError::Judge(JudgeError::Moved(number)) = error {
                    return self.end_at(number);
                }
                tracing::error!("channel {}: no more blocks are collected: {error}", self.channel.id());
                self.channel.enter_state(ChannelState::Errored);
                // The first reason is the one that counts.
                let _ = self.stats.stopped.set(error.to_string());
            }
        }
    }

    async fn collect(&mut self) -> CollectorError {
        let mut heights = self.channel.ledger().watch();
        loop {
            match self.step().await {
                Ok(Step::Advanced) => self.inbox.extend_credit(),
                Ok(Step::Wait) => self.wait(&mut heights).await,
                Err(CollectorError::Ledger(error @ LedgerError::Io { .. })) => {
                    tracing::error!("channel {}: {error}; trying again", self.channel.id());
                    tokio::time::sleep(LEDGER_RETRY_AFTER).await;
                }
                Err(error) => return error,
            }
        }
    }

    async fn wait(&mut self, heights: &mut watch::Receiver<Heights>) {
        let deadline = match &self.phase {
            Phase::Certified(_, Some(search)) => search.deadline().min(self.credit_due),
            _ => self.credit_due,
        };
        tokio::select! {
            () = self.inbox.changed() => {}
            _ = heights.changed() => {}
            () = tokio::time::sleep_until(deadline.into()) => {}
        }
        // Credit that could not be given to a node that lags is tried again, however much else happens meanwhile.
        let now = Instant::now();
        if now >= self.credit_due {
            self.inbox.extend_credit();
            self.credit_due = now + CREDIT_INTERVAL;
        }
    }

    /// A node that fetches blocks into the shared ledger stores their certificates too: nothing is left to collect then.
    fn skip_certified(&mut self) -> Result<(), CollectorError> {
        let number = self.channel.ledger().certified_height();
        if number <= self.number {
            return Ok(());
        }
        let (judge, config, tally) = start_at(self.channel.ledger(), number, &self.group)?;
        self.judge = judge;
        if self.bodies == Bodies::Pushed {
            self.channel.install_config(config);
        }
        self.inbox.skip_to(number, self.window_blocks());
        self.number = number;
        self.phase = Phase::Tallying(tally);
        // Nobody may push what comes now before it is told so.
        self.inbox.extend_credit();
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, CollectorError> {
        self.skip_certified()?;
        let pushes = self.inbox.of_next();
        if let Phase::Tallying(tally) = &mut self.phase {
            let Some(certified) = count(tally, &pushes, &self.judge, &self.inbox, self.number) else {
                return Ok(Step::Wait);
            };
            self.phase = Phase::Certified(Arc::new(certified), None);
        }
        let Phase::Certified(certified, _) = &self.phase else { return Ok(Step::Wait) };
        let certified = certified.clone();
        if self.is_stored(&certified)? {
            self.certify(&certified).await?;
        } else if !self.store_pushed(&certified, &pushes).await? {
            return Ok(Step::Wait);
        }
        self.advance(&certified)?;
        Ok(Step::Advanced)
    }

    /// Does the ledger have the block, from the node that shares it or from before a restart?
    fn is_stored(&self, certified: &Certified) -> Result<bool, CollectorError> {
        if self.channel.ledger().height() <= self.number {
            return Ok(false);
        }
        let stored = self.channel.ledger().read(self.number)?.ok_or(HistoryError::Missing(self.number))?;
        if stored.header.hash() != certified.header_hash(self.number) {
            return Err(CollectorError::Diverged(self.number));
        }
        Ok(true)
    }

    /// Stores the block with a body that a node pushed, or sees to it that one comes.
    async fn store_pushed(
        &mut self,
        certified: &Arc<Certified>,
        pushes: &[(ReplicaId, Push)],
    ) -> Result<bool, CollectorError> {
        if self.bodies == Bodies::SharedLedger {
            return self.store_tentative(certified).await;
        }
        let matching = pushes.iter().filter(|(_, push)| push.data_hash == certified.data_hash);
        for (replica, body) in matching.filter_map(|(replica, push)| Some((*replica, push.body.clone()?))) {
            let bytes = body.len();
            match self.store(certified.clone(), body).await {
                Err(CollectorError::Body(what)) => self.reject_body(replica, &what),
                Err(error) => return Err(error),
                Ok(()) => {
                    self.usual_body_bytes = (self.usual_body_bytes * 7 / 8).max(bytes);
                    return Ok(true);
                }
            }
        }
        self.seek_body(certified, Instant::now());
        Ok(false)
    }

    /// Where a node shares the ledger the block comes with its decision. If it is final before that, its body is what the
    /// node has signed.
    async fn store_tentative(&self, certified: &Arc<Certified>) -> Result<bool, CollectorError> {
        let hash = certified.header_hash(self.number);
        let blocks = self.channel.tentative().from(self.number);
        let Some(block) = blocks.first().filter(|it| it.header.number == self.number && it.header_hash == hash) else {
            return Ok(false);
        };
        self.store(certified.clone(), block.data.clone()).await?;
        Ok(true)
    }

    /// Stores the block with its certificate. Hashing a large body and writing it takes longer than a task may.
    async fn store(&self, certified: Arc<Certified>, body: Bytes) -> Result<(), CollectorError> {
        let (ledger, number) = (self.channel.ledger().clone(), self.number);
        let storing = move || {
            let data = check_body(&body, &certified.data_hash).map_err(CollectorError::Body)?;
            ledger.append(number, assemble(number, &certified, data)?)?;
            Ok(ledger.certify(number, certified.slot0())?)
        };
        tokio::task::spawn_blocking(|| Stage::Collect.within(storing)).await.map_err(|_| CollectorError::Ended)?
    }

    async fn certify(&self, certified: &Certified) -> Result<(), CollectorError> {
        let (ledger, number, slot0) = (self.channel.ledger().clone(), self.number, certified.slot0());
        let writing = move || ledger.certify(number, slot0);
        Ok(tokio::task::spawn_blocking(writing).await.map_err(|_| CollectorError::Ended)??)
    }

    fn reject_body(&mut self, replica: ReplicaId, what: &str) {
        let now = Instant::now();
        complain(&self.inbox, self.number, replica, Grievance::WrongBody, what);
        self.inbox.drop_body(replica);
        self.silence.blame(replica, now);
        if let Phase::Certified(_, Some(search)) = &mut self.phase {
            search.on_wrong(replica, now);
        }
    }

    fn seek_body(&mut self, certified: &Certified, now: Instant) {
        let Phase::Certified(_, seeking) = &mut self.phase else { return };
        let source = body_source(self.frontend, self.number, self.group.view());
        let seeking = seeking.get_or_insert_with(|| search(source, &self.silence, now));
        if now < seeking.deadline() {
            return;
        }
        if let Some(late) = seeking.overdue(now) {
            self.silence.blame(late, now);
            complain(&self.inbox, self.number, late, Grievance::SilentBody, "it was its turn");
        }
        for source in seeking.next_sources(certified.voters, &self.silence, now) {
            if self.inbox.fetch(source) {
                self.stats.bodies_fetched.fetch_add(1, Ordering::Relaxed);
                return seeking.on_asked(source, now);
            }
        }
        seeking.on_nobody(now);
    }

    fn advance(&mut self, certified: &Certified) -> Result<(), CollectorError> {
        let ledger = self.channel.ledger();
        if ledger.read(self.number)?.is_some_and(|stored| stored.config) {
            self.enter_config(self.number)?;
        }
        let hash = certified.header_hash(self.number);
        self.inbox.advance(self.window_blocks());
        self.number += 1;
        self.phase = Phase::Tallying(Tally::new(self.number, hash));
        self.stats.certified.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A config block judges the blocks after it.
    fn enter_config(&mut self, number: u64) -> Result<(), CollectorError> {
        let (judge, config) = Judge::after(self.channel.ledger(), number, &self.group)?;
        self.judge = judge;
        // Where a node shares the ledger, it is the node that puts configurations in force.
        if self.bodies == Bodies::Pushed {
            self.channel.install_config(config);
        }
        Ok(())
    }

    /// Other nodes order the channel after this block. Who serves it hears of that from its configuration.
    fn end_at(&self, number: u64) {
        tracing::info!("channel {}: other nodes order it after block {number}", self.channel.id());
        match config_of(self.channel.ledger(), number) {
            Ok(config) if self.bodies == Bodies::Pushed => self.channel.install_config(config),
            Ok(_) => {}
            Err(error) => tracing::error!("channel {}: {error}", self.channel.id()),
        }
    }

    fn window_blocks(&self) -> u64 {
        let by_bytes = (WINDOW_BYTES / self.usual_body_bytes.max(1)) as u64;
        by_bytes.clamp(WINDOW_BLOCKS_MIN, WINDOW_BLOCKS_MAX)
    }
}

/// What collecting block `number` begins with, which is not the first.
fn start_at(
    ledger: &Ledger,
    number: u64,
    group: &Arc<OrderingGroup>,
) -> Result<(Judge, ChannelConfig, Tally), CollectorError> {
    let last = number.checked_sub(1).ok_or(HistoryError::Missing(0))?;
    let (judge, config) = Judge::after(ledger, last, group)?;
    let before = ledger.read(last)?.ok_or(HistoryError::Missing(last))?;
    Ok((judge, config, Tally::new(number, before.header.hash())))
}

/// Looks at pushes until a header is certified.
fn count(
    tally: &mut Tally,
    pushes: &[(ReplicaId, Push)],
    judge: &Judge,
    inbox: &Inbox,
    number: u64,
) -> Option<Certified> {
    for (replica, push) in pushes {
        if let Err((grievance, what)) = tally.examine(*replica, push, judge) {
            complain(inbox, number, *replica, grievance, &what);
        }
        if let Some(certified) = tally.certified(judge) {
            for dissenter in tally.dissenters(&certified).iter() {
                complain(inbox, number, dissenter, Grievance::WrongHeader, "it is not the certified one");
            }
            return Some(certified);
        }
    }
    None
}

fn complain(inbox: &Inbox, number: u64, replica: ReplicaId, grievance: Grievance, what: &str) {
    let detail = format!("channel {}, block {number}: {what}", inbox.channel().id());
    inbox.nodes()[replica.index()].record.complain(grievance, &detail);
}

fn check_body(body: &Bytes, expected: &[u8; 32]) -> Result<BlockData, String> {
    let data = read_body(body)?;
    if data_hash(&data.data) != *expected {
        return Err("its hash is not the one in the header".to_owned());
    }
    Ok(data)
}

/// The whole block as every node writes it.
fn assemble(number: u64, certified: &Certified, data: BlockData) -> Result<Bytes, CollectorError> {
    let malformed = || CollectorError::Metadata(number);
    let value = OrdererBlockMetadata::decode(certified.value.clone()).map_err(|_| malformed())?;
    let last_config = value.last_config.ok_or_else(malformed)?.index;
    let mut metadata = block_metadata(last_config, value.consenter_metadata, Vec::new());
    metadata.metadata[0] = certified.slot0();
    let header = BlockHeader {
        number,
        previous_hash: Bytes::copy_from_slice(&certified.previous_hash),
        data_hash: Bytes::copy_from_slice(&certified.data_hash),
    };
    let block = Block { header: Some(header), data: Some(data), metadata: Some(metadata) };
    Ok(block.encode_to_vec().into())
}

const CREDIT_INTERVAL: Duration = Duration::from_secs(1);
