//! The text format: families with their help and kind, samples with their labels.

use std::fmt::{Display, Write as _};

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
}
