//! Charts of pairs of values: lines, steps (as of a cumulative distribution) and points, with events and bounds.

use std::fmt::Write;

use super::axis::Axis;
use super::canvas::{Canvas, LEFT, TOP, straight, words};
use super::figure::{Entry, Figure, Sign, colour, mark};
use super::markup::Markup;
use super::number;
use super::span::{Fit, Span};
use super::thin::{POINTS_MAX, thin};

/// Series over one pair of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What is chosen, or time.
    pub x: Axis,
    /// What is measured.
    pub y: Axis,
    /// What was measured.
    pub series: Vec<Series>,
    /// What happened meanwhile.
    pub marks: Vec<Mark>,
    /// What was expected.
    pub bounds: Vec<Line>,
}

/// Pairs of values of one name. Pairs with something that is no finite number, or not above zero on a logarithmic axis,
/// are not drawn; the chart says how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// How the pairs belong together.
    pub shape: Shape,
    /// In the order in which they are joined. Of more than 1,000 some are drawn, peaks and ends among them.
    pub points: Vec<(f64, f64)>,
}

/// How pairs belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Joined by straight lines.
    Line,
    /// Each value holds until the next.
    Steps,
    /// Not joined.
    Points,
}

/// Something that happened at one value of the horizontal axis: drawn as a numbered flag, explained beneath.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// When.
    pub x: f64,
    /// What.
    pub text: String,
}

/// A dashed line that nothing was measured for: a limit, a model, a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// In the legend.
    pub name: String,
    /// Where it goes.
    pub course: Course,
    /// The name of the series it belongs to: it has its colour.
    pub series: Option<String>,
}

/// Where a line goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Course {
    /// From one side to the other at this height.
    At(f64),
    /// Through these pairs.
    Through(Vec<(f64, f64)>),
}

impl Chart {
    /// A chart with nothing in it yet.
    pub fn new(title: &str, x: Axis, y: Axis) -> Self {
        Self { title: title.to_owned(), x, y, series: Vec::new(), marks: Vec::new(), bounds: Vec::new() }
    }

    pub(super) fn write(&self, markup: &mut Markup) {
        let series: Vec<Drawn<'_>> = self.series.iter().map(|series| self.drawn(series)).collect();
        let bounds: Vec<Drawn<'_>> = self.bounds.iter().map(|line| self.drawn_bound(line)).collect();
        let marks: Vec<&Mark> = self.marks.iter().filter(|mark| self.x.drawable(mark.x).is_some()).collect();
        let xs = series.iter().chain(&bounds).flat_map(|drawn| &drawn.points).map(|point| point.0);
        let x = Span::new(&self.x, xs.chain(marks.iter().map(|mark| mark.x)), Fit::Tight);
        let heights = self.heights(&series, &bounds);
        let y = Span::new(&self.y, heights.iter().copied(), Fit::Round);
        let canvas = Canvas { left: LEFT, top: if marks.is_empty() { TOP } else { TOP + FLAG }, height: HEIGHT };
        let figure = Figure {
            title: &self.title,
            legend: self.legend(&bounds, &y),
            events: marks.iter().map(|mark| self.event(mark)).collect(),
            notes: notes(&series),
        };
        let description = format!("{}: {} against {}", self.title, self.y.title(), self.x.title());
        figure.write(markup, |markup| {
            canvas.image(markup, &description, |markup| {
                canvas.vertical_axis(markup, &self.y, &y);
                canvas.horizontal_axis(markup, &self.x, &x);
                write_flags(markup, canvas, &marks, &x);
                canvas.area(markup, |markup| {
                    let place = |(a, b): (f64, f64)| (x.place(a) * canvas.width(), (1.0 - y.place(b)) * HEIGHT);
                    for (index, bound) in bounds.iter().enumerate() {
                        bound.write_bound(markup, &self.bound_class(index), canvas.width(), place);
                    }
                    for (number, drawn) in series.iter().enumerate() {
                        drawn.write(markup, number, place);
                    }
                    if series.iter().all(|drawn| drawn.points.is_empty()) {
                        words(markup, "name", (canvas.width() / 2.0, HEIGHT / 2.0), "middle", "no values");
                    }
                });
            });
        });
    }

