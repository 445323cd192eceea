//! What is around every drawing: its title above, the legend, and notes beneath.

use super::canvas::straight;
use super::marker;
use super::markup::Markup;

/// How many colours there are.
pub(super) const COLOURS: usize = 10;

/// Title, legend and notes of a drawing.
#[derive(Debug, Default)]
pub(super) struct Figure<'a> {
    pub(super) title: &'a str,
    pub(super) legend: Vec<Entry>,
    /// Events, numbered from one as their flags are.
    pub(super) events: Vec<String>,
    /// What a reader must know: what is left out.
    pub(super) notes: Vec<String>,
}

/// What a sign in the drawing stands for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sign: Sign,
    pub(super) name: String,
}

/// How a thing looks in the drawing.
#[derive(Debug)]
pub(super) enum Sign {
    /// A line with marks.
    Line(usize),
    /// Marks.
    Marks(usize),
    /// A dashed line of these classes.
    Bound(String),
    /// A part of a bar, with its letter.
    Part(usize, String),
}

impl Figure<'_> {
    /// Writes the figure around a drawing.
    pub(super) fn write(&self, markup: &mut Markup, drawing: impl FnOnce(&mut Markup)) {
        markup.element("figure", &[], |markup| {
            markup.phrase("figcaption", &[], self.title);
            self.write_legend(markup);
            drawing(markup);
            if !self.events.is_empty() {
                markup.element("ol", &[("class", "events")], |markup| {
                    self.events.iter().for_each(|event| markup.phrase("li", &[], event));
                });
            }
            self.notes.iter().for_each(|note| markup.phrase("p", &[("class", "note")], note));
        });
        markup.feed();
    }

    fn write_legend(&self, markup: &mut Markup) {
        if self.legend.is_empty() {
            return;
        }
        markup.element("ul", &[("class", "legend")], |markup| {
            for entry in &self.legend {
                markup.element("li", &[], |markup| {
                    entry.sign.write(markup);
                    markup.phrase("span", &[], &entry.name);
                });
            }
        });
    }
}

impl Sign {
    fn write(&self, markup: &mut Markup) {
        let frame = [("viewBox", "0 0 30 14"), ("width", "30"), ("height", "14"), ("aria-hidden", "true")];
        markup.element("svg", &frame, |markup| match self {
            Self::Line(number) => {
                straight(markup, &format!("line {}", colour(*number)), (1.0, 7.0), (29.0, 7.0));
                mark(markup, *number, &[(15.0, 7.0)]);
            }
            Self::Marks(number) => mark(markup, *number, &[(9.0, 7.0), (21.0, 7.0)]),
            Self::Bound(classes) => straight(markup, classes, (1.0, 7.0), (29.0, 7.0)),
            Self::Part(number, letter) => {
                let class = format!("part {}", colour(*number));
                markup.leaf("rect", &[("class", &class), ("width", "30"), ("height", "14")]);
                super::canvas::words(markup, "on", (15.0, 11.0), "middle", letter);
            }
        });
    }
}

/// Draws the marks of a series at these places.
pub(super) fn mark(markup: &mut Markup, number: usize, places: &[(f64, f64)]) {
    if places.is_empty() {
        return;
    }
    // When colours come round again, shapes do not come round with them.
    let shape = number + number / COLOURS;
    let path: String = places.iter().map(|place| marker::path(shape, *place)).collect();
    markup.leaf("path", &[("class", &format!("mark {}", colour(number))), ("d", &path)]);
}

/// The class of the colour of that number.
pub(super) fn colour(number: usize) -> String {
    format!("c{}", number % COLOURS)
}
