//! Reading what `/metrics` answers, as strictly as its format is described.

use std::collections::{BTreeMap, BTreeSet};

/// The kinds of families and the values of samples.
pub struct Exposition {
    /// Kind by name of the family.
    pub families: BTreeMap<String, String>,
    /// Value by name with labels.
    pub samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// # Panics
    /// The text is not in the format, or something stands in it twice.
    pub fn parse(text: &str) -> Self {
        let (mut families, mut samples, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut current = String::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(help.ends_with('.') && helped.insert(name.to_owned()), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(
                    helped.contains(name) && ["gauge", "counter", "summary", "histogram"].contains(&kind),
                    "{line}"
                );
                assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is there twice");
                name.clone_into(&mut current);
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let name = series.split('{').next().unwrap();
                let is_part = ["_sum", "_count", "_bucket"].iter().any(|end| name.strip_suffix(end) == Some(&current));
                assert!(name == current || is_part, "{line} is not below its family");
                assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
                let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(samples.insert(series.to_owned(), value).is_none(), "{series} is there twice");
            }
        }
        Self { families, samples }
    }

    pub fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("{series} is missing in {:#?}", self.samples.keys()))
    }

    /// Every name that a query may use.
    pub fn names(&self) -> BTreeSet<String> {
        let of_family = |(name, kind): (&String, &String)| match kind.as_str() {
            "summary" => vec![format!("{name}_sum"), format!("{name}_count")],
            "histogram" => ["sum", "count", "bucket"].map(|part| format!("{name}_{part}")).to_vec(),
            _ => vec![name.clone()],
        };
        self.families.iter().flat_map(of_family).collect()
    }
}