    fn drawn<'a>(&self, series: &'a Series) -> Drawn<'a> {
        let points = self.drawable(&series.points);
        let left_out = series.points.len() - points.len();
        Drawn {
            name: &series.name,
            shape: series.shape,
            given: points.len(),
            left_out,
            points: thin(&points),
            at: None,
        }
    }

    fn drawn_bound<'a>(&self, line: &'a Line) -> Drawn<'a> {
        let (points, at) = match &line.course {
            Course::At(height) => (Vec::new(), self.y.drawable(*height)),
            Course::Through(points) => (thin(&self.drawable(points)), None),
        };
        Drawn { name: &line.name, shape: Shape::Line, given: points.len(), left_out: 0, points, at }
    }

    fn drawable(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        points.iter().filter_map(|(a, b)| Some((self.x.drawable(*a)?, self.y.drawable(*b)?))).collect()
    }

    /// What the vertical axis has to show: all values, and bounds as long as the values do not shrink to nothing under them.
    fn heights(&self, series: &[Drawn<'_>], bounds: &[Drawn<'_>]) -> Vec<f64> {
        let mut heights: Vec<f64> = series.iter().flat_map(Drawn::heights).collect();
        let highest = heights.iter().copied().fold(0.0, f64::max);
        let is_near = |height: &f64| highest == 0.0 || *height <= highest * BOUND_REACH;
        heights.extend(bounds.iter().flat_map(Drawn::heights).filter(is_near));
        heights
    }

    fn legend(&self, bounds: &[Drawn<'_>], y: &Span) -> Vec<Entry> {
        let series = self.series.iter().enumerate().map(|(number, series)| {
            let sign = if series.shape == Shape::Points { Sign::Marks(number) } else { Sign::Line(number) };
            Entry { sign, name: series.name.clone() }
        });
        let bounds = bounds.iter().enumerate().map(|(index, bound)| {
            let lowest = bound.heights().fold(f64::INFINITY, f64::min);
            let mut name = bound.name.to_owned();
            if lowest.is_finite() && y.place(lowest) > 1.0 {
                let _ = write!(name, " (above the drawing, from {} {})", number::alone(lowest), self.y.unit);
            }
            Entry { sign: Sign::Bound(self.bound_class(index)), name }
        });
        series.chain(bounds).collect()
    }

    fn bound_class(&self, index: usize) -> String {
        let owner = self.bounds[index].series.as_ref();
        let owner = owner.and_then(|name| self.series.iter().position(|series| series.name == *name));
        owner.map_or_else(|| format!("bound d{}", index % DASHES), |number| format!("bound d0 {}", colour(number)))
    }

    fn event(&self, mark: &Mark) -> String {
        format!("{} {}: {}", number::alone(mark.x), self.x.unit, mark.text)
    }
}

impl Series {
    /// Pairs joined by straight lines.
    pub fn line(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), shape: Shape::Line, points }
    }

    /// Pairs whose values hold until the next, as those of a cumulative distribution.
    pub fn steps(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { shape: Shape::Steps, ..Self::line(name, points) }
    }

    /// Pairs that are not joined.
    pub fn points(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { shape: Shape::Points, ..Self::line(name, points) }
    }

    /// The cumulative distribution of values: which share of them, 0 to 1, is at most so much.
    pub fn distribution(name: &str, mut values: Vec<f64>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len() as f64;
        let start = values.first().map(|first| (*first, 0.0));
        let shares = (1..).zip(&values).map(|(rank, value)| (*value, f64::from(rank) / count));
        Self::steps(name, start.into_iter().chain(shares).collect())
    }
}

impl Line {
    /// A line from one side to the other.
    pub fn horizontal(name: &str, y: f64) -> Self {
        Self { name: name.to_owned(), course: Course::At(y), series: None }
    }

    /// A line through these pairs.
    pub fn through(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { course: Course::Through(points), ..Self::horizontal(name, 0.0) }
    }

    /// The same in the colour of the series of that name.
    #[must_use]
    pub fn of(self, series: &str) -> Self {
        Self { series: Some(series.to_owned()), ..self }
    }
}

