//! Members of the simulated channel, and what they sign.
//!
//! Their keys are real, so the rules of the channel judge them as they would outside. Signatures have no chance in them (RFC
//! 6979), and what every world needs is signed once in a thread.

use std::cell::RefCell;

use anyhow::Context as _;
use bytes::Bytes;
use fabric_channel::config_transaction::{EnvelopeSigner, SignError};
use fabric_proto::canonical;
use fabric_proto::common::{ChannelHeader, Header, HeaderType, Payload, SignatureHeader};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use prost::Message as _;

use super::genesis::CHANNEL;

/// Somebody who signs.
#[derive(Clone, Debug)]
pub(super) struct Member {
    creator: Bytes,
    key: SigningKey,
}

impl Member {
    fn new(msp_id: &str, certificate: &[u8], key: &str) -> anyhow::Result<Self> {
        let key = SigningKey::from_pkcs8_pem(key).context("a private key")?;
        Ok(Self { creator: fabric_channel::serialise(msp_id, certificate), key })
    }

    /// A user of an application's organisation: may write.
    pub fn user() -> anyhow::Result<Self> {
        Self::new("Org1MSP", USER.0, USER.1)
    }

    /// An orderer: may write, and stands for whoever wraps an update.
    pub fn orderer() -> anyhow::Result<Self> {
        Self::new("OrdererMSP", ORDERER.0, ORDERER.1)
    }

    /// Who may change the orderer's part of the configuration.
    pub fn administrator() -> anyhow::Result<Self> {
        Self::new("OrdererMSP", ADMINISTRATOR.0, ADMINISTRATOR.1)
    }

    /// An envelope of this type around this data.
    pub fn envelope(&self, channel: &str, kind: HeaderType, nonce: u64, data: Vec<u8>) -> Bytes {
        let payload = payload(channel, kind, self.creator(), nonce, data);
        canonical::encode(&payload, &self.signature(&payload))
    }

    pub fn signature(&self, message: &[u8]) -> Bytes {
        let signature: Signature = self.key.sign(message);
        Bytes::copy_from_slice(signature.normalize_s().to_der().as_bytes())
    }
}

impl EnvelopeSigner for Member {
    fn creator(&self) -> Bytes {
        self.creator.clone()
    }

    fn sign(&self, payload: &[u8]) -> Result<Bytes, SignError> {
        Ok(self.signature(payload))
    }
}

/// The payload of an envelope that is unique by its number.
pub(super) fn payload(channel: &str, kind: HeaderType, creator: Bytes, number: u64, data: Vec<u8>) -> Vec<u8> {
    let channel_header =
        ChannelHeader { r#type: kind.into(), channel_id: channel.to_owned(), ..ChannelHeader::default() };
    let signature_header = SignatureHeader { creator, nonce: number.to_be_bytes().to_vec().into() };
    let header = Header {
        channel_header: channel_header.encode_to_vec().into(),
        signature_header: signature_header.encode_to_vec().into(),
    };
    Payload { header: Some(header), data: data.into() }.encode_to_vec()
}

/// The envelope of this number, signed by a member.
///
/// # Errors
/// The keys in the repository are not what they were.
pub(super) fn signed_envelope(number: u64) -> anyhow::Result<Bytes> {
    thread_local! {
        static STOCK: RefCell<(Option<Member>, Vec<Bytes>)> = const { RefCell::new((None, Vec::new())) };
    }
    STOCK.with_borrow_mut(|(user, stock)| {
        if user.is_none() {
            *user = Some(Member::user()?);
        }
        let user = user.as_ref().context("a user")?;
        let make = |number: u64| {
            let data = vec![0xda; (number * 37 % 199) as usize];
            user.envelope(CHANNEL, HeaderType::EndorserTransaction, number, data)
        };
        while stock.len() as u64 <= number && stock.len() < STOCK_MAX {
            stock.push(make(stock.len() as u64));
        }
        Ok(stock.get(number as usize).cloned().unwrap_or_else(|| make(number)))
    })
}

/// Envelopes that are kept: more than most worlds need.
const STOCK_MAX: usize = 2_000;

type Files = (&'static [u8], &'static str);

const USER: Files = (
    include_bytes!(
        "../../tests/data/crypto/peerOrganizations/org1.example.com/users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem"
    ),
    include_str!(
        "../../tests/data/crypto/peerOrganizations/org1.example.com/users/User1@org1.example.com/msp/keystore/priv_sk"
    ),
);
const ORDERER: Files = (
    include_bytes!(
        "../../tests/data/crypto/ordererOrganizations/orderer.example.com/orderers/o1.orderer.example.com/msp/signcerts/o1.orderer.example.com-cert.pem"
    ),
    include_str!(
        "../../tests/data/crypto/ordererOrganizations/orderer.example.com/orderers/o1.orderer.example.com/msp/keystore/priv_sk"
    ),
);
const ADMINISTRATOR: Files = (
    include_bytes!(
        "../../tests/data/crypto/ordererOrganizations/orderer.example.com/users/Admin@orderer.example.com/msp/signcerts/Admin@orderer.example.com-cert.pem"
    ),
    include_str!(
        "../../tests/data/crypto/ordererOrganizations/orderer.example.com/users/Admin@orderer.example.com/msp/keystore/priv_sk"
    ),
);
