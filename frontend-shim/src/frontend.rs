//! A frontend of one ordering group: its relay, its links to the nodes, and a collector for each of its channels.
//!
//! A node embeds one for its own clients, with a link to itself inside the process and the ledger in common; a process
//! of its own has one for each group whose channels it serves. It works with `f` nodes down, silent or lying, and
//! believes no single one of them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use futures::future::BoxFuture;
use mod_smart::{FrontendId, ReplicaId};
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broadcast::{Order, Submit, SubmitError};
use crate::channels::Channel;
use crate::collector::{Collector, CollectorError, CollectorSetup, CollectorStats};
use crate::counters::{ChannelCounters, FrontendCounters};
use crate::directory::Directory;
use crate::frame::{Bodies, Hello, ToNode, VERSION};
use crate::group::OrderingGroup;
use crate::in_flight::Origin;
use crate::inbox::Inbox;
use crate::keys::{Credential, FrontendKey, KeyError};
use crate::node_handle::NodeHandle;
use crate::node_link::{NodeLink, Way};
use crate::reach::reach;
use crate::relay::{Relay, relay, session_of_now};
use crate::stages::Stage;
use crate::subscriptions::Subscriptions;
use crate::tls_identity::TlsIdentity;

/// Everything a frontend begins with.
#[derive(Debug)]
pub struct FrontendSetup {
    /// The nodes' group.
    pub group: OrderingGroup,
    /// How each node is reached; one that is missing is taken for down.
    pub nodes: Vec<NodeEndpoint>,
    /// Our certificate: shown to the nodes, and vouches for the frontend's key.
    pub identity: TlsIdentity,
    /// How the bodies of blocks come.
    pub bodies: Bodies,
    /// Width of a session's window: `session_window` of the group's `mod_smart::Limits`.
    pub session_window: u64,
}

/// One node, and how it is reached.
#[derive(Debug)]
pub struct NodeEndpoint {
    /// Its place in the view.
    pub replica: ReplicaId,
    /// Where it is.
    pub address: NodeAddress,
}

/// Where a node is.
#[derive(Debug)]
pub enum NodeAddress {
    /// Where the directory says, behind TLS.
    Dial(Arc<Directory>),
    /// In this process: the frontend's end of a stream whose other end serves the node's session.
    InProcess(DuplexStream),
}

impl NodeAddress {
    fn directory(&self) -> Option<Weak<Directory>> {
        match self {
            Self::Dial(directory) => Some(Arc::downgrade(directory)),
            Self::InProcess(_) => None,
        }
    }
}

/// Why a frontend or one of its channels cannot start.
#[derive(Debug, thiserror::Error)]
pub enum FrontendError {
    /// Its key or credential.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A node that is no member of the group, or named twice.
    #[error("replica {0} is not in the group or is named twice")]
    Node(ReplicaId),
    /// The channel is served already.
    #[error("channel {0} is served already")]
    Exists(ChannelId),
    /// The ledger of a channel does not fit the channel.
    #[error("channel {channel}: {reason}")]
    Channel {
        /// Which channel.
        channel: ChannelId,
        /// What is wrong.
        reason: String,
    },
}

/// A frontend before it runs. See [`Frontend::start`].
#[derive(Debug)]
pub struct Frontend;

/// A running frontend. Clones share it.
#[derive(Clone)]
pub struct FrontendHandle(Arc<Running>);

