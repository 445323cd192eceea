//! The piece of an axis that is drawn: where it begins and ends, and where its ticks are.

use super::axis::{Axis, Scale};
use super::number;

/// From where to where an axis is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    scale: Scale,
    from: f64,
    to: f64,
    /// Values with a line of the grid and a label.
    pub(super) ticks: Vec<f64>,
    /// Values with a faint line only.
    pub(super) lesser_ticks: Vec<f64>,
    step: f64,
}

/// How closely a span follows its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// From the first to the last: for time and what is chosen.
    Tight,
    /// Zero and a round number above: for what is measured, so that heights can be compared.
    Round,
}

impl Span {
    /// The span of values that are all drawable on the axis. With no value there is still an axis.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>, fit: Fit) -> Self {
        let found = values.fold(None, |found: Option<(f64, f64)>, value| match found {
            None => Some((value, value)),
            Some((low, high)) => Some((low.min(value), high.max(value))),
        });
        let from = axis.from.and_then(|value| axis.drawable(value));
        let to = axis.to.and_then(|value| axis.drawable(value));
        match axis.scale {
            Scale::Linear => Self::linear(found.unwrap_or((0.0, 1.0)), (from, to), fit),
            Scale::Log10 => Self::log10(found.unwrap_or((1.0, 10.0)), (from, to)),
        }
    }

    fn linear((mut low, mut high): (f64, f64), (from, to): (Option<f64>, Option<f64>), fit: Fit) -> Self {
        let is_near_zero = low >= 0.0 && low < high * ZERO_IS_NEAR;
        if is_near_zero || fit == Fit::Round {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        let (mut low, mut high) = ordered(from.unwrap_or(low), to.unwrap_or(high)).unwrap_or((low, high));
        if (high - low) <= high.abs().max(low.abs()) * 1e-9 {
            let room = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
            (low, high) = if low == 0.0 && fit == Fit::Round { (0.0, room) } else { (low - room, high + room) };
        }
        let step = round_step((high - low) / STEPS);
        if fit == Fit::Round {
            low = from.unwrap_or((low / step).floor() * step).min(low);
            high = to.unwrap_or((high / step).ceil() * step).max(high);
        }
        let first = (low / step - ROUNDING).ceil();
        let last = (high / step + ROUNDING).floor();
        let ticks = (0..TICKS_MAX).map(|index| first + index as f64).take_while(|index| *index <= last);
        let ticks = ticks.map(|index| index * step).collect();
        Self { scale: Scale::Linear, from: low, to: high, ticks, lesser_ticks: Vec::new(), step }
    }

    fn log10((low, high): (f64, f64), (from, to): (Option<f64>, Option<f64>)) -> Self {
        let (low, high) = ordered(from.unwrap_or(low), to.unwrap_or(high)).unwrap_or((low, high));
        let (mut first, mut last) = (rung_at_most(low), rung_at_least(high));
        if first == last {
            (first, last) = (first - 1, last + 1);
        }
        let rungs = first..=last;
        let (mut ticks, mut lesser_ticks) = (Vec::new(), Vec::new());
        let decades = whole(last - first, RUNGS_PER_DECADE);
        let stride = whole(decades, DECADES_LABELLED).max(1) * RUNGS_PER_DECADE;
        for rung in rungs {
            let has_label = decades <= DECADES_WITH_ALL || rung.rem_euclid(stride) == 0;
            if has_label { &mut ticks } else { &mut lesser_ticks }.push(rung_value(rung));
        }
        Self { scale: Scale::Log10, from: rung_value(first), to: rung_value(last), ticks, lesser_ticks, step: 0.0 }
    }

    /// Where a value is: 0 at the beginning, 1 at the end, beyond for what lies outside.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = |value: f64, from: f64, to: f64| (value - from) / (to - from);
        match self.scale {
            Scale::Linear => place(value, self.from, self.to),
            Scale::Log10 => place(value.log10(), self.from.log10(), self.to.log10()),
        }
    }

    /// The label of a tick.
    pub(super) fn label(&self, tick: f64) -> String {
        match self.scale {
            Scale::Linear => number::stepped(tick, self.step, self.from.abs().max(self.to.abs())),
            Scale::Log10 => number::alone(tick),
        }
    }
}

/// About as many steps along an axis.
const STEPS: f64 = 5.0;
/// Never more ticks than these, whatever rounding does.
const TICKS_MAX: usize = 20;
/// Of a step: a tick so near an end is at the end.
const ROUNDING: f64 = 1e-6;
/// Of the largest value: an axis whose smallest is below shows zero.
const ZERO_IS_NEAR: f64 = 0.3;

