//! Verifying blocks and block signatures exactly as a Fabric v3 peer does.
//!
//! One verifier belongs to one configuration: the block after a configuration block needs the verifier of that
//! configuration, while the configuration block itself is verified under the old one (contract §2.6). A verifier is
//! a value without state, so it may be shared by threads.
//!
//! A *collector* gets signatures one by one: [`BlockVerifier::verify_signature`] for each, then
//! [`crate::BlockPolicy::is_satisfied`]. A *receiver* of whole blocks uses [`BlockVerifier::verify_block`]. Both
//! end in the same policy evaluation. Contract §3.3, §3.5, §3.6.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::block::SLOT_COUNT;
use fabric_proto::common::{
    Block, BlockHeader, BlockMetadata, IdentifierHeader, Metadata, MetadataSignature, SignatureHeader,
};
use fabric_proto::metadata::{SignerHeader, parse_signatures_slot, signature_preimage};
use prost::Message as _;
use thiserror::Error;

use crate::block_policy::BlockPolicy;
use crate::bundle::Bundle;
use crate::config::ChannelConfig;
use crate::identity::{self, Identity, IdentityError, IdentityKey};
use crate::limits::BLOCK_SIGNATURES_MAX;
use crate::public_key::SignatureError;
use crate::well_formed::{self, DataError};

/// Verifies what one configuration of a channel governs. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct BlockVerifier {
    bundle: Arc<Bundle>,
    policy: BlockPolicy,
    /// V3_0: a signature may name its signer by consenter id.
    accepts_identifiers: bool,
    consenters: Arc<Consenters>,
}

/// The consenters' identities, read once. Consenters whose identity their MSP does not read are absent.
#[derive(Debug, Default)]
struct Consenters {
    by_id: BTreeMap<u32, Identity>,
    by_key: BTreeMap<IdentityKey, u32>,
    /// By the creator bytes they sign with, so that the usual creator is not parsed for every signature.
    by_creator: BTreeMap<Bytes, Identity>,
}

/// Somebody whose signature over a block has been verified.
///
/// Only the signature: whether the identity is valid, and whether its signature counts, is for the policy to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSigner {
    identity: Identity,
    consenter: Option<u32>,
}

impl VerifiedSigner {
    /// Who signed.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// Why one block signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reject {
    /// The signature header does not parse. In a stored block this makes the whole block invalid.
    #[error("the signature header does not parse")]
    MalformedSignatureHeader,
    /// The identifier header does not parse. In a stored block this makes the whole block invalid.
    #[error("the identifier header does not parse")]
    MalformedIdentifierHeader,
    /// Nobody in the consenter mapping has this id, or nobody whose identity can be read.
    #[error("there is no consenter {0} with a readable identity")]
    UnknownConsenter(u32),
    /// The creator cannot be read.
    #[error("the signer's identity is not accepted: {0}")]
    Identity(#[from] IdentityError),
    /// The signature value.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Reject {
    /// True if peers refuse a block that contains such a signature, however many good ones it has beside it.
    #[must_use]
    pub fn spoils_block(&self) -> bool {
        matches!(self, Self::MalformedSignatureHeader | Self::MalformedIdentifierHeader)
    }
}

/// Why a peer refuses a block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BlockReject {
    /// No header.
    #[error("the block has no header")]
    NoHeader,
    /// Not the next number.
    #[error("block number {actual} where {expected} is expected")]
    WrongNumber {
        /// The next number of the chain.
        expected: u64,
        /// The number in the header.
        actual: u64,
    },
    /// Not linked to the previous header.
    #[error("block {number}: the previous hash is not the hash of the previous header")]
    WrongPreviousHash {
        /// The block.
        number: u64,
    },
    /// Fewer metadata slots than there are meanings.
    #[error("block {number}: {count} metadata slots, {SLOT_COUNT} are needed")]
    TooFewSlots {
        /// The block.
        number: u64,
        /// Slots present; none without metadata.
        count: usize,
    },
    /// The data.
    #[error("block {number}: {why}")]
    Data {
        /// The block.
        number: u64,
        /// What is wrong with it.
        why: DataError,
    },
    /// Data and header do not belong together.
    #[error("block {number}: the data hash in the header is not the hash of the data")]
    WrongDataHash {
        /// The block.
        number: u64,
    },
    /// The slot SIGNATURES does not parse.
    #[error("block {number}: the signatures in the metadata do not parse")]
    MalformedSignatures {
        /// The block.
        number: u64,
    },
    /// More signatures than anybody needs.
    #[error("block {number}: {count} signatures are more than {BLOCK_SIGNATURES_MAX}")]
    TooManySignatures {
        /// The block.
        number: u64,
        /// How many.
        count: usize,
    },
    /// A signature that spoils the block.
    #[error("block {number}: signature {index}: {why}")]
    Signature {
        /// The block.
        number: u64,
        /// Position among the signatures, from zero.
        index: usize,
        /// What is wrong with it.
        why: Reject,
    },
    /// Too few good signatures, or not those that the policy asks for.
    #[error("block {number}: the signatures do not satisfy the BlockValidation policy")]
    PolicyNotSatisfied {
        /// The block.
        number: u64,
    },
}

