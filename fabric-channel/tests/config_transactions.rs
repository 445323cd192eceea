//! CONFIG envelopes: what a frontend wraps a replica accepts, and nothing else.

#![allow(clippy::unwrap_used)]

mod free_channel;
mod vectors;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use fabric_channel::config_change::RecomputeError;
use fabric_channel::config_transaction::{ConfigTransactionReject, EnvelopeSigner, SignError, verify, wrap};
use fabric_channel::config_tree::{ConfigTree, Group, PolicyBody, Value};
use fabric_channel::consenter_set::{MoveError, check, is_same, kept};
use fabric_channel::filters::{self, FilterReject};
use fabric_channel::{Bundle, ChannelConfig, ConfigChange, ConfigContent, ExpiryCheck, serialise};
use fabric_proto::common::signature_policy::{NOutOf, Type};
use fabric_proto::common::{
    ChannelHeader, Header, Orderers, Payload, SignatureHeader, SignaturePolicy, SignaturePolicyEnvelope,
};
use fabric_proto::low_s::{Curve, to_low_s};
use fabric_proto::msp::MspPrincipal;
use fabric_proto::orderer::{BatchTimeout, ConsensusType, consensus_type::State};
use fabric_proto::{Envelope, canonical};
use free_channel::{envelope, free_channel, orderer, root};
use prost::Message;
use vectors::{block, config};

/// Signs with letters; the channel asks for nobody's signature.
struct Letters;

impl EnvelopeSigner for Letters {
    fn creator(&self) -> Bytes {
        Bytes::from_static(b"creator")
    }

    fn sign(&self, _: &[u8]) -> Result<Bytes, SignError> {
        Ok(Bytes::from_static(b"signature"))
    }
}

/// The first orderer of the real channel.
struct Orderer(EcdsaKeyPair);

impl Orderer {
    fn file(name: &str) -> String {
        let member = "ordererOrganizations/orderer.example.com/orderers/o1.orderer.example.com/msp";
        let crypto = concat!(env!("CARGO_MANIFEST_DIR"), "/../integration/tests/data/crypto");
        std::fs::read_to_string(format!("{crypto}/{member}/{name}")).unwrap()
    }

    fn load() -> Self {
        let pem = Self::file("keystore/priv_sk");
        let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64_STANDARD.decode(text).unwrap();
        Self(EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).unwrap())
    }
}

impl EnvelopeSigner for Orderer {
    fn creator(&self) -> Bytes {
        serialise("OrdererMSP", Self::file("signcerts/o1.orderer.example.com-cert.pem").as_bytes())
    }

    fn sign(&self, payload: &[u8]) -> Result<Bytes, SignError> {
        let signature = self.0.sign(&SystemRandom::new(), payload).unwrap();
        Ok(to_low_s(Curve::P256, signature.as_ref()).unwrap().into())
    }
}

/// The real change of the real channel.
fn real_change(before: &ChannelConfig) -> ConfigChange {
    let real = decode(block("bft/config_after").entries()[0].clone());
    let update = ConfigContent::decode(real.data()).unwrap().last_update.unwrap();
    let update = decode(canonical::encode(&update.payload, &update.signature));
    ConfigChange::evaluate(before.bundle(), &update, ExpiryCheck::Skip).unwrap()
}

/// A channel that anybody may write to and change, whose blocks are still verified by the derived policy.
fn open_channel() -> ChannelConfig {
    let mut tree: ConfigTree = free_channel().tree().clone();
    let real = config("bft/genesis").bundle().tree().group("Orderer").unwrap().policies["BlockValidation"].clone();
    group(&mut tree, "Orderer").policies.insert("BlockValidation".to_owned(), real);
    ChannelConfig::from_bundle(Bundle::from_tree("bftch", tree).unwrap()).unwrap()
}

fn group<'a>(tree: &'a mut ConfigTree, name: &str) -> &'a mut Group {
    tree.root.as_mut().unwrap().groups.get_mut(name).unwrap()
}

/// An update of one value of the orderer group, from the configuration in force.
fn update(current: &ChannelConfig, name: &str, value: &impl Message) -> Envelope {
    let (mut read_set, mut write_set) = (root(), root());
    read_set.groups.insert("Orderer".to_owned(), Group { mod_policy: "Admins".to_owned(), ..Group::default() });
    let present = current.bundle().tree().group("Orderer").unwrap().values[name].clone();
    let changed = Value { version: present.version + 1, value: value.encode_to_vec().into(), ..present };
    let mut orderer = Group { mod_policy: "Admins".to_owned(), ..Group::default() };
    orderer.values.insert(name.to_owned(), changed);
    write_set.groups.insert("Orderer".to_owned(), orderer);
    envelope(Some(&read_set), &write_set)
}

