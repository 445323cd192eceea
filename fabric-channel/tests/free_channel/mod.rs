//! A real channel in which every policy is satisfied by nobody's signature, and updates of it.

#![allow(dead_code, reason = "each test program uses some of them")]

use bytes::Bytes;
use fabric_channel::Bundle;
use fabric_channel::config_tree::{ConfigTree, Group, PolicyBody};
use fabric_proto::common::signature_policy::{NOutOf, Type};
use fabric_proto::common::{
    ChannelHeader, ConfigUpdateEnvelope, Header, HeaderType, Payload, SignaturePolicy, SignaturePolicyEnvelope,
};
use fabric_proto::{Envelope, canonical};
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, encode_key, encode_varint, skip_field};

use crate::vectors::config;

/// Sequence 0, all versions 0.
pub fn free_channel() -> Bundle {
    let mut tree: ConfigTree = config("bft/genesis").bundle().tree().clone();
    tree.root.iter_mut().for_each(free);
    Bundle::from_tree(CHANNEL, tree).unwrap_or_else(|error| panic!("{error}"))
}

fn free(group: &mut Group) {
    let rule = SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf::default())) };
    let policy = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities: Vec::new() };
    for entry in group.policies.values_mut() {
        let value = policy.encode_to_vec().into();
        entry.policy = Some(PolicyBody { kind: 1, value, ..PolicyBody::default() });
    }
    group.groups.values_mut().for_each(free);
}

/// The root group of [`free_channel`], without members.
pub fn root() -> Group {
    Group { mod_policy: "Admins".to_owned(), ..Group::default() }
}

/// The orderer group of [`free_channel`].
pub fn orderer() -> Group {
    free_channel().tree().group("Orderer").cloned().unwrap_or_default()
}

/// An unsigned update.
pub fn envelope(read_set: Option<&Group>, write_set: &Group) -> Envelope {
    envelope_of(update_bytes(read_set, write_set))
}

/// An unsigned update, already marshalled.
pub fn envelope_of(update: Vec<u8>) -> Envelope {
    signed_envelope(&ConfigUpdateEnvelope { config_update: update.into(), signatures: Vec::new() })
}

/// A marshalled `ConfigUpdate`.
pub fn update_bytes(read_set: Option<&Group>, write_set: &Group) -> Vec<u8> {
    update_of_bytes(read_set.map(Group::encode).as_deref(), &write_set.encode())
}

/// A marshalled `ConfigUpdate` with these sets, already marshalled.
pub fn update_of_bytes(read_set: Option<&[u8]>, write_set: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, 1, CHANNEL.as_bytes());
    if let Some(read_set) = read_set {
        push(&mut out, 2, read_set);
    }
    push(&mut out, 3, write_set);
    out
}

/// The write set of an update as a tree.
pub fn update_of(envelope: &Envelope) -> ConfigTree {
    let signed = ConfigUpdateEnvelope::decode(envelope.data().clone()).unwrap_or_default();
    let mut bytes = &signed.config_update[..];
    let mut tree = Vec::new();
    while let Ok((number, wire_type)) = decode_key(&mut bytes) {
        let start = bytes;
        let Ok(()) = skip_field(wire_type, number, &mut bytes, DecodeContext::default()) else { break };
        // Field 3 of an update is field 2 of a configuration; parts of a set that occurs twice are merged in both.
        if (number, wire_type) == (3, WireType::LengthDelimited) {
            encode_key(2, wire_type, &mut tree);
            tree.extend_from_slice(&start[..start.len() - bytes.len()]);
        }
    }
    ConfigTree::decode(&tree.into()).unwrap_or_default()
}

/// A CONFIG_UPDATE envelope.
pub fn signed_envelope(update: &ConfigUpdateEnvelope) -> Envelope {
    let channel_header = ChannelHeader {
        r#type: HeaderType::ConfigUpdate.into(),
        channel_id: CHANNEL.to_owned(),
        ..ChannelHeader::default()
    };
    let header = Header { channel_header: channel_header.encode_to_vec().into(), signature_header: Bytes::new() };
    let payload = Payload { header: Some(header), data: update.encode_to_vec().into() };
    let bytes = canonical::encode(&payload.encode_to_vec(), b"unused");
    Envelope::decode(bytes).unwrap_or_else(|error| panic!("{error}"))
}

fn push(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

const CHANNEL: &str = "bftch";
