//! What is said of many latencies.

/// The latency that this share of them does not exceed (0 to 1), by the nearest rank; not a number if there are none.
#[must_use]
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).or(sorted.last()).copied().unwrap_or(f64::NAN)
}

/// The median.
#[must_use]
pub fn p50(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// Median and a higher percentile, as tables show them.
#[must_use]
pub fn pair(values: &[f64], high: f64) -> String {
    if values.is_empty() { "-".to_owned() } else { format!("{:.0}/{:.0}", p50(values), percentile(values, high)) }
}

/// By how many hundredths `value` is above `reference`.
#[must_use]
pub fn percent_above(value: f64, reference: f64) -> f64 {
    100.0 * (value / reference - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!((p50(&values), percentile(&values, 0.9), percentile(&values, 0.0)), (3.0, 5.0, 1.0));
        assert_eq!((pair(&values, 0.9), pair(&[], 0.9)), ("3/5".to_owned(), "-".to_owned()));
        assert!(p50(&[]).is_nan());
    }
}
