//! What is written here, the update algorithm leads to: on real channels, real updates and random changes.

#![allow(clippy::unwrap_used)]

mod edits;
mod random;
mod signatures;

use bytes::Bytes;
use fabric_proto::common::Block;
use fabric_proto::{Envelope, common};
use prost::Message as _;

use super::{NoDifference, Outcome, SignedUpdate, UpdateDraft, compute_update, differences};
use crate::config_tree::ConfigTree;
use crate::{ChannelConfig, ConfigContent, ExpiryCheck, update};

#[test]
fn the_update_that_configtxlator_made_is_made_again() {
    let (before, after) = (config("bft/genesis"), config("bft/config_after"));
    let real = SignedUpdate::read(&last_update().encode_to_vec().into()).unwrap();
    let draft = UpdateDraft::new(before.bundle(), after.bundle().tree()).unwrap();
    assert_eq!(&draft.sets().read_set, real.read_set());
    assert_eq!(&draft.sets().write_set, real.write_set());
    assert_eq!(draft.config_update(), real.content().config_update);
}

#[test]
fn what_everybody_signed_is_what_the_outcome_shows() {
    let before = config("bft/genesis");
    let real = Envelope::decode(last_update().encode_to_vec().into()).unwrap();
    let outcome = Outcome::of(before.bundle(), &real, ExpiryCheck::Skip).unwrap();
    let proposed = update::propose(before.bundle(), &real).unwrap();
    assert_eq!(outcome.tree(), proposed.config());
    assert_eq!(outcome.changed(), proposed.changed());
    assert_eq!(outcome.config().unwrap().batch_size().max_message_count, 20);
    assert_eq!(outcome.config().unwrap().bundle().tree(), proposed.config());
}

#[test]
fn a_configuration_that_stays_needs_no_update() {
    let before = config("bft/genesis");
    let mut renumbered = before.bundle().tree().clone();
    renumbered.root.as_mut().unwrap().version = 7;
    assert_eq!(UpdateDraft::new(before.bundle(), &renumbered), Err(NoDifference::Equal));
    assert!(differences(before.bundle().tree(), &renumbered).is_empty());
    assert_eq!(compute_update(&ConfigTree::default(), &renumbered), Err(NoDifference::NoChannelGroup));
}

/// The CONFIG_UPDATE envelope that a real network accepted.
fn last_update() -> common::Envelope {
    let envelope = Envelope::decode(block("bft/config_after").entries()[0].clone()).unwrap();
    ConfigContent::decode(envelope.data()).unwrap().last_update.unwrap()
}

fn config(name: &str) -> ChannelConfig {
    ChannelConfig::from_block(&block(name)).unwrap()
}

fn block(name: &str) -> Block {
    let path = format!("{}/tests/data/{name}.block", env!("CARGO_MANIFEST_DIR"));
    Block::decode(&std::fs::read(path).unwrap()[..]).unwrap()
}

/// What the update from one tree to the other leads to.
fn outcome(current: &ChannelConfig, desired: &ConfigTree) -> Outcome {
    let envelope = UpdateDraft::new(current.bundle(), desired).unwrap().envelope();
    Outcome::of(current.bundle(), &Envelope::decode(envelope).unwrap(), ExpiryCheck::Skip).unwrap()
}

/// Two fields that nobody knows.
fn unknown_fields() -> Bytes {
    Bytes::from_static(b"\xc0\x3e\x05\xca\x3e\x01x")
}
