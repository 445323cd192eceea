//! Taking the place of an orderer of Fabric: its chains are found below `FileLedger.Location` and go on here.
//!
//! ```text
//! block files -> every block verified -> our ledger -> mark "asking" -> join block     (at start, continued after a crash)
//! the other members are asked for later blocks -> mark -> the group is asked to go on after the newest -> mark "open"
//! ```
//! The old files are never written to: without a block ordered here, the old orderer can be started again. A channel whose
//! configuration does not name this node is followed.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use fabric_channel::{consenter_set, join_block};
use fabric_proto::ChannelId;
use frontend_shim::ledger::{Ledger, Tip};
use mod_smart::GroupId;
use prost::Message as _;
use tokio::time::timeout;

use super::Inner;
use super::hosting::HostedGroup;
use super::store::{Kept, Mark};
use super::succession::take_up_at;
use crate::block_catch_up::Heard;
use crate::fabric_ledger::{FabricBlocks, chains};
use crate::joined::JoinedChannel;
use crate::verified_chain::VerifiedChain;

impl Inner {
    /// Joins the channels whose chains an orderer of Fabric left here. One that cannot be taken over is reported, and
    /// does not keep the others from it. Takes long: not for a task.
    pub(super) fn take_over(&self, kept: &mut Kept) -> anyhow::Result<()> {
        let began = Instant::now();
        for (id, dir) in chains(&self.data_dir)? {
            let is_joined = kept.joined.iter().any(|(joined, _)| *joined == id);
            let is_wanted = match self.store.marked(&id)? {
                None => !is_joined,
                // As long as nothing was ordered here, the old orderer may have been started once more.
                Some(Mark::Asking(_)) => true,
                Some(Mark::Open(_) | Mark::Spent) => false,
            };
            if !is_wanted || kept.removing.contains(&id) {
                continue;
            }
            match self.import(&id, &dir) {
                Ok(_) if is_joined => {}
                Ok(genesis) => kept.joined.push((id, genesis)),
                Err(error) => tracing::error!(channel = %id, from = %dir.display(), error = format!("{error:#}"),
                    "the channel of the orderer that was here before cannot be taken over"),
            }
        }
        // Set once: a node starts once.
        let _ = self.took_over_in.set(began.elapsed());
        Ok(())
    }

    /// Brings the chain in this folder into our ledger, and gives its first block.
    fn import(&self, id: &ChannelId, dir: &Path) -> anyhow::Result<Bytes> {
        let ledger = self.open_ledger(id)?;
        let mut chain = VerifiedChain::below(&ledger, ledger.certified_height())?;
        tracing::info!(channel = %id, from = %dir.display(), height = chain.next(),
            "taking over the chain of the orderer that was here before: its blocks are verified and copied");
        let (began, mut said, mut genesis) = (Instant::now(), Instant::now(), None);
        for (number, block) in (0..).zip(FabricBlocks::open(dir)) {
            let block = block?;
            if number == 0 {
                join_block::read(&block)?;
                genesis = Some(Bytes::from(block.encode_to_vec()));
            }
            if number < chain.next() {
                let stored = ledger.read(number)?.map(|stored| stored.header.clone());
                anyhow::ensure!(stored == block.header, "the ledger holds another block {number}");
                continue;
            }
            let block = chain.verify(id, &block).map_err(anyhow::Error::msg);
            let block = block.with_context(|| format!("block {number} in {}", dir.display()))?;
            block.store(&ledger)?;
            chain.advance(block);
            if said.elapsed() > PROGRESS_INTERVAL {
                ledger.sync()?;
                said = Instant::now();
                tracing::info!(channel = %id, height = chain.next(), "taking over the chain");
            }
        }
        let genesis = genesis.context("there is no block")?;
        ledger.sync()?;
        self.store.mark(id, Mark::Asking(chain.next() - 1))?;
        self.store.keep(id, &genesis)?;
        tracing::info!(channel = %id, height = chain.next(), seconds = began.elapsed().as_secs(),
            "took over the chain; the files that it came from are left as they are");
        Ok(genesis)
    }

    /// Notes that nothing is to be made any more of what an orderer of Fabric left of a channel.
    pub(super) fn spend_mark(&self, id: &ChannelId) -> anyhow::Result<()> {
        if self.store.marked(id)?.is_some() {
            self.store.mark(id, Mark::Spent)?;
        }
        Ok(())
    }
}

/// Has the group take up a channel at the highest tip that its members have. Ends when it has.
pub(super) async fn ask_to_go_on(inner: Weak<Inner>, id: ChannelId, group: GroupId, channel: Arc<JoinedChannel>) {
    let mut asking = Asking { id, group, channel, quorum_since: None, asked: None, said: None };
    let mut open = asking.channel.open.subscribe();
    loop {
        if let Some(inner) = inner.upgrade()
            && let Err(error) = asking.turn(&inner).await
        {
            tracing::error!(channel = %asking.id, error = format!("{error:#}"), "cannot ask the group to go on with the channel");
        }
        if let Ok(is_open) = timeout(TURN_INTERVAL, open.wait_for(|open| *open)).await.map(|open| open.is_ok()) {
            let Some(inner) = inner.upgrade().filter(|_| is_open) else { return };
            if let Err(error) = asking.is_open(&inner).await {
                tracing::error!(channel = %asking.id, error = format!("{error:#}"), "cannot note that the channel goes on");
            }
            return;
        }
    }
}

