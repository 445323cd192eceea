//! Garbage on the listener, from strangers and from somebody who holds a node's keys.

use std::sync::Arc;
use std::time::Duration;

use frontend_shim::framing::encode_frame;
use frontend_shim::tls::{self, ALPN_FRONTEND, ALPN_GRPC, ALPN_MESH, ServerTrust};
use frontend_shim::tls_identity::{TlsIdentity, load_certificates};
use integration::client::{Load, LoadPlan, one_chain};
use integration::material::{self, Cutting};
use integration::network::Network;
use integration::site::section;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_changes_nothing_and_is_counted() {
    let network = Network::start(&Cutting::default()).await.unwrap();
    let load = Load::start(&network, &[1, 2, 3, 4], LoadPlan { rate_per_s: 50, data_bytes: 200 }).unwrap();
    load.wait_for_more(50).await.unwrap();

    let ca = material::tls_authority();
    let identity = |folder: std::path::PathBuf, name: &str| {
        TlsIdentity::load(&folder.join(format!("{name}.crt")), &folder.join(format!("{name}.key"))).unwrap()
    };
    let user = "peerOrganizations/org1.example.com/users/User1@org1.example.com/tls";
    let nobody = None;
    let stranger = Some(identity(material::crypto().join(user), "client"));
    let a_node = Some(identity(material::orderer(4).join("tls"), "server"));
    let trust = ServerTrust::Authorities(load_certificates(&ca).unwrap());
    for garbage in garbages() {
        for visitor in [&nobody, &stranger, &a_node] {
            for protocol in [Some(ALPN_GRPC), None, Some(ALPN_MESH), Some(ALPN_FRONTEND)] {
                let config = tls::client_config(visitor.as_ref(), protocol.unwrap_or(b"h2"), trust.clone()).unwrap();
                let mut config = ClientConfig::clone(&config);
                if protocol.is_none() {
                    config.alpn_protocols.clear();
                }
                visit(&network.address(1), Some(Arc::new(config)), &garbage).await;
            }
        }
        visit(&network.address(1), None, &garbage).await;
    }

    load.wait_for_more(50).await.unwrap();
    let outcome = load.stop().await.unwrap();
    let chain = one_chain(&network, &[1, 2, 3, 4]).await.unwrap();
    outcome.check(&chain).unwrap();

    let report = network.status(1).await.unwrap();
    let listener = &section(&report, "listeners").unwrap()[0];
    let door = section(&report, "mesh_door").unwrap();
    let visits = garbages().len() as u64;
    // Bytes that are no TLS; nobody at two private protocols; a user of another organisation, and a node, at the mesh.
    assert!(count(listener, "handshakes_failed") >= visits, "{listener}");
    assert!(count(listener, "without_certificate") >= 2 * visits, "{listener}");
    assert!(count(door, "strangers") >= visits, "{door}");
    assert!(count(door, "garbled") >= visits - 1, "{door}");
    let log = network.log(1);
    for line in ["refused a link of a stranger", "refused a link"] {
        assert!(log.contains(line), "{log}");
    }
    for peer in section(&report, "mesh").unwrap()[0].as_array().unwrap() {
        assert_eq!(peer["connected"], Value::Bool(true), "{peer}");
    }
}

/// Connects, says it, and waits until the other side has had enough, or a moment.
async fn visit(address: &str, tls: Option<Arc<ClientConfig>>, garbage: &[u8]) {
    match tls {
        None => say(TcpStream::connect(address).await.unwrap(), garbage).await,
        // A visitor who is turned away during the handshake may learn of it there or later.
        Some(config) => {
            if let Ok(stream) = tls::dial(address, config).await {
                say(stream, garbage).await;
            }
        }
    }
}

async fn say(mut stream: impl AsyncWrite + tokio::io::AsyncRead + Unpin, garbage: &[u8]) {
    // The other side may close at any byte.
    drop(stream.write_all(garbage).await);
    drop(stream.flush().await);
    let mut answer = Vec::new();
    drop(tokio::time::timeout(Duration::from_millis(100), stream.read_to_end(&mut answer)).await);
}

fn garbages() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        // A frame that announces more than any frame may have, one that is empty, one of an unknown kind, one with a
        // known kind and nothing sensible in it.
        vec![0xff; 64],
        vec![0; 64],
        encode_frame(99, &[b"garbage"]).to_vec(),
        encode_frame(1, &[b"garbage"]).to_vec(),
        (0..100_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
    ]
}

fn count(counters: &Value, name: &str) -> u64 {
    counters[name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {counters}"))
}
