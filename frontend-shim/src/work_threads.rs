//! Threads for work that costs processor time: microseconds to milliseconds a job, which the threads that serve sockets must
//! not spend.
//!
//! A thread without work sleeps at once and wakes nobody. General pools look for work in turns before they sleep; with jobs of fifty
//! microseconds that came one at a time, that was a tenth of a node's processor time (DECISIONS.md).
//!
//! The queue is as long as its users let it become: each of them counts jobs or bytes before it hands a job over.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A fixed set of threads. They end when this is dropped and what waits is done.
#[derive(Debug)]
pub struct WorkThreads {
    shared: Arc<Shared>,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
struct Shared {
    name: &'static str,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    sleeping: usize,
    is_closed: bool,
}

impl WorkThreads {
    /// Starts so many threads, at least one; the name is that of the threads, with a number.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(name: &'static str, threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { name, queue: Mutex::default(), changed: Condvar::new() });
        let pool = Self { shared };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// Has a job done by one of the threads, first come, first served. A job that panics ends itself alone, with a line in the log.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        let mut queue = self.shared.lock();
        queue.jobs.push_back(Box::new(job));
        let wakes = queue.sleeping > 0;
        drop(queue);
        if wakes {
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for WorkThreads {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            // What a job leaves half done is its own: whoever waits for its result learns that none comes.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!(pool = self.name, "a job panicked");
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.is_closed {
                return None;
            }
            queue.sleeping += 1;
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.sleeping -= 1;
        }
    }

    /// No code panics while it holds the lock, so a poisoned queue is still whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} jobs, {} threads sleep", self.jobs.len(), self.sleeping)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn every_job_is_done_once_also_those_that_wait_when_the_threads_are_to_end() {
        let threads = WorkThreads::start("test", 2).unwrap();
        let (done, results) = channel();
        for number in 0..1000 {
            let done = done.clone();
            threads.spawn(move || done.send(number).unwrap());
        }
        drop((threads, done));
        let mut all: Vec<i32> = results.iter().collect();
        all.sort_unstable();
        assert_eq!(all, Vec::from_iter(0..1000));
    }

    #[test]
    fn a_job_that_panics_ends_itself_alone() {
        let threads = WorkThreads::start("test", 1).unwrap();
        let (done, results) = channel();
        threads.spawn(|| panic!("a job that must not end the process"));
        threads.spawn(move || done.send(7).unwrap());
        assert_eq!(results.recv(), Ok(7));
    }

    #[test]
    fn as_many_jobs_run_at_a_time_as_there_are_threads() {
        let threads = WorkThreads::start("test", 2).unwrap();
        let ((ask, asked), (answer, answered)) = (channel(), channel());
        // The first job ends when the second has begun.
        threads.spawn(move || answer.send(asked.recv().unwrap()).unwrap());
        threads.spawn(move || ask.send(7).unwrap());
        assert_eq!(answered.recv(), Ok(7));
    }
}
