//! YAML text as a tree whose values are text, as they were written, with the lines they stand on.
//!
//! What a value means depends on its key, so nothing is guessed here: `true`, `7050` and `1 MB` are text. Only "nothing" is
//! recognised. Size, depth and the number of values are bounded; aliases count as what they stand for.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

/// A value and the line it stands on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub line: usize,
    pub content: Content,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    Text(String),
    List(Vec<Node>),
    Section(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub key: String,
    /// The line of the key, from 1.
    pub line: usize,
    pub value: Node,
}

/// Text that is not such a tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotYaml {
    pub line: usize,
    pub why: String,
}

/// Reads the first document of a text.
pub(super) fn read(text: &str) -> Result<Node, NotYaml> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(NotYaml { line: 1, why: format!("is larger than {TEXT_BYTES_MAX} bytes") });
    }
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| explain(&error))?;
        if let Some(root) = builder.take(event, span.start.line())? {
            return Ok(root);
        }
    }
    Ok(Node { line: 1, content: Content::Nothing })
}

fn explain(error: &ScanError) -> NotYaml {
    NotYaml { line: error.marker().line(), why: error.info().to_owned() }
}

/// A list or section of which not everything has been read.
#[derive(Debug)]
enum Open {
    List { line: usize, anchor: usize, items: Vec<Node> },
    Section { line: usize, anchor: usize, entries: Vec<Entry>, key: Option<(String, usize)> },
}

#[derive(Debug, Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
}

impl Builder {
    /// The whole tree, once its end has been seen.
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<Option<Node>, NotYaml> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_nothing = style == ScalarStyle::Plain && NOTHING.contains(&&*text);
                let content = if is_nothing { Content::Nothing } else { Content::Text(text.into_owned()) };
                self.put(Node { line, content }, anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(NotYaml { line, why: "an alias of a value that has not ended yet".to_owned() });
                };
                let node = Node { line, content: node.content.clone() };
                self.put(node, 0)
            }
            Event::SequenceStart(anchor, _) => self.enter(Open::List { line, anchor, items: Vec::new() }, line),
            Event::MappingStart(anchor, _) => {
                self.enter(Open::Section { line, anchor, entries: Vec::new(), key: None }, line)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { line, anchor, items }) => {
                    self.put(Node { line, content: Content::List(items) }, anchor)
                }
                Some(Open::Section { line, anchor, entries, .. }) => {
                    self.put(Node { line, content: Content::Section(merged(entries)) }, anchor)
                }
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn enter(&mut self, open: Open, line: usize) -> Result<Option<Node>, NotYaml> {
        if self.open.len() == DEPTH_MAX {
            return Err(NotYaml { line, why: format!("is nested deeper than {DEPTH_MAX} levels") });
        }
        self.open.push(open);
        Ok(None)
    }

    /// Adds a finished value to what it belongs to.
    fn put(&mut self, node: Node, anchor: usize) -> Result<Option<Node>, NotYaml> {
        self.values += size(&node);
        if self.values > VALUES_MAX {
            return Err(NotYaml { line: node.line, why: format!("has more than {VALUES_MAX} values") });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => return Ok(Some(node)),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Section { entries, key, .. }) => match key.take() {
                Some((key, line)) => add(entries, Entry { key, line, value: node })?,
                None => *key = Some(key_of(node)?),
            },
        }
        Ok(None)
    }
}

fn key_of(node: Node) -> Result<(String, usize), NotYaml> {
    match node.content {
        Content::Text(text) => Ok((text, node.line)),
        _ => Err(NotYaml { line: node.line, why: "a key must be a word".to_owned() }),
    }
}

/// Adds an entry, unless its key is there already in whatever case.
fn add(entries: &mut Vec<Entry>, entry: Entry) -> Result<(), NotYaml> {
    match entries.iter().find(|other| other.key.eq_ignore_ascii_case(&entry.key)) {
        Some(other) => {
            let why = format!("`{}` stands in line {} already", entry.key, other.line);
            Err(NotYaml { line: entry.line, why })
        }
        None => {
            entries.push(entry);
            Ok(())
        }
    }
}

/// The entries, with those that a merge key brings in and that are not there.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    let (merges, mut entries): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.key == MERGE);
    for merge in merges {
        let sources = match merge.value.content {
            Content::List(items) => items,
            _ => vec![merge.value],
        };
        for source in sources {
            if let Content::Section(more) = source.content {
                for entry in more {
                    // One that is there already wins.
                    let _ = add(&mut entries, entry);
                }
            }
        }
    }
    entries
}

/// Values in a tree. What is inside a list or section counts again when that ends, so the bound is reached a little early.
fn size(node: &Node) -> usize {
    match &node.content {
        Content::Nothing | Content::Text(_) => 1,
        Content::List(items) => items.iter().map(size).sum::<usize>() + 1,
        Content::Section(entries) => entries.iter().map(|entry| size(&entry.value)).sum::<usize>() + 1,
    }
}

const NOTHING: [&str; 5] = ["", "~", "null", "Null", "NULL"];
const MERGE: &str = "<<";
const TEXT_BYTES_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 32;
const VALUES_MAX: usize = 100_000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A tree in short: what stands on which line.
    fn short(node: &Node) -> String {
        match &node.content {
            Content::Nothing => "-".to_owned(),
            Content::Text(text) => text.clone(),
            Content::List(items) => format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(" ")),
            Content::Section(entries) => {
                let entry = |entry: &Entry| format!("{}@{}={}", entry.key, entry.line, short(&entry.value));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn values_stay_text_and_know_their_lines() {
        let text = "---\n# a comment\na: true\nb:\n  c: 1 MB\n  d:\n  e: [x, 'y z']\n  f:\n    - 1\n    - ~\ng: ''\n";
        assert_eq!(short(&read(text).unwrap()), "{a@3=true b@4={c@5=1 MB d@6=- e@7=[x y z] f@8=[1 -]} g@11=}");
        for nothing in ["", "---\n", "# only a comment\n", "~"] {
            assert_eq!(read(nothing).unwrap().content, Content::Nothing, "{nothing:?}");
        }
    }

    #[test]
    fn aliases_and_merges_are_what_they_stand_for() {
        let text = "a: &x\n  k: 1\n  l: 2\nb: *x\nc:\n  <<: *x\n  l: 3\n";
        assert_eq!(short(&read(text).unwrap()), "{a@1={k@2=1 l@3=2} b@4={k@2=1 l@3=2} c@5={l@7=3 k@2=1}}");
    }

    #[test]
    fn only_the_first_document_is_read() {
        assert_eq!(short(&read("a: 1\n---\nb: 2\n").unwrap()), "{a@1=1}");
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_line() {
        for (text, line, why) in [
            ("a: 1\nA: 2\n", 2, "`A` stands in line 1 already"),
            ("a: 1\n? [x]\n: 2\n", 2, "a key must be a word"),
            ("a: &x\n  b: *x\n", 2, "an alias of a value that has not ended"),
            ("a: [1\nb: 2\n", 2, ""),
            ("a: *x\n", 1, ""),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.why.contains(why), "{text:?}: {error:?}");
            assert_eq!(error.line, line, "{text:?}: {error:?}");
        }
    }

    #[test]
    fn size_depth_and_multiplication_are_bounded() {
        assert!(read(&" ".repeat(TEXT_BYTES_MAX + 1)).is_err());
        assert!(read(&"[".repeat(DEPTH_MAX + 1)).unwrap_err().why.contains("nested deeper"));
        assert!(read(&"[".repeat(100_000)).is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(read(&bomb).unwrap_err().why.contains("more than"));
    }
}
