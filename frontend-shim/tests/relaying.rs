//! The frontend's way to the nodes: acknowledgements, overload, links that break.
#![allow(clippy::unwrap_used)]

mod network;

use std::sync::Arc;
use std::time::{Duration, Instant};

use blockcutter::Command;
use blockcutter::command::decode;
use bytes::Bytes;
use frontend_shim::broadcast::{Order, Submit as _, SubmitError};
use frontend_shim::channels::ChannelState;
use frontend_shim::directory::Directory;
use frontend_shim::frame::{Bodies, Opened, ToFrontend, ToNode};
use frontend_shim::frontend::{Frontend, FrontendError, FrontendHandle, FrontendSetup, NodeAddress, NodeEndpoint};
use frontend_shim::keys::verify_frontend;
use frontend_shim::node_limits::SUBMITTED_BYTES_MAX;
use frontend_shim::tls::{self, ALPN_FRONTEND, ClientAuth, Spki, peer_spki, server_config};
use mod_smart::{Answer, Client, Keyring, ReplicaId, Request, Sealed, Signature};
use network::{FakeNode, Network, channel_id, eventually};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const FOUR: [u16; 4] = [7050, 7051, 7052, 7053];

fn submit(frontend: &FrontendHandle, envelope: &'static [u8]) -> JoinHandle<Result<(), SubmitError>> {
    tokio::spawn(frontend.submit(&channel_id(), order(Bytes::from_static(envelope))))
}

fn order(envelope: Bytes) -> Order {
    Order::Envelope { sequence: 3, envelope }
}

