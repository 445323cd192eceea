//! The link we dial: everything this replica says to one peer leaves through it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frontend_shim::directory::DialError;
use frontend_shim::framing::{COALESCE_BYTES, FrameError, FrameReader, FrameWriter, HELLO_FRAME_BYTES_MAX};
use frontend_shim::tls::ALPN_MESH;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::frame::{Hello, MeshFrame, MeshFrameError};
use super::gossip::Gossip;
use super::limits::HELLO_TIME_MAX;
use super::{MeshEvent, MeshLimits, PeerState, Shared};
use crate::keys::BindError;

/// Keeps a link to the peer up until the mesh ends.
pub(super) async fn keep_dialling(shared: Arc<Shared>, peer: Arc<PeerState>) {
    let stop = shared.stop.clone();
    let dialling = async {
        let mut wait = shared.limits.redial_min;
        let mut down_since = Instant::now();
        let mut up = peer.up.subscribe();
        loop {
            let (end, stood_for) = run_once(&shared, &peer, down_since, &mut up).await;
            if matches!(end, LinkEnd::Unheard) {
                return;
            }
            log_end(&peer, &end, stood_for.is_some());
            if let Some(time) = stood_for {
                down_since = Instant::now();
                if time >= shared.limits.steady_after {
                    wait = shared.limits.redial_min;
                }
            }
            wait = pause(&shared.limits, &peer, wait, &mut up).await;
        }
    };
    tokio::select! {
        () = dialling => {}
        () = stop.cancelled() => {}
    }
    peer.meter.on_disconnected();
}

/// Waits before the next attempt, and says how long to wait after it. A peer that shows up is dialled at once, and the
/// waits begin anew: it may be gone again soon, and what it misses until then it has to be sent later. That it showed up
/// while an attempt failed counts too.
async fn pause(limits: &MeshLimits, peer: &PeerState, wait: Duration, up: &mut watch::Receiver<u64>) -> Duration {
    let wait_max = if peer.meter.is_heard() { limits.redial_heard_max } else { limits.redial_max };
    let wait = wait.min(wait_max);
    tokio::select! {
        Ok(()) = up.changed() => limits.redial_min,
        () = sleep(wait) => wait * 2,
    }
}

/// One attempt: why it ended, and how long the link stood if it came to that.
async fn run_once(
    shared: &Shared,
    peer: &PeerState,
    down_since: Instant,
    up: &mut watch::Receiver<u64>,
) -> (LinkEnd, Option<Duration>) {
    let (mut reader, writer) = match dial(shared, peer).await {
        Ok(link) => link,
        Err(end) => {
            peer.meter.on_dial_failed();
            if let LinkEnd::Refused(why) = &end {
                peer.meter.on_refused(why);
            }
            return (end, None);
        }
    };
    let stands_since = Instant::now();
    if stands_since - down_since > shared.limits.outdated_after {
        forget_outdated(peer);
    }
    peer.meter.on_connected();
    peer.show_up();
    // What was to be dialled for stands.
    up.mark_unchanged();
    tracing::info!(replica = %peer.replica, address = peer.addresses(), "link stands");
    if shared.events.send(MeshEvent::Connected(peer.replica)).await.is_err() {
        return (LinkEnd::Unheard, None);
    }
    let end = tokio::select! {
        end = write_frames(shared, peer, writer) => end,
        end = read_answers(shared, &mut reader) => end,
    };
    peer.meter.on_disconnected();
    let heard = shared.events.send(MeshEvent::Disconnected(peer.replica)).await;
    (heard.map_or(LinkEnd::Unheard, |()| end), Some(stands_since.elapsed()))
}

/// Connects, and exchanges Hellos.
async fn dial(
    shared: &Shared,
    peer: &PeerState,
) -> Result<(FrameReader<impl AsyncRead + use<>>, FrameWriter<impl AsyncWrite + use<>>), LinkEnd> {
    let stream = peer.directory.dial(peer.replica, &shared.identity, ALPN_MESH).await?;
    let (near, far) = tokio::io::split(stream);
    let (mut reader, mut writer) = (FrameReader::new(near, HELLO_FRAME_BYTES_MAX), FrameWriter::new(far));
    let greeting = async {
        writer.write_frame(hello(shared)).await?;
        writer.flush().await?;
        let frame = reader.read_frame().await?.ok_or(LinkEnd::Closed)?;
        on_answer(shared, peer, MeshFrame::decode(frame)?)
    };
    timeout(HELLO_TIME_MAX, greeting).await.map_err(|_| LinkEnd::Silent)??;
    Ok((reader, writer))
}

