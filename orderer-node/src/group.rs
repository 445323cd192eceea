//! Hosting one ordering group: recovery from checkpoint and journal, then the tasks around its replica.
//!
//! ```text
//! sockets -> verify pool -> replica task -> disk thread -> effects task -> sign pool -> ledgers -> sessions
//!                                ^------------- what it says to itself ------|
//! ```
//! All arrows are bounded. The arrow back has a queue of its own, so that a full inbox never keeps a replica from hearing
//! itself.

mod past;
mod recovery;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use blockcutter::{CommandReject, Objection, Verification};
use bytes::Bytes;
use fabric_channel::ChannelConfig;
use frontend_shim::group::OrderingGroup;
use frontend_shim::stages::Stage;
use mod_smart::{Event, InstanceId, Limits, Message, Reject, ReplicaId, Sealed, SessionId, View};
use tokio::sync::{mpsc, watch};

use crate::application::ApplicationCounts;
use crate::block_catch_up::{BlockCatchUp, BlockSource, CatchUpLimits, CatchUpSetup};
use crate::checkpoint::CheckpointStore;
use crate::clock::Clock;
use crate::credential_store::CredentialStore;
use crate::disk::DirDisk;
use crate::disk_thread::{DiskMetrics, DiskThread};
use crate::effects::{self, Control, DamageSeen, Keeping, MisbehaviourCounts, Orders, Performer, Progress, Serving};
use crate::fault::{Fault, Faults};
use crate::joined::JoinedChannels;
use crate::journal::Durability;
use crate::judge::{BodyJudge, WaitingRoom};
use crate::keys::{NodeKeyring, SigningIdentity, VoteKey};
use crate::left_over::LeftOvers;
use crate::mesh::{MeshEvent, MeshHandle};
use crate::own_requests::OwnRequests;
use crate::replica_task::{self, Inbox, ReplicaStanding};
use crate::sessions::{SessionHost, SessionTable};
use crate::signer::{self, BLOCKS_SIGNING_MAX, BlockSigner};
use crate::vote_arrivals::VoteArrivals;
use crate::work_pool::WorkPool;
use recovery::{Recovery, Restored};

/// What hosting a group needs.
#[derive(Debug)]
pub struct GroupSetup {
    /// Our place in it.
    pub me: ReplicaId,
    /// Its members.
    pub group: Arc<OrderingGroup>,
    /// Its limits.
    pub limits: Limits,
    /// Checkpoints and the frontends' credentials live below this folder.
    pub dir: PathBuf,
    /// The folder of the journal.
    pub journal_dir: PathBuf,
    /// Whether the journal waits for the disk.
    pub durability: Durability,
    /// The channels joined here. Those that are in it already are what recovery needs; later ones come through
    /// [`GroupHandle::control`].
    pub channels: JoinedChannels,
    /// Whom to believe.
    pub keyring: Arc<NodeKeyring>,
    /// Signs our votes.
    pub vote_key: Arc<VoteKey>,
    /// Signs our blocks.
    pub identity: Arc<SigningIdentity>,
    /// Carries messages, and what happens on it.
    pub mesh: (MeshHandle, mpsc::Receiver<MeshEvent>),
    /// Where blocks can be had that are missing here.
    pub sources: Vec<BlockSource>,
    /// Checks what comes in.
    pub verify: WorkPool,
    /// Signs.
    pub sign: WorkPool,
    /// How far frontends are relied on.
    pub verification: Verification,
    /// Takes what channels leave over that have moved.
    pub left_overs: LeftOvers,
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
    /// How late the votes of the others are.
    pub vote_arrivals: Arc<VoteArrivals>,
    /// What its journal has done.
    pub disk: Arc<DiskMetrics>,
    /// Its checkpoints.
    pub checkpoints: Arc<CheckpointStore>,
    /// Damage met while these were read.
    pub damage: Arc<DamageSeen>,
    /// Blocks that are missing and being fetched.
    pub catch_up: BlockCatchUp,
    /// Where channels are added and removed.
    pub control: mpsc::Sender<Control>,
}

