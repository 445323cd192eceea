//! The rules of configuration updates, one by one, on a real channel whose policies ask for nobody's signature.
//!
//! The corpus says *that* verdicts are Fabric's; these tests say *why*.

#![allow(clippy::unwrap_used)]

mod free_channel;
mod vectors;

use fabric_channel::config_change::RecomputeError;
use fabric_channel::config_tree::{ConfigTree, Group, PolicyBody, PolicyEntry, Value};
use fabric_channel::update::{ElementKind, UpdateError, ValidationError, propose, validate};
use fabric_channel::{Bundle, ConfigChange, ConfigContent, ExpiryCheck, Shortfall};
use fabric_proto::Envelope;
use fabric_proto::common::ConfigUpdateEnvelope;
use free_channel::{envelope, free_channel, orderer, root, signed_envelope};
use prost::Message as _;
use vectors::{block, config};

#[test]
fn a_real_configuration_block_is_what_its_update_leads_to() {
    let before = config("bft/genesis");
    let content = real_content();
    assert_eq!(validate(before.bundle(), &content), Ok(()));
    // A second time the sequence has moved on.
    let after = config("bft/config_after");
    let again = ValidationError::Sequence { current: 1, found: 1 };
    assert_eq!(validate(after.bundle(), &content), Err(again));
}

#[test]
fn a_replica_demands_the_result_byte_for_byte() {
    let before = config("bft/genesis");
    let real = real_content();
    let update = real.last_update.clone().unwrap();
    let envelope = Envelope::decode(update.encode_to_vec().into()).unwrap();
    let change = ConfigChange::evaluate(before.bundle(), &envelope, ExpiryCheck::Skip).unwrap();
    assert_eq!(Some(change.proposed().config()), real.config.as_ref());
    assert_eq!(change.check_orderable().unwrap().batch_size().max_message_count, 20);

    let bytes = change.proposed().to_content().encode();
    let recompute = |bytes: Vec<u8>| ConfigChange::recompute(before.bundle(), &bytes.into()).map(drop);
    assert_eq!(recompute(bytes.clone()), Ok(()));
    assert_eq!(recompute([&bytes[..], b"\x48\x05"].concat()), Err(RecomputeError::Mismatch));
    let mut altered = change.proposed().to_content();
    altered.config.as_mut().unwrap().root.as_mut().unwrap().version += 1;
    assert_eq!(recompute(altered.encode()), Err(RecomputeError::Mismatch));
    altered.last_update = None;
    assert_eq!(recompute(altered.encode()), Err(RecomputeError::NoLastUpdate));
    assert!(matches!(recompute(bytes[1..].to_vec()), Err(RecomputeError::Content(_))));
}

#[test]
fn an_unsigned_update_says_who_has_to_sign() {
    let before = config("bft/genesis");
    let update = real_content().last_update.unwrap();
    let envelope = Envelope::decode(update.encode_to_vec().into()).unwrap();
    let mut signed = ConfigUpdateEnvelope::decode(envelope.data().clone()).unwrap();
    signed.signatures.clear();
    let error = propose(before.bundle(), &signed_envelope(&signed)).unwrap_err();
    let UpdateError::NotAuthorised(missing) = &error else { panic!("{error}") };
    let element = &missing.elements[0];
    assert_eq!(element.element.to_string(), "value /Channel/Orderer/BatchSize");
    assert_eq!(element.mod_policy, "Admins");
    assert_eq!(element.policy_path, "/Channel/Orderer/Admins");
    let Shortfall::SubPolicies { needed: 1, satisfied, missing, .. } = &element.shortfall else { panic!("{error}") };
    assert!(satisfied.is_empty());
    assert_eq!(missing[0].group, "OrdererOrg");
    assert_eq!(missing[0].why, Some(Shortfall::Rule("1 of (an admin of OrdererMSP)".to_owned())));
    let text = error.to_string();
    assert!(text.contains("missing in OrdererOrg, which needs 1 of (an admin of OrdererMSP)"), "{text}");
    assert!(text.ends_with("The update is not signed by anybody"), "{text}");
    assert_eq!(error.step(), "error authorizing update: error validating DeltaSet");
}

