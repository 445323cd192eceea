//! Envelopes of a channel that has moved, which its old group still orders: they were acknowledged, so each member that goes
//! along passes them on to the new group.
//!
//! Every one of them does, since nobody can rely on another; what comes more than once is left out there. A checkpoint of
//! the old group waits until what was left over before it is held by enough members of the new one. So after a crash it
//! comes up again from the journal (protocol.md, Succession).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_proto::ChannelId;
use frontend_shim::broadcast::{Order, Submit, SubmitError};
use futures::StreamExt as _;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use mod_smart::GroupId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Where the members of a group put what is left over. Clones share it.
#[derive(Clone, Debug)]
pub struct LeftOvers {
    queue: mpsc::UnboundedSender<LeftOver>,
    room: Arc<Semaphore>,
    taken: watch::Sender<u64>,
    passed_on: watch::Receiver<u64>,
}

/// The other end.
#[derive(Debug)]
pub struct LeftOverQueue {
    waiting: mpsc::UnboundedReceiver<LeftOver>,
    passed_on: watch::Sender<u64>,
}

/// What one command has left over.
#[derive(Debug)]
struct LeftOver {
    channel: ChannelId,
    sequence: u64,
    envelopes: Vec<Bytes>,
    _room: OwnedSemaphorePermit,
}

/// Where a channel is ordered now, as far as this node takes part.
pub trait Destinations: Send + Sync {
    /// Waits until the channel is ordered by another group than this one. None if this node takes no part in it.
    fn after(&self, channel: &ChannelId, group: GroupId) -> impl Future<Output = Option<Arc<dyn Submit>>> + Send;
}

/// Both ends for one group.
#[must_use]
pub fn left_overs() -> (LeftOvers, LeftOverQueue) {
    let (queue, waiting) = mpsc::unbounded_channel();
    let (sender, passed_on) = watch::channel(0);
    let room = Arc::new(Semaphore::new(LEFT_OVER_BYTES_MAX));
    (LeftOvers { queue, room, taken: watch::Sender::new(0), passed_on }, LeftOverQueue { waiting, passed_on: sender })
}

impl LeftOvers {
    /// Takes envelopes, in their order. What is beyond the bound is not passed on by this node before it starts again; the
    /// others do it meanwhile.
    pub fn take(&self, channel: ChannelId, sequence: u64, envelopes: Vec<Bytes>) {
        self.taken.send_modify(|taken| *taken += 1);
        let bytes: usize = envelopes.iter().map(Bytes::len).sum();
        let bytes = u32::try_from(bytes.clamp(1, LEFT_OVER_BYTES_MAX)).unwrap_or(u32::MAX);
        match Arc::clone(&self.room).try_acquire_many_owned(bytes) {
            Ok(room) => drop(self.queue.send(LeftOver { channel, sequence, envelopes, _room: room })),
            Err(_) => tracing::error!(%channel, envelopes = envelopes.len(),
                "too much was left over by a channel that moved: this node does not pass it on before it starts again"),
        }
    }

