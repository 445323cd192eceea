//! ECDSA signatures with the smaller of their two `s` values.
//!
//! For each signature `(r, s)` the pair `(r, n - s)` verifies as well; Fabric accepts only the one
//! with `s <= n / 2` (contract §3.3, §7.4). Signing libraries do not know that rule, so a
//! signature passes through here before it leaves. Reading is strict DER: this is for what our own
//! keys produced, not for judging strangers, to whom Go grants trailing bytes.

use crate::der;

/// The curves of signing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256, what Fabric's tools generate.
    P256,
    /// NIST P-384.
    P384,
}

/// The same signature, DER, with `s <= n / 2`.
pub fn to_low_s(curve: Curve, signature: &[u8]) -> Result<Vec<u8>, SignatureFormError> {
    let parts = Parts::parse(curve, signature)?;
    if parts.is_low() {
        return Ok(signature.to_vec());
    }
    Ok(encode(parts.r, &parts.opposite))
}

/// True if `s <= n / 2` in a DER signature.
pub fn is_low_s(curve: Curve, signature: &[u8]) -> Result<bool, SignatureFormError> {
    Ok(Parts::parse(curve, signature)?.is_low())
}

/// Why bytes are not a signature under the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFormError {
    /// Not the DER of `SEQUENCE { r INTEGER, s INTEGER }` with two positive integers.
    #[error("signature is not the DER of two positive integers")]
    Malformed,
    /// An integer is not below the order of the curve.
    #[error("signature has an integer outside the order of the curve")]
    OutOfRange,
}

/// A signature taken apart. Both integers are in `1..n`; magnitudes are big-endian.
struct Parts<'a> {
    r: &'a [u8],
    /// As long as the order.
    s: Vec<u8>,
    /// `n - s`, as long as the order.
    opposite: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn parse(curve: Curve, signature: &'a [u8]) -> Result<Self, SignatureFormError> {
        let (r, s) = parse_integers(signature).ok_or(SignatureFormError::Malformed)?;
        let order = curve.order();
        let in_range = |magnitude: &[u8]| {
            let padded = pad(magnitude, order.len())?;
            (padded.as_slice() < order).then_some(padded)
        };
        in_range(r).ok_or(SignatureFormError::OutOfRange)?;
        let s = in_range(s).ok_or(SignatureFormError::OutOfRange)?;
        let opposite = subtract(order, &s);
        Ok(Self { r, s, opposite })
    }

    /// `n` is odd, so `s <= n / 2` and `s <= n - s` say the same.
    fn is_low(&self) -> bool {
        self.s <= self.opposite
    }
}

impl Curve {
    /// The order `n` of the base point, big-endian.
    fn order(self) -> &'static [u8] {
        match self {
            Self::P256 => &ORDER_P256,
            Self::P384 => &ORDER_P384,
        }
    }
}

fn parse_integers(signature: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, after) = der::read(signature, der::SEQUENCE)?;
    let (r, rest) = der::read_positive(content)?;
    let (s, rest) = der::read_positive(rest)?;
    (rest.is_empty() && after.is_empty()).then_some((r, s))
}

fn encode(r: &[u8], s: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    der::push_unsigned(&mut content, r);
    der::push_unsigned(&mut content, s);
    let mut out = Vec::new();
    der::push(&mut out, der::SEQUENCE, &content);
    out
}

/// `magnitude` with leading zeros up to `length`; `None` if it is longer.
fn pad(magnitude: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut padded = vec![0; length.checked_sub(magnitude.len())?];
    padded.extend_from_slice(magnitude);
    Some(padded)
}

/// `left - right` of two magnitudes of equal length, `right` being the smaller.
fn subtract(left: &[u8], right: &[u8]) -> Vec<u8> {
    debug_assert!(left.len() == right.len() && right <= left);
    let mut difference = vec![0; left.len()];
    let mut borrow = false;
    for (index, (&left, &right)) in left.iter().zip(right).enumerate().rev() {
        let (digit, first) = left.overflowing_sub(right);
        let (digit, second) = digit.overflowing_sub(u8::from(borrow));
        difference[index] = digit;
        borrow = first || second;
    }
    difference
}

/// Order of P-256, from SEC 2.
const ORDER_P256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// Order of P-384, from SEC 2.
const ORDER_P384: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The largest low `s`, `(n - 1) / 2`, by shifting.
    fn half(curve: Curve) -> Vec<u8> {
        let mut carry = 0;
        let shift = |octet: &u8| {
            let shifted = octet >> 1 | carry;
            carry = octet << 7;
            shifted
        };
        curve.order().iter().map(shift).collect()
    }

    fn plus_one(mut magnitude: Vec<u8>) -> Vec<u8> {
        for octet in magnitude.iter_mut().rev() {
            *octet = octet.wrapping_add(1);
            if *octet != 0 {
                break;
            }
        }
        magnitude
    }

    #[test]
    fn the_middle_is_low_and_its_successor_is_not() {
        for curve in [Curve::P256, Curve::P384] {
            let low = encode(&[5], &half(curve));
            let high = encode(&[5], &plus_one(half(curve)));
            assert_eq!(is_low_s(curve, &low), Ok(true));
            assert_eq!(is_low_s(curve, &high), Ok(false));
            assert_eq!(to_low_s(curve, &low).unwrap(), low);
            assert_eq!(to_low_s(curve, &high).unwrap(), low);
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        for curve in [Curve::P256, Curve::P384] {
            let one = encode(&[1], &[1]);
            let last = encode(&[1], &subtract(curve.order(), &pad(&[1], curve.order().len()).unwrap()));
            assert_eq!(is_low_s(curve, &one), Ok(true));
            assert_eq!(to_low_s(curve, &last).unwrap(), one);
            let out_of_range = Err(SignatureFormError::OutOfRange);
            assert_eq!(is_low_s(curve, &encode(&[1], curve.order())), out_of_range);
            assert_eq!(is_low_s(curve, &encode(curve.order(), &[1])), out_of_range);
            assert_eq!(is_low_s(curve, &encode(&[1], &[1; 49])), out_of_range);
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let good = encode(&[9; 32], &[9; 32]);
        let mut trailing = good.clone();
        trailing.push(0);
        let cases: [&[u8]; 6] = [
            b"",
            b"\x30\x00",
            b"\x30\x03\x02\x01\x01",                         // one integer
            b"\x30\x06\x02\x01\x00\x02\x01\x01",             // r = 0
            b"\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01", // three integers
            &trailing,
        ];
        for case in cases {
            assert_eq!(to_low_s(Curve::P256, case), Err(SignatureFormError::Malformed), "{case:?}");
        }
        for cut in 0..good.len() {
            assert_eq!(is_low_s(Curve::P256, &good[..cut]), Err(SignatureFormError::Malformed));
        }
    }
}
