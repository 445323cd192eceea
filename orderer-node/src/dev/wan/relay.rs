//! A listener in the place of a process: who dials it reaches that process, as from the other side of the world.
//!
//! TLS goes through from end to end: bytes are forwarded and not looked at. What cannot be delayed from here, the system's
//! own handshake, is made up for: the first bytes of a connection arrive when they would if it had taken a round trip.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::alarm::Alarm;
use super::line::Line;
use super::pump::{Broken, carry};

/// The two directions between who dials and who is dialled.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) there: Arc<Line>,
    pub(super) back: Arc<Line>,
}

/// One such listener, and the connections through it. They end when it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Relay {
    /// Listens on a port of loopback that the system chooses.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn start(target: SocketAddr, way: Way, alarm: Arc<Alarm>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("cannot listen for an emulated link")?;
        let address = listener.local_addr().context("cannot listen for an emulated link")?;
        let task = AbortOnDropHandle::new(tokio::spawn(accept(listener, target, way, alarm)));
        Ok(Self { address, _task: task })
    }

    /// Where it is dialled.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, way: Way, alarm: Arc<Alarm>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let near = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => near,
                // Too few file descriptors, for example: others will end.
                Err(_) => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let (way, alarm) = (way.clone(), Arc::clone(&alarm));
        connections.spawn(async move {
            connect(near, target, &way, &alarm).await;
            drop(place);
        });
    }
}

async fn connect(mut near: TcpStream, target: SocketAddr, way: &Way, alarm: &Alarm) {
    alarm.wait(Instant::now() + way.there.delay()).await;
    let far = TcpStream::connect(target).await;
    let heard_at = Instant::now() + way.back.delay();
    let Ok(mut far) = far else {
        alarm.wait(heard_at).await;
        break_off(&near);
        return;
    };
    // Where it fails the connection is slower, and nothing else.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let outcome: Result<_, Broken> = {
        let ((near_in, near_out), (far_in, far_out)) = (near.split(), far.split());
        let (there, back) = (&*way.there, &*way.back);
        tokio::try_join!(
            carry(near_in, far_out, (there, back), alarm, heard_at + there.delay()),
            carry(far_in, near_out, (back, there), alarm, heard_at),
        )
    };
    if outcome.is_err() {
        break_off(&near);
        break_off(&far);
    }
}

/// Whoever is at the other end sees a reset instead of an end.
fn break_off(stream: &TcpStream) {
    // Otherwise it sees an end, which is as good for nodes and frontends.
    let _ = stream.set_zero_linger();
}

/// Two processes have a few between them.
const CONNECTIONS_MAX: usize = 256;
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::matrix::OneWay;
    use super::*;

    async fn relay(target: SocketAddr, delay: Duration, bytes_per_s: Option<f64>) -> Relay {
        let line = || Arc::new(Line::new(OneWay { mean: delay, ..OneWay::default() }, bytes_per_s, 1));
        let way = Way { there: line(), back: line() };
        Relay::start(target, way, Arc::new(Alarm::start().unwrap())).await.unwrap()
    }

    /// A connection through a relay, seen from both ends.
    async fn pair(delay: Duration, bytes_per_s: Option<f64>) -> (Relay, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = relay(listener.local_addr().unwrap(), delay, bytes_per_s).await;
        let client = TcpStream::connect(relay.address()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (relay, client, server)
    }

    /// The machine may be busy, which makes most of them late and none early: one of ten is not.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_round_trip_takes_twice_the_delay_within_a_millisecond() {
        let delay = Duration::from_micros(7_300);
        let (_relay, mut client, mut server) = pair(delay, None).await;
        let echo = tokio::spawn(async move {
            while let Ok(byte) = server.read_u8().await {
                server.write_u8(byte).await.unwrap();
            }
        });
        client.set_nodelay(true).unwrap();
        let mut trips = Vec::new();
        for number in 0..60 {
            let since = Instant::now();
            client.write_u8(number).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), number);
            trips.push(since.elapsed());
        }
        trips.remove(0);
        assert!(trips.iter().all(|trip| *trip >= 2 * delay), "{trips:?}");
        trips.sort();
        assert!(trips[trips.len() / 10] < 2 * delay + Duration::from_millis(1), "{trips:?}");
        echo.abort();
    }

    #[tokio::test]
    async fn the_first_bytes_come_after_a_round_trip_and_their_own_way() {
        let delay = Duration::from_millis(30);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = relay(listener.local_addr().unwrap(), delay, None).await;
        let since = Instant::now();
        let mut client = TcpStream::connect(relay.address()).await.unwrap();
        client.write_u8(1).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        assert!(since.elapsed() >= delay);
        server.read_u8().await.unwrap();
        assert!(since.elapsed() >= 3 * delay);
    }

    #[tokio::test]
    async fn bandwidth_is_bounded_over_both_directions_apart() {
        let (_relay, mut client, mut server) = pair(Duration::from_millis(1), Some(1e6)).await;
        let since = Instant::now();
        let sending = tokio::spawn(async move {
            client.write_all(&vec![1; 200_000]).await.unwrap();
            client
        });
        server.read_exact(&mut vec![0; 200_000]).await.unwrap();
        assert!(since.elapsed() >= Duration::from_millis(200), "{:?}", since.elapsed());
        drop(sending.await.unwrap());
    }

    #[tokio::test]
    async fn one_side_may_end_and_go_on_listening() {
        let (_relay, mut client, mut server) = pair(Duration::from_millis(2), None).await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        server.read_to_end(&mut question).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!((&question[..], &answer[..]), (&b"question"[..], &b"answer"[..]));
    }

    #[tokio::test]
    async fn a_reset_is_passed_on_after_the_delay() {
        let delay = Duration::from_millis(30);
        let (_relay, mut client, server) = pair(delay, None).await;
        let since = Instant::now();
        server.set_zero_linger().unwrap();
        drop(server);
        assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(since.elapsed() >= delay);
    }

    #[tokio::test]
    async fn who_dials_a_process_that_is_not_there_is_refused_after_a_round_trip() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let delay = Duration::from_millis(20);
        let relay = relay(gone, delay, None).await;
        let since = Instant::now();
        let mut client = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(since.elapsed() >= 2 * delay);
    }
}
