//! Pushing signed blocks to a frontend, as fast as it takes them: what is decided, in order; and beside it what is tentative,
//! as it comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::metadata::parse_signatures_slot;
use frontend_shim::certainty::Certainty;
use frontend_shim::frame::{Bodies, Push, ToFrontend, body_source};
use frontend_shim::ledger::StoredBlock;
use frontend_shim::stages::Stage;
use frontend_shim::tentative_blocks::TentativeBlock;
use mod_smart::{FrontendId, Regency};
use prost::Message as _;
use tokio::sync::{mpsc, watch};

use super::SessionHost;
use crate::joined::JoinedChannel;

/// Pushes the blocks of one channel to one frontend, from the ledger, as fast as the frontend takes them.
pub(super) struct Pusher {
    pub(super) host: Arc<SessionHost>,
    pub(super) frontend: FrontendId,
    pub(super) bodies: Bodies,
    pub(super) channel: ChannelId,
    pub(super) joined: Arc<JoinedChannel>,
    pub(super) pushes: mpsc::Sender<Bytes>,
    /// Header hashes of the blocks whose bodies went out before they were decided, by number.
    pub(super) foretold: Arc<Mutex<BTreeMap<u64, [u8; 32]>>>,
}

impl Pusher {
    pub(super) async fn run(&self, from: u64, mut until: watch::Receiver<u64>) {
        let (mut heights, moved) = (self.joined.ledger.watch(), self.joined.moved.subscribe());
        for number in from.max(1).. {
            if until.wait_for(|until| number < *until).await.is_err() {
                return;
            }
            if heights.wait_for(|heights| number < heights.height).await.is_err() {
                return;
            }
            // What comes after it is signed in another group.
            if moved.borrow().is_some_and(|last| number > last.number) {
                return;
            }
            if !self.push_decided(number).await {
                return;
            }
        }
    }

    /// Pushes what is signed and not decided yet, each block once for each regency, until the session ends. Nothing here is
    /// late: whatever is left out comes again as soon as it is decided.
    pub(super) async fn run_tentative(&self, from: u64, until: watch::Receiver<u64>) {
        let mut changes = self.joined.served.tentative().watch();
        let mut pushed: BTreeMap<u64, (Regency, [u8; 32])> = BTreeMap::new();
        loop {
            changes.mark_unchanged();
            let height = self.joined.ledger.height();
            pushed = pushed.split_off(&height);
            for block in self.joined.served.tentative().from(height.max(from)) {
                let (number, version) = (block.header.number, (block.regency, block.header_hash));
                if number >= *until.borrow() || pushed.insert(number, version) == Some(version) {
                    continue;
                }
                let with_body = self.is_our_turn(number);
                if with_body {
                    self.foretold().insert(number, block.header_hash);
                }
                let Some(push) = self.tentative_push(&block, with_body) else { continue };
                if self.pushes.send(ToFrontend::Push(push).encode()).await.is_err() {
                    return;
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// A frontend asks for a block with its body.
    pub(super) async fn push_again(&self, number: u64) {
        if number < self.joined.ledger.height() {
            self.push(number, true).await;
        } else if let Some(block) =
            self.joined.served.tentative().from(number).first().filter(|it| it.header.number == number)
            && let Some(push) = self.tentative_push(block, true)
        {
            drop(self.pushes.send(ToFrontend::Push(push).encode()).await);
        }
    }

    fn is_our_turn(&self, number: u64) -> bool {
        self.bodies == Bodies::Pushed && body_source(self.frontend, number, &self.host.view) == self.host.me
    }

    fn foretold(&self) -> MutexGuard<'_, BTreeMap<u64, [u8; 32]>> {
        self.foretold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tentative_push(&self, block: &TentativeBlock, with_body: bool) -> Option<Push> {
        Some(Push {
            channel: self.channel.clone(),
            number: block.header.number,
            certainty: Certainty::Tentative(block.regency),
            previous_hash: block.header.previous_hash.as_ref().try_into().ok()?,
            data_hash: block.header.data_hash.as_ref().try_into().ok()?,
            metadata_value: block.metadata_value.clone(),
            signature: block.signature.encode_to_vec().into(),
            body: with_body.then(|| block.data.clone()),
        })
    }

    /// The body goes along if it is our turn and it has not gone out before.
    async fn push_decided(&self, number: u64) -> bool {
        let mut with_body = self.is_our_turn(number);
        if with_body && let Some(foretold) = self.take_foretold(number) {
            let stored = self.joined.ledger.read(number).ok().flatten();
            with_body = stored.is_none_or(|block| block.header.hash() != foretold);
        }
        self.push(number, with_body).await
    }

    fn take_foretold(&self, number: u64) -> Option<[u8; 32]> {
        let mut foretold = self.foretold();
        let later = foretold.split_off(&number.saturating_add(1));
        std::mem::replace(&mut *foretold, later).remove(&number)
    }

    /// Says whether the frontend is still there and the block was.
    async fn push(&self, number: u64, with_body: bool) -> bool {
        let block = match self.joined.ledger.read(number) {
            Ok(Some(block)) => block,
            Ok(None) => return true,
            Err(error) => {
                tracing::error!(channel = %self.channel, number, %error, "cannot read a block for a frontend");
                return false;
            }
        };
        let Some(push) = self.push_of(&block, with_body).await else { return false };
        self.pushes.send(ToFrontend::Push(push).encode()).await.is_ok()
    }

    async fn push_of(&self, block: &Arc<StoredBlock>, with_body: bool) -> Option<Push> {
        let metadata = fabric_proto::common::BlockMetadata::decode(block.metadata()).ok()?;
        let slot = parse_signatures_slot(&metadata).ok()?;
        let signature = self.own_signature(block, slot.value.clone()).await?;
        Some(Push {
            channel: self.channel.clone(),
            number: block.number,
            certainty: Certainty::Decided,
            previous_hash: block.header.previous_hash.as_ref().try_into().ok()?,
            data_hash: block.header.data_hash.as_ref().try_into().ok()?,
            metadata_value: slot.value,
            signature: signature.encode_to_vec().into(),
            body: with_body.then(|| block.data()),
        })
    }

    /// Before the block is certified its only signature is ours. Afterwards ours may not be among those that were merged
    /// first, and signing again is cheaper than keeping it apart.
    async fn own_signature(
        &self,
        block: &Arc<StoredBlock>,
        value: Bytes,
    ) -> Option<fabric_proto::common::MetadataSignature> {
        if !block.certified {
            let metadata = fabric_proto::common::BlockMetadata::decode(block.metadata()).ok()?;
            return parse_signatures_slot(&metadata).ok()?.signatures.into_iter().next();
        }
        let (signer, style, der) = (self.host.signer.clone(), self.joined.style, block.header.der());
        self.host.verify.run(move || Stage::SignBlock.within(|| signer.sign(style, &value, &der))).await?.ok()
    }
}
