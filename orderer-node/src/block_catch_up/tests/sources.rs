//! Sources: the real door, and liars who know the chain and give out something else.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fabric_proto::common::BlockData;
use frontend_shim::block_reading::{Ask, GivenBlock, Told};
use frontend_shim::framing::{FRAME_BYTES_MAX, FrameReader, FrameWriter, encode_frame};
use frontend_shim::ledger::Ledger;
use mod_smart::ReplicaId;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::world::{ENTRY_BYTES, channel, entry};
use crate::block_catch_up::{BlockSource, Connection};
use crate::sessions::{self, Caller, SessionHost};

/// How a source behaves.
#[derive(Clone, Debug)]
pub(super) enum Manners {
    /// As the program does.
    Honest,
    /// Honest and far away: it hears of every ask a moment later, and so many of them waited at most.
    Far(Arc<AtomicU64>),
    /// The same, and what is read from it is counted.
    Counted(Arc<InFlight>),
    /// Right headers, other bodies.
    OtherBody,
    /// Right blocks, padded.
    PaddedBody,
    /// The headers of a chain of its own.
    OtherChain,
    /// Right blocks with a signature that nobody made.
    OtherSignature,
    /// Welcomes and says no more.
    Silent,
    /// One block, and no more for a long time.
    Slow,
    /// Blocks that were not asked for.
    OutOfOrder,
    /// Bytes that are no message.
    Garbage,
    /// Closes every connection in the middle of an answer.
    Closes,
}

pub(super) fn source(replica: u16, host: Arc<SessionHost>, caller: Caller, manners: Manners) -> BlockSource {
    BlockSource::new(ReplicaId(replica), format!("replica {replica}"), move || {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let (host, caller, manners) = (Arc::clone(&host), caller.clone(), manners.clone());
        let near: Box<dyn Connection> = match &manners {
            Manners::Counted(count) => {
                count.opened.fetch_add(1, Ordering::Relaxed);
                Box::new(Counting { io: near, count: Arc::clone(count) })
            }
            _ => Box::new(near),
        };
        tokio::spawn(async move {
            match manners {
                Manners::Honest | Manners::Counted(_) => drop(sessions::serve(&[host], far, caller).await),
                Manners::Far(asks) => {
                    let _ = answer_late(far, &host.channels.get(&channel()).unwrap().ledger, &asks).await;
                }
                lie => drop(tell_lies(far, &host.channels.get(&channel()).unwrap().ledger, lie).await),
            }
        });
        Box::pin(async move { Ok(near) })
    })
}

