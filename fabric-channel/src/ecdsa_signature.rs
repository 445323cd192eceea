//! The two integers of an ECDSA signature, for the rule that Fabric adds to ECDSA: only the smaller of `s` and `n -
//! s` counts.
//!
//! Reading follows Go's `encoding/asn1` as Fabric uses it: bytes after the structure and elements after `s` are
//! ignored, and what is verified is the re-encoding of `(r, s)`. Contract §3.3 (low-S), §7.4 steps 2 and 7.

use crate::der;

/// The curves whose signatures have an order to compare `s` with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-224, known so that such certificates are read; signatures under it are not verified.
    P224,
    /// NIST P-256, what Fabric's tools generate.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// The order of the base point, big-endian.
    fn order(self) -> &'static [u8] {
        match self {
            Self::P224 => &ORDER_P224,
            Self::P256 => &ORDER_P256,
            Self::P384 => &ORDER_P384,
            Self::P521 => &ORDER_P521,
        }
    }

    /// `n - s`, as long as the order; `None` when `s` is not below the order.
    fn complement(self, s: &[u8]) -> Option<Vec<u8>> {
        let order = self.order();
        let padding = order.len().checked_sub(s.len())?;
        let mut difference = vec![0; order.len()];
        let mut borrow = 0i16;
        for index in (0..order.len()).rev() {
            let subtrahend = index.checked_sub(padding).map_or(0, |at| s[at]);
            let digit = i16::from(order[index]) - i16::from(subtrahend) - borrow;
            borrow = i16::from(digit < 0);
            difference[index] = digit.rem_euclid(256) as u8;
        }
        (borrow == 0).then_some(difference)
    }
}

/// A signature taken apart. Both integers are positive and carry no leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EcdsaSignature<'a> {
    r: &'a [u8],
    s: &'a [u8],
}

impl<'a> EcdsaSignature<'a> {
    /// Reads `SEQUENCE { r INTEGER, s INTEGER }`; `None` if it is malformed or an integer is not positive.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let sequence = der::read_tagged(der, der::SEQUENCE)?;
        let (r, rest) = read_positive(sequence.content)?;
        let (s, _) = read_positive(rest)?;
        Some(Self { r, s })
    }

    /// True when `s` is at most half the order of the curve.
    pub(crate) fn is_low_s(&self, curve: Curve) -> bool {
        match curve.complement(self.s) {
            Some(other) => is_at_most(self.s, der::strip_leading_zeros(&other)),
            None => false,
        }
    }

    /// The signature in DER, as it stands.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self.r, self.s)
    }

    /// The signature in DER with the smaller of `s` and `n - s`; `None` when `s` is not below the order.
    pub(crate) fn encode_low_s(&self, curve: Curve) -> Option<Vec<u8>> {
        if self.is_low_s(curve) {
            return Some(self.encode());
        }
        Some(encode(self.r, &curve.complement(self.s)?))
    }
}

fn encode(r: &[u8], s: &[u8]) -> Vec<u8> {
    let mut content = der::write_unsigned(r);
    content.extend_from_slice(&der::write_unsigned(s));
    der::write(der::SEQUENCE, &content)
}

/// The magnitude of a minimally encoded positive INTEGER, and what follows it.
fn read_positive(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let integer = der::read_tagged(input, der::INTEGER)?;
    let (&first, tail) = integer.content.split_first()?;
    if first & 0x80 != 0 {
        return None;
    }
    let has_needless_zero = first == 0 && tail.first().is_some_and(|next| next & 0x80 == 0);
    if has_needless_zero {
        return None;
    }
    let magnitude = der::strip_leading_zeros(integer.content);
    (!magnitude.is_empty()).then_some((magnitude, integer.rest))
}

/// Compares two magnitudes without leading zeros.
fn is_at_most(left: &[u8], right: &[u8]) -> bool {
    (left.len(), left) <= (right.len(), right)
}

const ORDER_P224: [u8; 28] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x16, 0xa2, 0xe0, 0xb8, 0xf0,
    0x3e, 0x13, 0xdd, 0x29, 0x45, 0x5c, 0x5c, 0x2a, 0x3d,
];
const ORDER_P256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
const ORDER_P384: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];
const ORDER_P521: [u8; 66] = [
    0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x51, 0x86, 0x87, 0x83,
    0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89, 0x9c, 0x47,
    0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09,
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_of_s_and_its_complement_is_low() {
        for curve in [Curve::P224, Curve::P256, Curve::P384, Curve::P521] {
            let order = curve.order();
            // The two values next to half the order, and the extremes.
            let mut half: Vec<u8> = Vec::new();
            let mut carry = 0u8;
            for digit in order {
                half.push(digit >> 1 | carry << 7);
                carry = digit & 1;
            }
            for (s, is_low) in [(vec![1u8], true), (half.clone(), true)] {
                let low = encode(&[5], &s);
                let low = EcdsaSignature::parse(&low).unwrap();
                assert_eq!(low.is_low_s(curve), is_low);
                let high = encode(&[5], &curve.complement(low.s).unwrap());
                let high = EcdsaSignature::parse(&high).unwrap();
                assert!(!high.is_low_s(curve));
                assert_eq!(high.encode_low_s(curve).unwrap(), low.encode());
            }
            let too_big = encode(&[5], order);
            let equal = EcdsaSignature::parse(&too_big).unwrap();
            // n - n is zero, which no signature may be turned into.
            assert!(!equal.is_low_s(curve));
        }
    }

    #[test]
    fn parsing_is_as_lenient_as_go_and_no_more() {
        let good = encode(&[1, 2], &[3]);
        let mut trailing = good.clone();
        trailing.push(9);
        assert_eq!(EcdsaSignature::parse(&trailing).unwrap().encode(), good, "bytes after the structure are ignored");
        let third = der::write(der::SEQUENCE, &[&good[2..], &[0x02, 0x01, 0x07][..]].concat());
        assert_eq!(EcdsaSignature::parse(&third).unwrap().encode(), good);
        for bad in [
            &[0x30, 0x06, 2, 1, 1, 2, 1, 0][..],
            &[0x30, 0x06, 2, 1, 0x81, 2, 1, 1],
            &[0x30, 0x07, 2, 2, 0, 1, 2, 1, 1],
            &[0x30, 0x03, 2, 1, 1],
            &[0x31, 0x06, 2, 1, 1, 2, 1, 1],
            &[],
        ] {
            assert_eq!(EcdsaSignature::parse(bad), None, "{bad:02x?}");
        }
    }
}
