//! The measuring program, as somebody runs it who wants to know one figure.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use integration::bench::{TargetsTable, Unit};
use integration::binary;

#[test]
fn one_row_is_measured_written_and_not_compared_with_what_it_says_nothing_about() {
    // The nodes' program is another package's, which cargo does not build for this test.
    binary::orderer_node().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.json");
    let measured =
        bench(&["targets", "--only", "idle", "--runs", "1", "--seconds", "2", "--dir"], folder.path(), &file);
    let said = String::from_utf8_lossy(&measured.stdout).into_owned() + &String::from_utf8_lossy(&measured.stderr);
    // Where other tests run at the same time the target may be missed: that is told too.
    assert!(matches!(measured.status.code(), Some(0 | 1)), "{}: {said}", measured.status);
    let table: TargetsTable = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let [row] = &table.rows[..] else { panic!("{table:?}") };
    assert_eq!((row.name.as_str(), row.unit, row.failures.len()), ("idle", Unit::Milliseconds, 0), "{row:?}");
    let p50_ms = row.spread.unwrap().median;
    assert!(p50_ms > 0.1 && p50_ms < 1000.0, "{p50_ms} ms");
    assert_eq!(measured.status.success(), table.is_met());
    for part in ["machine: ", "n = 4", "blocks of 1 ", "window alpha", "load average before", "<= 4"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the network's folder is gone");

    let compared = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["compare", "--against"])
        .arg(&file)
        .arg("--with")
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compared.stderr);
    assert_eq!(compared.status.code(), Some(2), "{said}");
    assert!(said.contains("no cost per envelope is in both tables"), "{said}");
}

fn bench(arguments: &[&str], folder: &Path, json: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(arguments).arg(folder).arg("--json").arg(json).output().unwrap()
}
