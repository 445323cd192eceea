//! The channel that the simulated service orders: a real genesis block with small blocks, and envelopes for it.

use std::cell::RefCell;

use anyhow::Context as _;
use blockcutter::{Command, Ordering, command};
use bytes::Bytes;
use fabric_proto::common::signature_policy::{self, NOutOf};
use fabric_proto::common::{
    Block, BlockData, BlockHeader, ChannelHeader, ConfigEnvelope, ConfigGroup, Envelope, HeaderType, Payload, Policy,
    SignaturePolicy, SignaturePolicyEnvelope, policy,
};
use fabric_proto::orderer::{BatchSize, BatchTimeout};
use fabric_proto::{ChannelId, block, canonical, metadata};
use mod_smart::{Client, InstanceId, View};
use prost::Message as _;

use super::members::payload;

/// The name of the channel.
#[must_use]
pub fn channel() -> ChannelId {
    ChannelId::new(CHANNEL).unwrap_or_else(|error| unreachable!("a constant name is valid: {error}"))
}

/// The ordering application of this view with the channel open.
///
/// # Errors
/// The block in the repository is not the one this was written for.
pub fn opened(view: &View, writers: Writers) -> anyhow::Result<Ordering> {
    thread_local! {
        /// Reading a channel's configuration takes longer than all else before a world begins.
        static OPENED: RefCell<Vec<(View, Writers, Ordering)>> = const { RefCell::new(Vec::new()) };
    }
    let known = OPENED.with_borrow(|opened| {
        let mut opened = opened.iter();
        opened.find(|(of, by, _)| of == view && *by == writers).map(|(_, _, known)| known.clone())
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let mut ordering = Ordering::new(view.clone());
    let body = command::encode(&[Command::OpenChannel { channel: channel(), genesis: small_blocks(writers)? }]);
    for replica in view.replicas() {
        ordering.apply(InstanceId(1), Client::Replica(replica), &body, &mut Vec::new());
    }
    anyhow::ensure!(ordering.tip(&channel()).is_some(), "the channel did not open");
    OPENED.with_borrow_mut(|opened| opened.push((view.clone(), writers, ordering.clone())));
    Ok(ordering)
}

/// Whom the policies of the channel ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Nobody: every envelope may be ordered, and every update made. Only blocks need signatures.
    Anybody,
    /// Members and administrators, as on a real channel.
    Members,
}

/// An ordinary envelope that nobody signed, made unique by its number.
#[must_use]
pub fn envelope(number: u64, data_bytes: usize) -> Bytes {
    let creator = Bytes::from_static(b"creator");
    let payload = payload(CHANNEL, HeaderType::EndorserTransaction, creator, number, vec![0xda; data_bytes]);
    canonical::encode(&payload, b"signature")
}

/// Puts a policy that asks for no signature in the place of every one but that for blocks, which follows from the consenters.
fn free(group: &mut ConfigGroup) {
    let rule = SignaturePolicy { r#type: Some(signature_policy::Type::NOutOf(NOutOf::default())) };
    let policy = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities: Vec::new() };
    let value: Bytes = policy.encode_to_vec().into();
    for (_, entry) in group.policies.iter_mut().filter(|(name, _)| *name != "BlockValidation") {
        entry.policy = Some(Policy { r#type: policy::PolicyType::Signature.into(), value: value.clone() });
    }
    group.groups.values_mut().for_each(free);
}

/// The real genesis block, with four envelopes to a block and a quick timeout.
fn small_blocks(writers: Writers) -> anyhow::Result<Bytes> {
    let real = Block::decode(&include_bytes!("../../tests/data/bft/genesis.block")[..])?;
    let envelope = Envelope::decode(real.entries().first().context("a config block holds an envelope")?.clone())?;
    let mut payload = Payload::decode(envelope.payload)?;
    let mut header = payload.header.context("a payload has a header")?;
    let mut channel_header = ChannelHeader::decode(header.channel_header)?;
    channel_header.channel_id = CHANNEL.to_owned();
    header.channel_header = channel_header.encode_to_vec().into();
    payload.header = Some(header);
    let mut config = ConfigEnvelope::decode(payload.data)?;
    let tree =
        config.config.as_mut().and_then(|config| config.channel_group.as_mut()).context("a config has a tree")?;
    if writers == Writers::Anybody {
        free(tree);
    }
    let orderer = tree.groups.get_mut("Orderer").context("a channel has an Orderer group")?;
    let size = BatchSize { max_message_count: 4, absolute_max_bytes: 100_000, preferred_max_bytes: 2_000 };
    orderer.values.get_mut("BatchSize").context("a batch size")?.value = size.encode_to_vec().into();
    let timeout = BatchTimeout { timeout: "150ms".to_owned() };
    orderer.values.get_mut("BatchTimeout").context("a batch timeout")?.value = timeout.encode_to_vec().into();
    payload.data = config.encode_to_vec().into();
    let data = vec![canonical::encode(&payload.encode_to_vec(), b"signature")];
    let data_hash = Bytes::copy_from_slice(&block::data_hash(&data));
    let block = Block {
        header: Some(BlockHeader { number: 0, previous_hash: Bytes::new(), data_hash }),
        data: Some(BlockData { data }),
        metadata: Some(metadata::block_metadata(0, Bytes::new(), Vec::new())),
    };
    Ok(block.encode_to_vec().into())
}

/// The channel of the real block.
pub const CHANNEL: &str = "bftch";
