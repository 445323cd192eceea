//! The rules of policy evaluation, one by one, on the identities of a real channel.
//!
//! The corpus says *that* verdicts are Fabric's; these tests say *why*.

#![allow(clippy::unwrap_used)]

mod vectors;

use std::collections::BTreeMap;

use bytes::Bytes;
use fabric_channel::{Bundle, ChannelConfig, Identity, PolicyError, SignaturePolicy, SignedData};
use fabric_proto::common::implicit_meta_policy::Rule;
use fabric_proto::common::signature_policy::{NOutOf, Type};
use fabric_proto::common::{
    Config, ConfigGroup, ConfigPolicy, ImplicitMetaPolicy, Policy, SignaturePolicy as RuleMessage,
    SignaturePolicyEnvelope,
};
use fabric_proto::metadata::{SignerHeader, parse_signatures_slot, signature_preimage};
use fabric_proto::msp::msp_principal::Classification;
use fabric_proto::msp::msp_role::MspRoleType;
use fabric_proto::msp::{MspPrincipal, MspRole};
use prost::Message as _;
use vectors::{block, config};

#[test]
fn one_signer_counts_for_one_leaf() {
    let [a, b, ..] = consenters();
    let rule = n_out_of(2, vec![signed_by(0), signed_by(0)]);
    let principals = vec![member()];
    assert!(!is_satisfied(&rule, &principals, &[&a]));
    assert!(is_satisfied(&rule, &principals, &[&a, &b]));
}

#[test]
fn leaves_are_greedy_and_never_give_back() {
    let [a, b, ..] = consenters();
    let rule = n_out_of(2, vec![signed_by(0), signed_by(1)]);
    let principals = vec![member(), exactly(&a)];
    // The first leaf would be content with anybody, takes `a`, and leaves nothing for the second.
    assert!(!is_satisfied(&rule, &principals, &[&a, &b]));
    assert!(is_satisfied(&rule, &principals, &[&b, &a]));
}

#[test]
fn a_failed_threshold_gives_its_signers_back() {
    let [a, b, ..] = consenters();
    let failing = n_out_of(2, vec![signed_by(0), signed_by(1)]);
    let rule = n_out_of(1, vec![failing, signed_by(0)]);
    let principals = vec![exactly(&a), exactly(&consenters()[2])];
    assert!(is_satisfied(&rule, &principals, &[&a, &b]));
}

#[test]
fn all_rules_of_a_threshold_are_tried() {
    let [a, b, c, _] = consenters();
    let first = n_out_of(1, vec![signed_by(0), signed_by(0)]);
    let rule = n_out_of(2, vec![first, signed_by(0)]);
    let principals = vec![member()];
    // One leaf of the inner threshold would do, but both take a signer.
    assert!(!is_satisfied(&rule, &principals, &[&a, &b]));
    assert!(is_satisfied(&rule, &principals, &[&a, &b, &c]));
}

#[test]
fn a_threshold_of_zero_is_always_met() {
    assert!(is_satisfied(&n_out_of(0, Vec::new()), &[], &[]));
    assert!(is_satisfied(&n_out_of(-1, vec![signed_by(0)]), &[member()], &[]));
}

#[test]
fn the_fewest_signers_are_those_of_the_cheapest_rules() {
    let fewest = |rule: RuleMessage| {
        let envelope = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities: vec![member()] };
        let policy = SignaturePolicy::compile(&envelope, config("bft-chain/0").msps()).unwrap();
        fabric_channel::Policy::Signature(policy).fewest_signers()
    };
    let two = || n_out_of(2, vec![signed_by(0); 4]);
    assert_eq!(fewest(signed_by(0)), Some(1));
    assert_eq!(fewest(n_out_of(2, vec![two(), signed_by(0), two()])), Some(3));
    assert_eq!(fewest(n_out_of(0, vec![signed_by(0)])), Some(0));
    assert_eq!(fewest(n_out_of(-1, Vec::new())), Some(0));
    assert_eq!(fewest(n_out_of(5, vec![signed_by(0); 4])), None);
    // ANY Writers, and a quorum of four.
    let of = |name: &str| config(name).block_policy().policy().fewest_signers();
    assert_eq!((of("raft/genesis"), of("bft/genesis")), (Some(1), Some(3)));
}

