//! Bounds on how fast clients may send envelopes: Fabric's `General.Throttling`.
//!
//! They concern clients with a certificate that the listener has verified. The rate is shared out evenly among the clients that
//! were here lately, and once more among their organisations. Who has used up its share of a second is not read any further
//! until the next one; its streams take turns. Nobody is refused, and the others are none the worse for it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fabric_channel::Certificate;
use futures::stream::{Stream, StreamExt};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep_until};

use crate::limits::THROTTLED_CLIENTS_MAX;

/// How fast clients may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    /// Envelopes per second of all clients together.
    pub rate: NonZeroU32,
    /// Who has sent nothing for so long has no share of the rate any more.
    pub inactivity_timeout: Duration,
}

/// Whom the envelopes of a connection count for: the key of its certificate, and the key of who issued that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottledAs {
    client: Key,
    organisation: Key,
}

type Key = [u8; 32];

impl ThrottledAs {
    /// The holder of a certificate, in DER. One that does not parse stands for itself alone.
    #[must_use]
    pub fn holder_of(certificate: &[u8]) -> Self {
        let key = |bytes: &[u8]| Sha256::digest(bytes).into();
        match Certificate::from_der(certificate) {
            Ok(parsed) => Self {
                client: key(parsed.spki_der()),
                organisation: key(parsed.authority_key_id().unwrap_or(parsed.issuer_der())),
            },
            Err(_) => Self { client: key(certificate), organisation: key(certificate) },
        }
    }
}

/// The shares of all clients of a process.
#[derive(Debug)]
pub(super) struct Throttle {
    clients: Shares,
    organisations: Shares,
}

impl Throttle {
    pub(super) fn new(throttling: Throttling) -> Self {
        let shares = || Shares::new(throttling, SECOND);
        Self { clients: shares(), organisations: shares() }
    }

    /// Passes envelopes on as fast as their sender may send.
    pub(super) fn slow<S, E>(
        self: Arc<Self>,
        envelopes: S,
        sender: ThrottledAs,
    ) -> impl Stream<Item = Result<Bytes, E>> + Send + use<S, E>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Send,
    {
        envelopes.then(move |envelope| {
            let throttle = Arc::clone(&self);
            async move {
                if envelope.is_ok() {
                    throttle.clients.pass(sender.client).await;
                    throttle.organisations.pass(sender.organisation).await;
                }
                envelope
            }
        })
    }
}

/// One rate, and those who share it.
#[derive(Debug)]
struct Shares {
    throttling: Throttling,
    /// Time after which everybody has a new share: a second, but in tests.
    period: Duration,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    budgets: BTreeMap<Key, Arc<Budget>>,
    swept: Instant,
}

/// What one of them has used.
#[derive(Debug)]
struct Budget {
    /// Held by whoever waits for the next period; the others queue up behind it, and one that is gone leaves the queue.
    turn: tokio::sync::Mutex<Turn>,
    seen: Mutex<Instant>,
}

#[derive(Debug)]
struct Turn {
    began: Instant,
    used: u32,
}

impl Shares {
    fn new(throttling: Throttling, period: Duration) -> Self {
        let known = Mutex::new(Known { budgets: BTreeMap::new(), swept: Instant::now() });
        Self { throttling, period, known }
    }

    /// Waits until this one may send one envelope more.
    async fn pass(&self, key: Key) {
        let budget = self.budget_of(key);
        let mut turn = budget.turn.lock().await;
        loop {
            let now = Instant::now();
            if now >= turn.began + self.period {
                *turn = Turn { began: now, used: 0 };
            }
            // Others may have come or gone in the meantime.
            if turn.used < self.share() {
                turn.used += 1;
                budget.see(now);
                return;
            }
            sleep_until(turn.began + self.period).await;
        }
    }

    /// At least one, so that everybody gets on.
    fn share(&self) -> u32 {
        let sharing = u32::try_from(self.known().budgets.len()).unwrap_or(u32::MAX).max(1);
        (self.throttling.rate.get() / sharing).max(1)
    }

