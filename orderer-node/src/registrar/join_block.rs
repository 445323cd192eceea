//! The block with which an administrator joins a channel, and whether this node is a consenter of it.

use std::sync::Arc;

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::common::Block;
use frontend_shim::group::{OrderingGroup, ordering_group};
use mod_smart::ReplicaId;
use prost::Message as _;

use crate::keys::{SigningIdentity, SigningKey};
use crate::signer::SignatureStyle;

/// A config block that an administrator trusts.
#[derive(Clone, Debug)]
pub(super) struct JoinBlock {
    /// Its number; a channel is joined from its beginning or from a later config block.
    pub(super) number: u64,
    /// The hash of its header.
    pub(super) header_hash: [u8; 32],
    /// What it configures.
    pub(super) config: ChannelConfig,
    /// The block, byte for byte.
    pub(super) encoded: Bytes,
}

impl JoinBlock {
    /// Reads a config block.
    pub(super) fn decode(encoded: Bytes) -> Result<Self, String> {
        let block = Block::decode(encoded.clone()).map_err(|error| format!("it is not a block: {error}"))?;
        let config = ChannelConfig::from_block(&block).map_err(|error| error.to_string())?;
        let header = block.header.ok_or("it has no header")?;
        Ok(Self { number: header.number, header_hash: header.hash(), config, encoded })
    }
}

/// Which member of a group this node is, and the key that the channel configuration knows it by.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Our place.
    pub me: ReplicaId,
    /// The private key of our pinned public key.
    pub pinned: Arc<SigningKey>,
}

/// The keys that a consenter is known by: of its enrolment identity (type BFT), or of its TLS certificate (type etcdraft).
#[derive(Clone, Debug)]
pub(super) struct OurKeys {
    pub(super) identity: Arc<SigningIdentity>,
    /// None if it is of a kind that cannot pin a consenter.
    pub(super) tls: Option<Arc<SigningKey>>,
}

impl OurKeys {
    /// Finds this node among the consenters. Keys are compared, not certificates, so a renewed certificate changes nothing.
    pub(super) fn membership(&self, group: &OrderingGroup) -> Option<Membership> {
        let keys = std::iter::once(self.identity.key()).chain(self.tls.as_ref());
        for key in keys {
            let ours = |pinned: &Bytes| pinned.as_ref() == key.spki_der();
            if let Some(at) = group.consenters().iter().position(|consenter| ours(consenter.pinned_key())) {
                return Some(Membership { me: ReplicaId(u16::try_from(at).ok()?), pinned: Arc::clone(key) });
            }
        }
        None
    }
}

/// How a consenter signs blocks under this configuration: in the shorter way wherever peers understand it.
pub(super) fn signature_style(config: &ChannelConfig, group: &OrderingGroup, me: ReplicaId) -> SignatureStyle {
    let consenter = group.consenter(me).filter(|consenter| config.has_bft_capability() && consenter.identity.is_some());
    consenter.map_or(SignatureStyle::Creator, |consenter| SignatureStyle::Identifier(consenter.id))
}

/// The group of the consenters of a configuration.
pub(super) fn group_of(config: &ChannelConfig) -> Result<OrderingGroup, String> {
    ordering_group(config).map_err(|error| error.to_string())
}
