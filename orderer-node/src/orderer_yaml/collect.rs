//! Collects [`Settings`] from the tree of the file and from the environment, and notes what means nothing.

use std::collections::BTreeMap;

use super::environment::Environment;
use super::error::{OrdererYamlError, Origin};
use super::keys::{self, Place, Reason};
use super::notice::Notice;
use super::settings::{Setting, Settings, Written};
use super::tree::{Content, Entry, Node};
use crate::config::unknown_key;

/// Settings on the way.
#[derive(Debug)]
pub(super) struct Collection {
    settings: Settings,
    unknown: Vec<Notice>,
    unknown_variables: Vec<String>,
    ignored: BTreeMap<Reason, Vec<String>>,
}

impl Collection {
    pub(super) const fn new(settings: Settings) -> Self {
        Self { settings, unknown: Vec::new(), unknown_variables: Vec::new(), ignored: BTreeMap::new() }
    }

    /// Takes the whole file.
    ///
    /// # Errors
    /// A value where a section belongs, or a section where a value belongs.
    pub(super) fn add_file(&mut self, root: Node) -> Result<(), OrdererYamlError> {
        match root.content {
            Content::Nothing => Ok(()),
            Content::Section(entries) => self.add_section("", entries),
            Content::Text(_) | Content::List(_) => Err(self.form(root.line, "the file is not a list of sections")),
        }
    }

    fn add_section(&mut self, section: &str, entries: Vec<Entry>) -> Result<(), OrdererYamlError> {
        for entry in entries {
            match keys::within(section, &entry.key) {
                None => self.note_unknown(section, &entry),
                Some(Place::Ignored(reason)) => {
                    if has_a_value(&entry.value) {
                        self.ignored.entry(reason).or_default().push(keys::join(section, &entry.key));
                    }
                }
                Some(Place::Key(key)) => self.add_value(key, entry.line, entry.value)?,
                Some(Place::Section(section)) => match entry.value.content {
                    Content::Nothing => {}
                    Content::Section(entries) => self.add_section(section, entries)?,
                    Content::Text(_) | Content::List(_) => {
                        let why = format!("{section} is a section of keys, not a value");
                        return Err(self.form(entry.line, &why));
                    }
                },
            }
        }
        Ok(())
    }

    fn add_value(&mut self, key: &'static str, line: usize, value: Node) -> Result<(), OrdererYamlError> {
        let written = match value.content {
            Content::Nothing => return Ok(()),
            Content::Text(text) if text.is_empty() => return Ok(()),
            Content::Text(text) => Written::Text(text),
            Content::List(items) => {
                let mut texts = Vec::new();
                for item in items {
                    match item.content {
                        Content::Text(text) => texts.push(text),
                        Content::Nothing => {}
                        _ => return Err(self.form(item.line, &format!("{key} is a list of values only"))),
                    }
                }
                Written::List(texts)
            }
            Content::Section(_) => return Err(self.form(line, &format!("{key} is a value, not a section of keys"))),
        };
        let origin = Origin::Line(self.settings.path.clone(), line);
        self.settings.values.insert(key, Setting { written, origin });
        Ok(())
    }

    /// Puts the environment over the file.
    pub(super) fn add_environment(&mut self, environment: &Environment) {
        for (name, text) in environment.beginning_with(keys::PREFIX) {
            match keys::overridden_by(name) {
                Some(Place::Key(key)) => {
                    let origin = Origin::Variable(name.to_owned());
                    self.settings.values.insert(key, Setting { written: Written::Text(text.to_owned()), origin });
                }
                Some(Place::Ignored(reason)) => self.ignored.entry(reason).or_default().push(name.to_owned()),
                Some(Place::Section(_)) | None => self.unknown_variables.push(with_hint(name)),
            }
        }
    }

    /// The settings, and what is to be said about what is not among them.
    pub(super) fn finish(self) -> (Settings, Vec<Notice>) {
        let mut notices = self.unknown;
        if !self.unknown_variables.is_empty() {
            let names = self.unknown_variables.join(", ");
            notices.push(Notice::warning(format!("these environment variables mean nothing to this node: {names}")));
        }
        for (reason, names) in self.ignored {
            notices.push(Notice::information(format!("{}: {}", names.join(", "), reason.text())));
        }
        (self.settings, notices)
    }

    fn note_unknown(&mut self, section: &str, entry: &Entry) {
        let names = keys::names_in(section);
        let lower = entry.key.to_ascii_lowercase();
        let known: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let nearest = unknown_key::nearest(&lower, known.iter().map(String::as_str));
        let nearest = nearest.and_then(|nearest| names.iter().find(|name| name.eq_ignore_ascii_case(nearest)));
        let text = format!(
            "{}:{}: unknown key `{}`, which is ignored{}",
            self.settings.path.display(),
            entry.line,
            keys::join(section, &entry.key),
            unknown_key::hint(nearest.copied())
        );
        self.unknown.push(Notice::warning(text));
    }

    fn form(&self, line: usize, why: &str) -> OrdererYamlError {
        OrdererYamlError::Form { path: self.settings.path.clone(), line, why: why.to_owned() }
    }
}

fn has_a_value(node: &Node) -> bool {
    match &node.content {
        Content::Nothing => false,
        Content::Text(text) => !text.is_empty(),
        Content::List(items) => !items.is_empty(),
        Content::Section(entries) => entries.iter().any(|entry| has_a_value(&entry.value)),
    }
}

/// The name, with the variable that was probably meant: one that differs in a letter or two.
fn with_hint(name: &str) -> String {
    let meant = keys::variables().find(|known| unknown_key::distance(name, known) <= EDITS_MAX);
    meant.map_or_else(|| name.to_owned(), |meant| format!("{name} (did you mean {meant}?)"))
}

const EDITS_MAX: usize = 2;
