//! Times in the layouts of Go: `2006-01-02 15:04:05.000 MST` shows by example how a time is to look. Always UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A layout, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeLayout(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Element(&'static str),
    /// Digits of the fraction after a dot or comma; `9`s leave zeros at the end out.
    Fraction {
        mark: char,
        digits: usize,
        keeps_zeros: bool,
    },
}

/// A moment in the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: u64,
    day: u64,
    weekday: u64,
    second_of_day: u64,
    nanos: u32,
}

impl TimeLayout {
    /// Takes a layout apart. Whatever is not an element of Go's reference time is text, so nothing is wrong.
    pub(super) fn new(layout: &str) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            if let Some((part, length)) = fraction(rest) {
                parts.push(part);
                rest = &rest[length..];
            } else if let Some(element) = ELEMENTS.iter().find(|element| rest.starts_with(**element)) {
                parts.push(Part::Element(element));
                rest = &rest[element.len()..];
            } else {
                match parts.last_mut() {
                    Some(Part::Text(text)) => text.push(first),
                    _ => parts.push(Part::Text(first.to_string())),
                }
                rest = &rest[first.len_utf8()..];
            }
        }
        Self(parts)
    }

    /// Adds a time in this layout. Times before 1970 are 1970.
    pub(super) fn write(&self, out: &mut String, time: SystemTime) {
        let civil = Civil::of(time.duration_since(UNIX_EPOCH).unwrap_or_default());
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Element(element) => out.push_str(&civil.element(element)),
                &Part::Fraction { mark, digits, keeps_zeros } => {
                    let all = format!("{:09}", civil.nanos);
                    let cut = &all[..digits];
                    let cut = if keeps_zeros { cut } else { cut.trim_end_matches('0') };
                    if !cut.is_empty() {
                        out.push(mark);
                        out.push_str(cut);
                    }
                }
            }
        }
    }
}

/// A fraction of seconds at the start of a layout, and its length in bytes.
fn fraction(layout: &str) -> Option<(Part, usize)> {
    let mark = layout.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digit = layout[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = layout[1..].chars().take_while(|&c| c == digit).count();
    let is_followed_by_digit = layout[1 + digits..].starts_with(|c: char| c.is_ascii_digit());
    let part = Part::Fraction { mark, digits, keeps_zeros: digit == '0' };
    (digits <= 9 && !is_followed_by_digit).then_some((part, 1 + digits))
}

impl Civil {
    fn of(since_epoch: Duration) -> Self {
        let days = since_epoch.as_secs() / DAY_SECONDS;
        // Days since the first of March of year 0, in eras of 400 years, which all have the same number of days.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self {
            year: i64::try_from(year).unwrap_or(i64::MAX),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            weekday: (days + 4) % 7,
            second_of_day: since_epoch.as_secs() % DAY_SECONDS,
            nanos: since_epoch.subsec_nanos(),
        }
    }

    fn element(&self, element: &str) -> String {
        let (hour, minute, second) =
            (self.second_of_day / 3_600, self.second_of_day / 60 % 60, self.second_of_day % 60);
        let hour_of_half = if hour % 12 == 0 { 12 } else { hour % 12 };
        let month = MONTHS[usize::try_from(self.month - 1).unwrap_or(0)];
        let weekday = WEEKDAYS[usize::try_from(self.weekday).unwrap_or(0)];
        match element {
            "2006" => format!("{:04}", self.year),
            "06" => format!("{:02}", self.year % 100),
            "January" => month.to_owned(),
            "Jan" => month[..3].to_owned(),
            "01" => format!("{:02}", self.month),
            "1" => self.month.to_string(),
            "Monday" => weekday.to_owned(),
            "Mon" => weekday[..3].to_owned(),
            "02" => format!("{:02}", self.day),
            "_2" => format!("{:2}", self.day),
            "2" => self.day.to_string(),
            "15" => format!("{hour:02}"),
            "03" => format!("{hour_of_half:02}"),
            "3" => hour_of_half.to_string(),
            "04" => format!("{minute:02}"),
            "4" => minute.to_string(),
            "05" => format!("{second:02}"),
            "5" => second.to_string(),
            "PM" => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            "pm" => if hour < 12 { "am" } else { "pm" }.to_owned(),
            "-07:00" => "+00:00".to_owned(),
            "-0700" => "+0000".to_owned(),
            "-07" => "+00".to_owned(),
            "Z07:00" | "Z0700" => "Z".to_owned(),
            _ => "UTC".to_owned(),
        }
    }
}

/// Elements of Go's reference time; of two that begin alike the longer stands first.
const ELEMENTS: &[&str] = &[
    "2006", "January", "Jan", "Monday", "Mon", "MST", "Z07:00", "Z0700", "-07:00", "-0700", "-07", "_2", "01", "02",
    "03", "04", "05", "06", "15", "PM", "pm", "1", "2", "3", "4", "5",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const DAY_SECONDS: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn show(layout: &str, since_epoch: Duration) -> String {
        let mut out = String::new();
        TimeLayout::new(layout).write(&mut out, UNIX_EPOCH + since_epoch);
        out
    }

    #[test]
    fn times_look_as_go_writes_them() {
        let time = Duration::new(1_795_305_907, 50_000_000);
        for (layout, expected) in [
            ("2006-01-02 15:04:05.000 MST", "2026-11-22 00:05:07.050 UTC"),
            ("2006-01-02T15:04:05.999Z07:00", "2026-11-22T00:05:07.05Z"),
            ("2006-01-02T15:04:05.000000-0700", "2026-11-22T00:05:07.050000+0000"),
            ("Mon Jan _2 3:04PM 06", "Sun Nov 22 12:05AM 26"),
            ("Monday, 2 January", "Sunday, 22 November"),
            ("it is 15 o'clock", "it is 00 o'clock"),
        ] {
            assert_eq!(show(layout, time), expected, "{layout}");
        }
        assert_eq!(show("05.999", Duration::from_secs(7)), "07");
    }

    #[test]
    fn the_calendar_is_right_at_its_corners() {
        for (seconds, expected) in [
            (0, "1970-01-01 Thu"),
            (951_782_400, "2000-02-29 Tue"),
            (951_868_800, "2000-03-01 Wed"),
            (4_107_456_000, "2100-02-28 Sun"),
            (4_107_542_400, "2100-03-01 Mon"),
            (1_735_603_200, "2024-12-31 Tue"),
        ] {
            assert_eq!(show("2006-01-02 Mon", Duration::from_secs(seconds)), expected);
        }
    }
}
