//! Fewer points for the same picture.

/// A drawing a few hundred units wide shows no more points than these.
pub(super) const POINTS_MAX: usize = 1_000;
/// Of each run of neighbours: the first, the last, and the extremes of both axes.
const KEPT_OF_RUN: usize = 6;

/// The points themselves if they are few. Otherwise about [`POINTS_MAX`] of them, in their order, such that no peak, no
/// dip and no end is lost. The points are finite.
pub(super) fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let run_length = points.len().div_ceil(POINTS_MAX / KEPT_OF_RUN);
    points.chunks(run_length).flat_map(|run| indices_kept(run).into_iter().map(|index| run[index])).collect()
}

fn indices_kept(run: &[(f64, f64)]) -> Vec<usize> {
    let mut kept = vec![0, run.len() - 1];
    for value in [|point: &(f64, f64)| point.0, |point: &(f64, f64)| point.1] {
        let order = |a: &usize, b: &usize| value(&run[*a]).total_cmp(&value(&run[*b]));
        kept.extend((0..run.len()).min_by(order));
        kept.extend((0..run.len()).max_by(order));
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::{POINTS_MAX, thin};

    #[test]
    fn few_points_stay_as_they_are() {
        let points: Vec<_> = (0..POINTS_MAX).map(|i| (i as f64, 0.0)).collect();
        assert_eq!(thin(&points), points);
        assert!(thin(&[]).is_empty());
    }

    #[test]
    fn of_many_points_no_peak_no_dip_and_no_end_is_lost() {
        let mut points: Vec<_> = (0..100_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[33_333].1 = 900.0;
        points[70_001].1 = -900.0;
        let kept = thin(&points);
        assert!(kept.len() <= POINTS_MAX && kept.len() > POINTS_MAX / 4, "{}", kept.len());
        assert!([0, 33_333, 70_001, 99_999].iter().all(|index| kept.contains(&points[*index])));
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0), "the order is the one given");
    }

    #[test]
    fn a_curve_that_turns_back_keeps_its_sides() {
        let points: Vec<_> = (0..5_000).map(|i| ((f64::from(i) / 800.0).cos(), f64::from(i))).collect();
        let rightmost = |points: &[(f64, f64)]| points.iter().map(|point| point.0).fold(f64::MIN, f64::max);
        assert_eq!(rightmost(&thin(&points)), rightmost(&points));
    }
}