fn timeout(text: &str) -> BatchTimeout {
    BatchTimeout { timeout: text.to_owned() }
}

fn wrapped(current: &ChannelConfig, update: &Envelope) -> Bytes {
    let change = ConfigChange::evaluate(current.bundle(), update, ExpiryCheck::Skip).unwrap();
    wrap(&change, &Letters, [7; 24], 1_700_000_000).unwrap()
}

fn decode(bytes: impl Into<Bytes>) -> Envelope {
    Envelope::decode(bytes.into()).unwrap()
}

fn refusal(current: &ChannelConfig, bytes: impl Into<Bytes>) -> ConfigTransactionReject {
    verify(current, &decode(bytes)).unwrap_err()
}

#[test]
fn what_was_wrapped_leads_to_the_same_configuration_everywhere() {
    let current = open_channel();
    let update = update(&current, "BatchTimeout", &timeout("7s"));
    let bytes = wrapped(&current, &update);
    assert_eq!(bytes, wrapped(&current, &update), "the same on every machine");
    let next = verify(&current, &decode(bytes)).unwrap();
    let change = ConfigChange::evaluate(current.bundle(), &update, ExpiryCheck::Skip).unwrap();
    assert_eq!(next.bundle().tree(), change.proposed().config());
    assert_eq!((next.sequence(), next.batch_timeout().as_secs()), (1, 7));
}

#[test]
fn a_real_update_is_accepted_once() {
    let (before, after) = (config("bft/genesis"), config("bft/config_after"));
    let bytes = wrap(&real_change(&before), &Orderer::load(), [7; 24], 1_700_000_000).unwrap();
    let next = verify(&before, &decode(bytes.clone())).unwrap();
    assert_eq!(next.bundle().tree(), after.bundle().tree());
    let stale = ConfigTransactionReject::Sequence { current: 1, found: 1 };
    assert_eq!(refusal(&after, bytes), stale);
    // A Go orderer writes maps in any order: the same configuration, and every writer's signature, in other bytes.
    let of_go = refusal(&before, block("bft/config_after").entries()[0].clone());
    assert_eq!(of_go, ConfigTransactionReject::Recompute(RecomputeError::Mismatch));
}

#[test]
fn an_envelope_that_no_writer_signed_is_refused() {
    let before = config("bft/genesis");
    let real = decode(block("bft/config_after").entries()[0].clone());
    let mut broken = real.signature().to_vec();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    let not_a_writer = |bytes: Bytes| match refusal(&before, bytes) {
        ConfigTransactionReject::Filter(reject @ FilterReject::NotAWriter(_)) => {
            assert!(reject.is_forbidden());
            assert_eq!(reject.to_string(), NOT_A_WRITER);
        }
        other => panic!("{other}"),
    };
    not_a_writer(canonical::encode(real.payload(), &broken));
    // A creator of no MSP, around the same authorised update.
    not_a_writer(wrap(&real_change(&before), &Letters, [7; 24], 0).unwrap());
    // Without any signature it is no envelope of any block.
    let unsigned = refusal(&before, canonical::encode(real.payload(), b""));
    assert!(matches!(unsigned, ConfigTransactionReject::Canonical(_)), "{unsigned}");
}