impl BlockVerifier {
    /// The verifier for blocks under a configuration.
    #[must_use]
    pub fn new(config: &ChannelConfig) -> Self {
        let accepts_identifiers = config.has_bft_capability();
        Self {
            bundle: Arc::clone(config.bundle()),
            policy: config.block_policy().clone(),
            accepts_identifiers,
            consenters: Arc::new(Consenters::read(config)),
        }
    }

    /// The policy that signatures have to satisfy together.
    #[must_use]
    pub fn policy(&self) -> &BlockPolicy {
        &self.policy
    }

    /// Verifies one signature. `header_der` is the DER of the block header, `metadata_value` the signed value of
    /// the slot SIGNATURES.
    ///
    /// # Errors
    /// [`Reject`]; such a signature must not be stored, see [`Reject::spoils_block`].
    pub fn verify_signature(
        &self,
        header_der: &[u8],
        metadata_value: &[u8],
        signature: &MetadataSignature,
    ) -> Result<VerifiedSigner, Reject> {
        let header = self.signer_header(signature);
        let identity = self.signer(&header)?;
        let message = signature_preimage(metadata_value, &header, header_der);
        self.verify_by(identity, &message, &signature.signature)
    }

    fn verify_by(&self, identity: Identity, message: &[u8], signature: &[u8]) -> Result<VerifiedSigner, Reject> {
        identity.verify(message, signature)?;
        let consenter = self.consenters.by_key.get(identity.key()).copied();
        Ok(VerifiedSigner { identity, consenter })
    }

    /// The id of the consenter that made a signature, for counting distinct consenters. On type BFT every signer
    /// that the usual policy counts has one. On etcdraft the configuration does not say by which identity a
    /// consenter signs: signers have none.
    #[must_use]
    pub fn signer_of(&self, signer: &VerifiedSigner) -> Option<u32> {
        signer.consenter
    }

    /// Verifies a whole block: number, link, slots, form of the data, data hash, signatures.
    ///
    /// Without `previous_hash` the link is not checked, as when a chain is entered in the middle.
    ///
    /// # Errors
    /// [`BlockReject`], the first rule that is broken, in the order of a peer.
    pub fn verify_block(
        &self,
        block: &Block,
        expected_number: u64,
        previous_hash: Option<&[u8]>,
    ) -> Result<(), BlockReject> {
        let header = check_header(block, expected_number, previous_hash)?;
        let metadata = check_slots(block, header.number)?;
        let number = header.number;
        well_formed::check_entries(block.entries()).map_err(|why| BlockReject::Data { number, why })?;
        if fabric_proto::block::data_hash(block.entries())[..] != header.data_hash[..] {
            return Err(BlockReject::WrongDataHash { number });
        }
        self.verify_signatures(header, metadata)
    }

    /// Verifies header and signatures of a block that comes without its data.
    ///
    /// # Errors
    /// [`BlockReject`], as for [`Self::verify_block`].
    pub fn verify_attestation(
        &self,
        block: &Block,
        expected_number: u64,
        previous_hash: Option<&[u8]>,
    ) -> Result<(), BlockReject> {
        let header = check_header(block, expected_number, previous_hash)?;
        let metadata = check_slots(block, header.number)?;
        self.verify_signatures(header, metadata)
    }

    /// Verifies only that the signatures satisfy the policy.
    ///
    /// # Errors
    /// [`BlockReject`].
    pub fn verify_signatures(&self, header: &BlockHeader, metadata: &BlockMetadata) -> Result<(), BlockReject> {
        let number = header.number;
        let Metadata { value, signatures } =
            parse_signatures_slot(metadata).map_err(|_| BlockReject::MalformedSignatures { number })?;
        if signatures.len() > BLOCK_SIGNATURES_MAX {
            let count = signatures.len();
            return Err(BlockReject::TooManySignatures { number, count });
        }
        // An unreadable header spoils the block even behind a sufficient set, so all are looked at before any is
        // verified.
        for (index, signature) in signatures.iter().enumerate() {
            self.check_signer_header(signature).map_err(|why| BlockReject::Signature { number, index, why })?;
        }
        let signers = self.distinct_signers(&header.der(), &value, &signatures);
        if !self.policy.is_satisfied(&signers) {
            return Err(BlockReject::PolicyNotSatisfied { number });
        }
        Ok(())
    }

