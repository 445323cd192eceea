//! The channel that the simulated service orders: a real genesis block with small blocks, and envelopes for it.

use std::cell::RefCell;

use anyhow::Context as _;
use blockcutter::{Command, Ordering, command};
use bytes::Bytes;
use fabric_proto::common::{
    Block, BlockData, BlockHeader, ChannelHeader, ConfigEnvelope, Envelope, Header, HeaderType, Payload,
    SignatureHeader,
};
use fabric_proto::orderer::{BatchSize, BatchTimeout};
use fabric_proto::{ChannelId, block, canonical, metadata};
use mod_smart::{Client, View};
use prost::Message as _;

/// The name of the channel.
#[must_use]
pub fn channel() -> ChannelId {
    ChannelId::new(CHANNEL).unwrap_or_else(|error| unreachable!("a constant name is valid: {error}"))
}

/// The ordering application of this view with the channel open.
///
/// # Errors
/// The block in the repository is not the one this was written for.
pub fn opened(view: &View) -> anyhow::Result<Ordering> {
    thread_local! {
        /// Reading a channel's configuration takes longer than all else before a world begins.
        static OPENED: RefCell<Vec<(View, Ordering)>> = const { RefCell::new(Vec::new()) };
    }
    let known = OPENED.with_borrow(|opened| opened.iter().find(|(of, _)| of == view).map(|(_, known)| known.clone()));
    if let Some(known) = known {
        return Ok(known);
    }
    let mut ordering = Ordering::new(view.clone());
    let body = command::encode(&[Command::OpenChannel { channel: channel(), genesis: small_blocks()? }]);
    for replica in view.replicas() {
        ordering.apply(Client::Replica(replica), &body, &mut Vec::new());
    }
    anyhow::ensure!(ordering.tip(&channel()).is_some(), "the channel did not open");
    OPENED.with_borrow_mut(|opened| opened.push((view.clone(), ordering.clone())));
    Ok(ordering)
}

/// An ordinary envelope, made unique by its number.
#[must_use]
pub fn envelope(number: u64, data_bytes: usize) -> Bytes {
    let channel_header = ChannelHeader {
        r#type: HeaderType::EndorserTransaction.into(),
        channel_id: CHANNEL.to_owned(),
        ..ChannelHeader::default()
    };
    let nonce = number.to_be_bytes().to_vec().into();
    let signature_header = SignatureHeader { creator: Bytes::from_static(b"creator"), nonce };
    let header = Header {
        channel_header: channel_header.encode_to_vec().into(),
        signature_header: signature_header.encode_to_vec().into(),
    };
    let payload = Payload { header: Some(header), data: vec![0xda; data_bytes].into() };
    canonical::encode(&payload.encode_to_vec(), b"signature")
}

/// The real genesis block, with four envelopes to a block and a quick timeout.
fn small_blocks() -> anyhow::Result<Bytes> {
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
    let orderer = tree.groups.get_mut("Orderer").context("a channel has an Orderer group")?;
    let size = BatchSize { max_message_count: 4, absolute_max_bytes: 10_000, preferred_max_bytes: 2_000 };
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

const CHANNEL: &str = "bftch";
