//! A reader's connection to one source.

use bytes::Bytes;
use frontend_shim::block_reading::{Ask, Told};
use frontend_shim::frame::{Read, ToNode, VERSION};
use frontend_shim::framing::{FRAME_BYTES_MAX, FrameError, FrameReader, FrameWriter, HELLO_FRAME_BYTES_MAX};
use mod_smart::GroupId;
use mod_smart::codec::CodecError;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::limits::CLOSING_MAX;
use super::source::Connection;

/// A source that has welcomed us.
pub(super) struct Reading {
    reader: FrameReader<ReadHalf<Box<dyn Connection>>>,
    writer: FrameWriter<WriteHalf<Box<dyn Connection>>>,
}

/// Why a source gives nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadingError {
    #[error("the connection failed: {0}")]
    Connection(#[from] std::io::Error),
    #[error("it closed the connection")]
    Closed,
    #[error("it refused: {0}")]
    Refused(String),
    #[error("{0}")]
    Garbage(String),
}

impl Reading {
    /// Says who we are, and waits for the welcome.
    pub(super) async fn begin(io: Box<dyn Connection>, group: GroupId) -> Result<Self, ReadingError> {
        let (reading, writing) = tokio::io::split(io);
        let mut reading =
            Self { reader: FrameReader::new(reading, HELLO_FRAME_BYTES_MAX), writer: FrameWriter::new(writing) };
        reading.send(ToNode::Read(Read { version: VERSION, group }).encode()).await?;
        let Told::Welcome = reading.next().await? else {
            return Err(ReadingError::Garbage("a message before the welcome".to_owned()));
        };
        reading.reader.allow(FRAME_BYTES_MAX);
        Ok(reading)
    }

    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<(), ReadingError> {
        self.send(ask.encode()).await
    }

    /// What the source tells next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Told, ReadingError> {
        let frame = self.reader.read_frame().await?.ok_or(ReadingError::Closed)?;
        match Told::decode(frame)? {
            Told::Refused(reason) => Err(ReadingError::Refused(reason)),
            told => Ok(told),
        }
    }

    /// Closes the connection in good order, so that the source need not take it for a broken one.
    pub(super) async fn close(mut self) {
        // Who does not let it be closed sees it break.
        let _ = timeout(CLOSING_MAX, self.writer.shutdown()).await;
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), ReadingError> {
        self.writer.write_frame(frame).await?;
        Ok(self.writer.flush().await?)
    }
}

impl From<FrameError> for ReadingError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => Self::Connection(error),
            garbage => Self::Garbage(garbage.to_string()),
        }
    }
}

impl From<CodecError> for ReadingError {
    fn from(error: CodecError) -> Self {
        Self::Garbage(error.to_string())
    }
}
