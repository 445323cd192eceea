//! Signatures of real orderers verify over our preimages, and ours become what Fabric accepts.
#![allow(clippy::unwrap_used, missing_docs)]

mod fabric;

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair, UnparsedPublicKey,
};
use fabric::Run;
use fabric_proto::low_s::{self, Curve};
use fabric_proto::metadata::{self, SignerHeader};
use fabric_proto::{common, msp};
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use prost::Message;

#[test]
fn bft_signatures_verify_with_the_key_of_their_identifier() {
    let keys = consenter_keys();
    let mut count = 0;
    for name in Run::Bft.signed_block_names() {
        for signed in signatures_of(&Run::Bft.block(name)) {
            let SignerHeader::Identifier(bytes) = &signed.signer else { panic!("{name}: identifier expected") };
            let header = common::IdentifierHeader::decode(bytes.clone()).unwrap();
            assert_eq!(header.nonce.len(), 24);
            signed.check_with(&keys[&header.identifier]);
            count += 1;
        }
    }
    println!("{count} signatures of BFT orderers verified");
    assert_eq!(count, 18, "three per block");
}

#[test]
fn raft_signatures_verify_with_the_key_of_their_creator() {
    let mut count = 0;
    for name in Run::Raft.signed_block_names() {
        for signed in signatures_of(&Run::Raft.block(name)) {
            let SignerHeader::Signature(bytes) = &signed.signer else { panic!("{name}: creator expected") };
            let header = common::SignatureHeader::decode(bytes.clone()).unwrap();
            let creator = msp::SerializedIdentity::decode(header.creator).unwrap();
            assert_eq!(creator.mspid, "OrdererMSP");
            signed.check_with(&key_of_pem(&creator.id_bytes));
            count += 1;
        }
    }
    println!("{count} signatures of raft orderers verified");
    assert_eq!(count, 3, "one per block");
}

#[test]
fn deterministic_p256_signatures_are_normalised_like_the_p256_crate_does() {
    let mut high_count = 0;
    for seed in 1..=200u8 {
        let key = SigningKey::from_slice(&[seed; 32]).unwrap();
        let message = [seed, 1, 2, 3];
        let signature: Signature = key.sign(&message);
        let der = signature.to_der();
        let normalised = signature.normalize_s();
        let is_low = normalised == signature;
        high_count += usize::from(!is_low);
        assert_eq!(low_s::is_low_s(Curve::P256, der.as_bytes()), Ok(is_low));
        let ours = low_s::to_low_s(Curve::P256, der.as_bytes()).unwrap();
        assert_eq!(ours, normalised.to_der().as_bytes());
        let parsed = Signature::from_der(&ours).unwrap();
        key.verifying_key().verify(&message, &parsed).unwrap();
    }
    println!("{high_count} of 200 signatures had a high s");
    assert!((50..150).contains(&high_count));
}

#[test]
fn random_signatures_of_both_curves_still_verify_when_normalised() {
    check_curve(Curve::P256, &ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P256_SHA256_ASN1);
    check_curve(Curve::P384, &ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1);
}

fn check_curve(curve: Curve, signing: &'static EcdsaSigningAlgorithm, verifying: &'static EcdsaVerificationAlgorithm) {
    let key = EcdsaKeyPair::generate(signing).unwrap();
    let public_key = UnparsedPublicKey::new(verifying, key.public_key().as_ref());
    let mut changed_count = 0;
    for round in 0..64u8 {
        let signature = key.sign(&SystemRandom::new(), &[round]).unwrap();
        let ours = low_s::to_low_s(curve, signature.as_ref()).unwrap();
        public_key.verify(&[round], &ours).unwrap();
        assert_eq!(low_s::is_low_s(curve, &ours), Ok(true));
        changed_count += usize::from(ours != signature.as_ref());
    }
    assert!((1..64).contains(&changed_count), "{curve:?}: {changed_count} of 64 were high");
}

/// One signature of a block with all that it covers.
struct SignedBlock {
    value: bytes::Bytes,
    signer: SignerHeader,
    header: common::BlockHeader,
    signature: bytes::Bytes,
}

impl SignedBlock {
    /// The signature verifies, is low-S, and stops verifying if any part of the preimage changes.
    fn check_with(&self, key: &VerifyingKey) {
        assert_eq!(low_s::is_low_s(Curve::P256, &self.signature), Ok(true));
        let signature = Signature::from_der(&self.signature).unwrap();
        let verifies = |value: &[u8], signer: &SignerHeader, header: &common::BlockHeader| {
            let preimage = metadata::signature_preimage(value, signer, &header.der());
            key.verify(&preimage, &signature).is_ok()
        };
        assert!(verifies(&self.value, &self.signer, &self.header));
        let next_number = common::BlockHeader { number: self.header.number + 1, ..self.header.clone() };
        assert!(!verifies(&self.value, &self.signer, &next_number));
        assert!(!verifies(&metadata::metadata_value(99, bytes::Bytes::new()), &self.signer, &self.header));
        let other_signer = SignerHeader::from_identifier(99, bytes::Bytes::new());
        assert!(!verifies(&self.value, &other_signer, &self.header));
    }
}

fn signatures_of(block: &common::Block) -> Vec<SignedBlock> {
    let slot = metadata::parse_signatures_slot(block.metadata.as_ref().unwrap()).unwrap();
    let with_value = |signature: &common::MetadataSignature| SignedBlock {
        value: slot.value.clone(),
        signer: SignerHeader::of(signature),
        header: block.header.clone().unwrap(),
        signature: signature.signature.clone(),
    };
    slot.signatures.iter().map(with_value).collect()
}

fn consenter_keys() -> BTreeMap<u32, VerifyingKey> {
    let group = Run::Bft.channel_groups().remove(0);
    let value = group.groups["Orderer"].values["Orderers"].value.clone();
    let orderers = common::Orderers::decode(value).unwrap();
    assert_eq!(orderers.consenter_mapping.len(), 4);
    let entry = |consenter: &common::Consenter| (consenter.id, key_of_pem(&consenter.identity));
    orderers.consenter_mapping.iter().map(entry).collect()
}

fn key_of_pem(pem: &[u8]) -> VerifyingKey {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).unwrap();
    let certificate = pem.parse_x509().unwrap();
    VerifyingKey::from_sec1_bytes(&certificate.public_key().subject_public_key.data).unwrap()
}
