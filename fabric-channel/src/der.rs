//! The few pieces of DER that are read or rewritten by hand: the frame of a certificate and the two integers of an
//! ECDSA signature. Everything else about certificates is parsed by `x509-parser`.
//!
//! Invariant: lengths are accepted only in their shortest form, and never beyond the input.

/// One tag-length-value element, split off the front of an input.
pub(crate) struct Element<'a> {
    /// Identifier octet; multi-octet tags are not needed here and are not accepted.
    pub(crate) tag: u8,
    /// The content octets.
    pub(crate) content: &'a [u8],
    /// The whole element, header included.
    pub(crate) raw: &'a [u8],
    /// What follows the element.
    pub(crate) rest: &'a [u8],
}

/// Reads the element at the front of `input`; `None` if there is no complete, minimally encoded one.
pub(crate) fn read(input: &[u8]) -> Option<Element<'_>> {
    let (&tag, after_tag) = input.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, after_length) = read_length(after_tag)?;
    let content = after_length.get(..length)?;
    let header_length = input.len() - after_length.len();
    Some(Element { tag, content, raw: &input[..header_length + length], rest: &after_length[length..] })
}

/// Reads an element and demands its tag.
pub(crate) fn read_tagged(input: &[u8], tag: u8) -> Option<Element<'_>> {
    read(input).filter(|element| element.tag == tag)
}

/// Wraps `content` into an element with the shortest length form.
pub(crate) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    if content.len() < 0x80 {
        out.push(content.len() as u8);
    } else {
        let octets = content.len().to_be_bytes();
        let significant = &octets[content.len().leading_zeros() as usize / 8..];
        out.push(0x80 | significant.len() as u8);
        out.extend_from_slice(significant);
    }
    out.extend_from_slice(content);
    out
}

/// Writes a non-negative integer given as big-endian octets with or without leading zeros.
pub(crate) fn write_unsigned(magnitude: &[u8]) -> Vec<u8> {
    let significant = strip_leading_zeros(magnitude);
    if significant.is_empty() {
        return write(INTEGER, &[0]);
    }
    if significant[0] & 0x80 == 0 {
        return write(INTEGER, significant);
    }
    let mut padded = Vec::with_capacity(significant.len() + 1);
    padded.push(0);
    padded.extend_from_slice(significant);
    write(INTEGER, &padded)
}

/// Big-endian octets without leading zeros; empty for zero.
pub(crate) fn strip_leading_zeros(magnitude: &[u8]) -> &[u8] {
    let first = magnitude.iter().position(|octet| *octet != 0).unwrap_or(magnitude.len());
    &magnitude[first..]
}

fn read_length(input: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = input.split_first()?;
    if first < 0x80 {
        return Some((usize::from(first), rest));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > LENGTH_OCTETS_MAX || rest.len() < count {
        return None;
    }
    let (octets, rest) = rest.split_at(count);
    let length = octets.iter().fold(0usize, |sum, octet| sum << 8 | usize::from(*octet));
    let is_shortest = octets[0] != 0 && length >= 0x80;
    is_shortest.then_some((length, rest))
}

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
const LENGTH_OCTETS_MAX: usize = 4;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lengths_round_trip_in_their_shortest_form() {
        for length in [0usize, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let encoded = write(SEQUENCE, &vec![7; length]);
            let element = read_tagged(&encoded, SEQUENCE).unwrap();
            assert_eq!(element.content.len(), length);
            assert_eq!(element.raw, &encoded[..]);
            assert!(element.rest.is_empty());
        }
        for long_form in [&[0x30, 0x81, 0x01, 0][..], &[0x30, 0x82, 0, 0x80], &[0x30, 0x80]] {
            assert!(read(long_form).is_none());
        }
        assert!(read(&[0x30, 2, 0]).is_none(), "content is cut short");
    }

    #[test]
    fn integers_carry_a_sign_octet_only_when_needed() {
        assert_eq!(write_unsigned(&[0, 0]), [2, 1, 0]);
        assert_eq!(write_unsigned(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(write_unsigned(&[0x80]), [2, 2, 0, 0x80]);
    }
}
