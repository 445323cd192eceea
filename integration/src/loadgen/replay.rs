//! Envelopes that were signed beforehand, in a file: `loadgen sign` writes it, `--from` sends what is in it.
//!
//! ```text
//! magic  "loadgen envelopes 1\n"
//! u16    bytes of the channel's name, then the name
//! u64    envelopes
//! u64    bytes of all records
//! record u32 bytes of an envelope, then the envelope
//! ```
//!
//! Numbers are big-endian. The file appears under its name when it is complete. It is good for one run on a channel: what
//! was ordered once is not ordered again.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use fabric_proto::ChannelId;

use super::key::Key;
use super::limits::REPLAYED_ENVELOPE_BYTES_MAX;

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Replay {
    path: PathBuf,
    header: FileHeader,
    reading: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    file: BufReader<File>,
    taken: u64,
    failure: Option<String>,
}

/// What a file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileHeader {
    channel: ChannelId,
    count: u64,
    record_bytes: u64,
}

impl Replay {
    /// Opens a file for a channel.
    ///
    /// # Errors
    /// It cannot be read, is no such file, was cut off, or is for another channel.
    pub(super) fn open(path: &Path, channel: &ChannelId) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file_bytes = file.metadata().with_context(name)?.len();
        let mut file = BufReader::new(file);
        let header = FileHeader::read(&mut file).with_context(name)?;
        let expected = (header.len() as u64).saturating_add(header.record_bytes);
        ensure!(file_bytes == expected, "{}: {file_bytes} bytes instead of {expected}: it is not whole", name());
        ensure!(header.channel == *channel, "{}: signed for channel {}, not for {channel}", name(), header.channel);
        let reading = Mutex::new(Reading { file, taken: 0, failure: None });
        Ok(Self { path: path.to_owned(), header, reading })
    }

    /// The next one; nothing at the end, or if the file turns out to be damaged.
    pub(super) fn take(&self) -> Option<(Key, Bytes)> {
        let mut reading = self.reading();
        if reading.taken == self.header.count || reading.failure.is_some() {
            return None;
        }
        match read_record(&mut reading.file) {
            Ok(envelope) => {
                reading.taken += 1;
                drop(reading);
                Some((Key::of(&envelope), envelope))
            }
            Err(error) => {
                let number = reading.taken + 1;
                reading.failure = Some(format!("{}: envelope {number}: {error:#}", self.path.display()));
                None
            }
        }
    }

    /// How many are in the file.
    pub(super) const fn count(&self) -> u64 {
        self.header.count
    }

    /// Bytes of one, on average.
    pub(super) fn envelope_bytes(&self) -> f64 {
        (self.header.record_bytes as f64 / self.header.count.max(1) as f64 - LENGTH_BYTES as f64).max(0.0)
    }

    /// Why it was not read to its end.
    pub(super) fn failure(&self) -> Option<String> {
        self.reading().failure.clone()
    }

    fn reading(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a file with so many envelopes.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, channel: &ChannelId, envelopes: impl Iterator<Item = Bytes>) -> anyhow::Result<u64> {
    let unfinished = path.with_extension("unfinished");
    let context = || format!("cannot write {}", unfinished.display());
    let mut file = BufWriter::new(File::create(&unfinished).with_context(context)?);
    let mut header = FileHeader { channel: channel.clone(), count: 0, record_bytes: 0 };
    file.write_all(&header.encode()).with_context(context)?;
    for envelope in envelopes {
        let length = u32::try_from(envelope.len()).context("an envelope of more than 4 GiB")?;
        file.write_all(&length.to_be_bytes()).with_context(context)?;
        file.write_all(&envelope).with_context(context)?;
        header.count += 1;
        header.record_bytes += (LENGTH_BYTES + envelope.len()) as u64;
    }
    file.seek(SeekFrom::Start(0)).with_context(context)?;
    file.write_all(&header.encode()).with_context(context)?;
    file.flush().with_context(context)?;
    fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(header.count)
}