/// Recovers the state of a group and starts its tasks.
///
/// # Errors
/// The disk fails, or what is on it belongs to another group or history; the text names the file. Damage is no error:
/// it is repaired from others.
pub async fn start(setup: GroupSetup) -> anyhow::Result<GroupHandle> {
    let GroupSetup {
        me,
        group,
        limits,
        dir,
        journal_dir,
        durability,
        channels,
        keyring,
        vote_key,
        identity,
        mesh,
        sources,
        verify,
        sign,
        verification,
        left_overs,
        faults,
    } = setup;
    let (mesh, events) = mesh;
    let (view, terms) = (group.view().clone(), group.terms());
    let block_signer = BlockSigner::new(identity);
    let (signing, jobs) = mpsc::channel(BLOCKS_SIGNING_MAX);
    tokio::spawn(signer::run(jobs, block_signer.clone(), sign, faults.clone()));

    let disk = DirDisk::open(dir.join("frontends")).context("cannot use the folder of frontends' credentials")?;
    let credentials = Arc::new(CredentialStore::open(Arc::new(disk), view.group(), &keyring)?);
    let (signer, limits_of_fetching) = (block_signer.clone(), CatchUpLimits::default());
    let catch_up = BlockCatchUp::new(CatchUpSetup {
        group,
        sources,
        signer,
        verify: verify.clone(),
        faults: faults.clone(),
        limits: limits_of_fetching,
    });
    let clock = Clock::start();
    let (in_force, judge) = BodyJudge::new(verification);
    tokio::spawn(follow_authorities(judge.clone(), Arc::clone(&keyring)));
    let recovery = Recovery {
        me,
        view: view.clone(),
        limits,
        dir,
        journal_dir,
        durability,
        channels: channels.clone(),
        signing,
        catch_up: catch_up.clone(),
        clock: clock.clone(),
        in_force,
        left_overs,
    };
    let Restored { replica, application, journal, checkpoints, said, asked } = recovery.run().await?;
    let (decisions, truncator) = (journal.reader(), journal.truncator());
    let (released, durable) = mpsc::channel(BATCHES_MAX);
    let (disk_thread, batches) = DiskThread::start(journal, BATCHES_MAX, released, clock.clone())?;
    let disk = disk_thread.metrics();
    tokio::spawn(report_disk(disk_thread, faults.clone()));

    let (inbox, outside) = mpsc::channel(INBOX_MAX);
    let (own_sender, own) = mpsc::channel(OWN_MAX);
    let (standing_sender, standing) = watch::channel(replica_task::stand(&replica));
    let (counts_sender, counts) = watch::channel(application.counts());
    let table = Arc::new(SessionTable::default());
    let misbehaviour = Arc::new(MisbehaviourCounts::default());
    let (checkpoints, damage) = (Arc::new(checkpoints), Arc::new(DamageSeen::default()));
    let serving = Serving::new(mesh.clone(), decisions, Arc::clone(&checkpoints), Arc::clone(&damage));
    let keeping = Keeping::new(Arc::clone(&checkpoints), truncator, own_sender.clone(), faults.clone());
    if let Some(asked) = asked {
        keeping.save(asked);
    }
    let performer = Performer {
        me,
        view: view.clone(),
        vote_key,
        mesh: mesh.clone(),
        own: own_sender,
        sessions: Arc::clone(&table),
        serving,
        keeping,
        misbehaviour: Arc::clone(&misbehaviour),
        own_requests: OwnRequests::new(me, new_session()),
        transferring: InstanceId(0),
        progress: Progress::new(standing.clone()),
        faults: faults.clone(),
    };
    // What was said before the restart is said again, before anything new.
    for again in replica_task::split(said).into_iter().flatten() {
        batches.send(again).await.map_err(|_| Fault::Ended("disk"))?;
    }
    let (control, controls) = mpsc::channel(CONTROLS_MAX);
    let orders = Orders { durable, control: controls };
    tokio::spawn(Stage::Perform.follow(effects::run(performer, application, orders, counts_sender)));
    let ordering = replica_task::run(replica, clock, Inbox { outside, own }, batches, standing_sender);
    tokio::spawn(Stage::Order.follow(ordering));

    let signer = block_signer;
    let host =
        SessionHost { me, view, terms, keyring, credentials, faults, channels, signer, verify, judge, inbox, table };
    let sessions = Arc::new(host);
    let seen = Seen { misbehaviour: Arc::clone(&misbehaviour), vote_arrivals: Arc::default() };
    let vote_arrivals = Arc::clone(&seen.vote_arrivals);
    tokio::spawn(Stage::Intake.follow(follow_mesh(events, mesh, Arc::clone(&sessions), seen)));
    Ok(GroupHandle {
        sessions,
        standing,
        counts,
        misbehaviour,
        vote_arrivals,
        disk,
        checkpoints,
        damage,
        catch_up,
        control,
    })
}

/// Whose frontends may come is what the configurations in force say, as far as any channel is open.
async fn follow_authorities(judge: BodyJudge, keyring: Arc<NodeKeyring>) {
    let mut configurations = judge.configurations();
    while configurations.changed().await.is_ok() {
        let in_force = Arc::clone(&configurations.borrow_and_update());
        let of_channel = |config: &Arc<ChannelConfig>| {
            let authorities = config.msps().iter().filter(|msp| config.is_orderer_msp(msp.id()));
            authorities.cloned().collect::<Vec<_>>()
        };
        let authorities: Vec<_> = in_force.values().flat_map(of_channel).collect();
        if !authorities.is_empty() {
            keyring.trust(authorities);
        }
    }
}

/// What is kept of the others' messages for status displays.
#[derive(Clone)]
struct Seen {
    misbehaviour: Arc<MisbehaviourCounts>,
    vote_arrivals: Arc<VoteArrivals>,
}

