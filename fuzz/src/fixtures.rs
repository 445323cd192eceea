//! What several targets decode against: one real channel, one ordering group, keys that are none.

use std::sync::LazyLock;

use blockcutter::{Command, Ordering, command};
use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use fabric_proto::common::Block;
use frontend_shim::group_settings::{GroupSettings, WrittenSettings};
use mod_smart::{
    Client, FrontendId, GroupId, InstanceId, Keyring, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId,
    Signature, Signer, View,
};
use prost::Message as _;

/// The ordering group of all targets.
pub const GROUP: GroupId = GroupId([7; 32]);

/// Settings of a group that are not plain.
pub fn settings() -> GroupSettings {
    let (heavy, leaders) = (Some(vec![1, 2]), Some(vec![3]));
    let written = WrittenSettings { delta: Some(1), heavy, leaders, window: Some(4), ..WrittenSettings::default() };
    GroupSettings::try_from(written).expect("settings")
}

/// The first blocks of a channel of type BFT, made by Hyperledger Fabric 3.1.
pub const CHAIN: [&[u8]; 5] = [
    include_bytes!("../../fabric-channel/tests/data/bft-chain/0.block"),
    include_bytes!("../../fabric-channel/tests/data/bft-chain/1.block"),
    include_bytes!("../../fabric-channel/tests/data/bft-chain/2.block"),
    include_bytes!("../../fabric-channel/tests/data/bft-chain/3.block"),
    include_bytes!("../../fabric-channel/tests/data/bft-chain/4.block"),
];

/// The genesis block of a channel of type etcdraft.
pub const RAFT_GENESIS: &[u8] = include_bytes!("../../fabric-channel/tests/data/raft/genesis.block");

/// An endorser transaction of that channel, signed by a client.
pub const ENVELOPE: &[u8] = include_bytes!("../../blockcutter/tests/data/bft/endorser_tx_envelope.pb");

/// The configuration in block 0 of [`CHAIN`].
pub static CONFIG: LazyLock<ChannelConfig> =
    LazyLock::new(|| ChannelConfig::from_block(&block(0)).expect("a real genesis block"));

/// A group of four replicas.
pub static VIEW: LazyLock<View> = LazyLock::new(|| View::flat(GROUP, 4).expect("four replicas"));

/// The state of a group in which the channel of [`CHAIN`] is open and holds one envelope.
pub static ORDERING: LazyLock<Ordering> = LazyLock::new(|| {
    let mut ordering = Ordering::new(VIEW.clone());
    let open = Command::OpenChannel { channel: channel(), genesis: Bytes::from_static(CHAIN[0]) };
    for replica in VIEW.replicas() {
        ordering.apply(
            InstanceId(1),
            Client::Replica(replica),
            &command::encode(std::slice::from_ref(&open)),
            &mut Vec::new(),
        );
    }
    let fill = Command::Envelopes { channel: channel(), sequence: 0, envelopes: vec![Bytes::from_static(ENVELOPE)] };
    ordering.apply(InstanceId(1), frontend(), &command::encode(&[fill]), &mut Vec::new());
    ordering
});

/// Block `number` of [`CHAIN`].
pub fn block(number: usize) -> Block {
    Block::decode(CHAIN[number]).expect("a real block")
}

/// The channel of [`CHAIN`].
pub fn channel() -> ChannelId {
    CONFIG.channel_id().clone()
}

/// A client of the group.
pub const fn frontend() -> Client {
    Client::Frontend(FrontendId([3; 32]))
}

/// A sealed request of that client.
pub fn request(number: u64, body: Bytes) -> Sealed<Request> {
    let id = RequestId { client: frontend(), session: SessionId(1), sequence: Sequence(number) };
    Request { id, body }.seal(GROUP, &ToyKey)
}

/// Signs everything alike.
pub struct ToyKey;

impl Signer for ToyKey {
    fn sign(&self, _: &[u8]) -> Signature {
        Signature([2; 64])
    }
}

/// Takes every signature for genuine, so that mutations reach what is behind the check.
pub struct Credulous;

impl Keyring for Credulous {
    fn verify_replica(&self, _: ReplicaId, _: &[u8], _: &Signature) -> bool {
        true
    }

    fn verify_client(&self, _: Client, _: &[u8], _: &Signature) -> bool {
        true
    }
}

/// Takes the signatures of [`ToyKey`] only.
pub struct Picky;

impl Keyring for Picky {
    fn verify_replica(&self, _: ReplicaId, _: &[u8], signature: &Signature) -> bool {
        *signature == Signature([2; 64])
    }

    fn verify_client(&self, _: Client, _: &[u8], signature: &Signature) -> bool {
        *signature == Signature([2; 64])
    }
}
