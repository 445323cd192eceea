//! Which frontend takes the envelopes of which channel: a process may serve channels of several ordering groups.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use fabric_proto::ChannelId;
use futures::future::BoxFuture;

use crate::broadcast::{Order, Submit, SubmitError};

/// A table from channels to where their envelopes go.
#[derive(Default)]
pub struct Router {
    routes: ArcSwap<BTreeMap<ChannelId, Arc<dyn Submit>>>,
    // Taken by whoever changes the table; submitters never wait.
    change: Mutex<()>,
}

impl Router {
    /// A table without channels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends the envelopes of a channel this way from now on.
    pub fn add(&self, channel: ChannelId, way: Arc<dyn Submit>) {
        self.change(|routes| drop(routes.insert(channel, way)));
    }

    /// Takes no more envelopes of a channel.
    pub fn remove(&self, channel: &ChannelId) {
        self.change(|routes| drop(routes.remove(channel)));
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<ChannelId, Arc<dyn Submit>>)) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut routes = BTreeMap::clone(&self.routes.load());
        change(&mut routes);
        self.routes.store(Arc::new(routes));
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.routes.load().keys()).finish()
    }
}

impl Submit for Router {
    fn submit(&self, channel: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        match self.routes.load().get(channel) {
            Some(way) => way.submit(channel, order),
            None => Box::pin(std::future::ready(Err(SubmitError::NotOpen))),
        }
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
}
