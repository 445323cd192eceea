//! Which BlockValidation policies need a quorum of the protocol, and which quorums satisfy them: the table of PROTOCOL.md.

#![allow(clippy::unwrap_used)]

mod made_channel;
mod vectors;

use fabric_channel::{ChannelConfig, PolicyFit, PolicyFitError, policy_fit};
use fabric_proto::common::implicit_meta_policy::Rule;
use fabric_proto::common::signature_policy::{NOutOf, Type};
use fabric_proto::common::{ImplicitMetaPolicy, Policy, SignaturePolicy, SignaturePolicyEnvelope};
use fabric_proto::msp::msp_principal::Classification;
use fabric_proto::msp::msp_role::MspRoleType;
use fabric_proto::msp::{MspPrincipal, MspRole};
use made_channel::{Member, Organization, channel};
use prost::Message as _;
use vectors::config;

/// Consenters of one organization on a channel of type BFT.
struct Made {
    config: ChannelConfig,
    members: Vec<Member>,
}

fn made(n: u64) -> Made {
    let orderer = Organization::new("OrdererMSP");
    let members: Vec<Member> = (1..=n).map(|serial| orderer.member("orderer", serial)).collect();
    Made { config: channel(&orderer, &members, Vec::new()), members }
}

/// At least so many of them.
fn heads(count: u32) -> impl Fn(u32) -> bool {
    move |set| set.count_ones() >= count
}

/// WHEAT's weights, times f: the first `2f` of `3f + 1 + delta` weigh `f + delta`, the others `f`.
fn weighted(f: u32, delta: u32) -> impl Fn(u32) -> bool {
    move |set| {
        let heavy = (set & ((1 << (2 * f)) - 1)).count_ones();
        heavy * (f + delta) + (set.count_ones() - heavy) * f >= 2 * f * (f + delta) + f
    }
}

fn fit(config: &ChannelConfig, is_quorum: impl Fn(u32) -> bool) -> PolicyFit {
    policy_fit(config, is_quorum).unwrap()
}

const PERFECT: PolicyFit = PolicyFit { lighter: None, wanting: None };

#[test]
fn the_policy_of_type_bft_is_that_of_a_flat_group() {
    for (n, quorum) in [(1, 1), (4, 3), (5, 4), (6, 4), (7, 5)] {
        assert_eq!(fit(&made(n).config, heads(quorum)), PERFECT, "n = {n}");
    }
    assert_eq!(fit(&config("bft/genesis"), heads(3)), PERFECT);
}

#[test]
fn on_type_bft_a_spare_member_makes_quorums_that_peers_do_not_believe() {
    let five = fit(&made(5).config, weighted(1, 1));
    assert_eq!(five, PolicyFit { lighter: None, wanting: Some(vec![1, 2, 3]) });
    // Four of six sign for peers, and one of the two heavy ones is perhaps not among them.
    let six = fit(&made(6).config, weighted(1, 2));
    assert_eq!(six, PolicyFit { lighter: Some(vec![1, 3, 4, 5]), wanting: Some(vec![1, 2, 3]) });
    let seven = fit(&made(7).config, weighted(1, 3));
    assert_eq!(seven, PolicyFit { lighter: Some(vec![1, 3, 4, 5, 6]), wanting: Some(vec![1, 2, 3]) });
    let eight = fit(&made(8).config, weighted(2, 1));
    assert_eq!(eight, PolicyFit { lighter: None, wanting: Some(vec![1, 2, 3, 4, 5]) });
}

#[test]
fn a_majority_of_nodes_that_only_crash_is_less_than_peers_of_type_bft_ask_for() {
    assert_eq!(fit(&made(5).config, heads(3)), PolicyFit { lighter: None, wanting: Some(vec![1, 2, 3]) });
}

#[test]
fn any_writer_is_one_signer() {
    let any = fit(&config("raft/genesis"), heads(2));
    assert_eq!(any, PolicyFit { lighter: Some(vec![1]), wanting: None });
    let any = fit(&with_policy(&made(4).config, &any_writers()), heads(3));
    assert_eq!(any.lighter, Some(vec![1]));
}

