//! Pools for work that costs processor time: one checks what came from outside, so that only sealed values reach a
//! replica; one signs blocks.
//!
//! Bounded twice: so many jobs may be under way, and so many threads work on them. Whoever waits for room stops reading
//! its socket, which is how pressure reaches the sender.

use std::io;
use std::sync::Arc;

use frontend_shim::work_threads::WorkThreads;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// A fixed set of threads for work that costs microseconds to milliseconds of processor time.
#[derive(Clone, Debug)]
pub struct WorkPool {
    threads: Arc<WorkThreads>,
    room: Arc<Semaphore>,
}

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the {name} threads: {source}")]
pub struct PoolError {
    name: &'static str,
    source: io::Error,
}

impl WorkPool {
    /// Starts the threads. At most `jobs_max` jobs are under way or waiting at any time.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start(name: &'static str, threads: usize, jobs_max: usize) -> Result<Self, PoolError> {
        let threads = WorkThreads::start(name, threads).map_err(|source| PoolError { name, source })?;
        Ok(Self { threads: Arc::new(threads), room: Arc::new(Semaphore::new(jobs_max)) })
    }

    /// Waits until one more job may be under way. The permit is held until its result has been handed on.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// Runs a job on one of the threads. `None` if it panicked.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        // Nobody may wait any more when the result is there; then nobody wants it.
        self.threads.spawn(move || drop(done.send(job())));
        result.await.ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_ends_itself_alone() {
        let pool = WorkPool::start("test", 1, 4).unwrap();
        assert_eq!(pool.run(|| -> u8 { panic!("a job that must not end the process") }).await, None);
        assert_eq!(pool.run(|| 7).await, Some(7));
    }
}