#[test]
fn policies_that_do_not_compile() {
    let compile = |version: i32, rule: Option<RuleMessage>| {
        let envelope = SignaturePolicyEnvelope { version, rule, identities: vec![member()] };
        SignaturePolicy::compile(&envelope, config("bft-chain/0").msps()).unwrap_err()
    };
    assert_eq!(compile(1, Some(signed_by(0))), PolicyError::Version(1));
    assert_eq!(compile(0, None), PolicyError::EmptyRule);
    assert_eq!(compile(0, Some(RuleMessage { r#type: None })), PolicyError::EmptyRule);
    for index in [-1, 1, i32::MAX] {
        let nested = n_out_of(1, vec![signed_by(index)]);
        assert_eq!(compile(0, Some(nested)), PolicyError::PrincipalIndex { index, count: 1 });
    }
    let deep = (0..100).fold(signed_by(0), |rule, _| n_out_of(1, vec![rule]));
    assert_eq!(compile(0, Some(deep)), PolicyError::TooDeep);
    let config = config("bft-chain/0");
    assert_eq!(SignaturePolicy::from_bytes(&[0xff], config.msps()), Err(PolicyError::Malformed));
}

#[test]
fn a_bad_signature_does_not_shadow_a_good_one() {
    let config = config("bft-chain/0");
    let block = block("bft-chain/1");
    let header_der = block.header.as_ref().unwrap().der();
    let slot = parse_signatures_slot(block.metadata.as_ref().unwrap()).unwrap();
    let signature = &slot.signatures[0];
    let data = signature_preimage(&slot.value, &SignerHeader::of(signature), &header_der);
    let signer =
        consenters().into_iter().find(|consenter| consenter.verify(&data, &signature.signature).is_ok()).unwrap();
    let identity = signer.serialise();
    let good = SignedData { data: &data, identity: &identity, signature: &signature.signature };
    let bad = SignedData { data: b"other bytes", ..good };
    let unknown = SignedData { identity: b"nobody", ..good };
    let signers = |signed: &[SignedData<'_>]| config.msps().distinct_signers(signed);
    assert_eq!(signers(&[bad, unknown]), []);
    let only = [signer];
    assert_eq!(signers(&[bad, good]), only);
    assert_eq!(signers(&[good, unknown, bad, good]), only);
}

#[test]
fn implicit_meta_policies_count_child_groups() {
    let [a, ..] = consenters();
    // Two children have a policy X that `a` satisfies, a third has one that nobody does, a fourth has none.
    let child = |policy: Option<Policy>| ConfigGroup {
        policies: policy.into_iter().map(|policy| ("X".to_owned(), entry(policy))).collect(),
        ..ConfigGroup::default()
    };
    let by_a = || signature_policy(signed_by(0), vec![exactly(&a)]);
    let by_nobody = || signature_policy(n_out_of(1, Vec::new()), Vec::new());
    let children = |policies: Vec<Option<Policy>>| policies.into_iter().map(child).collect::<Vec<_>>();
    let verdict = |rule: i32, policies: Vec<Option<Policy>>| {
        meta_verdict(rule, "X", children(policies), std::slice::from_ref(&a))
    };
    let (any, all, majority) = (Rule::Any as i32, Rule::All as i32, Rule::Majority as i32);

    assert!(verdict(any, vec![Some(by_a()), Some(by_nobody()), None]));
    assert!(!verdict(any, vec![Some(by_nobody()), None]));
    assert!(verdict(all, vec![Some(by_a()), Some(by_a())]));
    assert!(!verdict(all, vec![Some(by_a()), None]));
    assert!(verdict(majority, vec![Some(by_a()), Some(by_a()), None]));
    assert!(!verdict(majority, vec![Some(by_a()), Some(by_a()), None, Some(by_nobody())]));
    for rule in [any, all, majority] {
        assert!(verdict(rule, Vec::new()), "without children there is nothing to ask for");
    }
    // A rule that Fabric does not know is met only by nobody.
    assert!(!verdict(7, vec![Some(by_a())]));
    assert!(verdict(7, vec![None]));
}

#[test]
fn policies_are_found_by_name_and_by_path() {
    let config = config("bft-chain/0");
    let root = config.bundle().policies();
    let orderer = root.child("Orderer").unwrap();
    let same = |left: Option<_>, right: Option<_>| left.is_some() && left == right;
    assert!(same(root.policy("/Channel/Orderer/BlockValidation"), orderer.policy("BlockValidation")));
    assert!(same(root.policy("Orderer/BlockValidation"), orderer.policy("BlockValidation")));
    assert!(same(root.policy("Orderer/OrdererOrg/Admins"), orderer.policy("OrdererOrg/Admins")));
    // Fabric skips the character after its own path without a look.
    assert!(same(root.policy("/ChannelXReaders"), root.policy("Readers")));
    for nothing in ["", "/", "/Channel", "/Channel/", "/Chan/Readers", "Nobody", "Orderer//Admins"] {
        assert!(root.policy(nothing).is_none(), "{nothing}");
    }
    assert!(orderer.policy("/Channel/Readers").is_none(), "a path above the group");
}

/// Whether `rule` over `sub_policy` of the children is satisfied, in a configuration that is a real one with the
/// children added below `/Channel/Consortiums`, the only group that holds whatever one likes.
fn meta_verdict(rule: i32, sub_policy: &str, children: Vec<ConfigGroup>, signers: &[Identity]) -> bool {
    let bundle = config("bft-chain/0");
    let mut config: Config = bundle.bundle().config().clone();
    let message = ImplicitMetaPolicy { sub_policy: sub_policy.to_owned(), rule };
    let policy = Policy { r#type: 3, value: message.encode_to_vec().into() };
    let names = (0..).map(|index| format!("C{index}"));
    let group = ConfigGroup {
        groups: names.zip(children).collect(),
        policies: BTreeMap::from([("Meta".to_owned(), entry(policy))]),
        ..ConfigGroup::default()
    };
    config.channel_group.as_mut().unwrap().groups.insert("Consortiums".to_owned(), group);
    let bundle = Bundle::new("bftch", &config).unwrap();
    bundle.policies().policy("Consortiums/Meta").unwrap().is_satisfied_by(signers)
}

fn consenters() -> [Identity; 4] {
    let config: ChannelConfig = config("bft-chain/0");
    let identities: Vec<Identity> = config
        .consenters()
        .iter()
        .map(|consenter| {
            let pem = &consenter.identity.as_ref().unwrap().pem;
            config.msps().identity("OrdererMSP", pem).unwrap()
        })
        .collect();
    identities.try_into().unwrap()
}

fn is_satisfied(rule: &RuleMessage, principals: &[MspPrincipal], signers: &[&Identity]) -> bool {
    let envelope = SignaturePolicyEnvelope { version: 0, rule: Some(rule.clone()), identities: principals.to_vec() };
    let policy = SignaturePolicy::compile(&envelope, config("bft-chain/0").msps()).unwrap();
    let signers: Vec<Identity> = signers.iter().map(|signer| (*signer).clone()).collect();
    policy.is_satisfied_by(&signers)
}

fn signature_policy(rule: RuleMessage, identities: Vec<MspPrincipal>) -> Policy {
    let envelope = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities };
    Policy { r#type: 1, value: envelope.encode_to_vec().into() }
}

fn entry(policy: Policy) -> ConfigPolicy {
    ConfigPolicy { version: 0, policy: Some(policy), mod_policy: String::new() }
}

fn signed_by(index: i32) -> RuleMessage {
    RuleMessage { r#type: Some(Type::SignedBy(index)) }
}

fn n_out_of(n: i32, rules: Vec<RuleMessage>) -> RuleMessage {
    RuleMessage { r#type: Some(Type::NOutOf(NOutOf { n, rules })) }
}

fn member() -> MspPrincipal {
    let role = MspRole { msp_identifier: "OrdererMSP".to_owned(), role: MspRoleType::Member.into() };
    principal(Classification::Role, role.encode_to_vec().into())
}

fn exactly(identity: &Identity) -> MspPrincipal {
    principal(Classification::Identity, identity.serialise())
}

fn principal(classification: Classification, principal: Bytes) -> MspPrincipal {
    MspPrincipal { principal_classification: classification.into(), principal }
}
