//! The listener over loopback: the right door for each protocol, slow and wrong handshakes, busy ports.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use frontend_shim::tls::{ALPN_FRONTEND, ALPN_GRPC, ALPN_MESH, ClientAuth, ServerTrust, Spki, TlsError};
use frontend_shim::tls_identity::TlsIdentity;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::keys::test_authority::TestAuthority;

struct World {
    listener: ListenerHandle,
    server: TlsIdentity,
    client: TlsIdentity,
    grpc: mpsc::Receiver<Accepted>,
    mesh: mpsc::Receiver<Accepted>,
    frontend: mpsc::Receiver<Accepted>,
}

fn config(identity: &TlsIdentity) -> Arc<rustls::ServerConfig> {
    tls::server_config(identity, &[ALPN_GRPC, ALPN_MESH, ALPN_FRONTEND], ClientAuth::Requested).unwrap()
}

async fn world(limits: ListenerLimits, connections_max: usize) -> World {
    let authority = TestAuthority::new();
    let (server, client) = (authority.issue("server"), authority.issue("client"));
    let (doors, [grpc, mesh, frontend]) = doors(connections_max);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener = listener.start(Security::Tls(config(&server)), doors, limits);
    World { listener, server, client, grpc, mesh, frontend }
}

fn doors(connections_max: usize) -> (Doors, [mpsc::Receiver<Accepted>; 3]) {
    let ((grpc, a), (mesh, b), (frontend, c)) = (door(connections_max), door(connections_max), door(connections_max));
    (Doors { grpc: Some(grpc), mesh: Some(mesh), frontend: Some(frontend) }, [a, b, c])
}

type Dialled = tokio_rustls::client::TlsStream<TcpStream>;

impl World {
    async fn dial(&self, identity: Option<&TlsIdentity>, alpn: &[u8]) -> Result<Dialled, TlsError> {
        let trust = ServerTrust::Pinned(self.server.spki().unwrap());
        let mut config = tls::client_config(identity, alpn, trust).unwrap();
        if alpn.is_empty() {
            Arc::make_mut(&mut config).alpn_protocols.clear();
        }
        tls::dial(&self.listener.address().to_string(), config).await
    }

    async fn wait_for(&self, reached: impl Fn(ListenerCounters) -> bool) {
        for _ in 0..500 {
            if reached(self.listener.counters()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.listener.counters());
    }
}

async fn next(door: &mut mpsc::Receiver<Accepted>) -> Accepted {
    timeout(Duration::from_secs(10), door.recv()).await.unwrap().unwrap()
}

/// Both ends are the ends of the same connection.
async fn assert_joined(mut dialled: Dialled, mut accepted: Accepted) {
    dialled.write_all(b"ping").await.unwrap();
    dialled.flush().await.unwrap();
    let mut bytes = [0; 4];
    accepted.socket.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
    accepted.socket.write_all(b"pong").await.unwrap();
    accepted.socket.flush().await.unwrap();
    dialled.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"pong");
    assert_eq!(accepted.peer, dialled.get_ref().0.local_addr().unwrap());
}

#[tokio::test]
async fn each_protocol_comes_out_of_its_own_door_with_the_certificate() {
    let mut world = world(ListenerLimits::default(), 10).await;
    let key = world.client.spki().unwrap();
    for alpn in [ALPN_GRPC, ALPN_MESH, ALPN_FRONTEND, b""] {
        let dialled = world.dial(Some(&world.client), alpn).await.unwrap();
        let accepted = match alpn {
            ALPN_MESH => next(&mut world.mesh).await,
            ALPN_FRONTEND => next(&mut world.frontend).await,
            _ => next(&mut world.grpc).await,
        };
        assert!(accepted.socket.is_tls());
        assert_eq!(Spki::of_certificate(&accepted.certificates[0]).unwrap(), key);
        assert_joined(dialled, accepted).await;
    }
    for door in [&mut world.grpc, &mut world.mesh, &mut world.frontend] {
        assert!(door.try_recv().is_err(), "nothing came out twice");
    }
    assert_eq!(world.listener.counters(), ListenerCounters { accepted: 4, ..ListenerCounters::default() });
}

#[tokio::test]
async fn only_grpc_comes_in_without_a_certificate() {
    let mut world = world(ListenerLimits::default(), 10).await;
    let dialled = world.dial(None, ALPN_GRPC).await.unwrap();
    let accepted = next(&mut world.grpc).await;
    assert!(accepted.certificates.is_empty());
    assert_joined(dialled, accepted).await;
    for alpn in [ALPN_MESH, ALPN_FRONTEND] {
        let mut dialled = world.dial(None, alpn).await.unwrap();
        assert_eq!(dialled.read(&mut [0]).await.unwrap_or(0), 0, "closed");
    }
    world.wait_for(|counters| counters.without_certificate == 2).await;
    assert!(world.mesh.try_recv().is_err() && world.frontend.try_recv().is_err());
}