struct Running {
    id: FrontendId,
    group: Arc<OrderingGroup>,
    identity: TlsIdentity,
    /// As long as links dial: it may lead to the ledgers, which are to close when the links have ended.
    directory: Weak<Directory>,
    bodies: Bodies,
    relay: Relay,
    nodes: Vec<Arc<NodeHandle>>,
    subscriptions: Arc<Subscriptions>,
    collectors: Mutex<BTreeMap<ChannelId, RunningCollector>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct RunningCollector {
    stats: Arc<CollectorStats>,
    stop: CancellationToken,
}

impl Frontend {
    /// Starts a frontend without channels: links begin to connect at once. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`FrontendError`], before anything runs.
    pub fn start(setup: FrontendSetup) -> Result<FrontendHandle, FrontendError> {
        let key = Arc::new(FrontendKey::generate()?);
        let view = setup.group.view().clone();
        let group = Arc::new(setup.group);
        let nodes: Vec<_> =
            view.replicas().map(|replica| Arc::new(NodeHandle::new(replica, group.name(replica)))).collect();
        let directory = setup.nodes.iter().find_map(|node| node.address.directory()).unwrap_or_default();
        let ways = ways(setup.nodes, &setup.identity, nodes.len())?;
        let credential = Credential::issue(group.id(), key.id(), &setup.identity)?;
        let (bodies, terms) = (setup.bodies, Box::new(group.terms()));
        let hello = Hello { version: VERSION, group: group.id(), credential, bodies, terms };
        let hello = ToNode::Hello(hello).encode();

        let (id, session_window) = (key.id(), setup.session_window);
        let origin = Origin { view: view.clone(), key, session: session_of_now(), session_window };
        let (relay, link_events, relay_task) = relay(origin, nodes.clone());
        let subscriptions = Arc::new(Subscriptions::new(view));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(Stage::Relay.follow(relay_task.run(stop.clone())));
        for (replica, way) in ways {
            let link = NodeLink {
                node: nodes[replica.index()].clone(),
                hello: hello.clone(),
                relay: link_events.clone(),
                subscriptions: subscriptions.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(Stage::SessionSocket.follow(link.run(way)));
        }
        let collectors = Mutex::default();
        let bodies = setup.bodies;
        Ok(FrontendHandle(Arc::new(Running {
            id,
            group,
            identity: setup.identity,
            directory,
            bodies,
            relay,
            nodes,
            subscriptions,
            collectors,
            tasks,
            stop,
        })))
    }
}

impl FrontendHandle {
    /// The name of this frontend: the key that its requests are sealed with.
    #[must_use]
    pub fn id(&self) -> FrontendId {
        self.0.id
    }

    /// Collects the blocks of a channel of the group, from the first that is not certified on, and opens the channel for
    /// envelopes once enough nodes say that it is open. Its ledger holds the genesis block at least.
    ///
    /// # Errors
    /// The channel is served already, or its ledger is not one of this group.
    pub fn add_channel(&self, channel: Arc<Channel>) -> Result<(), FrontendError> {
        let running = &self.0;
        let id = channel.id().clone();
        let mut collectors = running.collectors();
        if collectors.contains_key(&id) {
            return Err(FrontendError::Exists(id));
        }
        let stats = Arc::<CollectorStats>::default();
        let (inbox, collector) = self.collector(channel, stats.clone())?;
        let stop = running.stop.child_token();
        running.subscriptions.add(inbox);
        running.tasks.spawn(Stage::Collect.follow(collector.run(stop.clone())));
        collectors.insert(id, RunningCollector { stats, stop });
        Ok(())
    }

    /// Stops collecting the blocks of a channel.
    pub fn remove_channel(&self, id: &ChannelId) {
        self.0.subscriptions.remove(id);
        if let Some(collector) = self.0.collectors().remove(id) {
            collector.stop.cancel();
        }
    }

    /// Says that a node is up, as whoever shares this process with us can know. If its link waits before it is dialled
    /// again, it waits no longer.
    pub fn on_node_up(&self, replica: ReplicaId) {
        if let Some(node) = self.0.nodes.get(replica.index()) {
            node.show_up();
        }
    }

