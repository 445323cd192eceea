//! One direction of one connection: what is read at one end is written at the other when the line says so, in order. An end
//! is passed on as an end, a break as a break.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::alarm::Alarm;
use super::line::Line;

/// The connection is broken, and both ends are to see that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What is on the line.
#[derive(Debug)]
enum Cargo {
    /// They give their room back when they are dropped.
    Bytes {
        bytes: Bytes,
        _room: OwnedSemaphorePermit,
    },
    End,
    Break,
}

/// Carries until the end has been passed on. Nothing arrives before `not_before`. `back` is the line by which the near end
/// hears that the far one is gone.
///
/// # Errors
/// Either end is broken, and the other would have heard of it by now.
pub(super) async fn carry(
    near: impl AsyncRead + Unpin,
    far: impl AsyncWrite + Unpin,
    (line, back): (&Line, &Line),
    alarm: &Alarm,
    not_before: Instant,
) -> Result<(), Broken> {
    let (sender, receiver) = unbounded_channel();
    let (_, written) = tokio::join!(take(near, line, sender, not_before), give(far, receiver, alarm, back));
    written
}

async fn take(
    mut near: impl AsyncRead + Unpin,
    line: &Line,
    sender: UnboundedSender<(Instant, Cargo)>,
    not_before: Instant,
) {
    let room = Arc::new(Semaphore::new(line.room()));
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut last = not_before;
    loop {
        let read = tokio::select! {
            read = near.read(&mut buffer) => read,
            // Nobody takes it any more.
            () = sender.closed() => return,
        };
        let bytes = read.as_ref().copied().unwrap_or(0);
        last = last.max(line.arrival(Instant::now(), bytes));
        let cargo = match read {
            Ok(0) => Cargo::End,
            Err(_) => Cargo::Break,
            Ok(bytes) => {
                // Tiny chunks cost more than their bytes.
                let charge = bytes.max(CHUNK_CHARGE_MIN) as u32;
                let Ok(permit) = Arc::clone(&room).acquire_many_owned(charge).await else { return };
                Cargo::Bytes { bytes: Bytes::copy_from_slice(&buffer[..bytes]), _room: permit }
            }
        };
        let is_last = !matches!(cargo, Cargo::Bytes { .. });
        if sender.send((last, cargo)).is_err() || is_last {
            return;
        }
    }
}

async fn give(
    mut far: impl AsyncWrite + Unpin,
    mut receiver: UnboundedReceiver<(Instant, Cargo)>,
    alarm: &Alarm,
    back: &Line,
) -> Result<(), Broken> {
    while let Some((at, cargo)) = receiver.recv().await {
        alarm.wait(at).await;
        let written = match &cargo {
            Cargo::Bytes { bytes, .. } => far.write_all(bytes).await,
            Cargo::End => far.shutdown().await,
            Cargo::Break => return Err(Broken),
        };
        if written.is_err() {
            alarm.wait(back.arrival(Instant::now(), 0)).await;
            return Err(Broken);
        }
    }
    Ok(())
}

const CHUNK_BYTES: usize = 64 << 10;
const CHUNK_CHARGE_MIN: usize = 256;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::io::duplex;
    use tokio::time::timeout;

    use super::super::matrix::OneWay;
    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    fn line(deviation: Duration, bytes_per_s: Option<f64>) -> Line {
        Line::new(OneWay { mean: DELAY, deviation }, bytes_per_s, 3)
    }

    #[tokio::test]
    async fn order_is_kept_under_jitter_and_the_end_comes_last() {
        let (alarm, line) = (Alarm::start().unwrap(), line(DELAY, None));
        let ((mut client, near), (far, mut server)) = (duplex(1 << 16), duplex(1 << 16));
        let sending = async {
            for number in 0..200_u8 {
                client.write_all(&[number]).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let receiving = async {
            let mut all = Vec::new();
            server.read_to_end(&mut all).await.unwrap();
            all
        };
        let ((), carried, all) =
            tokio::join!(sending, carry(near, far, (&line, &line), &alarm, Instant::now()), receiving);
        assert_eq!(carried, Ok(()));
        assert_eq!(all, (0..200).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn a_far_end_that_does_not_read_stops_the_near_one() {
        let (alarm, line) = (Alarm::start().unwrap(), line(Duration::ZERO, None));
        let ((mut client, near), (far, server)) = (duplex(1 << 16), duplex(1 << 16));
        let carrying = tokio::spawn(async move { carry(near, far, (&line, &line), &alarm, Instant::now()).await });
        let mut taken = 0;
        let chunk = vec![1; 1 << 16];
        while timeout(Duration::from_millis(200), client.write_all(&chunk)).await.is_ok() {
            taken += chunk.len();
            assert!(taken < 16 << 20, "more than the room of the line is held");
        }
        assert!(taken >= 4 << 20, "{taken}");
        drop(server);
        assert_eq!(carrying.await.unwrap(), Err(Broken));
    }
}
