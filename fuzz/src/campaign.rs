//! Mutation of a corpus for a time or a number of runs, without a look inside: what is new is an outcome of a new class.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{fmt, io};

use fastrand::Rng;

use crate::corpus;
use crate::mutate::mutate;
use crate::outcome::Outcome;
use crate::runner::{self, Failure};
use crate::target::{INPUT_BYTES_MAX, Target};

/// When a campaign ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many mutations.
    Runs(usize),
    /// After this time.
    Time(Duration),
}

/// What a campaign against one target found.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs that were run.
    pub runs: usize,
    /// How often each class of outcome was seen.
    pub classes: BTreeMap<String, usize>,
    /// Inputs of new classes that were kept: in memory always, as files when asked for.
    pub kept: Vec<Vec<u8>>,
    /// Peak of memory beyond the base of the target, in bytes for each byte of input, at most.
    pub per_byte: usize,
    /// Peak of memory, at most.
    pub peak: usize,
    /// The first input that failed, and how.
    pub failure: Option<(Vec<u8>, Failure)>,
}

/// Runs the corpus of a target and then mutations of it, the same ones for the same seed and corpus.
///
/// # Errors
/// The corpus cannot be read.
pub fn run(target: &Target, seed: u64, until: Until) -> io::Result<Report> {
    let mut report = Report::default();
    let mut stock: Vec<Vec<u8>> = corpus::load(target)?.into_iter().map(|entry| entry.bytes).collect();
    for input in &stock {
        if report.note(target, input).is_none() {
            return Ok(report);
        }
    }
    let known = report.classes.len();
    if stock.is_empty() {
        stock.push(Vec::new());
    }
    let mut random = Rng::with_seed(seed ^ u64::from(crc32c::crc32c(target.name.as_bytes())) << 32);
    let start = Instant::now();
    let mut runs = 0;
    while match until {
        Until::Runs(most) => runs < most,
        Until::Time(most) => start.elapsed() < most,
    } {
        runs += 1;
        let (input, other) = (random.usize(..stock.len()), random.usize(..stock.len()));
        let input = mutate(&mut random, &stock[input], &stock[other], INPUT_BYTES_MAX);
        let classes = report.classes.len();
        let Some(outcome) = report.note(target, &input) else { return Ok(report) };
        if report.classes.len() > classes && classes < known + CLASSES_MAX {
            let small = minimise(target, &input, &outcome);
            stock.push(small.clone());
            report.kept.push(small);
        }
    }
    Ok(report)
}

impl Report {
    /// Runs an input and counts its outcome; `None` if it failed.
    fn note(&mut self, target: &Target, input: &[u8]) -> Option<Outcome> {
        self.runs += 1;
        match runner::measure(target, input) {
            Ok((outcome, peak)) => {
                *self.classes.entry(outcome.to_string()).or_default() += 1;
                self.peak = self.peak.max(peak);
                let above = peak.saturating_sub(target.heap.base);
                self.per_byte = self.per_byte.max(above / input.len().max(1));
                Some(outcome)
            }
            Err(failure) => {
                self.failure = Some((input.to_vec(), failure));
                None
            }
        }
    }
}

/// A smaller input of the same class: parts are left out, from large to small, as long as the outcome stays.
fn minimise(target: &Target, input: &[u8], outcome: &Outcome) -> Vec<u8> {
    let mut small = input.to_vec();
    let mut part = small.len() / 2;
    let mut tries = 0;
    while part > 0 && tries < TRIES_MAX {
        let mut at = 0;
        while at + part <= small.len() && tries < TRIES_MAX {
            tries += 1;
            let shorter = [&small[..at], &small[at + part..]].concat();
            match runner::run(target, &shorter) {
                Ok(same) if same == *outcome => small = shorter,
                _ => at += part,
            }
        }
        part /= 2;
    }
    small
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted: usize =
            self.classes.iter().filter(|(class, _)| class.starts_with("accepted")).map(|(_, runs)| runs).sum();
        write!(
            f,
            "{} runs, {} accepted, {} classes ({} new), peak {} KiB",
            self.runs,
            accepted,
            self.classes.len(),
            self.kept.len(),
            self.peak >> 10
        )
    }
}

/// Classes that are new in one campaign: a text that is not as generic as it should be must not fill the memory.
const CLASSES_MAX: usize = 512;
const TRIES_MAX: usize = 400;
