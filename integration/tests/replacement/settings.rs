//! Settings of Fabric's `orderer.yaml` that bound what clients may do, and where metrics go.

use std::time::{Duration, Instant};

use integration::client::broadcast;
use integration::process::tail;
use integration::site::PATIENCE;
use tokio::net::UdpSocket;

use crate::admin::join;
use crate::orderers::Orderers;

#[tokio::test(flavor = "multi_thread")]
async fn bounds_on_clients_and_a_statsd_server_are_taken_from_the_environment() {
    let statsd = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = statsd.local_addr().unwrap().to_string();
    let mut orderers = Orderers::start(false).await;
    let settings = [
        ("ORDERER_GENERAL_TLS_CLIENTAUTHREQUIRED", "true"),
        ("ORDERER_GENERAL_THROTTLING_RATE", "10"),
        ("ORDERER_GENERAL_MAXRECVMSGSIZE", "20000"),
        ("ORDERER_METRICS_PROVIDER", "statsd"),
        ("ORDERER_METRICS_STATSD_ADDRESS", &address),
        ("ORDERER_METRICS_STATSD_WRITEINTERVAL", "200ms"),
        ("ORDERER_METRICS_STATSD_PREFIX", "net"),
    ];
    orderers.restart_with(&settings).await;
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &orderers.genesis).await.status, 201);
    }
    // A certificate is required, and any that the channel knows is taken.
    let endpoint = orderers.endpoint_with_certificate(1, 3);
    let envelopes =
        |count: usize, bytes| (0..count).map(move |_| bytes).map(|bytes| orderers.user.transaction_of_size(bytes));
    let since = Instant::now();
    while broadcast(&endpoint, envelopes(1, 10)).await.is_err() {
        assert!(since.elapsed() < PATIENCE, "{}", tail(&orderers.said(1), 20));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(broadcast(&orderers.endpoint(1), envelopes(1, 10)).await.is_err(), "without a certificate");

    let since = Instant::now();
    broadcast(&endpoint, envelopes(25, 10)).await.unwrap();
    assert!(since.elapsed() > Duration::from_millis(1500), "ten in a second: {:?}", since.elapsed());
    broadcast(&endpoint, envelopes(1, 15_000)).await.unwrap();
    let refused = broadcast(&endpoint, envelopes(1, 25_000)).await.unwrap_err();
    assert!(format!("{refused:#}").contains("too large"), "{refused:#}");

    let (since, mut buffer) = (Instant::now(), [0; 65_536]);
    loop {
        let received = tokio::time::timeout(PATIENCE, statsd.recv(&mut buffer)).await.expect("metrics come").unwrap();
        let text = String::from_utf8_lossy(&buffer[..received]);
        let mut lines = text.lines();
        if lines.any(|line| line.starts_with("net.ledger.blockchain_height.testchannel:") && line.ends_with("|g")) {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{text}");
    }
    for id in 1..=4 {
        assert!(!orderers.said(id).contains("not applied"), "{}", orderers.said(id));
    }
}
