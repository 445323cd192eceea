//! Protobuf without a schema, so that a mutation deep inside leaves every length around it right.
//!
//! Bytes that parse as fields are taken for a message, all the way down. Now and then that is wrong, and the mutation is
//! a strange one; that does no harm.

use fastrand::Rng;

/// A field as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// Changes one field somewhere in a message and encodes it again; `None` if the input is no message.
pub fn mutate(random: &mut Rng, input: &[u8]) -> Option<Vec<u8>> {
    let mut fields = parse(input, 0)?;
    let donors = fields.clone();
    let list = descend(random, &mut fields);
    change(random, list, &donors);
    let mut out = Vec::with_capacity(input.len() + 16);
    write(&fields, &mut out);
    Some(out)
}

/// A list of fields at a random depth.
fn descend<'a>(random: &mut Rng, fields: &'a mut Vec<Field>) -> &'a mut Vec<Field> {
    let inner: Vec<usize> = (0..fields.len()).filter(|&at| matches!(fields[at].value, Value::Message(_))).collect();
    if inner.is_empty() || random.u8(..) < 24 {
        return fields;
    }
    let at = inner[random.usize(..inner.len())];
    // Checked above; asked twice because a borrow cannot be returned from one arm and kept in the other.
    if !matches!(fields[at].value, Value::Message(_)) {
        return fields;
    }
    match &mut fields[at].value {
        Value::Message(list) => descend(random, list),
        _ => unreachable!("only messages were picked"),
    }
}

fn change(random: &mut Rng, list: &mut Vec<Field>, donors: &[Field]) {
    if list.is_empty() {
        list.push(Field { number: random.u64(1..6), value: Value::Varint(random.u64(..4)) });
        return;
    }
    let at = random.usize(..list.len());
    match random.u8(..9) {
        0 => drop(list.remove(at)),
        1 => list.insert(at, list[at].clone()),
        2 => {
            let other = random.usize(..list.len());
            list.swap(at, other);
        }
        3 => list[at].number = random.u64(1..12),
        4 => list[at] = donors[random.usize(..donors.len())].clone(),
        5 => list[at].value = Value::Bytes(Vec::new()),
        6 => list[at].value = Value::Varint(interesting(random)),
        _ => alter(random, &mut list[at].value),
    }
}

fn alter(random: &mut Rng, value: &mut Value) {
    match value {
        Value::Varint(number) => *number = interesting(random),
        Value::Fixed64(bytes) => bytes[random.usize(..8)] ^= 1 << random.u8(..8),
        Value::Fixed32(bytes) => bytes[random.usize(..4)] ^= 1 << random.u8(..8),
        Value::Bytes(bytes) => *bytes = crate::mutate::bytes(random, bytes),
        Value::Message(fields) => {
            let mut bytes = Vec::new();
            write(fields, &mut bytes);
            *value = Value::Bytes(crate::mutate::bytes(random, &bytes));
        }
    }
}

fn interesting(random: &mut Rng) -> u64 {
    let near = [0, 1, 2, 3, 127, 128, 255, u64::from(u16::MAX), i32::MAX as u64, u64::from(u32::MAX), u64::MAX];
    near[random.usize(..near.len())].wrapping_add(random.u64(..2))
}

fn parse(mut input: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !input.is_empty() {
        let key = varint(&mut input)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut input)?),
            1 => Value::Fixed64(take(&mut input, 8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(varint(&mut input)?).ok()?;
                let bytes = take(&mut input, length)?;
                let nested = if depth < DEPTH_MAX && !bytes.is_empty() { parse(bytes, depth + 1) } else { None };
                nested.map_or_else(|| Value::Bytes(bytes.to_vec()), Value::Message)
            }
            5 => Value::Fixed32(take(&mut input, 4)?.try_into().ok()?),
            _ => return None,
        };
        let number = key >> 3;
        if number == 0 {
            return None;
        }
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn write(fields: &[Field], out: &mut Vec<u8>) {
    for Field { number, value } in fields {
        let mut key = |kind: u64| prost::encoding::encode_varint(number << 3 | kind, out);
        match value {
            Value::Varint(number) => {
                key(0);
                prost::encoding::encode_varint(*number, out);
            }
            Value::Fixed64(bytes) => {
                key(1);
                out.extend_from_slice(bytes);
            }
            Value::Fixed32(bytes) => {
                key(5);
                out.extend_from_slice(bytes);
            }
            Value::Bytes(bytes) => {
                key(2);
                push(bytes, out);
            }
            Value::Message(fields) => {
                key(2);
                let mut bytes = Vec::new();
                write(fields, &mut bytes);
                push(&bytes, out);
            }
        }
    }
}

fn push(bytes: &[u8], out: &mut Vec<u8>) {
    prost::encoding::encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn varint(input: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(input).ok()
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

const DEPTH_MAX: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_block_is_taken_apart_and_put_together_unchanged() {
        let block = crate::fixtures::CHAIN[1];
        let fields = parse(block, 0).expect("a block is a message");
        let mut out = Vec::new();
        write(&fields, &mut out);
        assert_eq!(out, block);
    }

    #[test]
    fn a_change_deep_inside_leaves_a_message() {
        let mut random = Rng::with_seed(7);
        let changed = (0..500).filter_map(|_| mutate(&mut random, crate::fixtures::CHAIN[1]));
        let parsed = changed.filter(|bytes| parse(bytes, 0).is_some()).count();
        assert_eq!(parsed, 500);
    }
}
