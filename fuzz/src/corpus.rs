//! The corpus: small files, one folder for each target.
//!
//! Files called `seed-*` (valid) and `case-*` (valid or not) are written anew by `seeds`; the others were found by a campaign and kept
//! because they showed a behaviour that no other input had.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::target::{CASE, SEED, Target};

/// An input of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name of its file.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The folder of a target, in the sources.
#[must_use]
pub fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// All inputs of a target, in the order of their names.
///
/// # Errors
/// A file cannot be read. A folder that does not exist holds nothing.
pub fn load(target: &Target) -> io::Result<Vec<Entry>> {
    let entries = match fs::read_dir(folder(target)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut corpus = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        corpus.push(Entry { name, bytes: fs::read(entry.path())? });
    }
    corpus.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(corpus)
}

/// Adds inputs that were found, the smallest first, as far as there is room. Says how many.
///
/// # Errors
/// A file cannot be written.
pub fn keep(target: &Target, found: &[Vec<u8>]) -> io::Result<usize> {
    let folder = folder(target);
    fs::create_dir_all(&folder)?;
    let here: Vec<Entry> = load(target)?.into_iter().filter(|entry| entry.name.starts_with(FOUND)).collect();
    let mut bytes: usize = here.iter().map(|entry| entry.bytes.len()).sum();
    let mut found: Vec<&Vec<u8>> = found.iter().collect();
    found.sort_by_key(|input| input.len());
    found.truncate(FOUND_FILES_MAX.saturating_sub(here.len()));
    let mut kept = 0;
    for input in found {
        bytes += input.len();
        if bytes > FOUND_BYTES_MAX {
            break;
        }
        fs::write(folder.join(format!("{FOUND}{:08x}", crc32c::crc32c(input))), input)?;
        kept += 1;
    }
    Ok(kept)
}

/// Writes the seeds of a target in the place of those that are there. Says how many.
///
/// # Errors
/// A file cannot be written.
pub fn write_seeds(target: &Target) -> io::Result<usize> {
    let folder = folder(target);
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(SEED) || name.starts_with(CASE) {
            fs::remove_file(entry.path())?;
        }
    }
    let seeds = (target.seeds)();
    for seed in &seeds {
        fs::write(folder.join(&seed.name), &seed.bytes)?;
    }
    Ok(seeds.len())
}

/// How the names of inputs begin that a campaign found.
const FOUND: &str = "found-";
/// Found inputs of one target in the repository, and their bytes: the corpus stays small enough to be read in a review.
const FOUND_FILES_MAX: usize = 16;
const FOUND_BYTES_MAX: usize = 12 << 10;
