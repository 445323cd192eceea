//! What an axis means: its name, its unit, how values lie along it.

/// One axis of a drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What is measured, as "Latency".
    pub label: String,
    /// In what, as "ms" or "envelopes/s".
    pub unit: String,
    /// How values lie along it.
    pub scale: Scale,
    /// Where it begins, instead of where the values do.
    pub from: Option<f64>,
    /// Where it ends, instead of where the values do.
    pub to: Option<f64>,
}

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Equal distances are equal differences.
    #[default]
    Linear,
    /// Equal distances are equal ratios. Values of zero or less have no place.
    Log10,
}

impl Axis {
    /// An axis of differences. `unit` is a measure or the name of the things counted.
    pub fn linear(label: &str, unit: &str) -> Self {
        Self { label: label.to_owned(), unit: unit.to_owned(), scale: Scale::Linear, from: None, to: None }
    }

    /// An axis of ratios.
    pub fn log10(label: &str, unit: &str) -> Self {
        Self { scale: Scale::Log10, ..Self::linear(label, unit) }
    }

    /// The same from `from` to `to`, whatever the values are. Limits that make no sense on the scale are not kept.
    #[must_use]
    pub fn between(self, from: f64, to: f64) -> Self {
        Self { from: Some(from), to: Some(to), ..self }
    }

    /// Name and unit.
    pub(super) fn title(&self) -> String {
        let scale = if self.scale == Scale::Log10 { ", logarithmic" } else { "" };
        format!("{} ({}{scale})", self.label, self.unit)
    }

    /// The value as it can be drawn along this axis, or none.
    pub(super) fn drawable(&self, value: f64) -> Option<f64> {
        let value = if value.abs() < VALUE_MIN { 0.0 } else { value };
        let has_place = value.abs() <= VALUE_MAX && (self.scale == Scale::Linear || value > 0.0);
        has_place.then_some(value)
    }
}

/// Larger values (and what is not finite) are no measurements, and arithmetic with them loses its meaning.
const VALUE_MAX: f64 = 1e15;
/// Smaller values are zero.
const VALUE_MIN: f64 = 1e-15;
