//! The other side: a node reads blocks here that it lacks.
//!
//! Only a consenter may, by the TLS key that the channel's configuration in force names. One ask is answered at a time,
//! straight from the ledger into the socket, so a reader costs a few hundred kilobytes of memory, or one block; what it
//! asks for ahead waits in its socket. One that stalls is let go.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use fabric_proto::common::BlockMetadata;
use frontend_shim::block_reading::{ANSWER_BYTES_MAX, Ask, BLOCKS_MAX, GivenBlock, LINKS_MAX, Told};
use frontend_shim::eras::{config_of, last_config};
use frontend_shim::frame::{Read, VERSION};
use frontend_shim::framing::{FrameReader, FrameWriter};
use frontend_shim::group::ordering_group;
use frontend_shim::ledger::{Ledger, LedgerError};
use frontend_shim::tls::Spki;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::limits::{READ_AT_ONCE_BYTES, READER_IDLE_MAX, READER_STALLED_MAX};
use crate::sessions::{Caller, SessionEnd, SessionHost};

/// Serves a reader until either side ends it.
pub(crate) async fn serve<R, W>(
    hosts: &[Arc<SessionHost>],
    read: Read,
    caller: &Caller,
    reader: FrameReader<R>,
    mut writer: FrameWriter<W>,
) -> Result<(), SessionEnd>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let host = hosts.iter().find(|host| host.view.group() == read.group);
    let refusal = match host {
        _ if read.version != VERSION => format!("this node speaks version {VERSION}, not {}", read.version),
        None => format!("this node does not serve ordering group {}", read.group),
        Some(host) => {
            let visit = Visit { host, caller, allowed: BTreeMap::new(), writer };
            return visit.serve(reader).await;
        }
    };
    refuse(&mut writer, refusal).await
}

async fn refuse<W: AsyncWrite + Unpin>(writer: &mut FrameWriter<W>, reason: String) -> Result<(), SessionEnd> {
    writer.write_frame(Told::Refused(reason.clone()).encode()).await?;
    writer.shutdown().await?;
    Err(SessionEnd::Refused(reason))
}

struct Visit<'a, W> {
    host: &'a SessionHost,
    caller: &'a Caller,
    /// The channels asked for that it may read.
    allowed: BTreeMap<ChannelId, Arc<Ledger>>,
    writer: FrameWriter<W>,
}

