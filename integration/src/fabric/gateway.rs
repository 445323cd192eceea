//! A client of a peer's gateway: it has transactions endorsed, submitted, and waits until they are committed.

use std::time::SystemTime;

use anyhow::Context as _;
use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::common::{ChannelHeader, Envelope, Header, HeaderType, SignatureHeader};
use orderer_node::client::Endpoint;
use orderer_node::keys::{LocalMsp, SigningIdentity};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

use super::codec::MessageCodec;
use super::messages::{
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeInvocationSpec, ChaincodeProposalPayload,
    ChaincodeSpec, CommitStatusRequest, CommitStatusResponse, EndorseResponse, EvaluateResponse, Proposal,
    ProposalRequest, SignedCommitStatusRequest, SignedProposal, SubmitRequest, SubmitResponse,
};
use crate::administration::Person;

/// Calls one chaincode of one channel as somebody.
#[derive(Clone, Debug)]
pub struct Gateway {
    grpc: Grpc<Channel>,
    identity: SigningIdentity,
    channel: ChannelId,
    chaincode: String,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Fabric's `TxValidationCode`.
    pub code: i32,
    /// The block that it is in.
    pub block_number: u64,
}

impl Committed {
    /// Did the peer find nothing wrong with it?
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.code == 0
    }
}

impl Gateway {
    /// Connects to a peer.
    ///
    /// # Errors
    /// It cannot be reached, or the keys are not there.
    pub async fn connect(
        peer: &Endpoint,
        (msp, msp_id): &Person,
        channel: ChannelId,
        chaincode: &str,
    ) -> anyhow::Result<Self> {
        let identity = LocalMsp::load(msp, msp_id)?.identity().clone();
        let grpc = Grpc::new(peer.connect().await?.channel());
        Ok(Self { grpc, identity, channel, chaincode: chaincode.to_owned() })
    }

    /// Has the chaincode run, and gives what it says. Nothing is ordered.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn evaluate(&self, arguments: &[&str]) -> anyhow::Result<Bytes> {
        let response: EvaluateResponse = self.call("/gateway.Gateway/Evaluate", self.propose(arguments)).await?;
        Ok(response.result.context("a result")?.payload)
    }

    /// Has the chaincode run, submits what it would change, and waits until a peer has committed that.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn submit(&self, arguments: &[&str]) -> anyhow::Result<Committed> {
        let proposal = self.propose(arguments);
        let (transaction_id, channel_id) = (proposal.transaction_id.clone(), proposal.channel_id.clone());
        let endorsed: EndorseResponse = self.call("/gateway.Gateway/Endorse", proposal).await?;
        let payload = endorsed.prepared_transaction.context("a transaction")?.payload;
        let signature = self.identity.sign(&payload).into();
        let prepared_transaction = Some(Envelope { payload, signature });
        let (id, channel) = (transaction_id.clone(), channel_id.clone());
        let submit = SubmitRequest { transaction_id, channel_id, prepared_transaction };
        let _: SubmitResponse = self.call("/gateway.Gateway/Submit", submit).await?;

        let identity = self.identity.serialised().clone();
        let request = CommitStatusRequest { transaction_id: id, channel_id: channel, identity }.encode_to_vec();
        let signature = self.identity.sign(&request).into();
        let request = SignedCommitStatusRequest { request: request.into(), signature };
        let response: CommitStatusResponse = self.call("/gateway.Gateway/CommitStatus", request).await?;
        Ok(Committed { code: response.result, block_number: response.block_number })
    }

    fn propose(&self, arguments: &[&str]) -> ProposalRequest {
        let creator = self.identity.serialised().clone();
        let mut nonce = [0; NONCE_BYTES];
        fastrand::fill(&mut nonce);
        let transaction_id = hex::encode(Sha256::new().chain_update(nonce).chain_update(&creator).finalize());
        let chaincode_id = Some(ChaincodeId { name: self.chaincode.clone() });
        let channel_header = ChannelHeader {
            r#type: HeaderType::EndorserTransaction.into(),
            timestamp: Some(SystemTime::now().into()),
            channel_id: self.channel.as_str().to_owned(),
            tx_id: transaction_id.clone(),
            extension: bytes_of(&ChaincodeHeaderExtension { chaincode_id: chaincode_id.clone() }),
            ..ChannelHeader::default()
        };
        let signature_header = SignatureHeader { creator, nonce: Bytes::copy_from_slice(&nonce) };
        let header =
            Header { channel_header: bytes_of(&channel_header), signature_header: bytes_of(&signature_header) };
        let args = arguments.iter().map(|argument| Bytes::copy_from_slice(argument.as_bytes())).collect();
        let chaincode_spec = Some(ChaincodeSpec { chaincode_id, input: Some(ChaincodeInput { args }) });
        let input = bytes_of(&ChaincodeInvocationSpec { chaincode_spec });
        let payload = bytes_of(&ChaincodeProposalPayload { input });
        let proposal_bytes = bytes_of(&Proposal { header: bytes_of(&header), payload });
        let signature = self.identity.sign(&proposal_bytes).into();
        let proposed_transaction = Some(SignedProposal { proposal_bytes, signature });
        ProposalRequest { transaction_id, channel_id: channel_header.channel_id, proposed_transaction }
    }

    async fn call<Q, A>(&self, method: &'static str, request: Q) -> anyhow::Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.with_context(|| format!("the peer is not there for {method}"))?;
        let codec = MessageCodec::<Q, A>::new();
        let answer = grpc.unary(tonic::Request::new(request), PathAndQuery::from_static(method), codec).await;
        Ok(answer.with_context(|| method)?.into_inner())
    }
}

fn bytes_of(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

const NONCE_BYTES: usize = 24;
