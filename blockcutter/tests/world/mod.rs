//! What the tests of this crate order: real blocks and envelopes of a Fabric network, and small ones made up here.
#![allow(dead_code, clippy::unwrap_used)]

use std::time::Duration;

use blockcutter::{Command, CutBlock, Ordering, Output, SkipReason, command};
use bytes::Bytes;
use fabric_channel::config_change::ConfigChange;
use fabric_channel::config_transaction::{self, EnvelopeSigner, SignError};
use fabric_channel::{ChannelConfig, ExpiryCheck, derived_bft_policy};
use fabric_proto::common::signature_policy::{self, NOutOf};
use fabric_proto::common::{
    Block, BlockData, BlockHeader, ChannelHeader, ConfigEnvelope, ConfigGroup, ConfigPolicy, ConfigUpdate,
    ConfigUpdateEnvelope, ConfigValue, Envelope, Header, HeaderType, Orderers, Payload, Policy, SignatureHeader,
    SignaturePolicy, SignaturePolicyEnvelope,
};
use fabric_proto::orderer::{BatchSize, BatchTimeout};
use fabric_proto::{ChannelId, block, canonical, metadata};
use mod_smart::{Client, FrontendId, GroupId, InstanceId, ReplicaId, View};
use prost::Message;

pub const FRONTEND: Client = Client::Frontend(FrontendId([7; 32]));

/// The channel of the real blocks.
pub fn bftch() -> ChannelId {
    channel("bftch")
}

pub fn channel(name: &str) -> ChannelId {
    ChannelId::new(name).unwrap()
}

pub fn replica(number: u16) -> Client {
    Client::Replica(ReplicaId(number))
}

pub fn view(n: usize) -> View {
    View::flat(GroupId([1; 32]), n).unwrap()
}

pub fn data(name: &str) -> Bytes {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")).into()
}

/// A block of the real chain.
pub fn real_block(number: u64) -> Block {
    Block::decode(data(&format!("bft/{number}.block"))).unwrap()
}

pub fn real_genesis() -> Bytes {
    data("bft/0.block")
}

/// The real CONFIG envelope that leads from sequence 0 to sequence 1 and from ten envelopes in a block to twenty.
pub fn real_config() -> Bytes {
    Block::decode(data("bft/config_after.block")).unwrap().entries()[0].clone()
}

/// What to change in the real genesis block.
#[derive(Clone)]
pub struct Genesis {
    pub channel: ChannelId,
    pub count: u32,
    pub absolute: u32,
    pub preferred: u32,
    pub timeout: &'static str,
    /// Policies that everybody satisfies, nobody too.
    pub free: bool,
}

impl Default for Genesis {
    fn default() -> Self {
        Self { channel: bftch(), count: 10, absolute: 10_000, preferred: 2_000, timeout: "150ms", free: false }
    }
}

impl Genesis {
    /// With policies that everybody satisfies, and room for a CONFIG envelope.
    pub fn free() -> Self {
        Self { free: true, absolute: 100_000, ..Self::default() }
    }

    pub fn block(&self) -> Bytes {
        block_of(0, Bytes::new(), vec![self.config_envelope()])
    }

    /// A CONFIG envelope with these values, signed like any other.
    pub fn config_envelope(&self) -> Bytes {
        let genesis = Block::decode(real_genesis()).unwrap();
        let envelope = Envelope::decode(genesis.entries()[0].clone()).unwrap();
        let mut payload = Payload::decode(envelope.payload).unwrap();
        let mut header = payload.header.unwrap();
        let mut channel_header = ChannelHeader::decode(header.channel_header).unwrap();
        channel_header.channel_id = self.channel.to_string();
        header.channel_header = channel_header.encode_to_vec().into();
        payload.header = Some(header);

        let mut config = ConfigEnvelope::decode(payload.data).unwrap();
        let tree = config.config.as_mut().unwrap();
        let root = tree.channel_group.as_mut().unwrap();
        if self.free {
            free(root);
        }
        let orderer = root.groups.get_mut("Orderer").unwrap();
        let batch_size = BatchSize {
            max_message_count: self.count,
            absolute_max_bytes: self.absolute,
            preferred_max_bytes: self.preferred,
        };
        orderer.values.get_mut("BatchSize").unwrap().value = batch_size.encode_to_vec().into();
        let timeout = BatchTimeout { timeout: self.timeout.to_owned() };
        orderer.values.get_mut("BatchTimeout").unwrap().value = timeout.encode_to_vec().into();
        payload.data = config.encode_to_vec().into();
        canonical::encode(&payload.encode_to_vec(), b"signature")
    }
}

