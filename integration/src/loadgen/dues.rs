//! When the envelopes of one lane fall due.

use std::time::Instant;

use tokio::sync::mpsc;

use super::matching::LaneIndex;
use super::shared::Shared;

/// When the envelopes of a lane fall due.
pub(super) enum Dues {
    /// Whenever it has a free place.
    WhenFree,
    /// As the pacer says.
    Paced(mpsc::Receiver<Instant>),
}

impl Dues {
    /// Waits until the next one of a lane is due; nothing if there are to be no more.
    pub(super) async fn next(&mut self, lane: LaneIndex, shared: &Shared) -> Option<Instant> {
        match self {
            Self::Paced(dues) => tokio::select! {
                biased;
                () = shared.stop.cancelled() => None,
                due = dues.recv() => due,
            },
            Self::WhenFree => {
                let place = tokio::select! {
                    biased;
                    () = shared.stop.cancelled() => return None,
                    place = shared.places(lane).acquire() => place.ok()?,
                };
                // The place comes back when the envelope has come to its end.
                place.forget();
                shared.quota.take().then(Instant::now)
            }
        }
    }
}
