//! A Broadcast stream for envelopes that should be refused.
//!
//! A refusal ends the stream, and what was in flight behind it is lost to its client. So these have streams of their own,
//! one envelope at a time, and the others are measured undisturbed.

use std::sync::Arc;
use std::time::Instant;

use fabric_proto::common::Status;
use orderer_node::client::{BroadcastClient, Endpoint};
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

impl Stray {
    /// Runs until nothing falls due any more.
    pub(super) async fn run(mut self) {
        let mut stream = None;
        let mut turn = 0;
        while let Some(due) = self.next_due().await {
            let client = match stream.take() {
                Some(client) => client,
                None => match self.endpoint.connect().await {
                    Ok(connection) => BroadcastClient::open(&connection),
                    Err(error) => {
                        self.shared.on_trouble(&error);
                        tokio::time::sleep(RECONNECT_PAUSE).await;
                        continue;
                    }
                },
            };
            if self.send(&client, turn, due).await {
                stream = Some(client);
            }
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

    /// Sends one and waits for its answer. Can the stream be used again?
    async fn send(&self, client: &BroadcastClient, turn: usize, due: Instant) -> bool {
        let (key, envelope) = self.makers[turn % self.makers.len()].make();
        self.shared.matching().on_sent(key, self.index, due);
        let answer = match client.submit(envelope).await {
            Ok(pending) => pending.answer().await,
            Err(error) => Err(error),
        };
        let (freed, is_open) = match answer {
            Ok(answer) if answer.status == Status::Success => {
                self.shared.matching().on_acknowledged(key, due, Instant::now());
                (None, true)
            }
            Ok(answer) => {
                self.shared.on_refusal(answer.status, &answer.info);
                (self.shared.matching().on_refused(key), false)
            }
            Err(error) => {
                self.shared.on_trouble(&error);
                (self.shared.matching().on_unanswered(key), false)
            }
        };
        self.shared.free(freed);
        is_open
    }
}
