//! Nodes with real TLS over loopback, and fake ones that misbehave.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fabric_channel::{Msp, PublicKey};
use frontend_shim::directory::{Contact, Contacts};
use frontend_shim::framing::{FRAME_BYTES_MAX, FrameReader, FrameWriter};
use frontend_shim::tls::{self, ALPN_MESH, ClientAuth, ServerTrust, Spki};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::keys::test_authority::{TestAuthority, pinned};
use crate::keys::{SigningKey, VoteKey};
use crate::listener::{Doors, Listener, ListenerHandle, ListenerLimits, Security, door};

pub(super) const GROUP: GroupId = GroupId([7; 32]);

/// Everything the channel configuration would say, and the private keys.
pub(super) struct World {
    pub(super) members: Vec<Member>,
    pub(super) authority: TestAuthority,
    pub(super) limits: MeshLimits,
    contacts: Arc<Mutex<Arc<Contacts>>>,
    directory: Arc<Directory>,
}

pub(super) struct Member {
    pub(super) identity: TlsIdentity,
    pub(super) pinned: SigningKey,
    public: PublicKey,
    address: SocketAddr,
}

/// A node of the world. Dropping it closes everything.
pub(super) struct Node {
    pub(super) mesh: MeshHandle,
    pub(super) events: mpsc::Receiver<MeshEvent>,
    pub(super) keyring: Arc<NodeKeyring>,
    pub(super) door: MeshDoor,
    _running: AbortOnDropHandle<()>,
    _listener: ListenerHandle,
}

impl World {
    /// A world of so many members that are all down.
    pub(super) async fn new(members: usize) -> Self {
        let authority = TestAuthority::new();
        let contacts = Arc::new(Mutex::new(Arc::new(vec![Vec::new(); members])));
        let told = Arc::clone(&contacts);
        let directory = Arc::new(Directory::new(move || Arc::clone(&told.lock().unwrap())));
        let mut world = Self { members: Vec::new(), authority, limits: quick(), contacts, directory };
        for number in 0..members {
            let (pinned, public) = pinned();
            // The address stays free for the member: nobody else asks for a port in between.
            let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            let identity = world.authority.issue(&format!("node {number}"));
            world.tell(number as u16, identity.spki().unwrap(), address.to_string());
            world.members.push(Member { identity, pinned, public, address });
        }
        world
    }

    pub(super) fn address(&self, member: u16) -> String {
        self.members[usize::from(member)].address.to_string()
    }

    pub(super) fn binding(&self, member: u16) -> VoteBinding {
        self.binding_in(GROUP, member)
    }

    /// Gives a member that is down another certificate and address; the configurations do not say so yet.
    pub(super) async fn renew(&mut self, member: u16) {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let identity = self.authority.issue("renewed");
        let member = &mut self.members[usize::from(member)];
        (member.identity, member.address) = (identity, address);
    }

    fn binding_in(&self, group: GroupId, member: u16) -> VoteBinding {
        let pinned = &self.members[usize::from(member)].pinned;
        VoteBinding::sign(group, ReplicaId(member), &VoteKey::derive(pinned), pinned)
    }

    pub(super) fn setup(&self, me: u16) -> MeshSetup {
        self.setup_in(GROUP, me)
    }

    /// The same members can be more than one group.
    pub(super) fn setup_in(&self, group: GroupId, me: u16) -> MeshSetup {
        let pins = self.members.iter().map(|member| member.public.clone()).collect();
        let msps: Vec<Msp> = vec![self.authority.msp("OrdererMSP")];
        let others = (0..self.members.len() as u16).filter(|&other| other != me);
        MeshSetup {
            group,
            terms: GroupTerms::plain(group),
            me: ReplicaId(me),
            identity: self.members[usize::from(me)].identity.clone(),
            binding: self.binding_in(group, me),
            peers: others.map(ReplicaId).collect(),
            directory: Arc::clone(&self.directory),
            keyring: Arc::new(NodeKeyring::new(group, pins, msps)),
            limits: self.limits.clone(),
        }
    }

    /// What the channel configurations say from now on about a member: that it has this key and address.
    pub(super) fn tell(&self, member: u16, key: Spki, address: String) {
        let contact = Contact { address, server_key: key.clone(), client_key: key };
        let mut contacts = self.contacts.lock().unwrap();
        let mut told = Contacts::clone(&contacts);
        told[usize::from(member)] = vec![contact];
        *contacts = Arc::new(told);
    }

    pub(super) async fn start(&self, me: u16) -> Node {
        self.start_with(self.setup(me)).await
    }

    pub(super) async fn start_with(&self, setup: MeshSetup) -> Node {
        let (mesh_door, accepted) = door(100);
        let doors = Doors { mesh: Some(mesh_door), ..Doors::default() };
        let tls = tls::server_config(&setup.identity, &[ALPN_MESH], ClientAuth::Requested).unwrap();
        let listener = self.bind(setup.me.0).await;
        let listener = listener.start(Security::Tls(tls), doors, ListenerLimits::default());
        let keyring = Arc::clone(&setup.keyring);
        let (mesh, events) = Mesh::start(setup).unwrap();
        let door = MeshDoor::new();
        door.open(&mesh);
        let running = AbortOnDropHandle::new(tokio::spawn(door.clone().run(accepted)));
        Node { mesh, events, keyring, door, _running: running, _listener: listener }
    }

    async fn bind(&self, member: u16) -> Listener {
        for _ in 0..500 {
            if let Ok(listener) = Listener::bind(self.members[usize::from(member)].address).await {
                return listener;
            }
            pause().await;
        }
        panic!("the port stays busy");
    }

