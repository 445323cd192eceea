//! What is measured with: real envelopes, a channel that takes them, and blocks of them.

use std::time::Duration;

use blockcutter::{BundleBuilder, Command, CutBlock, Ordering, Output, command};
use bytes::Bytes;
use fabric_proto::common::{Block, BlockData};
use fabric_proto::metadata::{SignerHeader, block_metadata, signatures_slot};
use fabric_proto::{ChannelId, Envelope, canonical};
use integration::material::{self, Cutting};
use mod_smart::{Client, FrontendId, GroupId, InstanceId, ReplicaId, View};
use prost::Message as _;

/// Envelopes in a body and in a block.
pub const ENVELOPES: usize = 100;
/// Who asks for them to be ordered.
pub const FRONTEND: Client = Client::Frontend(FrontendId([7; 32]));
/// Who orders them.
pub const GROUP: GroupId = GroupId([9; 32]);

/// The channel of the envelopes.
pub fn channel() -> ChannelId {
    ChannelId::new("bftch").unwrap()
}

/// An envelope that a client of real Fabric signed.
pub fn real() -> Bytes {
    Bytes::from_static(include_bytes!("../data/bft/endorser_style_envelope.pb"))
}

/// The same with another signature of the same length, which nobody looks at when it is ordered.
fn numbered(number: u64) -> Bytes {
    let envelope = Envelope::decode(real()).unwrap();
    let mut signature = envelope.signature().to_vec();
    let end = signature.len() - 8;
    signature[end..].copy_from_slice(&number.to_be_bytes());
    canonical::encode(envelope.payload(), &signature)
}

/// A hundred envelopes, none of which occurs in a body of another number.
pub fn envelopes(number: u64) -> Vec<Bytes> {
    (0..ENVELOPES as u64).map(|index| numbered(number * ENVELOPES as u64 + index)).collect()
}

/// The body of a request for these.
pub fn body(envelopes: Vec<Bytes>) -> Bytes {
    let channel = channel();
    let mut bundle = BundleBuilder::new();
    envelopes.into_iter().for_each(|envelope| bundle.push(&channel, 0, envelope));
    bundle.finish()
}

/// The block that opens the channel: it cuts after a hundred envelopes.
fn genesis() -> Bytes {
    let cutting =
        Cutting { message_count_max: ENVELOPES as u32, timeout: Duration::from_secs(2), ..Cutting::default() };
    material::genesis("bftch", 7050, &cutting).unwrap()
}

/// A group of one in which the channel is open.
pub fn ordering() -> Ordering {
    let mut ordering = Ordering::new(View::flat(GROUP, 1).unwrap());
    let open = command::encode(&[Command::OpenChannel { channel: channel(), genesis: genesis() }]);
    let mut out = Vec::new();
    ordering.apply(InstanceId(1), Client::Replica(ReplicaId(0)), &open, &mut out);
    assert!(matches!(out[..], [Output::Opened { .. }]), "{out:?}");
    ordering
}

/// A block as a node stores it.
pub struct Stored {
    pub number: u64,
    /// The encoded block with one signature.
    pub encoded: Bytes,
    /// Its encoded data.
    pub body: Bytes,
    /// What certifies it: the signatures of three nodes.
    pub certificate: Bytes,
}

/// The first blocks of the channel, number 0 among them.
pub fn chain(blocks: u64) -> Vec<Stored> {
    let mut ordering = ordering();
    let genesis = genesis();
    let first = Stored { number: 0, encoded: genesis, body: Bytes::new(), certificate: Bytes::new() };
    let following = (1..blocks).map(|number| {
        let mut out = Vec::new();
        ordering.apply(InstanceId(1), FRONTEND, &body(envelopes(number)), &mut out);
        let [Output::Block(block)] = &out[..] else { panic!("a body of a hundred is a block: {out:?}") };
        stored(block.clone())
    });
    std::iter::once(first).chain(following).collect()
}

fn stored(block: CutBlock) -> Stored {
    let signature = |node: u8| {
        let header = SignerHeader::from_identifier(node.into(), vec![node; 24].into());
        header.into_signature(vec![node; 71].into())
    };
    let number = block.header.number;
    let certificate = signatures_slot(block.metadata_value.clone(), (1..=3).map(signature).collect());
    let metadata = block_metadata(block.last_config, Bytes::new(), vec![signature(1)]);
    let data = BlockData { data: block.data };
    let body = data.encode_to_vec().into();
    let block = Block { header: Some(block.header), data: Some(data), metadata: Some(metadata) };
    Stored { number, encoded: block.encode_to_vec().into(), body, certificate }
}
