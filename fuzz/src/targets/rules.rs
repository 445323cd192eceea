//! The rules of a channel in bytes: trees, policies, MSPs, revocation lists, and blocks in the style of v2.5.

use std::sync::LazyLock;

use bytes::Bytes;
use fabric_channel::config_tree::{ConfigTree, Group};
use fabric_channel::update::validate;
use fabric_channel::{
    BlockVerifier, Bundle, ChannelConfig, ConfigContent, Identity, InvalidIdentity, MspVersion, Msps, PolicyTree,
};
use fabric_proto::Envelope;
use fabric_proto::block::check_entries;
use fabric_proto::common::{Block, Config, ConfigGroup};
use fabric_proto::msp::{FabricMspConfig, MspConfig};
use prost::Message;

use crate::configs::BASES;
use crate::fixtures::RAFT_GENESIS;
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const TREE: Target = Target {
    name: "config_tree",
    about: "a configuration kept without loss: written and read again it is the same, and so is what it means",
    run: tree,
    seeds: || {
        let trees = BASES.iter().map(|base| base.real.tree().encode());
        let mut seeds: Vec<Seed> = trees.enumerate().step_by(4).map(|(at, tree)| Seed::new(at, tree)).collect();
        seeds.push(Seed::case("unknown-fields", UNKNOWN_FIELDS));
        seeds
    },
    heap: CONFIG_HEAP,
    test_runs: 800,
};

pub const CONTENT: Target = Target {
    name: "config_content",
    about: "the content of a CONFIG transaction as peers judge it: written and read again, and never valid by chance",
    run: content,
    seeds: || vec![Seed::new("next", real_content())],
    heap: CONFIG_HEAP,
    test_runs: 1_000,
};

pub const POLICIES: Target = Target {
    name: "policy_tree",
    about: "the policies of a tree of groups: two compilations agree, and what is missing can always be said",
    run: policies,
    seeds: || {
        let groups = BASES.iter().map(|base| without_values(base.real.tree().root.as_ref()));
        groups.enumerate().step_by(2).map(|(at, group)| Seed::new(at, group.encode())).collect()
    },
    heap: CONFIG_HEAP,
    test_runs: 1_500,
};

pub const MSP: Target = Target {
    name: "msp_definition",
    about: "the definition of an MSP at every level of behaviour: set up or refused, and its own authorities are no members",
    run: msp,
    seeds: || definitions().into_iter().enumerate().map(|(at, bytes)| Seed::new(at, bytes)).collect(),
    heap: CONFIG_HEAP,
    test_runs: 1_500,
};

pub const REVOCATION: Target = Target {
    name: "revocation_list",
    about: "a revocation list in the definition of an MSP: it can only revoke, and only if the authority has signed it",
    run: revocation,
    seeds: || vec![Seed::new("real", REVOKING_LIST)],
    heap: CONFIG_HEAP,
    test_runs: 3_000,
};

pub const RAFT_BLOCK: Target = Target {
    name: "raft_block",
    about: "a block that claims to be of a real channel of type etcdraft: what verifies is what its orderers signed",
    run: raft_block,
    seeds: || RAFT_CHAIN.iter().enumerate().map(|(at, block)| Seed::new(at, *block)).collect(),
    heap: Heap::MEDIUM,
    test_runs: 1_500,
};

fn tree(input: &[u8]) -> Outcome {
    let tree = match ConfigTree::decode(&Bytes::copy_from_slice(input)) {
        Ok(tree) => tree,
        Err(error) => return Outcome::refused(error),
    };
    let bytes = Bytes::from(tree.encode());
    let again = ConfigTree::decode(&bytes).expect("our own encoding");
    assert_eq!(again, tree, "lost in our own encoding");
    assert_eq!(again.encode(), bytes, "one tree has one spelling");
    let known = Config::from(&tree);
    // The generated decoder reads known fields of another wire type otherwise than Go; without such they agree.
    if ConfigTree::from(&known) == tree {
        assert_eq!(Config::decode(&bytes[..]).as_ref(), Ok(&known), "the two decoders read two configurations");
    }
    let bundle = Bundle::from_tree("mychannel", tree.clone());
    assert_eq!(bundle.is_ok(), Bundle::new("mychannel", &known).is_ok(), "unknown fields decide");
    match bundle {
        Ok(bundle) => {
            assert_eq!(bundle.tree(), &tree);
            let orderable = ChannelConfig::from_bundle(bundle).map(|_| "can be ordered");
            Outcome::accepted(Outcome::from(orderable))
        }
        Err(error) => Outcome::refused(error),
    }
}

