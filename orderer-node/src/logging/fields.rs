//! The message and the fields of one event, as text and as JSON.

use std::fmt;

use serde_json::Value;
use tracing::Event;
use tracing::field::{Field, Visit};

/// What an event says.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub message: String,
    /// In the order of the code.
    pub others: Vec<(&'static str, Value)>,
    /// The module, if the event comes from a library that logs through the `log` crate.
    pub log_target: Option<String>,
}

impl Fields {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match (name, value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", value) => self.message = value.to_string(),
            ("log.target", Value::String(target)) => self.log_target = Some(target),
            _ if name.starts_with("log.") => {}
            (_, value) => self.others.push((name, value)),
        }
    }

    /// The fields as `key=value`, each after a space.
    pub(super) fn write_pairs(&self, out: &mut String) {
        for (name, value) in &self.others {
            out.push(' ');
            out.push_str(name);
            out.push('=');
            match value {
                Value::String(text) => out.push_str(&quoted(text)),
                other => out.push_str(&other.to_string()),
            }
        }
    }
}

/// A text that stands in one word: in quotes if it would not otherwise.
pub(super) fn quoted(text: &str) -> String {
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'));
    if is_word { text.to_owned() } else { Value::from(text).to_string() }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
