//! YAML files of several documents, as JSON values.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// All documents of a text. What is not YAML, repeats a key or refers elsewhere fails the test.
pub fn documents(text: &str) -> Vec<Value> {
    let events = Parser::new_from_str(text).map(|event| event.unwrap_or_else(|error| panic!("{error}")).0);
    let mut events = events.peekable();
    let mut documents = Vec::new();
    while let Some(event) = events.next() {
        if matches!(event, Event::DocumentStart(..)) {
            let root = events.next().unwrap();
            documents.push(value(root, &mut events));
        }
    }
    documents
}

fn value<'a>(event: Event<'a>, rest: &mut impl Iterator<Item = Event<'a>>) -> Value {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
        Event::Scalar(text, ..) => Value::String(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match rest.next().unwrap() {
                    Event::SequenceEnd => return Value::Array(items),
                    item => items.push(value(item, rest)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Map::new();
            loop {
                let key = match rest.next().unwrap() {
                    Event::MappingEnd => return Value::Object(entries),
                    Event::Scalar(text, ..) => text.into_owned(),
                    other => panic!("a key must be a word: {other:?}"),
                };
                let item = rest.next().unwrap();
                let repeated = entries.insert(key.clone(), value(item, rest));
                assert!(repeated.is_none(), "{key} stands here twice");
            }
        }
        other => panic!("not expected in these files: {other:?}"),
    }
}

/// What Kubernetes takes an unquoted value for.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" | "false" => Value::Bool(text == "true"),
        _ => text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

#[test]
fn documents_are_read_with_the_types_that_kubernetes_sees() {
    let read = documents("# first\na: true\nb: \"true\"\nc: [1, x]\n---\nd: {e: ~}\n");
    assert_eq!(
        read,
        [serde_json::json!({"a": true, "b": "true", "c": [1, "x"]}), serde_json::json!({"d": {"e": null}})]
    );
}

#[test]
#[should_panic(expected = "a stands here twice")]
fn a_repeated_key_is_noticed() {
    documents("a: 1\na: 2\n");
}
