//! Families with their help and kind, samples with their labels; and the text format of Prometheus.

use std::fmt::{Display, Write as _};

use frontend_shim::traffic::{BOUNDS_MICROS, HistogramSnapshot};

/// Families, in the order in which they were added. Each is there once, with all its samples.
#[derive(Default)]
pub(in crate::operations) struct Families(Vec<Family>);

/// One family.
pub(in crate::operations) struct Family {
    /// Its name, in the form of Prometheus.
    pub(in crate::operations) name: String,
    /// What its samples are.
    pub(in crate::operations) kind: Kind,
    help: String,
    /// The samples, each with what its name has behind that of the family.
    pub(in crate::operations) samples: Vec<(&'static str, Sample)>,
}

/// What the samples of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operations) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows while the node runs.
    Counter,
    /// Samples end in [`SUM`] and [`COUNT`].
    Summary,
    /// There are samples that end in [`BUCKET`] besides.
    Histogram,
}

/// One sample: labels and a value.
pub(in crate::operations) struct Sample {
    /// Names and values, as they are.
    pub(in crate::operations) labels: Vec<(String, String)>,
    /// A number.
    pub(in crate::operations) value: String,
}

/// Behind the name of a family: the sum of everything seen.
pub(in crate::operations) const SUM: &str = "_sum";
/// Behind the name of a family: how often something was seen.
pub(in crate::operations) const COUNT: &str = "_count";
const BUCKET: &str = "_bucket";

impl Sample {
    /// A sample without labels yet.
    pub(super) fn new(value: impl Display) -> Self {
        Self { labels: Vec::new(), value: value.to_string() }
    }

    /// A sample that says yes or no.
    pub(super) fn holds(value: bool) -> Self {
        Self::new(u8::from(value))
    }

    /// Adds a label. The value may hold any character.
    pub(super) fn label(mut self, name: &str, value: impl Display) -> Self {
        self.labels.push((name.to_owned(), value.to_string()));
        self
    }

    /// The labels as Prometheus reads them.
    fn labels_text(&self) -> String {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let each = self.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        each.collect::<Vec<_>>().join(",")
    }
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Summary => "summary",
            Self::Histogram => "histogram",
        }
    }
}

impl Families {
    /// A value that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) {
        self.add(Kind::Gauge, name, help, samples.into_iter().map(|sample| ("", sample)));
    }

    /// A value that only grows while the node runs.
    pub(super) fn counter(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) {
        self.add(Kind::Counter, name, help, samples.into_iter().map(|sample| ("", sample)));
    }

    /// How often something happened, and how many seconds that took in all; without quantiles.
    pub(super) fn summary(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Sample, Sample)>) {
        let (sums, counts): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
        let sums = sums.into_iter().map(|sample| (SUM, sample));
        self.add(Kind::Summary, name, help, sums.chain(counts.into_iter().map(|sample| (COUNT, sample))));
    }

    /// How often something took how long, in seconds.
    pub(super) fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Sample, &'a HistogramSnapshot)>,
    ) {
        let samples = samples.into_iter().flat_map(|(labelled, seen)| {
            let with = |value: String| Sample { labels: labelled.labels.clone(), value };
            let bounds = BOUNDS_MICROS.iter().map(|micros| (*micros as f64 / 1e6).to_string());
            let buckets = bounds.zip(seen.cumulative).chain([("+Inf".to_owned(), seen.count)]);
            let buckets = buckets.map(|(bound, count)| (BUCKET, with(count.to_string()).label("le", bound)));
            let mut samples: Vec<_> = buckets.collect();
            samples.push((SUM, with(seen.sum_s.to_string())));
            samples.push((COUNT, with(seen.count.to_string())));
            samples
        });
        self.add(Kind::Histogram, name, help, samples);
    }

    /// All families.
    pub(in crate::operations) fn list(&self) -> &[Family] {
        &self.0
    }

    /// All families as Prometheus reads them.
    pub(super) fn into_text(self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, samples } in self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
            for (end, sample) in samples {
                let _ = match sample.labels.is_empty() {
                    true => writeln!(text, "{name}{end} {}", sample.value),
                    false => writeln!(text, "{name}{end}{{{}}} {}", sample.labels_text(), sample.value),
                };
            }
        }
        text
    }

    fn add(&mut self, kind: Kind, name: &str, help: &str, samples: impl IntoIterator<Item = (&'static str, Sample)>) {
        let (name, help) = (name.to_owned(), help.to_owned());
        self.0.push(Family { name, kind, help, samples: samples.into_iter().collect() });
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
