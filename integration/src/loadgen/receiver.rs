//! A Deliver stream that follows a chain, as a peer does, or the ledger of a frontend of this process.
//!
//! The first receiver of a channel tells what was delivered and when; the others only follow, and must see the same chain. A
//! stream that ends is opened again at the next endpoint, behind the last block seen. A block that does not follow the one before
//! ends the receiver: that is for a person to see.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fabric_proto::common::{BlockData, BlockHeader};
use frontend_shim::ledger::Ledger;
use orderer_node::client::{ClientError, DeliverClient, Endpoint, EnvelopeFactory, Seek};
use prost::Message as _;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::key::Key;
use super::limits::RECONNECT_PAUSE;
use super::matching::ChannelIndex;
use super::shared::Shared;

/// A receiver at work. Dropping it ends it.
pub(super) struct Receiver {
    standing: watch::Receiver<Standing>,
    _task: AbortOnDropHandle<()>,
}

/// How far a receiver has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Number of the next block.
    pub(super) next: u64,
    /// Hash of the last block's header.
    pub(super) tip: [u8; 32],
    /// Why it goes no further.
    pub(super) broken: Option<String>,
}

/// What a receiver is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It tells what was delivered.
    Measures,
    /// It is one more to be served.
    Follows,
}

/// Which chain, from where on, and what for.
pub(super) struct Task {
    pub(super) channel: ChannelIndex,
    pub(super) role: Role,
    /// Number of the first block.
    pub(super) next: u64,
    /// Hash of the header before it.
    pub(super) tip: [u8; 32],
    pub(super) shared: Arc<Shared>,
}

struct Following {
    task: Task,
    standing: watch::Sender<Standing>,
}

impl Receiver {
    /// Follows a chain by Deliver, first at the first of `endpoints`.
    pub(super) fn of_endpoints(endpoints: Vec<Endpoint>, factory: EnvelopeFactory, task: Task) -> Self {
        Self::start(task, move |mut following| async move { following.endpoints(&endpoints, &factory).await })
    }

    /// Follows what is certified in a ledger.
    pub(super) fn of_ledger(ledger: Arc<Ledger>, task: Task) -> Self {
        Self::start(task, move |mut following| async move { following.ledger(&ledger).await })
    }

    fn start<F>(task: Task, follow: impl FnOnce(Following) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, standing) = watch::channel(Standing { next: task.next, tip: task.tip, broken: None });
        let following = follow(Following { task, standing: sender });
        Self { standing, _task: AbortOnDropHandle::new(tokio::spawn(following)) }
    }

    /// How far it has come.
    pub(super) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Waits until it has come so far or goes no further.
    pub(super) async fn reach(&mut self, next: u64) -> Standing {
        let is_there = |standing: &Standing| standing.next >= next || standing.broken.is_some();
        // It fails only behind a task that has ended, whose last word stands.
        drop(self.standing.wait_for(is_there).await);
        self.standing()
    }
}

impl Following {
    async fn endpoints(&mut self, endpoints: &[Endpoint], factory: &EnvelopeFactory) {
        for endpoint in endpoints.iter().cycle() {
            match self.endpoint(endpoint, factory).await {
                Ok(broken) => return self.enter_broken(broken),
                Err(error) => {
                    self.task.shared.on_trouble(&error);
                    self.task.shared.on_reopened(&format!("a receiver at {}", endpoint.name()), &error);
                }
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Follows until the stream breaks off, or until the chain is found to be broken.
    async fn endpoint(&mut self, endpoint: &Endpoint, factory: &EnvelopeFactory) -> Result<String, ClientError> {
        let connection = endpoint.connect().await?;
        let mut blocks = DeliverClient::open(&connection, factory, Seek::from(self.task.next)).await?;
        while let Some(block) = blocks.next().await? {
            if let Err(why) = self.on_block(block.header.as_ref(), block.entries(), Instant::now()) {
                return Ok(format!("{}: {why}", endpoint.name()));
            }
        }
        Ok(format!("{} ended an endless range", endpoint.name()))
    }

    async fn ledger(&mut self, ledger: &Ledger) {
        let mut certified = ledger.watch_certified();
        loop {
            let height = *certified.borrow_and_update();
            while self.task.next < height {
                if let Err(why) = self.stored_block(ledger) {
                    return self.enter_broken(why);
                }
            }
            if certified.changed().await.is_err() {
                return;
            }
        }
    }

    fn stored_block(&mut self, ledger: &Ledger) -> Result<(), String> {
        let (number, at) = (self.task.next, Instant::now());
        let stored = match ledger.cached(number) {
            Some(block) => Some(block),
            // Rare: blocks are looked at when they have just been stored.
            None => tokio::task::block_in_place(|| ledger.read(number)).map_err(|error| error.to_string())?,
        };
        let stored = stored.ok_or_else(|| format!("block {number} is certified and not stored"))?;
        let data = BlockData::decode(stored.data()).map_err(|error| format!("block {number}: {error}"))?;
        self.on_block(Some(&stored.header), &data.data, at)
    }

    fn enter_broken(&self, why: String) {
        self.standing.send_modify(|standing| standing.broken = Some(why));
    }

    fn on_block(&mut self, header: Option<&BlockHeader>, entries: &[Bytes], at: Instant) -> Result<(), String> {
        let Task { channel, role, shared, .. } = &self.task;
        let hash = check_link(header, self.task.next, &self.task.tip)?;
        if *role == Role::Measures {
            // Recognised before the lock is taken: those who send wait for it.
            let keys: Vec<Key> = entries.iter().map(|envelope| shared.sources.key_of(*channel, envelope)).collect();
            let freed = shared.matching().on_block(*channel, keys, at);
            shared.free(freed);
        }
        let (next, tip) = (self.task.next + 1, hash);
        (self.task.next, self.task.tip) = (next, tip);
        self.standing.send_modify(|standing| (standing.next, standing.tip) = (next, tip));
        Ok(())
    }
}

/// Is it block `next`, behind the block with header hash `tip`? Gives the hash of its own header.
fn check_link(header: Option<&BlockHeader>, next: u64, tip: &[u8; 32]) -> Result<[u8; 32], String> {
    let header = header.ok_or("a block without a header")?;
    if header.number != next {
        return Err(format!("block {} came where block {next} was due", header.number));
    }
    if header.previous_hash[..] != tip[..] {
        return Err(format!("block {next} does not link to the one before"));
    }
    Ok(header.hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(number: u64, previous_hash: [u8; 32]) -> BlockHeader {
        BlockHeader { number, previous_hash: previous_hash.to_vec().into(), data_hash: vec![1; 32].into() }
    }

    #[test]
    fn only_the_next_block_follows() {
        let first = header(7, [9; 32]);
        let tip = first.hash();
        assert_eq!(check_link(Some(&first), 7, &[9; 32]), Ok(tip));
        assert!(check_link(Some(&header(8, tip)), 8, &tip).is_ok());
        for (wrong, why) in [
            (Some(header(6, [9; 32])), "block 6 came where block 7 was due"),
            (Some(header(8, [9; 32])), "block 8 came where block 7 was due"),
            (Some(header(7, [8; 32])), "block 7 does not link to the one before"),
            (None, "a block without a header"),
        ] {
            assert_eq!(check_link(wrong.as_ref(), 7, &[9; 32]), Err(why.to_owned()));
        }
    }
}
