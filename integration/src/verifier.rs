//! Verifies blocks as a stranger would: from the genesis block alone, and with nothing that nodes sign with.
//!
//! Messages are declared here again, the header's DER is written here again, signatures are checked with another library.
//! It is stricter than a peer: every signature of a block must be a valid one of somebody whom the channel knows, while
//! a peer passes over those that are not. Contract 3.1 to 3.3, 3.5, 3.6.

mod channel;
mod identity;
mod messages;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use self::channel::Channel;
use self::identity::is_signed;
use self::messages::{Block, BlockHeader, Entries, Envelope, Metadata, OrdererBlockMetadata};

/// Follows one chain from its genesis block.
#[derive(Clone, Debug)]
pub struct Verifier {
    channel: Channel,
    next: u64,
    previous_hash: [u8; 32],
}

/// What is known of a block once it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBlock {
    /// Its number.
    pub number: u64,
    /// The hash of its header, which stands for its data and for everything before it.
    pub header_hash: [u8; 32],
    /// What every signature covers besides the header.
    pub metadata_value: Vec<u8>,
    /// Its envelopes.
    pub envelopes: Vec<Vec<u8>>,
    /// Ids of the consenters that have signed; empty on a channel without a consenter mapping.
    pub signers: BTreeSet<u32>,
}

