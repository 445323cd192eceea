//! An envelope as the service handles it: decoded once, together with the bytes it came as.
//!
//! What the ordering service needs to know sits in four nested messages. `Envelope::decode` walks
//! down once and keeps slices of the received buffer, so nothing is copied and nobody re-encodes to
//! hash or to relay. The order of the checks is that of Fabric's Broadcast (contract §1.3), and the
//! errors carry its reasons.
//!
//! The signature header is parsed too but judged later: Broadcast asks for the channel first and
//! treats a bad signature header as a failure of the signature filter (contract §2.1).

use bytes::Bytes;
use prost::{DecodeError, Message};
use sha2::{Digest, Sha256};

use crate::canonical::{self, CanonicalError};
use crate::common::{self, ChannelHeader, HeaderType, SignatureHeader};

/// A decoded envelope and its original bytes. Clones share the buffer.
#[derive(Debug, Clone)]
pub struct Envelope {
    bytes: Bytes,
    payload: Bytes,
    signature: Bytes,
    channel_header: ChannelHeader,
    signature_header: Result<SignatureHeader, EnvelopeError>,
    data: Bytes,
}

impl Envelope {
    /// Decodes a marshalled `common.Envelope` down to its headers.
    ///
    /// Never fails because of the signature or the signature header.
    pub fn decode(bytes: Bytes) -> Result<Self, EnvelopeError> {
        let outer = common::Envelope::decode(bytes.clone()).map_err(EnvelopeError::MalformedEnvelope)?;
        if outer.payload.is_empty() {
            return Err(EnvelopeError::NoPayload);
        }
        let payload = common::Payload::decode(outer.payload.clone()).map_err(EnvelopeError::MalformedPayload)?;
        let header = payload.header.ok_or(EnvelopeError::HeaderNotSet)?;
        Ok(Self {
            bytes,
            payload: outer.payload,
            signature: outer.signature,
            channel_header: decode_channel_header(header.channel_header)?,
            signature_header: decode_signature_header(header.signature_header),
            data: payload.data,
        })
    }

    /// The bytes this envelope was decoded from.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The marshalled payload, which is what the signature covers; never empty.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The submitter's signature, unverified; may be empty.
    pub fn signature(&self) -> &Bytes {
        &self.signature
    }

    /// Where the envelope belongs and what it is.
    pub fn channel_header(&self) -> &ChannelHeader {
        &self.channel_header
    }

    /// The submitter's identity and nonce, or why there is none:
    /// [`EnvelopeError::SignatureHeaderNotSet`] or [`EnvelopeError::MalformedSignatureHeader`].
    pub fn signature_header(&self) -> Result<&SignatureHeader, &EnvelopeError> {
        self.signature_header.as_ref()
    }

    /// The payload's data; may be empty.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The channel's name as written in the header, not checked.
    pub fn channel_id(&self) -> &str {
        &self.channel_header.channel_id
    }

    /// The header type as a number, since clients may send numbers outside [`HeaderType`].
    pub fn header_type(&self) -> i32 {
        self.channel_header.r#type
    }

    /// True for a CONFIG envelope, which only the ordering service itself may make.
    pub fn is_config(&self) -> bool {
        self.header_type() == i32::from(HeaderType::Config)
    }

    /// The size in bytes that Fabric's size filter and block cutting count: payload and signature.
    pub fn size(&self) -> usize {
        self.payload.len() + self.signature.len()
    }

    /// SHA-256 of the original bytes; computed at each call.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// Checks that the original bytes may stand in a block as they are; see [`canonical`].
    pub fn check_canonical(&self) -> Result<(), CanonicalError> {
        canonical::check_parsed(&self.bytes, &self.payload, &self.signature)
    }
}

