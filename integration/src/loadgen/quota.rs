//! How many envelopes may still be sent. Shared by all who send.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

/// A number of envelopes, or no end of them.
#[derive(Debug)]
pub(super) struct Quota(AtomicU64);

impl Quota {
    /// Without end.
    pub(super) const fn unlimited() -> Self {
        Self(AtomicU64::new(UNLIMITED))
    }

    /// From now on so many.
    pub(super) fn limit(&self, count: u64) {
        self.0.store(count, Release);
    }

    /// Takes one; false if there is none.
    pub(super) fn take(&self) -> bool {
        let less = |left| match left {
            0 => None,
            UNLIMITED => Some(UNLIMITED),
            left => Some(left - 1),
        };
        self.0.fetch_update(AcqRel, Acquire, less).is_ok()
    }
}

const UNLIMITED: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_ends_only_when_it_is_limited() {
        let quota = Quota::unlimited();
        assert!((0..100).all(|_| quota.take()));
        quota.limit(3);
        assert_eq!((0..10).filter(|_| quota.take()).count(), 3);
    }
}
