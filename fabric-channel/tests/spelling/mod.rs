//! The same tree in other bytes: fields and map entries in any order, keys behind their values, and fields of versions to
//! come.

#![allow(dead_code, reason = "each test program uses some of them")]

use std::collections::BTreeMap;

use bytes::Bytes;
use fabric_channel::config_tree::{ConfigTree, Group, PolicyBody, PolicyEntry, UnknownFields, Value};
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::random::Random;

/// A marshalled `Config`.
pub fn spelled_tree(random: &mut Random, tree: &ConfigTree) -> Bytes {
    let mut fields = vec![number(1, tree.sequence)];
    fields.extend(tree.root.as_ref().map(|root| content(2, &spelled(random, root, false))));
    shuffled(random, fields).into()
}

/// A marshalled `ConfigGroup`; with `salted`, now and then with a field that nobody knows.
pub fn spelled(random: &mut Random, group: &Group, salted: bool) -> Vec<u8> {
    let mut fields = vec![number(1, group.version), content(5, group.mod_policy.as_bytes())];
    for (name, child) in &group.groups {
        let message = spelled(random, child, salted);
        fields.push(entry(random, 2, name, &message));
    }
    for (name, value) in &group.values {
        let message = spelled_value(random, value, salted);
        fields.push(entry(random, 3, name, &message));
    }
    for (name, policy) in &group.policies {
        let message = spelled_policy(random, policy, salted);
        fields.push(entry(random, 4, name, &message));
    }
    finish(random, fields, &group.unknown, salted)
}

fn spelled_value(random: &mut Random, value: &Value, salted: bool) -> Vec<u8> {
    let fields = vec![number(1, value.version), content(2, &value.value), content(3, value.mod_policy.as_bytes())];
    finish(random, fields, &value.unknown, salted)
}

fn spelled_policy(random: &mut Random, policy: &PolicyEntry, salted: bool) -> Vec<u8> {
    let mut fields = vec![number(1, policy.version), content(3, policy.mod_policy.as_bytes())];
    if let Some(PolicyBody { kind, value, unknown }) = &policy.policy {
        let body = vec![number(1, i64::from(*kind) as u64), content(2, value)];
        let body = finish(random, body, unknown, salted);
        fields.push(content(2, &body));
    }
    finish(random, fields, &policy.unknown, salted)
}

fn finish(random: &mut Random, mut fields: Vec<Vec<u8>>, unknown: &UnknownFields, salted: bool) -> Vec<u8> {
    // In one piece: the order within a field number counts.
    fields.push(unknown.as_bytes().to_vec());
    if salted && random.below(4) == 0 {
        let octet = random.octet();
        fields.push(if random.below(2) == 0 { number(77, octet.into()) } else { content(78, &[octet; 3]) });
    }
    shuffled(random, fields)
}

fn entry(random: &mut Random, field: u32, name: &str, message: &[u8]) -> Vec<u8> {
    content(field, &shuffled(random, vec![content(1, name.as_bytes()), content(2, message)]))
}

fn shuffled(random: &mut Random, mut fields: Vec<Vec<u8>>) -> Vec<u8> {
    for last in (1..fields.len()).rev() {
        fields.swap(last, random.below(last + 1));
    }
    fields.concat()
}

fn number(field: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(field, WireType::Varint, &mut out);
    encode_varint(value, &mut out);
    out
}

fn content(field: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(field, WireType::LengthDelimited, &mut out);
    encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

/// The unknown fields of every element, those of a policy's body behind those of its entry.
pub fn unknown_fields(root: Option<&Group>) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    root.into_iter().for_each(|root| collect("/Channel", root, &mut found));
    found
}

fn collect(path: &str, group: &Group, found: &mut BTreeMap<String, Vec<u8>>) {
    found.insert(format!("group {path}"), group.unknown.as_bytes().to_vec());
    for (name, value) in &group.values {
        found.insert(format!("value {path}/{name}"), value.unknown.as_bytes().to_vec());
    }
    for (name, policy) in &group.policies {
        let body = policy.policy.as_ref().map_or(&[][..], |body| body.unknown.as_bytes());
        found.insert(format!("policy {path}/{name}"), [policy.unknown.as_bytes(), body].concat());
    }
    for (name, child) in &group.groups {
        collect(&format!("{path}/{name}"), child, found);
    }
}
