//! Files with right checksums around whatever they hold, so that mutations reach the decoders behind the checksums.
//!
//! The formats are those in the documentation of `orderer_node::journal`, its checkpoints and credentials, and
//! `frontend_shim::ledger`. Marks and salts, which are random there, are fixed here.

use crate::fixtures::GROUP;

/// A segment of a journal with these payloads, each in a frame of its own and nothing synced.
#[must_use]
pub fn journal(payloads: &[&[u8]]) -> Vec<u8> {
    let head = [&b"bftjrnl\n"[..], &1_u32.to_be_bytes(), &GROUP.0, &0_u32.to_be_bytes(), MARK, &[0; 4]].concat();
    let seed = crc32c::crc32c(&head);
    let mut file = [&head[..], &seed.to_be_bytes()].concat();
    let mut previous = 0_u32;
    for payload in payloads {
        let fields = [file.len() as u32, payload.len() as u32, previous, 0].map(u32::to_be_bytes);
        let checksum = crc32c::crc32c_append(crc32c::crc32c_append(seed, fields.as_flattened()), payload);
        file.extend_from_slice(MARK);
        file.extend_from_slice([payload.len() as u32, checksum, previous, 0].map(u32::to_be_bytes).as_flattened());
        file.extend_from_slice(payload);
        previous = checksum;
    }
    file
}

/// A segment of a ledger with these records: kind, number, payload.
#[must_use]
pub fn ledger(records: &[(u8, u64, &[u8])]) -> Vec<u8> {
    let head = [&b"ordblock"[..], &1_u32.to_be_bytes(), &0_u32.to_be_bytes(), SALT].concat();
    let mut file = [&head[..], &crc32c::crc32c(&head).to_be_bytes()].concat();
    for (kind, number, payload) in records {
        let content = [&[*kind][..], &number.to_be_bytes(), payload].concat();
        file.extend_from_slice(&(content.len() as u32).to_be_bytes());
        file.extend_from_slice(&crc32c::crc32c(&content).to_be_bytes());
        file.extend_from_slice(&content);
    }
    file
}

/// The same with the checksum behind it, as a checkpoint has it.
#[must_use]
pub fn summed_behind(body: &[u8]) -> Vec<u8> {
    [body, &crc32c::crc32c(body).to_be_bytes()].concat()
}

/// The same with the checksum before it, as the file of credentials has it.
#[must_use]
pub fn summed_before(body: &[u8]) -> Vec<u8> {
    [&crc32c::crc32c(body).to_be_bytes(), body].concat()
}

/// Cuts an input into parts: two bytes of length, then the part. What is left over is the last part.
#[must_use]
pub fn parts(mut input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk::<2>() {
        let (part, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        parts.push(part);
        input = rest;
    }
    parts
}

/// The counterpart of [`parts`].
#[must_use]
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&(part.len() as u16).to_be_bytes(), *part].concat()).collect()
}

const MARK: &[u8; 4] = b"mark";
const SALT: &[u8; 16] = b"sixteen of salt.";