#[test]
fn every_other_form_is_refused() {
    let current = open_channel();
    let bytes = wrapped(&current, &update(&current, "BatchTimeout", &timeout("7s")));
    let spelled_otherwise = refusal(&current, [&bytes[..], b"\x1a\x00"].concat());
    assert!(matches!(spelled_otherwise, ConfigTransactionReject::Canonical(_)), "{spelled_otherwise}");
    let envelope = decode(bytes);
    let header = envelope.channel_header().clone();
    let signer = envelope.signature_header().unwrap().clone();
    let with = |header: &ChannelHeader, signer: &SignatureHeader, more: &[u8]| {
        let header = Header {
            channel_header: [&header.encode_to_vec()[..], more].concat().into(),
            signature_header: signer.encode_to_vec().into(),
        };
        let payload = Payload { header: Some(header), data: envelope.data().clone() };
        refusal(&current, canonical::encode(&payload.encode_to_vec(), b"signature"))
    };
    assert!(matches!(
        with(&ChannelHeader { r#type: 3, ..header.clone() }, &signer, b""),
        ConfigTransactionReject::Type(3)
    ));
    let other = ChannelHeader { channel_id: "other".to_owned(), ..header.clone() };
    assert!(matches!(with(&other, &signer, b""), ConfigTransactionReject::Channel { .. }));
    let nanos = header.timestamp.map(|time| prost_types::Timestamp { nanos: 5, ..time });
    for odd in [
        ChannelHeader { epoch: 1, ..header.clone() },
        ChannelHeader { version: 1, ..header.clone() },
        ChannelHeader { tx_id: "id".to_owned(), ..header.clone() },
        ChannelHeader { extension: Bytes::from_static(b"x"), ..header.clone() },
        ChannelHeader { tls_cert_hash: Bytes::from_static(b"x"), ..header.clone() },
        ChannelHeader { timestamp: None, ..header.clone() },
        ChannelHeader { timestamp: nanos, ..header.clone() },
    ] {
        assert!(matches!(with(&odd, &signer, b""), ConfigTransactionReject::Form(_)), "{odd:?}");
    }
    let unknown_field = b"\x48\x05";
    assert!(matches!(with(&header, &signer, unknown_field), ConfigTransactionReject::Form(_)));
    for odd in [
        SignatureHeader { creator: Bytes::new(), ..signer.clone() },
        SignatureHeader { nonce: Bytes::new(), ..signer.clone() },
    ] {
        assert!(matches!(with(&header, &odd, b""), ConfigTransactionReject::Form(_)), "{odd:?}");
    }
}

#[test]
fn another_result_than_the_update_leads_to_is_refused() {
    let current = open_channel();
    let update = update(&current, "BatchTimeout", &timeout("7s"));
    let envelope = decode(wrapped(&current, &update));
    let header = Header {
        channel_header: envelope.channel_header().encode_to_vec().into(),
        signature_header: envelope.signature_header().unwrap().encode_to_vec().into(),
    };
    let with = |data: Vec<u8>| {
        let payload = Payload { header: Some(header.clone()), data: data.into() };
        refusal(&current, canonical::encode(&payload.encode_to_vec(), b"signature"))
    };
    let mut content = ConfigContent::decode(envelope.data()).unwrap();
    let same = with([envelope.data(), &b"\x48\x05"[..]].concat());
    assert!(matches!(same, ConfigTransactionReject::Recompute(_)), "other bytes: {same}");
    let other = decode(wrapped(&current, &self::update(&current, "BatchTimeout", &timeout("8s"))));
    let other = ConfigContent::decode(other.data()).unwrap();
    let honest = content.clone();
    content.last_update = other.last_update;
    assert!(matches!(with(content.encode()), ConfigTransactionReject::Recompute(_)), "another update");
    let mut altered = honest.clone();
    altered.config.as_mut().unwrap().root.as_mut().unwrap().version += 1;
    assert!(matches!(with(altered.encode()), ConfigTransactionReject::Recompute(_)), "another tree");
    let mut ahead = honest;
    ahead.config.as_mut().unwrap().sequence = 2;
    let wrong = ConfigTransactionReject::Sequence { current: 0, found: 2 };
    assert_eq!(with(ahead.encode()), wrong);
    assert!(matches!(with(b"\xff".to_vec()), ConfigTransactionReject::Content(_)));
}

#[test]
fn an_update_without_effect_is_refused_although_peers_would_take_it() {
    let current = open_channel();
    let mut write_set = root();
    let orphan = Value { mod_policy: "Admins".to_owned(), ..Value::default() };
    write_set.values.insert("Orphan".to_owned(), orphan);
    let bytes = wrapped(&current, &envelope(Some(&root()), &write_set));
    assert!(matches!(refusal(&current, bytes), ConfigTransactionReject::Orderable(_)));
}

#[test]
fn other_addresses_of_the_same_nodes_are_fine_and_other_nodes_are_not() {
    let current = open_channel();
    let mapping = Orderers::decode(orderer().values["Orderers"].value.clone()).unwrap();
    let mut moved = mapping.clone();
    moved.consenter_mapping[1].host = "elsewhere.example.com".to_owned();
    moved.consenter_mapping[1].port = 7999;
    let next = verify(&current, &decode(wrapped(&current, &update(&current, "Orderers", &moved)))).unwrap();
    assert_eq!(next.consenter(2).unwrap().address(), "elsewhere.example.com:7999");

    let real = config("bft/genesis");
    let with = |change: &dyn Fn(&mut Orderers)| {
        let mut mapping = mapping.clone();
        change(&mut mapping);
        let mut tree = real.bundle().tree().clone();
        group(&mut tree, "Orderer").values.get_mut("Orderers").unwrap().value = mapping.encode_to_vec().into();
        let next = ChannelConfig::from_bundle(Bundle::from_tree("bftch", tree).unwrap()).unwrap();
        (is_same(&real, &next), check(&real, &next), kept(&real, &next))
    };
    let another_identity = |mapping: &mut Orderers, of: usize| {
        let entry = &mut mapping.consenter_mapping[of];
        entry.identity = entry.server_tls_cert.clone();
    };
    assert_eq!(with(&|_| {}), (true, Ok(()), vec![1, 2, 3, 4]));
    let one_less = with(&|mapping| drop(mapping.consenter_mapping.pop()));
    assert_eq!(one_less, (false, Ok(()), vec![1, 2, 3]), "three of four are a quorum");
    assert_eq!(with(&|mapping| mapping.consenter_mapping[3].id = 9), (false, Ok(()), vec![1, 2, 3]));
    assert_eq!(with(&|mapping| another_identity(mapping, 2)), (false, Ok(()), vec![1, 2, 4]));
    let added = |mapping: &mut Orderers| {
        let more = mapping.consenter_mapping[0].clone();
        mapping.consenter_mapping.push(fabric_proto::common::Consenter { id: 5, ..more });
        another_identity(mapping, 4);
    };
    assert_eq!(with(&added), (false, Ok(()), vec![1, 2, 3, 4]));

    let two_at_once = |mapping: &mut Orderers| {
        mapping.consenter_mapping.pop();
        another_identity(mapping, 1);
    };
    let (_, refused, _) = with(&two_at_once);
    let error = refused.unwrap_err();
    assert_eq!(error, MoveError::TooFewKept { kept: 2, needed: 3, lost: vec![2, 4] });
    let text = "the update keeps 2 of 4 consenters, but a channel moves only with a quorum of them, 3 (without the present \
                2, 4): do it in steps";
    assert_eq!(error.to_string(), text);
    let shared = |mapping: &mut Orderers| {
        mapping.consenter_mapping[0].identity = mapping.consenter_mapping[1].identity.clone();
    };
    assert_eq!(with(&shared).1, Err(MoveError::SharedKey(1, 2)));
}

#[test]
fn on_type_etcdraft_consenters_are_known_by_their_keys_wherever_they_stand() {
    let real = config("raft/genesis");
    let with = |change: &dyn Fn(&mut Vec<fabric_proto::etcdraft::Consenter>)| {
        let mut tree = real.bundle().tree().clone();
        let value = &mut group(&mut tree, "Orderer").values.get_mut("ConsensusType").unwrap().value;
        let mut consensus = fabric_proto::orderer::ConsensusType::decode(value.clone()).unwrap();
        let mut metadata = fabric_proto::etcdraft::ConfigMetadata::decode(consensus.metadata).unwrap();
        change(&mut metadata.consenters);
        consensus.metadata = metadata.encode_to_vec().into();
        *value = consensus.encode_to_vec().into();
        let next = ChannelConfig::from_bundle(Bundle::from_tree("raftch", tree).unwrap()).unwrap();
        (is_same(&real, &next), check(&real, &next), kept(&real, &next))
    };
    let n = real.consenters().len();
    let all: Vec<u32> = (1..=n as u32).collect();
    assert_eq!(with(&|_| {}), (true, Ok(()), all.clone()));
    let swapped = with(&|consenters| consenters.swap(0, 1));
    assert_eq!(swapped, (false, Ok(()), all), "the replicas have other numbers");
    let without_first = with(&|consenters| drop(consenters.remove(0)));
    assert_eq!(without_first, (false, Ok(()), (1..n as u32).collect()));
}

#[test]
fn consenters_have_to_be_enough_for_the_signatures_that_their_channel_demands() {
    let real = config("raft/genesis");
    let demanding = |needed: i32| {
        let rules = vec![SignaturePolicy { r#type: Some(Type::SignedBy(0)) }; 4];
        let rule = SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n: needed, rules })) };
        let identities = vec![MspPrincipal::default()];
        let envelope = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities };
        let mut tree = real.bundle().tree().clone();
        let policy = group(&mut tree, "Orderer").policies.get_mut("BlockValidation").unwrap();
        policy.policy = Some(PolicyBody { kind: 1, value: envelope.encode_to_vec().into(), ..PolicyBody::default() });
        check(&real, &ChannelConfig::from_bundle(Bundle::from_tree("raftch", tree).unwrap()).unwrap())
    };
    assert_eq!(demanding(3), Ok(()));
    let error = demanding(4).unwrap_err();
    assert_eq!(error, MoveError::TooFewSigners { consenters: 3, needed: Some(4) });
    assert!(error.to_string().contains("more signatures than the 3 consenters can give (4)"), "{error}");
    assert_eq!(demanding(5), Err(MoveError::TooFewSigners { consenters: 3, needed: None }));
}