fn content(input: &[u8]) -> Outcome {
    let content = match ConfigContent::decode(&Bytes::copy_from_slice(input)) {
        Ok(content) => content,
        Err(error) => return Outcome::refused(error),
    };
    let bytes = Bytes::from(content.encode());
    assert_eq!(ConfigContent::decode(&bytes).as_ref(), Ok(&content), "lost in our own encoding");
    match validate(BEFORE.bundle(), &content) {
        Ok(()) => {
            let real = ConfigContent::decode(&Bytes::from(real_content())).expect("a real content");
            assert_eq!(content.config, real.config, "a configuration that no administrator signed");
            Outcome::accepted("the next configuration")
        }
        Err(error) => Outcome::refused(error),
    }
}

fn policies(input: &[u8]) -> Outcome {
    let msps = BASES[1].real.msps();
    let group = match ConfigGroup::decode(input) {
        Ok(group) => group,
        Err(error) => return Outcome::refused(error),
    };
    let tree = match PolicyTree::compile(&group, msps) {
        Ok(tree) => tree,
        Err(error) => return Outcome::refused(error),
    };
    let twin = PolicyTree::compile(&group, msps).expect("it has just been compiled");
    let signers = &*SIGNERS;
    let mut satisfied = 0;
    for path in
        ["/Channel/Writers", "/Channel/Application/Admins", "Orderer/BlockValidation", "Application/Org1/Admins"]
    {
        assert_eq!(tree.policy(path), twin.policy(path));
        let Some(policy) = tree.policy(path) else { continue };
        let is_satisfied = policy.is_satisfied_by(signers);
        satisfied += usize::from(is_satisfied);
        assert!(!policy.shortfall(signers).to_string().is_empty());
    }
    Outcome::accepted(format_args!("{}", if satisfied > 0 { "some satisfied" } else { "none satisfied" }))
}

fn msp(input: &[u8]) -> Outcome {
    let definition = match MspConfig::decode(input) {
        Ok(definition) => definition,
        Err(error) => return Outcome::refused(error),
    };
    let outcomes = VERSIONS.map(|version| {
        let mut msps = Msps::new(version);
        let outcome = msps.add(&definition).inspect(|id| use_msp(&msps, id));
        // Asked again, an equal definition changes nothing.
        assert_eq!(msps.clone().add(&definition), outcome);
        Outcome::from(outcome.map(|_| "set up"))
    });
    let [old, v1_4_3, v3] = outcomes;
    old.and(&v1_4_3).and(&v3)
}

/// Every certificate that the MSP lists is read as an identity, and none of an authority is a valid one.
fn use_msp(msps: &Msps, id: &str) {
    let Some(msp) = msps.msp(id) else { return };
    for authority in msp.roots().iter().chain(msp.intermediates()) {
        if let Ok(identity) = msps.identity(id, authority.to_pem().as_bytes()) {
            assert!(identity.validity().is_err(), "an authority is a member");
        }
    }
    for admin in msp.admins() {
        let identity = msps.identity(id, admin.to_pem().as_bytes()).expect("a listed admin is read");
        let again = msps.identity(id, admin.to_pem().as_bytes()).expect("a listed admin is read");
        assert_eq!((again.validity(), &again), (identity.validity(), &identity));
    }
}

fn revocation(input: &[u8]) -> Outcome {
    let mut definition = FabricMspConfig::decode(REVOKED_MSP.config.clone()).expect("a real definition");
    definition.revocation_list = vec![Bytes::copy_from_slice(input)];
    let definition = MspConfig { config: definition.encode_to_vec().into(), ..REVOKED_MSP.clone() };
    let mut msps = Msps::new(MspVersion::V3_0);
    if let Err(error) = msps.add(&definition) {
        return Outcome::refused(error);
    }
    let client = msps.deserialise(REVOKED_CLIENT).expect("a list does not unmake an identity");
    match client.validity() {
        Ok(()) => Outcome::accepted("revokes nobody that we know"),
        Err(InvalidIdentity::Revoked) => {
            let is_signed = input.windows(SIGNED_LIST.len()).any(|part| part == SIGNED_LIST);
            assert!(is_signed || input.starts_with(b"-----"), "a list revokes that no authority has signed");
            Outcome::accepted("revokes")
        }
        Err(InvalidIdentity::RevocationList(error)) => Outcome::accepted(error),
        Err(error) => panic!("a list makes an identity invalid: {error}"),
    }
}

