//! Metrics sent to a StatsD server, under Fabric's names: `ledger.blockchain_height.mychannel`.
//!
//! A name is the prefix, the name of the family with dots between its parts, and the values of the labels. What grew is sent as what
//! it grew by; of what took time, the mean of the interval is sent with the sample rate that makes the server count as many as
//! there were. Like Fabric's, times are in seconds, whatever the suffix says. Nothing waits for the server: what it does not
//! take within an interval is lost.

use std::collections::BTreeMap;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::Operations;
use super::metrics;
use super::metrics::families::{COUNT, Families, Family, Kind, SUM, Sample};
use crate::config::{Statsd, StatsdNetwork};

/// Sends all metrics at each interval until `stop`. A server that cannot be reached is tried again at the next; the log says so
/// once.
pub async fn push(settings: Statsd, operations: Operations, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(settings.write_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut told, mut connection, mut is_failing) = (Told::default(), None, false);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let lines = told.lines(&metrics::families(&operations.snapshot()), &settings.prefix);
        let sent = timeout(settings.write_interval, send(&settings, &mut connection, &lines)).await;
        let sent = sent.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        match &sent {
            Err(error) if !is_failing => {
                tracing::warn!(address = %settings.address, %error, "metrics cannot be sent to StatsD; trying again");
            }
            Ok(()) if is_failing => tracing::info!(address = %settings.address, "metrics are sent to StatsD again"),
            _ => {}
        }
        is_failing = sent.is_err();
        if is_failing {
            connection = None;
        }
    }
}

async fn send(settings: &Statsd, connection: &mut Option<TcpStream>, lines: &[String]) -> std::io::Result<()> {
    let address = settings.address.to_string();
    match settings.network {
        StatsdNetwork::Udp => {
            let mut last = Err(std::io::ErrorKind::NotFound.into());
            for server in tokio::net::lookup_host(address).await? {
                let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(server).await?;
                last = async {
                    for datagram in datagrams(lines) {
                        socket.send(datagram.as_bytes()).await?;
                    }
                    Ok(())
                }
                .await;
                if last.is_ok() {
                    break;
                }
            }
            last
        }
        StatsdNetwork::Tcp => {
            let stream = match connection {
                Some(stream) => stream,
                None => connection.insert(TcpStream::connect(address).await?),
            };
            stream.write_all(lines.concat().as_bytes()).await
        }
    }
}

/// Lines put together, as many as fit into a packet of an ordinary network. A single longer one goes alone.
fn datagrams(lines: &[String]) -> Vec<String> {
    let mut datagrams: Vec<String> = Vec::new();
    for line in lines {
        match datagrams.last_mut() {
            Some(last) if last.len() + line.len() <= DATAGRAM_BYTES_MAX => last.push_str(line),
            _ => datagrams.push(line.clone()),
        }
    }
    datagrams
}

/// What the server was told of everything that only grows.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, f64>);

impl Told {
    /// What it is to be told now, each line with its end.
    fn lines(&mut self, families: &Families, prefix: &str) -> Vec<String> {
        let separator = if prefix.is_empty() || prefix.ends_with('.') { "" } else { "." };
        let (mut lines, mut now) = (Vec::new(), BTreeMap::new());
        for family in families.list() {
            let name = |sample: &Sample| format!("{prefix}{separator}{}", name_of(&family.name, sample));
            match family.kind {
                Kind::Gauge => {
                    let each =
                        family.samples.iter().map(|(_, sample)| format!("{}:{}|g\n", name(sample), sample.value));
                    lines.extend(each);
                }
                Kind::Counter => {
                    for (_, sample) in &family.samples {
                        let grown = self.grown(&mut now, name(sample), number(sample));
                        lines.extend((grown > 0.0).then(|| format!("{}:{grown}|c\n", name(sample))));
                    }
                }
                Kind::Summary | Kind::Histogram => {
                    for (sum, count) in distributions(family) {
                        let seconds = self.grown(&mut now, format!("{}{SUM}", name(sum)), number(sum));
                        let times = self.grown(&mut now, format!("{}{COUNT}", name(count)), number(count));
                        if times > 0.0 {
                            let rate = if times > 1.0 { format!("|@{:.9}", 1.0 / times) } else { String::new() };
                            lines.push(format!("{}:{:.9}|ms{rate}\n", name(sum), seconds / times));
                        }
                    }
                }
            }
        }
        // What is not there any more is forgotten.
        self.0 = now;
        lines
    }

