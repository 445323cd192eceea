//! Hosting one ordering group: recovery from checkpoint and journal, then the tasks around its replica.
//!
//! ```text
//! sockets -> verify pool -> replica task -> disk thread -> effects task -> sign pool -> ledgers -> sessions
//!                                ^------------- what it says to itself ------|
//! ```
//! All arrows are bounded. The arrow back has a queue of its own, so that a full inbox never keeps a replica from hearing
//! itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use blockcutter::Ordering;
use bytes::Bytes;
use fabric_proto::ChannelId;
use mod_smart::{
    Action, Event, InstanceId, Limits, Message, Recovered, Reject, ReplicaId, Sealed, Sequence, SessionId, View,
};
use tokio::sync::{mpsc, watch};

use crate::application::{Application, ApplicationCounts, JoinedChannel};
use crate::checkpoint::CheckpointStore;
use crate::credential_store::CredentialStore;
use crate::disk::{DirDisk, Disk};
use crate::disk_thread::{Batch, DiskMetrics, DiskThread};
use crate::effects::{self, MisbehaviourCounts, Performer};
use crate::fault::{Fault, Faults};
use crate::journal::{Durability, Journal, JournalOptions};
use crate::keys::{NodeKeyring, SigningIdentity, VoteKey};
use crate::mesh::{MeshEvent, MeshHandle};
use crate::replica_task::{self, Clock, Inbox, ReplicaStanding};
use crate::sessions::{SessionHost, SessionTable};
use crate::signer::{self, BLOCKS_SIGNING_MAX, BlockSigner};
use crate::work_pool::WorkPool;

/// What hosting a group needs.
#[derive(Debug)]
pub struct GroupSetup {
    /// Our place in it.
    pub me: ReplicaId,
    /// Its members.
    pub view: View,
    /// Its limits.
    pub limits: Limits,
    /// Journal and checkpoints live below this folder.
    pub dir: PathBuf,
    /// Whether the journal waits for the disk.
    pub durability: Durability,
    /// The channels joined here.
    pub channels: BTreeMap<ChannelId, JoinedChannel>,
    /// Whom to believe.
    pub keyring: Arc<NodeKeyring>,
    /// Signs our votes.
    pub vote_key: Arc<VoteKey>,
    /// Signs our blocks.
    pub identity: Arc<SigningIdentity>,
    /// Carries messages, and what happens on it.
    pub mesh: (MeshHandle, mpsc::Receiver<MeshEvent>),
    /// Checks what comes in.
    pub verify: WorkPool,
    /// Signs.
    pub sign: WorkPool,
    /// Where faults go.
    pub faults: Faults,
}

/// A group at work.
#[derive(Debug)]
pub struct GroupHandle {
    /// What frontend sessions need.
    pub sessions: Arc<SessionHost>,
    /// Where its replica stands.
    pub standing: watch::Receiver<ReplicaStanding>,
    /// What its application has done.
    pub counts: watch::Receiver<ApplicationCounts>,
    /// Misbehaviour seen.
    pub misbehaviour: Arc<MisbehaviourCounts>,
    /// What its journal has done.
    pub disk: Arc<DiskMetrics>,
}

