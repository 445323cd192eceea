//! Where blocks can be had, and which source is asked next.

use std::sync::Arc;
use std::time::Duration;

use frontend_shim::counters::NodeRecord;
use frontend_shim::directory::Directory;
use frontend_shim::group::OrderingGroup;
use frontend_shim::tls::ALPN_FRONTEND;
use frontend_shim::tls_identity::TlsIdentity;
use futures::future::BoxFuture;
use mod_smart::ReplicaId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Bytes to and from a source.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Connection for IO {}

type Dial = dyn Fn() -> BoxFuture<'static, std::io::Result<Box<dyn Connection>>> + Send + Sync;

/// Another node that blocks can be had from.
pub struct BlockSource {
    record: NodeRecord,
    dial: Box<Dial>,
}

impl std::fmt::Debug for BlockSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlockSource({})", self.record.name())
    }
}

impl BlockSource {
    /// The replica that log lines call `name`, reached as `dial` does it.
    pub fn new<F>(replica: ReplicaId, name: String, dial: F) -> Self
    where
        F: Fn() -> BoxFuture<'static, std::io::Result<Box<dyn Connection>>> + Send + Sync + 'static,
    {
        Self { record: NodeRecord::new(replica, name), dial: Box::new(dial) }
    }

    /// The other replicas of a group, where the directory says. They know us by the certificate of `identity`.
    #[must_use]
    pub fn of_group(
        group: &OrderingGroup,
        me: ReplicaId,
        identity: &TlsIdentity,
        directory: &Arc<Directory>,
    ) -> Vec<Self> {
        let others = group.view().replicas().filter(|replica| *replica != me);
        let source = |replica| {
            let (directory, identity) = (Arc::clone(directory), identity.clone());
            Self::new(replica, group.name(replica), move || {
                let (directory, identity) = (Arc::clone(&directory), identity.clone());
                Box::pin(async move {
                    let dialled = directory.dial(replica, &identity, ALPN_FRONTEND).await;
                    Ok(Box::new(dialled.map_err(std::io::Error::other)?) as Box<dyn Connection>)
                })
            })
        };
        others.map(source).collect()
    }

    /// What is held against it.
    #[must_use]
    pub const fn record(&self) -> &NodeRecord {
        &self.record
    }

    pub(super) async fn dial(&self) -> std::io::Result<Box<dyn Connection>> {
        (self.dial)().await
    }
}

/// Which of the sources to ask, by what came of asking them. No clock here.
#[derive(Debug)]
pub(super) struct Choice(Vec<Standing>);

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    avoided_until: Option<Instant>,
    /// Time for each block of its last answer; none before the first, so that everybody is tried once.
    pace: Duration,
}

impl Standing {
    fn is_free(&self, now: Instant) -> bool {
        self.avoided_until.is_none_or(|until| until <= now)
    }
}

impl Choice {
    pub(super) fn new(sources: usize) -> Self {
        Self(vec![Standing::default(); sources])
    }

    /// The fastest source that is not avoided. The one that is being asked stays unless another is far better, for a new
    /// connection costs time.
    pub(super) fn best(&self, current: usize, now: Instant) -> Option<usize> {
        let free = self.0.iter().enumerate().filter(|(_, standing)| standing.is_free(now));
        let (best, fastest) = free.min_by_key(|(_, standing)| standing.pace)?;
        let stays = self.0.get(current).is_some_and(|known| known.is_free(now) && known.pace <= fastest.pace * 2);
        Some(if stays { current } else { best })
    }

    /// When a source may be asked again that is avoided now.
    pub(super) fn next_free(&self) -> Option<Instant> {
        self.0.iter().filter_map(|standing| standing.avoided_until).min()
    }

    pub(super) fn avoid(&mut self, source: usize, until: Instant) {
        self.0[source].avoided_until = Some(until);
    }

    pub(super) fn on_answered(&mut self, source: usize, pace: Duration) {
        self.0[source] = Standing { avoided_until: None, pace };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_tried_once_and_then_the_fastest_that_is_not_avoided() {
        let (now, mut choice) = (Instant::now(), Choice::new(3));
        let mut current = 0;
        for (source, millis) in [(0, 40), (1, 10), (2, 30)] {
            current = choice.best(current, now).unwrap();
            assert_eq!(current, source);
            choice.on_answered(source, Duration::from_millis(millis));
        }
        assert_eq!(choice.best(current, now), Some(1));
        let later = now + Duration::from_secs(1);
        choice.avoid(1, later);
        assert_eq!(choice.best(1, now), Some(2));
        assert_eq!(choice.best(0, now), Some(0), "not much slower than the best: it stays");
        choice.avoid(0, later);
        choice.avoid(2, later + Duration::from_secs(1));
        assert_eq!((choice.best(0, now), choice.next_free()), (None, Some(later)));
        assert_eq!(choice.best(0, later), Some(1), "forgiven");
    }
}
