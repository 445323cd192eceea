//! Protobuf's wire format as Go's decoder reads it.
//!
//! The generated messages drop what they do not know. Wherever unknown fields count, because peers keep them and
//! compare them, messages are read field by field with this module instead. Contract §2.4 step 9, §3.6.

/// One field as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    wire_type: u64,
    /// The value, with its length in front if it has one.
    value: &'a [u8],
}

/// Bytes that are no sequence of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Field<'a> {
    /// The first field of `input`, and what follows it.
    fn read(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (number, wire_type, value) = read_tag(input)?;
        let rest = skip_value(number, wire_type, value, 0)?;
        let value = &value[..value.len() - rest.len()];
        Some((Self { number, wire_type, value }, rest))
    }

    /// The number, if the field is a varint.
    pub(crate) fn varint(&self) -> Option<u64> {
        (self.wire_type == VARINT).then(|| read_varint(self.value).map(|(value, _)| value)).flatten()
    }

    /// The content, if the field is length-delimited.
    pub(crate) fn content(&self) -> Option<&'a [u8]> {
        if self.wire_type != LENGTH_DELIMITED {
            return None;
        }
        let (length, rest) = read_varint(self.value)?;
        rest.get(..usize::try_from(length).ok()?)
    }

    /// Writes the field as Go keeps it among the unknown ones: a shortest tag, and the value untouched.
    pub(crate) fn keep(&self, kept: &mut Vec<u8>) {
        push_varint(kept, self.number << 3 | self.wire_type);
        kept.extend_from_slice(self.value);
    }
}

/// The fields of a message, in order; ends after the first error.
pub(crate) fn fields(input: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    let mut rest = input;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((field, next)) = Field::read(rest) else {
            rest = &[];
            return Some(Err(Malformed));
        };
        rest = next;
        Some(Ok(field))
    })
}

/// Appends a number, unless it is zero: proto3 does not write zeros.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64, value: u64) {
    if value != 0 {
        push_varint(out, number << 3 | VARINT);
        push_varint(out, value);
    }
}

/// Appends bytes, a text or a message, empty or not.
pub(crate) fn push_content(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    push_varint(out, number << 3 | LENGTH_DELIMITED);
    push_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Appends bytes or a text, unless empty: proto3 does not write empty ones.
pub(crate) fn push_bytes(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    if !content.is_empty() {
        push_content(out, number, content);
    }
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Field number, wire type, and what follows the tag.
fn read_tag(input: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (tag, rest) = read_varint(input)?;
    let number = tag >> 3;
    (1..=FIELD_NUMBER_MAX).contains(&number).then_some((number, tag & 7, rest))
}

/// Steps over one value; `depth` counts the groups around it.
fn skip_value(number: u64, wire_type: u64, input: &[u8], depth: usize) -> Option<&[u8]> {
    match wire_type {
        VARINT => Some(read_varint(input)?.1),
        FIXED_64 => input.get(8..),
        FIXED_32 => input.get(4..),
        LENGTH_DELIMITED => {
            let (length, rest) = read_varint(input)?;
            rest.get(usize::try_from(length).ok()?..)
        }
        START_GROUP if depth < NESTED_GROUPS_MAX => {
            let mut rest = input;
            loop {
                let (inner, inner_type, value) = read_tag(rest)?;
                if inner_type == END_GROUP {
                    return (inner == number).then_some(value);
                }
                rest = skip_value(inner, inner_type, value, depth + 1)?;
            }
        }
        _ => None,
    }
}

fn read_varint(input: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (index, octet) in input.iter().take(VARINT_OCTETS_MAX).enumerate() {
        let is_last_possible = index + 1 == VARINT_OCTETS_MAX;
        if is_last_possible && *octet > 1 {
            return None;
        }
        value |= u64::from(octet & 0x7f) << (7 * index);
        if octet & 0x80 == 0 {
            return Some((value, &input[index + 1..]));
        }
    }
    None
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;
const FIXED_32: u64 = 5;
const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;
const VARINT_OCTETS_MAX: usize = 10;
/// Wire groups within wire groups; nobody uses even one.
const NESTED_GROUPS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Option<Vec<Field<'_>>> {
        fields(input).collect::<Result<_, _>>().ok()
    }

    #[test]
    fn fields_of_every_wire_type_are_found() {
        let input = b"\x08\x96\x01\x12\x02ab\x1d1234\x2112345678\x2b\x08\x01\x2c";
        let found = read(input).unwrap_or_default();
        let numbers: Vec<u64> = found.iter().map(|field| field.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert_eq!(found[0].varint(), Some(150));
        assert_eq!(found[0].content(), None);
        assert_eq!(found[1].content(), Some(&b"ab"[..]));
        assert_eq!(found[1].varint(), None);
        let mut kept = Vec::new();
        found.iter().for_each(|field| field.keep(&mut kept));
        assert_eq!(kept, input);
    }

    #[test]
    fn a_kept_field_has_the_shortest_tag() {
        let mut kept = Vec::new();
        read(b"\x98\x00\x85\x00").unwrap_or_default().iter().for_each(|field| field.keep(&mut kept));
        assert_eq!(kept, b"\x18\x85\x00");
    }

    #[test]
    fn broken_bytes_are_refused() {
        for input in [
            &b"\x00\x01"[..],
            b"\x08",
            b"\x0a\x05p",
            b"\x1b\x08\x01",
            b"\x1b\x08\x01\x24",
            b"\x1c",
            b"\x1f",
            b"\x09\x01",
            b"\x0d\x01",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        ] {
            assert_eq!(read(input), None, "{input:02x?}");
        }
    }

    #[test]
    fn numbers_are_written_shortest() {
        let mut out = Vec::new();
        push_number(&mut out, 1, 0);
        push_number(&mut out, 1, 300);
        push_number(&mut out, 2, u64::MAX);
        assert_eq!(out, b"\x08\xac\x02\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    }
}
