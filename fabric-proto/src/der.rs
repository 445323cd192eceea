//! The few DER shapes this crate needs: SEQUENCE, non-negative INTEGER, OCTET STRING.
//!
//! Writing is minimal by construction; reading accepts only what writing produces, so a value and
//! its DER correspond one to one. Contract §3.1 (header) and §3.3 (signatures).

/// Tag of a non-negative INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// Tag of an OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// Tag of a SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;

/// Appends one element.
pub(crate) fn push(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    push_length(out, content.len());
    out.extend_from_slice(content);
}

/// Appends the INTEGER of a big-endian magnitude, which may have leading zeros or be empty (zero).
pub(crate) fn push_unsigned(out: &mut Vec<u8>, magnitude: &[u8]) {
    let significant = strip_leading_zeros(magnitude);
    // The sign bit must stay clear, and zero still needs one octet.
    let needs_zero = significant.first().is_none_or(|first| first & 0x80 != 0);
    out.push(INTEGER);
    push_length(out, significant.len() + usize::from(needs_zero));
    if needs_zero {
        out.push(0);
    }
    out.extend_from_slice(significant);
}

/// Splits off the content of a leading element with this tag: `(content, what follows)`.
pub(crate) fn read(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = input.strip_prefix(&[tag])?;
    let (length, rest) = read_length(rest)?;
    rest.split_at_checked(length)
}

/// Splits off a leading INTEGER that is minimally encoded and positive: `(magnitude without
/// leading zeros, what follows)`.
pub(crate) fn read_positive(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = read(input, INTEGER)?;
    match content {
        [0, magnitude @ ..] => {
            let is_needed = magnitude.first().is_some_and(|first| first & 0x80 != 0);
            is_needed.then_some((magnitude, rest))
        }
        [first, ..] if first & 0x80 == 0 => Some((content, rest)),
        _ => None,
    }
}

fn strip_leading_zeros(magnitude: &[u8]) -> &[u8] {
    let zeros = magnitude.iter().take_while(|&&octet| octet == 0).count();
    &magnitude[zeros..]
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    if length < SHORT_LENGTH_END {
        out.push(length as u8);
        return;
    }
    let octets = length.to_be_bytes();
    let significant = strip_leading_zeros(&octets);
    out.push(SHORT_LENGTH_END as u8 | significant.len() as u8);
    out.extend_from_slice(significant);
}

fn read_length(input: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = input.split_first()?;
    if usize::from(first) < SHORT_LENGTH_END {
        return Some((usize::from(first), rest));
    }
    let (octets, rest) = rest.split_at_checked(usize::from(first) - SHORT_LENGTH_END)?;
    if octets.len() > size_of::<usize>() || octets.first() == Some(&0) {
        return None;
    }
    let length = octets.iter().fold(0usize, |length, &octet| length << 8 | usize::from(octet));
    (length >= SHORT_LENGTH_END).then_some((length, rest))
}

/// Lengths below take one octet; above, the first octet says how many follow.
const SHORT_LENGTH_END: usize = 0x80;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_minimal_and_never_negative() {
        let cases: [(u64, &[u8]); 6] = [
            (0, &[2, 1, 0]),
            (127, &[2, 1, 127]),
            (128, &[2, 2, 0, 128]),
            (256, &[2, 2, 1, 0]),
            (1 << 63, &[2, 9, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            (u64::MAX >> 1, &[2, 8, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ];
        for (number, expected) in cases {
            let mut out = Vec::new();
            push_unsigned(&mut out, &number.to_be_bytes());
            assert_eq!(out, expected, "{number}");
        }
    }

    #[test]
    fn lengths_survive_a_round_trip() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let mut out = Vec::new();
            push(&mut out, OCTET_STRING, &vec![7; length]);
            out.push(9);
            let (content, rest) = read(&out, OCTET_STRING).unwrap();
            assert_eq!((content.len(), rest), (length, &[9][..]));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        // Wrong tag, cut off, needless long form, needless zero octet, indefinite length.
        let elements: [&[u8]; 6] = [&[4, 0], &[2], &[2, 2, 1], &[2, 0x81, 1, 1], &[2, 0x82, 0, 200], &[2, 0x80, 0, 0]];
        for element in elements {
            assert_eq!(read(element, INTEGER), None, "{element:?}");
        }
        // Zero, negative, needless zero, empty.
        let integers: [&[u8]; 4] = [&[2, 1, 0], &[2, 1, 0x80], &[2, 2, 0, 1], &[2, 0]];
        for integer in integers {
            assert_eq!(read_positive(integer), None, "{integer:?}");
        }
    }
}