/// The smallest of 1, 2, 5, 10, 20, ... (and 0.5, 0.2, ...) that is no smaller.
fn round_step(step: f64) -> f64 {
    rung_value(rung_at_least(step))
}

/// Rungs of a ladder without end: ..., 0.5, 1, 2, 5, 10, ...; 1 is rung 0.
const RUNGS_PER_DECADE: i32 = 3;
/// With no more decades than these, every rung has a label.
const DECADES_WITH_ALL: i32 = 2;
/// With more decades than these, some have no label.
const DECADES_LABELLED: i32 = 8;

fn rung_value(rung: i32) -> f64 {
    let decade = 10_f64.powi(rung.div_euclid(RUNGS_PER_DECADE));
    decade * [1.0, 2.0, 5.0][rung.rem_euclid(RUNGS_PER_DECADE) as usize]
}

fn rung_at_most(value: f64) -> i32 {
    let first = value.log10().floor() as i32 * RUNGS_PER_DECADE - 1;
    (first..first + 6).take_while(|rung| rung_value(*rung) <= value * (1.0 + 1e-9)).last().unwrap_or(first)
}

fn rung_at_least(value: f64) -> i32 {
    let rung = rung_at_most(value);
    if rung_value(rung) >= value * (1.0 - 1e-9) { rung } else { rung + 1 }
}

/// How many pieces of a size hold a length of zero or more.
fn whole(length: i32, size: i32) -> i32 {
    (length + size - 1) / size
}

fn ordered(low: f64, high: f64) -> Option<(f64, f64)> {
    (low <= high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::super::axis::Axis;
    use super::{Fit, Span};

    fn labels(axis: &Axis, values: &[f64], fit: Fit) -> Vec<String> {
        let span = Span::new(axis, values.iter().copied(), fit);
        span.ticks.iter().map(|tick| span.label(*tick)).collect()
    }

    fn linear(values: &[f64], fit: Fit) -> Vec<String> {
        labels(&Axis::linear("x", "s"), values, fit)
    }

    #[test]
    fn ticks_are_one_two_or_five_apart() {
        assert_eq!(linear(&[3.0, 97.0], Fit::Round), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(linear(&[0.1, 0.42], Fit::Round), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(linear(&[11_900.0], Fit::Round), ["0", "5,000", "10,000", "15,000"]);
        assert_eq!(linear(&[-30.0, 30.0], Fit::Round), ["\u{2212}40", "\u{2212}20", "0", "20", "40"]);
    }

    #[test]
    fn a_tight_axis_ends_where_the_values_do() {
        assert_eq!(linear(&[0.4, 60.02], Fit::Tight), ["0", "20", "40", "60"]);
        let span = Span::new(&Axis::linear("t", "s"), [100.0, 104.0].into_iter(), Fit::Tight);
        assert_eq!((span.place(100.0), span.place(104.0)), (0.0, 1.0));
    }

    #[test]
    fn a_logarithmic_axis_begins_and_ends_at_a_rung() {
        let log = Axis::log10("Latency", "ms");
        assert_eq!(labels(&log, &[0.3, 7.0], Fit::Tight), ["0.2", "0.5", "1", "2", "5", "10"]);
        assert_eq!(labels(&log, &[1.0, 9_000.0], Fit::Tight), ["1", "10", "100", "1,000", "10,000"]);
        let span = Span::new(&log, [1.0, 100.0].into_iter(), Fit::Tight);
        assert!((span.place(10.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn many_decades_get_no_more_labels_than_there_is_room_for() {
        let labels = labels(&Axis::log10("x", "B"), &[1e-9, 1e9], Fit::Tight);
        assert!(labels.len() <= 9, "{labels:?}");
    }

    #[test]
    fn one_value_or_none_is_still_an_axis() {
        assert_eq!(linear(&[], Fit::Round), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(linear(&[0.0], Fit::Round), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        for axis in [Axis::linear("x", "s"), Axis::log10("x", "s")] {
            for value in [5.0, 1e-15, 1e15, 0.1 + 0.2] {
                let span = Span::new(&axis, [value].into_iter(), Fit::Tight);
                assert!((0.0..=1.0).contains(&span.place(value)), "{axis:?} {value}");
                assert!((1..=20).contains(&span.ticks.len()), "{axis:?} {value}: {:?}", span.ticks);
            }
        }
    }

    #[test]
    fn limits_are_kept_unless_they_make_no_sense() {
        let between = |from, to| labels(&Axis::linear("x", "%").between(from, to), &[50.0], Fit::Round);
        assert_eq!(between(0.0, 100.0), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(between(100.0, 0.0), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(between(f64::NAN, f64::INFINITY), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(labels(&Axis::log10("x", "s").between(-1.0, 10.0), &[2.0], Fit::Tight), ["2", "5", "10"]);
    }
}
