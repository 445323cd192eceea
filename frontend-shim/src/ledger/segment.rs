//! Segment files: their names, their heads, the records in them, and how the end of one is judged after a crash.
//!
//! A file `blocks-NNNNNN.seg` begins with a head (magic, format version, its number, a salt) and holds records `{u32
//! len, u32 crc32c, u8 kind, u64 number, bytes}`, integers big-endian; `len` and the checksum cover everything from
//! the kind on. After every sync a record of kind `Synced` says up to where the file had become durable. So a bad
//! record can be judged: behind the last such statement it is a torn tail, which a crash may leave; before it, bytes
//! that were durable have changed, which is damage. The salt, unknown to clients, keeps the content of a block from
//! posing as such a statement.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::limits::LEDGER_RECORD_BYTES_MAX;

/// What the first bytes of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Position of the file in the ledger, from 0.
    pub number: u32,
    /// Random, so that nobody can write a `Synced` record into a block.
    pub salt: [u8; SALT_BYTES],
}

impl Head {
    /// A head for a new file.
    pub fn new(number: u32) -> io::Result<Self> {
        let mut salt = [0; SALT_BYTES];
        rand::fill(&mut salt).map_err(|_| io::Error::other("the random generator failed"))?;
        Ok(Self { number, salt })
    }

    /// The bytes at the start of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.put_slice(MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(self.number);
        out.put_slice(&self.salt);
        out.put_u32(crc32c::crc32c(&out));
        out
    }

    /// Reads what [`Head::encode`] wrote.
    pub fn decode(bytes: &[u8; HEAD_BYTES]) -> Result<Self, HeadError> {
        let (content, mut checksum) = bytes.split_at(HEAD_BYTES - 4);
        let mut rest = content.strip_prefix(MAGIC).ok_or(HeadError::NotASegment)?;
        let version = rest.get_u32();
        if version != FORMAT_VERSION {
            return Err(HeadError::Version(version));
        }
        if checksum.get_u32() != crc32c::crc32c(content) {
            return Err(HeadError::Checksum);
        }
        let number = rest.get_u32();
        let mut salt = [0; SALT_BYTES];
        rest.copy_to_slice(&mut salt);
        Ok(Self { number, salt })
    }
}

/// Why the first bytes of a file are not the head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    NotASegment,
    Version(u32),
    Checksum,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `number` and the encoded block.
    Block = 1,
    /// `number` of the block and the content of its slot SIGNATURES.
    Certificate = 2,
    /// The offset up to which the file is durable, in place of a number, and the salt.
    Synced = 3,
}

/// A record with its payload; `number` as [`Kind`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub kind: Kind,
    pub number: u64,
    pub payload: Bytes,
}

/// The bytes of a record.
pub(super) fn encode_record(kind: Kind, number: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(RECORD_OVERHEAD_BYTES + payload.len());
    // The ledger bounds its records, see the limits.
    out.put_u32((CONTENT_HEAD_BYTES + payload.len()) as u32);
    out.put_u32(0);
    out.put_u8(kind as u8);
    out.put_u64(number);
    out.put_slice(payload);
    let checksum = crc32c::crc32c(&out[LENGTH_AND_CHECKSUM_BYTES..]);
    out[4..LENGTH_AND_CHECKSUM_BYTES].copy_from_slice(&checksum.to_be_bytes());
    out
}

/// Reads the record of `len` bytes at `offset`, which the index says is there.
pub(super) fn read_record(file: &File, offset: u64, len: usize) -> Result<Record, BadRecord> {
    let mut bytes = BytesMut::zeroed(len);
    file.read_exact_at(&mut bytes, offset).map_err(BadRecord::Io)?;
    let mut bytes = bytes.freeze();
    let (length, checksum) = (bytes.get_u32(), bytes.get_u32());
    if length as usize != bytes.len() {
        return Err(BadRecord::Invalid("its length has changed"));
    }
    decode_content(bytes, checksum)
}

/// Reads the records of a file one after the other.
#[derive(Debug)]
pub(super) struct Scanner<R> {
    input: R,
    offset: u64,
    end: u64,
}

impl<R: Read> Scanner<R> {
    /// `input` must stand behind the head of a file of `end` bytes.
    pub fn new(input: R, end: u64) -> Self {
        Self { input, offset: HEAD_BYTES as u64, end }
    }

    /// Where the next record begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record and its whole length, or `None` at the end of the file. After an error the scan is over.
    pub fn next(&mut self) -> Result<Option<(Record, usize)>, BadRecord> {
        let left = self.end - self.offset;
        if left == 0 {
            return Ok(None);
        }
        if left < RECORD_OVERHEAD_BYTES as u64 {
            return Err(BadRecord::Invalid("the file ends inside it"));
        }
        let mut head = [0; LENGTH_AND_CHECKSUM_BYTES];
        self.input.read_exact(&mut head).map_err(BadRecord::Io)?;
        let mut head = &head[..];
        let (length, checksum) = (head.get_u32() as usize, head.get_u32());
        if !(CONTENT_HEAD_BYTES..=LEDGER_RECORD_BYTES_MAX + CONTENT_HEAD_BYTES).contains(&length) {
            return Err(BadRecord::Invalid("its length is impossible"));
        }
        if length as u64 > left - LENGTH_AND_CHECKSUM_BYTES as u64 {
            return Err(BadRecord::Invalid("the file ends inside it"));
        }
        let mut content = BytesMut::zeroed(length);
        self.input.read_exact(&mut content).map_err(BadRecord::Io)?;
        let record = decode_content(content.freeze(), checksum)?;
        let whole = LENGTH_AND_CHECKSUM_BYTES + length;
        self.offset += whole as u64;
        Ok(Some((record, whole)))
    }
}

