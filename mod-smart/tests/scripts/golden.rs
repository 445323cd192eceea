//! The form of a script: prose after `#`, commands at the margin, and indented under each command what came of it.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::command::Command;
use crate::stage::Stage;

/// What comes of a command stands under it, so far from the margin.
const INDENT: &str = "    ";

/// Runs the script with this name and compares. With `UPDATE_GOLDEN=1` it writes down what came of it instead.
pub fn run(name: &str) {
    let path = files().into_iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no script {name}")).1;
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let found = play(name, &expected);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the golden folder can be written");
    } else if let Some(difference) = difference(&expected, &found) {
        panic!("{name}.txt tells another story (UPDATE_GOLDEN=1 accepts the new one):\n{difference}");
    }
}

/// All scripts by name, in the order in which their numbers tell to read them.
pub fn files() -> Vec<(String, PathBuf)> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "scripts", "golden"].iter().collect();
    let entries = std::fs::read_dir(folder).expect("the golden folder");
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let name = |path: &PathBuf| Some(path.file_stem()?.to_str()?.split_once('_')?.1.to_owned());
    paths.into_iter().filter_map(|path| Some((name(&path)?, path))).collect()
}

/// The script as it stands, with what comes of each command now.
fn play(name: &str, script: &str) -> String {
    let mut stage: Option<Stage> = None;
    let mut found = String::new();
    for (number, line) in (1..).zip(script.lines()) {
        if line.starts_with(INDENT) {
            continue;
        }
        let _ = writeln!(found, "{}", line.trim_end());
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let lines = step(&mut stage, line).unwrap_or_else(|error| panic!("{name}.txt:{number}: {error}"));
        for line in lines {
            let _ = writeln!(found, "{INDENT}{line}");
        }
    }
    found
}

fn step(stage: &mut Option<Stage>, line: &str) -> Result<Vec<String>, String> {
    match (Command::parse(line)?, stage) {
        (Command::Group(parts), stage @ None) => {
            let (view, limits, chunks) = *parts;
            *stage = Some(Stage::new(view, limits, chunks));
            Ok(Vec::new())
        }
        (_, None) => Err("a script begins with its group".to_owned()),
        (command, Some(stage)) => stage.run(command),
    }
}

/// The first place where two texts differ, with the command it belongs to and some lines around.
fn difference(expected: &str, found: &str) -> Option<String> {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let common = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    if common == expected.len() && common == found.len() {
        return None;
    }
    let command = found[..common.min(found.len())].iter().rposition(|line| !line.starts_with(INDENT)).unwrap_or(0);
    let mut text = String::new();
    let _ = writeln!(text, "line {}:", command + 1);
    for line in &found[command..common] {
        let _ = writeln!(text, "  {line}");
    }
    for (mark, lines) in [('-', &expected), ('+', &found)] {
        for line in lines[common..].iter().take_while(|line| line.starts_with(INDENT)).take(20) {
            let _ = writeln!(text, "{mark} {line}");
        }
    }
    Some(text)
}

#[test]
fn a_difference_names_the_command_and_shows_both_stories() {
    let told = "# prose\nsettle\n    0 hears a\n    1 hears a\nshow\n";
    let other = "# prose\nsettle\n    0 hears a\n    2 hears a\nshow\n";
    assert_eq!(difference(told, told), None);
    let expected = "line 2:\n  settle\n      0 hears a\n-     1 hears a\n+     2 hears a\n";
    assert_eq!(difference(told, other).as_deref(), Some(expected));
}
