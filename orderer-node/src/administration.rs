//! The channel participation API over what this node really has: its registrar, its clients' side, its ledgers.

use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::common::{Block, Status};
use fabric_proto::metadata::last_config_index;
use frontend_shim::channels::{Channel, Channels};
use frontend_shim::service::Service;
use futures::future::BoxFuture;
use prost::Message as _;

use crate::participation::{
    BlockChoice, ChannelInfo, ConsensusRelation, FetchError, JoinBlock, JoinError, RemoveError, UpdateError,
};
use crate::registrar::Registrar;

/// What an administrator of this node can do.
#[derive(Clone)]
pub struct Administration {
    /// Joins and removes.
    pub registrar: Registrar,
    /// Takes updates, as it takes them from clients.
    pub service: Service,
    /// Whose blocks are served.
    pub channels: Channels,
}

impl crate::participation::Registrar for Administration {
    fn list(&self) -> Vec<ChannelId> {
        self.registrar.list()
    }

    fn info(&self, id: &ChannelId) -> Option<ChannelInfo> {
        self.registrar.info(id)
    }

    fn join(&self, block: JoinBlock) -> BoxFuture<'_, Result<ChannelInfo, JoinError>> {
        Box::pin(self.registrar.join(block.bytes))
    }

    fn remove(&self, id: ChannelId) -> BoxFuture<'_, Result<(), RemoveError>> {
        Box::pin(async move { self.registrar.remove(&id).await })
    }

    fn update(&self, id: ChannelId, envelope: Bytes) -> BoxFuture<'_, Result<ChannelInfo, UpdateError>> {
        Box::pin(async move {
            let info = self.info(&id).ok_or(UpdateError::NotFound)?;
            if info.relation != ConsensusRelation::Consenter {
                return Err(UpdateError::Follower);
            }
            let answer = self.service.broadcast(envelope).await;
            if answer.status != i32::from(Status::Success) {
                return Err(UpdateError::Refused(answer.info));
            }
            self.info(&id).ok_or(UpdateError::PendingRemoval)
        })
    }

    fn fetch(&self, id: ChannelId, which: BlockChoice) -> BoxFuture<'_, Result<Bytes, FetchError>> {
        Box::pin(async move {
            let info = self.info(&id).ok_or(FetchError::NotFound)?;
            // Only channels that are ordered here are served to anybody.
            let channel = self.channels.find(id.as_str()).ok_or(match info.relation {
                ConsensusRelation::Consenter => FetchError::NotFound,
                _ => FetchError::Follower,
            })?;
            let reading = tokio::task::spawn_blocking(move || read(&channel, which));
            reading.await.unwrap_or_else(|_| Err(FetchError::Unreadable("this node is stopping".to_owned())))
        })
    }
}

/// A block that clients may see. Reads files.
fn read(channel: &Arc<Channel>, which: BlockChoice) -> Result<Bytes, FetchError> {
    let newest = channel.ledger().certified_height().saturating_sub(1);
    let number = match which {
        BlockChoice::Newest => newest,
        BlockChoice::Oldest => 0,
        BlockChoice::Number(number) => number,
        BlockChoice::Config => last_config(&block(channel, newest)?)?,
    };
    if number > newest {
        return Err(FetchError::NoSuchBlock(number));
    }
    block(channel, number)
}

fn block(channel: &Channel, number: u64) -> Result<Bytes, FetchError> {
    let stored = channel.ledger().read(number).map_err(|error| FetchError::Unreadable(error.to_string()))?;
    Ok(stored.ok_or(FetchError::NoSuchBlock(number))?.encoded())
}

fn last_config(encoded: &Bytes) -> Result<u64, FetchError> {
    let unreadable = |why: String| FetchError::Unreadable(why);
    let block = Block::decode(encoded.clone()).map_err(|error| unreadable(error.to_string()))?;
    last_config_index(&block).map_err(|error| unreadable(error.to_string()))
}
