//! The text format: families with their help and kind, samples with their labels.

use std::fmt::{Display, Write as _};

use frontend_shim::traffic::{BOUNDS_MICROS, HistogramSnapshot};

/// Families that were written so far. Each is written once, with all its samples.
#[derive(Default)]
pub(super) struct Families(String);

/// One sample: labels and a value.
pub(super) struct Sample {
    labels: String,
    value: String,
}

impl Sample {
    /// A sample without labels yet.
    pub(super) fn new(value: impl Display) -> Self {
        Self { labels: String::new(), value: value.to_string() }
    }

    /// A sample that says yes or no.
    pub(super) fn holds(value: bool) -> Self {
        Self::new(u8::from(value))
    }

    /// Adds a label. The value may hold any character.
    pub(super) fn label(mut self, name: &str, value: impl Display) -> Self {
        let separator = if self.labels.is_empty() { "" } else { "," };
        let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(self.labels, "{separator}{name}=\"{value}\"");
        self
    }
}

impl Families {
    /// A value that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) {
        self.family(name, "gauge", help);
        self.samples(name, samples);
    }

    /// A value that only grows while the node runs.
    pub(super) fn counter(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) {
        self.family(name, "counter", help);
        self.samples(name, samples);
    }

    /// How often something happened, and how many seconds that took in all; without quantiles.
    pub(super) fn summary(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Sample, Sample)>) {
        self.family(name, "summary", help);
        let (sums, counts): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
        self.samples(&format!("{name}_sum"), sums);
        self.samples(&format!("{name}_count"), counts);
    }

    /// How often something took how long, in seconds.
    pub(super) fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Sample, &'a HistogramSnapshot)>,
    ) {
        self.family(name, "histogram", help);
        for (labelled, seen) in samples {
            let with = |value: String| Sample { labels: labelled.labels.clone(), value };
            let bounds = BOUNDS_MICROS.iter().map(|micros| (*micros as f64 / 1e6).to_string());
            let buckets = bounds.zip(seen.cumulative).chain([("+Inf".to_owned(), seen.count)]);
            let buckets = buckets.map(|(bound, count)| with(count.to_string()).label("le", bound));
            self.samples(&format!("{name}_bucket"), buckets);
            self.samples(&format!("{name}_sum"), [with(seen.sum_s.to_string())]);
            self.samples(&format!("{name}_count"), [with(seen.count.to_string())]);
        }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn samples(&mut self, name: &str, samples: impl IntoIterator<Item = Sample>) {
        for Sample { labels, value } in samples {
            let _ = match labels.is_empty() {
                true => writeln!(self.0, "{name} {value}"),
                false => writeln!(self.0, "{name}{{{labels}}} {value}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut families = Families::default();
        families.gauge("height", "Blocks.", [Sample::new(7).label("channel", "a").label("b", "x\"y\\z\n")]);
        families.counter("seen", "Seen.", [Sample::holds(true)]);
        families.summary("took_seconds", "Time.", [(Sample::new(1.5), Sample::new(3))]);
        let expected = "# HELP height Blocks.\n# TYPE height gauge\nheight{channel=\"a\",b=\"x\\\"y\\\\z\\n\"} 7\n\
                        # HELP seen Seen.\n# TYPE seen counter\nseen 1\n\
                        # HELP took_seconds Time.\n# TYPE took_seconds summary\ntook_seconds_sum 1.5\ntook_seconds_count 3\n";
        assert_eq!(families.into_text(), expected);
    }

    #[test]
    fn buckets_of_a_histogram_count_what_is_not_longer_and_the_last_one_everything() {
        let mut cumulative = [2; BOUNDS_MICROS.len()];
        cumulative[0] = 1;
        let seen = HistogramSnapshot { cumulative, count: 3, sum_s: 30.5 };
        let mut families = Families::default();
        families.histogram("took", "Time.", [(Sample::new("").label("channel", "a"), &seen)]);
        let text = families.into_text();
        assert!(
            text.contains("took_bucket{channel=\"a\",le=\"0.005\"} 1\ntook_bucket{channel=\"a\",le=\"0.01\"} 2\n"),
            "{text}"
        );
        let end =
            "took_bucket{channel=\"a\",le=\"+Inf\"} 3\ntook_sum{channel=\"a\"} 30.5\ntook_count{channel=\"a\"} 3\n";
        assert!(text.ends_with(end), "{text}");
    }
}
