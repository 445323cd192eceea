//! The container recipe as a list of stages with their instructions.

use std::collections::BTreeMap;

use super::Variables;

/// A stage: one image, or what another one is made from.
#[derive(Debug)]
pub struct Stage {
    pub name: String,
    /// The image it begins with, or an earlier stage.
    pub base: String,
    /// Each instruction with its arguments.
    pub steps: Vec<(String, String)>,
}

/// `COPY` with its options.
#[derive(Debug)]
pub struct Copied {
    /// The stage it is taken from; none for the source tree.
    pub from: Option<String>,
    /// The owner it is given.
    pub owner: Option<String>,
    pub sources: Vec<String>,
    pub target: String,
}

impl Stage {
    /// The arguments of every instruction of this name, in their order.
    pub fn all(&self, instruction: &str) -> Vec<&str> {
        self.steps.iter().filter(|(name, _)| name == instruction).map(|(_, arguments)| arguments.as_str()).collect()
    }

    /// The arguments of the one instruction of this name.
    pub fn one(&self, instruction: &str) -> &str {
        let found = self.all(instruction);
        assert_eq!(found.len(), 1, "{instruction} in stage {}", self.name);
        found[0]
    }

    pub fn copies(&self) -> Vec<Copied> {
        self.all("COPY").into_iter().map(copied).collect()
    }

    /// What `ENV` sets.
    pub fn environment(&self) -> Variables {
        let pairs = self.all("ENV").into_iter().flat_map(str::split_whitespace);
        pairs.map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// What is in `/usr/local/bin` of it.
    pub fn programs(&self) -> Vec<String> {
        let copies = self.copies().into_iter().filter(|copied| copied.target == "/usr/local/bin/");
        let sources = copies.flat_map(|copied| copied.sources);
        sources.map(|source| source.rsplit('/').next().unwrap().to_owned()).collect()
    }
}

fn copied(arguments: &str) -> Copied {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let (options, places): (Vec<&str>, Vec<&str>) = words.into_iter().partition(|word| word.starts_with("--"));
    let option = |name: &str| {
        let mut found = options.iter().filter_map(|option| option.strip_prefix(name)?.strip_prefix('='));
        found.next().map(str::to_owned)
    };
    assert!(
        options.iter().all(|option| option.starts_with("--from=") || option.starts_with("--chown=")),
        "{arguments}"
    );
    let (target, sources) = places.split_last().unwrap();
    let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
    assert!(!sources.is_empty(), "{arguments}");
    Copied { from: option("--from"), owner: option("--chown"), sources, target: (*target).to_owned() }
}

/// A list in the form of JSON, as `CMD` and `VOLUME` take it.
pub fn words(arguments: &str) -> Vec<String> {
    serde_json::from_str(arguments).unwrap_or_else(|error| panic!("{arguments}: {error}"))
}

/// The stages of a recipe, with the defaults of its arguments in their names.
pub fn stages(text: &str) -> Vec<Stage> {
    let mut defaults: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: Vec<Stage> = Vec::new();
    for line in instructions(text) {
        let (name, arguments) = line.split_once(' ').unwrap();
        assert!(KNOWN.contains(&name), "{line}");
        let arguments = arguments.trim();
        match (name, stages.last_mut()) {
            ("FROM", _) => {
                let (base, name) = arguments.split_once(" AS ").unwrap();
                stages.push(Stage { name: name.into(), base: filled(base, &defaults), steps: Vec::new() });
            }
            ("ARG", None) => {
                let (name, value) = arguments.split_once('=').unwrap();
                defaults.insert(name.to_owned(), value.to_owned());
            }
            (_, None) => panic!("{line} stands before the first FROM"),
            (_, Some(stage)) => stage.steps.push((name.to_owned(), arguments.to_owned())),
        }
    }
    stages
}

/// Whole instructions: without comments, each on one line.
fn instructions(text: &str) -> Vec<String> {
    let mut whole = vec![String::new()];
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (part, goes_on) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        whole.last_mut().unwrap().push_str(part);
        if !goes_on {
            whole.push(String::new());
        }
    }
    assert_eq!(whole.pop().as_deref(), Some(""), "the last line goes on");
    whole
}

fn filled(text: &str, defaults: &BTreeMap<String, String>) -> String {
    let filled =
        defaults.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
    assert!(!filled.contains('$'), "{text} has no default");
    filled
}

const KNOWN: [&str; 13] = [
    "ARG",
    "CMD",
    "COPY",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "RUN",
    "USER",
    "VOLUME",
    "WORKDIR",
    "ENTRYPOINT",
];

#[test]
fn a_recipe_is_read_as_a_builder_reads_it() {
    let text = "# x\nARG BASE=a:1\nFROM ${BASE} AS one\nENV A=b \\\n  C=d\nFROM one AS two\nCOPY --from=one --chown=1:2 /x /y /z/\n";
    let read = stages(text);
    assert_eq!((read[0].base.as_str(), read[1].base.as_str()), ("a:1", "one"));
    assert_eq!(read[0].environment(), [("A".into(), "b".into()), ("C".into(), "d".into())]);
    let copied = &read[1].copies()[0];
    assert_eq!((copied.from.as_deref(), copied.owner.as_deref()), (Some("one"), Some("1:2")));
    assert_eq!((copied.sources.join(" "), copied.target.as_str()), ("/x /y".to_owned(), "/z/"));
}