    /// How often something was taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        *self.taken.borrow()
    }

    /// Waits until the first so many have been passed on, for ever if the node stops before.
    pub async fn are_passed_on(&self, taken: u64) {
        let mut passed_on = self.passed_on.clone();
        if passed_on.wait_for(|passed_on| *passed_on >= taken).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Passes on what `group` leaves over, until the group ends.
pub async fn pass_on(queue: LeftOverQueue, group: GroupId, destinations: Arc<impl Destinations + 'static>) {
    let LeftOverQueue { mut waiting, passed_on } = queue;
    let mut under_way = FuturesOrdered::new();
    loop {
        tokio::select! {
            Some(()) = under_way.next(), if !under_way.is_empty() => passed_on.send_modify(|count| *count += 1),
            Some(left_over) = waiting.recv(), if under_way.len() < AT_ONCE_MAX => {
                under_way.push_back(pass_on_one(left_over, group, Arc::clone(&destinations)));
            }
            else => return,
        }
    }
}

async fn pass_on_one(left_over: LeftOver, group: GroupId, destinations: Arc<impl Destinations>) {
    let LeftOver { channel, sequence, mut envelopes, _room } = left_over;
    while !envelopes.is_empty() {
        let Some(way) = destinations.after(&channel, group).await else { return };
        let count = envelopes.len();
        envelopes = submit_all(&*way, &channel, sequence, envelopes).await;
        let left = envelopes.len();
        tracing::debug!(%channel, envelopes = count - left, left, "left over by a channel that moved, and passed on");
        if left > 0 {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

/// Gives what has to be submitted again.
async fn submit_all(way: &dyn Submit, channel: &ChannelId, sequence: u64, envelopes: Vec<Bytes>) -> Vec<Bytes> {
    let mut submitted: FuturesUnordered<_> = envelopes
        .into_iter()
        .map(|envelope| {
            let outcome = way.submit(channel, Order::Envelope { sequence, envelope: envelope.clone() });
            async move { (outcome.await, envelope) }
        })
        .collect();
    let mut again = Vec::new();
    while let Some((outcome, envelope)) = submitted.next().await {
        match outcome {
            Ok(()) => {}
            // Ordered under an old configuration, and not permitted by the present one.
            Err(SubmitError::Refused(why)) => tracing::info!(%channel, why, "left over by a channel that moved"),
            Err(_) => again.push(envelope),
        }
    }
    again
}

/// Bytes of envelopes that may be waiting to be passed on.
const LEFT_OVER_BYTES_MAX: usize = 256 << 20;

/// Commands whose envelopes are passed on side by side.
const AT_ONCE_MAX: usize = 16;

const AGAIN_AFTER: Duration = Duration::from_millis(200);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use futures::future::BoxFuture;

    use super::*;

    /// A group that is overloaded at first, and keeps what it takes.
    #[derive(Clone, Default)]
    struct Elsewhere(Arc<Mutex<(bool, Vec<Bytes>)>>);

    impl Submit for Elsewhere {
        fn submit(&self, _: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
            let mut state = self.0.lock().unwrap();
            let outcome = if std::mem::replace(&mut state.0, true) {
                state.1.push(order.envelope().clone());
                Ok(())
            } else {
                Err(SubmitError::Overloaded)
            };
            Box::pin(std::future::ready(outcome))
        }
    }

    struct Map(Elsewhere);

    impl Destinations for Map {
        async fn after(&self, channel: &ChannelId, _: GroupId) -> Option<Arc<dyn Submit>> {
            (channel.as_str() == "ch").then(|| Arc::new(self.0.clone()) as Arc<dyn Submit>)
        }
    }

    #[tokio::test]
    async fn everything_is_passed_on_and_only_then_a_checkpoint_may_pass() {
        let (left_overs, queue) = left_overs();
        let envelope = |number: u8| Bytes::copy_from_slice(&[number]);
        left_overs.take(ChannelId::new("ch").unwrap(), 0, vec![envelope(1), envelope(2)]);
        left_overs.take(ChannelId::new("not-ours").unwrap(), 0, vec![envelope(3)]);
        left_overs.take(ChannelId::new("ch").unwrap(), 0, vec![envelope(4)]);
        assert_eq!(left_overs.taken(), 3);
        let elsewhere = Elsewhere::default();
        let waiting = tokio::time::timeout(Duration::from_millis(20), left_overs.are_passed_on(1)).await;
        assert!(waiting.is_err());
        tokio::spawn(pass_on(queue, GroupId([1; 32]), Arc::new(Map(elsewhere.clone()))));
        left_overs.are_passed_on(3).await;
        let mut taken = elsewhere.0.lock().unwrap().1.clone();
        taken.sort();
        assert_eq!(taken, [envelope(1), envelope(2), envelope(4)]);
    }

    #[tokio::test]
    async fn what_is_beyond_the_bound_holds_back_checkpoints_until_the_node_starts_again() {
        let (left_overs, queue) = left_overs();
        let channel = ChannelId::new("ch").unwrap();
        let all = vec![0; LEFT_OVER_BYTES_MAX].into();
        left_overs.take(channel.clone(), 0, vec![all]);
        left_overs.take(channel, 0, vec![Bytes::from_static(b"more")]);
        tokio::spawn(pass_on(queue, GroupId([1; 32]), Arc::new(Map(Elsewhere::default()))));
        left_overs.are_passed_on(1).await;
        assert!(tokio::time::timeout(Duration::from_millis(20), left_overs.are_passed_on(2)).await.is_err());
    }
}
