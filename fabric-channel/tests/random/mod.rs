//! Random choices that are the same in every run.

#![allow(dead_code, reason = "each test program uses some of them")]

/// A small generator with a known seed.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = self.0 ^ (self.0 >> 33);
        mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 16
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn octet(&mut self) -> u8 {
        self.next() as u8
    }

    pub fn pick<'a, T: Clone + 'a>(&mut self, mut from: impl ExactSizeIterator<Item = &'a T>) -> Option<T> {
        let count = from.len();
        if count == 0 { None } else { from.nth(self.below(count)).cloned() }
    }

    /// Changes, removes or inserts a few octets, or repeats a stretch.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(2) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] = self.octet(),
                1 => bytes[at] ^= 1 << self.below(8),
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, self.octet()),
                _ => {
                    let stretch = bytes[at..(at + self.below(40)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, stretch);
                }
            }
        }
    }
}