struct Asking {
    id: ChannelId,
    group: GroupId,
    channel: Arc<JoinedChannel>,
    /// Since when enough members say what they have.
    quorum_since: Option<Instant>,
    /// The tip that the group was asked to go on after.
    asked: Option<Tip>,
    /// When it was last said what is being waited for.
    said: Option<Instant>,
}

impl Asking {
    async fn turn(&mut self, inner: &Arc<Inner>) -> anyhow::Result<()> {
        let Some(hosted) = inner.hosting.find(self.group) else { return Ok(()) };
        let ledger = Arc::clone(&self.channel.ledger);
        let heard = hosted.group.catch_up.level(&self.id, &ledger).await;
        if *self.channel.open.borrow() {
            return Ok(());
        }
        let Some(tip) = ledger.tip() else { return Ok(()) };
        for config in &heard.configs {
            let before = self.channel.served.config();
            self.channel.served.install_config(Arc::new(config.clone()));
            if !consenter_set::is_same(&before, config) {
                // The group of the new consenters is asked. It ends this task.
                self.mark(inner, tip).await?;
                self.channel.moved.send_replace(Some(tip));
                return Ok(());
            }
        }
        // Who has as much to copy as this node, on a slower disk, comes later.
        let waited_for = SILENT_WAITED_FOR + inner.took_over_in.get().copied().unwrap_or_default() * 3;
        if !self.is_heard_enough(&hosted, &heard, waited_for) {
            self.say_what_is_waited_for(&heard);
            return Ok(());
        }
        if self.asked != Some(tip) {
            self.mark(inner, tip).await?;
            let id = self.id.clone();
            let command = tokio::task::spawn_blocking(move || take_up_at(&id, &ledger, tip)).await??;
            self.channel.opening.store(Some(Arc::new(command)));
            self.asked = Some(tip);
            tracing::info!(channel = %self.id, after = tip.number, silent = heard.silent.len(),
                "asking the group to go on with the channel after its newest block");
        }
        Ok(())
    }

    /// Nobody has more. Whoever does not answer for long, with a quorum of others there, is not waited for.
    fn is_heard_enough(&mut self, hosted: &HostedGroup, heard: &Heard, waited_for: Duration) -> bool {
        let view = &hosted.group.sessions.view;
        let mut voters = heard.members;
        voters.insert(hosted.me);
        if !view.is_quorum(voters) {
            self.quorum_since = None;
            return false;
        }
        let since = *self.quorum_since.get_or_insert_with(Instant::now);
        view.replicas().all(|replica| voters.contains(replica)) || since.elapsed() > waited_for
    }

    fn say_what_is_waited_for(&mut self, heard: &Heard) {
        if self.said.is_none_or(|said| said.elapsed() > PROGRESS_INTERVAL) && !heard.silent.is_empty() {
            self.said = Some(Instant::now());
            tracing::info!(channel = %self.id, height = self.channel.ledger.height(), silent = heard.silent.join("; "),
                "before the channel goes on, the other consenters are asked whether they have later blocks");
        }
    }

    async fn mark(&self, inner: &Inner, tip: Tip) -> anyhow::Result<()> {
        let _change = inner.change.lock().await;
        Ok(inner.store.mark(&self.id, Mark::Asking(tip.number))?)
    }

    async fn is_open(&self, inner: &Inner) -> anyhow::Result<()> {
        let _change = inner.change.lock().await;
        match inner.store.marked(&self.id)? {
            Some(Mark::Asking(tip)) => Ok(inner.store.mark(&self.id, Mark::Open(tip))?),
            _ => Ok(()),
        }
    }
}

/// What a ledger and a mark say of a channel that this node orders.
pub(super) fn is_asking(mark: Option<Mark>) -> bool {
    matches!(mark, Some(Mark::Asking(_)))
}

/// Did others make blocks of the stretch that begins after block `founded_at`?
pub(super) fn is_taken_over(mark: Option<Mark>, ledger: &Ledger, founded_at: u64) -> bool {
    match mark {
        Some(Mark::Asking(last)) => last.min(ledger.height()) >= founded_at,
        Some(Mark::Open(last)) => last >= founded_at,
        Some(Mark::Spent) | None => false,
    }
}

/// How often the other members are asked.
const TURN_INTERVAL: Duration = Duration::from_secs(1);

/// One line at most of progress in this time.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// How long a member is waited for that does not say which blocks it has, while a quorum says it. Longer if there was much to
/// copy.
const SILENT_WAITED_FOR: Duration = Duration::from_secs(60);
