//! Something in the place of node 4 that has its keys, its address and the library, and nobody's interests at heart.

use std::sync::Arc;

use anyhow::Context as _;
use fabric_channel::ChannelConfig;
use fabric_proto::block::header_hash;
use fabric_proto::common::Block;
use frontend_shim::directory::Directory;
use frontend_shim::group::{OrderingGroup, ordering_group};
use frontend_shim::tls::{self, ALPN_FRONTEND, ALPN_GRPC, ALPN_MESH, ClientAuth};
use frontend_shim::tls_identity::TlsIdentity;
use integration::material::{self, ORDERER_MSP_ID};
use integration::network::Network;
use mod_smart::{ReplicaId, View};
use orderer_node::client::{DeliverClient, Endpoint, EnvelopeFactory, Seek};
use orderer_node::keys::{LocalMsp, NodeKeyring, VoteBinding, VoteKey};
use orderer_node::listener::{Accepted, Doors, Listener, ListenerHandle, ListenerLimits, Security, door};
use orderer_node::mesh::{Mesh, MeshDoor, MeshEvent, MeshHandle, MeshLimits, MeshSetup};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::false_blocks::FalseBlocks;
use super::lies::{Last, Lie, Signer, Tip};

/// How it behaves on its listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Takes links of replicas as it should, and no sessions.
    Polite,
    /// The same, and serves frontends with lies.
    Pushes(Lie),
    /// Takes every connection and says nothing.
    Silent,
}

/// The liar. It ends when it is dropped.
pub struct FalseNode {
    pub me: ReplicaId,
    pub view: View,
    pub keyring: Arc<NodeKeyring>,
    pub vote_key: Arc<VoteKey>,
    pub mesh: MeshHandle,
    pub events: mpsc::Receiver<MeshEvent>,
    _listener: ListenerHandle,
    _tasks: JoinSet<()>,
}

impl FalseNode {
    /// Takes node 4's place in a network.
    pub async fn start(network: &Network, manners: Manners) -> anyhow::Result<Self> {
        let genesis = Block::decode(network.genesis().clone())?;
        let config = ChannelConfig::from_block(&genesis)?;
        let group = ordering_group(&config)?;
        let (me, folder) = (ReplicaId(3), material::orderer(4));
        let identity = Arc::new(LocalMsp::load(&folder.join("msp"), ORDERER_MSP_ID)?.identity().clone());
        let server = TlsIdentity::load(&folder.join("tls/server.crt"), &folder.join("tls/server.key"))?;
        let vote_key = Arc::new(VoteKey::derive(identity.key()));
        let keyring = Arc::new(keyring(&config, &group));
        let (mesh, events) = Mesh::start(MeshSetup {
            group: group.id(),
            terms: group.terms(),
            me,
            identity: server.clone(),
            binding: VoteBinding::sign(group.id(), me, &vote_key, identity.key()),
            // It hears everybody in any case; a silent one says nothing to anybody.
            peers: group.view().replicas().filter(|replica| manners != Manners::Silent && *replica != me).collect(),
            directory: Arc::new(Directory::of_group(&group)),
            keyring: Arc::clone(&keyring),
            limits: MeshLimits::default(),
        })?;

        let mut tasks = JoinSet::new();
        let (grpc, _) = door(64);
        let (to_mesh, mesh_links) = door(64);
        let (to_frontends, sessions) = door(64);
        let doors = Doors { grpc: Some(grpc), mesh: Some(to_mesh), frontend: Some(to_frontends) };
        if manners == Manners::Silent {
            tasks.spawn(keep(mesh_links));
            tasks.spawn(keep(sessions));
        } else {
            let door = MeshDoor::new();
            door.open(&mesh);
            tasks.spawn(door.run(mesh_links));
            if let Manners::Pushes(lie) = manners {
                let tip = follow(&mut tasks, network, &genesis)?;
                let signer = Arc::new(Signer { channel: config.channel_id().clone(), identity });
                let genesis = tip.borrow().previous_hash;
                let blocks = FalseBlocks { lie, signer, me, genesis, tip };
                tasks.spawn(serve(sessions, blocks));
            }
        }
        let security =
            Security::Tls(tls::server_config(&server, &[ALPN_GRPC, ALPN_MESH, ALPN_FRONTEND], ClientAuth::Requested)?);
        let listener = Listener::bind(network.address(4).parse()?).await?;
        let listener = listener.start(security, doors, ListenerLimits::default());
        let view = group.view().clone();
        Ok(Self { me, view, keyring, vote_key, mesh, events, _listener: listener, _tasks: tasks })
    }
}

/// Whatever comes stays open and unanswered.
async fn keep(mut accepted: mpsc::Receiver<Accepted>) {
    let mut kept = Vec::new();
    while let Some(connection) = accepted.recv().await {
        kept.push(connection);
    }
}

async fn serve(mut accepted: mpsc::Receiver<Accepted>, blocks: FalseBlocks) {
    let mut sessions = JoinSet::new();
    while let Some(connection) = accepted.recv().await {
        let blocks = blocks.clone();
        sessions.spawn(async move { drop(blocks.serve(connection.socket).await) });
    }
}

/// Follows the chain as a client of node 1 does.
fn follow(tasks: &mut JoinSet<()>, network: &Network, genesis: &Block) -> anyhow::Result<watch::Receiver<Tip>> {
    let (sender, receiver) = watch::channel(tip_after(genesis).context("a genesis block has a header")?);
    let (endpoint, user) = (network.endpoint(1)?, network.user().clone());
    tasks.spawn(async move {
        loop {
            // It ends whenever the other side does, and begins again.
            drop(follow_once(&endpoint, &user, &sender).await);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    Ok(receiver)
}

async fn follow_once(endpoint: &Endpoint, user: &EnvelopeFactory, tip: &watch::Sender<Tip>) -> anyhow::Result<()> {
    let next = tip.borrow().next;
    let mut stream = DeliverClient::open(&endpoint.connect().await?, user, Seek::from(next)).await?;
    while let Some(block) = stream.next().await? {
        tip.send_replace(tip_after(&block).context("a block has a header")?);
    }
    Ok(())
}

fn tip_after(block: &Block) -> Option<Tip> {
    let header = block.header.as_ref()?;
    Some(Tip {
        next: header.number + 1,
        previous_hash: header_hash(header.number, &header.previous_hash, &header.data_hash),
        last: Last {
            // The genesis block follows nothing.
            previous_hash: header.previous_hash[..].try_into().unwrap_or_default(),
            data_hash: header.data_hash[..].try_into().ok()?,
        },
    })
}

fn keyring(config: &ChannelConfig, group: &OrderingGroup) -> NodeKeyring {
    let key = |consenter: &fabric_channel::Consenter| match &consenter.identity {
        Some(identity) => identity.certificate.public_key().clone(),
        None => consenter.server_tls_cert.public_key().clone(),
    };
    let pins = group.consenters().iter().map(key).collect();
    let authorities = config.msps().iter().filter(|msp| config.is_orderer_msp(msp.id())).cloned();
    NodeKeyring::new(group.id(), pins, authorities.collect())
}
