//! The area of a drawing between its axes: grid, ticks, names of the axes, and where a pair of values is.

use super::axis::Axis;
use super::markup::Markup;
use super::span::Span;

/// Width of every drawing, in units of its own: about the pixels of one of two columns.
pub(super) const WIDTH: f64 = 520.0;
/// Left of the area, for the labels of ticks.
pub(super) const LEFT: f64 = 58.0;
/// Left of an area without them.
pub(super) const LEFT_BARE: f64 = 12.0;
/// Right of the area, for half of the last label.
pub(super) const RIGHT: f64 = 16.0;
/// Above the area, for the name of the vertical axis.
pub(super) const TOP: f64 = 26.0;
/// Below the area, for the labels of ticks and the name of the horizontal axis.
pub(super) const BOTTOM: f64 = 46.0;
/// Around the area: what lies on its edge is seen whole.
const EDGE: f64 = 7.0;

/// An area of a certain height at a certain place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canvas {
    /// Left of the area.
    pub(super) left: f64,
    /// Above the area.
    pub(super) top: f64,
    /// Of the area.
    pub(super) height: f64,
}

impl Canvas {
    /// Of the area.
    pub(super) fn width(self) -> f64 {
        WIDTH - self.left - RIGHT
    }

    /// An image of the area and what is around it.
    pub(super) fn image(self, markup: &mut Markup, description: &str, inside: impl FnOnce(&mut Markup)) {
        let view = format!("0 0 {WIDTH} {}", self.top + self.height + BOTTOM);
        markup.element("svg", &[("viewBox", &view), ("role", "img"), ("aria-label", description)], inside);
    }

    /// What is drawn within the area, with the area's upper left corner as origin. Nothing sticks out of it.
    pub(super) fn area(self, markup: &mut Markup, inside: impl FnOnce(&mut Markup)) {
        let (width, height) = (self.width() + 2.0 * EDGE, self.height + 2.0 * EDGE);
        let attributes = [
            ("x", &*units(self.left - EDGE)),
            ("y", &*units(self.top - EDGE)),
            ("width", &*units(width)),
            ("height", &*units(height)),
            ("viewBox", &*format!("-{EDGE} -{EDGE} {width} {height}")),
        ];
        markup.element("svg", &attributes, inside);
    }

    /// Lines of the horizontal axis, its labels and its name.
    pub(super) fn horizontal_axis(self, markup: &mut Markup, axis: &Axis, span: &Span) {
        let bottom = self.top + self.height;
        let line = |markup: &mut Markup, class: &str, value: f64| {
            let x = self.left + span.place(value) * self.width();
            straight(markup, class, (x, self.top), (x, bottom));
            x
        };
        for tick in &span.lesser_ticks {
            line(markup, "faint", *tick);
        }
        for tick in &span.ticks {
            let x = line(markup, "grid", *tick);
            words(markup, "tick", (x, bottom + 17.0), "middle", &span.label(*tick));
        }
        straight(markup, "axis", (self.left, bottom), (self.left + self.width(), bottom));
        words(markup, "name", (self.left + self.width(), bottom + 38.0), "end", &axis.title());
    }

    /// Lines of the vertical axis, its labels and, above it, its name.
    pub(super) fn vertical_axis(self, markup: &mut Markup, axis: &Axis, span: &Span) {
        let line = |markup: &mut Markup, class: &str, value: f64| {
            let y = self.top + (1.0 - span.place(value)) * self.height;
            straight(markup, class, (self.left, y), (self.left + self.width(), y));
            y
        };
        for tick in &span.lesser_ticks {
            line(markup, "faint", *tick);
        }
        for tick in &span.ticks {
            let y = line(markup, "grid", *tick);
            words(markup, "tick", (self.left - 8.0, y + 4.0), "end", &span.label(*tick));
        }
        words(markup, "name", (2.0, 14.0), "start", &axis.title());
    }
}

/// A straight line.
pub(super) fn straight(markup: &mut Markup, class: &str, from: (f64, f64), to: (f64, f64)) {
    let (x1, y1, x2, y2) = (units(from.0), units(from.1), units(to.0), units(to.1));
    markup.leaf("line", &[("class", class), ("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2)]);
}

/// A line of text whose `anchor` (start, middle or end) is at a place.
pub(super) fn words(markup: &mut Markup, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    let attributes = [("class", class), ("x", &*units(x)), ("y", &*units(y)), ("text-anchor", anchor)];
    markup.phrase("text", &attributes, text);
}

/// A length as an attribute. A tenth of a unit is not seen.
pub(super) fn units(length: f64) -> String {
    format!("{length:.1}")
}
