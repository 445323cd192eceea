//! A registrar that keeps channels in memory and says what the test wants.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::common::{Block, BlockHeader, ConfigGroup, ConfigUpdate, ConfigUpdateEnvelope, Envelope};
use fabric_proto::common::{ChannelHeader, Header, HeaderType, Payload};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use orderer_node::participation::{
    self, BlockChoice, ChannelInfo, ChannelStatus, ConsensusRelation, FetchError, JoinBlock, JoinError,
    ParticipationSettings, Registrar, RemoveError, UpdateError,
};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

/// The genesis block of a channel that Fabric's own programs made.
pub const GENESIS: &[u8] = include_bytes!("../../../integration/tests/data/bft-chain/0.block");

/// Channels in memory, and what to answer instead of looking there.
#[derive(Default)]
pub struct FakeRegistrar {
    pub channels: Mutex<BTreeMap<ChannelId, ChannelInfo>>,
    pub joined: Mutex<Vec<JoinBlock>>,
    pub updates: Mutex<Vec<(ChannelId, Bytes)>>,
    pub join_error: Mutex<Option<JoinError>>,
    pub remove_error: Mutex<Option<RemoveError>>,
    pub update_error: Mutex<Option<UpdateError>>,
    pub fetch_error: Mutex<Option<FetchError>>,
}

impl FakeRegistrar {
    pub fn with(names: &[&str]) -> Arc<Self> {
        let registrar = Self::default();
        for name in names {
            registrar.add(info(name, 7));
        }
        Arc::new(registrar)
    }

    fn add(&self, info: ChannelInfo) {
        self.channels.lock().unwrap().insert(info.id.clone(), info);
    }
}

pub fn info(name: &str, height: u64) -> ChannelInfo {
    let id = ChannelId::new(name).unwrap();
    ChannelInfo { id, relation: ConsensusRelation::Consenter, status: ChannelStatus::Active, height }
}

impl Registrar for FakeRegistrar {
    fn list(&self) -> Vec<ChannelId> {
        self.channels.lock().unwrap().keys().cloned().collect()
    }

    fn info(&self, id: &ChannelId) -> Option<ChannelInfo> {
        self.channels.lock().unwrap().get(id).cloned()
    }

    fn join(&self, block: JoinBlock) -> BoxFuture<'_, Result<ChannelInfo, JoinError>> {
        async move {
            if let Some(error) = self.join_error.lock().unwrap().clone() {
                return Err(error);
            }
            let info = info(block.config.channel_id().as_str(), 1);
            if self.info(&info.id).is_some() {
                return Err(JoinError::AlreadyExists);
            }
            self.joined.lock().unwrap().push(block);
            self.add(info.clone());
            Ok(info)
        }
        .boxed()
    }

    fn remove(&self, id: ChannelId) -> BoxFuture<'_, Result<(), RemoveError>> {
        async move {
            if let Some(error) = self.remove_error.lock().unwrap().clone() {
                return Err(error);
            }
            self.channels.lock().unwrap().remove(&id).map(drop).ok_or(RemoveError::NotFound)
        }
        .boxed()
    }

    fn update(&self, id: ChannelId, envelope: Bytes) -> BoxFuture<'_, Result<ChannelInfo, UpdateError>> {
        async move {
            if let Some(error) = self.update_error.lock().unwrap().clone() {
                return Err(error);
            }
            let info = self.info(&id).ok_or(UpdateError::NotFound)?;
            self.updates.lock().unwrap().push((id, envelope));
            Ok(info)
        }
        .boxed()
    }

    fn fetch(&self, id: ChannelId, which: BlockChoice) -> BoxFuture<'_, Result<Bytes, FetchError>> {
        async move {
            if let Some(error) = self.fetch_error.lock().unwrap().clone() {
                return Err(error);
            }
            let height = self.info(&id).ok_or(FetchError::NotFound)?.height;
            match which {
                BlockChoice::Newest => Ok(block(height - 1)),
                BlockChoice::Oldest | BlockChoice::Config => Ok(block(0)),
                BlockChoice::Number(number) if number < height => Ok(block(number)),
                BlockChoice::Number(number) => Err(FetchError::NoSuchBlock(number)),
            }
        }
        .boxed()
    }
}

/// A block with nothing but a number.
pub fn block(number: u64) -> Bytes {
    let header = BlockHeader { number, ..BlockHeader::default() };
    Block { header: Some(header), ..Block::default() }.encode_to_vec().into()
}

/// An update envelope for a channel, with a header of this type.
pub fn update_envelope(channel: &str, header_type: HeaderType) -> Vec<u8> {
    let update = ConfigUpdate {
        channel_id: channel.to_owned(),
        read_set: Some(ConfigGroup::default()),
        ..ConfigUpdate::default()
    };
    let data = ConfigUpdateEnvelope { config_update: update.encode_to_vec().into(), signatures: Vec::new() };
    let channel_header =
        ChannelHeader { r#type: header_type.into(), channel_id: channel.to_owned(), ..ChannelHeader::default() };
    let header = Header { channel_header: channel_header.encode_to_vec().into(), signature_header: Bytes::new() };
    let payload = Payload { header: Some(header), data: data.encode_to_vec().into() };
    Envelope { payload: payload.encode_to_vec().into(), signature: Bytes::new() }.encode_to_vec()
}

/// The API in the clear.
pub struct Served {
    pub address: SocketAddr,
    pub registrar: Arc<FakeRegistrar>,
}

pub async fn serve(names: &[&str]) -> Served {
    serve_with(names, ParticipationSettings::default()).await
}

pub async fn serve_with(names: &[&str], settings: ParticipationSettings) -> Served {
    let registrar = FakeRegistrar::with(names);
    let serving = participation::serve("127.0.0.1:0", None, settings, registrar.clone(), CancellationToken::new());
    Served { address: serving.await.unwrap().address(), registrar }
}
