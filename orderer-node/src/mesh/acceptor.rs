//! The link a peer has dialled: everything it says to this replica arrives here.

use std::sync::Arc;

use frontend_shim::framing::{FRAME_BYTES_MAX, Frame, FrameError, FrameReader, FrameWriter};
use frontend_shim::tls::Spki;
use mod_smart::{GroupId, ReplicaId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::frame::{Hello, MESH_VERSION, MeshFrame, MeshFrameError};
use super::limits::INTRODUCTION_PAUSE;
use super::{Credit, MeshEvent, PeerState, Shared, dialer};
use crate::keys::BindError;

/// Why a Hello makes no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum GreetingReject {
    #[error("no Hello in time")]
    Silent,
    #[error("{0}")]
    Garbled(String),
    #[error("version {0} of the mesh protocol is not the version {MESH_VERSION} that this node speaks")]
    Version(u16),
    #[error("ordering group {0} is not served here")]
    Group(GroupId),
    #[error("ordering group {0} is not served here: {1}")]
    Settings(GroupId, String),
    #[error("the group has no replica {0} to take links from")]
    Replica(ReplicaId),
    #[error("the certificate is not the one that the channel configuration names for replica {0}")]
    Pin(ReplicaId),
    #[error(transparent)]
    Binding(#[from] BindError),
    #[error("the last link was closed because of garbage; too soon for another")]
    Banned,
}

impl From<MeshFrameError> for GreetingReject {
    fn from(error: MeshFrameError) -> Self {
        match error {
            MeshFrameError::Version(version) => Self::Version(version),
            other => Self::Garbled(other.to_string()),
        }
    }
}

/// May the owner of this TLS key have a link as the replica it says it is?
pub(super) fn judge(shared: &Shared, hello: &Hello, key: &Spki) -> Result<(), GreetingReject> {
    let peer = shared.peers.get(&hello.replica).ok_or(GreetingReject::Replica(hello.replica))?;
    if !peer.directory.is_client_key(hello.replica, key) {
        return Err(GreetingReject::Pin(hello.replica));
    }
    if peer.is_banned() {
        return Err(GreetingReject::Banned);
    }
    if hello.binding.replica != hello.replica {
        return Err(GreetingReject::Pin(hello.replica));
    }
    Ok(shared.keyring.bind(&hello.binding)?)
}

/// Receives until the link, or the mesh, ends.
pub(super) async fn run_link<R, W>(shared: &Shared, from: ReplicaId, reader: FrameReader<R>, writer: FrameWriter<W>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Some(peer) = shared.peers.get(&from) else { return };
    let replaced = CancellationToken::new();
    peer.replace_inbound(replaced.clone());
    peer.meter.on_inbound();
    peer.show_up();
    let end = tokio::select! {
        end = receive(shared, peer, reader, writer) => end,
        () = replaced.cancelled() => LinkEnd::Replaced,
        () = shared.stop.cancelled() => LinkEnd::Stopping,
    };
    peer.meter.on_inbound_end();
    match end {
        LinkEnd::Garbage(reason, why) => peer.reject_garbage(reason, &why, shared.limits.penalty),
        other => tracing::debug!(replica = %from, end = ?other, "a peer's link has ended"),
    }
}

async fn receive<R, W>(
    shared: &Shared,
    peer: &Arc<PeerState>,
    mut reader: FrameReader<R>,
    mut writer: FrameWriter<W>,
) -> LinkEnd
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let silence_max = shared.limits.silence_max;
    let answering = async {
        writer.write_frame(dialer::hello(shared)).await?;
        writer.flush().await
    };
    if !matches!(timeout(silence_max, answering).await, Ok(Ok(()))) {
        return LinkEnd::Lost;
    }
    reader.allow(FRAME_BYTES_MAX);
    loop {
        let frame = match timeout(silence_max, reader.read_frame()).await {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None) | Err(FrameError::Io(_))) | Err(_) => return LinkEnd::Lost,
            Ok(Err(error)) => return LinkEnd::Garbage("framing", error.to_string()),
        };
        match on_frame(shared, peer, frame).await {
            Ok(Next::Read) => {}
            Ok(Next::Pong) => {
                let pong = async {
                    writer.write_frame(MeshFrame::Pong.encode()).await?;
                    writer.flush().await
                };
                if !matches!(timeout(silence_max, pong).await, Ok(Ok(()))) {
                    return LinkEnd::Lost;
                }
            }
            Err(end) => return end,
        }
    }
}

async fn on_frame(shared: &Shared, peer: &Arc<PeerState>, frame: Frame) -> Result<Next, LinkEnd> {
    let decoded = MeshFrame::decode(frame).map_err(|error| LinkEnd::Garbage("malformed", error.to_string()))?;
    match decoded {
        MeshFrame::Consensus { group, .. } | MeshFrame::Introduce { group, .. } if group != shared.group => {
            Err(LinkEnd::Garbage("group", format!("a frame of group {group}")))
        }
        MeshFrame::Consensus { message, .. } => {
            peer.meter.on_received(message.len() as u64);
            let charge = shared.limits.charge(message.len());
            let share = Arc::clone(&peer.inflight).acquire_many_owned(charge).await.map_err(|_| LinkEnd::Stopping)?;
            let event = MeshEvent::Frame { from: peer.replica, message, credit: Credit { _share: share } };
            shared.events.send(event).await.map_err(|_| LinkEnd::Stopping)?;
            Ok(Next::Read)
        }
        MeshFrame::Introduce { credential, .. } => {
            if let Err(error) = shared.keyring.learn(&credential) {
                reject_gossip(peer, "introduction", &error.to_string()).await;
            }
            Ok(Next::Read)
        }
        MeshFrame::Binding(binding) => {
            if let Err(error) = shared.keyring.bind(&binding) {
                reject_gossip(peer, "binding", &error.to_string()).await;
            }
            Ok(Next::Read)
        }
        MeshFrame::Ping => Ok(Next::Pong),
        MeshFrame::Hello(_) | MeshFrame::Refused(_) | MeshFrame::Pong => {
            Err(LinkEnd::Garbage("unexpected", "a frame that does not belong here".to_owned()))
        }
    }
}

/// What a peer believes and we do not need not be its fault: our configurations may differ for a while, and a liar may
/// have told it another vote key. So the link stays, and a flood only slows down its sender.
async fn reject_gossip(peer: &PeerState, reason: &'static str, why: &str) {
    peer.meter.on_reject(reason);
    if let Some(held_back) = peer.reject_pace.due() {
        tracing::warn!(replica = %peer.replica, held_back, "not believed: {why}");
    }
    sleep(INTRODUCTION_PAUSE).await;
}

enum Next {
    Read,
    Pong,
}

#[derive(Debug)]
enum LinkEnd {
    /// The connection is closed, broken or silent.
    Lost,
    /// The peer has dialled again, or what it said was rejected further inside.
    Replaced,
    Stopping,
    /// No correct replica sends this: the reason for the counter, and for the log.
    Garbage(&'static str, String),
}
