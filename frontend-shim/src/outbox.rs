//! What waits to be written to one connection: encoded frames, bounded in bytes and in number.
//!
//! Whoever fills it never waits, so a connection that does not move stops nobody else. What happens at the bound is the
//! filler's choice: be refused ([`Outbox::push`]) or make the oldest frames give way ([`Outbox::push_over_oldest`]).
//! Frames stay across reconnects unless [`Outbox::clear`] is called.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::Notify;

use crate::framing::{COALESCE_BYTES, FrameWriter};

/// A bounded queue of frames with many fillers and one writer.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
    bytes_max: usize,
    frames_max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    is_closed: bool,
}

/// The frame did not fit; it was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much waits for this connection")]
pub struct Full;

impl Outbox {
    /// An empty outbox that holds so many bytes and so many frames. A single frame above the byte bound is taken when
    /// nothing else waits.
    #[must_use]
    pub fn new(bytes_max: usize, frames_max: usize) -> Self {
        Self { queue: Mutex::default(), changed: Notify::new(), bytes_max, frames_max }
    }

    /// Takes a frame if there is room.
    ///
    /// # Errors
    /// There is none, or the outbox is closed.
    pub fn push(&self, frame: Bytes) -> Result<(), Full> {
        let mut queue = self.lock();
        if queue.is_closed || !self.has_room(&queue, frame.len()) {
            return Err(Full);
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes a frame; the oldest ones give way if there is no room. Says how many did.
    pub fn push_over_oldest(&self, frame: Bytes) -> usize {
        let mut queue = self.lock();
        if queue.is_closed {
            return 0;
        }
        let mut dropped = 0;
        while !self.has_room(&queue, frame.len()) {
            let oldest = queue.frames.pop_front().map_or(0, |oldest| oldest.len());
            queue.bytes -= oldest;
            dropped += 1;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        drop(queue);
        self.changed.notify_one();
        dropped
    }

    /// Forgets what waits.
    pub fn clear(&self) {
        let mut queue = self.lock();
        queue.frames.clear();
        queue.bytes = 0;
    }

    /// Takes no more; the writer ends when what waits is written.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The next frame, without waiting.
    pub fn pop(&self) -> Option<Bytes> {
        let mut queue = self.lock();
        let frame = queue.frames.pop_front()?;
        queue.bytes -= frame.len();
        Some(frame)
    }

    /// Waits for the next frame; `None` once the outbox is closed and empty. Cancel-safe; one writer at a time.
    pub async fn next(&self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.pop() {
                return Some(frame);
            }
            if self.lock().is_closed {
                return None;
            }
            self.changed.notified().await;
        }
    }

    fn has_room(&self, queue: &Queue, bytes: usize) -> bool {
        queue.frames.is_empty() || (queue.bytes + bytes <= self.bytes_max && queue.frames.len() < self.frames_max)
    }

    /// No code panics while it holds the lock, so a poisoned queue is still whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes frames out of `outbox` until it is closed and empty: everything that waits leaves in one write, up to
/// [`COALESCE_BYTES`].
///
/// # Errors
/// The connection failed. Frames that were already taken out are lost with it.
pub async fn write_frames<W: AsyncWrite + Unpin>(outbox: &Outbox, io: W) -> io::Result<()> {
    let mut writer = FrameWriter::new(io);
    while let Some(first) = outbox.next().await {
        let mut bytes = first.len();
        writer.write_frame(first).await?;
        while bytes < COALESCE_BYTES
            && let Some(frame) = outbox.pop()
        {
            bytes += frame.len();
            writer.write_frame(frame).await?;
        }
        writer.flush().await?;
    }
    writer.shutdown().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::framing::{FRAME_BYTES_MAX, FrameReader, encode_frame};

    fn frame(kind: u8, size: usize) -> Bytes {
        encode_frame(kind, &[&vec![0; size]])
    }

    #[test]
    fn at_the_bound_a_frame_is_refused_or_the_oldest_give_way() {
        let outbox = Outbox::new(50, 3);
        assert_eq!(outbox.push(frame(1, 15)), Ok(()));
        assert_eq!(outbox.push(frame(2, 15)), Ok(()));
        assert_eq!(outbox.push(frame(3, 15)), Err(Full), "60 bytes");
        assert_eq!(outbox.push_over_oldest(frame(3, 15)), 1);
        assert_eq!(outbox.bytes(), 40);
        assert_eq!(outbox.push_over_oldest(frame(4, 200)), 2, "alone, even a large one is taken");
        assert_eq!(outbox.push(frame(5, 0)), Err(Full));
        assert_eq!(outbox.pop().unwrap()[4], 4);
        for kind in 1..=3 {
            assert_eq!(outbox.push(frame(kind, 0)), Ok(()));
        }
        assert_eq!(outbox.push(frame(4, 0)), Err(Full), "three frames");
        outbox.clear();
        assert_eq!((outbox.bytes(), outbox.pop()), (0, None));
    }

    #[tokio::test]
    async fn the_writer_drains_in_order_and_ends_when_closed() {
        let outbox = std::sync::Arc::new(Outbox::new(1 << 20, 1000));
        let (near, far) = tokio::io::duplex(64);
        let writing = tokio::spawn({
            let outbox = outbox.clone();
            async move { write_frames(&outbox, near).await }
        });
        for kind in 0..200 {
            outbox.push(frame(kind, usize::from(kind))).unwrap();
            tokio::task::yield_now().await;
        }
        outbox.close();
        assert_eq!(outbox.push(frame(0, 0)), Err(Full));
        let mut reader = FrameReader::new(far, FRAME_BYTES_MAX);
        for kind in 0..200 {
            assert_eq!(reader.read_frame().await.unwrap().unwrap().kind, kind);
        }
        assert_eq!(reader.read_frame().await.unwrap(), None);
        writing.await.unwrap().unwrap();
    }
}
