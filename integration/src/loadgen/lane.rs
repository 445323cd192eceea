//! One Broadcast stream of the load. It sends envelopes as they fall due and never waits for an answer to do so; when the
//! stream ends it is opened again, to the same frontend.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use fabric_proto::common::Status;
use orderer_node::client::{
    Answer, BroadcastClient, ClientError, Endpoint, EnvelopeKey, Pending, STREAM_OUTSTANDING_MAX,
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::limits::RECONNECT_PAUSE;
use super::matching::LaneIndex;
use super::shared::Shared;
use super::stock::Prepared;

pub(super) struct Lane {
    pub(super) index: LaneIndex,
    pub(super) endpoint: Endpoint,
    pub(super) dues: Dues,
    pub(super) shared: Arc<Shared>,
}

/// When the envelopes of a lane fall due.
pub(super) enum Dues {
    /// Whenever it has a free place.
    WhenFree,
    /// As the pacer says.
    Paced(mpsc::Receiver<Instant>),
}

/// An envelope that could not be given to its stream, and so was not sent.
struct Unsent {
    prepared: Prepared,
    due: Instant,
}

/// An envelope whose answer is awaited.
struct Asked {
    key: EnvelopeKey,
    due: Instant,
    pending: Pending,
}

impl Lane {
    /// Runs until nothing more is to be sent and everything sent is answered.
    pub(super) async fn run(mut self) {
        let mut unsent = None;
        while let Some(client) = self.connect().await {
            let (asked, asking) = mpsc::channel(STREAM_OUTSTANDING_MAX);
            let answers = AbortOnDropHandle::new(tokio::spawn(note_answers(asking, Arc::clone(&self.shared))));
            unsent = self.drive(&client, asked, unsent).await;
            // The stream must stay until the last answer.
            drop(answers.await);
            if unsent.is_none() {
                return;
            }
            self.shared.reopened.fetch_add(1, Relaxed);
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        if let Some(Unsent { prepared, .. }) = unsent {
            let freed = self.shared.matching().on_unanswered(prepared.key);
            self.shared.free(freed);
        }
    }

    /// Nothing if nothing is to be sent any more.
    async fn connect(&self) -> Option<BroadcastClient> {
        while !self.shared.stop.is_cancelled() {
            match self.endpoint.connect().await {
                Ok(connection) => return Some(BroadcastClient::open(&connection)),
                Err(error) => self.shared.on_trouble(&error),
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        None
    }

    /// Sends until nothing more is to be sent, or until the stream takes no more.
    async fn drive(
        &mut self,
        client: &BroadcastClient,
        asked: mpsc::Sender<Asked>,
        unsent: Option<Unsent>,
    ) -> Option<Unsent> {
        let mut next = unsent;
        loop {
            let Unsent { prepared, due } = match next.take() {
                Some(unsent) => unsent,
                None => self.next().await?,
            };
            match client.submit(prepared.envelope.clone()).await {
                Ok(pending) => drop(asked.send(Asked { key: prepared.key, due, pending }).await),
                Err(error) => {
                    self.shared.on_trouble(&error);
                    return Some(Unsent { prepared, due });
                }
            }
        }
    }

    /// The next envelope, when it is due; nothing if there are to be no more.
    async fn next(&mut self) -> Option<Unsent> {
        let due = self.next_due().await?;
        let prepared = self.shared.stock.take();
        // Noted before it is sent: it may be delivered before we come back from sending it.
        self.shared.matching().on_sent(prepared.key, self.index, due);
        Some(Unsent { prepared, due })
    }

    async fn next_due(&mut self) -> Option<Instant> {
        let shared = &self.shared;
        match &mut self.dues {
            Dues::Paced(dues) => tokio::select! {
                biased;
                () = shared.stop.cancelled() => None,
                due = dues.recv() => due,
            },
            Dues::WhenFree => {
                let place = tokio::select! {
                    biased;
                    () = shared.stop.cancelled() => return None,
                    place = shared.places(self.index).acquire() => place.ok()?,
                };
                // The place comes back when the envelope has come to its end.
                place.forget();
                shared.quota.take().then(Instant::now)
            }
        }
    }
}

/// Answers come in the order of the envelopes.
async fn note_answers(mut asking: mpsc::Receiver<Asked>, shared: Arc<Shared>) {
    while let Some(Asked { key, due, pending }) = asking.recv().await {
        let answer = pending.answer().await;
        note_answer(&shared, key, due, answer);
    }
}

fn note_answer(shared: &Shared, key: EnvelopeKey, due: Instant, answer: Result<Answer, ClientError>) {
    let freed = match answer {
        Ok(Answer { status: Status::Success, .. }) => {
            shared.matching().on_acknowledged(key, due, Instant::now());
            None
        }
        Ok(Answer { status, info }) => {
            shared.on_trouble(&format_args!("{}: {info}", status.as_str_name()));
            shared.matching().on_refused(key)
        }
        Err(error) => {
            shared.on_trouble(&error);
            shared.matching().on_unanswered(key)
        }
    };
    shared.free(freed);
}