/// Puts a policy that asks for no signature in the place of every one.
fn free(group: &mut ConfigGroup) {
    let rule = SignaturePolicy { r#type: Some(signature_policy::Type::NOutOf(NOutOf::default())) };
    let policy = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities: Vec::new() };
    let value: Bytes = policy.encode_to_vec().into();
    // The policy for blocks has to be the one that follows from the consenters.
    for (_, entry) in group.policies.iter_mut().filter(|(name, _)| *name != "BlockValidation") {
        entry.policy = Some(Policy { r#type: 1, value: value.clone() });
    }
    group.groups.values_mut().for_each(free);
}

/// The CONFIG envelope that leads from this configuration to one with another count of envelopes in a block.
pub fn next_config(current: &ChannelConfig, count: u32) -> Bytes {
    let change = ConfigChange::evaluate(current.bundle(), &count_update(current, count), ExpiryCheck::Skip).unwrap();
    wrap(&change)
}

/// The CONFIG envelope around a change, signed by nobody.
pub fn wrap(change: &ConfigChange) -> Bytes {
    config_transaction::wrap(change, &Nobody, [7; 24], 1_700_000_000).unwrap()
}

/// An unsigned CONFIG_UPDATE of the count of envelopes in a block.
pub fn count_update(current: &ChannelConfig, count: u32) -> fabric_proto::Envelope {
    let root = current.bundle().config().channel_group.as_ref().unwrap();
    let orderer = &root.groups["Orderer"];
    let batch_size = &orderer.values["BatchSize"];
    let around = |values| {
        let orderer = ConfigGroup { version: orderer.version, values, ..ConfigGroup::default() };
        ConfigGroup {
            version: root.version,
            groups: [("Orderer".to_owned(), orderer)].into(),
            ..ConfigGroup::default()
        }
    };
    let size = BatchSize { max_message_count: count, ..BatchSize::decode(batch_size.value.clone()).unwrap() };
    let value = ConfigValue {
        version: batch_size.version + 1,
        value: size.encode_to_vec().into(),
        mod_policy: batch_size.mod_policy.clone(),
    };
    let update = ConfigUpdate {
        channel_id: current.channel_id().to_string(),
        read_set: Some(around([].into())),
        write_set: Some(around([("BatchSize".to_owned(), value)].into())),
        ..ConfigUpdate::default()
    };
    let data = ConfigUpdateEnvelope { config_update: update.encode_to_vec().into(), signatures: Vec::new() };
    let update = envelope_with(current.channel_id(), HeaderType::ConfigUpdate.into(), 0, data.encode_to_vec());
    fabric_proto::Envelope::decode(update).unwrap()
}

/// The CONFIG envelope that takes a consenter away, with the policy for blocks that follows from the others.
pub fn without_consenter(current: &ChannelConfig, id: u32) -> Bytes {
    let root = current.bundle().config().channel_group.as_ref().unwrap();
    let orderer = &root.groups["Orderer"];
    let (value, policy) = (&orderer.values["Orderers"], &orderer.policies["BlockValidation"]);
    let mut mapping = Orderers::decode(value.value.clone()).unwrap();
    mapping.consenter_mapping.retain(|consenter| consenter.id != id);
    let entries = mapping.consenter_mapping.iter();
    let derived = derived_bft_policy(entries.map(|entry| (entry.msp_id.as_str(), &entry.identity[..])));
    let value = ConfigValue { version: value.version + 1, value: mapping.encode_to_vec().into(), ..value.clone() };
    let policy = ConfigPolicy { version: policy.version + 1, policy: Some(derived), ..policy.clone() };
    let around = |orderer| ConfigGroup {
        version: root.version,
        groups: [("Orderer".to_owned(), orderer)].into(),
        ..ConfigGroup::default()
    };
    let read = ConfigGroup { version: orderer.version, ..ConfigGroup::default() };
    let written = ConfigGroup {
        values: [("Orderers".to_owned(), value)].into(),
        policies: [("BlockValidation".to_owned(), policy)].into(),
        ..read.clone()
    };
    let update = ConfigUpdate {
        channel_id: current.channel_id().to_string(),
        read_set: Some(around(read)),
        write_set: Some(around(written)),
        ..ConfigUpdate::default()
    };
    let data = ConfigUpdateEnvelope { config_update: update.encode_to_vec().into(), signatures: Vec::new() };
    let update = envelope_with(current.channel_id(), HeaderType::ConfigUpdate.into(), 0, data.encode_to_vec());
    let update = fabric_proto::Envelope::decode(update).unwrap();
    wrap(&ConfigChange::evaluate(current.bundle(), &update, ExpiryCheck::Skip).unwrap())
}

struct Nobody;

impl EnvelopeSigner for Nobody {
    fn creator(&self) -> Bytes {
        Bytes::from_static(b"creator")
    }

    fn sign(&self, _: &[u8]) -> Result<Bytes, SignError> {
        Ok(Bytes::from_static(b"signature"))
    }
}

/// The same CONFIG envelope with another count of envelopes in a block, where its result says it.
pub fn bend(config: &Bytes, from: u8, to: u8) -> Bytes {
    let mut bent = config.to_vec();
    let at = bent.windows(3).position(|bytes| bytes == [0x08, from, 0x10]).unwrap();
    bent[at + 1] = to;
    bent.into()
}

/// Has a CONFIG envelope ordered that leads on from this sequence.
pub fn order_config(ordering: &mut Ordering, sequence: u64, envelope: Bytes) -> Vec<Output> {
    order(ordering, FRONTEND, Command::Config { channel: bftch(), sequence, envelope })
}

pub fn block_of(number: u64, previous_hash: Bytes, data: Vec<Bytes>) -> Bytes {
    let data_hash = Bytes::copy_from_slice(&block::data_hash(&data));
    let block = Block {
        header: Some(BlockHeader { number, previous_hash, data_hash }),
        data: Some(BlockData { data }),
        metadata: Some(metadata::block_metadata(number, Bytes::new(), Vec::new())),
    };
    block.encode_to_vec().into()
}

/// An envelope of the given type with so many bytes of data; the number makes it unique.
pub fn envelope_of(channel: &ChannelId, header_type: i32, number: u64, data_bytes: usize) -> Bytes {
    envelope_with(channel, header_type, number, vec![0xda; data_bytes])
}

fn envelope_with(channel: &ChannelId, header_type: i32, number: u64, data: Vec<u8>) -> Bytes {
    let channel_header =
        ChannelHeader { r#type: header_type, channel_id: channel.to_string(), ..ChannelHeader::default() };
    let signature_header =
        SignatureHeader { creator: Bytes::from_static(b"creator"), nonce: number.to_be_bytes().to_vec().into() };
    let payload = Payload {
        header: Some(Header {
            channel_header: channel_header.encode_to_vec().into(),
            signature_header: signature_header.encode_to_vec().into(),
        }),
        data: data.into(),
    };
    canonical::encode(&payload.encode_to_vec(), b"signature")
}

/// A small ordinary envelope of the real channel.
pub fn envelope(number: u64) -> Bytes {
    envelope_of(&bftch(), HeaderType::EndorserTransaction.into(), number, 8)
}

/// Has one command ordered.
pub fn order(ordering: &mut Ordering, client: Client, command: Command) -> Vec<Output> {
    let mut out = Vec::new();
    ordering.apply(InstanceId(1), client, &command::encode(&[command]), &mut out);
    out
}

pub fn order_envelopes(ordering: &mut Ordering, envelopes: Vec<Bytes>) -> Vec<Output> {
    order(ordering, FRONTEND, Command::Envelopes { channel: bftch(), sequence: 0, envelopes })
}

pub fn ask_cut(ordering: &mut Ordering, by: u16, number: u64) -> Vec<Output> {
    order(ordering, replica(by), Command::CutAfterTimeout { channel: bftch(), number })
}

pub fn ask_open(ordering: &mut Ordering, by: u16, channel: &ChannelId, genesis: &Bytes) -> Vec<Output> {
    order(ordering, replica(by), Command::OpenChannel { channel: channel.clone(), genesis: genesis.clone() })
}

/// Four replicas, and the real channel name opened with this genesis block.
pub fn opened(genesis: &Bytes) -> Ordering {
    let mut ordering = Ordering::new(view(4));
    for by in 0..3 {
        ask_open(&mut ordering, by, &bftch(), genesis);
    }
    assert!(ordering.tip(&bftch()).is_some(), "three of four are a quorum");
    ordering
}

pub fn blocks(out: &[Output]) -> Vec<CutBlock> {
    out.iter()
        .filter_map(|output| match output {
            Output::Block(block) => Some(block.clone()),
            _ => None,
        })
        .collect()
}

pub fn skips(out: &[Output]) -> Vec<SkipReason> {
    out.iter()
        .filter_map(|output| match output {
            Output::Skipped { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .collect()
}

/// The numbers and timeouts of the cuts that opened.
pub fn cuts_opened(out: &[Output]) -> Vec<(u64, Duration)> {
    out.iter()
        .filter_map(|output| match output {
            Output::CutOpened { number, timeout, .. } => Some((*number, *timeout)),
            _ => None,
        })
        .collect()
}

/// Outputs in a form that can be compared; of a configuration, only the block it came from.
pub fn comparable(out: &[Output]) -> Vec<String> {
    out.iter()
        .map(|output| match output {
            Output::Opened { channel, genesis, .. } => format!("opened {channel} {:?}", block::data_hash([genesis])),
            other => format!("{other:?}"),
        })
        .collect()
}