#[test]
fn the_size_counts_payload_and_signature() {
    let current = config("bft/genesis");
    let mut tree = current.bundle().tree().clone();
    let real = decode(block("bft/config_after").entries()[0].clone());
    let limits = |size_max: usize| fabric_proto::orderer::BatchSize {
        max_message_count: 1,
        absolute_max_bytes: size_max as u32,
        preferred_max_bytes: 1,
    };
    let mut verdict = |size_max| {
        group(&mut tree, "Orderer").values.get_mut("BatchSize").unwrap().value =
            limits(size_max).encode_to_vec().into();
        let config = ChannelConfig::from_bundle(Bundle::from_tree("bftch", tree.clone()).unwrap()).unwrap();
        filters::check(&config, &real, None)
    };
    let size = real.size();
    assert_eq!(verdict(size), Ok(()));
    let reject = verdict(size - 1).unwrap_err();
    assert_eq!(reject, FilterReject::TooLarge { size, size_max: size as u32 - 1 });
    let text = format!("message payload is {size} bytes and exceeds maximum allowed {} bytes", size - 1);
    assert_eq!((reject.to_string(), reject.is_forbidden()), (text, false));
}

#[test]
fn a_certificate_expires_only_where_somebody_says_what_time_it_is() {
    let current = config("bft/genesis");
    let real = decode(block("bft/config_after").entries()[0].clone());
    assert_eq!(filters::check(&current, &real, None), Ok(()));
    assert_eq!(filters::check(&current, &real, Some(1_800_000_000)), Ok(()));
    let reject = filters::check(&current, &real, Some(9_000_000_000)).unwrap_err();
    assert_eq!((reject.to_string().as_str(), reject.is_forbidden()), ("broadcast client identity expired", false));
    // Orderers without any capability do not look at it.
    let mut tree = current.bundle().tree().clone();
    group(&mut tree, "Orderer").values.get_mut("Capabilities").unwrap().value = Bytes::new();
    let old = ChannelConfig::from_bundle(Bundle::from_tree("bftch", tree).unwrap()).unwrap();
    assert_eq!(filters::check(&old, &real, Some(9_000_000_000)), Ok(()));
}