#[test]
fn a_signature_that_does_not_count_is_named() {
    let before = config("bft/genesis");
    let update = real_content().last_update.unwrap();
    let envelope = Envelope::decode(update.encode_to_vec().into()).unwrap();
    let mut signed = ConfigUpdateEnvelope::decode(envelope.data().clone()).unwrap();
    signed.signatures.iter_mut().for_each(|entry| entry.signature = entry.signature_header.clone());
    let error = propose(before.bundle(), &signed_envelope(&signed)).unwrap_err();
    let UpdateError::NotAuthorised(missing) = &error else { panic!("{error}") };
    assert!(missing.signatures[0].signer.starts_with("OrdererMSP"), "{error}");
    assert!(missing.signatures.iter().all(|signature| signature.flaw.is_some()), "{error}");
    assert!(error.to_string().contains("(does not count: "), "{error}");
}

#[test]
fn a_member_that_a_changed_group_no_longer_lists_is_gone() {
    let channel = free_channel();
    let mut write_set = root();
    let mut group = orderer();
    group.version = 1;
    group.values.remove("BatchTimeout");
    write_set.groups.insert("Orderer".to_owned(), group);
    let mut read_set = channel.tree().root.clone().unwrap();
    read_set.values.clear();
    let proposed = propose(&channel, &envelope(Some(&read_set), &write_set)).unwrap();
    let result = proposed.config().group("Orderer").unwrap();
    assert_eq!(result.version, 1);
    assert!(!result.values.contains_key("BatchTimeout"));
    assert!(result.values.contains_key("BatchSize"));
    assert_eq!(proposed.config().sequence, 1);
    assert!(proposed.has_effect());
}

#[test]
fn an_element_that_no_group_lists_is_dropped_without_a_word() {
    let channel = free_channel();
    let mut write_set = root();
    let orphan = Value { mod_policy: "Admins".to_owned(), ..Value::default() };
    write_set.values.insert("Orphan".to_owned(), orphan);
    let proposed = propose(&channel, &envelope(Some(&root()), &write_set)).unwrap();
    assert_eq!(proposed.config().root, channel.tree().root);
    assert_eq!(proposed.config().sequence, 1);
    assert!(!proposed.has_effect());
    let [changed] = proposed.changed() else { panic!("{:?}", proposed.changed()) };
    assert_eq!((changed.kind(), changed.path()), (ElementKind::Value, "/Channel/Orphan"));
}

#[test]
fn a_listed_member_is_taken_as_it_stands_in_the_configuration() {
    let channel = free_channel();
    // The author lists BatchSize with other bytes but with the version he has read: it does not change.
    let mut listed = orderer();
    listed.values.get_mut("BatchSize").unwrap().value = Default::default();
    let mut changed = listed.clone();
    changed.version = 1;
    let (mut read_set, mut write_set) = (root(), root());
    read_set.groups.insert("Orderer".to_owned(), listed);
    write_set.groups.insert("Orderer".to_owned(), changed);
    let proposed = propose(&channel, &envelope(Some(&read_set), &write_set)).unwrap();
    assert_eq!(proposed.config().group("Orderer").unwrap().values, orderer().values);
}

#[test]
fn elements_without_mod_policy_get_one_when_the_orderers_have_capabilities() {
    let mut tree = free_channel().tree().clone();
    let root_group = tree.root.as_mut().unwrap();
    root_group.groups.get_mut("Application").unwrap().mod_policy.clear();
    root_group.values.get_mut("HashingAlgorithm").unwrap().mod_policy.clear();
    let channel = Bundle::from_tree("bftch", tree).unwrap();
    let proposed = propose(&channel, &envelope(Some(&root()), &with_orphan())).unwrap();
    let result = proposed.config().root.as_ref().unwrap();
    assert_eq!(result.groups["Application"].mod_policy, "Admins");
    assert_eq!(result.values["HashingAlgorithm"].mod_policy, "Admins");
    assert!(proposed.has_effect());
}

#[test]
fn refusals_name_the_element() {
    let channel = free_channel();
    let refused = |read_set: &Group, write_set: &Group| {
        propose(&channel, &envelope(Some(read_set), write_set)).unwrap_err().to_string()
    };
    let mut stale = root();
    stale.version = 7;
    let text = refused(&stale, &root());
    assert!(text.contains("group /Channel had version 7, it has version 0 now"), "{text}");
    let mut unknown = root();
    unknown.policies.insert("Nobody".to_owned(), PolicyEntry::default());
    assert!(refused(&unknown, &root()).contains("policy /Channel/Nobody"));
    assert!(refused(&root(), &root()).contains("changes nothing"));
    let mut jump = root();
    jump.version = 2;
    let text = refused(&root(), &jump);
    assert!(text.contains("group /Channel has version 0; a change must give it version 1, not 2"), "{text}");
    let mut named = with_orphan();
    named.values.insert("a_b".to_owned(), Value::default());
    assert!(refused(&root(), &named).contains("the write set has a value with the name \"a_b\" in /Channel"));
    let mut versioned = with_orphan();
    versioned.values.get_mut("Orphan").unwrap().version = 3;
    assert!(refused(&root(), &versioned).contains("value /Channel/Orphan does not exist yet"));
    let mut lawless = with_orphan();
    lawless.values.get_mut("Orphan").unwrap().mod_policy = "no spaces".to_owned();
    assert!(refused(&root(), &lawless).contains("no path of a policy"));
    lawless.values.get_mut("Orphan").unwrap().mod_policy.clear();
    assert!(refused(&root(), &lawless).contains("value /Channel/Orphan: the update leaves its mod_policy empty"));
}

