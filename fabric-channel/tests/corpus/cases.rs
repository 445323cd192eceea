//! The cases of the corpora as messages: what the packed files in `tests/data/corpus` consist of.

use prost::Message;

/// Blocks and what verifiers said about them.
#[derive(Clone, PartialEq, Message)]
pub struct BlockCorpus {
    #[prost(message, repeated, tag = "1")]
    pub configs: Vec<ConfigCase>,
    #[prost(message, repeated, tag = "2")]
    pub cases: Vec<BlockCase>,
}

/// Policies, signers, and whether the policy was satisfied.
#[derive(Clone, PartialEq, Message)]
pub struct PolicyCorpus {
    #[prost(message, repeated, tag = "1")]
    pub configs: Vec<ConfigCase>,
    #[prost(message, repeated, tag = "2")]
    pub cases: Vec<PolicyCase>,
}

/// MSPs, identities, and what the MSP said about them.
#[derive(Clone, PartialEq, Message)]
pub struct IdentityCorpus {
    #[prost(message, repeated, tag = "1")]
    pub msps: Vec<MspCase>,
    #[prost(message, repeated, tag = "2")]
    pub cases: Vec<IdentityCase>,
}

/// Configuration updates and what orderers and peers said about them.
#[derive(Clone, PartialEq, Message)]
pub struct UpdateCorpus {
    #[prost(message, repeated, tag = "1")]
    pub configs: Vec<ConfigCase>,
    #[prost(message, repeated, tag = "2")]
    pub cases: Vec<UpdateCase>,
}

/// A marshalled `Config` under a name.
#[derive(Clone, PartialEq, Message)]
pub struct ConfigCase {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub channel_id: String,
    #[prost(bytes = "vec", tag = "3")]
    pub config: Vec<u8>,
}

/// A marshalled `MSPConfig` under a name.
#[derive(Clone, PartialEq, Message)]
pub struct MspCase {
    #[prost(string, tag = "1")]
    pub name: String,
    /// `1.0`, `1.1`, `1.3`, `1.4.3` or `3.0`.
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(bytes = "vec", tag = "3")]
    pub config: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct BlockCase {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub config: String,
    #[prost(uint64, tag = "3")]
    pub last_number: u64,
    #[prost(bytes = "vec", tag = "4")]
    pub last_header_hash: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub block: Vec<u8>,
    /// `ok`, or the class of the first error.
    #[prost(string, tag = "6")]
    pub class: String,
    #[prost(bool, tag = "7")]
    pub is_attestation_accepted: bool,
    #[prost(bool, tag = "8")]
    pub are_signatures_accepted: bool,
    /// The class of the attestation's first error, or `ok`.
    #[prost(string, tag = "9")]
    pub attestation_class: String,
    /// Hash of the header; empty without one.
    #[prost(bytes = "vec", tag = "10")]
    pub header_hash: Vec<u8>,
    /// Hash of the data, whatever the header says; empty if Go has none.
    #[prost(bytes = "vec", tag = "11")]
    pub data_hash: Vec<u8>,
    /// How many signatures the metadata holds.
    #[prost(uint64, tag = "12")]
    pub signatures: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct PolicyCase {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub config: String,
    /// A path into the configuration, for kind `path`.
    #[prost(string, tag = "3")]
    pub path: String,
    #[prost(bytes = "vec", tag = "4")]
    pub policy: Vec<u8>,
    #[prost(message, repeated, tag = "5")]
    pub signed: Vec<SignedCase>,
    /// `satisfied`, `not_satisfied` or `invalid_policy`.
    #[prost(string, tag = "6")]
    pub verdict: String,
    /// `path` or `envelope`.
    #[prost(string, tag = "7")]
    pub kind: String,
    /// The class of the error, or `satisfied`.
    #[prost(string, tag = "8")]
    pub class: String,
    /// Whether there is a policy under the path.
    #[prost(bool, tag = "9")]
    pub is_found: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct SignedCase {
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub identity: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct IdentityCase {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub msp: String,
    #[prost(bytes = "vec", tag = "3")]
    pub identity: Vec<u8>,
    /// `setup` asks whether the MSP is valid, `identity` whether the identity is.
    #[prost(string, tag = "4")]
    pub kind: String,
    #[prost(bool, tag = "5")]
    pub is_valid: bool,
    /// Where it fails: `setup`, `deserialize`, `validate`; empty if it does not.
    #[prost(string, tag = "6")]
    pub stage: String,
    #[prost(bytes = "vec", tag = "7")]
    pub identifier: Vec<u8>,
    #[prost(bytes = "vec", tag = "8")]
    pub reserialised_sha256: Vec<u8>,
    /// `name:` and the first eight octets of the certifiers identifier in hex.
    #[prost(string, repeated, tag = "9")]
    pub units: Vec<String>,
    #[prost(message, repeated, tag = "10")]
    pub principals: Vec<PrincipalCase>,
    #[prost(bytes = "vec", tag = "11")]
    pub data: Vec<u8>,
    #[prost(bytes = "vec", tag = "12")]
    pub signature: Vec<u8>,
    #[prost(bool, tag = "13")]
    pub is_signature_valid: bool,
    #[prost(bytes = "vec", tag = "14")]
    pub high_s_signature: Vec<u8>,
    #[prost(bool, tag = "15")]
    pub is_high_s_valid: bool,
    /// The class of the error; `valid` or `ok` if there is none.
    #[prost(string, tag = "16")]
    pub class: String,
    /// When the certificate expires, in seconds since 1970; of readable identities.
    #[prost(int64, optional, tag = "17")]
    pub expires_at_unix_s: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PrincipalCase {
    /// `self` for the IDENTITY principal made of the identity's own bytes.
    #[prost(string, tag = "1")]
    pub own: String,
    #[prost(bytes = "vec", tag = "2")]
    pub principal: Vec<u8>,
    #[prost(bool, tag = "3")]
    pub is_satisfied: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct UpdateCase {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub config: String,
    /// A CONFIG_UPDATE envelope to evaluate, for kind `propose`.
    #[prost(bytes = "vec", tag = "3")]
    pub envelope: Vec<u8>,
    /// The content of a CONFIG transaction as peers see it, for kind `validate`.
    #[prost(bytes = "vec", tag = "4")]
    pub content: Vec<u8>,
    /// The verdict of all stages.
    #[prost(bool, tag = "5")]
    pub is_accepted: bool,
    /// The classes of the errors that were seen, or `ok`; which one of several depends on chance in Go.
    #[prost(string, repeated, tag = "6")]
    pub classes: Vec<String>,
    /// Whether the update itself is authorised, the first stage.
    #[prost(bool, tag = "7")]
    pub is_authorised: bool,
    /// Whether peers accept the result: as an update, and as a configuration.
    #[prost(bool, tag = "8")]
    pub is_peer_valid: bool,
    #[prost(bool, tag = "9")]
    pub is_peer_bundle: bool,
    /// Hash of the marshalled result.
    #[prost(bytes = "vec", tag = "10")]
    pub result_sha256: Vec<u8>,
    /// The marshalled result; not packed.
    #[prost(bytes = "vec", tag = "11")]
    pub result: Vec<u8>,
    /// `propose` or `validate`.
    #[prost(string, tag = "12")]
    pub kind: String,
}
