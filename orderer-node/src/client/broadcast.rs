//! A Broadcast stream with many envelopes in flight. Answers come in the order of the envelopes (contract 1.3).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fabric_proto::common::Status;
use frontend_shim::client::broadcast_response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;

use super::connection::{ClientError, Connection};
use super::limits::STREAM_OUTSTANDING_MAX;

/// One Broadcast stream. After an answer other than SUCCESS the server ends it, and what was in flight behind is told
/// that it is closed. Dropping the client drops the stream.
#[derive(Debug)]
pub struct BroadcastClient {
    sending: Mutex<Sending>,
    places: Arc<Semaphore>,
    connection: Connection,
    _reader: AbortOnDropHandle<()>,
}

/// The answer to one envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: Status,
    /// What is said about it; empty with SUCCESS.
    pub info: String,
}

/// An envelope on its way.
#[derive(Debug)]
pub struct Pending {
    answer: oneshot::Receiver<Result<Answer, ClientError>>,
    connection: Connection,
}

#[derive(Debug)]
struct Sending {
    /// Bounded by the places.
    envelopes: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits for an answer, in the order of the stream.
#[derive(Debug)]
enum Waiting {
    Open(VecDeque<(oneshot::Sender<Result<Answer, ClientError>>, OwnedSemaphorePermit)>),
    Closed(ClientError),
}

impl BroadcastClient {
    /// Opens a stream on a connection. It fails, if it does, at the first [`Self::submit`] or answer.
    #[must_use]
    pub fn open(connection: &Connection) -> Self {
        let (envelopes, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(Waiting::Open(VecDeque::new())));
        let places = Arc::new(Semaphore::new(STREAM_OUTSTANDING_MAX));
        let reading =
            read(connection.clone(), UnboundedReceiverStream::new(receiver), Arc::clone(&waiting), Arc::clone(&places));
        Self {
            sending: Mutex::new(Sending { envelopes, waiting }),
            places,
            connection: connection.clone(),
            _reader: AbortOnDropHandle::new(tokio::spawn(reading)),
        }
    }

    /// Sends an envelope; waits first while [`STREAM_OUTSTANDING_MAX`] are not answered.
    ///
    /// # Errors
    /// The stream is closed, and why.
    pub async fn submit(&self, envelope: Bytes) -> Result<Pending, ClientError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = sending.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = match &mut *waiting {
            Waiting::Open(queue) => queue,
            Waiting::Closed(why) => return Err(why.clone()),
        };
        let place = place.map_err(|_| self.connection.closed("the stream is closed"))?;
        let (sender, answer) = oneshot::channel();
        queue.push_back((sender, place));
        // Sending fails only behind a reader that has ended, which then answers for it.
        let _ = sending.envelopes.send(envelope);
        Ok(Pending { answer, connection: self.connection.clone() })
    }
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The stream ended before; the envelope may or may not have been taken.
    pub async fn answer(self) -> Result<Answer, ClientError> {
        self.answer.await.unwrap_or_else(|_| Err(self.connection.closed("the client was dropped")))
    }
}

/// Reads answers until the stream ends, then tells everybody who waits.
async fn read(
    connection: Connection,
    envelopes: UnboundedReceiverStream<Bytes>,
    waiting: Arc<Mutex<Waiting>>,
    places: Arc<Semaphore>,
) {
    let why = match connection.client().broadcast(envelopes).await {
        Ok(answers) => read_answers(&connection, answers, &waiting).await,
        Err(status) => connection.closed(status.message()),
    };
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    if let Waiting::Open(queue) = std::mem::replace(&mut *waiting, Waiting::Closed(why.clone())) {
        for (sender, _) in queue {
            let _ = sender.send(Err(why.clone()));
        }
    }
    places.close();
}

async fn read_answers(connection: &Connection, mut answers: Streaming<Bytes>, waiting: &Mutex<Waiting>) -> ClientError {
    loop {
        let message = match answers.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return connection.closed("the server ended it"),
            Err(status) => return connection.closed(status.message()),
        };
        let Ok(response) = broadcast_response(message) else { return connection.malformed() };
        let answer = Answer { status: response.status(), info: response.info };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting::Open(queue) = &mut *waiting else { return connection.closed("the stream is closed") };
        // An answer to nothing: the two sides no longer agree on what belongs to what.
        let Some((sender, _)) = queue.pop_front() else { return connection.malformed() };
        let _ = sender.send(Ok(answer));
    }
}
