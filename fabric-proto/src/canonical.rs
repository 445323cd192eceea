//! The canonical form of an envelope: the one encoding that peers accept inside a block.
//!
//! A peer refuses a whole block if one of its envelopes lacks a payload or a signature, or differs
//! from the re-encoding of its parsed self (contract §3.6, Appendix C.10). Exactly one byte
//! sequence per (payload, signature) is canonical here: field 1, then field 2, shortest lengths,
//! nothing else. Go tolerates unknown fields at the end in some versions; they are not canonical.
//!
//! The frontend canonicalizes what it receives; every replica checks what it is asked to order.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::common;

/// Checks that `envelope` is the canonical form of an envelope.
pub fn check_canonical(envelope: &Bytes) -> Result<(), CanonicalError> {
    let parsed = common::Envelope::decode(envelope.clone())?;
    check_parsed(envelope, &parsed.payload, &parsed.signature)
}

/// The canonical form of `envelope`: the same bytes, shared, if they are canonical already, else a
/// copy of payload and signature without unknown fields and without long spellings.
///
/// Fails if the bytes are no envelope, or if payload or signature is empty.
pub fn canonicalize(envelope: Bytes) -> Result<Bytes, CanonicalError> {
    let parsed = common::Envelope::decode(envelope.clone())?;
    match check_parsed(&envelope, &parsed.payload, &parsed.signature) {
        Ok(()) => Ok(envelope),
        Err(CanonicalError::OtherSpelling) => Ok(encode(&parsed.payload, &parsed.signature)),
        Err(error) => Err(error),
    }
}

/// The canonical envelope of a payload and a signature; canonical only if neither is empty.
pub fn encode(payload: &[u8], signature: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(payload.len() + signature.len() + OVERHEAD_BYTES_MAX);
    for (key, field) in [(PAYLOAD_KEY, payload), (SIGNATURE_KEY, signature)] {
        if field.is_empty() {
            continue;
        }
        out.put_u8(key);
        prost::encoding::encode_varint(field.len() as u64, &mut out);
        out.put_slice(field);
    }
    out.freeze()
}

/// Checks `envelope`, of which payload and signature are known already.
pub(crate) fn check_parsed(envelope: &[u8], payload: &[u8], signature: &[u8]) -> Result<(), CanonicalError> {
    if payload.is_empty() {
        return Err(CanonicalError::NoPayload);
    }
    if signature.is_empty() {
        return Err(CanonicalError::NoSignature);
    }
    let rest = strip_field(envelope, PAYLOAD_KEY, payload);
    match rest.and_then(|rest| strip_field(rest, SIGNATURE_KEY, signature)) {
        Some([]) => Ok(()),
        _ => Err(CanonicalError::OtherSpelling),
    }
}

/// Why an envelope cannot stand in a block as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The bytes are no envelope.
    #[error("malformed envelope: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The payload is absent or empty.
    #[error("envelope has no payload")]
    NoPayload,
    /// The signature is absent or empty.
    #[error("envelope has no signature")]
    NoSignature,
    /// Unknown fields, another order, repetitions, or lengths longer than needed.
    #[error("envelope is not in canonical form")]
    OtherSpelling,
}

/// What follows `field` if `input` begins with its shortest encoding.
fn strip_field<'a>(input: &'a [u8], key: u8, field: &[u8]) -> Option<&'a [u8]> {
    let mut head = [0; OVERHEAD_BYTES_MAX];
    let mut unwritten = &mut head[..];
    unwritten.put_u8(key);
    prost::encoding::encode_varint(field.len() as u64, &mut unwritten);
    let head_len = OVERHEAD_BYTES_MAX - unwritten.len();
    input.strip_prefix(&head[..head_len])?.strip_prefix(field)
}

/// Field 1, length-delimited.
const PAYLOAD_KEY: u8 = 0x0a;
/// Field 2, length-delimited.
const SIGNATURE_KEY: u8 = 0x12;
/// Two keys of one byte and two lengths of at most ten.
const OVERHEAD_BYTES_MAX: usize = 22;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn encoding_equals_the_generated_one() {
        for (payload, signature) in [(0, 0), (1, 0), (0, 1), (1, 1), (127, 128), (20_000, 70)] {
            let (payload, signature) = (vec![1; payload], vec![2; signature]);
            let generated = common::Envelope { payload: payload.clone().into(), signature: signature.clone().into() };
            assert_eq!(encode(&payload, &signature), generated.encode_to_vec());
        }
    }

    #[test]
    fn a_canonical_envelope_is_not_copied() {
        let envelope = encode(b"payload", b"signature");
        check_canonical(&envelope).unwrap();
        let same = canonicalize(envelope.clone()).unwrap();
        assert_eq!(same.as_ptr(), envelope.as_ptr());
    }

    #[test]
    fn empty_parts_are_refused_and_not_repaired() {
        for (envelope, error) in [
            (encode(b"", b"s"), CanonicalError::NoPayload),
            (encode(b"p", b""), CanonicalError::NoSignature),
            (encode(b"", b""), CanonicalError::NoPayload),
            (Bytes::from_static(b"\x0a\x00\x12\x01s"), CanonicalError::NoPayload),
        ] {
            assert_eq!(check_canonical(&envelope), Err(error.clone()));
            assert_eq!(canonicalize(envelope), Err(error));
        }
    }

    #[test]
    fn other_spellings_are_refused_and_repaired() {
        let spellings: [&[u8]; 8] = [
            b"\x12\x01s\x0a\x01p",                 // swapped
            b"\x1a\x01x\x0a\x01p\x12\x01s",        // unknown field first
            b"\x0a\x01p\x18\x05\x12\x01s",         // unknown field between
            b"\x0a\x01p\x12\x01s\x1a\x00",         // unknown field last
            b"\x0a\x81\x00p\x12\x01s",             // long length
            b"\x8a\x00\x01p\x12\x01s",             // long key
            b"\x0a\x01q\x0a\x01p\x12\x01s",        // repeated field, the last one counts
            b"\x0a\x01p\x12\x01s\x1b\x08\x01\x1c", // unknown group
        ];
        for spelling in spellings {
            let envelope = Bytes::copy_from_slice(spelling);
            assert_eq!(check_canonical(&envelope), Err(CanonicalError::OtherSpelling), "{spelling:?}");
            assert_eq!(canonicalize(envelope).unwrap(), encode(b"p", b"s"), "{spelling:?}");
        }
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let spellings: [&[u8]; 4] = [b"\x0a\x05p", b"\xff", b"\x0a\x01p\x12", b"\x08\x01"];
        for spelling in spellings {
            let envelope = Bytes::copy_from_slice(spelling);
            assert!(matches!(canonicalize(envelope), Err(CanonicalError::Malformed(_))), "{spelling:?}");
        }
    }
}
