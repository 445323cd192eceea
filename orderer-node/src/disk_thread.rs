//! The thread that makes records durable, and lets nothing past that must come after them.
//!
//! Batches come in over a bounded queue, each with what is to happen once its records are durable. The thread takes all
//! that wait, makes them durable with one sync, and passes what follows on in order. While it syncs, the next batches
//! gather: the slower the disk, the larger the commits. Bodies of requests alone wait a little for company, because a vote
//! that needs them is made durable together with them: at a thousand small requests a second that saves most of the syncs.
//!
//! A failed write ends the thread. The batches of that commit and all later ones are never passed on; the reason is
//! given to whoever waits for [`DiskThread::stopped`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use frontend_shim::stages::Stage;
use mod_smart::Record;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::journal::limits::{BODIES_WAIT_MAX, COMMIT_BATCHES_MAX, COMMIT_BYTES_MAX};
use crate::journal::{Commit, Durability, Journal, JournalError};

/// Records, and what must not happen before they are durable.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// In the order of the journal. May be empty: then this only keeps its place among the others.
    pub records: Vec<Record>,
    /// Passed on once the records, and all before them, are durable.
    pub then: T,
}

/// A running disk thread. It ends when every sender of batches is dropped, or the disk fails, or nobody takes what it
/// passes on.
#[derive(Debug)]
pub struct DiskThread {
    metrics: Arc<DiskMetrics>,
    stopped: oneshot::Receiver<Result<(), DiskFault>>,
}

/// Why the disk thread passes nothing on any more. The node must stop.
#[derive(Debug, thiserror::Error)]
pub enum DiskFault {
    /// The journal could not be written.
    #[error("the journal could not be written, so this replica must stop: {0}")]
    Journal(#[from] JournalError),
    /// The thread could not be started.
    #[error("the disk thread could not be started: {0}")]
    Start(#[source] std::io::Error),
    /// The thread ended by a panic.
    #[error("the disk thread panicked")]
    Panicked,
}

/// What the disk thread has done so far.
#[derive(Debug, Default)]
pub struct DiskMetrics {
    commits: AtomicU64,
    syncs: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    sync_last_ns: AtomicU64,
    sync_total_ns: AtomicU64,
}

/// A reading of [`DiskMetrics`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Commits that wrote something.
    pub commits: u64,
    /// Syncs; as many as commits if they are durable.
    pub syncs: u64,
    /// Records.
    pub records: u64,
    /// Bytes, frames included.
    pub bytes: u64,
    /// How long the last sync took.
    pub sync_last: Duration,
    /// How long all syncs took together.
    pub sync_total: Duration,
}

impl DiskThread {
    /// Starts the thread on a journal. At most `queue_max` batches wait for it. It passes what follows them on to
    /// `durable`, and takes no further batch while there is no room. `clock` stands still while a commit does.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start<T: Send + 'static>(
        journal: Journal,
        queue_max: usize,
        durable: mpsc::Sender<T>,
        clock: Clock,
    ) -> Result<(Self, mpsc::Sender<Batch<T>>), DiskFault> {
        if journal.durability() == Durability::None {
            tracing::warn!("durability is off: a loss of power can make this replica break its word");
        }
        let (batches, input) = mpsc::channel(queue_max.max(1));
        let (reason, stopped) = oneshot::channel();
        let metrics = Arc::new(DiskMetrics::default());
        let mut worker = Worker { journal, input, output: durable, metrics: Arc::clone(&metrics), clock };
        let run = move || {
            let timer = Builder::new_current_thread().enable_time().build().map_err(DiskFault::Start);
            let ended = timer.and_then(|timer| worker.run(&timer).map_err(DiskFault::Journal));
            // The queues close before the reason is given, so that who knows the reason finds them closed.
            drop(worker);
            // If nobody waits for the reason, nobody wants to know.
            reason.send(ended).unwrap_or_default();
        };
        std::thread::Builder::new().name("journal".to_owned()).spawn(run).map_err(DiskFault::Start)?;
        Ok((Self { metrics, stopped }, batches))
    }