    /// By how much a series has grown since the server was told of it. One that fell has begun again.
    fn grown(&self, now: &mut BTreeMap<String, f64>, series: String, value: f64) -> f64 {
        let before = self.0.get(&series).copied().filter(|before| *before <= value).unwrap_or(0.0);
        now.insert(series, value);
        value - before
    }
}

/// Sums with their counts, which stand in the same order.
fn distributions(family: &Family) -> impl Iterator<Item = (&Sample, &Sample)> {
    let with_end = |wanted| family.samples.iter().filter(move |(end, _)| *end == wanted).map(|(_, sample)| sample);
    with_end(SUM).zip(with_end(COUNT))
}

fn number(sample: &Sample) -> f64 {
    // Every sample is made of a number.
    sample.value.parse().unwrap_or_default()
}

/// Fabric writes the parts of a name with dots, and the values of labels behind it.
fn name_of(family: &str, sample: &Sample) -> String {
    let found = NAMESPACES.iter().find_map(|namespace| {
        let rest = family.strip_prefix(namespace)?.strip_prefix('_')?;
        Some(format!("{}.{rest}", namespace.replace('_', ".")))
    });
    let mut name = found.unwrap_or_else(|| family.replacen('_', ".", 1));
    for (_, value) in &sample.labels {
        name.push('.');
        name.push_str(&value.replace(|c: char| matches!(c, '.' | '|' | ':') || c.is_whitespace(), "_"));
    }
    name
}

/// Namespaces of Fabric that have two parts; the others are what stands before the first underscore.
const NAMESPACES: [&str; 3] = ["cluster_comm", "consensus_BFT", "grpc_comm"];

/// What a packet of Ethernet has room for, with IPv6 and UDP in it.
const DATAGRAM_BYTES_MAX: usize = 1432;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_fabrics_reference() {
        let name = |family, labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            name_of(family, &Sample { labels, value: "1".to_owned() })
        };
        let channel = ("channel", "my.channel");
        assert_eq!(name("ledger_blockchain_height", &[channel]), "ledger.blockchain_height.my_channel");
        let of_broadcast = [("channel", "ch"), ("type", "ENDORSER_TRANSACTION"), ("status", "SUCCESS")];
        let expected = "broadcast.processed_count.ch.ENDORSER_TRANSACTION.SUCCESS";
        assert_eq!(name("broadcast_processed_count", &of_broadcast), expected);
        assert_eq!(name("grpc_comm_conn_opened", &[]), "grpc.comm.conn_opened");
        assert_eq!(name("cluster_comm_egress_tls_connection_count", &[]), "cluster.comm.egress_tls_connection_count");
        assert_eq!(name("consensus_BFT_is_leader", &[("channel", "ch")]), "consensus.BFT.is_leader.ch");
        assert_eq!(name("logging_entries_written", &[("level", "info")]), "logging.entries_written.info");
        assert_eq!(name("fabric_version", &[("version", "3.1.0 a|b:c")]), "fabric.version.3_1_0_a_b_c");
    }

    #[test]
    fn lines_are_put_together_up_to_the_size_of_a_packet() {
        let lines: Vec<String> = (0..100).map(|number| format!("{number:099}\n")).collect();
        let datagrams = datagrams(&lines);
        assert_eq!(datagrams.concat(), lines.concat());
        assert!(
            datagrams.len() == 8 && datagrams.iter().all(|it| it.len() <= DATAGRAM_BYTES_MAX && it.ends_with('\n'))
        );
    }
}
