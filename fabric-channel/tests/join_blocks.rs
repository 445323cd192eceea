//! Which blocks a channel may be joined with.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod vectors;

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_channel::join_block::{self, JoinBlockError};
use fabric_proto::common::{Block, ConfigEnvelope, ConfigGroup, Envelope, Payload};
use prost::Message as _;

/// A genesis block that Fabric's own programs made.
const GENESIS: &str = "bft-chain/0";

/// The block with another configuration tree in it, in good order otherwise.
fn edited(mut block: Block, edit: impl FnOnce(&mut ConfigGroup)) -> Block {
    let mut envelope = Envelope::decode(block.entries()[0].clone()).unwrap();
    let mut payload = Payload::decode(envelope.payload.clone()).unwrap();
    let mut content = ConfigEnvelope::decode(payload.data.clone()).unwrap();
    edit(content.config.as_mut().unwrap().channel_group.as_mut().unwrap());
    payload.data = content.encode_to_vec().into();
    envelope.payload = payload.encode_to_vec().into();
    with_entries(&mut block, vec![envelope.encode_to_vec().into()]);
    block
}

fn with_entries(block: &mut Block, entries: Vec<Bytes>) {
    let data = block.data.as_mut().unwrap();
    data.data = entries;
    block.header.as_mut().unwrap().data_hash = data.hash().to_vec().into();
}

fn refusal(block: &Block) -> String {
    join_block::read(block).unwrap_err().to_string()
}

#[test]
fn a_genesis_block_of_fabric_is_joined_and_can_be_ordered() {
    let bundle = join_block::read(&vectors::block(GENESIS)).unwrap();
    let id = bundle.channel_id().clone();
    assert_eq!(ChannelConfig::from_bundle(bundle).unwrap().channel_id(), &id);
}

#[test]
fn an_empty_block_and_one_of_ordinary_envelopes_are_no_config_blocks() {
    assert_eq!(refusal(&Block::default()), "block is not a config block");
    let mut twice = vectors::block(GENESIS);
    let entry = twice.entries()[0].clone();
    with_entries(&mut twice, vec![entry.clone(), entry]);
    assert_eq!(refusal(&twice), "block is not a config block");
}

#[test]
fn a_block_without_metadata_is_refused() {
    let mut block = vectors::block(GENESIS);
    block.metadata.as_mut().unwrap().metadata.clear();
    assert_eq!(refusal(&block), "invalid block: does not have metadata");
    block.metadata = None;
    assert_eq!(refusal(&block), "invalid block: does not have metadata");
}

#[test]
fn a_block_whose_header_names_other_data_is_refused() {
    let text = "invalid block: Header.DataHash is different from Hash(block.Data)";
    let mut block = vectors::block(GENESIS);
    block.header.as_mut().unwrap().data_hash = vec![0; 32].into();
    assert_eq!(refusal(&block), text);
    block.header = None;
    assert_eq!(refusal(&block), text);
}

#[test]
fn a_system_channel_is_refused() {
    let block = edited(vectors::block(GENESIS), |root| {
        root.groups.insert("Consortiums".to_owned(), ConfigGroup::default());
    });
    assert_eq!(refusal(&block), "invalid config: contains consortiums: system channel not supported");
}

#[test]
fn a_channel_without_applications_is_refused() {
    let block = edited(vectors::block(GENESIS), |root| {
        root.groups.remove("Application");
    });
    assert_eq!(refusal(&block), "invalid config: must contain application config");
}

#[test]
fn a_configuration_that_is_not_valid_is_refused_with_its_reason() {
    let block = edited(vectors::block(GENESIS), |root| {
        root.groups.insert("Strange".to_owned(), ConfigGroup::default());
    });
    assert!(matches!(join_block::read(&block), Err(JoinBlockError::Config(_))));
    assert_eq!(refusal(&block), "/Channel: group \"Strange\" is not allowed");
}
