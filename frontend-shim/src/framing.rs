//! Frames of the two private protocols, `ordering-mesh/1` and `ordering-frontend/1`.
//!
//! A frame is its length in four bytes (big-endian, counting what follows), one byte that says its kind, and a payload.
//! Reading is buffered, so that a burst of small frames costs one system call; writing coalesces, so that everything
//! that waits leaves in one write. A length is checked before anything is allocated, and memory for a large frame grows
//! with the bytes that really arrive, so a peer cannot make us reserve what it never sends.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A frame as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is; each protocol has its own list.
    pub kind: u8,
    /// Everything after the kind.
    pub payload: Bytes,
}

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection failed or ended inside a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A frame without even a kind.
    #[error("a frame of no bytes")]
    Empty,
    /// The announced length is above the bound.
    #[error("a frame of {length} bytes, {bytes_max} are allowed")]
    TooLong {
        /// What the sender announced.
        length: usize,
        /// What this reader takes.
        bytes_max: usize,
    },
}

/// Reads frames from a connection.
#[derive(Debug)]
pub struct FrameReader<R> {
    io: R,
    buffer: BytesMut,
    frame_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader that takes frames of at most `frame_bytes_max` bytes. Give it a small bound until the other side is
    /// authenticated, then [`FrameReader::allow`] more.
    #[must_use]
    pub fn new(io: R, frame_bytes_max: usize) -> Self {
        Self { io, buffer: BytesMut::new(), frame_bytes_max }
    }

    /// Takes frames of up to so many bytes from now on.
    pub fn allow(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// The next frame; `None` when the other side has closed the connection between two frames. Cancel-safe.
    ///
    /// # Errors
    /// The connection failed, or what arrived is not a frame: nothing more can be read then.
    pub async fn read_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(Some(frame));
            }
            self.make_room();
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut_off().into()) };
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(length) = self.announced() else { return Ok(None) };
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > self.frame_bytes_max {
            return Err(FrameError::TooLong { length, bytes_max: self.frame_bytes_max });
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        let whole = self.buffer.split_to(LENGTH_BYTES + length);
        let kind = whole[LENGTH_BYTES];
        // A small payload that lives long must not keep the whole read buffer alive.
        let payload = if length <= COPY_BYTES_MAX {
            Bytes::copy_from_slice(&whole[LENGTH_BYTES + 1..])
        } else {
            whole.freeze().slice(LENGTH_BYTES + 1..)
        };
        Ok(Some(Frame { kind, payload }))
    }

    fn announced(&self) -> Option<usize> {
        let length = self.buffer.first_chunk::<LENGTH_BYTES>()?;
        Some(u32::from_be_bytes(*length) as usize)
    }

    /// Doubles what is there, up to the end of the frame: the copying stays linear and so does what a sender can cost.
    fn make_room(&mut self) {
        let wanted = self.announced().map_or(0, |length| LENGTH_BYTES + length);
        let missing = wanted.saturating_sub(self.buffer.len());
        self.buffer.reserve(missing.min(self.buffer.len()).max(READ_BYTES));
    }
}

/// Writes frames to a connection, many small ones at a time.
#[derive(Debug)]
pub struct FrameWriter<W> {
    io: W,
    buffer: BytesMut,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// A writer with nothing in it.
    #[must_use]
    pub fn new(io: W) -> Self {
        Self { io, buffer: BytesMut::new() }
    }

    /// Adds a whole frame, as [`encode_frame`] made it. Writes only when enough has come together.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn write_frame(&mut self, frame: Bytes) -> io::Result<()> {
        if self.buffer.len() + frame.len() > COALESCE_BYTES {
            self.write_buffer().await?;
        }
        if frame.len() > COALESCE_BYTES {
            return self.io.write_all(&frame).await;
        }
        self.buffer.put_slice(&frame);
        Ok(())
    }

    /// Sends what has come together.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.write_buffer().await?;
        self.io.flush().await
    }

    /// Says to the other side that nothing more will come.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.io.shutdown().await
    }

    async fn write_buffer(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.io.write_all(&self.buffer).await?;
        self.buffer.clear();
        Ok(())
    }
}

/// The bytes of a frame whose payload is these parts, one after the other. They can go to any number of connections
/// without a copy.
///
/// # Panics
/// The payload is longer than [`FRAME_BYTES_MAX`], which the bounds on envelopes and blocks exclude.
#[must_use]
pub fn encode_frame(kind: u8, parts: &[&[u8]]) -> Bytes {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    assert!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes");
    let mut frame = BytesMut::with_capacity(LENGTH_BYTES + length);
    frame.put_u32(length as u32);
    frame.put_u8(kind);
    for part in parts {
        frame.put_slice(part);
    }
    frame.freeze()
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended inside a frame")
}

