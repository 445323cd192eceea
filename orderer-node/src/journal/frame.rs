//! A record in a segment: its head, its checksum, and what the head claims.
//!
//! ```text
//! mark u32 | length u32 | checksum u32 | previous u32 | synced u32 | payload
//! ```
//!
//! `mark` is drawn at random for each segment, so that nobody who writes requests can write something that looks like a
//! frame. `checksum` (CRC-32C) covers the head of the segment, the offset, and everything in the frame: a record that
//! turns up in another place does not verify. `previous` is the checksum of the frame before: a record that is lost or
//! replaced breaks the chain. `synced` is how much of the segment was durable when the frame was written: a frame that
//! claims more than the offset of a bad one proves that the bad one is damage, not a torn write.

use crate::journal::limits::RECORD_BYTES_MAX;

/// Where a record stands. Ordered as in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Number of the segment.
    pub(crate) segment: u32,
    /// First byte of its frame.
    pub(crate) offset: u32,
    /// Bytes of its payload.
    pub(crate) length: u32,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) length: u32,
    pub(crate) checksum: u32,
    pub(crate) previous: u32,
    pub(crate) synced: u32,
}

/// What tells the frames of one segment from those of any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// First bytes of every frame.
    pub(crate) mark: [u8; 4],
    /// Checksum of the head of the segment.
    pub(crate) seed: u32,
}

impl Stamp {
    /// Appends a frame whose payload `write` appends. `offset` is where the frame will stand. Gives its head.
    pub(crate) fn push(
        self,
        buffer: &mut Vec<u8>,
        offset: u32,
        previous: u32,
        synced: u32,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Head {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; HEAD_BYTES]);
        write(buffer);
        let payload = start + HEAD_BYTES;
        let mut head = Head { length: (buffer.len() - payload) as u32, checksum: 0, previous, synced };
        head.checksum = self.checksum(offset, head, &buffer[payload..]);
        let fields = [self.mark, head.length.to_be_bytes(), head.checksum.to_be_bytes()];
        buffer[start..start + 12].copy_from_slice(fields.as_flattened());
        buffer[start + 12..payload].copy_from_slice([previous.to_be_bytes(), synced.to_be_bytes()].as_flattened());
        head
    }

    /// Reads a head, whose payload must fit into `room` bytes after it.
    ///
    /// # Errors
    /// Why no frame can begin like this.
    pub(crate) fn head(self, bytes: &[u8], room: u64) -> Result<Head, &'static str> {
        let Some((fields, _)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Err("a record is cut short") };
        let field = |at: usize| u32::from_be_bytes([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]]);
        if fields[..4] != self.mark {
            return Err("no record begins here");
        }
        let head = Head { length: field(4), checksum: field(8), previous: field(12), synced: field(16) };
        if head.length as usize > RECORD_BYTES_MAX {
            return Err("the length of a record is out of range");
        }
        if u64::from(head.length) > room {
            return Err("a record is cut short");
        }
        Ok(head)
    }

    /// Does this payload, at this offset, under this head, have the checksum the head names?
    pub(crate) fn is_intact(self, offset: u32, head: Head, payload: &[u8]) -> bool {
        payload.len() == head.length as usize && self.checksum(offset, head, payload) == head.checksum
    }

    fn checksum(self, offset: u32, head: Head, payload: &[u8]) -> u32 {
        let fields = [offset, head.length, head.previous, head.synced].map(u32::to_be_bytes);
        crc32c::crc32c_append(crc32c::crc32c_append(self.seed, fields.as_flattened()), payload)
    }
}

/// Bytes of the head of a frame.
pub(crate) const HEAD_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_intact_in_its_own_segment_and_place_only() {
        let stamp = Stamp { mark: *b"mark", seed: 7 };
        let mut frame = Vec::new();
        let head = stamp.push(&mut frame, 100, 1, 2, |payload| payload.extend_from_slice(b"payload"));
        assert_eq!(stamp.head(&frame, 7), Ok(head));
        assert!(stamp.head(&frame, 6).is_err(), "no room for the payload");
        assert!(stamp.is_intact(100, head, b"payload"));
        assert!(!stamp.is_intact(101, head, b"payload"), "another place");
        assert!(!Stamp { seed: 8, ..stamp }.is_intact(100, head, b"payload"), "another segment");
        assert!(Stamp { mark: *b"mask", ..stamp }.head(&frame, 7).is_err());
        assert!(!stamp.is_intact(100, Head { previous: 3, ..head }, b"payload"));
        assert!(!stamp.is_intact(100, Head { synced: 3, ..head }, b"payload"));
        assert!(!stamp.is_intact(100, head, b"payloaf"));
    }
}
