//! Configurations of the corpus of updates, each as it is and once more with policies that ask for nobody.
//!
//! With the real policies a mutation hardly ever passes the signatures, with the free ones it reaches everything behind.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::LazyLock;

use bytes::Bytes;
use fabric_channel::config_tree::{ConfigTree, Group, PolicyBody};
use fabric_channel::{Bundle, ChannelConfig};
use fabric_proto::common::signature_policy::{NOutOf, Type};
use fabric_proto::common::{SignaturePolicy, SignaturePolicyEnvelope};
use prost::Message;

/// A configuration that updates start from.
pub struct Base {
    /// As it is.
    pub real: Bundle,
    /// The same, read once more: another machine.
    pub twin: Bundle,
    /// With policies that nobody needs to satisfy, but for BlockValidation, which follows from the consenters.
    pub free: Bundle,
    /// The free one as an orderer has it, where it can be ordered.
    pub orderable: Option<ChannelConfig>,
    /// Updates that Fabric accepts, a few of the smallest, as envelopes.
    pub updates: Vec<(String, Vec<u8>)>,
}

/// The bases, in a fixed order: inputs name them by number.
pub static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    let mut packed = ruzstd::decoding::StreamingDecoder::new(PACKED).expect("packed cases");
    packed.read_to_end(&mut bytes).expect("packed cases");
    let corpus = Corpus::decode(&bytes[..]).expect("packed cases");
    NAMES.iter().map(|name| base(&corpus, name)).collect()
});

fn base(corpus: &Corpus, name: &str) -> Base {
    let case = corpus.configs.iter().find(|case| case.name == name).expect("a configuration of the corpus");
    let tree = || ConfigTree::decode(&Bytes::from(case.config.clone())).expect("a valid configuration");
    let bundle = |tree| Bundle::from_tree(&case.channel_id, tree).expect("a valid configuration");
    let mut free = tree();
    free.root.iter_mut().for_each(set_free);
    let free = bundle(free);
    Base {
        real: bundle(tree()),
        twin: bundle(tree()),
        orderable: ChannelConfig::from_bundle(free.clone()).ok(),
        free,
        updates: updates(corpus, name),
    }
}

/// The smallest accepted update of each kind of change, spread over the kinds.
fn updates(corpus: &Corpus, name: &str) -> Vec<(String, Vec<u8>)> {
    let mut by_kind: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let accepted =
        corpus.cases.iter().filter(|case| case.config == name && case.is_accepted && case.content.is_empty());
    for case in accepted {
        let kind = case.id.split('/').nth(2).unwrap_or_default().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let kept = by_kind.entry(kind).or_insert_with(|| case.envelope.clone());
        if case.envelope.len() < kept.len() {
            kept.clone_from(&case.envelope);
        }
    }
    let step = by_kind.len().div_ceil(UPDATES_EACH).max(1);
    by_kind.into_iter().step_by(step).filter(|(_, envelope)| envelope.len() < UPDATE_BYTES_MAX).collect()
}

fn set_free(group: &mut Group) {
    let rule = SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf::default())) };
    let policy = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities: Vec::new() };
    for (name, entry) in &mut group.policies {
        if name != "BlockValidation" {
            let value = policy.encode_to_vec().into();
            entry.policy = Some(PolicyBody { kind: 1, value, ..PolicyBody::default() });
        }
    }
    group.groups.values_mut().for_each(set_free);
}

/// What is read of the packed corpus; `fabric-channel/tests/corpus/cases.rs` has all of it.
#[derive(Clone, PartialEq, Message)]
struct Corpus {
    #[prost(message, repeated, tag = "1")]
    configs: Vec<Config>,
    #[prost(message, repeated, tag = "2")]
    cases: Vec<Update>,
}

#[derive(Clone, PartialEq, Message)]
struct Config {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    channel_id: String,
    #[prost(bytes = "vec", tag = "3")]
    config: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Update {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    config: String,
    #[prost(bytes = "vec", tag = "3")]
    envelope: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    content: Vec<u8>,
    #[prost(bool, tag = "5")]
    is_accepted: bool,
}

const PACKED: &[u8] = include_bytes!("../../fabric-channel/tests/data/corpus/config-updates.bin.zst");
/// Old and new capabilities, both consensus types, maintenance, odd and empty mod_policies, versions above zero.
const NAMES: [&str; 9] =
    ["v2-app2", "v3-app2", "v2-app2-e3", "v3-app3-e2", "v13", "v10-emptymod", "v2-modpol", "v2-maint", "v3-raft"];
const UPDATES_EACH: usize = 4;
const UPDATE_BYTES_MAX: usize = 8 << 10;
