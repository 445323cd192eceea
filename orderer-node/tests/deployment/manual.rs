//! What OPERATIONS.md says of alerts and log lines is about alerts that there are and lines that are written.

use std::collections::BTreeSet;
use std::path::Path;

use super::{config, tree};

fn manual() -> String {
    std::fs::read_to_string(tree().join("OPERATIONS.md")).unwrap()
}

/// The rows of the tables in a section, each as its cells.
fn rows(section: &str) -> Vec<Vec<String>> {
    let manual = manual();
    let text = manual.split(&format!("\n## {section}\n")).nth(1).unwrap_or_else(|| panic!("no section {section}"));
    let text = text.split("\n## ").next().unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    // The first names the columns; the line of dashes below it has no spaces.
    lines.skip(1).map(|line| line.split(" | ").map(str::to_owned).collect()).collect()
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_alert_has_its_row_and_every_row_its_alert() {
    let rules = config("prometheus-alerts.yml");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: BTreeSet<String> = names.map(str::to_owned).collect();
    let rows = rows("What each alert means");
    let explained: BTreeSet<String> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    assert!(alerts.len() >= 20, "{alerts:?}");
    assert_eq!(explained, alerts);
    for row in rows {
        assert!(row[1].len() > 40, "{row:?} helps nobody");
    }
}

/// The sources of the programs without their tests, with every run of white space as one space.
fn sources() -> String {
    let mut text = String::new();
    for folder in ["orderer-node/src", "frontend-shim/src"] {
        collect(&tree().join(folder), &mut text);
    }
    // A text that goes on in the next line ends with a backslash in this one.
    text.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn collect(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_test {
            collect(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_log_line_that_is_explained_is_written_somewhere() {
    let (sources, rows) = (sources(), rows("What each log line means"));
    assert!(rows.len() > 30, "{}", rows.len());
    for row in rows {
        assert!(["info", "warn", "error"].contains(&row[0].as_str()) && row.len() == 3, "{row:?}");
        let lines = quoted(&row[1]);
        assert!(!lines.is_empty(), "{row:?}");
        for line in lines {
            assert!(sources.contains(&line), "no program says {line:?}");
        }
    }
}

/// Whoever runs a node looks for these words when something has gone wrong.
#[test]
fn the_folders_that_are_named_are_those_of_a_data_folder() {
    let sources = sources();
    for row in rows("Back up, lose, restore").iter().filter(|row| row.len() == 3) {
        for path in quoted(&row[0]).iter().filter(|path| path.contains('/')) {
            let parts = path.trim_end_matches('/').split('/').filter(|part| !part.contains(['<', '*']));
            for part in parts {
                assert!(sources.contains(&format!("\"{part}\"")), "{part} of {path}");
            }
        }
    }
}
