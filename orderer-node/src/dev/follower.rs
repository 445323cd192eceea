//! Follows the chain by Deliver, as a peer would: counts what is in it, and tells the latency recorder what arrived.
//!
//! Whole blocks come from one node at a time; when it breaks off, the next is asked for the block that follows. A block
//! that does not link to the one before ends it: that is for a person to see.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fabric_proto::common::Block;
use tokio_util::task::AbortOnDropHandle;

use crate::client::{ClientError, DeliverClient, Endpoint, EnvelopeFactory, EnvelopeKey, LatencyRecorder, Seek};

/// A chain being followed. Dropping it stops that.
pub(super) struct Follower {
    progress: Arc<Progress>,
    _task: AbortOnDropHandle<()>,
}

/// How far it has come.
#[derive(Default)]
struct Progress {
    envelopes: AtomicU64,
    broken: Mutex<Option<String>>,
}

struct Following {
    endpoints: Vec<Endpoint>,
    factory: EnvelopeFactory,
    next: u64,
    tip: Option<[u8; 32]>,
    recorder: Arc<LatencyRecorder>,
    progress: Arc<Progress>,
}

impl Follower {
    /// Follows from block `next` on.
    pub(super) fn start(
        endpoints: Vec<Endpoint>,
        factory: EnvelopeFactory,
        next: u64,
        recorder: Arc<LatencyRecorder>,
    ) -> Self {
        let progress = Arc::new(Progress::default());
        let following = Following { endpoints, factory, next, tip: None, recorder, progress: Arc::clone(&progress) };
        Self { progress, _task: AbortOnDropHandle::new(tokio::spawn(following.run())) }
    }

    /// Envelopes delivered since the start.
    pub(super) fn envelopes(&self) -> u64 {
        self.progress.envelopes.load(Relaxed)
    }

    /// What was wrong with the chain, if something was.
    pub(super) fn broken(&self) -> Option<String> {
        self.progress.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Following {
    async fn run(mut self) {
        for turn in 0_usize.. {
            let endpoint = self.endpoints[turn % self.endpoints.len()].clone();
            match self.follow(&endpoint).await {
                Ok(broken) => {
                    *self.progress.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(broken);
                    return;
                }
                Err(error) => tracing::debug!(%error, "following elsewhere"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Follows one node until it breaks off, or until the chain is found to be broken.
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
        let header = block.header.as_ref().ok_or("a block without a header")?;
        if header.number != self.next {
            return Err(format!("block {} came where block {} was due", header.number, self.next));
        }
        if self.tip.is_some_and(|tip| header.previous_hash[..] != tip) {
            return Err(format!("block {} does not link to the one before", header.number));
        }
        for envelope in block.entries() {
            self.recorder.on_delivered(EnvelopeKey::of(envelope), at);
        }
        self.progress.envelopes.fetch_add(block.entries().len() as u64, Relaxed);
        self.tip = Some(header.hash());
        self.next += 1;
        Ok(())
    }
}

const RETRY_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use fabric_proto::ChannelId;
    use fabric_proto::common::{BlockData, BlockHeader};

    use super::*;

    fn following() -> Following {
        let user = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../integration/tests/data/crypto/peerOrganizations/org1.example.com/users/User1@org1.example.com/msp"
        );
        Following {
            endpoints: Vec::new(),
            factory: EnvelopeFactory::load(ChannelId::new("ch").unwrap(), user.as_ref(), "Org1MSP").unwrap(),
            next: 5,
            tip: None,
            recorder: Arc::default(),
            progress: Arc::default(),
        }
    }

    fn block(number: u64, previous_hash: &[u8]) -> Block {
        let header =
            BlockHeader { number, previous_hash: Bytes::copy_from_slice(previous_hash), data_hash: Bytes::new() };
        let data = BlockData { data: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")] };
        Block { header: Some(header), data: Some(data), metadata: None }
    }

    #[test]
    fn blocks_are_counted_as_long_as_they_link() {
        let (mut following, now) = (following(), Instant::now());
        let first = block(5, b"whatever came before");
        following.on_block(&first, now).unwrap();
        assert_eq!(following.on_block(&block(7, b""), now).unwrap_err(), "block 7 came where block 6 was due");
        assert_eq!(
            following.on_block(&block(6, b"other"), now).unwrap_err(),
            "block 6 does not link to the one before"
        );
        following.on_block(&block(6, &first.header.unwrap().hash()), now).unwrap();
        assert_eq!((following.next, following.progress.envelopes.load(Relaxed)), (7, 4));
    }
}
