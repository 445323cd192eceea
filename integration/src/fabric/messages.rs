//! What a peer says to a chaincode and to a client of its gateway, as far as it is used here: numbers and names are those of
//! Fabric's `chaincode_shim.proto`, `chaincode.proto`, `proposal.proto` and `gateway.proto`.

use bytes::Bytes;
use fabric_proto::common::Envelope;
use prost::{Enumeration, Message};

/// Everything on the stream between a peer and a chaincode.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ChaincodeMessage {
    #[prost(enumeration = "ChaincodeMessageType", tag = "1")]
    pub r#type: i32,
    /// Its kind depends on the type.
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: Bytes,
    #[prost(string, tag = "4")]
    pub txid: String,
    #[prost(string, tag = "7")]
    pub channel_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub(super) enum ChaincodeMessageType {
    Undefined = 0,
    /// Of a chaincode: a [`ChaincodeId`] whose name is the package's.
    Register = 1,
    /// Of a peer: a [`ChaincodeInput`].
    Transaction = 5,
    /// Of a chaincode: a [`Response`] for the client.
    Completed = 6,
    /// A text.
    Error = 7,
    /// Of a chaincode: a [`GetState`].
    GetState = 8,
    /// Of a chaincode: a [`PutState`].
    PutState = 9,
    /// Of a peer: the value that was asked for; nothing after a write.
    Response = 13,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChaincodeId {
    #[prost(string, tag = "2")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChaincodeInput {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub args: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetState {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PutState {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// What a chaincode gives back. The status is one of HTTP's.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: Bytes,
}

/// What a client asks a chaincode to do.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Proposal {
    /// A `common.Header`.
    #[prost(bytes = "bytes", tag = "1")]
    pub header: Bytes,
    /// A [`ChaincodeProposalPayload`].
    #[prost(bytes = "bytes", tag = "2")]
    pub payload: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SignedProposal {
    /// A [`Proposal`].
    #[prost(bytes = "bytes", tag = "1")]
    pub proposal_bytes: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub signature: Bytes,
}

/// The extension in the channel header of a proposal.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ChaincodeHeaderExtension {
    #[prost(message, optional, tag = "2")]
    pub chaincode_id: Option<ChaincodeId>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChaincodeProposalPayload {
    /// A [`ChaincodeInvocationSpec`].
    #[prost(bytes = "bytes", tag = "1")]
    pub input: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChaincodeInvocationSpec {
    #[prost(message, optional, tag = "1")]
    pub chaincode_spec: Option<ChaincodeSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChaincodeSpec {
    #[prost(message, optional, tag = "2")]
    pub chaincode_id: Option<ChaincodeId>,
    #[prost(message, optional, tag = "3")]
    pub input: Option<ChaincodeInput>,
}

/// `EndorseRequest` and `EvaluateRequest` of the gateway: they have these fields in common.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ProposalRequest {
    #[prost(string, tag = "1")]
    pub transaction_id: String,
    #[prost(string, tag = "2")]
    pub channel_id: String,
    #[prost(message, optional, tag = "3")]
    pub proposed_transaction: Option<SignedProposal>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EndorseResponse {
    /// Not signed.
    #[prost(message, optional, tag = "1")]
    pub prepared_transaction: Option<Envelope>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EvaluateResponse {
    #[prost(message, optional, tag = "1")]
    pub result: Option<Response>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SubmitRequest {
    #[prost(string, tag = "1")]
    pub transaction_id: String,
    #[prost(string, tag = "2")]
    pub channel_id: String,
    #[prost(message, optional, tag = "3")]
    pub prepared_transaction: Option<Envelope>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SubmitResponse {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SignedCommitStatusRequest {
    /// A [`CommitStatusRequest`].
    #[prost(bytes = "bytes", tag = "1")]
    pub request: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub signature: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommitStatusRequest {
    #[prost(string, tag = "1")]
    pub transaction_id: String,
    #[prost(string, tag = "2")]
    pub channel_id: String,
    /// A `SerializedIdentity`.
    #[prost(bytes = "bytes", tag = "3")]
    pub identity: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommitStatusResponse {
    /// A `TxValidationCode`; 0 is VALID.
    #[prost(int32, tag = "1")]
    pub result: i32,
    #[prost(uint64, tag = "2")]
    pub block_number: u64,
}