/// Answers every ask some time after it was made, however many wait.
async fn answer_late(io: DuplexStream, ledger: &Ledger, most: &AtomicU64) -> Option<()> {
    let (reading, writing) = tokio::io::split(io);
    let (mut reader, mut writer) = (FrameReader::new(reading, FRAME_BYTES_MAX), FrameWriter::new(writing));
    reader.read_frame().await.ok()??;
    writer.write_frame(Told::Welcome.encode()).await.ok()?;
    writer.flush().await.ok()?;
    let (asks, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let hearing = async {
        loop {
            let ask = Ask::decode(reader.read_frame().await.ok()??).ok()?;
            asks.send((tokio::time::Instant::now() + FAR, ask)).ok()?;
        }
    };
    let answering = async {
        while let Some((due, ask)) = asked.recv().await {
            tokio::time::sleep_until(due).await;
            most.fetch_max(asked.len() as u64 + 1, Ordering::Relaxed);
            let answer = match ask {
                Ask::Links { last, count, .. } => vec![Told::Links(ledger.links(last, count.into()).ok()?)],
                Ask::Blocks { from, count, .. } => {
                    let until = (from + u64::from(count)).min(ledger.height());
                    let blocks = (from..until).map(|number| twisted(ledger, number, &Manners::Honest));
                    blocks.chain([Told::End(until)]).collect()
                }
            };
            for told in answer {
                writer.write_frame(told.encode()).await.ok()?;
            }
            writer.flush().await.ok()?;
        }
        Some(())
    };
    tokio::select! {
        ended = hearing => ended,
        ended = answering => ended,
    }
}

async fn tell_lies(io: DuplexStream, ledger: &Ledger, manners: Manners) -> Option<()> {
    let (reading, writing) = tokio::io::split(io);
    let (mut reader, mut writer) = (FrameReader::new(reading, FRAME_BYTES_MAX), FrameWriter::new(writing));
    reader.read_frame().await.ok()??;
    let mut answer = vec![Told::Welcome.encode()];
    loop {
        for frame in answer {
            writer.write_frame(frame).await.ok()?;
        }
        writer.flush().await.ok()?;
        let ask = Ask::decode(reader.read_frame().await.ok()??).ok()?;
        answer = match (ask, &manners) {
            (_, Manners::Silent) => Vec::new(),
            (_, Manners::Garbage) => vec![encode_frame(250, &[b"garbage"])],
            (Ask::Links { last, count, .. }, _) => {
                let mut links = ledger.links(last, count.into()).ok()?;
                if let (Manners::OtherChain, Some(link)) = (&manners, links.last_mut()) {
                    link.data_hash[0] ^= 1;
                }
                vec![Told::Links(links).encode()]
            }
            (Ask::Blocks { from, count, .. }, _) => {
                let until = (from + u64::from(count)).min(ledger.height());
                let blocks = (from..until).map(|number| twisted(ledger, number, &manners).encode());
                match manners {
                    Manners::Closes => {
                        for frame in blocks.take(3) {
                            writer.write_frame(frame).await.ok()?;
                        }
                        writer.flush().await.ok()?;
                        return None;
                    }
                    Manners::Slow => {
                        writer.write_frame(twisted(ledger, from, &manners).encode()).await.ok()?;
                        writer.flush().await.ok()?;
                        tokio::time::sleep(Duration::from_secs(100)).await;
                        return None;
                    }
                    _ => blocks.chain([Told::End(until).encode()]).collect(),
                }
            }
        };
    }
}

fn twisted(ledger: &Ledger, number: u64, manners: &Manners) -> Told {
    let stored = ledger.read(number).unwrap().unwrap();
    let metadata = fabric_proto::common::BlockMetadata::decode(stored.metadata()).unwrap();
    let mut given = GivenBlock { number, signatures: metadata.metadata[0].clone(), body: stored.data() };
    match manners {
        Manners::OtherBody => {
            let data = BlockData { data: vec![entry(number + 1_000_000, ENTRY_BYTES)] };
            given.body = data.encode_to_vec().into();
        }
        // An unknown field: the entries, and so their hash, stay what they are.
        Manners::PaddedBody => given.body = [&given.body[..], &[0x78, 1]].concat().into(),
        Manners::OtherSignature => {
            let mut bytes = given.signatures.to_vec();
            let last = bytes.len() - 40;
            bytes[last] ^= 1;
            given.signatures = Bytes::from(bytes);
        }
        Manners::OutOfOrder => given.number += 1,
        _ => {}
    }
    Told::Block(given)
}

/// What was read from sources and is not in the ledger yet.
#[derive(Debug)]
pub(super) struct InFlight {
    ledger: Arc<Ledger>,
    start: u64,
    read: AtomicU64,
    most: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
}

impl InFlight {
    pub(super) fn new(ledger: &Arc<Ledger>) -> Arc<Self> {
        let start = ledger.height();
        let zero = AtomicU64::default;
        let ledger = Arc::clone(ledger);
        Arc::new(Self { ledger, start, read: zero(), most: zero(), opened: zero(), closed: zero() })
    }

    /// At most so many bytes at any time. Links and signatures count as held, so this is above the truth.
    pub(super) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Connections that were made, and those of them that were closed in good order.
    pub(super) fn connections(&self) -> (u64, u64) {
        (self.opened.load(Ordering::Relaxed), self.closed.load(Ordering::Relaxed))
    }

    fn on_read(&self, bytes: usize) {
        let read = self.read.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let stored = (self.ledger.height() - self.start) * ENTRY_BYTES as u64;
        self.most.fetch_max(read.saturating_sub(stored), Ordering::Relaxed);
    }
}

struct Counting {
    io: DuplexStream,
    count: Arc<InFlight>,
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.count.on_read(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.count.closed.fetch_add(u64::from(matches!(polled, Poll::Ready(Ok(())))), Ordering::Relaxed);
        polled
    }
}

const PIPE_BYTES: usize = 64 << 10;
const FAR: Duration = Duration::from_millis(50);
