//! The copy of the source tree that mutants are applied to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Mutant;
use crate::binary::workspace;

/// A copy of the tree. Only what differs is written, so that cargo builds only what changed.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A copy below this folder, made or brought up to date when a mutant is applied.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the tree what it is in the product, except for what this mutant changes.
    ///
    /// # Errors
    /// The mutant does not fit, or a file cannot be copied.
    pub fn reset(&self, mutant: &Mutant) -> anyhow::Result<()> {
        let changed = mutant.apply(|path| Ok(fs::read_to_string(workspace().join(path))?))?;
        self.copy(Path::new(""), &|path| changed.get(path).map(String::as_bytes))
    }

    fn copy<'a>(&self, folder: &Path, changed: &dyn Fn(&Path) -> Option<&'a [u8]>) -> anyhow::Result<()> {
        let from = workspace().join(folder);
        fs::create_dir_all(self.root.join(folder))?;
        for entry in fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let path = folder.join(&name);
            if name.to_string_lossy().starts_with('.') || name == "target" {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.copy(&path, changed)?;
                continue;
            }
            // A network that ran here may have left its sockets behind.
            if !kind.is_file() {
                continue;
            }
            let to = self.root.join(&path);
            let wanted = match changed(&path) {
                Some(bytes) => bytes.to_vec(),
                None => fs::read(entry.path())?,
            };
            if fs::read(&to).ok().as_deref() != Some(&wanted[..]) {
                fs::write(&to, wanted).with_context(|| format!("cannot write {}", to.display()))?;
            }
        }
        Ok(())
    }
}
