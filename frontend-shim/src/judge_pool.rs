//! Threads that judge what clients send: a signature costs fifty microseconds and more of processor time, which the threads that
//! serve sockets must not spend.
//!
//! Bounded in bytes over all streams: whoever finds no room is not read on, which is how pressure reaches the client.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::PollSemaphore;

use crate::limits::{JUDGED_BYTES_MAX, JUDGED_OVERHEAD_BYTES};
use crate::work_threads::WorkThreads;

/// A fixed set of threads, one for each processor. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct JudgePool {
    /// Absent if the system gives no threads: envelopes are then judged where they are read.
    threads: Option<Arc<WorkThreads>>,
    room: Arc<Semaphore>,
}

impl JudgePool {
    /// Starts the threads.
    pub(crate) fn start() -> Self {
        let count = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let threads = WorkThreads::start("admission", count)
            .inspect_err(|error| tracing::error!("no threads to judge envelopes, which will be slow: {error}"))
            .ok()
            .map(Arc::new);
        Self { threads, room: Arc::new(Semaphore::new(JUDGED_BYTES_MAX)) }
    }

    /// A place to ask for room, one for each stream.
    pub(crate) fn room(&self) -> PollSemaphore {
        PollSemaphore::new(self.room.clone())
    }

    /// Waits for the room that so many bytes take. `None` never comes: nobody closes the pool.
    pub(crate) async fn acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_many_owned(cost(bytes)).await.ok()
    }

    /// Runs a job, and gives the room back when it is done. `None` if it panicked. The job runs whether or not anybody
    /// waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        room: OwnedSemaphorePermit,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> BoxFuture<'static, Option<T>> {
        let Some(threads) = &self.threads else {
            let result = job();
            return Box::pin(std::future::ready(Some(result)));
        };
        let (done, result) = oneshot::channel();
        threads.spawn(move || {
            let _room = room;
            // A client that has gone does not want to know.
            let _ = done.send(job());
        });
        Box::pin(async move { result.await.ok() })
    }
}

/// What an envelope of so many bytes takes of the room. One above the whole bound takes all of it.
pub(crate) fn cost(bytes: usize) -> u32 {
    const { assert!(JUDGED_BYTES_MAX <= u32::MAX as usize) };
    bytes.saturating_add(JUDGED_OVERHEAD_BYTES).min(JUDGED_BYTES_MAX) as u32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn room(pool: &JudgePool, bytes: usize) -> OwnedSemaphorePermit {
        pool.acquire(bytes).await.unwrap()
    }

    #[tokio::test]
    async fn room_comes_back_when_a_job_is_done_also_by_a_panic() {
        let pool = JudgePool::start();
        assert_eq!(pool.run(room(&pool, usize::MAX).await, || 7).await, Some(7));
        assert_eq!(pool.run(room(&pool, usize::MAX).await, || -> u8 { panic!("a bug") }).await, None);
        drop(room(&pool, usize::MAX).await);
    }
}
