//! Which frontend takes the envelopes of which channel: a process may serve channels of several ordering groups, and a
//! channel may move from one to another. While it does, its envelopes wait here for a short time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use futures::future::BoxFuture;
use tokio::sync::{Semaphore, watch};

use crate::broadcast::{Order, Submit, SubmitError};
use crate::node_limits::{ENVELOPE_OVERHEAD_BYTES, SUBMIT_TIMEOUT, SUBMITTED_BYTES_MAX};

/// A table from channels to where their envelopes go.
pub struct Router(Arc<Shared>);

struct Shared {
    routes: ArcSwap<BTreeMap<ChannelId, Route>>,
    // Taken by whoever changes the table; submitters never wait for it.
    change: Mutex<()>,
    /// Grows with every change.
    revision: watch::Sender<u64>,
    /// Bytes of envelopes that may wait for a channel to arrive.
    room: Semaphore,
}

#[derive(Clone)]
enum Route {
    Way(Arc<dyn Submit>),
    /// Between two groups.
    Moving,
}

impl Default for Router {
    fn default() -> Self {
        Self(Arc::new(Shared {
            routes: ArcSwap::default(),
            change: Mutex::default(),
            revision: watch::Sender::default(),
            room: Semaphore::new(SUBMITTED_BYTES_MAX),
        }))
    }
}

impl Router {
    /// A table without channels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends the envelopes of a channel this way from now on, those that wait included.
    pub fn add(&self, channel: ChannelId, way: Arc<dyn Submit>) {
        self.0.change(|routes| drop(routes.insert(channel, Route::Way(way))));
    }

    /// Lets the envelopes of a channel wait until it has a way again, within bounds of time and memory.
    pub fn hold(&self, channel: ChannelId) {
        self.0.change(|routes| drop(routes.insert(channel, Route::Moving)));
    }

    /// Takes no more envelopes of a channel.
    pub fn remove(&self, channel: &ChannelId) {
        self.0.change(|routes| drop(routes.remove(channel)));
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<ChannelId, Route>)) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut routes = BTreeMap::clone(&self.routes.load());
        change(&mut routes);
        self.routes.store(Arc::new(routes));
        self.revision.send_modify(|revision| *revision += 1);
    }

    fn route(&self, channel: &ChannelId) -> Option<Route> {
        self.routes.load().get(channel).cloned()
    }

    /// The way of a channel that is moving, once it has one; none if it is served no more.
    async fn arrival(&self, channel: &ChannelId) -> Option<Arc<dyn Submit>> {
        let mut changes = self.revision.subscribe();
        loop {
            match self.route(channel) {
                Some(Route::Way(way)) => return Some(way),
                None => return None,
                // The sender lives as long as this table.
                Some(Route::Moving) => changes.changed().await.ok()?,
            }
        }
    }

    async fn way_in_time(&self, channel: &ChannelId) -> Result<Arc<dyn Submit>, SubmitError> {
        let arrival = tokio::time::timeout(SUBMIT_TIMEOUT, self.arrival(channel)).await;
        arrival.ok().flatten().ok_or(SubmitError::NotOpen)
    }

    async fn submit_after_arrival(&self, channel: &ChannelId, order: Order) -> Result<(), SubmitError> {
        let bytes = (order.envelope().len() + ENVELOPE_OVERHEAD_BYTES).min(SUBMITTED_BYTES_MAX);
        let room = self.room.try_acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX));
        let room = room.map_err(|_| SubmitError::Overloaded)?;
        let way = self.way_in_time(channel).await?;
        let submitted = way.submit(channel, order);
        drop(room);
        submitted.await
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.routes.load().keys()).finish()
    }
}

impl Submit for Router {
    fn submit(&self, channel: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        match self.0.route(channel) {
            Some(Route::Way(way)) => way.submit(channel, order),
            None => Box::pin(std::future::ready(Err(SubmitError::NotOpen))),
            Some(Route::Moving) => {
                let (shared, channel) = (Arc::clone(&self.0), channel.clone());
                Box::pin(async move { shared.submit_after_arrival(&channel, order).await })
            }
        }
    }

    fn check_move(&self, channel: &ChannelId, next: Arc<ChannelConfig>) -> BoxFuture<'static, Result<(), SubmitError>> {
        let (shared, channel) = (Arc::clone(&self.0), channel.clone());
        Box::pin(async move { shared.way_in_time(&channel).await?.check_move(&channel, next).await })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;

    struct Way(Result<(), SubmitError>);

    impl Submit for Way {
        fn submit(&self, _: &ChannelId, _: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
            Box::pin(std::future::ready(self.0.clone()))
        }
    }

    #[tokio::test]
    async fn each_channel_goes_its_own_way() {
        let (a, b) = (ChannelId::new("a").unwrap(), ChannelId::new("b").unwrap());
        let router = Router::new();
        let order = || Order::Envelope { sequence: 0, envelope: Bytes::new() };
        router.add(a.clone(), Arc::new(Way(Ok(()))));
        router.add(b.clone(), Arc::new(Way(Err(SubmitError::Overloaded))));
        assert_eq!(router.submit(&a, order()).await, Ok(()));
        assert_eq!(router.submit(&b, order()).await, Err(SubmitError::Overloaded));
        router.remove(&a);
        assert_eq!(router.submit(&a, order()).await, Err(SubmitError::NotOpen));
    }

    #[tokio::test]
    async fn while_a_channel_moves_its_envelopes_wait_and_go_the_new_way() {
        let (a, router) = (ChannelId::new("a").unwrap(), Router::new());
        let order = || Order::Envelope { sequence: 0, envelope: Bytes::from_static(b"e") };
        router.hold(a.clone());
        let (moved, gone) = (tokio::spawn(router.submit(&a, order())), ChannelId::new("b").unwrap());
        router.hold(gone.clone());
        let removed = tokio::spawn(router.submit(&gone, order()));
        tokio::task::yield_now().await;
        assert!(!moved.is_finished());
        router.add(a.clone(), Arc::new(Way(Ok(()))));
        router.remove(&gone);
        assert_eq!((moved.await.unwrap(), removed.await.unwrap()), (Ok(()), Err(SubmitError::NotOpen)));
    }

    #[tokio::test]
    async fn what_waits_for_a_moving_channel_is_bounded() {
        let (a, router) = (ChannelId::new("a").unwrap(), Router::new());
        router.hold(a.clone());
        let large = Order::Envelope { sequence: 0, envelope: vec![0; SUBMITTED_BYTES_MAX].into() };
        let waiting = tokio::spawn(router.submit(&a, large));
        tokio::task::yield_now().await;
        let small = Order::Envelope { sequence: 0, envelope: Bytes::new() };
        assert_eq!(router.submit(&a, small).await, Err(SubmitError::Overloaded));
        router.remove(&a);
        assert_eq!(waiting.await.unwrap(), Err(SubmitError::NotOpen));
    }
}
