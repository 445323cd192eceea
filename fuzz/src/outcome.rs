//! What became of an input, coarse enough to tell one kind of behaviour from another.

use std::fmt;

/// The behaviour a target showed. Inputs of one class have the same text: numbers, names and quotations are struck out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outcome {
    text: String,
    is_accepted: bool,
}

impl Outcome {
    /// The input is a value; `what` names its kind.
    pub fn accepted(what: impl fmt::Display) -> Self {
        Self { text: generic(&what.to_string()), is_accepted: true }
    }

    /// The input was refused, with this reason.
    pub fn refused(why: impl fmt::Display) -> Self {
        Self { text: generic(&why.to_string()), is_accepted: false }
    }

    /// Both halves of a target that looks at an input in two ways. Accepted if either half accepted it.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let text = format!("{self}; {other}");
        Self { text, is_accepted: self.is_accepted || other.is_accepted }
    }

    /// Was the input taken for a value?
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        self.is_accepted
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.is_accepted { "accepted" } else { "refused" }, self.text)
    }
}

impl<T: fmt::Display, E: fmt::Display> From<Result<T, E>> for Outcome {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(what) => Self::accepted(what),
            Err(why) => Self::refused(why),
        }
    }
}

/// Words that hold a digit, that are hexadecimal, or that are anything but plain text depend on the input and not on the
/// behaviour; so does what is quoted.
fn generic(text: &str) -> String {
    let text = match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) => format!("{}# {}", &text[..first], &text[last + 1..]),
        _ => text.to_owned(),
    };
    let mut kept: Vec<&str> = text.split_whitespace().map(|word| if is_plain(word) { word } else { "#" }).collect();
    kept.dedup();
    kept.truncate(WORDS_MAX);
    kept.join(" ")
}

fn is_plain(word: &str) -> bool {
    let is_text = word.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_.,:;()/".contains(&byte));
    let is_hex = word.bytes().filter(u8::is_ascii_hexdigit).count() >= HEX_DIGITS_MIN && !word.contains(|c| c > 'f');
    is_text && !is_hex && word.len() <= WORD_BYTES_MAX
}

const WORDS_MAX: usize = 24;
const HEX_DIGITS_MIN: usize = 8;
const WORD_BYTES_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_are_one_class_and_two_reasons_are_two() {
        assert_eq!(Outcome::refused("count 17 is above its bound"), Outcome::refused("count 99 is above its bound"));
        assert_eq!(Outcome::refused("group abcdefab, not #"), Outcome::refused("group 01234567, not #"));
        assert_eq!(Outcome::refused("name \"a b\" is bad"), Outcome::refused("name \"c\" d\" is bad"));
        assert_ne!(Outcome::refused("truncated"), Outcome::refused("unknown tag 3"));
        assert_ne!(Outcome::refused("vote"), Outcome::accepted("vote"));
    }
}
