//! Deterministic mutations: the same generator gives the same inputs.

use fastrand::Rng;

use crate::wire;

/// An input like `input`, changed in one to four ways; `other` lends parts. At most `bytes_max` bytes.
pub fn mutate(random: &mut Rng, input: &[u8], other: &[u8], bytes_max: usize) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=random.usize(..4) {
        out = match random.u8(..16) {
            0 | 1 => splice(random, &out, other),
            2..=4 => length_edit(random, &out),
            5..=9 => wire::mutate(random, &out).unwrap_or_else(|| bytes(random, &out)),
            _ => bytes(random, &out),
        };
    }
    out.truncate(bytes_max);
    out
}

/// One change that knows nothing of the format.
pub fn bytes(random: &mut Rng, input: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    if out.is_empty() {
        return vec![random.u8(..); random.usize(1..9)];
    }
    let at = random.usize(..out.len());
    let until = (at + 1 + random.usize(..32)).min(out.len());
    match random.u8(..10) {
        0 | 1 => out[at] ^= 1 << random.u8(..8),
        2 => out[at] = [0, 1, 0x7f, 0x80, 0xff][random.usize(..5)],
        3 => out[at] = random.u8(..),
        4 => out[at] = out[at].wrapping_add(random.u8(..7)).wrapping_sub(3),
        5 => out.truncate(at),
        6 => drop(out.drain(at..until)),
        7 => {
            let part = out[at..until].to_vec();
            let to = random.usize(..=out.len());
            out.splice(to..to, part);
        }
        8 => out.splice(at..at, std::iter::repeat_with(|| random.u8(..)).take(8).collect::<Vec<_>>()).for_each(drop),
        _ => overwrite(random, &mut out, at),
    }
    out
}

/// Writes a number of two, four or eight bytes that limits tend to stumble over.
fn overwrite(random: &mut Rng, out: &mut [u8], at: usize) {
    let width = [2, 4, 8][random.usize(..3)].min(out.len() - at);
    let near = [0, 1, 0x7fff_ffff, 0xffff_ffff, u64::MAX, out.len() as u64, (out.len() - at) as u64];
    let number = near[random.usize(..near.len())].wrapping_add(random.u64(..3)).wrapping_sub(1).to_be_bytes();
    out[at..at + width].copy_from_slice(&number[8 - width..]);
}

/// The begin of one input and the end of another.
fn splice(random: &mut Rng, left: &[u8], right: &[u8]) -> Vec<u8> {
    let (end, start) = (random.usize(..=left.len()), random.usize(..=right.len()));
    [&left[..end], &right[start..]].concat()
}

/// Finds four bytes that are the length of something behind them, and changes both, or only one of them.
fn length_edit(random: &mut Rng, input: &[u8]) -> Vec<u8> {
    let Some((at, length)) = find_length(random, input) else { return bytes(random, input) };
    let start = at + 4;
    let content = &input[start..start + length];
    let changed = match random.u8(..5) {
        0 => return [&input[..at], &length_of(length + 1), &input[start..]].concat(),
        1 => return [&input[..at], &length_of(length.saturating_sub(1)), &input[start..]].concat(),
        2 => Vec::new(),
        3 => [content, content].concat(),
        _ => bytes(random, content),
    };
    [&input[..at], &length_of(changed.len()), &changed, &input[start + length..]].concat()
}

fn find_length(random: &mut Rng, input: &[u8]) -> Option<(usize, usize)> {
    let last = input.len().checked_sub(5)?;
    let from = random.usize(..=last);
    let places = (from..=last).chain(0..from);
    places.take(SEARCH_BYTES).find_map(|at| {
        let length = u32::from_be_bytes(input[at..].first_chunk().copied()?) as usize;
        (length > 0 && length <= input.len() - at - 4).then_some((at, length))
    })
}

fn length_of(bytes: usize) -> [u8; 4] {
    (bytes as u32).to_be_bytes()
}

const SEARCH_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_of_inputs() {
        let run = |seed| {
            let mut random = Rng::with_seed(seed);
            (0..200).map(|_| mutate(&mut random, b"\0\0\0\x04four and more", b"other", 64)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert!(run(3).iter().all(|input| input.len() <= 64));
    }

    #[test]
    fn a_length_is_changed_together_with_what_it_counts() {
        let mut random = Rng::with_seed(5);
        let fits = |input: &[u8]| {
            input.len() >= 4 && u32::from_be_bytes([input[0], input[1], input[2], input[3]]) as usize == input.len() - 4
        };
        let edits = (0..100).map(|_| length_edit(&mut random, b"\0\0\0\x06sixsix"));
        assert!(edits.filter(|edit| fits(edit) && edit.len() != 10).count() > 20);
    }
}