impl<W: AsyncWrite + Unpin> Visit<'_, W> {
    async fn serve<R: AsyncRead + Unpin>(mut self, reader: FrameReader<R>) -> Result<(), SessionEnd> {
        self.answer(reader).await?;
        // The reader may be gone for good.
        let _ = timeout(READER_STALLED_MAX, self.writer.shutdown()).await;
        Ok(())
    }

    /// Answers until the reader closes the connection, or asks for nothing.
    async fn answer<R: AsyncRead + Unpin>(&mut self, mut reader: FrameReader<R>) -> Result<(), SessionEnd> {
        self.tell(&Told::Welcome).await?;
        self.writer.flush().await?;
        loop {
            let Ok(frame) = timeout(READER_IDLE_MAX, reader.read_frame()).await else { return Ok(()) };
            let Some(frame) = frame.map_err(|error| SessionEnd::Garbage(error.to_string()))? else { return Ok(()) };
            let ask = Ask::decode(frame).map_err(|error| SessionEnd::Garbage(error.to_string()))?;
            let (Ask::Links { channel, .. } | Ask::Blocks { channel, .. }) = &ask;
            let Some(ledger) = self.ledger(channel).await? else {
                return refuse(&mut self.writer, format!("channel {channel} is not for you to read here")).await;
            };
            match ask {
                Ask::Links { last, count, .. } => self.tell_links(&ledger, last, count).await?,
                Ask::Blocks { from, count, .. } => self.tell_blocks(&ledger, from, count).await?,
            }
            let flushing = timeout(READER_STALLED_MAX, self.writer.flush()).await;
            flushing.unwrap_or_else(|_| Err(stalled()))?;
        }
    }

    /// The ledger of a channel, if it is served here and the caller may read it.
    async fn ledger(&mut self, channel: &ChannelId) -> Result<Option<Arc<Ledger>>, SessionEnd> {
        if let Some(ledger) = self.allowed.get(channel) {
            return Ok(Some(Arc::clone(ledger)));
        }
        let Some(ledger) = self.host.channels.get(channel).map(|joined| Arc::clone(&joined.ledger)) else {
            return Ok(None);
        };
        let key = match self.caller {
            Caller::Embedded => None,
            Caller::Tls(certificate) => {
                Some(Spki::of_certificate(certificate).map_err(|error| SessionEnd::Refused(error.to_string()))?)
            }
        };
        let asked = Arc::clone(&ledger);
        let is_allowed = off_task(move || Ok(key.is_none_or(|key| is_consenter(&asked, &key)))).await?;
        if !is_allowed {
            return Ok(None);
        }
        self.allowed.insert(channel.clone(), Arc::clone(&ledger));
        Ok(Some(ledger))
    }

    async fn tell_links(&mut self, ledger: &Arc<Ledger>, last: u64, count: u16) -> Result<(), SessionEnd> {
        let (ledger, count) = (Arc::clone(ledger), usize::from(count).min(LINKS_MAX));
        let links = off_task(move || ledger.links(last, count)).await?;
        self.tell(&Told::Links(links)).await
    }

    async fn tell_blocks(&mut self, ledger: &Arc<Ledger>, from: u64, count: u16) -> Result<(), SessionEnd> {
        let until = from.saturating_add(u64::from(count).min(BLOCKS_MAX as u64));
        let (mut next, mut bytes) = (from, 0);
        while next < until && bytes < ANSWER_BYTES_MAX {
            let ledger = Arc::clone(ledger);
            let blocks = off_task(move || read_some(&ledger, next..until)).await?;
            if blocks.is_empty() {
                break;
            }
            for block in blocks {
                bytes += block.body.len();
                self.tell(&Told::Block(block)).await?;
                next += 1;
            }
        }
        self.tell(&Told::End(next)).await
    }

    async fn tell(&mut self, told: &Told) -> Result<(), SessionEnd> {
        let writing = timeout(READER_STALLED_MAX, self.writer.write_frame(told.encode())).await;
        Ok(writing.unwrap_or_else(|_| Err(stalled()))?)
    }
}

/// The first of these blocks: as many as there are and as are read at a time.
fn read_some(ledger: &Ledger, numbers: Range<u64>) -> Result<Vec<GivenBlock>, LedgerError> {
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    for number in numbers {
        let Some(block) = given(ledger, number)? else { break };
        bytes += block.body.len();
        blocks.push(block);
        if bytes >= READ_AT_ONCE_BYTES {
            break;
        }
    }
    Ok(blocks)
}

/// Block 0 is for nobody: who asks has it.
fn given(ledger: &Ledger, number: u64) -> Result<Option<GivenBlock>, LedgerError> {
    let Some(block) = ledger.read(number)?.filter(|_| number > 0) else { return Ok(None) };
    let metadata = BlockMetadata::decode(block.metadata()).unwrap_or_default();
    let signatures = metadata.metadata.into_iter().next().unwrap_or_default();
    Ok(Some(GivenBlock { number, signatures, body: block.data() }))
}

/// Does the configuration in force name a consenter with this TLS key?
fn is_consenter(ledger: &Ledger, key: &Spki) -> bool {
    let group = config_in_force(ledger).and_then(|config| ordering_group(&config).ok());
    group.is_some_and(|group| group.replica_by_tls_key(key).is_some())
}

fn config_in_force(ledger: &Ledger) -> Option<ChannelConfig> {
    let last_config = last_config(ledger, ledger.tip()?.number).ok()?;
    config_of(ledger, last_config).ok()
}

/// Files are read beside the task.
async fn off_task<T: Send + 'static>(
    reading: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, SessionEnd> {
    let read = tokio::task::spawn_blocking(reading).await.map_err(std::io::Error::other)?;
    Ok(read.map_err(|error| {
        tracing::error!(%error, "cannot read blocks for another node");
        std::io::Error::other(error)
    })?)
}

fn stalled() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "it does not take what it asked for")
}
