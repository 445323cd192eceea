//! The de-duplication memory of one channel: which envelopes were ordered lately.
//!
//! A client's gateway may send one envelope through several frontends, and each of them has it ordered; only the first
//! becomes part of the chain. The memory holds the digests of the last [`ORDERED_DIGESTS_MAX`] ordered envelopes and
//! forgets the oldest first, so it is replicated state of bounded size and the same on every replica.

use std::collections::{BTreeSet, VecDeque};

use crate::limits::ORDERED_DIGESTS_MAX;

/// SHA-256 of the bytes of an envelope.
pub type EnvelopeDigest = [u8; 32];

/// The digests of the last ordered envelopes, in order, and an index that finds them.
#[derive(Clone, Debug, Default)]
pub struct OrderedDigests {
    digests: VecDeque<EnvelopeDigest>,
    /// The ticket of the oldest; those behind it have the following ones.
    oldest: u32,
    index: Index,
}

impl OrderedDigests {
    /// Was this envelope ordered lately?
    #[must_use]
    pub fn contains(&self, digest: &EnvelopeDigest) -> bool {
        let mut candidates = self.index.candidates(digest);
        candidates.any(|ticket| self.digest(ticket) == Some(digest)) || self.index.crowded.contains(digest)
    }

    /// Remembers an envelope; says whether it was new. One that is known keeps its age.
    pub fn insert(&mut self, digest: EnvelopeDigest) -> bool {
        if self.contains(&digest) {
            return false;
        }
        if self.digests.len() >= self.index.digests_usual() {
            self.grow();
        }
        let ticket = self.oldest.wrapping_add(self.digests.len() as u32);
        self.index.insert(&digest, ticket);
        self.digests.push_back(digest);
        if self.digests.len() > ORDERED_DIGESTS_MAX
            && let Some(oldest) = self.digests.pop_front()
        {
            self.index.remove(&oldest, self.oldest);
            self.oldest = self.oldest.wrapping_add(1);
        }
        true
    }

    /// The digests, oldest first.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &EnvelopeDigest> {
        self.digests.iter()
    }

    fn digest(&self, ticket: u32) -> Option<&EnvelopeDigest> {
        self.digests.get(ticket.wrapping_sub(self.oldest) as usize)
    }

    fn grow(&mut self) {
        let buckets = vec![Bucket::default(); (2 * self.index.buckets.len()).max(BUCKETS_MIN)];
        let mut index = Index { buckets, crowded: BTreeSet::new() };
        for (place, digest) in self.digests.iter().enumerate() {
            index.insert(digest, self.oldest.wrapping_add(place as u32));
        }
        self.index = index;
    }
}

/// Where they are in memory is of no account.
impl PartialEq for OrderedDigests {
    fn eq(&self, other: &Self) -> bool {
        self.digests == other.digests
    }
}

impl Eq for OrderedDigests {}

/// Finds the tickets of digests. It is asked several times for every envelope, so a question should cost one access to memory: two
/// cache lines that hold sixteen entries, half of which are in use on average.
///
/// Whoever orders envelopes chooses their digests, as far as computing many of them goes. What finds its bucket full is kept in a
/// tree, so digests that all begin alike make a tree of them and nothing worse.
#[derive(Clone, Debug, Default)]
struct Index {
    /// A power of two of them, or none.
    buckets: Vec<Bucket>,
    crowded: BTreeSet<EnvelopeDigest>,
}

/// Entries that begin with the same bits.
#[derive(Clone, Debug, Default)]
struct Bucket {
    used: u16,
    /// Bits of the digest that do not choose the bucket.
    tags: [u32; BUCKET_ENTRIES],
    tickets: [u32; BUCKET_ENTRIES],
}

impl Index {
    /// With so many it wants to be larger.
    fn digests_usual(&self) -> usize {
        self.buckets.len() * BUCKET_ENTRIES / 2
    }

    fn bucket_of(&self, digest: &EnvelopeDigest) -> usize {
        word(digest, 0) as usize & self.buckets.len().wrapping_sub(1)
    }

    /// Tickets of digests that may be this one.
    fn candidates(&self, digest: &EnvelopeDigest) -> impl Iterator<Item = u32> {
        let (bucket, tag) = (self.buckets.get(self.bucket_of(digest)), word(digest, 1));
        bucket.into_iter().flat_map(move |bucket| {
            bucket.entries().filter(move |entry| bucket.tags[*entry] == tag).map(|entry| bucket.tickets[entry])
        })
    }