/// Why bytes are not an envelope that can be looked at. Texts are Fabric's reasons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The outermost message does not parse.
    #[error("error unmarshalling Envelope: {0}")]
    MalformedEnvelope(#[source] DecodeError),
    /// The payload is absent or empty; Fabric reads an empty payload as one without header.
    #[error("header not set")]
    NoPayload,
    /// The payload does not parse.
    #[error("error unmarshalling Payload: {0}")]
    MalformedPayload(#[source] DecodeError),
    /// The payload has no header.
    #[error("header not set")]
    HeaderNotSet,
    /// The channel header is absent or empty.
    #[error("channel header not set")]
    ChannelHeaderNotSet,
    /// The channel header does not parse.
    #[error("error unmarshalling channel header: error unmarshalling ChannelHeader: {0}")]
    MalformedChannelHeader(#[source] DecodeError),
    /// The signature header is absent or empty: nobody claims to have signed.
    #[error("signature header not set")]
    SignatureHeaderNotSet,
    /// The signature header does not parse.
    #[error("error unmarshalling SignatureHeader: {0}")]
    MalformedSignatureHeader(#[source] DecodeError),
}

fn decode_channel_header(bytes: Bytes) -> Result<ChannelHeader, EnvelopeError> {
    if bytes.is_empty() {
        return Err(EnvelopeError::ChannelHeaderNotSet);
    }
    ChannelHeader::decode(bytes).map_err(EnvelopeError::MalformedChannelHeader)
}

fn decode_signature_header(bytes: Bytes) -> Result<SignatureHeader, EnvelopeError> {
    if bytes.is_empty() {
        return Err(EnvelopeError::SignatureHeaderNotSet);
    }
    SignatureHeader::decode(bytes).map_err(EnvelopeError::MalformedSignatureHeader)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn channel_header() -> ChannelHeader {
        ChannelHeader { r#type: HeaderType::EndorserTransaction.into(), channel_id: "ch1".into(), ..Default::default() }
    }

    fn signature_header() -> SignatureHeader {
        SignatureHeader { creator: Bytes::from_static(b"creator"), nonce: Bytes::from_static(b"nonce") }
    }

    fn envelope_of(header: Option<common::Header>) -> Bytes {
        let payload = common::Payload { header, data: Bytes::from_static(b"data") };
        canonical::encode(&payload.encode_to_vec(), b"signature")
    }

    fn envelope_with(channel_header: Vec<u8>, signature_header: Vec<u8>) -> Bytes {
        envelope_of(Some(common::Header {
            channel_header: channel_header.into(),
            signature_header: signature_header.into(),
        }))
    }

    #[test]
    fn every_part_is_found() {
        let bytes = envelope_with(channel_header().encode_to_vec(), signature_header().encode_to_vec());
        let envelope = Envelope::decode(bytes.clone()).unwrap();
        assert_eq!(envelope.bytes(), &bytes);
        assert_eq!(envelope.channel_id(), "ch1");
        assert_eq!(envelope.header_type(), 3);
        assert!(!envelope.is_config());
        assert_eq!(envelope.channel_header(), &channel_header());
        assert_eq!(envelope.signature_header(), Ok(&signature_header()));
        assert_eq!(&envelope.data()[..], b"data");
        assert_eq!(&envelope.signature()[..], b"signature");
        assert_eq!(envelope.size(), envelope.payload().len() + 9);
        assert_eq!(envelope.digest(), <[u8; 32]>::from(Sha256::digest(&bytes)));
        assert_eq!(envelope.check_canonical(), Ok(()));
    }

    #[test]
    fn parts_share_the_received_buffer() {
        let bytes = envelope_with(channel_header().encode_to_vec(), signature_header().encode_to_vec());
        let envelope = Envelope::decode(bytes.clone()).unwrap();
        let received = bytes.as_ptr_range();
        for part in
            [envelope.payload(), envelope.signature(), envelope.data(), &envelope.signature_header().unwrap().creator]
        {
            assert!(received.contains(&part.as_ptr()));
        }
    }

    #[test]
    fn each_layer_has_its_own_error() {
        let malformed = Bytes::from_static(b"\x0a\xff");
        let decode = |bytes: Bytes| Envelope::decode(bytes).unwrap_err();
        assert!(matches!(decode(malformed.clone()), EnvelopeError::MalformedEnvelope(_)));
        assert_eq!(decode(Bytes::new()), EnvelopeError::NoPayload);
        assert_eq!(decode(canonical::encode(b"", b"s")), EnvelopeError::NoPayload);
        assert!(matches!(decode(canonical::encode(&malformed, b"s")), EnvelopeError::MalformedPayload(_)));
        assert_eq!(decode(envelope_of(None)), EnvelopeError::HeaderNotSet);
        assert_eq!(decode(envelope_with(vec![], vec![])), EnvelopeError::ChannelHeaderNotSet);
        let error = decode(envelope_with(malformed.to_vec(), vec![]));
        assert!(matches!(error, EnvelopeError::MalformedChannelHeader(_)));
    }

    #[test]
    fn a_bad_signature_header_does_not_hide_the_channel() {
        let absent = Envelope::decode(envelope_with(channel_header().encode_to_vec(), vec![])).unwrap();
        assert_eq!(absent.channel_id(), "ch1");
        assert_eq!(absent.signature_header(), Err(&EnvelopeError::SignatureHeaderNotSet));
        let garbled = Envelope::decode(envelope_with(channel_header().encode_to_vec(), vec![0x0a, 9])).unwrap();
        assert_eq!(garbled.channel_id(), "ch1");
        assert!(matches!(garbled.signature_header(), Err(EnvelopeError::MalformedSignatureHeader(_))));
    }

    #[test]
    fn a_config_envelope_is_recognised() {
        let header = ChannelHeader { r#type: HeaderType::Config.into(), ..channel_header() };
        let envelope = Envelope::decode(envelope_with(header.encode_to_vec(), vec![])).unwrap();
        assert!(envelope.is_config());
    }
}
