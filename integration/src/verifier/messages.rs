//! The messages that a block consists of, declared here once more from the field numbers of contract Appendix A.
//!
//! A mistake in the messages of the program under test must not be repeated by what judges it, so nothing is shared.
//! Only fields that the verifier looks at are declared; where bytes are compared the whole message is.

use std::collections::BTreeMap;

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Block {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<BlockHeader>,
    #[prost(message, optional, tag = "2")]
    pub(super) data: Option<Entries>,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<Entries>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BlockHeader {
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) previous_hash: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) data_hash: Vec<u8>,
}

/// The form of both `BlockData` and `BlockMetadata`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entries {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) entries: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) value: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    pub(super) signatures: Vec<MetadataSignature>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetadataSignature {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) signature_header: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) identifier_header: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IdentifierHeader {
    #[prost(uint32, tag = "1")]
    pub(super) identifier: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) nonce: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SignatureHeader {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) creator: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) nonce: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(super) struct SerializedIdentity {
    #[prost(string, tag = "1")]
    pub(super) msp_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) certificate_pem: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OrdererBlockMetadata {
    #[prost(message, optional, tag = "1")]
    pub(super) last_config: Option<LastConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LastConfig {
    #[prost(uint64, tag = "1")]
    pub(super) index: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Envelope {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) payload: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Payload {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<Header>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Header {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) channel_header: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChannelHeader {
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(string, tag = "4")]
    pub(super) channel_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigEnvelope {
    #[prost(message, optional, tag = "1")]
    pub(super) config: Option<Config>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Config {
    #[prost(message, optional, tag = "2")]
    pub(super) channel_group: Option<ConfigGroup>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigGroup {
    #[prost(btree_map = "string, message", tag = "2")]
    pub(super) groups: BTreeMap<String, ConfigGroup>,
    #[prost(btree_map = "string, message", tag = "3")]
    pub(super) values: BTreeMap<String, ConfigValue>,
    #[prost(btree_map = "string, message", tag = "4")]
    pub(super) policies: BTreeMap<String, ConfigPolicy>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigValue {
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigPolicy {
    #[prost(message, optional, tag = "2")]
    pub(super) policy: Option<Policy>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Policy {
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SignaturePolicyEnvelope {
    #[prost(message, optional, tag = "2")]
    pub(super) rule: Option<SignaturePolicy>,
    #[prost(message, repeated, tag = "3")]
    pub(super) identities: Vec<MspPrincipal>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SignaturePolicy {
    #[prost(oneof = "SignaturePolicyRule", tags = "1, 2")]
    pub(super) rule: Option<SignaturePolicyRule>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum SignaturePolicyRule {
    #[prost(int32, tag = "1")]
    SignedBy(i32),
    #[prost(message, tag = "2")]
    NOutOf(NOutOf),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NOutOf {
    #[prost(int32, tag = "1")]
    pub(super) n: i32,
    #[prost(message, repeated, tag = "2")]
    pub(super) rules: Vec<SignaturePolicy>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MspPrincipal {
    #[prost(int32, tag = "1")]
    pub(super) classification: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) principal: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MspRole {
    #[prost(string, tag = "1")]
    pub(super) msp_id: String,
    #[prost(int32, tag = "2")]
    pub(super) role: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImplicitMetaPolicy {
    #[prost(string, tag = "1")]
    pub(super) sub_policy: String,
    #[prost(int32, tag = "2")]
    pub(super) rule: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Orderers {
    #[prost(message, repeated, tag = "1")]
    pub(super) consenter_mapping: Vec<Consenter>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Consenter {
    #[prost(uint32, tag = "1")]
    pub(super) id: u32,
    #[prost(string, tag = "4")]
    pub(super) msp_id: String,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) identity: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MspConfig {
    #[prost(bytes = "vec", tag = "2")]
    pub(super) config: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FabricMspConfig {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) root_certs: Vec<Vec<u8>>,
}

/// Header type CONFIG.
pub(super) const KIND_CONFIG: i32 = 1;
/// Policy type SIGNATURE.
pub(super) const POLICY_SIGNATURE: i32 = 1;
/// Policy type IMPLICIT_META.
pub(super) const POLICY_IMPLICIT_META: i32 = 3;
/// Rule ANY of an ImplicitMeta policy.
pub(super) const RULE_ANY: i32 = 0;
/// Principal classification ROLE.
pub(super) const PRINCIPAL_ROLE: i32 = 0;
/// Role MEMBER.
pub(super) const ROLE_MEMBER: i32 = 0;
/// Role ORDERER.
pub(super) const ROLE_ORDERER: i32 = 4;
/// Principal classification IDENTITY.
pub(super) const PRINCIPAL_IDENTITY: i32 = 2;
