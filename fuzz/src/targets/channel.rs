//! What a channel's configuration says: the block, its parts, and the identities in it.

use blockcutter::config_block::ConfigBlock;
use bytes::Bytes;
use fabric_channel::{BftOptions, BlockVerifier, Certificate, ChannelConfig, SignaturePolicy, go_duration, serialise};
use fabric_proto::Envelope;
use fabric_proto::common::{Config, ConfigEnvelope, ConfigGroup, Policy};
use fabric_proto::msp::SerializedIdentity;
use frontend_shim::group::ordering_group;
use prost::Message as _;

use crate::fixtures::{CHAIN, CONFIG as REAL, ENVELOPE, RAFT_GENESIS, block};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const CONFIG_BLOCK: Target = Target {
    name: "config_block",
    about: "a config block as a replica is given it: what is read can form a group and verify blocks",
    run: config_block,
    seeds: || vec![Seed::new("bft", CHAIN[0]), Seed::new("raft", RAFT_GENESIS)],
    heap: Heap { base: 1 << 20, per_byte: 128 },
    test_runs: 1_500,
};

pub const CONFIG: Target = Target {
    name: "config",
    about: "a configuration alone, without a block around it",
    run: config,
    seeds: || vec![Seed::new("bft", real_config(CHAIN[0])), Seed::new("raft", real_config(RAFT_GENESIS))],
    heap: Heap { base: 1 << 20, per_byte: 128 },
    test_runs: 1_500,
};

pub const IDENTITY: Target = Target {
    name: "identity",
    about: "a serialised identity: what is read serialises to an equal one",
    run: identity,
    seeds: || vec![Seed::new("client", creator())],
    heap: Heap::MEDIUM,
    test_runs: 2_000,
};

pub const CERTIFICATE: Target = Target {
    name: "certificate",
    about: "an X.509 certificate in DER or PEM: keeps its bytes, and PEM and DER agree",
    run: certificate,
    seeds: || {
        let pem = certificate_pem();
        let der = Certificate::from_pem(&pem).expect("a real certificate").der().to_vec();
        vec![Seed::new("pem", pem), Seed::new("der", der)]
    },
    heap: Heap::MEDIUM,
    test_runs: 4_000,
};

pub const POLICY: Target = Target {
    name: "policy",
    about: "a signature policy: nobody satisfies it by not signing, unless it asks for nobody",
    run: policy,
    seeds: || policies().into_iter().enumerate().map(|(at, bytes)| Seed::new(format!("{at}"), bytes)).collect(),
    heap: Heap { base: 256 << 10, per_byte: 512 },
    test_runs: 6_000,
};

pub const OPTIONS: Target = Target {
    name: "options",
    about: "options of type BFT, and a duration as Go writes it: what is read is written and read again",
    run: options,
    seeds: || vec![Seed::new("defaults", default_options()), Seed::new("duration", b"1h2m3.5s".as_slice())],
    heap: Heap::SMALL,
    test_runs: 10_000,
};

fn config_block(input: &[u8]) -> Outcome {
    match ConfigBlock::decode(Bytes::copy_from_slice(input)) {
        Ok(block) => {
            assert!(block.config.batch_size().max_message_count > 0, "a cut that never ends");
            use_config(&block.config)
        }
        Err(reject) => Outcome::refused(reject),
    }
}

fn config(input: &[u8]) -> Outcome {
    let read = Config::decode(input).map_err(|error| error.to_string());
    let config = read.and_then(|config| {
        ChannelConfig::from_config(REAL.channel_id().as_str(), &config).map_err(|error| error.to_string())
    });
    match config {
        Ok(config) => use_config(&config),
        Err(error) => Outcome::refused(error),
    }
}

/// What a node does with a configuration that it takes.
fn use_config(config: &ChannelConfig) -> Outcome {
    assert!(!config.consenters().is_empty(), "a channel that nobody orders");
    let verifier = BlockVerifier::new(config);
    assert!(!verifier.policy().is_satisfied(&[]), "a block that nobody signed would verify");
    let members = config.members();
    let group = ordering_group(config);
    let count = config.endpoints().count() + members.len();
    Outcome::accepted(format_args!(
        "{}, {}",
        if count > 0 { "used" } else { "no members" },
        Outcome::from(group.map(|_| "a group"))
    ))
}