    /// Waits until a channel of this frontend takes envelopes: enough nodes are in reach, and say that it is open.
    pub async fn is_taking(&self, id: &ChannelId) {
        while !(self.0.relay.is_in_reach() && self.0.subscriptions.is_open(id)) {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// The members that there is a session with.
    fn connected(&self) -> Vec<ReplicaId> {
        self.0.nodes.iter().filter(|node| node.is_connected()).map(|node| node.replica).collect()
    }

    /// Does it serve any channel?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.collectors().is_empty()
    }

    /// What has been seen so far.
    #[must_use]
    pub fn counters(&self) -> FrontendCounters {
        let relay = self.0.relay.counters();
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let channels = self
            .0
            .collectors()
            .iter()
            .map(|(id, collector)| ChannelCounters {
                channel: id.to_string(),
                certified: load(&collector.stats.certified),
                bodies_fetched: load(&collector.stats.bodies_fetched),
                stopped: collector.stats.stopped.get().cloned(),
            })
            .collect();
        FrontendCounters {
            requests_in_flight: load(&relay.requests.in_flight),
            submitted_bytes: self.0.relay.submitted_bytes() as u64,
            envelopes_held: load(&relay.held),
            envelopes_overloaded: load(&relay.overloaded),
            envelopes_timed_out: load(&relay.timed_out),
            requests_sent: load(&relay.requests.sent),
            requests_resent: load(&relay.requests.resent),
            nodes: self.0.nodes.iter().map(|node| node.record.snapshot()).collect(),
            channels,
        }
    }

    /// Ends all tasks, waits for them, and lets go of the channels. Clients that still wait learn that the frontend has
    /// closed.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.subscriptions.clear();
    }

    fn collector(
        &self,
        channel: Arc<Channel>,
        stats: Arc<CollectorStats>,
    ) -> Result<(Arc<Inbox>, Collector), FrontendError> {
        let running = &self.0;
        let id = channel.id().clone();
        let refuse = |error: CollectorError| FrontendError::Channel { channel: id.clone(), reason: error.to_string() };
        let genesis = channel.ledger().read(0).map_err(|error| refuse(error.into()))?;
        let genesis = genesis.ok_or_else(|| FrontendError::Channel {
            channel: id.clone(),
            reason: "the ledger holds no genesis block".to_owned(),
        })?;
        let hash = genesis.header.hash();
        let inbox = Arc::new(Inbox::new(
            channel,
            hash,
            running.id,
            running.bodies,
            (running.group.view().clone(), running.nodes.clone()),
        ));
        let setup = CollectorSetup {
            inbox: inbox.clone(),
            group: running.group.clone(),
            frontend: running.id,
            bodies: running.bodies,
            stats,
        };
        Ok((inbox, Collector::new(setup).map_err(refuse)?))
    }
}

/// Takes the envelopes of its channels.
impl Submit for FrontendHandle {
    fn submit(&self, channel: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        self.0.relay.submit(channel, order)
    }

    fn check_move(&self, channel: &ChannelId, next: Arc<ChannelConfig>) -> BoxFuture<'static, Result<(), SubmitError>> {
        let (frontend, channel) = (self.clone(), channel.clone());
        Box::pin(async move {
            let running = &frontend.0;
            let (connected, identity) = (frontend.connected(), &running.identity);
            let directory = running.directory.upgrade();
            let directory = directory.unwrap_or_else(|| Arc::new(Directory::of_group(&running.group)));
            let reach = reach(&running.group, &connected, &directory, identity, &next).await;
            reach.map_err(|error| error.to_string()).and_then(|reach| reach.check()).map_err(|why| {
                let why = format!("error applying config update to existing channel '{channel}': {why}");
                SubmitError::Refused(why)
            })
        })
    }
}

impl Running {
    fn collectors(&self) -> MutexGuard<'_, BTreeMap<ChannelId, RunningCollector>> {
        self.collectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How soon a frontend that waits for its nodes looks again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What each link needs to connect. Every node at most once, every one of them a member.
fn ways(
    endpoints: Vec<NodeEndpoint>,
    identity: &TlsIdentity,
    replicas: usize,
) -> Result<BTreeMap<ReplicaId, Way>, FrontendError> {
    let mut ways = BTreeMap::new();
    for NodeEndpoint { replica, address } in endpoints {
        let way = match address {
            NodeAddress::InProcess(stream) => Way::InProcess(stream),
            NodeAddress::Dial(directory) => Way::Dial { directory, identity: identity.clone() },
        };
        if replica.index() >= replicas || ways.insert(replica, way).is_some() {
            return Err(FrontendError::Node(replica));
        }
    }
    Ok(ways)
}