#[tokio::test]
async fn a_plain_listener_serves_grpc_only() {
    let (doors, [mut grpc, mut mesh, _]) = doors(10);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener = listener.start(Security::Plain, doors, ListenerLimits::default());
    let mut dialled = TcpStream::connect(listener.address()).await.unwrap();
    dialled.write_all(b"PRI").await.unwrap();
    let mut accepted = next(&mut grpc).await;
    let mut bytes = [0; 3];
    accepted.socket.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"PRI");
    assert!(!accepted.socket.is_tls() && accepted.certificates.is_empty());
    assert!(mesh.try_recv().is_err());
}

#[tokio::test]
async fn a_protocol_without_a_door_is_not_served() {
    let authority = TestAuthority::new();
    let (server, client) = (authority.issue("server"), authority.issue("client"));
    let (mesh_door, mut mesh) = door(10);
    let doors = Doors { mesh: Some(mesh_door), ..Doors::default() };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener = listener.start(Security::Tls(config(&server)), doors, ListenerLimits::default());
    let (_, [grpc, unused, frontend]) = self::doors(1);
    let world = World { listener, server, client, grpc, mesh: unused, frontend };
    let mut dialled = world.dial(Some(&world.client), ALPN_GRPC).await.unwrap();
    assert_eq!(dialled.read(&mut [0]).await.unwrap_or(0), 0, "closed");
    world.wait_for(|counters| counters.not_served == 1).await;
    let dialled = world.dial(Some(&world.client), ALPN_MESH).await.unwrap();
    assert_joined(dialled, next(&mut mesh).await).await;
}

#[tokio::test]
async fn a_busy_port_is_named() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = Listener::bind(first.address()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen on {}: ", first.address())), "{text}");
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn silent_visitors_hold_nobody_up() {
    let limits = ListenerLimits {
        handshake_time_max: Duration::from_secs(60),
        handshakes_max: 3,
        handshake_fair_time: Duration::from_millis(50),
    };
    let mut world = world(limits, 10).await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(TcpStream::connect(world.listener.address()).await.unwrap());
    }
    let dialled = world.dial(Some(&world.client), ALPN_MESH).await.unwrap();
    assert_joined(dialled, next(&mut world.mesh).await).await;
    let displaced = world.listener.counters().handshakes_displaced;
    assert!((10..=12).contains(&displaced), "{displaced}");
}

#[tokio::test]
async fn a_handshake_ends_in_time_and_garbage_at_once() {
    let limits = ListenerLimits { handshake_time_max: Duration::from_millis(50), ..ListenerLimits::default() };
    let world = world(limits, 10).await;
    let mut silent = TcpStream::connect(world.listener.address()).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0, "closed");
    world.wait_for(|counters| counters.handshakes_timed_out == 1).await;
    let mut garbage = TcpStream::connect(world.listener.address()).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    world.wait_for(|counters| counters.handshakes_failed == 1).await;
}

#[tokio::test]
async fn connections_of_a_door_are_bounded_and_those_of_others_not_touched() {
    let mut world = world(ListenerLimits::default(), 2).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let dialled = world.dial(None, ALPN_GRPC).await.unwrap();
        open.push((dialled, next(&mut world.grpc).await));
    }
    let mut third = world.dial(None, ALPN_GRPC).await.unwrap();
    assert_eq!(third.read(&mut [0]).await.unwrap_or(0), 0, "closed");
    world.wait_for(|counters| counters.overloaded == 1).await;
    let dialled = world.dial(Some(&world.client), ALPN_MESH).await.unwrap();
    assert_joined(dialled, next(&mut world.mesh).await).await;
    open.pop();
    let dialled = world.dial(None, ALPN_GRPC).await.unwrap();
    assert_joined(dialled, next(&mut world.grpc).await).await;
}

#[tokio::test]
async fn a_replaced_configuration_counts_for_new_connections() {
    let mut world = world(ListenerLimits::default(), 10).await;
    let renewed = TestAuthority::new().issue("renewed");
    world.listener.replace_tls(config(&renewed));
    assert!(world.dial(None, ALPN_GRPC).await.is_err(), "no longer the pinned key");
    world.server = renewed;
    let dialled = world.dial(None, ALPN_GRPC).await.unwrap();
    assert_joined(dialled, next(&mut world.grpc).await).await;
}