fn identity(input: &[u8]) -> Outcome {
    match REAL.msps().deserialise(input) {
        Ok(identity) => {
            let validity = identity.validity();
            let again = REAL.msps().deserialise(&identity.serialise()).expect("what was written is read");
            assert_eq!(again, identity);
            assert!(identity.verify(b"message", b"no signature").is_err());
            Outcome::accepted(Outcome::from(validity.map(|()| "valid")))
        }
        Err(error) => Outcome::refused(error),
    }
}

fn certificate(input: &[u8]) -> Outcome {
    let from_der = Certificate::from_der(input);
    if let Ok(certificate) = &from_der {
        assert_eq!(&certificate.der()[..], input);
        let again = Certificate::from_pem(certificate.to_pem().as_bytes()).expect("our own PEM");
        assert_eq!(again.der(), certificate.der());
        assert!(certificate.public_key().verify(b"message", b"no signature").is_err());
    }
    let from_pem = Certificate::from_pem(input).map(|certificate| {
        Certificate::from_der(certificate.der()).expect("PEM of what is no certificate");
        "from PEM"
    });
    Outcome::from(from_der.map(|_| "from DER")).and(&Outcome::from(from_pem))
}

fn policy(input: &[u8]) -> Outcome {
    match SignaturePolicy::from_bytes(input, REAL.msps()) {
        Ok(policy) => {
            let by_nobody = policy.is_satisfied_by(&[]);
            let signer = REAL.msps().deserialise(&creator()).expect("a real identity");
            let by_many = policy.is_satisfied_by(&vec![signer; 8]);
            assert!(!by_nobody || by_many, "more signers satisfy less");
            Outcome::accepted(format_args!("by nobody {by_nobody}, by one {by_many}"))
        }
        Err(error) => Outcome::refused(error),
    }
}

fn options(input: &[u8]) -> Outcome {
    let options = BftOptions::from_metadata(input).map(|options| {
        assert_eq!(BftOptions::from_metadata(&options.to_metadata()).as_ref(), Ok(&options));
        "options"
    });
    let text = String::from_utf8_lossy(input);
    let positive = go_duration::parse_positive(&text);
    if let Ok(positive) = positive {
        assert!(!positive.is_zero());
        assert_eq!(go_duration::parse_non_negative(&text).ok(), Some(positive));
    }
    Outcome::from(options).and(&Outcome::from(positive.map(|_| "a duration")))
}

/// The configuration in a genesis block.
fn real_config(genesis: &[u8]) -> Vec<u8> {
    let block = fabric_proto::common::Block::decode(genesis).expect("a real block");
    let envelope = Envelope::decode(block.entries()[0].clone()).expect("a real envelope");
    let config = ConfigEnvelope::decode(envelope.data().clone()).expect("a real configuration").config;
    config.unwrap_or_default().encode_to_vec()
}

/// Every signature policy of the real channel.
fn policies() -> Vec<Vec<u8>> {
    let config = Config::decode(&real_config(CHAIN[0])[..]).expect("a real configuration");
    let mut found = Vec::new();
    collect(&config.channel_group.unwrap_or_default(), &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn collect(group: &ConfigGroup, found: &mut Vec<Vec<u8>>) {
    for policy in group.policies.values().filter_map(|policy| policy.policy.as_ref()) {
        let Policy { r#type, value } = policy;
        if *r#type == SIGNATURE {
            found.push(value.to_vec());
        }
    }
    group.groups.values().for_each(|group| collect(group, found));
}

/// Who signed the real envelope.
fn creator() -> Vec<u8> {
    let envelope = Envelope::decode(Bytes::from_static(ENVELOPE)).expect("a real envelope");
    envelope.signature_header().map(|header| header.creator.to_vec()).expect("it is signed")
}

fn certificate_pem() -> Vec<u8> {
    let SerializedIdentity { id_bytes, mspid } = SerializedIdentity::decode(&creator()[..]).expect("a real identity");
    assert_eq!(serialise(&mspid, &id_bytes), creator());
    id_bytes.to_vec()
}

fn default_options() -> Vec<u8> {
    match REAL.consensus() {
        fabric_channel::ConsensusType::Bft { options } => options.to_metadata(),
        fabric_channel::ConsensusType::EtcdRaft { .. } => block(0).encode_to_vec(),
    }
}

/// `Policy.PolicyType.SIGNATURE`.
const SIGNATURE: i32 = 1;
