//! A Deliver stream (contract 1.4).

use bytes::Bytes;
use fabric_proto::common::{Block, Status};
use fabric_proto::orderer::deliver_response::Type as Response;
use fabric_proto::orderer::seek_info::{SeekBehavior, SeekContentType, SeekErrorResponse};
use fabric_proto::orderer::seek_position::Type as PositionType;
use fabric_proto::orderer::{SeekInfo, SeekNewest, SeekNextCommit, SeekOldest, SeekPosition, SeekSpecified};
use frontend_shim::client::deliver_response;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::connection::{ClientError, Connection};
use super::envelopes::EnvelopeFactory;

/// A place in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Block 0.
    Oldest,
    /// The last block there is.
    Newest,
    /// The block that comes next.
    NextCommit,
    /// This block.
    Number(u64),
    /// As an end only: never.
    Never,
}

/// Whether blocks come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Yes.
    Blocks,
    /// Without data, except configuration blocks.
    HeadersWithSignatures,
}

/// A range of blocks. Blocks that are not there yet are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seek {
    /// The first block.
    pub from: Position,
    /// The last block.
    pub to: Position,
    /// What to send of each.
    pub content: Content,
}

/// A Deliver stream. Several ranges can be asked for, one after another.
#[derive(Debug)]
pub struct DeliverClient {
    connection: Connection,
    factory: EnvelopeFactory,
    requests: mpsc::Sender<Bytes>,
    responses: Streaming<Bytes>,
}

impl Seek {
    /// Whole blocks from a number on, without end.
    #[must_use]
    pub const fn from(number: u64) -> Self {
        Self { from: Position::Number(number), to: Position::Never, content: Content::Blocks }
    }

    /// Whole blocks from one number to another, both included.
    #[must_use]
    pub const fn range(from: u64, to: u64) -> Self {
        Self { from: Position::Number(from), to: Position::Number(to), content: Content::Blocks }
    }

    /// The same range with other content.
    #[must_use]
    pub const fn with_content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    pub(super) fn message(&self) -> SeekInfo {
        let content = match self.content {
            Content::Blocks => SeekContentType::Block,
            Content::HeadersWithSignatures => SeekContentType::HeaderWithSig,
        };
        SeekInfo {
            start: Some(self.from.message()),
            stop: Some(self.to.message()),
            behavior: SeekBehavior::BlockUntilReady.into(),
            error_response: SeekErrorResponse::Strict.into(),
            content_type: content.into(),
        }
    }
}

impl Position {
    fn message(self) -> SeekPosition {
        let kind = match self {
            Self::Oldest => PositionType::Oldest(SeekOldest {}),
            Self::Newest => PositionType::Newest(SeekNewest {}),
            Self::NextCommit => PositionType::NextCommit(SeekNextCommit {}),
            Self::Number(number) => PositionType::Specified(SeekSpecified { number }),
            Self::Never => PositionType::Specified(SeekSpecified { number: u64::MAX }),
        };
        SeekPosition { r#type: Some(kind) }
    }
}

impl DeliverClient {
    /// Opens a stream and asks for a range, signed by `factory`.
    ///
    /// # Errors
    /// The stream cannot be opened.
    pub async fn open(connection: &Connection, factory: &EnvelopeFactory, seek: Seek) -> Result<Self, ClientError> {
        let (requests, receiver) = mpsc::channel(1);
        let closed = |why: &str| connection.closed(why);
        requests.try_send(factory.seek(&seek)).map_err(|_| closed("the stream is closed"))?;
        let responses = connection.client().deliver(ReceiverStream::new(receiver)).await;
        let responses = responses.map_err(|status| closed(status.message()))?;
        Ok(Self { connection: connection.clone(), factory: factory.clone(), requests, responses })
    }

    /// Asks for another range on the same stream, after [`Self::next`] has said that the one before is over.
    ///
    /// # Errors
    /// The stream is closed.
    pub async fn seek(&mut self, seek: Seek) -> Result<(), ClientError> {
        let sent = self.requests.send(self.factory.seek(&seek)).await;
        sent.map_err(|_| self.connection.closed("the server ended it"))
    }

    /// The next block of the range; `None` behind the last one.
    ///
    /// # Errors
    /// A status other than SUCCESS, an answer that does not parse, or the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Block>, ClientError> {
        let message = self.responses.message().await;
        let message = message.map_err(|status| self.connection.closed(status.message()))?;
        let message = message.ok_or_else(|| self.connection.closed("the server ended it"))?;
        let response = deliver_response(message).map_err(|_| self.connection.malformed())?;
        match response.r#type.ok_or_else(|| self.connection.malformed())? {
            Response::Block(block) => Ok(Some(block)),
            Response::Status(status) if status == i32::from(Status::Success) => Ok(None),
            Response::Status(status) => {
                let name =
                    Status::try_from(status).map_or_else(|_| status.to_string(), |it| it.as_str_name().to_owned());
                Err(ClientError::Status { endpoint: self.connection.name().to_owned(), status: name })
            }
        }
    }
}
