//! Frontends inside this process, as in the thesis: the load generator itself is a client of Mod-SMaRt.
//!
//! They are those of `frontend-shim`, used as a library: they dial the nodes, submit what they are given without looking at
//! signatures, and collect certified blocks into ledgers of their own. The ledgers lie in a temporary folder that goes with
//! the load.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fabric_channel::ChannelConfig;
use fabric_proto::common::Block;
use frontend_shim::channels::{Channel, Channels};
use frontend_shim::directory::Directory;
use frontend_shim::frame::Bodies;
use frontend_shim::frontend::{Frontend, FrontendHandle, FrontendSetup, NodeAddress, NodeEndpoint};
use frontend_shim::group::{OrderingGroup, ordering_group_after};
use frontend_shim::ledger::{Ledger, LedgerOptions};
use mod_smart::Limits;
use prost::Message as _;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::chain::Cutting;
use super::limits::{CAUGHT_UP_AFTER, DIRECT_LEDGER_CACHE_BYTES_MAX, OPENING_PATIENCE, WATCH_INTERVAL};
use super::target::Inside;

/// Some frontends, which serve the same channels.
pub(super) struct DirectFrontends {
    pub(super) frontends: Vec<DirectFrontend>,
    /// Removed when this is dropped.
    _folder: TempDir,
}

/// One of them.
pub(super) struct DirectFrontend {
    pub(super) handle: FrontendHandle,
    /// In the order in which they were given.
    pub(super) channels: Vec<Arc<Channel>>,
    /// Where their chains ended before the load: number of the next block, and hash of the last one's header.
    pub(super) ends: Vec<(u64, [u8; 32])>,
    _registry: Channels,
}

impl DirectFrontends {
    /// Starts so many for channels that begin with these blocks, and waits until they take envelopes and have all blocks.
    ///
    /// # Errors
    /// A genesis block is none, channels have other consenters than the first, or the nodes are not in reach.
    pub(super) async fn start(count: usize, inside: &Inside) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("loadgen-").tempdir().context("no temporary folder")?;
        let start = |index: usize| start(&folder.path().join(format!("f{index}")), inside);
        let mut frontends = (0..count).map(start).collect::<anyhow::Result<Vec<_>>>()?;
        for frontend in &mut frontends {
            frontend.wait_until_ready().await?;
        }
        Ok(Self { frontends, _folder: folder })
    }

    /// How blocks of the first channel are cut now.
    pub(super) fn cutting(&self) -> Option<Cutting> {
        let config = self.frontends.first()?.channels.first()?.config();
        Some(Cutting::of(&config))
    }

    /// Ends all of them.
    pub(super) async fn stop(&self) {
        for frontend in &self.frontends {
            frontend.handle.stop().await;
        }
    }
}

impl DirectFrontend {
    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        for channel in &self.channels {
            let id = channel.id();
            let opened = timeout(OPENING_PATIENCE, self.handle.is_taking(id)).await;
            opened.with_context(|| {
                let seconds = OPENING_PATIENCE.as_secs();
                format!("channel {id}: not enough nodes let a frontend of this process in within {seconds} s")
            })?;
            wait_until_caught_up(channel).await;
            let last = channel.ledger().certified_height() - 1;
            let block =
                channel.ledger().read(last)?.with_context(|| format!("channel {id}: block {last} is missing"))?;
            self.ends.push((last + 1, block.header.hash()));
        }
        Ok(())
    }
}

/// A chain that does not grow has been collected to its end. If others load it meanwhile, it is looked at from anywhere.
async fn wait_until_caught_up(channel: &Channel) {
    let (since, mut last) = (Instant::now(), (0, Instant::now()));
    while last.1.elapsed() < CAUGHT_UP_AFTER && since.elapsed() < CATCH_UP_MAX {
        let height = channel.ledger().certified_height();
        if height != last.0 {
            last = (height, Instant::now());
        }
        sleep(WATCH_INTERVAL).await;
    }
}

fn start(folder: &Path, Inside { genesis, identity, settings }: &Inside) -> anyhow::Result<DirectFrontend> {
    let registry = Channels::new()?;
    let mut group: Option<OrderingGroup> = None;
    let mut channels = Vec::new();
    for (index, block) in genesis.iter().enumerate() {
        let config = ChannelConfig::from_block(&Block::decode(block.clone()).context("not a block")?)?;
        let of_channel = ordering_group_after(&config, 0, settings)?;
        let first = group.get_or_insert_with(|| of_channel.clone());
        ensure!(first.id() == of_channel.id(), "channel {} has other consenters", config.channel_id());
        let options = LedgerOptions { cache_bytes_max: DIRECT_LEDGER_CACHE_BYTES_MAX, ..LedgerOptions::default() };
        let ledger = Ledger::open_with(&folder.join(index.to_string()), options)?;
        ledger.append(0, block.clone())?;
        channels.push(registry.add(config, Arc::new(ledger))?);
    }
    let group = group.context("no channel")?;
    let followed = registry.clone();
    let in_force = move || followed.list().iter().map(|channel| channel.config()).collect();
    let directory = Arc::new(Directory::following(&group, BTreeMap::new(), in_force));
    let node = |replica| NodeEndpoint { replica, address: NodeAddress::Dial(Arc::clone(&directory)) };
    let handle = Frontend::start(FrontendSetup {
        nodes: group.view().replicas().map(node).collect(),
        group,
        identity: identity.clone(),
        bodies: Bodies::Pushed,
        session_window: Limits::default().session_window,
    })?;
    for channel in &channels {
        handle.add_channel(Arc::clone(channel))?;
    }
    Ok(DirectFrontend { handle, channels, ends: Vec::new(), _registry: registry })
}

/// A longer chain than this takes is followed while the load runs.
const CATCH_UP_MAX: Duration = Duration::from_secs(600);
