//! How lines look: Fabric's format language.

use std::str::FromStr;

use super::pad::Layout;
use super::time::TimeLayout;

/// The look of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object: `level`, `ts`, `name`, `caller`, `msg`, and the fields.
    Json,
    /// The same as pairs of `key=value`.
    Logfmt,
    /// Text with verbs; the fields follow as `key=value`.
    Verbs(Verbs),
}

/// Text with verbs, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verbs(pub(super) Vec<Verb>);

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Text(String),
    Colour(Colour),
    Id(Layout),
    Level(Layout),
    Message(Layout),
    Module(Layout),
    ShortFunc(Layout),
    Time(TimeLayout),
}

/// A change of colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    OfLevel,
    BoldOfLevel,
    Reset,
}

/// A verb that nobody can follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'%{{{verb}:{option}}}' is not a format: {expected}")]
pub struct FormatError {
    verb: &'static str,
    option: String,
    expected: &'static str,
}

impl FromStr for Format {
    type Err = FormatError;

    /// `json`, `logfmt`, or text with the verbs `%{color}`, `%{id}`, `%{level}`, `%{message}`, `%{module}`, `%{shortfunc}`
    /// and `%{time}`, each with an option after a colon if wanted. Whatever is not a verb is text. Empty is Fabric's own.
    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "json" => return Ok(Self::Json),
            "logfmt" => return Ok(Self::Logfmt),
            _ => {}
        }
        let mut rest = if text.is_empty() { FABRIC } else { text };
        let mut verbs = Vec::new();
        while !rest.is_empty() {
            match next_verb(rest) {
                None => {
                    verbs.push(Verb::Text(rest.to_owned()));
                    break;
                }
                Some((start, end, name, option)) => {
                    if start > 0 {
                        verbs.push(Verb::Text(rest[..start].to_owned()));
                    }
                    verbs.push(verb(name, option)?);
                    rest = &rest[end..];
                }
            }
        }
        Ok(Self::Verbs(Verbs(verbs)))
    }
}

/// The next verb of a text: where it begins and ends, its name, its option.
fn next_verb(text: &str) -> Option<(usize, usize, &'static str, &str)> {
    text.match_indices("%{").find_map(|(start, opening)| {
        let inside_start = start + opening.len();
        let inside_end = inside_start + text[inside_start..].find('}')?;
        let inside = &text[inside_start..inside_end];
        let (name, option) = inside.split_once(':').unwrap_or((inside, ""));
        let name = NAMES.into_iter().find(|known| *known == name)?;
        Some((start, inside_end + 1, name, option))
    })
}

fn verb(name: &'static str, option: &str) -> Result<Verb, FormatError> {
    let wrong = |expected| FormatError { verb: name, option: option.to_owned(), expected };
    let text =
        || Layout::read(option, &['s', 'v']).ok_or_else(|| wrong("a width and precision are expected, as in .4s"));
    Ok(match name {
        "color" => Verb::Colour(match option {
            "" => Colour::OfLevel,
            "bold" => Colour::BoldOfLevel,
            "reset" => Colour::Reset,
            _ => return Err(wrong("bold or reset is expected")),
        }),
        "id" => {
            let layout = Layout::read(option, &['d', 'v', 'x', 'X', 'o', 'b']);
            Verb::Id(layout.ok_or_else(|| wrong("the form of a number is expected, as in 04x"))?)
        }
        "level" => Verb::Level(text()?),
        "message" => Verb::Message(text()?),
        "module" => Verb::Module(text()?),
        "shortfunc" => Verb::ShortFunc(text()?),
        _ => Verb::Time(TimeLayout::new(if option.is_empty() { DEFAULT_TIME } else { option })),
    })
}

const NAMES: [&str; 7] = ["color", "id", "level", "message", "module", "shortfunc", "time"];
const DEFAULT_TIME: &str = "2006-01-02T15:04:05.999Z07:00";
/// The shape of the lines of Fabric.
const FABRIC: &str = "%{color}%{time:2006-01-02 15:04:05.000 MST} %{id:04x} %{level:.4s}%{color:reset} [%{module}] \
                      %{color:bold}%{shortfunc}%{color:reset} -> %{message}";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_verb_is_text() {
        let Format::Verbs(Verbs(parts)) = "100%{nothing} %{message}%{".parse().unwrap() else { unreachable!() };
        let plain = Layout::read("", &['s']).unwrap();
        assert_eq!(parts, [Verb::Text("100%{nothing} ".to_owned()), Verb::Message(plain), Verb::Text("%{".to_owned())]);
    }

    #[test]
    fn an_option_that_nobody_can_follow_is_refused() {
        for (text, error) in [
            ("%{color:red}", "'%{color:red}' is not a format: bold or reset is expected"),
            ("%{id:s}", "'%{id:s}' is not a format: the form of a number is expected, as in 04x"),
            ("%{level:4}", "'%{level:4}' is not a format: a width and precision are expected, as in .4s"),
        ] {
            assert_eq!(text.parse::<Format>().unwrap_err().to_string(), error);
        }
    }
}
