//! What a liar tells frontends about the next block.

use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::block::header_der;
use fabric_proto::common::BlockData;
use fabric_proto::metadata::{SignerHeader, metadata_value, signature_preimage};
use frontend_shim::certainty::Certainty;
use frontend_shim::frame::{Push, ToFrontend};
use frontend_shim::framing::encode_frame;
use orderer_node::keys::SigningIdentity;
use prost::Message as _;

/// How it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Signatures that are none of this node's over this header, in several ways.
    Signature,
    /// A block that nobody has ordered, under a good signature; or one that follows nothing.
    Header,
    /// Blocks far in the future, and frames that are none.
    Garbage,
    /// The right header under a good signature, with a body that is another block's.
    Body,
    /// None: it keeps silent about blocks.
    Nothing,
}

/// What is known of the chain before anybody can know the next block.
#[derive(Clone, Copy, Debug)]
pub struct Tip {
    pub next: u64,
    pub previous_hash: [u8; 32],
    pub last: Last,
}

/// The header of the last block.
#[derive(Clone, Copy, Debug)]
pub struct Last {
    pub previous_hash: [u8; 32],
    pub data_hash: [u8; 32],
}

/// Has the keys of consenter 4.
#[derive(Clone, Debug)]
pub struct Signer {
    pub channel: ChannelId,
    pub identity: Arc<SigningIdentity>,
}

impl Lie {
    /// The frames for the block after this tip.
    pub fn tell(self, signer: &Signer, tip: Tip) -> Vec<Bytes> {
        match self {
            Self::Signature => {
                let signature = match tip.next % 4 {
                    0 => Bytes::from_static(b"not even a message"),
                    1 => signer.sign(4, tip, &[1; 32]),
                    2 => signer.sign(1, tip, &FALSE_DATA_HASH),
                    _ => signer.sign(99, tip, &FALSE_DATA_HASH),
                };
                vec![signer.push(tip, signature)]
            }
            Self::Header if tip.next.is_multiple_of(2) => {
                let detached = Tip { previous_hash: [7; 32], ..tip };
                vec![signer.push(detached, signer.sign(4, detached, &FALSE_DATA_HASH))]
            }
            Self::Header => vec![signer.push(tip, signer.sign(4, tip, &FALSE_DATA_HASH))],
            Self::Garbage => {
                let far = Tip { next: tip.next + 1_000_000, ..tip };
                let garbage = encode_frame(200, &[b"garbage"]);
                vec![signer.push(far, signer.sign(4, far, &FALSE_DATA_HASH)), garbage]
            }
            Self::Nothing => Vec::new(),
            Self::Body => {
                let Last { previous_hash, data_hash } = tip.last;
                let at = Tip { next: tip.next - 1, previous_hash, ..tip };
                let body = BlockData { data: vec![Bytes::from_static(b"never ordered")] };
                let signature = signer.sign(4, at, &data_hash);
                vec![signer.frame(at, data_hash, signature, Some(body.encode_to_vec().into()))]
            }
        }
    }
}

impl Signer {
    /// An encoded `MetadataSignature` under our key: as this consenter, over this header.
    fn sign(&self, consenter: u32, tip: Tip, data_hash: &[u8; 32]) -> Bytes {
        let header = SignerHeader::from_identifier(consenter, Bytes::from_static(&[5; 24]));
        let der = header_der(tip.next, &tip.previous_hash, data_hash);
        let signature = self.identity.sign(&signature_preimage(&value(), &header, &der));
        header.into_signature(signature.into()).encode_to_vec().into()
    }

    fn push(&self, tip: Tip, signature: Bytes) -> Bytes {
        self.frame(tip, FALSE_DATA_HASH, signature, None)
    }

    fn frame(&self, tip: Tip, data_hash: [u8; 32], signature: Bytes, body: Option<Bytes>) -> Bytes {
        let push = Push {
            channel: self.channel.clone(),
            number: tip.next,
            certainty: Certainty::Decided,
            previous_hash: tip.previous_hash,
            data_hash,
            metadata_value: value(),
            signature,
            body,
        };
        ToFrontend::Push(push).encode()
    }
}

fn value() -> Bytes {
    metadata_value(0, Bytes::new())
}

const FALSE_DATA_HASH: [u8; 32] = [9; 32];
