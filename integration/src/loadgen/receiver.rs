//! A Deliver stream that follows the chain, as a peer does.
//!
//! The first receiver tells what was delivered and when; the others only follow, and must see the same chain. A stream
//! that ends is opened again at the next endpoint, behind the last block seen. A block that does not follow the one before ends the
//! receiver: that is for a person to see.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use fabric_proto::common::Block;
use orderer_node::client::{ClientError, DeliverClient, Endpoint, EnvelopeFactory, EnvelopeKey, Seek};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::chain::Chain;
use super::limits::RECONNECT_PAUSE;
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

struct Following {
    endpoints: Vec<Endpoint>,
    factory: EnvelopeFactory,
    role: Role,
    next: u64,
    tip: [u8; 32],
    standing: watch::Sender<Standing>,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Follows `chain` from its end, first at the first of `endpoints`.
    pub(super) fn start(
        endpoints: Vec<Endpoint>,
        factory: EnvelopeFactory,
        chain: &Chain,
        role: Role,
        shared: Arc<Shared>,
    ) -> Self {
        let (next, tip) = (chain.height, chain.tip);
        let (sender, standing) = watch::channel(Standing { next, tip, broken: None });
        let following = Following { endpoints, factory, role, next, tip, standing: sender, shared };
        Self { standing, _task: AbortOnDropHandle::new(tokio::spawn(following.run())) }
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
    async fn run(mut self) {
        for turn in 0_usize.. {
            let endpoint = self.endpoints[turn % self.endpoints.len()].clone();
            match self.follow(&endpoint).await {
                Ok(broken) => {
                    self.standing.send_modify(|standing| standing.broken = Some(broken));
                    return;
                }
                Err(error) => self.shared.on_trouble(&error),
            }
            self.shared.reopened.fetch_add(1, Relaxed);
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Follows until the stream breaks off, or until the chain is found to be broken.
    async fn follow(&mut self, endpoint: &Endpoint) -> Result<String, ClientError> {
        let connection = endpoint.connect().await?;
        let mut blocks = DeliverClient::open(&connection, &self.factory, Seek::from(self.next)).await?;
        while let Some(block) = blocks.next().await? {
            if let Err(why) = self.on_block(&block, Instant::now()) {
                return Ok(format!("{}: {why}", endpoint.name()));
            }
        }
        Ok(format!("{} ended an endless range", endpoint.name()))
    }

    fn on_block(&mut self, block: &Block, at: Instant) -> Result<(), String> {
        let hash = check_link(block, self.next, &self.tip)?;
        if self.role == Role::Measures {
            // Hashed before the lock is taken: those who send wait for it.
            let keys: Vec<EnvelopeKey> = block.entries().iter().map(|envelope| EnvelopeKey::of(envelope)).collect();
            let freed = self.shared.matching().on_block(keys, at);
            self.shared.free(freed);
        }
        (self.next, self.tip) = (self.next + 1, hash);
        let (next, tip) = (self.next, self.tip);
        self.standing.send_modify(|standing| (standing.next, standing.tip) = (next, tip));
        Ok(())
    }
}

/// Is it block `next`, behind the block with header hash `tip`? Gives the hash of its own header.
fn check_link(block: &Block, next: u64, tip: &[u8; 32]) -> Result<[u8; 32], String> {
    let header = block.header.as_ref().ok_or("a block without a header")?;
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
    use fabric_proto::common::BlockHeader;

    use super::*;

    fn block(number: u64, previous_hash: [u8; 32]) -> Block {
        let header =
            BlockHeader { number, previous_hash: previous_hash.to_vec().into(), data_hash: vec![1; 32].into() };
        Block { header: Some(header), ..Block::default() }
    }

    #[test]
    fn only_the_next_block_follows() {
        let first = block(7, [9; 32]);
        let tip = check_link(&first, 7, &[9; 32]);
        assert_eq!(tip, Ok(first.header.as_ref().map(BlockHeader::hash).unwrap_or_default()));
        assert!(check_link(&block(8, tip.clone().unwrap_or_default()), 8, &tip.unwrap_or_default()).is_ok());
        for (wrong, why) in [
            (block(6, [9; 32]), "block 6 came where block 7 was due"),
            (block(8, [9; 32]), "block 8 came where block 7 was due"),
            (block(7, [8; 32]), "block 7 does not link to the one before"),
            (Block::default(), "a block without a header"),
        ] {
            assert_eq!(check_link(&wrong, 7, &[9; 32]), Err(why.to_owned()));
        }
    }
}
