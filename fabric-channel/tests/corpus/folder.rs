//! Where a published corpus lies: the folder that `FABRIC_CORPUS` names, its files of JSON Lines, and what stands beside
//! it.
//!
//! A corpus `blocks` may be one file, `blocks.jsonl`, or any number of them, `blocks-1.jsonl` and so on. How many cases
//! there are is for the files to say.

#![allow(dead_code, reason = "each test program uses some of them")]

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The folder that is named, if one is. A relative name is looked for where the command was given and at the top of the
/// sources, since tests run in the folder of their crate.
pub fn folder() -> Option<PathBuf> {
    let named = PathBuf::from(env::var_os("FABRIC_CORPUS").filter(|name| !name.is_empty())?);
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = [named.clone(), top.join(&named)].into_iter().find(|path| path.is_dir());
    Some(found.unwrap_or_else(|| panic!("FABRIC_CORPUS: {} is no folder", named.display())))
}

/// The lines of all files of a corpus, each with where it stands. If the folder itself holds none of them, those of the
/// folders in it.
pub fn lines(folder: &Path, name: &str) -> Vec<(String, String)> {
    let mut files = files(folder, name);
    if files.is_empty() {
        let inner = entries(folder).into_iter().filter(|path| path.is_dir() && !path.ends_with(SHARED));
        files = inner.flat_map(|inner| self::files(&inner, name)).collect();
    }
    files.iter().flat_map(|file| lines_of(file)).collect()
}

/// The lines of a file that several corpora share.
pub fn shared_lines(folder: &Path, name: &str) -> Vec<(String, String)> {
    let places = [folder.join("..").join(SHARED), folder.join(SHARED)];
    let files = places.iter().map(|place| files(place, name)).find(|files| !files.is_empty());
    files.unwrap_or_default().iter().flat_map(|file| lines_of(file)).collect()
}

fn lines_of(file: &Path) -> Vec<(String, String)> {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let text = String::from_utf8_lossy(&bytes);
    let numbered = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    numbered.map(|(number, line)| (format!("{}:{number}", file.display()), line.to_owned())).collect()
}

fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = entries(folder).into_iter().filter(|path| is_part(path, name)).collect();
    files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    files
}

fn is_part(path: &Path, name: &str) -> bool {
    let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(number) = file.strip_suffix(".jsonl").and_then(|stem| stem.strip_prefix(name)) else {
        return false;
    };
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    number.is_empty() || number.strip_prefix('-').is_some_and(is_number)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

const SHARED: &str = "shared";
