//! Waiting for a moment more precisely than the runtime's timers, which know whole milliseconds only: a thread that sleeps
//! until the next moment anybody waits for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use tokio::sync::oneshot;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Alarm(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Counts them, so that equal moments come in turn.
    number: u64,
    is_over: bool,
}

#[derive(Debug)]
struct Waiting {
    at: Instant,
    number: u64,
    waker: oneshot::Sender<()>,
}

impl Alarm {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives none.
    pub(super) fn start() -> anyhow::Result<Self> {
        let shared = Arc::<Shared>::default();
        let ringing = Arc::clone(&shared);
        let spawned = thread::Builder::new().name("alarm".to_owned()).spawn(move || ringing.run());
        spawned.context("cannot start a thread for emulated delays")?;
        Ok(Self(shared))
    }

    /// Waits until then.
    pub(super) async fn wait(&self, at: Instant) {
        if at <= Instant::now() {
            return;
        }
        let (waker, rings) = oneshot::channel();
        self.set(at, waker);
        // The thread lives as long as we do, and rings for everybody.
        let _ = rings.await;
    }

    fn set(&self, at: Instant, waker: oneshot::Sender<()>) {
        let mut state = self.0.lock();
        state.number += 1;
        let waiting = Waiting { at, number: state.number, waker };
        let is_next = state.waiting.peek().is_none_or(|Reverse(next)| waiting < *next);
        state.waiting.push(Reverse(waiting));
        drop(state);
        if is_next {
            self.0.changed.notify_one();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.is_over {
            let now = Instant::now();
            state = match state.waiting.peek() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Reverse(next)) if next.at > now => {
                    let left = next.at - now;
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    if let Some(Reverse(due)) = state.waiting.pop() {
                        // Nobody waits any more if the connection has ended.
                        let _ = due.waker.send(());
                    }
                    state
                }
            };
        }
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_rings_at_the_moment_and_in_order_whatever_the_order_of_asking() {
        let (alarm, now) = (Alarm::start().unwrap(), Instant::now());
        let order = Mutex::new(Vec::new());
        let wait = async |ms: u64| {
            let at = now + Duration::from_micros(ms * 1_000 + 300);
            alarm.wait(at).await;
            assert!(Instant::now() >= at);
            order.lock().unwrap().push(ms);
        };
        tokio::join!(wait(30), wait(10), wait(20));
        assert_eq!(*order.lock().unwrap(), [10, 20, 30]);
        alarm.wait(now).await;
    }

    #[tokio::test]
    async fn who_has_gone_is_not_missed() {
        let alarm = Alarm::start().unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        drop(tokio::time::timeout(Duration::from_millis(1), alarm.wait(soon)).await);
        alarm.wait(soon + Duration::from_millis(5)).await;
        assert!(Instant::now() >= soon);
    }
}
