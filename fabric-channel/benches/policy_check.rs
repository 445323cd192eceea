//! What a policy check costs beside the signature verifications in it.
//!
//! `cargo bench -p fabric-channel` prints p50 and p90 of single checks. Verification alone is measured in turns with each
//! check, so that a busy machine slows both alike. The promise: whoever is known costs one verification and at most a few
//! microseconds.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

#[path = "../tests/made_channel/mod.rs"]
mod made_channel;

use std::time::{Duration, Instant};

use bytes::Bytes;
use fabric_channel::{BlockVerifier, ChannelConfig, SignedData};
use fabric_proto::common::{BlockHeader, BlockMetadata, Metadata, MetadataSignature, SignatureHeader};
use fabric_proto::metadata::{SignerHeader, signature_preimage};
use made_channel::{Member, Organization, channel};
use prost::Message as _;

fn main() {
    let orderer = Organization::new("OrdererMSP");
    let consenters: Vec<Member> = (2..=CONSENTERS as u64 + 1).map(|serial| orderer.member("orderer", serial)).collect();
    let organizations: Vec<Organization> =
        (1..=ORGANIZATIONS).map(|at| Organization::new(&format!("Org{at}MSP"))).collect();
    let materials = organizations.iter().map(Organization::material).collect();
    let config = channel(&orderer, &consenters, materials);
    println!("channel of type BFT, {ORGANIZATIONS} organizations of peers, all with node OUs, {CONSENTERS} consenters");
    println!("P-256, messages of {MESSAGE_BYTES} bytes, {CHECKS} checks each, one thread, {} cores", cores());

    let organization = &organizations[ORGANIZATIONS / 2];
    let known = organization.member("client", 2);
    writers("/Channel/Writers, known creator", &config, &vec![&known; CHECKS]);
    let strangers: Vec<Member> = (0..CHECKS as u64).map(|at| organization.member("client", 1000 + at)).collect();
    writers("/Channel/Writers, unknown creator", &config, &strangers.iter().collect::<Vec<_>>());
    block_validation("BlockValidation, 3 creators", &config, &signatures(&consenters, false), &consenters[0]);
    block_validation("BlockValidation, 3 consenter ids", &config, &signatures(&consenters, true), &consenters[0]);
}

/// One envelope of each creator against the policy of writers.
fn writers(name: &str, config: &ChannelConfig, creators: &[&Member]) {
    let message = [7; MESSAGE_BYTES];
    let mut times = Times::default();
    // The first is the one that everybody has to be known by.
    for (at, creator) in creators.iter().enumerate() {
        let signature = creator.sign(&message);
        let signed = [SignedData { data: &message, identity: &creator.creator, signature: &signature }];
        let check = || {
            let policy = config.bundle().policies().policy("/Channel/Writers").unwrap();
            policy.is_satisfied_by(&config.msps().distinct_signers(&signed))
        };
        if at == 0 {
            assert!(check());
        }
        times.check(check);
        // Now everybody is known: the key is parsed, and what is left is the verification.
        let identity = config.msps().deserialise(&creator.creator).unwrap();
        times.verification(|| identity.verify(&message, &signature).is_ok());
    }
    times.print(name, 1);
}

/// A block with as many signatures as the policy needs.
fn block_validation(name: &str, config: &ChannelConfig, signatures: &[MetadataSignature], one: &Member) {
    let verifier = BlockVerifier::new(config);
    let metadata = metadata(signatures);
    let identity = config.msps().deserialise(&one.creator).unwrap();
    let (message, mut times) = ([7; MESSAGE_BYTES], Times::default());
    let signature = one.sign(&message);
    for _ in 0..CHECKS {
        times.check(|| verifier.verify_signatures(&header(), &metadata).is_ok());
        times.verification(|| identity.verify(&message, &signature).is_ok());
    }
    times.print(name, signatures.len() as u32);
}

fn signatures(consenters: &[Member], by_identifier: bool) -> Vec<MetadataSignature> {
    let sign = |(id, member): (u32, &Member)| {
        let mut signature = MetadataSignature::default();
        let nonce = Bytes::from_static(&[1; 24]);
        if by_identifier {
            let header = fabric_proto::common::IdentifierHeader { identifier: id, nonce };
            signature.identifier_header = header.encode_to_vec().into();
        } else {
            let header = SignatureHeader { creator: member.creator.clone(), nonce };
            signature.signature_header = header.encode_to_vec().into();
        }
        let message = signature_preimage(VALUE, &SignerHeader::of(&signature), &header().der());
        signature.signature = member.sign(&message).into();
        signature
    };
    (1..).zip(consenters).take(QUORUM).map(sign).collect()
}

fn header() -> BlockHeader {
    BlockHeader { number: 1, previous_hash: Bytes::from_static(&[2; 32]), data_hash: Bytes::from_static(&[3; 32]) }
}

fn metadata(signatures: &[MetadataSignature]) -> BlockMetadata {
    let slot = Metadata { value: Bytes::from_static(VALUE), signatures: signatures.to_vec() };
    let mut slots = vec![Bytes::new(); 5];
    slots[0] = slot.encode_to_vec().into();
    BlockMetadata { metadata: slots }
}

/// How long checks took, and verifications between them.
#[derive(Default)]
struct Times {
    checks: Vec<Duration>,
    verifications: Vec<Duration>,
}

impl Times {
    fn check(&mut self, check: impl FnOnce() -> bool) {
        self.checks.push(timed(check));
    }

    fn verification(&mut self, verify: impl FnOnce() -> bool) {
        self.verifications.push(timed(verify));
    }

    fn print(mut self, name: &str, verifications: u32) {
        let (check, alone) = (percentiles(&mut self.checks), percentiles(&mut self.verifications));
        let beside = micros(check.0) - f64::from(verifications) * micros(alone.0);
        println!(
            "{name:34} p50 {:7.1} us  p90 {:7.1} us; one verification p50 {:5.1} us  p90 {:5.1} us; \
             beside {verifications} of them {beside:6.1} us",
            micros(check.0),
            micros(check.1),
            micros(alone.0),
            micros(alone.1),
        );
    }
}

fn timed(work: impl FnOnce() -> bool) -> Duration {
    let start = Instant::now();
    let is_good = std::hint::black_box(work());
    let time = start.elapsed();
    assert!(is_good, "a check that fails measures nothing");
    time
}

fn percentiles(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 9 / 10])
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

const ORGANIZATIONS: usize = 10;
const CONSENTERS: usize = 4;
/// Signatures that four consenters need.
const QUORUM: usize = 3;
const CHECKS: usize = 2_000;
const MESSAGE_BYTES: usize = 1_024;
const VALUE: &[u8] = b"\x0a\x02\x08\x01";
