//! Values as Fabric writes them: durations of Go, sizes with units, booleans of Go, lists in brackets. All are total
//! functions of text; an error says what would have been right.

use std::time::Duration;

/// A duration as Go writes it: `1h2m`, `1.5s`, `300ms`, `0`.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "is not a duration, as in 500ms, 20s or 1h2m";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanos: u128 = 0;
    if rest.is_empty() {
        return Err(EXPECTED);
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(EXPECTED)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        nanos = nanos.saturating_add(nanos_of(number, unit).ok_or(EXPECTED)?);
        rest = tail;
    }
    // Go's durations end at 292 years.
    let nanos = i64::try_from(nanos).map_err(|_| EXPECTED)?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

fn nanos_of(number: &str, unit: &str) -> Option<u128> {
    let per_unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > DIGITS_MAX {
        return None;
    }
    let parse = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    Some(parse(whole)? * per_unit + parse(fraction)? * per_unit / scale)
}

/// A number of bytes: `1048576`, `10 KB`, `1 MB`, `2g`. Units are powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str = "is not a size, as in 1048576, 10 KB or 1 MB";
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let number: u64 = digits.parse().map_err(|_| EXPECTED)?;
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" if unit.is_empty() => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return Err(EXPECTED),
    };
    number.checked_mul(1 << shift).ok_or(EXPECTED)
}

/// A boolean as Go reads it.
pub(super) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("is neither true nor false"),
    }
}

/// A list in one text: `[a, b]`, or a single value. Empty items are left out.
pub(super) fn list(text: &str) -> Vec<String> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
        None => vec![text.to_owned()],
    }
}

/// More digits than any duration of Go has.
const DIGITS_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("15m", 900_000_000_000),
            ("1h2m", 3_720_000_000_000),
            ("7200s", 7_200_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5ms", 500_000),
            ("1.s", 1_000_000_000),
            ("+3us", 3_000),
            ("3µs2ns", 3_002),
            ("168h", 604_800_000_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "+", "5", "s", "5 s", "5x", "-5s", "1..5s", ".s", "1h2", "9999999h", &"9".repeat(40)] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, number) in [
            ("0", 0),
            ("104857600", 104_857_600),
            ("1 MB", 1 << 20),
            ("10 KB", 10 << 10),
            ("10kb", 10 << 10),
            ("3M", 3 << 20),
            ("2  g", 2 << 30),
        ] {
            assert_eq!(bytes(text), Ok(number), "{text}");
        }
        for text in ["", "MB", "1 TB", "1.5 MB", "-1", "1 ", "99999999999999999999", "99999999999999999 GB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn booleans_are_those_of_go() {
        assert_eq!((boolean("true"), boolean("T"), boolean("0")), (Ok(true), Ok(true), Ok(false)));
        assert!(boolean("yes").is_err() && boolean("tRUE").is_err() && boolean("").is_err());
    }

    #[test]
    fn lists_are_in_brackets_or_single() {
        assert_eq!(list("[a.crt, b.crt]"), ["a.crt", "b.crt"]);
        assert_eq!(list("a.crt"), ["a.crt"]);
        assert_eq!(list("a,b"), ["a,b"]);
        assert!(list("[]").is_empty());
        assert_eq!(list("[a,]"), ["a"]);
        assert_eq!(list("["), ["["]);
    }
}