/// Height of the area.
const HEIGHT: f64 = 250.0;
/// Height of the flags of events.
const FLAG: f64 = 20.0;
/// Series of no more points than these have a mark on each.
const MARKED_EACH_MAX: usize = 40;
/// Longer ones have as many, so that they can be told apart.
const MARKED_OF_LONG: usize = 7;
/// Lines of more points are thin.
const DENSE: usize = 200;
/// A bound that is as many times higher than all values is left above the drawing.
const BOUND_REACH: f64 = 4.0;
/// Ways to dash a line.
const DASHES: usize = 4;

/// What of a series or a bound is drawn.
struct Drawn<'a> {
    name: &'a str,
    shape: Shape,
    /// How many points could be drawn.
    given: usize,
    /// How many could not.
    left_out: usize,
    points: Vec<(f64, f64)>,
    /// A height from one side to the other.
    at: Option<f64>,
}

impl Drawn<'_> {
    fn heights(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|point| point.1).chain(self.at)
    }

    fn write(&self, markup: &mut Markup, number: usize, place: impl Fn((f64, f64)) -> (f64, f64)) {
        let places: Vec<_> = self.points.iter().map(|point| place(*point)).collect();
        if self.shape == Shape::Points {
            return mark(markup, number, &places);
        }
        // A thin line where it goes up and down at every step: what lies beneath shows through.
        let dense = if self.shape == Shape::Line && places.len() > DENSE { " dense" } else { "" };
        let class = format!("line {}{dense}", colour(number));
        markup.element("path", &[("class", &class), ("d", &path(&places, self.shape))], |markup| {
            markup.phrase("title", &[], self.name);
        });
        let stride = if places.len() <= MARKED_EACH_MAX { 1 } else { places.len() / MARKED_OF_LONG };
        // Not all series begin their marks at the same place: equal curves still show both.
        let first = if stride == 1 { 0 } else { (stride / 2 + number * stride / 5) % stride };
        let marked: Vec<_> = places.into_iter().skip(first).step_by(stride).collect();
        mark(markup, number, &marked);
    }

    fn write_bound(&self, markup: &mut Markup, class: &str, width: f64, place: impl Fn((f64, f64)) -> (f64, f64)) {
        if let Some(height) = self.at {
            let (_, height) = place((0.0, height));
            straight(markup, class, (0.0, height), (width, height));
        } else if !self.points.is_empty() {
            let places: Vec<_> = self.points.iter().map(|point| place(*point)).collect();
            markup.leaf("path", &[("class", class), ("d", &path(&places, Shape::Line))]);
        }
    }
}

fn path(places: &[(f64, f64)], shape: Shape) -> String {
    let mut path = String::new();
    for (index, (x, y)) in places.iter().enumerate() {
        // Writing to a String does not fail.
        let _ = match (index, shape) {
            (0, _) => write!(path, "M{x:.1} {y:.1}"),
            (_, Shape::Steps) => write!(path, "H{x:.1}V{y:.1}"),
            _ => write!(path, "L{x:.1} {y:.1}"),
        };
    }
    path
}

fn write_flags(markup: &mut Markup, canvas: Canvas, marks: &[&Mark], x: &Span) {
    for (number, mark) in (1..).zip(marks) {
        let place = x.place(mark.x);
        if !(0.0..=1.0).contains(&place) {
            continue;
        }
        let across = canvas.left + place * canvas.width();
        straight(markup, "event", (across, canvas.top), (across, canvas.top + canvas.height));
        // Neighbours stand at two heights, so that flags close together can be read.
        let height = canvas.top - if number % 2 == 1 { 4.0 } else { 14.0 };
        words(markup, "flag", (across, height), "middle", &number.to_string());
    }
}

fn notes(series: &[Drawn<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let longest = series.iter().map(|drawn| drawn.given).max().unwrap_or_default();
    if longest > POINTS_MAX {
        let given = number::stepped(longest as f64, 1.0, 0.0);
        notes.push(format!("Long series (up to {given} points) are drawn with fewer; peaks, dips and ends are kept."));
    }
    let left_out: usize = series.iter().map(|drawn| drawn.left_out).sum();
    if left_out > 0 {
        notes
            .push(format!("Left out: {left_out} of the points (not finite, or not above zero on a logarithmic axis)."));
    }
    notes
}