/// Recovers the state of a group and starts its tasks.
///
/// # Errors
/// The disk fails, or what is on it is damaged or belongs to another group; the text names the file.
pub async fn start(setup: GroupSetup) -> anyhow::Result<GroupHandle> {
    let GroupSetup {
        me,
        view,
        limits,
        dir,
        durability,
        channels,
        keyring,
        vote_key,
        identity,
        mesh,
        verify,
        sign,
        faults,
    } = setup;
    let (mesh, events) = mesh;
    let block_signer = BlockSigner::new(identity);
    let (signing, jobs) = mpsc::channel(BLOCKS_SIGNING_MAX);
    tokio::spawn(signer::run(jobs, block_signer.clone(), sign, faults.clone()));

    let disk = DirDisk::open(dir.join("frontends")).context("cannot use the folder of frontends' credentials")?;
    let credentials = Arc::new(CredentialStore::open(Arc::new(disk), view.group(), &keyring)?);
    let recovery = Recovery { me, view: view.clone(), limits, dir, durability };
    let Restored { replica, application, journal, checkpoints, said } = recovery.run(channels.clone(), signing).await?;
    let decisions = journal.reader();
    let (released, durable) = mpsc::channel(BATCHES_MAX);
    let (disk_thread, batches) = DiskThread::start(journal, BATCHES_MAX, released)?;
    let disk = disk_thread.metrics();
    tokio::spawn(report_disk(disk_thread, faults.clone()));

    let (inbox, outside) = mpsc::channel(INBOX_MAX);
    let (own_sender, own) = mpsc::channel(OWN_MAX);
    let (standing_sender, standing) = watch::channel(replica_task::stand(&replica));
    let (counts_sender, counts) = watch::channel(application.counts());
    let table = Arc::new(SessionTable::default());
    let misbehaviour = Arc::new(MisbehaviourCounts::default());
    let performer = Performer {
        me,
        view: view.clone(),
        vote_key,
        mesh: mesh.clone(),
        own: own_sender,
        sessions: Arc::clone(&table),
        decisions,
        checkpoints: Arc::new(tokio::sync::Mutex::new(checkpoints)),
        misbehaviour: Arc::clone(&misbehaviour),
        numbers: (new_session(), Sequence(0)),
        faults: faults.clone(),
    };
    // What was said before the restart is said again, before anything new.
    let again = Batch { records: Vec::new(), then: said };
    batches.send(again).await.map_err(|_| Fault::Ended("disk"))?;
    tokio::spawn(effects::run(performer, application, durable, counts_sender));
    tokio::spawn(replica_task::run(replica, Clock::start(), Inbox { outside, own }, batches, standing_sender));

    let signer = block_signer;
    let host = SessionHost { me, view, keyring, credentials, faults, channels, signer, verify, inbox, table };
    let sessions = Arc::new(host);
    tokio::spawn(follow_mesh(events, mesh, Arc::clone(&sessions), Arc::clone(&misbehaviour)));
    Ok(GroupHandle { sessions, standing, counts, misbehaviour, disk })
}

/// What happens on the mesh, until it ends: messages are checked in the pool and then heard by the replica. While the pool
/// is full this waits, and each peer waits in turn once it holds too much of the mesh's credit.
async fn follow_mesh(
    mut events: mpsc::Receiver<MeshEvent>,
    mesh: MeshHandle,
    sessions: Arc<SessionHost>,
    misbehaviour: Arc<MisbehaviourCounts>,
) {
    while let Some(event) = events.recv().await {
        let (from, message, credit) = match event {
            MeshEvent::Connected(peer) => {
                tracing::info!(replica = %peer, "connected");
                drop(sessions.inbox.send(Event::Connected(peer)).await);
                continue;
            }
            MeshEvent::Disconnected(peer) => {
                tracing::info!(replica = %peer, "disconnected");
                continue;
            }
            MeshEvent::Frame { from, message, credit } => (from, message, credit),
        };
        let Some(permit) = sessions.verify.room().await else { return };
        let (sessions, mesh, misbehaviour) = (Arc::clone(&sessions), mesh.clone(), Arc::clone(&misbehaviour));
        tokio::spawn(async move {
            let (view, keyring) = (sessions.view.clone(), Arc::clone(&sessions.keyring));
            match sessions.verify.run(move || open(message, from, &view, &keyring)).await {
                Some(Ok(message)) => drop(sessions.inbox.send(Event::Message(message)).await),
                Some(Err(FrameReject::Seal(Reject::Malformed(why)))) => mesh.reject(from, &why.to_string()),
                Some(Err(reject)) => misbehaviour.note(from, &reject.to_string()),
                None => misbehaviour.note(from, "a message whose check panicked"),
            }
            drop((permit, credit));
        });
    }
}