#[test]
fn in_maintenance_only_organizations_of_orderers_write() {
    let current = config("bft/genesis");
    let ordinary = decode(block("bft/block_1").entries()[0].clone());
    assert_eq!(filters::check(&current, &ordinary, None), Ok(()));
    let mut tree = current.bundle().tree().clone();
    let value = &mut group(&mut tree, "Orderer").values.get_mut("ConsensusType").unwrap().value;
    let consensus = ConsensusType::decode(value.clone()).unwrap();
    *value = ConsensusType { state: State::Maintenance.into(), ..consensus }.encode_to_vec().into();
    let maintenance = ChannelConfig::from_bundle(Bundle::from_tree("bftch", tree.clone()).unwrap()).unwrap();
    assert!(filters::is_in_maintenance(&maintenance) && !filters::is_in_maintenance(&current));
    assert!(filters::check(&maintenance, &ordinary, None).unwrap_err().is_forbidden());
    let of_an_orderer = decode(block("bft/config_after").entries()[0].clone());
    assert_eq!(filters::check(&maintenance, &of_an_orderer, None), Ok(()));
    // Without the capability there is no maintenance.
    group(&mut tree, "Orderer").values.get_mut("Capabilities").unwrap().value = Bytes::new();
    let old = ChannelConfig::from_bundle(Bundle::from_tree("bftch", tree).unwrap()).unwrap();
    assert_eq!(filters::check(&old, &ordinary, None), Ok(()));
}

const NOT_A_WRITER: &str = "implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy \
                            requires 1 of the 'Writers' sub-policies to be satisfied: permission denied";
