//! One input through one target: its outcome, or what went wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use crate::outcome::Outcome;
use crate::target::Target;

/// What an input must not cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target panicked: a bug, or a property that does not hold. The panic has been printed.
    Panic,
    /// More memory than an input of this length may cost.
    Memory {
        /// Bytes at the peak.
        peak: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// More time than any input may take.
    Time(Duration),
}

/// Runs an input. Memory is counted for the whole process, so only one run may be under way.
///
/// # Errors
/// See [`Failure`].
pub fn run(target: &Target, input: &[u8]) -> Result<Outcome, Failure> {
    measure(target, input).map(|(outcome, _)| outcome)
}

/// As [`run`], with the bytes of memory at the peak.
///
/// # Errors
/// See [`Failure`].
pub fn measure(target: &Target, input: &[u8]) -> Result<(Outcome, usize), Failure> {
    let bytes_max = target.heap.bytes_max(input.len());
    let (outcome, peak) = once(target, input)?;
    if peak <= bytes_max {
        return Ok((outcome, peak));
    }
    // What is made once for all runs counts for the first one only.
    let (outcome, peak) = once(target, input)?;
    if peak <= bytes_max { Ok((outcome, peak)) } else { Err(Failure::Memory { peak, bytes_max }) }
}

fn once(target: &Target, input: &[u8]) -> Result<(Outcome, usize), Failure> {
    crate::HEAP.reset_peak_usage();
    let before = crate::HEAP.current_usage();
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|_| Failure::Panic)?;
    if start.elapsed() > RUN_TIME_MAX {
        return Err(Failure::Time(start.elapsed()));
    }
    Ok((outcome, crate::HEAP.peak_usage().saturating_sub(before)))
}

/// Keeps an input that failed, and says how to run it again.
///
/// # Errors
/// The file cannot be written.
pub fn report(target: &Target, input: &[u8], failure: &Failure) -> io::Result<String> {
    let folder = failures();
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}-{:08x}", target.name, crc32c::crc32c(input)));
    fs::write(&path, input)?;
    Ok(format!("{}: {failure}\n  {}", target.name, replay_command(target, &path)))
}

/// The command that runs one input again.
#[must_use]
pub fn replay_command(target: &Target, path: &Path) -> String {
    format!("cargo run --release -p fuzz -- replay {} {}", target.name, path.display())
}

fn failures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("failures")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic => f.write_str("panicked"),
            Self::Memory { peak, bytes_max } => write!(f, "took {peak} bytes of memory, {bytes_max} are allowed"),
            Self::Time(time) => write!(f, "took {time:?}, {RUN_TIME_MAX:?} are allowed"),
        }
    }
}

/// Longest run of one input, with room for a busy machine.
pub const RUN_TIME_MAX: Duration = Duration::from_secs(10);
