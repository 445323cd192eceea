//! The cutting rules against the verdicts of Fabric's own code: every case of the corpus `cutter`.
//!
//! The cases packed beside this test are half of those that exist; `FABRIC_CORPUS` names a folder with others.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../fabric-channel/tests/corpus/folder.rs"]
mod folder;
#[path = "../../fabric-channel/tests/corpus/tally.rs"]
mod tally;

use std::io::Read as _;

use blockcutter::cutter::{Cuts, Cutter};
use fabric_channel::BatchSize;
use serde_json::Value;
use tally::{Outcome, Tally};

#[test]
fn corpus_cutter() {
    let (origin, lines) = match folder::folder() {
        Some(folder) => (folder.display().to_string(), folder::lines(&folder, "cutter")),
        None => ("the packed copy".to_owned(), packed()),
    };
    let mut tally = Tally::new("cutter", &origin);
    for (place, line) in lines {
        match serde_json::from_str::<Value>(&line) {
            Ok(case) => tally.case(case["id"].as_str().unwrap_or(&place), || replay(&case).map(|()| Outcome::Passed)),
            Err(error) => tally.unreadable(&format!("{place}: {error}")),
        }
    }
    tally.finish();
}

fn packed() -> Vec<(String, String)> {
    let compressed = include_bytes!("data/corpus/cutter.jsonl.zst");
    let mut text = String::new();
    ruzstd::decoding::StreamingDecoder::new(&compressed[..]).unwrap().read_to_string(&mut text).unwrap();
    (1..).zip(text.lines()).map(|(number, line)| (format!("cutter:{number}"), line.to_owned())).collect()
}

/// Feeds the events of one case to a cutter and compares everything that the case says.
fn replay(case: &Value) -> Result<(), String> {
    let mut cutter = Cutter::new(batch_size(&case["params"])?);
    let mut next = 0;
    let mut all = Cuts::new();
    for (index, event) in list(&case["events"])?.iter().enumerate() {
        let was_open = cutter.is_open();
        let cuts = match event["t"].as_str() {
            Some("n") => cutter.on_envelope(bytes(event, "payload")? + bytes(event, "sig")?, take(&mut next)),
            Some("c") => cutter.on_config(take(&mut next)),
            Some("timeout") => {
                same(index, "a timer runs before a timeout", &true, &was_open)?;
                cutter.on_timeout()
            }
            Some("params") => {
                cutter.set_batch_size(batch_size(&event["params"])?);
                Vec::new()
            }
            _ => return Err(format!("event {index} is unknown: {event}")),
        };
        let is_open = cutter.is_open();
        same(index, "blocks", &indexes(&event["blocks"])?, &cuts)?;
        same(index, "pending", &event["pending"].as_bool(), &Some(is_open))?;
        // The batch timer runs exactly while a cut is open, and starts when one opens.
        same(index, "timer", &event["timer"].as_str(), &Some(if is_open { "running" } else { "stopped" }))?;
        let started = event["timer_started"].as_bool().unwrap_or(false);
        same(index, "timer_started", &started, &(is_open && !was_open))?;
        all.extend(cuts);
    }
    let end = list(&case["events"])?.len();
    same(end, "all blocks", &indexes(&case["blocks"])?, &all)?;
    same(end, "left_pending", &numbers(&case["left_pending"])?, &cutter.open().to_vec())
}

fn same<T: PartialEq + std::fmt::Debug>(event: usize, what: &str, expected: &T, ours: &T) -> Result<(), String> {
    if expected == ours { Ok(()) } else { Err(format!("event {event}, {what}: {expected:?} expected, {ours:?} found")) }
}

fn take(next: &mut u64) -> u64 {
    *next += 1;
    *next - 1
}

/// `[max_message_count, absolute_max_bytes, preferred_max_bytes]`; the second has no part in cutting.
fn batch_size(params: &Value) -> Result<BatchSize, String> {
    let small = |number: u64| u32::try_from(number).map_err(|error| error.to_string());
    match numbers(params)?[..] {
        [count, absolute, preferred] => Ok(BatchSize {
            max_message_count: small(count)?,
            absolute_max_bytes: small(absolute)?,
            preferred_max_bytes: small(preferred)?,
        }),
        _ => Err(format!("parameters {params}")),
    }
}

/// A length of an event; one that is left out is zero.
fn bytes(event: &Value, field: &str) -> Result<u64, String> {
    match &event[field] {
        Value::Null => Ok(0),
        other => other.as_u64().ok_or_else(|| format!("{field} is {other}")),
    }
}

fn indexes(value: &Value) -> Result<Cuts<u64>, String> {
    list(value)?.iter().map(numbers).collect()
}

fn numbers(value: &Value) -> Result<Vec<u64>, String> {
    list(value)?.iter().map(|number| number.as_u64().ok_or_else(|| format!("no number: {number}"))).collect()
}

fn list(value: &Value) -> Result<&[Value], String> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("no list: {value}"))
}