/// Most bytes of a frame after its length: a block of 100 MiB and what belongs to it.
pub const FRAME_BYTES_MAX: usize = 110 << 20;

/// Most bytes of a frame before the sender has said who it is.
pub const HELLO_FRAME_BYTES_MAX: usize = 64 << 10;

/// So many bytes of small frames go into one write.
pub const COALESCE_BYTES: usize = 128 << 10;

const LENGTH_BYTES: usize = 4;
const READ_BYTES: usize = 64 << 10;
const COPY_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read_all(input: &[u8], frame_bytes_max: usize) -> (Vec<Frame>, Option<FrameError>) {
        let mut reader = FrameReader::new(input, frame_bytes_max);
        let mut frames = Vec::new();
        loop {
            match reader.read_frame().await {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, None),
                Err(error) => return (frames, Some(error)),
            }
        }
    }

    #[tokio::test]
    async fn frames_of_any_size_arrive_in_order() {
        let sizes = [0, 1, 100, 40_000, 200_000, 3, 1 << 20, 0];
        let (near, far) = tokio::io::duplex(1000);
        let sending = tokio::spawn(async move {
            let mut writer = FrameWriter::new(near);
            for (kind, size) in (1..).zip(sizes) {
                writer
                    .write_frame(encode_frame(kind, &[&vec![kind; size / 2], &vec![9; size - size / 2]]))
                    .await
                    .unwrap();
            }
            writer.shutdown().await.unwrap();
        });
        let mut reader = FrameReader::new(far, FRAME_BYTES_MAX);
        for (kind, size) in (1..).zip(sizes) {
            let frame = reader.read_frame().await.unwrap().unwrap();
            assert_eq!((frame.kind, frame.payload.len()), (kind, size));
            assert!(frame.payload.iter().take(size / 2).all(|&byte| byte == kind));
        }
        assert_eq!(reader.read_frame().await.unwrap(), None);
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn small_frames_leave_in_one_write() {
        let mut writer = FrameWriter::new(counting::Counting::default());
        for _ in 0..100 {
            writer.write_frame(encode_frame(1, &[b"vote"])).await.unwrap();
        }
        writer.flush().await.unwrap();
        assert_eq!((writer.io.writes, writer.io.bytes), (1, 900));
    }

    mod counting {
        use std::pin::Pin;
        use std::task::{Context, Poll};

        /// Counts the writes it is given.
        #[derive(Default)]
        pub(super) struct Counting {
            pub(super) writes: usize,
            pub(super) bytes: usize,
        }

        impl tokio::io::AsyncWrite for Counting {
            fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
                self.writes += 1;
                self.bytes += bytes.len();
                Poll::Ready(Ok(bytes.len()))
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
    }

    #[tokio::test]
    async fn an_announced_length_above_the_bound_is_refused_before_it_costs_memory() {
        let (frames, error) = read_all(&[0xff, 0xff, 0xff, 0xff, 1], FRAME_BYTES_MAX).await;
        assert!(frames.is_empty());
        assert!(matches!(error, Some(FrameError::TooLong { length: 0xffff_ffff, .. })));
        let mut reader = FrameReader::new(&[0x06, 0, 0, 0, 1][..], FRAME_BYTES_MAX);
        assert!(matches!(reader.read_frame().await, Err(FrameError::Io(_))), "96 MiB announced, one byte sent");
        assert!(reader.buffer.capacity() < 1 << 20);
    }

    #[tokio::test]
    async fn the_bound_grows_once_the_sender_is_known() {
        let frame = encode_frame(7, &[&[0; 100]]);
        let mut reader = FrameReader::new(&frame[..], 50);
        assert!(matches!(reader.read_frame().await, Err(FrameError::TooLong { length: 101, bytes_max: 50 })));
        reader.allow(101);
        assert_eq!(reader.read_frame().await.unwrap().unwrap().payload.len(), 100);
    }

    #[tokio::test]
    async fn a_frame_that_is_cut_off_or_empty_is_an_error() {
        assert!(matches!(read_all(&[0, 0, 0, 0], 10).await.1, Some(FrameError::Empty)));
        assert!(matches!(read_all(&[0, 0, 0, 3, 1], 10).await.1, Some(FrameError::Io(_))));
        assert!(matches!(read_all(&[0, 0], 10).await.1, Some(FrameError::Io(_))));
    }

    proptest! {
        #[test]
        fn any_input_gives_frames_or_an_error(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (frames, error) = runtime.block_on(read_all(&input, 200));
            let again: Vec<u8> = frames.iter().flat_map(|f| encode_frame(f.kind, &[&f.payload])).collect();
            prop_assert!(input.starts_with(&again));
            prop_assert_eq!(error.is_none(), again.len() == input.len());
        }
    }
}