    /// All members, each connected with all others.
    pub(super) async fn all(&self) -> Vec<Node> {
        let mut nodes = Vec::new();
        for me in 0..self.members.len() as u16 {
            nodes.push(self.start(me).await);
        }
        for (me, node) in nodes.iter_mut().enumerate() {
            node.connected((0..self.members.len() as u16).filter(|&other| usize::from(other) != me)).await;
        }
        nodes
    }

    /// Connects to a member with the certificate of another, and says nothing yet.
    pub(super) async fn dial_as(&self, identity: &TlsIdentity, to: u16) -> Fake {
        let trust = ServerTrust::Pinned(self.members[usize::from(to)].identity.spki().unwrap());
        let config = tls::client_config(Some(identity), ALPN_MESH, trust).unwrap();
        let stream = tls::dial(&self.address(to), config).await.unwrap();
        Fake::over(FakeStream::Left(Box::new(stream)))
    }

    /// Connects as a member, and says Hello.
    pub(super) async fn join_as(&self, member: u16, to: u16) -> Fake {
        let mut fake = self.dial_as(&self.members[usize::from(member)].identity, to).await;
        fake.say(self.hello(member)).await;
        fake
    }

    pub(super) fn hello(&self, member: u16) -> frame::MeshFrame {
        let binding = self.binding(member);
        let terms = GroupTerms::plain(GROUP);
        frame::MeshFrame::Hello(frame::Hello { group: GROUP, replica: ReplicaId(member), binding, terms })
    }

    /// Listens in the place of a member.
    pub(super) async fn listen_as(&self, member: u16) -> FakeListener {
        let identity = &self.members[usize::from(member)].identity;
        let tls = tls::server_config(identity, &[ALPN_MESH], ClientAuth::Requested).unwrap();
        let address = self.members[usize::from(member)].address;
        FakeListener { tcp: TcpListener::bind(address).await.unwrap(), tls, hello: self.hello(member) }
    }
}

/// Waits that do not make a test long.
fn quick() -> MeshLimits {
    let redial = Duration::from_millis(20);
    MeshLimits {
        redial_min: redial,
        redial_max: redial * 2,
        penalty: Duration::from_millis(400),
        ..MeshLimits::default()
    }
}

impl Node {
    pub(super) async fn event(&mut self) -> MeshEvent {
        timeout(Duration::from_secs(20), self.events.recv()).await.expect("an event in time").unwrap()
    }

    /// Takes events until the links to these replicas stand.
    pub(super) async fn connected(&mut self, replicas: impl IntoIterator<Item = u16>) {
        let mut missing: Vec<_> = replicas.into_iter().map(ReplicaId).collect();
        while !missing.is_empty() {
            if let MeshEvent::Connected(replica) = self.event().await {
                missing.retain(|&other| other != replica);
            }
        }
    }

    /// The next message, whatever else is told before it.
    pub(super) async fn message(&mut self) -> (u16, Bytes, Credit) {
        loop {
            if let MeshEvent::Frame { from, message, credit } = self.event().await {
                return (from.0, message, credit);
            }
        }
    }

    /// The next so many messages, by sender.
    pub(super) async fn messages(&mut self, count: usize) -> BTreeMap<u16, Vec<Bytes>> {
        let mut by_sender: BTreeMap<u16, Vec<Bytes>> = BTreeMap::new();
        for _ in 0..count {
            let (from, message, _) = self.message().await;
            by_sender.entry(from).or_default().push(message);
        }
        by_sender
    }

    pub(super) fn counters(&self, peer: u16) -> PeerCounters {
        self.mesh.counters().into_iter().find(|counters| counters.replica == peer).unwrap()
    }
}

/// Waits until something holds.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        pause().await;
    }
    panic!("it never came to hold");
}

pub(super) async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// The other end of a link, in the hands of the test.
pub(super) struct Fake {
    pub(super) reader: FrameReader<ReadHalf<FakeStream>>,
    pub(super) writer: FrameWriter<WriteHalf<FakeStream>>,
}

pub(super) type FakeStream = tokio_util::either::Either<
    Box<tokio_rustls::client::TlsStream<TcpStream>>,
    Box<tokio_rustls::server::TlsStream<TcpStream>>,
>;

impl Fake {
    fn over(stream: FakeStream) -> Self {
        let (near, far) = tokio::io::split(stream);
        Self { reader: FrameReader::new(near, FRAME_BYTES_MAX), writer: FrameWriter::new(far) }
    }

    pub(super) async fn say(&mut self, frame: frame::MeshFrame) {
        self.say_bytes(frame.encode()).await;
    }

    pub(super) async fn say_bytes(&mut self, bytes: Bytes) {
        self.writer.write_frame(bytes).await.unwrap();
        self.writer.flush().await.unwrap();
    }

    /// The next frame; `None` when the connection is closed or broken.
    pub(super) async fn hear(&mut self) -> Option<frame::MeshFrame> {
        let frame = timeout(Duration::from_secs(20), self.reader.read_frame()).await.expect("a frame in time");
        frame.ok().flatten().map(|frame| frame::MeshFrame::decode(frame).unwrap())
    }

    pub(super) async fn hear_refusal(&mut self) -> String {
        match self.hear().await {
            Some(frame::MeshFrame::Refused(refusal)) => refusal.reason,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) struct FakeListener {
    tcp: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    hello: frame::MeshFrame,
}

impl FakeListener {
    /// Takes the next link: hears the Hello and answers it.
    pub(super) async fn accept(&self) -> Fake {
        let (stream, _) = self.tcp.accept().await.unwrap();
        let stream = tls::accept(stream, Arc::clone(&self.tls)).await.unwrap();
        let mut fake = Fake::over(FakeStream::Right(Box::new(stream)));
        assert!(matches!(fake.hear().await, Some(frame::MeshFrame::Hello(_))));
        fake.say(self.hello.clone()).await;
        fake
    }
}