    /// The signers whose signatures are good. Repeating the signature of an accepted signer costs no second
    /// verification.
    fn distinct_signers(
        &self,
        header_der: &[u8],
        value: &[u8],
        signatures: &[MetadataSignature],
    ) -> Vec<VerifiedSigner> {
        let mut signers: Vec<VerifiedSigner> = Vec::new();
        for signature in signatures {
            let header = self.signer_header(signature);
            let Ok(identity) = self.signer(&header) else {
                continue;
            };
            if signers.iter().any(|signer| signer.identity == identity) {
                continue;
            }
            let message = signature_preimage(value, &header, header_der);
            if let Ok(signer) = self.verify_by(identity, &message, &signature.signature) {
                signers.push(signer);
            }
        }
        signers
    }

    /// Which of the two headers of a signature names its signer.
    fn signer_header(&self, signature: &MetadataSignature) -> SignerHeader {
        if self.accepts_identifiers {
            return SignerHeader::of(signature);
        }
        SignerHeader::Signature(signature.signature_header.clone())
    }

    fn check_signer_header(&self, signature: &MetadataSignature) -> Result<(), Reject> {
        match self.signer_header(signature) {
            SignerHeader::Signature(bytes) => parse_signature_header(&bytes).map(drop),
            SignerHeader::Identifier(bytes) => parse_identifier_header(&bytes).map(drop),
        }
    }

    fn signer(&self, header: &SignerHeader) -> Result<Identity, Reject> {
        match header {
            SignerHeader::Identifier(bytes) => {
                let id = parse_identifier_header(bytes)?.identifier;
                let known = self.consenters.by_id.get(&id);
                known.cloned().ok_or(Reject::UnknownConsenter(id))
            }
            SignerHeader::Signature(bytes) => {
                let creator = parse_signature_header(bytes)?.creator;
                if let Some(known) = self.consenters.by_creator.get(&creator) {
                    return Ok(known.clone());
                }
                Ok(self.bundle.msps().deserialise(&creator)?)
            }
        }
    }
}

impl Consenters {
    fn read(config: &ChannelConfig) -> Self {
        let mut read = Self::default();
        for consenter in config.consenters() {
            let (Some(msp_id), Some(signing)) = (&consenter.msp_id, &consenter.identity) else {
                continue;
            };
            let Ok(identity) = config.msps().identity(msp_id, &signing.pem) else {
                continue;
            };
            let creator = identity::serialise(msp_id, &signing.pem);
            read.by_id.insert(consenter.id, identity.clone());
            read.by_key.insert(identity.key().clone(), consenter.id);
            read.by_creator.insert(creator, identity);
        }
        read
    }
}

fn parse_signature_header(bytes: &Bytes) -> Result<SignatureHeader, Reject> {
    SignatureHeader::decode(bytes.clone()).map_err(|_| Reject::MalformedSignatureHeader)
}

fn parse_identifier_header(bytes: &Bytes) -> Result<IdentifierHeader, Reject> {
    IdentifierHeader::decode(bytes.clone()).map_err(|_| Reject::MalformedIdentifierHeader)
}

fn check_header<'a>(
    block: &'a Block,
    expected_number: u64,
    previous_hash: Option<&[u8]>,
) -> Result<&'a BlockHeader, BlockReject> {
    let header = block.header.as_ref().ok_or(BlockReject::NoHeader)?;
    if header.number != expected_number {
        return Err(BlockReject::WrongNumber { expected: expected_number, actual: header.number });
    }
    if previous_hash.is_some_and(|hash| hash != &header.previous_hash[..]) {
        let number = header.number;
        return Err(BlockReject::WrongPreviousHash { number });
    }
    Ok(header)
}

fn check_slots(block: &Block, number: u64) -> Result<&BlockMetadata, BlockReject> {
    let slots = block.metadata.as_ref();
    let count = slots.map_or(0, |metadata| metadata.metadata.len());
    slots.filter(|_| count >= SLOT_COUNT).ok_or(BlockReject::TooFewSlots { number, count })
}