/// Why a message of another replica goes no further.
#[derive(Debug, thiserror::Error)]
enum FrameReject {
    #[error("message with a {0}")]
    Seal(#[from] Reject),
    #[error("request body that no correct replica passes on: {0}")]
    Body(#[from] blockcutter::CommandReject),
}

/// Checks a message, and in it the bodies of requests as if their clients had sent them here.
fn open(bytes: Bytes, sender: ReplicaId, view: &View, keyring: &NodeKeyring) -> Result<Sealed<Message>, FrameReject> {
    let message = Sealed::<Message>::open(bytes, sender, view, keyring)?;
    if let Message::Bodies(requests) = message.value() {
        for request in requests {
            blockcutter::check(&request.value().body, request.value().id.client)?;
        }
    }
    Ok(message)
}

/// A number greater than that of any earlier life of this replica: the microseconds since 1970.
fn new_session() -> SessionId {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SessionId(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

async fn report_disk(thread: DiskThread, faults: Faults) {
    if let Err(fault) = thread.stopped().await {
        faults.report(fault.into());
    }
}

struct Recovery {
    me: ReplicaId,
    view: View,
    limits: Limits,
    dir: PathBuf,
    durability: Durability,
}

struct Restored {
    replica: mod_smart::Replica,
    application: Application,
    journal: Journal,
    checkpoints: CheckpointStore,
    said: Vec<Action>,
}

impl Recovery {
    /// The newest checkpoint, then every decision after it, executed again. Blocks that are stored already are compared,
    /// the others are signed and stored.
    async fn run(
        self,
        channels: BTreeMap<ChannelId, JoinedChannel>,
        signing: mpsc::Sender<signer::SigningJob>,
    ) -> anyhow::Result<Restored> {
        let group = self.view.group();
        let disk = |name: &str| -> anyhow::Result<Arc<dyn Disk>> {
            let path = self.dir.join(name);
            Ok(Arc::new(DirDisk::open(&path).with_context(|| format!("cannot use folder {}", path.display()))?))
        };
        let (checkpoints, found) = CheckpointStore::open(disk("checkpoints")?, group)?;
        for damaged in &found.damaged {
            tracing::error!(
                file = damaged.file,
                reason = damaged.reason,
                "a checkpoint is damaged; an older one is used"
            );
        }
        let after = found.newest.as_ref().map_or(InstanceId(0), |checkpoint| checkpoint.instance);
        let options = JournalOptions { durability: self.durability, ..JournalOptions::default() };
        let (journal, replay) = Journal::open(disk("journal")?, group, options, after)?;
        let summary = replay.summary();
        let decided = journal.reader().last_decided().unwrap_or_default();
        anyhow::ensure!(
            decided >= after,
            "the newest checkpoint in {} is of instance {after}, but the journal ends at instance {decided}: the journal was lost, and a replica that forgot its votes must not go on",
            self.dir.display()
        );
        let core = found.newest.as_ref().map(|checkpoint| (checkpoint.instance, checkpoint.sessions.clone()));
        let mut recovered = Recovered::new(self.me, self.view.clone(), self.limits.clone(), core)?;
        let ordering = match found.newest {
            Some(checkpoint) => Ordering::restore(self.view.clone(), checkpoint.application)?,
            None => Ordering::new(self.view.clone()),
        };
        let mut application = Application::new(ordering, channels, signing);
        for (ledger, height) in application.ledgers() {
            anyhow::ensure!(
                ledger.height() >= height,
                "a ledger holds {} blocks, but the checkpoint of instance {after} was taken after {height}: blocks were lost or removed",
                ledger.height()
            );
        }
        let mut actions = Vec::new();
        for record in replay {
            recovered.replay(record?, &mut actions)?;
            for action in actions.drain(..) {
                if let Action::Deliver(decision) = action {
                    application.deliver(decision).await?;
                }
            }
        }
        let mut said = Vec::new();
        let replica = recovered.finish(&mut said);
        if let Some(torn) = summary.torn {
            tracing::warn!(
                segment = torn.segment,
                bytes = torn.bytes,
                "the journal ended in a torn write, which was cut off"
            );
        }
        tracing::info!(%group, records = summary.records, bytes = summary.bytes, checkpoint = %after,
            delivered = %replica.delivered(), pending = replica.pending().0, "recovered the ordering group");
        Ok(Restored { replica, application, journal, checkpoints, said })
    }
}

/// Events that may wait for the replica.
const INBOX_MAX: usize = 1024;

/// What a replica may be waiting to hear from itself.
const OWN_MAX: usize = 1024;

/// Batches that may wait on either side of the disk.
const BATCHES_MAX: usize = 64;
