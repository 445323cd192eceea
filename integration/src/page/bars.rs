//! Bars that are made of parts, as a cost of its stages.

use super::axis::{Axis, Scale};
use super::canvas::{Canvas, LEFT_BARE, units, words};
use super::figure::{Entry, Figure, Sign, colour};
use super::markup::Markup;
use super::number;
use super::span::{Fit, Span};

/// One bar for each category, each of the same parts in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct StackedBars {
    /// What they show.
    pub title: String,
    /// What the length of a part means. Parts add up, so the scale is linear whatever the axis says.
    pub value: Axis,
    /// A name for each bar, from above.
    pub categories: Vec<String>,
    /// What the bars are made of, from the left.
    pub parts: Vec<BarPart>,
}

/// One part of every bar.
#[derive(Clone, Debug, PartialEq)]
pub struct BarPart {
    /// In the legend.
    pub name: String,
    /// Its length in each category. One that is missing, negative or no finite number is nothing; the figure says how many.
    pub values: Vec<f64>,
}

impl StackedBars {
    /// Bars without parts yet.
    pub fn new(title: &str, value: Axis, categories: Vec<String>) -> Self {
        Self { title: title.to_owned(), value, categories, parts: Vec::new() }
    }

    pub(super) fn write(&self, markup: &mut Markup) {
        let axis = Axis { scale: Scale::Linear, ..self.value.clone() };
        let totals: Vec<f64> = (0..self.categories.len()).map(|row| self.total(row)).collect();
        let span = Span::new(&axis, totals.iter().copied(), Fit::Round);
        let canvas = Canvas { left: LEFT_BARE, top: 6.0, height: ROW * totals.len().max(1) as f64 };
        let legend = self
            .parts
            .iter()
            .enumerate()
            .map(|(number, part)| Entry { sign: Sign::Part(number, letter(number)), name: part.name.clone() });
        let (title, legend) = (&*self.title, legend.collect());
        let figure = Figure { title, legend, events: Vec::new(), notes: self.notes() };
        figure.write(markup, |markup| {
            canvas.image(markup, &format!("{}: {}", self.title, axis.title()), |markup| {
                canvas.horizontal_axis(markup, &axis, &span);
                for (row, total) in totals.iter().enumerate() {
                    let (left, right, top) = (canvas.left, canvas.left + canvas.width(), canvas.top + ROW * row as f64);
                    words(markup, "category", (left + 3.0, top + 15.0), "start", &self.categories[row]);
                    let sum = format!("{} {}", number::alone(*total), axis.unit);
                    words(markup, "sum", (right - 3.0, top + 15.0), "end", &sum);
                    self.write_bar(markup, row, Canvas { top: top + 21.0, height: BAR, ..canvas }, &span);
                }
                if totals.is_empty() {
                    words(
                        markup,
                        "name",
                        (canvas.left + canvas.width() / 2.0, canvas.top + ROW / 2.0),
                        "middle",
                        "no values",
                    );
                }
            });
        });
    }

    fn write_bar(&self, markup: &mut Markup, row: usize, canvas: Canvas, span: &Span) {
        let mut sum = 0.0;
        for (number, part) in self.parts.iter().enumerate() {
            let value = part.value(row);
            let across = |value| canvas.left + span.place(value).clamp(0.0, 1.0) * canvas.width();
            let (left, right) = (across(sum), across(sum + value));
            sum += value;
            let width = right - left;
            if width <= 0.0 {
                continue;
            }
            let attributes = [
                ("class", &*format!("part {}", colour(number))),
                ("x", &*units(left)),
                ("y", &*units(canvas.top)),
                ("width", &*units(width)),
                ("height", &*units(canvas.height)),
            ];
            markup.element("rect", &attributes, |markup| {
                let text = format!("{}: {} {}", part.name, number::alone(value), self.value.unit);
                markup.phrase("title", &[], &text);
            });
            let texts = [format!("{} {}", letter(number), number::alone(value)), letter(number)];
            if let Some(text) = texts.iter().find(|text| text.chars().count() as f64 * LETTER < width) {
                words(markup, "on", (left + width / 2.0, canvas.top + 15.0), "middle", text);
            }
        }
    }

    fn total(&self, row: usize) -> f64 {
        self.parts.iter().map(|part| part.value(row)).sum()
    }

    fn notes(&self) -> Vec<String> {
        let rows = 0..self.categories.len();
        let given = |part: &BarPart| rows.clone().filter(|row| part.drawable(*row).is_none()).count();
        let left_out: usize = self.parts.iter().map(given).sum();
        let note = || format!("Left out: {left_out} of the parts (no finite value of zero or more).");
        (left_out > 0).then(note).into_iter().collect()
    }
}

impl BarPart {
    /// A part by its lengths.
    pub fn new(name: &str, values: Vec<f64>) -> Self {
        Self { name: name.to_owned(), values }
    }

    fn drawable(&self, row: usize) -> Option<f64> {
        self.values.get(row).copied().filter(|value| (0.0..=VALUE_MAX).contains(value))
    }

    fn value(&self, row: usize) -> f64 {
        self.drawable(row).unwrap_or_default()
    }
}

/// Height of a bar with its name.
const ROW: f64 = 50.0;
/// Height of a bar.
const BAR: f64 = 21.0;
/// Width of a letter in a bar, with room to spare.
const LETTER: f64 = 9.0;
/// A longer part is no measurement.
const VALUE_MAX: f64 = 1e14;

/// A sign for a part that is read without colour.
fn letter(number: usize) -> String {
    let letter = u8::try_from(number).ok().filter(|number| *number < 26).map(|number| char::from(b'A' + number));
    letter.map_or_else(|| (number + 1).to_string(), String::from)
}
