//! One Broadcast stream of the load. It sends envelopes as they fall due and never waits for an answer to do so; when the
//! stream ends it is opened again, to the same frontend.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use fabric_proto::common::Status;
use orderer_node::client::{Answer, BroadcastClient, ClientError, Endpoint, Pending, STREAM_OUTSTANDING_MAX};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::dues::Dues;
use super::limits::RECONNECT_PAUSE;
use super::matching::LaneIndex;
use super::shared::{Picked, Shared};
use super::source::Prepared;

pub(super) struct Lane {
    pub(super) index: LaneIndex,
    /// Place of the frontend among those sent to.
    pub(super) frontend: usize,
    pub(super) endpoint: Endpoint,
    pub(super) dues: Dues,
    /// To the lane that sends what should be refused.
    pub(super) stray: Option<mpsc::Sender<Instant>>,
    pub(super) shared: Arc<Shared>,
}

/// An envelope that could not be given to its stream, and so was not sent.
struct Unsent {
    prepared: Prepared,
    due: Instant,
    sending: Sending,
}

/// For the how manieth time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    First,
    Again,
}

/// An envelope whose answer is awaited.
struct Asked {
    unsent: Unsent,
    pending: Pending,
}

impl Lane {
    /// Runs until nothing more is to be sent and everything sent is answered.
    pub(super) async fn run(mut self) {
        let mut unsent = None;
        while let Some(client) = self.connect().await {
            let (asked, asking) = mpsc::channel(STREAM_OUTSTANDING_MAX);
            let answers = note_answers(asking, self.index, Arc::clone(&self.shared));
            let answers = AbortOnDropHandle::new(tokio::spawn(answers));
            let ended = self.drive(&client, asked, unsent.take()).await;
            // The stream must stay until the last answer.
            drop(answers.await);
            let Some((left, why)) = ended else { return };
            self.shared.on_reopened(&format!("the stream to {}", self.endpoint.name()), &why);
            unsent = Some(left);
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        if let Some(unsent) = unsent {
            note_unanswered(&self.shared, self.index, &unsent);
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

    /// Sends until nothing more is to be sent, or until the stream takes no more: gives what is left then, and why.
    async fn drive(
        &mut self,
        client: &BroadcastClient,
        asked: mpsc::Sender<Asked>,
        unsent: Option<Unsent>,
    ) -> Option<(Unsent, ClientError)> {
        let mut next = unsent;
        loop {
            let unsent = match next.take() {
                Some(unsent) => unsent,
                None => self.next().await?,
            };
            match client.submit(unsent.prepared.envelope.clone()).await {
                Ok(pending) => {
                    if unsent.sending == Sending::First {
                        self.shared.on_given(self.frontend, &unsent.prepared);
                    }
                    drop(asked.send(Asked { unsent, pending }).await);
                }
                Err(error) => {
                    self.shared.on_trouble(&error);
                    return Some((unsent, error));
                }
            }
        }
    }

    /// The next envelope, when it is due; nothing if there are to be no more.
    async fn next(&mut self) -> Option<Unsent> {
        loop {
            let due = self.dues.next(self.index, &self.shared).await?;
            match self.shared.pick(self.frontend)? {
                Picked::New(prepared) => {
                    // Noted before it is sent: it may be delivered before we come back from sending it.
                    self.shared.matching().on_sent(prepared.key, self.index, due);
                    return Some(Unsent { prepared, due, sending: Sending::First });
                }
                Picked::Copy(prepared) => {
                    self.shared.matching().on_copy_sent();
                    return Some(Unsent { prepared, due, sending: Sending::Again });
                }
                Picked::Unsigned => {
                    if self.stray.as_ref().is_none_or(|stray| stray.try_send(due).is_err()) {
                        self.shared.left_out.fetch_add(1, Relaxed);
                    }
                    self.shared.free([self.index]);
                }
            }
        }
    }
}

/// Answers come in the order of the envelopes.
async fn note_answers(mut asking: mpsc::Receiver<Asked>, lane: LaneIndex, shared: Arc<Shared>) {
    while let Some(Asked { unsent, pending }) = asking.recv().await {
        match pending.answer().await {
            Ok(answer) => note_answer(&shared, lane, &unsent, &answer),
            Err(error) => {
                shared.on_trouble(&error);
                note_unanswered(&shared, lane, &unsent);
            }
        }
    }
}

fn note_answer(shared: &Shared, lane: LaneIndex, to: &Unsent, answer: &Answer) {
    let (key, is_success) = (to.prepared.key, answer.status == Status::Success);
    if !is_success {
        shared.on_refusal(answer.status, &answer.info);
    }
    let mut matching = shared.matching();
    let freed = match (to.sending, is_success) {
        (Sending::First, true) => {
            matching.on_acknowledged(key, to.due, Instant::now());
            None
        }
        (Sending::First, false) => matching.on_refused(key),
        (Sending::Again, true) => {
            matching.on_copy_acknowledged(key);
            Some(lane)
        }
        (Sending::Again, false) => {
            matching.on_copy_refused();
            Some(lane)
        }
    };
    drop(matching);
    shared.free(freed);
}

fn note_unanswered(shared: &Shared, lane: LaneIndex, unsent: &Unsent) {
    let freed = match unsent.sending {
        Sending::First => shared.matching().on_unanswered(unsent.prepared.key),
        Sending::Again => {
            shared.matching().on_copy_unanswered();
            Some(lane)
        }
    };
    shared.free(freed);
}
