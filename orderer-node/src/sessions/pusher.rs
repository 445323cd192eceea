//! Pushing signed blocks to a frontend, as fast as it takes them.

use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::metadata::parse_signatures_slot;
use frontend_shim::frame::{Bodies, Push, ToFrontend, body_source};
use frontend_shim::ledger::StoredBlock;
use frontend_shim::stages::Stage;
use mod_smart::FrontendId;
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
            let turn = body_source(self.frontend, number, self.host.view.n()) == self.host.me;
            if !self.push(number, turn && self.bodies == Bodies::Pushed).await {
                return;
            }
        }
    }

    /// Says whether the frontend is still there and the block was.
    pub(super) async fn push(&self, number: u64, with_body: bool) -> bool {
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