/// What is wrong with a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Bytes that are not the message they should be.
    #[error("malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Something that must be there is not.
    #[error("no {0}")]
    Missing(&'static str),
    /// Not the block that comes next.
    #[error("block {found} where block {expected} comes next")]
    Number {
        /// What comes next.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// It follows another block.
    #[error("the previous hash is not the hash of the header before")]
    PreviousHash,
    /// The header is of other data.
    #[error("the data hash is not the hash of the data")]
    DataHash,
    /// Fewer than five metadata slots.
    #[error("{0} metadata slots")]
    Slots(usize),
    /// An entry that peers refuse a whole block for.
    #[error("entry {0} is not an envelope in canonical form")]
    Entry(usize),
    /// A certificate that does not parse or has no P-256 key.
    #[error("a certificate that cannot be used")]
    Certificate,
    /// A signature of somebody whom the channel does not know.
    #[error("a signature of an unknown consenter")]
    UnknownSigner,
    /// A signature that does not verify, or has the larger `s`.
    #[error("a wrong signature")]
    Signature,
    /// Too few have signed.
    #[error("the signatures do not satisfy the BlockValidation policy")]
    Unsatisfied,
    /// A BlockValidation policy of a form that is not understood here, or that is not the one that follows from the consenters.
    #[error("a BlockValidation policy that is not understood")]
    Policy,
}

impl Verifier {
    /// Begins with a genesis block; nobody signs one.
    ///
    /// # Errors
    /// It is not one.
    pub fn from_genesis(genesis: &[u8]) -> Result<Self, Flaw> {
        let opened = Opened::read(genesis)?;
        if opened.header.number != 0 {
            return Err(Flaw::Number { expected: 0, found: opened.header.number });
        }
        Self::after_config_block(genesis)
    }

    /// Begins behind a config block that is trusted, whatever its signatures.
    ///
    /// # Errors
    /// It is not one.
    pub fn after_config_block(block: &[u8]) -> Result<Self, Flaw> {
        let opened = Opened::read(block)?;
        let channel = opened.config()?.ok_or(Flaw::Missing("configuration"))?;
        Ok(Self { channel, next: opened.header.number + 1, previous_hash: header_hash(&opened.header) })
    }

    /// The channel's name.
    #[must_use]
    pub fn channel_id(&self) -> &str {
        &self.channel.id
    }

    /// Number of the block that comes next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Verifies the block that comes next, from its bytes.
    ///
    /// # Errors
    /// The first flaw found; the verifier stays where it was.
    pub fn verify_next(&mut self, block: &[u8]) -> Result<VerifiedBlock, Flaw> {
        let opened = Opened::read(block)?;
        if opened.header.number != self.next {
            return Err(Flaw::Number { expected: self.next, found: opened.header.number });
        }
        if opened.header.previous_hash != self.previous_hash {
            return Err(Flaw::PreviousHash);
        }
        let verified = self.verify_apart(block)?;
        if let Some(channel) = opened.config()? {
            self.channel = channel;
        }
        self.next += 1;
        self.previous_hash = verified.header_hash;
        Ok(verified)
    }

    /// Verifies a block without asking where it stands in the chain.
    ///
    /// # Errors
    /// The first flaw found.
    pub fn verify_apart(&self, block: &[u8]) -> Result<VerifiedBlock, Flaw> {
        let opened = Opened::read(block)?;
        let is_config = opened.config()?.is_some();
        let Opened { header, data, metadata } = opened;
        if metadata.len() < SLOTS {
            return Err(Flaw::Slots(metadata.len()));
        }
        // A config block has one entry; peers do not ask for its form.
        if !is_config {
            check_entries(&data)?;
        }
        if header.data_hash != data_hash(&data) {
            return Err(Flaw::DataHash);
        }
        let slot = Metadata::decode(&metadata[0][..])?;
        if OrdererBlockMetadata::decode(&slot.value[..])?.last_config.is_none() {
            return Err(Flaw::Missing("last config in the metadata value"));
        }
        let signers = self.check_signatures(&header, &slot)?;
        Ok(VerifiedBlock {
            number: header.number,
            header_hash: header_hash(&header),
            metadata_value: slot.value,
            envelopes: data,
            signers,
        })
    }

    fn check_signatures(&self, header: &BlockHeader, slot: &Metadata) -> Result<BTreeSet<u32>, Flaw> {
        let header_der = header_der(header);
        let mut identities = BTreeSet::new();
        for signature in &slot.signatures {
            let signer = self.channel.signer(signature)?;
            let message = [&slot.value[..], &signer.header, &header_der].concat();
            if !is_signed(&signer.key, &message, &signature.signature) {
                return Err(Flaw::Signature);
            }
            identities.insert(signer.identity);
        }
        if !self.channel.is_satisfied(&identities)? {
            return Err(Flaw::Unsatisfied);
        }
        Ok(identities.iter().filter_map(|identity| self.channel.consenter(identity)).collect())
    }
}

/// A block with its three parts there.
struct Opened {
    header: BlockHeader,
    data: Vec<Vec<u8>>,
    metadata: Vec<Vec<u8>>,
}

impl Opened {
    fn read(block: &[u8]) -> Result<Self, Flaw> {
        let Block { header, data, metadata } = Block::decode(block)?;
        let entries = |part: Option<Entries>, name| part.map(|part| part.entries).ok_or(Flaw::Missing(name));
        Ok(Self {
            header: header.ok_or(Flaw::Missing("block header"))?,
            data: entries(data, "block data")?,
            metadata: entries(metadata, "block metadata")?,
        })
    }

    fn config(&self) -> Result<Option<Channel>, Flaw> {
        match &self.data[..] {
            [only] => Channel::read(only),
            _ => Ok(None),
        }
    }
}

/// Each entry must be an envelope with both parts, in the one encoding that re-encoding gives (contract 3.6).
fn check_entries(data: &[Vec<u8>]) -> Result<(), Flaw> {
    if data.is_empty() {
        return Err(Flaw::Missing("entry in the block's data"));
    }
    for (at, entry) in data.iter().enumerate() {
        let envelope = Envelope::decode(&entry[..]).map_err(|_| Flaw::Entry(at))?;
        let is_whole = !envelope.payload.is_empty() && !envelope.signature.is_empty();
        if !is_whole || envelope.encode_to_vec() != *entry {
            return Err(Flaw::Entry(at));
        }
    }
    Ok(())
}

fn data_hash(data: &[Vec<u8>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for entry in data {
        hash.update(entry);
    }
    hash.finalize().into()
}

fn header_hash(header: &BlockHeader) -> [u8; 32] {
    Sha256::digest(header_der(header)).into()
}

/// `SEQUENCE { INTEGER number, OCTET STRING previous hash, OCTET STRING data hash }`.
fn header_der(header: &BlockHeader) -> Vec<u8> {
    let mut number: Vec<u8> = header.number.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    // Zero has one octet, and a leading one bit would make the number negative.
    if number.first().is_none_or(|first| first & 0x80 != 0) {
        number.insert(0, 0);
    }
    let content =
        [der(INTEGER, &number), der(OCTET_STRING, &header.previous_hash), der(OCTET_STRING, &header.data_hash)];
    der(SEQUENCE, &content.concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    match &length[..] {
        [] => vec![tag, 0],
        [short @ 0..0x80] => [&[tag, *short], content].concat(),
        long => [&[tag, 0x80 | long.len() as u8], long, content].concat(),
    }
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// Metadata slots of a block.
const SLOTS: usize = 5;