#[test]
fn an_element_whose_mod_policy_is_no_policy_cannot_be_changed() {
    for mod_policy in ["NoSuch", "/Channel", "/Application/Admins", "Application"] {
        let mut tree = free_channel().tree().clone();
        let root_group = tree.root.as_mut().unwrap();
        root_group.values.get_mut("HashingAlgorithm").unwrap().mod_policy = mod_policy.to_owned();
        let mut value = root_group.values["HashingAlgorithm"].clone();
        let channel = Bundle::from_tree("bftch", tree).unwrap();
        value.version = 1;
        let mut write_set = root();
        write_set.values.insert("HashingAlgorithm".to_owned(), value);
        let error = propose(&channel, &envelope(Some(&root()), &write_set)).unwrap_err();
        assert!(matches!(error, UpdateError::ModPolicyMissing { .. }), "{error}");
    }
}

#[test]
fn peers_compare_unknown_fields_and_the_presence_of_policies() {
    let channel = free_channel();
    let proposed = propose(&channel, &envelope(Some(&root()), &with_orphan())).unwrap();
    let content = proposed.to_content();
    assert_eq!(validate(&channel, &content), Ok(()));
    let tamper = |change: &dyn Fn(&mut Group)| {
        let mut other: ConfigContent = content.clone();
        change(other.config.as_mut().unwrap().root.as_mut().unwrap());
        validate(&channel, &other)
    };
    let mismatch = Err(ValidationError::ResultMismatch);
    assert_eq!(tamper(&|group| group.version += 1), mismatch);
    assert_eq!(tamper(&|group| group.unknown = unknown_fields()), mismatch);
    let body = |group: &mut Group| group.policies.values_mut().next().unwrap().policy.take();
    assert_eq!(tamper(&|group| drop(body(group))), mismatch);
    let empty = Some(PolicyBody::default());
    assert_eq!(tamper(&|group| group.policies.values_mut().next().unwrap().policy = empty.clone()), mismatch);
}

#[test]
fn unknown_fields_of_an_update_reach_the_result() {
    let channel = free_channel();
    let mut write_set = root();
    let mut value = channel.tree().root.as_ref().unwrap().values["HashingAlgorithm"].clone();
    value.version = 1;
    value.unknown = unknown_fields();
    write_set.values.insert("HashingAlgorithm".to_owned(), value.clone());
    let proposed = propose(&channel, &envelope(Some(&root()), &write_set)).unwrap();
    assert_eq!(proposed.config().root.as_ref().unwrap().values["HashingAlgorithm"], value);
    let next = Bundle::from_tree("bftch", proposed.config().clone()).unwrap();
    assert_eq!(next.tree(), proposed.config());
    let again = propose(&next, &envelope(Some(&root()), &with_orphan())).unwrap();
    assert!(!again.has_effect());
}

fn with_orphan() -> Group {
    let mut group = root();
    let orphan = Value { mod_policy: "Admins".to_owned(), ..Value::default() };
    group.values.insert("Orphan".to_owned(), orphan);
    group
}

/// Field 9 with the number 5, as a decoder keeps it.
fn unknown_fields() -> fabric_channel::config_tree::UnknownFields {
    let tree = ConfigTree::decode(&bytes::Bytes::from_static(b"\x12\x02\x48\x05")).unwrap();
    tree.root.unwrap().unknown
}

/// The content of a CONFIG transaction that real orderers ordered and real peers accepted.
fn real_content() -> ConfigContent {
    let block = block("bft/config_after");
    let envelope = Envelope::decode(block.entries()[0].clone()).unwrap();
    ConfigContent::decode(envelope.data()).unwrap()
}
