//! Tables of texts.

use super::markup::Markup;

/// Rows of texts under a head. Columns of numbers stand to the right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Above it.
    pub caption: Option<String>,
    /// A name for each column, with its unit.
    pub head: Vec<String>,
    /// As many texts as the head has; missing ones are empty.
    pub rows: Vec<Vec<String>>,
    /// Rows to look at first, as those that miss a target, by their index.
    pub rows_flagged: Vec<usize>,
}

impl Table {
    /// A table without rows yet.
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() }
    }

    pub(super) fn write(&self, markup: &mut Markup) {
        let columns = self.rows.iter().map(Vec::len).chain([self.head.len()]).max().unwrap_or_default();
        let classes: Vec<&str> =
            (0..columns).map(|column| if self.is_numeric(column) { "number" } else { "" }).collect();
        // What is wider than a telephone scrolls by itself.
        markup.element("div", &[("class", "table")], |markup| {
            markup.element("table", &[], |markup| {
                if let Some(caption) = &self.caption {
                    markup.phrase("caption", &[], caption);
                }
                markup.element("thead", &[], |markup| write_row(markup, "th", "", &self.head, &classes));
                markup.element("tbody", &[], |markup| {
                    for (index, row) in self.rows.iter().enumerate() {
                        markup.feed();
                        let class = if self.rows_flagged.contains(&index) { "flagged" } else { "" };
                        write_row(markup, "td", class, row, &classes);
                    }
                });
            });
        });
        markup.feed();
    }

    /// Whether a column holds numbers, perhaps with a unit, and perhaps gaps.
    fn is_numeric(&self, column: usize) -> bool {
        let texts = || self.rows.iter().filter_map(|row| row.get(column)).filter(|text| !is_gap(text));
        texts().next().is_some() && texts().all(|text| is_number(text))
    }
}

fn write_row(markup: &mut Markup, cell: &str, class: &str, texts: &[String], classes: &[&str]) {
    markup.element("tr", &with_class(class), |markup| {
        for (column, class) in classes.iter().enumerate() {
            markup.phrase(cell, &with_class(class), texts.get(column).map_or("", |text| text));
        }
    });
}

fn with_class(class: &str) -> Vec<(&str, &str)> {
    if class.is_empty() { Vec::new() } else { vec![("class", class)] }
}

fn is_gap(text: &str) -> bool {
    matches!(text.trim(), "" | "-" | "?" | "\u{2013}" | "\u{2014}")
}

fn is_number(text: &str) -> bool {
    let text =
        text.trim_start().trim_start_matches(['-', '+', '\u{2212}', '<', '>', '=', '~', '\u{2264}', '\u{2265}', ' ']);
    text.starts_with(|character: char| character.is_ascii_digit()) && text.len() <= NUMBER_BYTES_MAX
}

/// A number with its unit is shorter than a sentence that begins with one.
const NUMBER_BYTES_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_that_begins_with_a_number_is_none() {
        assert!(is_number("12.5 us/envelope") && is_number("<= 5"));
        assert!(!is_number("1296 B on the wire, 100.0 envelopes in a block") && !is_number("none"));
    }
}