fn envelopes(request: &Sealed<Request>) -> Vec<Bytes> {
    let commands = decode(request.value().body.clone()).unwrap();
    commands
        .into_iter()
        .flat_map(|command| match command {
            Command::Envelopes { channel, sequence: 3, envelopes } if channel == channel_id() => envelopes,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Knows frontends by their ids, as a node's keyring does.
struct Frontends;

impl Keyring for Frontends {
    fn verify_replica(&self, _: ReplicaId, _: &[u8], _: &Signature) -> bool {
        false
    }

    fn verify_client(&self, client: Client, message: &[u8], signature: &Signature) -> bool {
        matches!(client, Client::Frontend(id) if verify_frontend(id, message, signature))
    }
}

#[tokio::test]
async fn an_envelope_is_acknowledged_when_f_plus_one_nodes_hold_it() {
    let network = Network::new(&FOUR);
    let (frontend, mut nodes) = connected(&network).await;
    let group = network.group().id();
    nodes[0].hello.credential.verify(group).unwrap();
    assert_eq!((nodes[0].hello.group, nodes[0].hello.credential.frontend), (group, frontend.id()));

    let submitted = submit(&frontend, b"envelope");
    let request = nodes[0].next_request().await;
    assert_eq!(envelopes(&request), ["envelope"]);
    Sealed::<Request>::open(request.bytes().clone(), group, &Frontends).unwrap();
    for node in &mut nodes[1..] {
        assert_eq!(node.next_request().await, request, "every node gets the same bytes");
    }
    nodes[2].answer(&request, Answer::Held).await;
    nodes[2].answer(&request, Answer::Held).await;
    eventually("the answer arrives", || frontend.counters().nodes[2].held == 1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!submitted.is_finished(), "one node may lie");
    nodes[0].answer(&request, Answer::Held).await;
    assert_eq!(submitted.await.unwrap(), Ok(()));
    assert_eq!((frontend.counters().envelopes_held, frontend.counters().submitted_bytes), (1, 0));
    frontend.stop().await;
}

#[tokio::test]
async fn envelopes_that_wait_together_go_out_together_and_in_order() {
    let network = Network::new(&FOUR);
    let (frontend, mut nodes) = connected(&network).await;
    let channel = channel_id();
    let waiting: Vec<_> =
        (0..3000_u32).map(|i| frontend.submit(&channel, order(Bytes::copy_from_slice(&i.to_be_bytes())))).collect();
    let mut received = Vec::new();
    let mut requests = 0;
    while received.len() < 3000 {
        let request = nodes[1].next_request().await;
        assert!(envelopes(&request).len() <= 500);
        received.extend(envelopes(&request));
        requests += 1;
        for replica in [0, 3] {
            nodes[replica].answer(&request, Answer::Held).await;
        }
    }
    assert!(received.iter().zip(0_u32..).all(|(envelope, i)| envelope[..] == i.to_be_bytes()));
    assert!(requests < 100, "{requests} requests");
    for submitted in waiting {
        assert_eq!(submitted.await, Ok(()));
    }
}

#[tokio::test]
async fn a_configuration_goes_out_in_a_command_of_its_own() {
    let network = Network::new(&FOUR);
    let (frontend, mut nodes) = connected(&network).await;
    let channel = channel_id();
    let orders = [
        order(Bytes::from_static(b"before")),
        Order::Config { sequence: 3, envelope: Bytes::from_static(b"config") },
        Order::Envelope { sequence: 4, envelope: Bytes::from_static(b"after") },
    ];
    let waiting = orders.map(|order| tokio::spawn(frontend.submit(&channel, order)));
    let mut commands = Vec::new();
    while commands.len() < 3 {
        let request = nodes[1].next_request().await;
        commands.extend(decode(request.value().body.clone()).unwrap());
        for replica in [0, 3] {
            nodes[replica].answer(&request, Answer::Held).await;
        }
    }
    let envelopes = |sequence, envelope: &'static [u8]| Command::Envelopes {
        channel: channel.clone(),
        sequence,
        envelopes: vec![Bytes::from_static(envelope)],
    };
    let config = Command::Config { channel: channel.clone(), sequence: 3, envelope: Bytes::from_static(b"config") };
    for expected in [envelopes(3, b"before"), config, envelopes(4, b"after")] {
        assert!(commands.contains(&expected), "{commands:?}");
    }
    for submitted in waiting {
        assert_eq!(submitted.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn a_node_that_is_overloaded_is_asked_again() {
    let network = Network::new(&FOUR);
    let (frontend, mut nodes) = connected(&network).await;
    let submitted = submit(&frontend, b"envelope");
    for node in &mut nodes[..2] {
        let request = node.next_request().await;
        node.answer(&request, Answer::Overloaded).await;
    }
    for node in &mut nodes[..2] {
        let again = node.next_request().await;
        node.answer(&again, Answer::Held).await;
    }
    assert_eq!(submitted.await.unwrap(), Ok(()));
    assert_eq!(frontend.counters().nodes[1].overloaded, 1);
}

/// A frontend whose four sessions stand.
async fn connected(network: &Network) -> (FrontendHandle, Vec<FakeNode<DuplexStream>>) {
    let (frontend, nodes) = network.welcomed(Bodies::Pushed).await;
    eventually("the sessions stand", || frontend.counters().nodes.iter().all(|node| node.connected)).await;
    (frontend, nodes)
}

#[tokio::test]
async fn with_too_few_nodes_in_reach_a_client_is_refused_at_once() {
    let network = Network::new(&FOUR);
    let (frontend, ends) = network.frontend(Bodies::Pushed);
    let refused = || frontend.submit(&channel_id(), order(Bytes::from_static(b"envelope")));
    assert_eq!(refused().await, Err(SubmitError::NotOpen));
    let mut ends = ends.into_iter();
    let _one = FakeNode::welcome(ends.next().unwrap(), 0, Vec::new()).await;
    eventually("one session stands", || frontend.counters().nodes[0].connected).await;
    assert_eq!(refused().await, Err(SubmitError::NotOpen), "f nodes cannot hold it");
    let mut other = FakeNode::welcome(ends.next().unwrap(), 1, Vec::new()).await;
    eventually("two sessions stand", || frontend.counters().nodes[1].connected).await;
    let submitted = submit(&frontend, b"envelope");
    other.next_request().await;
    assert!(!submitted.is_finished());
}

#[tokio::test]
async fn past_the_bound_a_client_is_refused_at_once() {
    let network = Network::new(&FOUR);
    let (frontend, _nodes) = connected(&network).await;
    let large = Bytes::from(vec![0; SUBMITTED_BYTES_MAX / 4]);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(tokio::spawn(frontend.submit(&channel_id(), order(large.clone()))));
    }
    assert_eq!(frontend.submit(&channel_id(), order(large)).await, Err(SubmitError::Overloaded));
    let whole = Bytes::from(vec![0; SUBMITTED_BYTES_MAX + 1]);
    assert_eq!(frontend.submit(&channel_id(), order(whole)).await, Err(SubmitError::Overloaded));
    assert_eq!(frontend.counters().envelopes_overloaded, 2);
    frontend.stop().await;
    for submitted in waiting {
        assert_eq!(submitted.await.unwrap(), Err(SubmitError::Closed));
    }
}

#[tokio::test]
async fn a_channel_opens_when_a_correct_node_says_that_it_is_the_same_one() {
    let network = Network::new(&FOUR);
    let (frontend, ends) = network.frontend(Bodies::Pushed);
    let local = network.channel();
    let mut nodes = Vec::new();
    let other = Opened { genesis: [9; 32], ..network.opened() };
    for (replica, end) in ends.into_iter().enumerate() {
        let channels = [vec![network.opened()], vec![other.clone()], vec![other.clone()], vec![]];
        nodes.push(FakeNode::welcome(end, replica, channels[replica].clone()).await);
    }
    frontend.add_channel(local.channel.clone()).unwrap();
    assert!(matches!(frontend.add_channel(local.channel.clone()), Err(FrontendError::Exists(_))));
    assert_eq!(local.channel.state(), ChannelState::Opening, "one says so, two mean another channel");
    nodes[1].send(ToFrontend::Opened(other)).await;
    eventually("the other channel is held against its node", || frontend.counters().nodes[1].wrong_headers >= 1).await;
    assert_eq!(local.channel.state(), ChannelState::Opening);
    nodes[3].send(ToFrontend::Opened(network.opened())).await;
    eventually("the channel opens", || local.channel.state() == ChannelState::Open).await;
}

#[tokio::test]
async fn a_node_that_sends_garbage_or_poses_as_another_is_named() {
    let network = Network::new(&FOUR);
    let (frontend, ends) = network.frontend(Bodies::Pushed);
    let mut ends = ends.into_iter();
    let mut garbage = ends.next().unwrap();
    garbage.write_all(b"\0\0\0\x05HTTP/1.1 400 Bad Request").await.unwrap();
    let _posing = FakeNode::welcome(ends.next().unwrap(), 3, Vec::new()).await;
    let refusal = ToFrontend::Refused("another group".to_owned());
    let _refusing = FakeNode::answer_hello(ends.next().unwrap(), refusal).await;
    let mut late = FakeNode::welcome(ends.next().unwrap(), 3, Vec::new()).await;
    late.send(ToFrontend::Refused("shutting down".to_owned())).await;
    eventually("all are counted", || {
        let nodes = frontend.counters().nodes;
        (nodes[0].garbage, nodes[1].garbage, nodes[2].refused, nodes[3].refused) == (1, 1, 1, 1)
    })
    .await;
    eventually("no session stands", || frontend.counters().nodes.iter().all(|node| !node.connected)).await;
    assert_eq!(frontend.counters().nodes.iter().map(|node| node.sessions).sum::<u64>(), 1, "the late one's");
}

#[tokio::test]
async fn a_silent_or_slow_node_holds_nobody_up() {
    let network = Network::new(&FOUR);
    let (frontend, mut nodes) = connected(&network).await;
    let large = Bytes::from(vec![0; 1 << 20]);
    // Node 3 never reads: far more than its outbox and its connection hold goes past it.
    for _ in 0..40 {
        let submitted = tokio::spawn(frontend.submit(&channel_id(), order(large.clone())));
        for node in &mut nodes[..3] {
            let request = node.next_request().await;
            node.answer(&request, Answer::Held).await;
        }
        assert_eq!(submitted.await.unwrap(), Ok(()));
    }
    assert!(frontend.counters().nodes[3].lagging);
    let request = nodes[3].next_request().await;
    assert_eq!(request.value().id.sequence.0, 1, "what it gets begins where it stopped");
}

struct Listening {
    listener: TcpListener,
    identity: frontend_shim::tls_identity::TlsIdentity,
}

impl Listening {
    async fn accept(&self) -> (tokio_rustls::server::TlsStream<TcpStream>, Option<Spki>) {
        let config = server_config(&self.identity, &[ALPN_FRONTEND], ClientAuth::Requested).unwrap();
        let stream = tls::accept(self.listener.accept().await.unwrap().0, config).await.unwrap();
        let peer = peer_spki(stream.get_ref().1).unwrap();
        (stream, peer)
    }
}

#[tokio::test]
async fn a_link_that_breaks_is_made_again_and_what_was_not_acknowledged_is_sent_again() {
    let mut listeners = Vec::new();
    for _ in 0..4 {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    let network = Network::new(&ports);
    let group = network.group();
    let directory = Arc::new(Directory::of_group(&group));
    let nodes = group
        .view()
        .replicas()
        .map(|replica| NodeEndpoint { replica, address: NodeAddress::Dial(Arc::clone(&directory)) });
    let setup = FrontendSetup {
        nodes: nodes.collect(),
        group: group.clone(),
        identity: network.tls[2].clone(),
        bodies: Bodies::Pushed,
        session_window: 4096,
    };
    let frontend = Frontend::start(setup).unwrap();
    let local = network.channel();
    frontend.add_channel(local.channel.clone()).unwrap();
    let listening: Vec<_> = (listeners.into_iter().zip(&network.tls))
        .map(|(listener, identity)| Listening { listener, identity: identity.clone() })
        .collect();

    let (stream, peer) = listening[1].accept().await;
    assert_eq!(peer, Some(network.tls[2].spki().unwrap()));
    assert_eq!(group.replica_by_tls_key(&peer.unwrap()), Some(ReplicaId(2)));
    let mut node = FakeNode::welcome(stream, 1, Vec::new()).await;
    assert_eq!(node.next().await, ToNode::Subscribe { channel: channel_id(), from: 1, until: 257 });
    let _other = FakeNode::welcome(listening[0].accept().await.0, 0, Vec::new()).await;
    eventually("two sessions stand", || frontend.counters().nodes[..2].iter().all(|node| node.connected)).await;
    let submitted = submit(&frontend, b"envelope");
    let request = node.next_request().await;
    drop(node);
    let (stream, _) = listening[1].accept().await;
    let mut node = FakeNode::welcome(stream, 1, Vec::new()).await;
    assert!(matches!(node.next().await, ToNode::Subscribe { from: 1, .. }), "subscribed again");
    assert_eq!(node.next_request().await, request, "and the same request");
    node.answer(&request, Answer::Held).await;

    let (stream, _) = listening[3].accept().await;
    let mut late = FakeNode::welcome(stream, 3, Vec::new()).await;
    assert_eq!(late.next_request().await, request, "also to one that was not there before");
    late.answer(&request, Answer::Held).await;
    assert_eq!(submitted.await.unwrap(), Ok(()));
    assert_eq!(frontend.counters().nodes[1].sessions, 2);
    frontend.stop().await;
}

#[tokio::test]
async fn a_node_with_another_key_gets_no_session() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let network = Network::new(&[port, 7051, 7052, 7053]);
    let group = network.group();
    let address = NodeAddress::Dial(Arc::new(Directory::of_group(&group)));
    let setup = FrontendSetup {
        nodes: vec![NodeEndpoint { replica: ReplicaId(0), address }],
        group,
        identity: network.tls[1].clone(),
        bodies: Bodies::Pushed,
        session_window: 4096,
    };
    let frontend = Frontend::start(setup).unwrap();
    let config = server_config(&network.tls[3], &[ALPN_FRONTEND], ClientAuth::Requested).unwrap();
    assert!(tls::accept(listener.accept().await.unwrap().0, config).await.is_err());
    assert_eq!(frontend.counters().nodes[0].sessions, 0);
}

#[tokio::test]
async fn a_node_that_is_known_to_be_up_is_dialled_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let network = Network::new(&[port, 7051, 7052, 7053]);
    let group = network.group();
    let address = NodeAddress::Dial(Arc::new(Directory::of_group(&group)));
    let setup = FrontendSetup {
        nodes: vec![NodeEndpoint { replica: ReplicaId(0), address }],
        group,
        identity: network.tls[1].clone(),
        bodies: Bodies::Pushed,
        session_window: 4096,
    };
    let frontend = Frontend::start(setup).unwrap();
    // Who closes every connection is dialled after ever longer waits.
    let mut last = Instant::now();
    loop {
        drop(listener.accept().await.unwrap());
        if last.elapsed() > Duration::from_millis(1500) {
            break;
        }
        last = Instant::now();
    }
    frontend.on_node_up(ReplicaId(9));
    frontend.on_node_up(ReplicaId(0));
    for when in ["at once", "and the waits begin anew"] {
        let dialled = tokio::time::timeout(Duration::from_secs(1), listener.accept()).await;
        drop(dialled.expect(when).unwrap());
    }
    frontend.stop().await;
}

#[tokio::test]
async fn nodes_that_are_not_of_the_group_are_refused_at_the_start() {
    let network = Network::new(&FOUR);
    for replicas in [vec![4], vec![1, 1]] {
        let nodes = replicas.iter().map(|&replica| NodeEndpoint {
            replica: ReplicaId(replica),
            address: NodeAddress::InProcess(tokio::io::duplex(1).0),
        });
        let setup = FrontendSetup {
            nodes: nodes.collect(),
            group: network.group(),
            identity: network.tls[0].clone(),
            bodies: Bodies::Pushed,
            session_window: 4096,
        };
        assert!(matches!(Frontend::start(setup), Err(FrontendError::Node(_))));
    }
}

#[tokio::test]
async fn one_node_alone_is_enough_for_a_group_of_one() {
    let network = Network::new(&FOUR[..1]);
    let (frontend, mut nodes) = connected(&network).await;
    let submitted = submit(&frontend, b"envelope");
    let request = nodes[0].next_request().await;
    nodes[0].answer(&request, Answer::Held).await;
    assert_eq!(submitted.await.unwrap(), Ok(()));
}