impl FileHeader {
    fn encode(&self) -> Vec<u8> {
        let name = self.channel.as_str().as_bytes();
        let mut encoded = MAGIC.to_vec();
        encoded.extend((name.len() as u16).to_be_bytes());
        encoded.extend(name);
        encoded.extend(self.count.to_be_bytes());
        encoded.extend(self.record_bytes.to_be_bytes());
        encoded
    }

    fn len(&self) -> usize {
        self.encode().len()
    }

    fn read(file: &mut impl Read) -> anyhow::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        let is_read = file.read_exact(&mut magic).is_ok();
        ensure!(is_read && magic == *MAGIC, "not a file of envelopes that `loadgen sign` has written");
        let cut_off = "it is not whole";
        let mut length = [0; 2];
        file.read_exact(&mut length).context(cut_off)?;
        let mut name = vec![0; usize::from(u16::from_be_bytes(length))];
        file.read_exact(&mut name).context(cut_off)?;
        let name = String::from_utf8(name).context("the name of its channel is no text")?;
        let mut number = || -> anyhow::Result<u64> {
            let mut bytes = [0; 8];
            file.read_exact(&mut bytes).context(cut_off)?;
            Ok(u64::from_be_bytes(bytes))
        };
        Ok(Self { channel: ChannelId::new(&name)?, count: number()?, record_bytes: number()? })
    }
}

fn read_record(file: &mut impl Read) -> anyhow::Result<Bytes> {
    let mut length = [0; LENGTH_BYTES];
    file.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > REPLAYED_ENVELOPE_BYTES_MAX {
        bail!("{length} bytes; more than {REPLAYED_ENVELOPE_BYTES_MAX} are no envelope");
    }
    let mut envelope = vec![0; length];
    file.read_exact(&mut envelope)?;
    Ok(envelope.into())
}

const MAGIC: &[u8; 20] = b"loadgen envelopes 1\n";
const LENGTH_BYTES: usize = 4;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn channel() -> ChannelId {
        ChannelId::new("testchannel").unwrap()
    }

    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("some.envelopes");
        let envelopes = [&b"one"[..], b"", b"three"].map(Bytes::from_static);
        assert_eq!(write(&path, &channel(), envelopes.into_iter()).unwrap(), 3);
        path
    }

    #[test]
    fn what_was_written_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let replay = Replay::open(&written(folder.path()), &channel()).unwrap();
        assert_eq!(replay.count(), 3);
        assert!((replay.envelope_bytes() - 8.0 / 3.0).abs() < 1e-9);
        let taken: Vec<_> = std::iter::from_fn(|| replay.take()).map(|(_, envelope)| envelope).collect();
        assert_eq!(taken, ["one", "", "three"]);
        assert_eq!((replay.take(), replay.failure()), (None, None));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = fs::read(&path).unwrap();
        let error = |content: &[u8], channel: &str| {
            fs::write(&path, content).unwrap();
            format!("{:#}", Replay::open(&path, &ChannelId::new(channel).unwrap()).unwrap_err())
        };
        for (content, channel, why) in [
            (&whole[..], "other", "signed for channel testchannel, not for other"),
            (&whole[..whole.len() - 1], "testchannel", "it is not whole"),
            (&whole[..25], "testchannel", "it is not whole"),
            (b"", "testchannel", "not a file of envelopes"),
            (b"some other file, which is long enough", "testchannel", "not a file of envelopes"),
        ] {
            let error = error(content, channel);
            assert!(error.contains(why) && error.contains("some.envelopes"), "{error}");
        }
        let error = Replay::open(Path::new("/nowhere/file"), &channel()).unwrap_err().to_string();
        assert_eq!(error, "cannot read /nowhere/file");
    }

    #[test]
    fn damage_is_found_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let mut content = fs::read(&path).unwrap();
        let last = content.len() - 9;
        content[last] = 0xff;
        fs::write(&path, &content).unwrap();
        let replay = Replay::open(&path, &channel()).unwrap();
        assert!(replay.take().is_some() && replay.take().is_some());
        assert_eq!(replay.take(), None);
        let failure = replay.failure().unwrap();
        assert!(failure.contains("envelope 3: ") && failure.contains("are no envelope"), "{failure}");
    }
}
