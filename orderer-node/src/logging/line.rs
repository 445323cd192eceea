//! One event, one line.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::counts::Counts;
use super::fields::{Fields, quoted};
use super::format::{Colour, Format, Verb, Verbs};
use super::names;

/// Writes events in a format.
#[derive(Debug)]
pub(super) struct Lines {
    format: Format,
    colours: bool,
    counts: Arc<Counts>,
    last_id: AtomicU64,
}

/// What a line is made of.
struct Record<'a> {
    level: Level,
    time: SystemTime,
    logger: Cow<'a, str>,
    /// The last part of the module; there are no names of functions to show.
    place: &'a str,
    caller: Option<String>,
    fields: &'a Fields,
}

impl Lines {
    pub(super) const fn new(format: Format, colours: bool, counts: Arc<Counts>) -> Self {
        Self { format, colours, counts, last_id: AtomicU64::new(0) }
    }

    fn verbs(&self, out: &mut String, verbs: &Verbs, record: &Record<'_>) {
        for verb in &verbs.0 {
            match verb {
                Verb::Text(text) => out.push_str(text),
                Verb::Colour(colour) if self.colours => out.push_str(&escape(*colour, record.level)),
                Verb::Colour(_) => {}
                Verb::Id(layout) => layout.number(out, self.last_id.fetch_add(1, Ordering::Relaxed) + 1),
                Verb::Level(layout) => layout.text(out, record.level.as_str()),
                Verb::Message(layout) => layout.text(out, record.fields.message.trim_end_matches('\n')),
                Verb::Module(layout) => layout.text(out, &record.logger),
                Verb::ShortFunc(layout) => layout.text(out, record.place),
                Verb::Time(layout) => layout.write(out, record.time),
            }
        }
        record.fields.write_pairs(out);
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (metadata, fields) = (event.metadata(), Fields::of(event));
        let target = fields.log_target.as_deref().unwrap_or_else(|| metadata.target());
        let record = Record {
            level: *metadata.level(),
            time: SystemTime::now(),
            logger: names::logger_of(target),
            place: target.rsplit("::").next().unwrap_or(target),
            caller: metadata.file().zip(metadata.line()).map(|(file, line)| format!("{file}:{line}")),
            fields: &fields,
        };
        let mut line = String::new();
        match &self.format {
            Format::Json => line.push_str(&record.json()),
            Format::Logfmt => record.logfmt(&mut line),
            Format::Verbs(verbs) => self.verbs(&mut line, verbs, &record),
        }
        self.counts.on_written(record.level);
        writeln!(writer, "{line}")
    }
}

impl Record<'_> {
    fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("level".to_owned(), self.level.as_str().to_ascii_lowercase().into());
        object.insert("ts".to_owned(), self.unix_seconds().into());
        object.insert("name".to_owned(), self.logger.as_ref().into());
        if let Some(caller) = &self.caller {
            object.insert("caller".to_owned(), caller.as_str().into());
        }
        object.insert("msg".to_owned(), self.fields.message.as_str().into());
        for (name, value) in &self.fields.others {
            // A field never hides what every line has.
            object.entry(*name).or_insert_with(|| value.clone());
        }
        Value::Object(object).to_string()
    }

    fn logfmt(&self, out: &mut String) {
        out.push_str(&format!("ts={} level={}", self.unix_seconds(), self.level.as_str().to_ascii_lowercase()));
        out.push_str(&format!(" name={}", quoted(&self.logger)));
        if let Some(caller) = &self.caller {
            out.push_str(&format!(" caller={}", quoted(caller)));
        }
        out.push_str(&format!(" msg={}", quoted(&self.fields.message)));
        self.fields.write_pairs(out);
    }

    /// Seconds with their fraction, as Fabric's JSON has them.
    fn unix_seconds(&self) -> f64 {
        self.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }
}

fn escape(colour: Colour, level: Level) -> String {
    let code = match level {
        Level::TRACE => 0,
        Level::DEBUG => 36,
        Level::INFO => 34,
        Level::WARN => 33,
        Level::ERROR => 31,
    };
    match colour {
        Colour::Reset => "\x1b[0m".to_owned(),
        Colour::OfLevel => format!("\x1b[{code}m"),
        Colour::BoldOfLevel => format!("\x1b[{code};1m"),
    }
}