/// Our Hello, the same in both directions.
pub(super) fn hello(shared: &Shared) -> Bytes {
    let (binding, terms) = (shared.binding.clone(), shared.terms.clone());
    MeshFrame::Hello(Hello { group: shared.group, replica: shared.me, binding, terms }).encode()
}

fn on_answer(shared: &Shared, peer: &PeerState, answer: MeshFrame) -> Result<(), LinkEnd> {
    let hello = match answer {
        MeshFrame::Hello(hello) => hello,
        MeshFrame::Refused(refusal) => return Err(LinkEnd::Refused(refusal.reason)),
        _ => return Err(LinkEnd::Unexpected),
    };
    if hello.group != shared.group || hello.replica != peer.replica || hello.binding.replica != hello.replica {
        return Err(LinkEnd::WrongReplica);
    }
    shared.keyring.bind(&hello.binding)?;
    Ok(())
}

fn forget_outdated(peer: &PeerState) {
    let mut dropped = 0;
    while peer.outbox.pop().is_some() {
        dropped += 1;
    }
    peer.meter.on_dropped(dropped);
}

async fn write_frames<W: AsyncWrite + Unpin>(shared: &Shared, peer: &PeerState, mut writer: FrameWriter<W>) -> LinkEnd {
    let mut gossip = Gossip::new(Arc::clone(&shared.keyring), [shared.me, peer.replica]);
    let mut pings = interval(shared.limits.ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (frames, is_consensus) = tokio::select! {
            frame = peer.outbox.next() => match frame {
                Some(first) => (waiting(peer, first), true),
                None => return LinkEnd::Closed,
            },
            () = gossip.changed() => (gossip.news(), false),
            _ = pings.tick() => (vec![MeshFrame::Ping.encode()], false),
        };
        let (count, bytes) = (frames.len(), frames.iter().map(Bytes::len).sum());
        let writing = write_all(&mut writer, frames);
        match timeout(shared.limits.write_time_max(bytes), writing).await {
            Ok(Ok(())) if is_consensus => peer.meter.on_sent(count as u64, bytes as u64),
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return LinkEnd::Silent,
        }
    }
}

/// What waits behind the first frame, as much as fits into one write.
fn waiting(peer: &PeerState, first: Bytes) -> Vec<Bytes> {
    let mut bytes = first.len();
    let mut frames = vec![first];
    while bytes < COALESCE_BYTES
        && let Some(frame) = peer.outbox.pop()
    {
        bytes += frame.len();
        frames.push(frame);
    }
    frames
}

async fn write_all<W: AsyncWrite + Unpin>(writer: &mut FrameWriter<W>, frames: Vec<Bytes>) -> std::io::Result<()> {
    for frame in frames {
        writer.write_frame(frame).await?;
    }
    writer.flush().await
}

/// The acceptor says nothing but that it is there.
async fn read_answers<R: AsyncRead + Unpin>(shared: &Shared, reader: &mut FrameReader<R>) -> LinkEnd {
    loop {
        let frame = match timeout(shared.limits.silence_max, reader.read_frame()).await {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) => return LinkEnd::Closed,
            Ok(Err(error)) => return error.into(),
            Err(_) => return LinkEnd::Silent,
        };
        match MeshFrame::decode(frame) {
            Ok(MeshFrame::Pong) => {}
            Ok(MeshFrame::Refused(refusal)) => return LinkEnd::Refused(refusal.reason),
            Ok(_) => return LinkEnd::Unexpected,
            Err(error) => return error.into(),
        }
    }
}

/// The peer that is down for hours must not fill the log: a link that stood and fell is always said, the rest at a pace.
fn log_end(peer: &PeerState, end: &LinkEnd, stood: bool) {
    let (replica, address) = (peer.replica, peer.addresses());
    if stood {
        tracing::info!(%replica, address, "link is down: {end}");
    } else if let Some(held_back) = peer.dial_pace.due() {
        tracing::warn!(%replica, address, held_back, "no link: {end}");
    }
}

/// Why a link does not stand, or stands no longer.
#[derive(Debug, thiserror::Error)]
enum LinkEnd {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Framing(#[from] FrameError),
    #[error(transparent)]
    Frame(#[from] MeshFrameError),
    #[error(transparent)]
    Binding(#[from] BindError),
    #[error("the other side closed the connection")]
    Closed,
    #[error("no sign of life from the other side")]
    Silent,
    #[error("the other side refuses the link: {0}")]
    Refused(String),
    #[error("the other side says that it is another replica, or of another group")]
    WrongReplica,
    #[error("the other side sent a frame that does not belong here")]
    Unexpected,
    /// Nobody takes the mesh's events any more.
    #[error("the node is stopping")]
    Unheard,
}
