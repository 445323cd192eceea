//! Files in and out, bounded and with names in errors.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;

/// Reads a file of bounded size.
pub(crate) fn read(path: &Path) -> anyhow::Result<Bytes> {
    let name = || path.display().to_string();
    let file = fs::File::open(path).with_context(name)?;
    if file.metadata().with_context(name)?.is_dir() {
        bail!("{}: a folder where a file is expected", name());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(name)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("{}: larger than {FILE_BYTES_MAX} bytes", name());
    }
    Ok(bytes.into())
}

/// Replaces a file as a whole: whoever reads it meanwhile sees the old or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    fs::write(&temporary, bytes).with_context(|| path.display().to_string())?;
    fs::rename(&temporary, path).with_context(|| path.display().to_string())
}

/// Blocks of a Fabric network have at most 100 MiB.
const FILE_BYTES_MAX: u64 = 128 << 20;