    fn budget_of(&self, key: Key) -> Arc<Budget> {
        let now = Instant::now();
        let mut known = self.known();
        if now >= known.swept + self.period {
            known.swept = now;
            // Whoever waits is there, however long it takes.
            known.budgets.retain(|_, budget| {
                Arc::strong_count(budget) > 1 || now < budget.seen() + self.throttling.inactivity_timeout
            });
        }
        let is_full = known.budgets.len() >= THROTTLED_CLIENTS_MAX && !known.budgets.contains_key(&key);
        // Those for whom there is no place share one.
        let key = if is_full { Key::default() } else { key };
        let budget = known.budgets.entry(key).or_insert_with(|| {
            let turn = tokio::sync::Mutex::new(Turn { began: now, used: 0 });
            Arc::new(Budget { turn, seen: Mutex::new(now) })
        });
        budget.see(now);
        Arc::clone(budget)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    fn see(&self, now: Instant) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn seen(&self) -> Instant {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);
    const ALICE: Key = [1; 32];
    const BOB: Key = [2; 32];

    fn shares(rate: u32, inactivity_timeout: Duration) -> Arc<Shares> {
        let rate = NonZeroU32::new(rate).unwrap();
        Arc::new(Shares::new(Throttling { rate, inactivity_timeout }, PERIOD))
    }

    async fn pass(shares: &Shares, key: Key, times: usize) -> Duration {
        let since = Instant::now();
        for _ in 0..times {
            shares.pass(key).await;
        }
        since.elapsed()
    }

    #[tokio::test]
    async fn one_who_is_alone_has_the_whole_rate_and_then_waits_for_the_next_period() {
        let shares = shares(10, Duration::from_secs(60));
        assert!(pass(&shares, ALICE, 10).await < PERIOD);
        // Of the 25 that follow, ten pass in each of the next two periods.
        assert!(pass(&shares, ALICE, 25).await > PERIOD * 2);
    }

    #[tokio::test]
    async fn two_have_half_each_and_the_one_who_asks_for_little_waits_for_nobody() {
        let shares = shares(10, Duration::from_secs(60));
        pass(&shares, BOB, 1).await;
        let greedy = Arc::clone(&shares);
        let greedy = tokio::spawn(async move { pass(&greedy, ALICE, 20).await });
        let mut longest = Duration::ZERO;
        while !greedy.is_finished() {
            longest = longest.max(pass(&shares, BOB, 1).await);
            tokio::time::sleep(PERIOD / 2).await;
        }
        assert!(greedy.await.unwrap() > PERIOD * 2, "five in each period");
        assert!(longest < PERIOD / 2, "{longest:?}");
    }

    #[tokio::test]
    async fn who_is_silent_for_long_leaves_its_share_to_the_others() {
        let shares = shares(10, PERIOD);
        pass(&shares, BOB, 1).await;
        pass(&shares, ALICE, 1).await;
        assert_eq!(shares.share(), 5);
        tokio::time::sleep(PERIOD * 2).await;
        pass(&shares, ALICE, 1).await;
        assert_eq!(shares.share(), 10);
    }

    #[tokio::test]
    async fn one_who_gives_up_waiting_leaves_its_turn_to_the_next() {
        let shares = shares(1, Duration::from_secs(60));
        pass(&shares, ALICE, 1).await;
        let gone = tokio::time::timeout(PERIOD / 10, shares.pass(ALICE)).await;
        assert!(gone.is_err());
        assert!(pass(&shares, ALICE, 1).await < PERIOD * 2);
    }

    #[tokio::test]
    async fn more_sharers_than_the_rate_get_on_all_the_same_and_their_number_is_bounded() {
        let shares = shares(2, Duration::from_secs(60));
        for number in 0..THROTTLED_CLIENTS_MAX + 50 {
            shares.budget_of(Sha256::digest(number.to_be_bytes()).into());
        }
        assert!(shares.known().budgets.len() <= THROTTLED_CLIENTS_MAX + 1);
        assert_eq!(shares.share(), 1);
        assert!(pass(&shares, ALICE, 1).await < PERIOD * 2);
    }
}
