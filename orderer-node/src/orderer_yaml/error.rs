//! Why an `orderer.yaml` cannot be used, and where something was said.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the file as a whole: the value is missing there.
    File(PathBuf),
    /// In a line of the file, counted from 1.
    Line(PathBuf, usize),
    /// In an environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OrdererYamlError {
    /// There is no file.
    #[error("no orderer.yaml: looked for {}; set FABRIC_CFG_PATH to the folder that has it", list(looked_at))]
    NotFound {
        /// Where one could have been, in the order of the search.
        looked_at: Vec<PathBuf>,
    },
    /// The file cannot be read.
    #[error("cannot read configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not YAML of the right shape.
    #[error("{}:{line}: {why}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// A value that cannot be what its key wants, is missing, or contradicts another.
    #[error("{origin}: {key} {why}")]
    Value {
        /// Where it was written.
        origin: Origin,
        /// The key, with its sections.
        key: String,
        /// What is wrong with it; goes on a sentence that begins with the key.
        why: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
