//! Durations as the channel configuration writes them: the text form of Go's standard library (`"2s"`, `"500ms"`,
//! `"1h2m"`, `"1.5s"`).
//!
//! Owns parsing and printing of that form. Contract §2.7 (BatchTimeout) and §9.1 (SmartBFT options). The value is
//! kept in whole nanoseconds, as Go keeps it, so that a text that Go refuses as too large is refused here too.

use std::fmt::Write as _;
use std::time::Duration;

use thiserror::Error;

/// Why a text is not a positive duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// The text does not follow the grammar of a Go duration.
    #[error("{0:?} is not a duration such as \"2s\", \"500ms\" or \"1h2m\"")]
    Malformed(String),
    /// More than 2^63 - 1 nanoseconds, about 292 years.
    #[error("duration {0:?} is too long")]
    TooLong(String),
    /// Zero or negative where a positive duration is needed.
    #[error("duration {0:?} must be positive")]
    NotPositive(String),
}

/// Parses a duration that has to be longer than zero.
///
/// # Errors
/// [`DurationError`], which repeats the offending text.
pub fn parse_positive(text: &str) -> Result<Duration, DurationError> {
    let duration = parse_non_negative(text)?;
    if duration.is_zero() {
        return Err(DurationError::NotPositive(text.to_owned()));
    }
    Ok(duration)
}

/// Parses a duration that may be zero.
///
/// # Errors
/// [`DurationError`], which repeats the offending text.
pub fn parse_non_negative(text: &str) -> Result<Duration, DurationError> {
    let (is_negative, magnitude) = split_sign(text);
    let nanoseconds = parse_magnitude(magnitude, text)?;
    if is_negative && nanoseconds > 0 {
        return Err(DurationError::NotPositive(text.to_owned()));
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Prints a duration the way Go prints it: `"2s"`, `"1m0s"`, `"200ms"`, `"1.5s"`, `"0s"`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let (unit, scale) = match nanoseconds {
        0 => return "0s".to_owned(),
        1..1_000 => ("ns", 1),
        1_000..1_000_000 => ("µs", 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => return format_seconds_and_more(nanoseconds),
    };
    format!("{}{unit}", decimal(nanoseconds, scale))
}

fn format_seconds_and_more(nanoseconds: u128) -> String {
    let minutes = nanoseconds / NANOSECONDS_PER_MINUTE;
    let hours = minutes / 60;
    let mut text = String::new();
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if minutes > 0 {
        let _ = write!(text, "{}m", minutes % 60);
    }
    text.push_str(&decimal(nanoseconds % NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND));
    text.push('s');
    text
}

/// `value / scale` in decimal, without trailing zeros; `scale` is a power of ten.
fn decimal(value: u128, scale: u128) -> String {
    let whole = value / scale;
    let fraction = value % scale;
    if fraction == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

fn split_sign(text: &str) -> (bool, &str) {
    if let Some(rest) = text.strip_prefix('-') { (true, rest) } else { (false, text.strip_prefix('+').unwrap_or(text)) }
}

/// The unsigned part: `"0"`, or one or more of (decimal number, unit).
fn parse_magnitude(magnitude: &str, text: &str) -> Result<u64, DurationError> {
    if magnitude == "0" {
        return Ok(0);
    }
    if magnitude.is_empty() {
        return Err(DurationError::Malformed(text.to_owned()));
    }
    let mut total: u64 = 0;
    let mut rest = magnitude;
    while !rest.is_empty() {
        let (nanoseconds, next) = parse_term(rest, text)?;
        total = total
            .checked_add(nanoseconds)
            .filter(|sum| *sum <= NANOSECONDS_MAX)
            .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        rest = next;
    }
    Ok(total)
}

/// One number with its unit, in nanoseconds, and what follows it.
fn parse_term<'a>(rest: &'a str, text: &str) -> Result<(u64, &'a str), DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());

    let (whole, rest) = split_digits(rest);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after_dot) => split_digits(after_dot),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(malformed());
    }
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let scale = nanoseconds_per(unit).ok_or_else(malformed)?;

    let whole: u64 = match whole {
        "" => 0,
        digits => digits.parse().map_err(|_| too_long())?,
    };
    let nanoseconds = whole
        .checked_mul(scale)
        .and_then(|value| value.checked_add(fraction_of(fraction, scale)))
        .filter(|value| *value <= NANOSECONDS_MAX)
        .ok_or_else(too_long)?;
    Ok((nanoseconds, rest))
}

/// `0.<digits> * scale`. Go computes this step in double precision, and every node of a channel has to arrive at
/// the same nanosecond, so the same arithmetic is used here.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    let mut numerator: u64 = 0;
    let mut denominator: f64 = 1.0;
    for digit in digits.bytes() {
        if numerator > NANOSECONDS_MAX / 10 {
            break;
        }
        numerator = numerator * 10 + u64::from(digit - b'0');
        denominator *= 10.0;
    }
    (numerator as f64 * (scale as f64 / denominator)) as u64
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn nanoseconds_per(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        "us" | "µs" | "μs" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60 * 1_000_000_000),
        "h" => Some(3600 * 1_000_000_000),
        _ => None,
    }
}

const NANOSECONDS_MAX: u64 = i64::MAX as u64;
const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;
const NANOSECONDS_PER_MINUTE: u128 = 60 * NANOSECONDS_PER_SECOND;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_go_accepts() {
        for (text, nanoseconds) in [
            ("2s", 2_000_000_000),
            ("500ms", 500_000_000),
            ("1h2m", 3_720_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+3m0s", 180_000_000_000),
            ("10us", 10_000),
            ("10µs", 10_000),
            ("1h1m1s1ms1us1ns", 3_661_001_001_001),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
            ("0.3333333333333333333h", 1_200_000_000_000),
        ] {
            assert_eq!(parse_positive(text).unwrap(), Duration::from_nanos(nanoseconds), "{text}");
        }
        assert_eq!(parse_non_negative("0").unwrap(), Duration::ZERO);
        assert_eq!(parse_non_negative("-0s").unwrap(), Duration::ZERO);
    }

    #[test]
    fn texts_that_are_refused() {
        for text in ["", "2", "s", "2 s", "2S", "abc", ".s", "+", "-", "1d", "2s3", "--1s"] {
            assert!(matches!(parse_positive(text), Err(DurationError::Malformed(_))), "{text}");
        }
        for text in ["0", "0s", "-2s"] {
            assert!(matches!(parse_positive(text), Err(DurationError::NotPositive(_))), "{text}");
        }
        for text in ["9223372036854775808ns", "3000000h", "99999999999999999999s"] {
            assert!(matches!(parse_positive(text), Err(DurationError::TooLong(_))), "{text}");
        }
    }

    #[test]
    fn printing_is_what_configtxgen_writes() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (200_000_000, "200ms"),
            (1_500_000_000, "1.5s"),
            (2_000_000_000, "2s"),
            (60_000_000_000, "1m0s"),
            (180_000_000_000, "3m0s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            let duration = Duration::from_nanos(nanoseconds);
            assert_eq!(format(duration), text);
            assert_eq!(parse_non_negative(text).unwrap(), duration);
        }
    }
}