    fn insert(&mut self, digest: &EnvelopeDigest, ticket: u32) {
        let bucket = self.bucket_of(digest);
        let free = self.buckets.get(bucket).map(|bucket| bucket.used.trailing_ones() as usize);
        match (self.buckets.get_mut(bucket), free) {
            (Some(bucket), Some(free)) if free < BUCKET_ENTRIES => {
                bucket.used |= 1 << free;
                bucket.tags[free] = word(digest, 1);
                bucket.tickets[free] = ticket;
            }
            _ => {
                self.crowded.insert(*digest);
            }
        }
    }

    fn remove(&mut self, digest: &EnvelopeDigest, ticket: u32) {
        let bucket = self.bucket_of(digest);
        if let Some(bucket) = self.buckets.get_mut(bucket)
            && let Some(entry) = bucket.entries().find(|entry| bucket.tickets[*entry] == ticket)
        {
            bucket.used &= !(1 << entry);
        } else {
            self.crowded.remove(digest);
        }
    }
}

impl Bucket {
    fn entries(&self) -> impl Iterator<Item = usize> + use<> {
        let used = self.used;
        (0..BUCKET_ENTRIES).filter(move |entry| used & (1 << entry) != 0)
    }
}

fn word(digest: &EnvelopeDigest, number: usize) -> u32 {
    let bytes = &digest[4 * number..4 * number + 4];
    bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

const BUCKET_ENTRIES: usize = 16;

/// A channel that orders little needs little.
const BUCKETS_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> EnvelopeDigest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut ordered = OrderedDigests::default();
        for number in 0..ORDERED_DIGESTS_MAX {
            assert!(ordered.insert(digest(number)));
        }
        assert!(!ordered.insert(digest(0)), "still remembered");
        assert!(ordered.insert(digest(ORDERED_DIGESTS_MAX)));
        assert!(!ordered.contains(&digest(0)), "a repeat does not make it younger");
        assert!(ordered.contains(&digest(1)));
        assert!(ordered.insert(digest(0)));
        assert_eq!(ordered.iter().len(), ORDERED_DIGESTS_MAX);
    }

    /// The digests of a generator whose numbers come in no order.
    fn scattered(count: u64) -> impl Iterator<Item = EnvelopeDigest> {
        let mut state = 7_u64;
        (0..count).map(move |_| {
            let mut digest = [0; 32];
            for word in digest.chunks_exact_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                word.copy_from_slice(&(state ^ (state >> 29)).to_be_bytes());
            }
            digest
        })
    }

    /// What it does, slowly.
    fn check(digests: impl Iterator<Item = EnvelopeDigest>) {
        let (mut ordered, mut expected, mut set) = (OrderedDigests::default(), VecDeque::new(), BTreeSet::new());
        for digest in digests {
            assert_eq!(ordered.contains(&digest), set.contains(&digest));
            assert_eq!(ordered.insert(digest), set.insert(digest));
            if expected.back() != Some(&digest) && set.len() > expected.len() {
                expected.push_back(digest);
            }
            if expected.len() > ORDERED_DIGESTS_MAX {
                set.remove(&expected.pop_front().unwrap_or_default());
            }
        }
        assert!(ordered.iter().eq(&expected));
        assert!(ordered.index.crowded.len() <= expected.len());
        let found = expected.iter().filter(|digest| ordered.contains(digest)).count();
        assert_eq!(found, expected.len());
    }

    #[test]
    fn it_remembers_what_a_set_and_a_queue_would() {
        let repeats = || scattered(5 * ORDERED_DIGESTS_MAX as u64 / 2);
        check(repeats());
        check(repeats().zip(repeats()).flat_map(|(one, other)| [one, other]));
        // What was forgotten comes again.
        check(repeats().chain(repeats()));
    }

    #[test]
    fn digests_that_begin_alike_are_found_and_forgotten_too() {
        check((0..2 * ORDERED_DIGESTS_MAX).map(|number| {
            let mut alike = [0xab; 32];
            alike[24..].copy_from_slice(&number.to_be_bytes());
            alike
        }));
    }

    #[test]
    fn few_are_crowded_out_of_their_bucket() {
        let mut ordered = OrderedDigests::default();
        scattered(2 * ORDERED_DIGESTS_MAX as u64).for_each(|digest| assert!(ordered.insert(digest)));
        assert!(ordered.index.crowded.len() < ORDERED_DIGESTS_MAX / 100, "{}", ordered.index.crowded.len());
    }

    #[test]
    fn the_way_there_does_not_count_when_two_are_compared() {
        let (mut long, mut short) = (OrderedDigests::default(), OrderedDigests::default());
        let all = || scattered(ORDERED_DIGESTS_MAX as u64 + 1000);
        all().for_each(|digest| assert!(long.insert(digest)));
        all().skip(1000).for_each(|digest| assert!(short.insert(digest)));
        assert_eq!(long, short);
        assert!(short.insert([0; 32]));
        assert_ne!(long, short);
    }
}
