//! Handshakes in progress: bounded in time and number, each in its own task.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use frontend_shim::tls::{self, Protocol, TlsError};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::door::{Accepted, Door};
use super::{Shared, Socket, count, prepare};

pub(super) struct Handshakes {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    /// In order of their beginning; those that have ended are removed now and then.
    running: VecDeque<Running>,
}

struct Running {
    since: Instant,
    task: AbortHandle,
}

impl Handshakes {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, tasks: JoinSet::new(), running: VecDeque::new() }
    }

    /// Waits until one more may begin. The oldest is given up for it when it has had its fair time.
    pub(super) async fn wait_for_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.running.retain(|running| !running.task.is_finished());
            if self.tasks.len() < self.shared.limits.handshakes_max {
                return;
            }
            let fair_until = self.running.front().map(|oldest| oldest.since + self.shared.limits.handshake_fair_time);
            tokio::select! {
                _ = self.tasks.join_next() => {}
                () = sleep_until(fair_until.unwrap_or_else(Instant::now)) => self.displace_oldest(),
            }
        }
    }

    /// Begins the handshake of a new connection.
    pub(super) fn enter(&mut self, stream: TcpStream, peer: SocketAddr) {
        prepare(&stream);
        let task = self.tasks.spawn(receive(stream, peer, Arc::clone(&self.shared)));
        self.running.push_back(Running { since: Instant::now(), task });
    }

    fn displace_oldest(&mut self) {
        if let Some(oldest) = self.running.pop_front() {
            oldest.task.abort();
            count(&self.shared.tally.handshakes_displaced);
        }
    }
}

async fn receive(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let Some(config) = shared.tls.load_full() else {
        return pass_plain(stream, peer, &shared);
    };
    let handshake = timeout(shared.limits.handshake_time_max, tls::accept(stream, config));
    match handshake.await.unwrap_or(Err(TlsError::TimedOut)) {
        Ok(stream) => pass_tls(stream, peer, &shared),
        Err(TlsError::TimedOut) => {
            count(&shared.tally.handshakes_timed_out);
            tracing::debug!(%peer, "TLS handshake took too long");
        }
        Err(error) => {
            count(&shared.tally.handshakes_failed);
            tracing::debug!(%peer, %error, "TLS handshake failed");
        }
    }
}

fn pass_plain(stream: TcpStream, peer: SocketAddr, shared: &Shared) {
    let Some(door) = &shared.doors.grpc else { return reject_unserved(peer, shared) };
    let Some(place) = door.place() else { return reject_overload(peer, shared) };
    let accepted = Accepted { socket: Socket::plain(stream, place), peer, certificates: Vec::new() };
    pass(door, accepted, shared);
}

fn pass_tls(stream: TlsStream<TcpStream>, peer: SocketAddr, shared: &Shared) {
    let (_, session) = stream.get_ref();
    let (door, is_private) = match tls::protocol_of(session) {
        Protocol::Grpc => (&shared.doors.grpc, false),
        Protocol::Mesh => (&shared.doors.mesh, true),
        Protocol::Frontend => (&shared.doors.frontend, true),
    };
    let Some(door) = door else { return reject_unserved(peer, shared) };
    let certificates = session.peer_certificates().unwrap_or_default();
    if is_private && certificates.is_empty() {
        count(&shared.tally.without_certificate);
        tracing::debug!(%peer, "a node or frontend must show a certificate");
        return;
    }
    let certificates = certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
    let Some(place) = door.place() else { return reject_overload(peer, shared) };
    pass(door, Accepted { socket: Socket::tls(stream, place), peer, certificates }, shared);
}

fn pass(door: &Door, accepted: Accepted, shared: &Shared) {
    let peer = accepted.peer;
    if door.pass(accepted) {
        count(&shared.tally.accepted);
    } else {
        reject_unserved(peer, shared);
    }
}

fn reject_unserved(peer: SocketAddr, shared: &Shared) {
    count(&shared.tally.not_served);
    tracing::debug!(%peer, "a protocol that is not served here");
}

fn reject_overload(peer: SocketAddr, shared: &Shared) {
    count(&shared.tally.overloaded);
    tracing::debug!(%peer, "too many connections of this kind");
}