fn raft_block(input: &[u8]) -> Outcome {
    let block = match Block::decode(input) {
        Ok(block) => block,
        Err(error) => return Outcome::refused(error),
    };
    let number = block.header.as_ref().map_or(1, |header| header.number);
    if let Err(reject) = RAFT_VERIFIER.verify_block(&block, number, None) {
        return Outcome::refused(reject);
    }
    let mut real = RAFT_CHAIN.iter().filter_map(|bytes| Block::decode(*bytes).ok());
    let Some(real) = real.find(|real| real.header == block.header) else {
        panic!("a header verifies that nobody signed");
    };
    assert_eq!(real.entries().concat(), block.entries().concat(), "data that nobody signed");
    RAFT_VERIFIER.verify_attestation(&block, number, None).expect("the block verifies, and its header alone does not");
    let form = if check_entries(block.entries()).is_ok() { "that we would order" } else { "that we would not order" };
    Outcome::accepted(format_args!("{form}, {}", if block == real { "as it was" } else { "with other details" }))
}

fn content_of(block: &[u8]) -> Vec<u8> {
    let block = Block::decode(block).expect("a real block");
    let envelope = Envelope::decode(block.entries()[0].clone()).expect("a real envelope");
    envelope.data().to_vec()
}

/// What follows the genesis configuration of the real channel, signed by its administrators.
fn real_content() -> Vec<u8> {
    content_of(CONFIG_AFTER)
}

/// Groups and policies alone.
fn without_values(group: Option<&Group>) -> Group {
    let mut group = group.cloned().unwrap_or_default();
    group.values.clear();
    group.groups.values_mut().for_each(|child| *child = without_values(Some(child)));
    group
}

/// MSP definitions of old and new configurations.
fn definitions() -> Vec<Vec<u8>> {
    let roots = [0, 1, 4, 5].map(|at: usize| BASES[at].real.tree().root.clone().unwrap_or_default());
    let organizations = roots.iter().flat_map(|root| root.groups.values()).flat_map(|group| group.groups.values());
    let mut found: Vec<Vec<u8>> =
        organizations.filter_map(|group| group.values.get("MSP")).map(|value| value.value.to_vec()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// An MSP without its revocation list.
static REVOKED_MSP: LazyLock<MspConfig> = LazyLock::new(|| {
    MspConfig::decode(&include_bytes!("../../data/revocation/msp.pb")[..]).expect("a real definition")
});

static SIGNERS: LazyLock<Vec<Identity>> = LazyLock::new(|| {
    let msps = BASES[1].real.msps();
    let read = |msp_id, pem: &[u8]| msps.identity(msp_id, pem).expect("an administrator of the corpus");
    vec![
        read("Org1MSP", include_bytes!("../../data/keys/Org1.admin.pem")),
        read("Org2MSP", include_bytes!("../../data/keys/Org2.admin.pem")),
        read("Ord1MSP", include_bytes!("../../data/keys/Ord1.admin.pem")),
    ]
});

/// The configuration that [`CONFIG_AFTER`] changes.
static BEFORE: LazyLock<ChannelConfig> = LazyLock::new(|| {
    let genesis = Block::decode(&include_bytes!("../../../fabric-channel/tests/data/bft/genesis.block")[..]);
    ChannelConfig::from_block(&genesis.expect("a real block")).expect("a real genesis block")
});

static RAFT_VERIFIER: LazyLock<BlockVerifier> = LazyLock::new(|| {
    let genesis = Block::decode(RAFT_GENESIS).expect("a real block");
    BlockVerifier::new(&ChannelConfig::from_block(&genesis).expect("a real genesis block"))
});

/// Blocks of the channel of [`RAFT_GENESIS`].
const RAFT_CHAIN: [&[u8]; 2] = [
    include_bytes!("../../../fabric-channel/tests/data/raft/block_1.block"),
    include_bytes!("../../../fabric-channel/tests/data/raft/block_2.block"),
];
const REVOKING_LIST: &[u8] = include_bytes!("../../data/revocation/list.der");
/// What the authority has signed of it: behind the head of the list and before the algorithm.
const SIGNED_LIST: &[u8] = REVOKING_LIST.split_at(4).1.split_at(SIGNED_LIST_BYTES).0;
const SIGNED_LIST_BYTES: usize = 203;
/// A client whom it revokes.
const REVOKED_CLIENT: &[u8] = include_bytes!("../../data/revocation/client.pb");
const CONFIG_AFTER: &[u8] = include_bytes!("../../../fabric-channel/tests/data/bft/config_after.block");
/// Fields 9 and 10 at every level of a small tree.
const UNKNOWN_FIELDS: &[u8] =
    b"\x08\x07\x12\x23\x08\x01\x1a\x12\x0a\x01V\x12\x0d\x08\x02\x12\x01x\x1a\x02/A\x48\x05\x50\x06\x22\x06\x0a\x01P\x12\x01\x08\x2a\x00\x48\x01";
/// The oldest level, the usual one, and the newest.
const VERSIONS: [MspVersion; 3] = [MspVersion::V1_0, MspVersion::V1_4_3, MspVersion::V3_0];
const CONFIG_HEAP: Heap = Heap { base: 4 << 20, per_byte: 512 };
