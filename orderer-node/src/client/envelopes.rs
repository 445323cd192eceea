//! Making envelopes as a client of the channel makes them: ECDSA P-256 with low S, a fresh nonce, the transaction id
//! that follows from it (contract Appendix A, 7.5).

use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use fabric_proto::common::{ChannelHeader, Header, HeaderType, Payload, SignatureHeader};
use fabric_proto::{ChannelId, canonical};
use prost::Message as _;
use prost_types::Timestamp;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use super::deliver::Seek;
use crate::keys::{KeyError, LocalMsp, SigningIdentity};

/// Signs envelopes for one channel. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct EnvelopeFactory {
    channel: ChannelId,
    identity: SigningIdentity,
    /// Empty without mutual TLS.
    tls_cert_hash: Bytes,
}

impl EnvelopeFactory {
    /// Signs as this identity.
    #[must_use]
    pub const fn new(channel: ChannelId, identity: SigningIdentity) -> Self {
        Self { channel, identity, tls_cert_hash: Bytes::new() }
    }

    /// Binds what it signs to connections that show this certificate, as a listener with mutual TLS demands of Deliver
    /// requests (contract 1.4).
    #[must_use]
    pub fn bound_to(self, certificate: &CertificateDer<'_>) -> Self {
        Self { tls_cert_hash: Bytes::copy_from_slice(&Sha256::digest(certificate)), ..self }
    }

    /// Signs as the owner of an MSP folder, a member of `msp_id`.
    ///
    /// # Errors
    /// See [`KeyError`]; the text names the file or folder.
    pub fn load(channel: ChannelId, msp_dir: &Path, msp_id: &str) -> Result<Self, KeyError> {
        Ok(Self::new(channel, LocalMsp::load(msp_dir, msp_id)?.identity().clone()))
    }

    /// The channel it signs for.
    #[must_use]
    pub const fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// An encoded envelope of type ENDORSER_TRANSACTION around `data`. It need not be a transaction: the ordering
    /// service does not look, and a peer commits it as invalid.
    ///
    /// # Panics
    /// The system has no randomness.
    #[must_use]
    pub fn transaction(&self, data: &[u8]) -> Bytes {
        self.envelope(HeaderType::EndorserTransaction, data)
    }

    /// The same, around so many bytes of zero.
    ///
    /// # Panics
    /// The system has no randomness.
    #[must_use]
    pub fn transaction_of_size(&self, data_bytes: usize) -> Bytes {
        self.transaction(&vec![0; data_bytes])
    }

    /// An encoded Deliver request.
    ///
    /// # Panics
    /// The system has no randomness.
    #[must_use]
    pub fn seek(&self, seek: &Seek) -> Bytes {
        self.envelope(HeaderType::DeliverSeekInfo, &seek.message().encode_to_vec())
    }

    /// An encoded envelope of any type around `data`.
    ///
    /// # Panics
    /// The system has no randomness.
    #[must_use]
    pub fn envelope(&self, kind: HeaderType, data: &[u8]) -> Bytes {
        let mut nonce = [0; NONCE_BYTES];
        aws_lc_rs::rand::fill(&mut nonce).expect("a system without randomness cannot sign either");
        let creator = self.identity.serialised().clone();
        let channel_header = ChannelHeader {
            r#type: kind.into(),
            timestamp: Some(Timestamp::from(SystemTime::now())),
            channel_id: self.channel.as_str().to_owned(),
            tx_id: hex::encode(Sha256::new().chain_update(nonce).chain_update(&creator).finalize()),
            tls_cert_hash: self.tls_cert_hash.clone(),
            ..ChannelHeader::default()
        };
        let signature_header = SignatureHeader { creator, nonce: Bytes::copy_from_slice(&nonce) };
        let payload = Payload {
            header: Some(Header {
                channel_header: channel_header.encode_to_vec().into(),
                signature_header: signature_header.encode_to_vec().into(),
            }),
            data: Bytes::copy_from_slice(data),
        };
        let payload = payload.encode_to_vec();
        canonical::encode(&payload, &self.identity.sign(&payload))
    }
}

const NONCE_BYTES: usize = 24;
