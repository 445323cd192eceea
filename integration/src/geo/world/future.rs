//! What will happen, in the order of virtual time. What is due at one time happens in the order it was planned in.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use mod_smart::Time;

/// The future.
#[derive(Debug)]
pub(super) struct Future<T> {
    planned: BinaryHeap<Reverse<Planned<T>>>,
    count: u64,
}

#[derive(Debug)]
struct Planned<T> {
    key: (Time, u64),
    happening: T,
}

impl<T> Future<T> {
    pub const fn new() -> Self {
        Self { planned: BinaryHeap::new(), count: 0 }
    }

    pub fn at(&mut self, time: Time, happening: T) {
        self.count += 1;
        self.planned.push(Reverse(Planned { key: (time, self.count), happening }));
    }

    pub fn pop(&mut self) -> Option<(Time, T)> {
        let Reverse(Planned { key: (time, _), happening }) = self.planned.pop()?;
        Some((time, happening))
    }
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Planned<T> {}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Planned<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}