/// What happens on the mesh, until it ends: messages are checked in the pool and then heard by the replica. While the pool
/// is full this waits, and each peer waits in turn once it holds too much of the mesh's credit.
async fn follow_mesh(mut events: mpsc::Receiver<MeshEvent>, mesh: MeshHandle, sessions: Arc<SessionHost>, seen: Seen) {
    let waiting: BTreeMap<ReplicaId, WaitingRoom> =
        sessions.view.replicas().map(|peer| (peer, WaitingRoom::default())).collect();
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
        let waiting = waiting.get(&from).cloned().unwrap_or_default();
        let (sessions, mesh, seen) = (Arc::clone(&sessions), mesh.clone(), seen.clone());
        tokio::spawn(Stage::Intake.follow(async move {
            let (view, keyring, judge) = (sessions.view.clone(), Arc::clone(&sessions.keyring), sessions.judge.clone());
            let bytes = message.len();
            let check = move || Stage::Decode.within(|| open(message, from, &view, &keyring, &judge));
            let opened =
                if bytes <= CHECKED_AT_ONCE_BYTES_MAX { Some(check()) } else { sessions.verify.run(check).await };
            match opened {
                Some(Opened::Good(message)) => {
                    if let Message::Vote(signed) = message.value() {
                        seen.vote_arrivals.note(from, &signed.vote);
                    }
                    drop(sessions.inbox.send(Event::Message(message)).await);
                }
                Some(Opened::Ahead(message, objection)) => {
                    // What it waits for may come with other messages of this peer.
                    drop((permit, credit));
                    if let Some(_place) = waiting.enter(bytes) {
                        hear_in_time(&sessions, message, objection).await;
                    }
                    return;
                }
                // A correct replica that has got further than this one passes on what is for it to judge at its turn.
                Some(Opened::NotPermitted(objection)) => {
                    tracing::debug!(replica = %from, %objection, "bodies not taken")
                }
                Some(Opened::Garbage(Reject::Malformed(why))) => mesh.reject(from, &why.to_string()),
                Some(Opened::Garbage(reject)) => seen.misbehaviour.note(from, &format!("message with a {reject}")),
                Some(Opened::Form(reject)) => {
                    seen.misbehaviour.note(from, &format!("request body that no correct replica passes on: {reject}"));
                }
                None => seen.misbehaviour.note(from, "a message whose check panicked"),
            }
            drop((permit, credit));
        }));
    }
}

/// What came of opening a message.
enum Opened {
    Good(Sealed<Message>),
    /// It holds a body that names a configuration which is not in force here yet.
    Ahead(Sealed<Message>, Objection),
    /// It holds a body that the configuration in force here does not permit.
    NotPermitted(Objection),
    /// It is not what its sender sealed.
    Garbage(Reject),
    /// It holds a body that nobody takes in.
    Form(CommandReject),
}

/// Checks a message, and in it the bodies of requests as if their clients had sent them here.
fn open(bytes: Bytes, sender: ReplicaId, view: &View, keyring: &NodeKeyring, judge: &BodyJudge) -> Opened {
    match Sealed::<Message>::open(bytes, sender, view, keyring) {
        Err(reject) => Opened::Garbage(reject),
        Ok(message) => judged(message, judge),
    }
}

fn judged(message: Sealed<Message>, judge: &BodyJudge) -> Opened {
    let objection = match message.value() {
        Message::Bodies(requests) => judge.judge_all(requests).err(),
        _ => None,
    };
    match objection {
        None => Opened::Good(message),
        Some(Objection::Form(reject)) => Opened::Form(reject),
        Some(objection @ Objection::Ahead { .. }) => Opened::Ahead(message, objection),
        Some(objection @ Objection::NotPermitted { .. }) => Opened::NotPermitted(objection),
    }
}

/// Lets the replica hear a message if the configuration that it is about comes into force soon, and permits it. What is
/// left out is asked for again.
async fn hear_in_time(sessions: &SessionHost, message: Sealed<Message>, objection: Objection) {
    let Objection::Ahead { channel, sequence } = objection else { return };
    if !sessions.judge.wait_for(&channel, sequence).await {
        return;
    }
    let Some(_permit) = sessions.verify.room().await else { return };
    let judge = sessions.judge.clone();
    if let Some(Opened::Good(message)) = sessions.verify.run(move || judged(message, &judge)).await {
        drop(sessions.inbox.send(Event::Message(message)).await);
    }
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

/// Channels that may be waiting to be added or removed.
const CONTROLS_MAX: usize = 16;

/// Messages up to this length are checked where they are heard: there is room for two signatures in them, and to hand them
/// to another thread and back costs as much as one.
const CHECKED_AT_ONCE_BYTES_MAX: usize = 256;

/// Events that may wait for the replica.
const INBOX_MAX: usize = 1024;

/// What a replica may be waiting to hear from itself: for each open instance two votes in a regency, for each regency one
/// STOPDATA, for each interval one checkpoint with its vote, and the requests of its own that its timers make, one for each
/// channel. After a restart it hears its votes of all open instances again.
const OWN_MAX: usize = 4096;

/// Batches that may wait on either side of the disk.
const BATCHES_MAX: usize = 64;
