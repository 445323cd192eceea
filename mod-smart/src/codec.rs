//! Bytes of the protocol: fixed-width big-endian numbers and length-prefixed byte strings.
//!
//! One value has one encoding, and a decoder consumes its input whole, so equal bytes and equal values are the same
//! thing. Every length is checked against what is left before anything is allocated: a decoder never allocates more
//! than a small multiple of its input.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::id::{Client, Digest, Epoch, FrontendId, InstanceId, Regency, ReplicaId, RequestId, Sequence, SessionId};

/// Why bytes are not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The input ends before the value does.
    #[error("truncated")]
    Truncated,
    /// The input goes on after the value.
    #[error("{0} bytes after the end of the value")]
    Trailing(usize),
    /// A tag that names nothing.
    #[error("unknown tag {0}")]
    Tag(u8),
    /// A count above its bound.
    #[error("count {0} is above its bound")]
    Count(u64),
    /// The members of a set are not in ascending order, each once.
    #[error("a set out of order")]
    Order,
}

/// Takes values from the front of a byte string without copying the parts.
#[derive(Debug)]
pub struct Reader {
    rest: Bytes,
}

impl Reader {
    /// Reads from these bytes.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Bytes are left over.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Trailing(self.rest.len())) }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Everything that is left, without taking it.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.rest.clone()
    }

    /// One byte.
    ///
    /// # Errors
    /// The input is too short, as for every method below.
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        self.rest.try_get_u8().map_err(|_| CodecError::Truncated)
    }

    /// One byte that is 0 or 1.
    ///
    /// # Errors
    /// The input is too short, or the byte is another one.
    pub fn bool(&mut self) -> Result<bool, CodecError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(CodecError::Tag(tag)),
        }
    }

    /// Two bytes.
    ///
    /// # Errors
    /// See [`Reader::u8`].
    pub fn u16(&mut self) -> Result<u16, CodecError> {
        self.rest.try_get_u16().map_err(|_| CodecError::Truncated)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// See [`Reader::u8`].
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        self.rest.try_get_u32().map_err(|_| CodecError::Truncated)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// See [`Reader::u8`].
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        self.rest.try_get_u64().map_err(|_| CodecError::Truncated)
    }

    /// A byte string: its length in four bytes, then itself. Shares the input's memory.
    ///
    /// # Errors
    /// See [`Reader::u8`].
    pub fn bytes(&mut self) -> Result<Bytes, CodecError> {
        let length = self.u32()? as usize;
        if length > self.rest.len() {
            return Err(CodecError::Truncated);
        }
        Ok(self.rest.split_to(length))
    }

    /// Exactly `N` bytes.
    ///
    /// # Errors
    /// See [`Reader::u8`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let mut array = [0; N];
        self.rest.try_copy_to_slice(&mut array).map_err(|_| CodecError::Truncated)?;
        Ok(array)
    }

    /// A list: its count in four bytes, then its members. The count must not exceed `count_max`, nor what the rest of
    /// the input can hold when every member takes at least `member_bytes_min` bytes.
    ///
    /// # Errors
    /// A count above its bound, a short input, or a member that does not decode.
    pub fn list<T>(
        &mut self,
        count_max: usize,
        member_bytes_min: usize,
        mut member: impl FnMut(&mut Self) -> Result<T, CodecError>,
    ) -> Result<Vec<T>, CodecError> {
        let count = self.u32()? as usize;
        if count > count_max {
            return Err(CodecError::Count(count as u64));
        }
        if count.saturating_mul(member_bytes_min.max(1)) > self.rest.len() {
            return Err(CodecError::Truncated);
        }
        (0..count).map(|_| member(self)).collect()
    }

    pub(crate) fn replica(&mut self) -> Result<ReplicaId, CodecError> {
        Ok(ReplicaId(self.u16()?))
    }

    pub(crate) fn instance(&mut self) -> Result<InstanceId, CodecError> {
        Ok(InstanceId(self.u64()?))
    }

    pub(crate) fn epoch(&mut self) -> Result<Epoch, CodecError> {
        Ok(Epoch(self.u64()?))
    }

    pub(crate) fn regency(&mut self) -> Result<Regency, CodecError> {
        Ok(Regency(self.u64()?))
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, CodecError> {
        Ok(Digest(self.array()?))
    }

    pub(crate) fn client(&mut self) -> Result<Client, CodecError> {
        match self.u8()? {
            0 => Ok(Client::Replica(self.replica()?)),
            1 => Ok(Client::Frontend(FrontendId(self.array()?))),
            tag => Err(CodecError::Tag(tag)),
        }
    }

    pub(crate) fn request_id(&mut self) -> Result<RequestId, CodecError> {
        let client = self.client()?;
        let session = SessionId(self.u64()?);
        let sequence = Sequence(self.u64()?);
        Ok(RequestId { client, session, sequence })
    }
}

/// Appends values to a growing byte string. The counterpart of [`Reader`], method by method.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// An empty writer with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: BytesMut::with_capacity(bytes) }
    }

    /// The bytes written.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.freeze()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.put_u8(value);
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.bytes.put_u16(value);
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.bytes.put_u32(value);
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.bytes.put_u64(value);
    }

    /// A byte string with its length.
    ///
    /// # Panics
    /// The string is longer than 4 GiB, which every limit of the protocol excludes.
    pub fn bytes(&mut self, value: &[u8]) {
        assert!(u32::try_from(value.len()).is_ok(), "a byte string above 4 GiB");
        self.u32(value.len() as u32);
        self.raw(value);
    }

    /// Bytes without a length.
    pub fn raw(&mut self, value: &[u8]) {
        self.bytes.put_slice(value);
    }

    /// The count of a list, before its members.
    pub fn count(&mut self, count: usize) {
        assert!(u32::try_from(count).is_ok(), "a list above 2^32 members");
        self.u32(count as u32);
    }

    pub(crate) fn client(&mut self, client: Client) {
        match client {
            Client::Replica(id) => {
                self.u8(0);
                self.u16(id.0);
            }
            Client::Frontend(id) => {
                self.u8(1);
                self.raw(&id.0);
            }
        }
    }

    pub(crate) fn request_id(&mut self, id: RequestId) {
        self.client(id.client);
        self.u64(id.session.0);
        self.u64(id.sequence.0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_input_is_truncation_and_allocates_nothing() {
        let mut reader = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1]));
        assert_eq!(reader.bytes(), Err(CodecError::Truncated));
        let mut reader = Reader::new(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 1]));
        assert_eq!(reader.list(usize::MAX, 32, Reader::digest), Err(CodecError::Truncated));
    }

    #[test]
    fn a_value_that_does_not_end_its_input_is_refused() {
        let mut reader = Reader::new(Bytes::from_static(&[0, 1, 2]));
        assert_eq!(reader.u16(), Ok(1));
        assert_eq!(reader.finish(), Err(CodecError::Trailing(1)));
    }
}
