//! What is said about several measurements of one thing, and about one thing against another.

use serde::{Deserialize, Serialize};

/// The middle and the ends of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// As many runs gave less as gave more.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of these; none if there are none. What is no number is left out.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { median, min, max })
    }
}

/// A straight line through points, by least squares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What y grows by when x grows by one.
    pub slope: f64,
    /// What y is where x is nothing.
    pub intercept: f64,
    /// How much of the differences in y the line explains, from 0 to 1.
    pub r_squared: f64,
}

impl Line {
    /// Through these; none if they have less than two different x.
    #[must_use]
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let (mean_x, mean_y) =
            (mean(points.iter().map(|(x, _)| *x), count), mean(points.iter().map(|(_, y)| *y), count));
        let sum =
            |term: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| term(x - mean_x, y - mean_y)).sum::<f64>();
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        if points.len() < 2 || xx <= 0.0 {
            return None;
        }
        let r_squared = if yy > 0.0 { xy * xy / (xx * yy) } else { 1.0 };
        let slope = xy / xx;
        Some(Self { slope, intercept: mean_y - slope * mean_x, r_squared })
    }

    /// Where the line is at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

fn mean(values: impl Iterator<Item = f64>, count: f64) -> f64 {
    values.sum::<f64>() / count
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(Spread::of(&[7.0]), Some(Spread { median: 7.0, min: 7.0, max: 7.0 }));
        assert_eq!(Spread::of(&[9.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 9.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0 }));
    }

    #[test]
    fn a_line_goes_through_its_points() {
        let line = Line::fit(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]).unwrap();
        assert!((line.slope - 2.0).abs() < 1e-9 && (line.intercept - 3.0).abs() < 1e-9);
        assert!((line.r_squared - 1.0).abs() < 1e-9 && (line.at(10.0) - 23.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_flat_has_no_slope_and_noise_is_not_explained() {
        let flat = Line::fit(&[(1.0, 5.0), (2.0, 5.0)]).unwrap();
        assert_eq!((flat.slope, flat.r_squared), (0.0, 1.0));
        let noise = Line::fit(&[(1.0, 1.0), (2.0, 9.0), (3.0, 1.0), (4.0, 9.0), (5.0, 1.0)]).unwrap();
        assert!(noise.r_squared < 0.1, "{noise:?}");
    }

    #[test]
    fn one_point_is_no_line() {
        for points in [&[][..], &[(1.0, 1.0)], &[(3.0, 1.0), (3.0, 2.0)]] {
            assert_eq!(Line::fit(points), None, "{points:?}");
        }
    }
}
