//! What a StatsD server gets.

use std::collections::BTreeMap;
use std::time::Duration;

use orderer_node::config::{Statsd, StatsdNetwork};
use orderer_node::operations::push;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::node::{Told, operations};

const PATIENCE: Duration = Duration::from_secs(20);

/// A node that sends there until the guard is dropped.
fn sending(network: StatsdNetwork, address: std::net::SocketAddr, prefix: &str) -> (std::sync::Arc<Told>, DropGuard) {
    let (operations, told, _) = operations(false);
    let (stop, prefix) = (CancellationToken::new(), prefix.to_owned());
    let address = address.to_string().parse().unwrap();
    let statsd = Statsd { network, address, write_interval: Duration::from_millis(100), prefix };
    tokio::spawn(push(statsd, operations, stop.clone()));
    (told, stop.drop_guard())
}

/// The values by name, of the lines of a report.
fn values(lines: &[String]) -> BTreeMap<String, String> {
    let each = lines.iter().map(|line| line.split_once(':').unwrap());
    each.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

async fn next_datagram(socket: &UdpSocket) -> Vec<String> {
    let mut buffer = [0; 65_536];
    let received = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("a report").unwrap();
    assert!(received <= 1432);
    String::from_utf8(buffer[..received].to_vec()).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_server_over_udp_is_told_everything_under_fabrics_names_and_of_counts_what_they_grew_by() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (told, _sending) = sending(StatsdNetwork::Udp, socket.local_addr().unwrap(), "orderer1");
    // A report begins with the version.
    let begins = |line: &String| line.starts_with("orderer1.fabric.version.1_2_3:1|g");
    let mut reports: Vec<Vec<String>> = Vec::new();
    // The last one may not have come in full.
    while reports.len() < 6 {
        let lines = next_datagram(&socket).await;
        if lines.iter().any(begins) {
            if reports.len() == 2 {
                told.0.lock().unwrap().node.client_side.counters.deliver_streams_opened += 5;
            }
            reports.push(Vec::new());
        }
        reports.last_mut().expect("it begins with the version").extend(lines);
    }
    let first = values(&reports[0]);
    for (name, value) in [
        ("orderer1.ledger.blockchain_height.mychannel", "42|g"),
        ("orderer1.consensus.BFT.leader_id.mychannel", "2|g"),
        ("orderer1.grpc.comm.conn_opened", "7|c"),
        ("orderer1.deliver.streams_opened", "9|c"),
        ("orderer1.ordering.disk_free_bytes", "53687091200|g"),
        // Two hundred syncs took half a second.
        ("orderer1.ordering.journal_sync_seconds.01234567", "0.002500000|ms|@0.005000000"),
    ] {
        assert_eq!(first.get(name).map(String::as_str), Some(value), "{name} in {first:?}");
    }
    let second = values(&reports[1]);
    assert_eq!(second.get("orderer1.ledger.blockchain_height.mychannel").map(String::as_str), Some("42|g"));
    assert!(!second.contains_key("orderer1.grpc.comm.conn_opened"), "nothing is new");
    let later: Vec<_> =
        reports[2..].iter().filter_map(|report| values(report).remove("orderer1.deliver.streams_opened")).collect();
    assert_eq!(later, ["5|c"]);
}

#[tokio::test]
async fn a_server_over_tcp_that_goes_away_is_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, _sending) = sending(StatsdNetwork::Tcp, address, "");
    let accept = async |listener: &TcpListener| -> Lines<BufReader<TcpStream>> {
        let (stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("a connection").unwrap();
        BufReader::new(stream).lines()
    };
    let height = async |lines: &mut Lines<BufReader<TcpStream>>| {
        while let Some(line) = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line").unwrap() {
            if line == "ledger.blockchain_height.mychannel:42|g" {
                return;
            }
        }
        panic!("the connection ended");
    };
    let mut lines = accept(&listener).await;
    height(&mut lines).await;
    height(&mut lines).await;
    drop((lines, listener));
    let listener = TcpListener::bind(address).await.unwrap();
    height(&mut accept(&listener).await).await;
}