    /// What it has done so far; stays readable after the thread has ended.
    #[must_use]
    pub fn metrics(&self) -> Arc<DiskMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Waits until the thread ends: in order, because there were no more batches, or by a fault.
    ///
    /// # Errors
    /// The fault.
    pub async fn stopped(self) -> Result<(), DiskFault> {
        self.stopped.await.unwrap_or(Err(DiskFault::Panicked))
    }
}

impl DiskMetrics {
    /// Reads all figures, each as of about now.
    #[must_use]
    pub fn read(&self) -> DiskFigures {
        let figure = |value: &AtomicU64| value.load(Ordering::Relaxed);
        DiskFigures {
            commits: figure(&self.commits),
            syncs: figure(&self.syncs),
            records: figure(&self.records),
            bytes: figure(&self.bytes),
            sync_last: Duration::from_nanos(figure(&self.sync_last_ns)),
            sync_total: Duration::from_nanos(figure(&self.sync_total_ns)),
        }
    }

    fn on_commit(&self, commit: Commit) {
        if commit.records == 0 {
            return;
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(commit.records, Ordering::Relaxed);
        self.bytes.fetch_add(commit.bytes, Ordering::Relaxed);
        if let Some(sync) = commit.sync {
            let nanoseconds = u64::try_from(sync.as_nanos()).unwrap_or(u64::MAX);
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.sync_last_ns.store(nanoseconds, Ordering::Relaxed);
            self.sync_total_ns.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }
}

/// What the thread owns.
#[derive(Debug)]
struct Worker<T> {
    journal: Journal,
    input: mpsc::Receiver<Batch<T>>,
    output: mpsc::Sender<T>,
    metrics: Arc<DiskMetrics>,
    clock: Clock,
}

impl<T> Batch<T> {
    /// Is nobody kept waiting if this is made durable a little later? What has no records is passed on as soon as those before
    /// it are durable.
    fn can_wait(&self) -> bool {
        !self.records.is_empty() && self.records.iter().all(|record| matches!(record, Record::Body(_)))
    }
}

impl<T> Worker<T> {
    /// `timer` is for waits that end.
    fn run(&mut self, timer: &Runtime) -> Result<(), JournalError> {
        let mut durable = Vec::new();
        while let Some(first) = self.input.blocking_recv() {
            let _entered = Stage::Journal.enter();
            // Everything before it is durable, and it asks for nothing itself.
            if first.records.is_empty() {
                if self.output.blocking_send(first.then).is_err() {
                    return Ok(());
                }
                continue;
            }
            self.gather(first, &mut durable, timer)?;
            self.clock.commit_begins();
            let commit = self.journal.commit();
            self.clock.commit_ends();
            let commit = commit?;
            self.metrics.on_commit(commit);
            for then in durable.drain(..) {
                if self.output.blocking_send(then).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes what waits, and while there are only bodies, what comes soon.
    fn gather(&mut self, first: Batch<T>, durable: &mut Vec<T>, timer: &Runtime) -> Result<(), JournalError> {
        let until = Instant::now() + BODIES_WAIT_MAX;
        let (mut next, mut can_wait) = (Some(first), true);
        while let Some(batch) = next {
            can_wait &= batch.can_wait();
            self.take(batch, durable)?;
            if durable.len() >= COMMIT_BATCHES_MAX || self.journal.uncommitted_bytes() >= COMMIT_BYTES_MAX {
                break;
            }
            next = self.input.try_recv().ok();
            if next.is_none() && can_wait {
                // No more may ever come: what is here is made durable all the same.
                next = timer.block_on(async { timeout_at(until, self.input.recv()).await }).ok().flatten();
            }
        }
        Ok(())
    }

    fn take(&mut self, batch: Batch<T>, durable: &mut Vec<T>) -> Result<(), JournalError> {
        batch.records.iter().try_for_each(|record| self.journal.append(record))?;
        durable.push(batch.then);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::sync::atomic::AtomicBool;

    use mod_smart::certificate::{Vote, VoteKind};
    use mod_smart::{Digest, Epoch, GroupId, InstanceId};

    use super::*;
    use crate::disk::{Disk, DiskError, DiskFile, MemDisk};
    use crate::journal::JournalOptions;

    /// A disk that syncs only while its gate is open.
    #[derive(Clone, Debug, Default)]
    struct GatedDisk {
        disk: MemDisk,
        is_shut: Arc<AtomicBool>,
    }

    #[derive(Debug)]
    struct GatedFile {
        file: Arc<dyn DiskFile>,
        is_shut: Arc<AtomicBool>,
    }

    impl GatedDisk {
        fn gated(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
            Arc::new(GatedFile { file, is_shut: Arc::clone(&self.is_shut) })
        }
    }

    impl Disk for GatedDisk {
        fn list(&self) -> Result<Vec<String>, DiskError> {
            self.disk.list()
        }
        fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
            self.disk.create(name).map(|file| self.gated(file))
        }
        fn open(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
            self.disk.open(name).map(|file| self.gated(file))
        }
        fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
            self.disk.rename(from, to)
        }
        fn remove(&self, name: &str) -> Result<(), DiskError> {
            self.disk.remove(name)
        }
        fn sync_names(&self) -> Result<(), DiskError> {
            self.disk.sync_names()
        }
    }

    impl DiskFile for GatedFile {
        fn len(&self) -> Result<u64, DiskError> {
            self.file.len()
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
            self.file.read_at(offset, buffer)
        }
        fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
            self.file.write_at(offset, bytes)
        }
        fn truncate(&self, bytes: u64) -> Result<(), DiskError> {
            self.file.truncate(bytes)
        }
        fn sync(&self) -> Result<(), DiskError> {
            while self.is_shut.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.file.sync()
        }
    }

    fn journal(disk: impl Disk + 'static, durability: Durability) -> Journal {
        let options = JournalOptions { durability, ..JournalOptions::default() };
        Journal::open(Arc::new(disk), GroupId([1; 32]), options, InstanceId(0)).unwrap().0
    }

    fn start(journal: Journal, queue_max: usize) -> (DiskThread, mpsc::Sender<Batch<u64>>, mpsc::Receiver<u64>) {
        let (output, durable) = mpsc::channel(queue_max);
        let (thread, batches) = DiskThread::start(journal, queue_max, output, Clock::start()).unwrap();
        (thread, batches, durable)
    }

    fn vote(instance: u64) -> Record {
        let digest = Digest::of_batch(&[]);
        Record::Voted(Vote { kind: VoteKind::Accept, instance: InstanceId(instance), epoch: Epoch(0), digest })
    }

    struct NoKey;

    impl mod_smart::Signer for NoKey {
        fn sign(&self, _: &[u8]) -> mod_smart::Signature {
            mod_smart::Signature([0; 64])
        }
    }

    fn body_record() -> Record {
        let client = mod_smart::Client::Replica(mod_smart::ReplicaId(0));
        let id = mod_smart::RequestId { client, session: mod_smart::SessionId(1), sequence: mod_smart::Sequence(1) };
        let request = mod_smart::Request { id, body: bytes::Bytes::from_static(b"a body") };
        Record::Body(request.seal(GroupId([1; 32]), &NoKey))
    }

    fn batch(number: u64) -> Batch<u64> {
        Batch { records: vec![vote(number + 1), vote(number + 1)], then: number }
    }

    fn journalled(disk: &MemDisk) -> Vec<Record> {
        let group = GroupId([1; 32]);
        let options = JournalOptions::default();
        let (_, replay) = Journal::open(Arc::new(disk.duplicate()), group, options, InstanceId(0)).unwrap();
        replay.map(Result::unwrap).collect()
    }

    #[tokio::test]
    async fn batches_that_wait_are_made_durable_by_one_sync_and_passed_on_in_order() {
        let disk = GatedDisk::default();
        let (thread, batches, mut durable) = start(journal(disk.clone(), Durability::Full), 600);
        let metrics = thread.metrics();
        let before = disk.disk.syncs();
        disk.is_shut.store(true, Ordering::SeqCst);
        for number in 0..500 {
            batches.send(batch(number)).await.unwrap();
        }
        batches.send(Batch { records: Vec::new(), then: 500 }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(durable.try_recv().is_err(), "nothing is passed on before the sync");
        disk.is_shut.store(false, Ordering::SeqCst);
        for number in 0..=500 {
            assert_eq!(durable.recv().await, Some(number));
        }
        drop(batches);
        assert_eq!(durable.recv().await, None);
        thread.stopped().await.unwrap();
        let figures = metrics.read();
        assert!(figures.syncs <= 3, "the first commit may have taken a part, the rest is one: {figures:?}");
        assert_eq!((figures.syncs, figures.commits), (disk.disk.syncs() - before, figures.syncs));
        assert_eq!(figures.records, 1000);
        assert!(figures.bytes > 0 && figures.sync_last > Duration::ZERO && figures.sync_total >= figures.sync_last);
        assert_eq!(
            journalled(&disk.disk),
            (1..=500).flat_map(|number| [vote(number), vote(number)]).collect::<Vec<_>>()
        );
    }

    #[tokio::test]
    async fn bodies_wait_for_company_and_what_is_said_about_them_waits_for_nothing() {
        let (thread, batches, mut durable) = start(journal(MemDisk::default(), Durability::Full), 16);
        let metrics = thread.metrics();
        let body = |number| Batch { records: vec![body_record()], then: number };
        for number in 0..3 {
            batches.send(body(number)).await.unwrap();
            tokio::time::sleep(BODIES_WAIT_MAX / 10).await;
        }
        let voted = std::time::Instant::now();
        batches.send(batch(3)).await.unwrap();
        for number in 0..=3 {
            assert_eq!(durable.recv().await, Some(number));
        }
        // On a machine that is busy some may have waited long enough.
        assert!(metrics.read().syncs < 4 || voted.elapsed() > BODIES_WAIT_MAX, "{:?}", metrics.read());
        batches.send(body(4)).await.unwrap();
        assert_eq!(durable.recv().await, Some(4), "alone it is made durable too");
        batches.send(body(5)).await.unwrap();
        drop(batches);
        assert_eq!(durable.recv().await, Some(5), "and when nothing can come any more");
        thread.stopped().await.unwrap();
    }

    #[tokio::test]
    async fn a_failing_disk_passes_nothing_on_and_gives_the_reason() {
        let disk = MemDisk::default();
        let (thread, batches, mut durable) = start(journal(disk.clone(), Durability::Full), 8);
        batches.send(batch(1)).await.unwrap();
        assert_eq!(durable.recv().await, Some(1));
        // The write succeeds, the sync fails.
        disk.fail_after(1, io::ErrorKind::StorageFull);
        batches.send(batch(2)).await.unwrap();
        assert_eq!(durable.recv().await, None, "a batch was passed on that is not durable");
        assert!(batches.send(batch(3)).await.is_err(), "a batch was taken after the fault");
        let fault = thread.stopped().await.unwrap_err();
        let text = fault.to_string();
        assert!(
            text.starts_with("the journal could not be written, so this replica must stop: cannot sync journal-"),
            "{text}"
        );
        disk.crash();
        assert_eq!(journalled(&disk), [vote(2), vote(2)]);
    }

    #[tokio::test]
    async fn when_the_senders_are_gone_what_waits_is_still_made_durable() {
        let disk = MemDisk::default();
        let (thread, batches, mut durable) = start(journal(disk.clone(), Durability::Full), 64);
        for number in 0..50 {
            batches.send(batch(number)).await.unwrap();
        }
        drop(batches);
        for number in 0..50 {
            assert_eq!(durable.recv().await, Some(number));
        }
        assert_eq!(durable.recv().await, None);
        thread.stopped().await.unwrap();
        disk.crash();
        assert_eq!(journalled(&disk).len(), 100);
    }

    #[tokio::test]
    async fn a_full_output_holds_the_input_back_and_a_dropped_one_ends_the_thread() {
        let (thread, batches, mut durable) = start(journal(MemDisk::default(), Durability::None), 4);
        let metrics = thread.metrics();
        let mut sent = 0;
        while tokio::time::timeout(Duration::from_millis(50), batches.send(batch(sent))).await.is_ok() {
            sent += 1;
        }
        // A commit takes what comes while it gathers.
        let most = 4 + 4 + COMMIT_BATCHES_MAX as u64;
        assert!(sent <= most, "more than both queues and a commit were taken: {sent}");
        assert_eq!(durable.recv().await, Some(0));
        drop(durable);
        thread.stopped().await.unwrap();
        assert!(batches.send(batch(99)).await.is_err());
        assert_eq!((metrics.read().syncs, metrics.read().sync_last), (0, Duration::ZERO), "no durability, no sync");
    }
}