/// Why there is no good record at a place.
#[derive(Debug)]
pub(super) enum BadRecord {
    /// The file could not be read.
    Io(io::Error),
    /// The bytes are no record.
    Invalid(&'static str),
}

/// The greatest offset up to which a statement inside `tail` says that the file was durable; 0 if there is none.
/// `tail` may begin anywhere in a file.
pub(super) fn synced_up_to(tail: &[u8], head: &Head) -> u64 {
    let statement_bytes = RECORD_OVERHEAD_BYTES + SALT_BYTES;
    let mut greatest = 0;
    for (at, window) in tail.windows(SALT_BYTES).enumerate() {
        if window != head.salt || at < RECORD_OVERHEAD_BYTES {
            continue;
        }
        let mut bytes = Bytes::copy_from_slice(&tail[at - RECORD_OVERHEAD_BYTES..at + SALT_BYTES]);
        let (length, checksum) = (bytes.get_u32() as usize, bytes.get_u32());
        if length != statement_bytes - LENGTH_AND_CHECKSUM_BYTES {
            continue;
        }
        match decode_content(bytes, checksum) {
            Ok(record) if record.kind == Kind::Synced => greatest = greatest.max(record.number),
            _ => {}
        }
    }
    greatest
}

/// The path of a segment.
pub(super) fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{PREFIX}{number:06}{SUFFIX}"))
}

/// The number in the name of a segment.
pub(super) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let is_ours = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_ours { digits.parse().ok() } else { None }
}

/// Creates a segment whose head is durable, and the directory entry with it.
pub(super) fn create_segment(dir: &Path, head: &Head) -> io::Result<File> {
    let path = segment_path(dir, head.number);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    file.write_all_at(&head.encode(), 0)?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

fn decode_content(mut content: Bytes, checksum: u32) -> Result<Record, BadRecord> {
    if crc32c::crc32c(&content) != checksum {
        return Err(BadRecord::Invalid("its checksum is wrong"));
    }
    let kind = match content.get_u8() {
        1 => Kind::Block,
        2 => Kind::Certificate,
        3 => Kind::Synced,
        _ => return Err(BadRecord::Invalid("its kind is unknown")),
    };
    let number = content.get_u64();
    Ok(Record { kind, number, payload: content })
}

const PREFIX: &str = "blocks-";
const SUFFIX: &str = ".seg";
const MAGIC: &[u8; 8] = b"ordblock";
/// The only format this program reads and writes.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Length of [`Head::salt`].
const SALT_BYTES: usize = 16;
/// Magic, version, number, salt, checksum.
pub(super) const HEAD_BYTES: usize = 8 + 4 + 4 + SALT_BYTES + 4;
const LENGTH_AND_CHECKSUM_BYTES: usize = 8;
/// Kind and number.
const CONTENT_HEAD_BYTES: usize = 9;
/// What a record takes beside its payload.
pub(super) const RECORD_OVERHEAD_BYTES: usize = LENGTH_AND_CHECKSUM_BYTES + CONTENT_HEAD_BYTES;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive_and_foreign_ones_are_told_apart() {
        let head = Head::new(7).unwrap();
        let bytes: [u8; HEAD_BYTES] = head.encode().try_into().unwrap();
        assert_eq!(Head::decode(&bytes), Ok(head));
        let with = |at: usize, value: u8| {
            let mut bytes = bytes;
            bytes[at] = value;
            Head::decode(&bytes)
        };
        assert_eq!(with(0, 0), Err(HeadError::NotASegment));
        assert_eq!(with(11, 9), Err(HeadError::Version(9)));
        assert_eq!(with(15, 9), Err(HeadError::Checksum));
    }

    #[test]
    fn names_are_ours_or_not() {
        assert_eq!(segment_path(Path::new("d"), 3), Path::new("d/blocks-000003.seg"));
        assert_eq!(segment_number("blocks-000003.seg"), Some(3));
        assert_eq!(segment_number("blocks-1000000.seg"), Some(1_000_000));
        for name in ["blocks-3.seg", "blocks-00000x.seg", "blocks-000003.seg.tmp", "lock"] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }

    #[test]
    fn records_are_read_back_and_every_changed_byte_is_noticed() {
        let bytes = encode_record(Kind::Certificate, 9, b"slot");
        let scan = |bytes: &[u8]| Scanner::new(bytes, (HEAD_BYTES + bytes.len()) as u64).next();
        let (record, len) = scan(&bytes).unwrap().unwrap();
        assert_eq!(record, Record { kind: Kind::Certificate, number: 9, payload: Bytes::from_static(b"slot") });
        assert_eq!(len, bytes.len());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(scan(&changed).is_err(), "byte {at}");
        }
        for len in 1..bytes.len() {
            assert!(scan(&bytes[..len]).is_err(), "length {len}");
        }
        assert!(scan(&[]).unwrap().is_none());
    }

    #[test]
    fn statements_are_found_by_their_salt_only() {
        let (head, other) = (Head::new(0).unwrap(), Head::new(0).unwrap());
        let mut tail = b"something torn".to_vec();
        tail.extend(encode_record(Kind::Synced, 500, &head.salt));
        tail.extend(encode_record(Kind::Synced, 900, &other.salt));
        tail.extend(encode_record(Kind::Synced, 700, &head.salt));
        // A block that quotes the salt is no statement.
        tail.extend(encode_record(Kind::Block, 9_000, &head.salt));
        assert_eq!(synced_up_to(&tail, &head), 700);
        assert_eq!(synced_up_to(b"", &head), 0);
    }
}
