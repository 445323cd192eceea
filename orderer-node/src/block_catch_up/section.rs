//! The headers of missing blocks, as far as their hashes are known: nothing enters that does not hash to what is.

use fabric_proto::block::header_hash;
use frontend_shim::ledger::{Link, Tip};

/// The header hashes of consecutive blocks that end in a known one, found from there downwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// The first block of the section.
    from: u64,
    /// The last one.
    top: u64,
    /// From the last block downwards, to the one before the first when complete.
    hashes: Vec<[u8; 32]>,
}

/// A link that is not the one below what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header of block {0} does not have the hash that the chain says")]
pub(super) struct BrokenLink(u64);

/// What the header of a block must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) number: u64,
    pub(super) previous_hash: [u8; 32],
    pub(super) header_hash: [u8; 32],
}

impl Section {
    /// The blocks from `from` to `top`, of which nothing is known but `top`.
    pub(super) fn new(from: u64, top: Tip) -> Self {
        Self { from, top: top.number, hashes: vec![top.header_hash] }
    }

    /// The block whose link is needed next, and how many are in all; `None` when the section is complete.
    pub(super) fn wanted(&self) -> Option<(u64, u64)> {
        let last = self.lowest().number;
        (last >= self.from).then(|| (last, last - self.from + 1))
    }

    /// Takes the link below the lowest block that is known.
    pub(super) fn push(&mut self, link: &Link) -> Result<(), BrokenLink> {
        let Tip { number, header_hash: known } = self.lowest();
        if header_hash(number, &link.previous_hash, &link.data_hash) != known {
            return Err(BrokenLink(number));
        }
        self.hashes.push(link.previous_hash);
        Ok(())
    }

    /// The lowest block that is known; when complete, the one before the first.
    pub(super) fn lowest(&self) -> Tip {
        let below = self.hashes.len() as u64 - 1;
        Tip { number: self.top - below, header_hash: self.hashes[below as usize] }
    }

    pub(super) const fn top(&self) -> u64 {
        self.top
    }

    /// What the header of one of its blocks must be; `None` for others.
    pub(super) fn expected(&self, number: u64) -> Option<Expected> {
        let hash = |number: u64| self.hashes.get(usize::try_from(self.top.checked_sub(number)?).ok()?).copied();
        Some(Expected { number, previous_hash: hash(number.checked_sub(1)?)?, header_hash: hash(number)? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Links of blocks 1 to `count`, and the last block.
    fn chain(count: u64) -> (Vec<Link>, Tip) {
        let mut previous_hash = [7; 32];
        let mut links = Vec::new();
        for number in 1..=count {
            let link = Link { previous_hash, data_hash: [number as u8; 32] };
            previous_hash = header_hash(number, &link.previous_hash, &link.data_hash);
            links.push(link);
        }
        (links, Tip { number: count, header_hash: previous_hash })
    }

    #[test]
    fn a_section_is_complete_when_it_reaches_the_block_before_its_first() {
        let (links, top) = chain(10);
        let mut section = Section::new(4, top);
        for number in (4..=10).rev() {
            assert_eq!(section.wanted(), Some((number, number - 3)));
            section.push(&links[number as usize - 1]).unwrap();
        }
        assert_eq!(section.wanted(), None);
        assert_eq!(section.lowest(), Tip { number: 3, header_hash: links[3].previous_hash });
        let expected = Expected { number: 10, previous_hash: links[9].previous_hash, header_hash: top.header_hash };
        assert_eq!(section.expected(10), Some(expected));
        assert_eq!(section.expected(4).unwrap().previous_hash, links[3].previous_hash);
        assert_eq!((section.expected(3), section.expected(11), section.expected(0)), (None, None, None));
    }

    #[test]
    fn any_other_link_is_refused_and_changes_nothing() {
        let (links, top) = chain(10);
        let mut section = Section::new(1, top);
        section.push(&links[9]).unwrap();
        let before = section.clone();
        let right = links[8];
        let lies = [links[9], links[7], Link { previous_hash: [0; 32], ..right }, Link { data_hash: [0; 32], ..right }];
        for lie in lies {
            assert_eq!(section.push(&lie), Err(BrokenLink(9)));
            assert_eq!(section, before);
        }
        section.push(&right).unwrap();
    }
}
