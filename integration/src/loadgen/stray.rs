//! A Broadcast stream for envelopes that should be refused.
//!
//! A refusal ends the stream, and what was in flight behind it is lost to its client. So these have streams of their own,
//! one envelope at a time, and the others are measured undisturbed.

use std::sync::Arc;
use std::time::Instant;

use fabric_proto::common::Status;
use orderer_node::client::{BroadcastClient, Connection, Endpoint};
use tokio::sync::mpsc;

use super::limits::RECONNECT_PAUSE;
use super::matching::LaneIndex;
use super::shared::Shared;
use super::stock::Maker;

pub(super) struct Stray {
    pub(super) index: LaneIndex,
    pub(super) endpoint: Endpoint,
    /// Of one channel each, taken in turn.
    pub(super) makers: Vec<Maker>,
    pub(super) dues: mpsc::Receiver<Instant>,
    pub(super) shared: Arc<Shared>,
}

/// A connection, and a stream on it unless the last one was ended.
struct Open {
    connection: Connection,
    stream: Option<BroadcastClient>,
}

impl Stray {
    /// Runs until nothing falls due any more.
    pub(super) async fn run(mut self) {
        let mut open = None;
        let mut turn = 0;
        while let Some(due) = self.next_due().await {
            let Some(way) = self.connected(open.take()).await else { continue };
            open = self.send(way, turn, due).await;
            turn += 1;
        }
    }

    async fn next_due(&mut self) -> Option<Instant> {
        tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => None,
            due = self.dues.recv() => due,
        }
    }

    /// Nothing if the frontend is not in reach.
    async fn connected(&self, open: Option<Open>) -> Option<Open> {
        if open.is_some() {
            return open;
        }
        match self.endpoint.connect().await {
            Ok(connection) => Some(Open { connection, stream: None }),
            Err(error) => {
                self.shared.on_trouble(&error);
                tokio::time::sleep(RECONNECT_PAUSE).await;
                None
            }
        }
    }

    /// Sends one and waits for its answer. Gives what can be used again: a refusal leaves the connection, which costs the
    /// frontend more than the envelope.
    async fn send(&self, open: Open, turn: usize, due: Instant) -> Option<Open> {
        let Open { connection, stream } = open;
        let client = stream.unwrap_or_else(|| BroadcastClient::open(&connection));
        let (key, envelope) = self.makers[turn % self.makers.len()].make();
        self.shared.matching().on_sent(key, self.index, due);
        let answer = match client.submit(envelope).await {
            Ok(pending) => pending.answer().await,
            Err(error) => Err(error),
        };
        let (freed, open) = match answer {
            Ok(answer) if answer.status == Status::Success => {
                self.shared.matching().on_acknowledged(key, due, Instant::now());
                (None, Some(Open { connection, stream: Some(client) }))
            }
            Ok(answer) => {
                self.shared.on_refusal(answer.status, &answer.info);
                (self.shared.matching().on_refused(key), Some(Open { connection, stream: None }))
            }
            Err(error) => {
                self.shared.on_trouble(&error);
                (self.shared.matching().on_unanswered(key), None)
            }
        };
        self.shared.free(freed);
        open
    }
}
