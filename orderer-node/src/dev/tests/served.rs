//! An ordering service of one process: Fabric's interface over a ledger, and an order made on the spot. Real blocks can
//! be put into it as well.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::common::{Block, BlockData, BlockHeader};
use fabric_proto::{ChannelId, metadata};
use frontend_shim::broadcast::{Order, Submit, SubmitError};
use frontend_shim::channels::{ChannelState, Channels};
use frontend_shim::ledger::Ledger;
use frontend_shim::service::Service;
use frontend_shim::status::Counters;
use futures::future::BoxFuture;
use prost::Message as _;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::fabric;
use crate::client::{Endpoint, EnvelopeFactory, EnvelopeKey};

/// It, until it is dropped.
pub(super) struct Served {
    pub(super) ledger: Arc<Ledger>,
    pub(super) config: ChannelConfig,
    pub(super) sequencer: Arc<Sequencer>,
    pub(super) factory: EnvelopeFactory,
    socket: PathBuf,
    shutdown: CancellationToken,
    _dir: tempfile::TempDir,
}

/// Makes a block of each new envelope, in the order in which they come.
pub(super) struct Sequencer {
    ledger: Arc<Ledger>,
    /// What is in the ledger; an envelope that comes again is not ordered again.
    ordered: Mutex<HashSet<EnvelopeKey>>,
    /// So many envelopes are turned away first.
    pub(super) overloaded: AtomicUsize,
}

impl Served {
    /// With the genesis block only.
    pub(super) fn start() -> Self {
        Self::start_with(&[std::fs::read(fabric("bft-chain/0.block")).unwrap()])
    }

    /// With these encoded blocks.
    pub(super) fn start_with(blocks: &[Vec<u8>]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::open(&dir.path().join("ledger")).unwrap());
        for (number, encoded) in (0..).zip(blocks) {
            let block = Block::decode(&encoded[..]).unwrap();
            ledger.append(number, Bytes::from(encoded.clone())).unwrap();
            ledger.certify(number, block.metadata.unwrap().metadata[0].clone()).unwrap();
        }
        let genesis = Block::decode(&blocks[0][..]).unwrap();
        let config = ChannelConfig::from_block(&genesis).unwrap();
        let channels = Channels::new().unwrap();
        channels.add(config.clone(), Arc::clone(&ledger)).unwrap().enter_state(ChannelState::Open);
        let sequencer = Arc::new(Sequencer {
            ledger: Arc::clone(&ledger),
            ordered: Mutex::default(),
            overloaded: AtomicUsize::new(0),
        });
        let service = Service::new(channels, Arc::clone(&sequencer) as Arc<dyn Submit>, Arc::new(Counters::default()));
        let (socket, shutdown) = (dir.path().join("s"), CancellationToken::new());
        let (listener, until) = (UnixListener::bind(&socket).unwrap(), shutdown.clone());
        tokio::spawn(async move { service.serve_unix(listener, until).await });
        let user = fabric("crypto/peerOrganizations/org1.example.com/users/User1@org1.example.com/msp");
        let factory = EnvelopeFactory::load(config.channel_id().clone(), &user, "Org1MSP").unwrap();
        Self { ledger, config, sequencer, factory, socket, shutdown, _dir: dir }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::unix(&self.socket)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Submit for Sequencer {
    fn submit(&self, _: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        let (envelope, left) = (order.envelope().clone(), self.overloaded.load(Relaxed));
        if left > 0 {
            self.overloaded.store(left - 1, Relaxed);
            return Box::pin(std::future::ready(Err(SubmitError::Overloaded)));
        }
        let mut ordered = self.ordered.lock().unwrap();
        if !ordered.insert(EnvelopeKey::of(&envelope)) {
            return Box::pin(std::future::ready(Ok(())));
        }
        let tip = self.ledger.tip().unwrap();
        let data = BlockData { data: vec![envelope] };
        let header = BlockHeader {
            number: tip.number + 1,
            previous_hash: Bytes::copy_from_slice(&tip.header_hash),
            data_hash: Bytes::copy_from_slice(&data.hash()),
        };
        let metadata = metadata::block_metadata(0, Bytes::new(), Vec::new());
        let slot0 = metadata.metadata[0].clone();
        let block = Block { header: Some(header), data: Some(data), metadata: Some(metadata) };
        self.ledger.append(tip.number + 1, block.encode_to_vec().into()).unwrap();
        self.ledger.certify(tip.number + 1, slot0).unwrap();
        Box::pin(std::future::ready(Ok(())))
    }
}