#[test]
fn so_many_orderers_of_one_organization_are_so_many_consenters() {
    let raft = config("raft/genesis");
    let demanding = |n: i32| with_policy(&raft, &signature(n_out_of(n, vec![signed_by(0); 3]), vec![orderer()]));
    assert_eq!(fit(&demanding(2), heads(2)), PERFECT);
    assert_eq!(fit(&demanding(3), heads(2)), PolicyFit { lighter: None, wanting: Some(vec![1, 2]) });
    assert_eq!(fit(&demanding(1), heads(2)), PolicyFit { lighter: Some(vec![1]), wanting: None });
    assert_eq!(fit(&demanding(4), heads(2)).wanting, Some(vec![1, 2]), "nobody satisfies it");
    let five = made(5).config;
    let three = signature(n_out_of(3, vec![signed_by(0); 5]), vec![orderer()]);
    // What a v2.5 network has that counts to three: the light ones are enough, so nothing may leave early.
    assert_eq!(
        fit(&with_policy(&five, &three), weighted(1, 1)),
        PolicyFit { lighter: Some(vec![1, 3, 4]), wanting: None }
    );
}

#[test]
fn nested_thresholds_express_weights_exactly() {
    let Made { config, members } = made(5);
    let identities: Vec<MspPrincipal> = members.iter().map(exactly).collect();
    let leaves = |these: &[i32]| these.iter().copied().map(signed_by).collect::<Vec<_>>();
    let one_of = |these: &[i32]| n_out_of(1, leaves(these));
    let both_heavy = n_out_of(3, vec![signed_by(0), signed_by(1), one_of(&[2, 3, 4])]);
    let all_light = n_out_of(4, [leaves(&[2, 3, 4]), vec![one_of(&[0, 1])]].concat());
    let policy = signature(n_out_of(1, vec![both_heavy, all_light]), identities);
    assert_eq!(fit(&with_policy(&config, &policy), weighted(1, 1)), PERFECT);
}

#[test]
fn a_leaf_goes_to_whoever_could_meet_it_in_any_order() {
    let Made { config, members } = made(4);
    // Fabric gives the first leaf to consenter 1 if it signs first, and then refuses.
    let policy = signature(n_out_of(2, vec![signed_by(0), signed_by(1)]), vec![orderer(), exactly(&members[0])]);
    let fit = fit(&with_policy(&config, &policy), heads(3));
    assert_eq!(fit.lighter, Some(vec![1, 2]));
    assert_eq!(fit.wanting, Some(vec![2, 3, 4]), "consenter 1 has to be among them");
}

#[test]
fn too_many_to_tell_is_said() {
    assert_eq!(policy_fit(&made(16).config, heads(11)), Ok(PERFECT));
    let seventeen = made(17).config;
    assert_eq!(policy_fit(&seventeen, heads(12)), Err(PolicyFitError::TooMany(17)));
}

fn with_policy(config: &ChannelConfig, policy: &Policy) -> ChannelConfig {
    let mut changed = config.bundle().config().clone();
    let orderer = changed.channel_group.as_mut().unwrap().groups.get_mut("Orderer").unwrap();
    orderer.policies.get_mut("BlockValidation").unwrap().policy = Some(policy.clone());
    ChannelConfig::from_config(config.channel_id().as_str(), &changed).unwrap()
}

fn any_writers() -> Policy {
    let meta = ImplicitMetaPolicy { sub_policy: "Writers".to_owned(), rule: Rule::Any.into() };
    Policy { r#type: 3, value: meta.encode_to_vec().into() }
}

fn signature(rule: SignaturePolicy, identities: Vec<MspPrincipal>) -> Policy {
    let envelope = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities };
    Policy { r#type: 1, value: envelope.encode_to_vec().into() }
}

fn signed_by(index: i32) -> SignaturePolicy {
    SignaturePolicy { r#type: Some(Type::SignedBy(index)) }
}

fn n_out_of(n: i32, rules: Vec<SignaturePolicy>) -> SignaturePolicy {
    SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n, rules })) }
}

fn orderer() -> MspPrincipal {
    let role = MspRole { msp_identifier: "OrdererMSP".to_owned(), role: MspRoleType::Orderer.into() };
    MspPrincipal { principal_classification: Classification::Role.into(), principal: role.encode_to_vec().into() }
}

fn exactly(member: &Member) -> MspPrincipal {
    MspPrincipal { principal_classification: Classification::Identity.into(), principal: member.creator.clone() }
}
