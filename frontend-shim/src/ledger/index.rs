//! Where every block and its certificate are, and up to where the chain is certified without a gap.

use super::Tip;
use super::files::Position;

/// The places of one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub block: Position,
    pub certificate: Option<Position>,
}

impl Entry {
    pub fn new(block: Position) -> Self {
        Self { block, certificate: None }
    }
}

/// 28 bytes for each block of the chain.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<Entry>,
    certified: u64,
    tip: Option<Tip>,
}

impl Index {
    /// How many blocks there are.
    pub fn height(&self) -> u64 {
        self.entries.len() as u64
    }

    /// How many blocks from the first on are certified.
    pub fn certified(&self) -> u64 {
        self.certified
    }

    pub fn tip(&self) -> Option<Tip> {
        self.tip
    }

    pub fn find(&self, number: u64) -> Option<Entry> {
        self.entries.get(usize::try_from(number).ok()?).copied()
    }

    /// Takes the next block.
    pub fn append(&mut self, entry: Entry, tip: Tip) {
        debug_assert_eq!(tip.number, self.height(), "the caller checks the number");
        self.entries.push(entry);
        self.tip = Some(tip);
        self.advance();
    }

    /// Notes the certificate of a block that is here. The first one stays.
    pub fn certify(&mut self, number: u64, certificate: Position) {
        if let Some(entry) = self.entries.get_mut(number as usize) {
            entry.certificate.get_or_insert(certificate);
        }
        self.advance();
    }

    /// Block 0 is certified by definition.
    fn advance(&mut self) {
        while let Some(entry) = self.find(self.certified) {
            if self.certified > 0 && entry.certificate.is_none() {
                break;
            }
            self.certified += 1;
        }
    }
}
