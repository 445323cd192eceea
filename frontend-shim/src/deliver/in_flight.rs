//! How much of one stream is on its way: handed to the connection, but not written.
//!
//! Every block is handed over as bytes that tell when they are dropped, which the connection does once they are
//! written. Until enough was written the stream takes no further block; so the memory behind a client that does not
//! read is one block, or a few small ones, whatever the windows the client granted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::ledger::StoredBlock;
use crate::limits::DELIVER_BYTES_IN_FLIGHT;
use crate::status::Counters;

#[derive(Debug)]
pub(super) struct InFlight {
    bytes: AtomicUsize,
    written: Notify,
    /// Where the bytes of all streams are counted.
    counters: Arc<Counters>,
}

impl InFlight {
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { bytes: AtomicUsize::new(0), written: Notify::new(), counters }
    }

    /// Counts `message` as on its way until the last copy of the result is dropped. Keeps the block it is a part of
    /// alive as long, so that other streams find it.
    pub fn track(self: &Arc<Self>, message: Bytes, block: Arc<StoredBlock>) -> Bytes {
        self.bytes.fetch_add(message.len(), Ordering::AcqRel);
        self.counters.on_bytes_given(message.len());
        Bytes::from_owner(Tracked { message, in_flight: Arc::clone(self), _block: block })
    }

    /// Waits until there is room for the next block.
    pub async fn settle(&self) {
        while self.bytes.load(Ordering::Acquire) >= DELIVER_BYTES_IN_FLIGHT {
            // A notification that comes between the look and the wait is kept.
            self.written.notified().await;
        }
    }
}

struct Tracked {
    message: Bytes,
    in_flight: Arc<InFlight>,
    _block: Arc<StoredBlock>,
}

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.in_flight.bytes.fetch_sub(self.message.len(), Ordering::AcqRel);
        self.in_flight.counters.on_bytes_gone(self.message.len());
        self.in_flight.written.notify_one();
    }
}
