//! One mutant: prose, and replacements in source files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A mistake to put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The name of its file, without ending.
    pub name: String,
    /// Which mistake it is.
    pub prose: String,
    /// Arguments for the simulator.
    pub arguments: Vec<String>,
    /// Arguments for `cargo test`, where a test looks for it instead of the simulator.
    pub test: Option<Vec<String>>,
    /// What to change.
    pub replacements: Vec<Replacement>,
}

/// Lines to take out of a file, and what to put there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    /// Path in the tree.
    pub file: PathBuf,
    /// The text as it is. It stands in the file exactly once.
    pub old: String,
    /// The text as it should never be.
    pub new: String,
}

impl Mutant {
    /// Reads the file of a mutant.
    ///
    /// # Errors
    /// It cannot be read, or does not follow the form.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Self::parse(name, &text).with_context(|| format!("in {}", path.display()))
    }

    /// Parses the text of a mutant.
    ///
    /// # Errors
    /// It does not follow the form.
    pub fn parse(name: String, text: &str) -> anyhow::Result<Self> {
        let mut mutant =
            Self { name, prose: String::new(), arguments: Vec::new(), test: None, replacements: Vec::new() };
        let mut file = PathBuf::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(prose) = line.strip_prefix('#') {
                mutant.prose.push_str(prose.trim());
                mutant.prose.push(' ');
            } else if let Some(path) = line.strip_prefix("file: ") {
                file = PathBuf::from(path.trim());
            } else if let Some(arguments) = line.strip_prefix("run: ") {
                mutant.arguments = arguments.split_whitespace().map(str::to_owned).collect();
            } else if let Some(arguments) = line.strip_prefix("test: ") {
                mutant.test = Some(arguments.split_whitespace().map(str::to_owned).collect());
            } else if line == "<<<<" {
                let mut take_until = |end: &str| -> anyhow::Result<String> {
                    let mut part = Vec::new();
                    loop {
                        match lines.next() {
                            Some(line) if line == end => return Ok(part.join("\n")),
                            Some(line) => part.push(line),
                            None => bail!("the file ends before {end}"),
                        }
                    }
                };
                let (old, new) = (take_until("====")?, take_until(">>>>")?);
                mutant.replacements.push(Replacement { file: file.clone(), old, new });
            } else if !line.trim().is_empty() {
                bail!("not prose, not a replacement: {line}");
            }
        }
        if mutant.replacements.is_empty() || mutant.prose.is_empty() {
            bail!("a mutant has prose and at least one replacement");
        }
        mutant.prose = mutant.prose.trim().to_owned();
        Ok(mutant)
    }

    /// The changed files, read by `read`.
    ///
    /// # Errors
    /// A file cannot be read, or does not hold the lines to be replaced exactly once.
    pub fn apply(&self, read: impl Fn(&Path) -> anyhow::Result<String>) -> anyhow::Result<BTreeMap<PathBuf, String>> {
        let mut changed = BTreeMap::new();
        for Replacement { file, old, new } in &self.replacements {
            let text = match changed.remove(file) {
                Some(text) => text,
                None => read(file).with_context(|| format!("mutant {}: {}", self.name, file.display()))?,
            };
            let found = text.matches(old.as_str()).count();
            if found != 1 || old.is_empty() {
                bail!("mutant {}: {} holds these lines {found} times:\n{old}", self.name, file.display());
            }
            changed.insert(file.clone(), text.replacen(old.as_str(), new, 1));
        }
        Ok(changed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "# Counts\n# wrong.\nrun: --n 6\nfile: a.rs\n<<<<\nx > 1\n====\nx > 0\n>>>>\n";

    #[test]
    fn a_mutant_changes_the_lines_it_names_and_only_if_they_are_there_once() {
        let mutant = Mutant::parse("m".to_owned(), TEXT).unwrap();
        assert_eq!((mutant.prose.as_str(), mutant.arguments.len()), ("Counts wrong.", 2));
        let changed = mutant.apply(|_| Ok("if x > 1 {}".to_owned())).unwrap();
        assert_eq!(changed[Path::new("a.rs")], "if x > 0 {}");
        assert_eq!(mutant.test, None);
        let tested = Mutant::parse("m".to_owned(), &TEXT.replace("run: --n 6", "test: -p a")).unwrap();
        assert_eq!(tested.test, Some(vec!["-p".to_owned(), "a".to_owned()]));
        assert!(mutant.apply(|_| Ok("x > 1 x > 1".to_owned())).is_err());
        assert!(mutant.apply(|_| Ok(String::new())).is_err());
        assert!(Mutant::parse("m".to_owned(), "# only prose").is_err());
    }
}
