//! One way into the cluster through a frontend of this process: like a Broadcast stream, without the stream.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::time::Instant;

use frontend_shim::broadcast::{Order, Submit as _, SubmitError};
use frontend_shim::channels::Channel;
use frontend_shim::frontend::FrontendHandle;
use futures::future::BoxFuture;
use orderer_node::client::OUTSTANDING_MAX;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::dues::Dues;
use super::key::Key;
use super::limits::RECONNECT_PAUSE;
use super::matching::LaneIndex;
use super::shared::Shared;

pub(super) struct DirectLane {
    pub(super) index: LaneIndex,
    pub(super) frontend: FrontendHandle,
    /// By place among those that are loaded.
    pub(super) channels: Vec<Arc<Channel>>,
    pub(super) dues: Dues,
    pub(super) shared: Arc<Shared>,
}

/// An envelope that is not known to be held by enough nodes.
struct Asked {
    key: Key,
    due: Instant,
    held: BoxFuture<'static, Result<(), SubmitError>>,
}

impl DirectLane {
    /// Runs until nothing more is to be sent and everything sent is answered.
    pub(super) async fn run(mut self) {
        let (asked, asking) = mpsc::channel(OUTSTANDING_MAX);
        let is_refused = Arc::<AtomicBool>::default();
        let answers = note_answers(asking, Arc::clone(&self.shared), Arc::clone(&is_refused));
        let answers = AbortOnDropHandle::new(tokio::spawn(answers));
        while let Some(due) = self.dues.next(self.index, &self.shared).await {
            let Some(prepared) = self.shared.sources.take() else { break };
            // Noted before it is sent, as on a stream.
            self.shared.matching().on_sent(prepared.key, self.index, due);
            let channel = &self.channels[prepared.channel.0];
            let sequence = channel.config().sequence();
            let order = Order::Envelope { sequence, envelope: prepared.envelope };
            let held = self.frontend.submit(channel.id(), order);
            drop(asked.send(Asked { key: prepared.key, due, held }).await);
            if is_refused.swap(false, AcqRel) {
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
        drop(asked);
        drop(answers.await);
    }
}

/// In the order of the envelopes, as on a stream.
async fn note_answers(mut asking: mpsc::Receiver<Asked>, shared: Arc<Shared>, is_refused: Arc<AtomicBool>) {
    while let Some(Asked { key, due, held }) = asking.recv().await {
        let freed = match held.await {
            Ok(()) => {
                shared.matching().on_acknowledged(key, due, Instant::now());
                None
            }
            // It may still be ordered.
            Err(error @ (SubmitError::TimedOut | SubmitError::Closed)) => {
                shared.on_trouble(&error);
                shared.matching().on_unanswered(key)
            }
            Err(error) => {
                shared.on_refusal(error.status(), &error.to_string());
                // Before its place is free: whoever takes that is to see it.
                is_refused.store(true, Release);
                shared.matching().on_refused(key)
            }
        };
        shared.free(freed);
    }
}
