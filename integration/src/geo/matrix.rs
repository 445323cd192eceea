//! How far sites are from each other, as the laboratory counts: in milliseconds and fractions. Tables and files are those of
//! [`orderer_node::dev::wan`], so that one file serves real processes and the laboratory.

use anyhow::ensure;
use orderer_node::dev::wan::matrix as wide_area;

/// The number of a site: its place in the matrix.
pub type Site = usize;

/// Round trips between sites, in both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    names: Vec<String>,
    /// Row by row: from the site of the row to that of the column.
    trips: Vec<RoundTrip>,
}

/// More sites than these are more deployments than the planner could try.
pub const SITES_MAX: usize = 16;

/// A measured round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoundTrip {
    /// Its mean, in milliseconds.
    pub mean: f64,
    /// Its standard deviation, in milliseconds.
    pub deviation: f64,
}

impl Matrix {
    /// Five regions of Amazon EC2 as the thesis measured them (Sousa 2018, table 5.7).
    #[must_use]
    pub fn table_5_7() -> Self {
        wide_area::Matrix::table_5_7().into()
    }

    /// The matrix of a built-in name, or that of a CSV file ([`wide_area`] describes its form).
    ///
    /// # Errors
    /// The file cannot be read, or the line and what is wrong with it; or there are too many sites.
    pub fn find(name: &str) -> anyhow::Result<Self> {
        let matrix = Self::from(wide_area::Matrix::find(name)?);
        ensure!(
            matrix.len() <= SITES_MAX,
            "{name}: {} sites, of which the planner could not try all; at most {SITES_MAX}",
            matrix.len()
        );
        Ok(matrix)
    }

    /// What nodes at these sites should be told that a decision takes (`decision_time_ms`).
    #[must_use]
    pub fn decision_time_ms(&self, sites: &[Site]) -> u64 {
        let ways = sites.iter().flat_map(|&from| sites.iter().map(move |&to| self.one_way(from, to)));
        (ways.fold(0.0, f64::max) * f64::from(wide_area::WAYS_PER_DECISION)).ceil() as u64
    }

    /// The same with one more site, so far beyond another one that everything it hears passes that one.
    #[must_use]
    pub fn with_site_beyond(&self, name: &str, near: Site, beyond: RoundTrip) -> Self {
        let n = self.len();
        let mut names = self.names.clone();
        names.push(name.to_owned());
        let add = |trip: RoundTrip| RoundTrip {
            mean: trip.mean + beyond.mean,
            deviation: trip.deviation.hypot(beyond.deviation),
        };
        let mut trips = Vec::new();
        for from in 0..n {
            trips.extend((0..n).map(|to| self.trip(from, to)));
            trips.push(add(self.trip(from, near)));
        }
        trips.extend((0..n).map(|to| add(self.trip(near, to))));
        trips.push(RoundTrip::default());
        Self { names, trips }
    }

    /// How many sites there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Is there no site?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All sites, in order.
    pub fn sites(&self) -> std::ops::Range<Site> {
        0..self.len()
    }

    /// What a site is called.
    #[must_use]
    pub fn name(&self, site: Site) -> &str {
        &self.names[site]
    }

    /// The site of this name, whatever the case of its letters.
    #[must_use]
    pub fn site(&self, name: &str) -> Option<Site> {
        self.names.iter().position(|known| known.eq_ignore_ascii_case(name.trim()))
    }

    /// The round trip as it was measured from one site to another.
    #[must_use]
    pub fn trip(&self, from: Site, to: Site) -> RoundTrip {
        self.trips[from * self.len() + to]
    }

    /// One way between two sites, in milliseconds: a quarter of what both round trips are together.
    #[must_use]
    pub fn one_way(&self, from: Site, to: Site) -> f64 {
        if from == to { 0.0 } else { (self.trip(from, to).mean + self.trip(to, from).mean) / 4.0 }
    }

    /// The standard deviation of one way, in milliseconds, if both ways of a round trip vary alike and each by itself.
    #[must_use]
    pub fn one_way_deviation(&self, from: Site, to: Site) -> f64 {
        let mean = (self.trip(from, to).deviation + self.trip(to, from).deviation) / 2.0;
        if from == to { 0.0 } else { mean / std::f64::consts::SQRT_2 }
    }
}

impl From<wide_area::Matrix> for Matrix {
    fn from(matrix: wide_area::Matrix) -> Self {
        let names = matrix.sites().to_vec();
        let pairs = (0..names.len()).flat_map(|from| (0..names.len()).map(move |to| (from, to)));
        let trips = pairs.map(|(from, to)| matrix.round_trip(from, to));
        let trips = trips.map(|trip| RoundTrip { mean: trip.mean_ms, deviation: trip.deviation_ms }).collect();
        Self { names, trips }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_way_is_half_the_mean_of_both_directions() {
        let matrix = Matrix::table_5_7();
        let [ireland, sao_paulo] = ["Ireland", "sao paulo"].map(|name| matrix.site(name).unwrap());
        assert_eq!(matrix.one_way(ireland, sao_paulo), 104.75);
        assert_eq!(matrix.one_way(sao_paulo, ireland), 104.75);
        assert_eq!(matrix.one_way(ireland, ireland), 0.0);
    }

    #[test]
    fn a_file_may_say_each_distance_once_and_with_its_deviation() {
        let text = "# two sites\nsite,A,B\nA,,10/2\n\nB,,0\n";
        let matrix = Matrix::from(text.parse::<wide_area::Matrix>().unwrap());
        assert_eq!(matrix.trip(0, 1), RoundTrip { mean: 10.0, deviation: 2.0 });
        assert_eq!(matrix.trip(1, 0), matrix.trip(0, 1));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.csv");
        let said = |text: &str| {
            std::fs::write(&file, text).unwrap();
            format!("{:#}", Matrix::find(file.to_str().unwrap()).unwrap_err())
        };
        assert!(said("").ends_with("no line with the names of the sites"));
        assert!(said("A,B\n").contains("line 1: the first line names the sites"));
        assert!(said("site,A,a\n").contains("line 1: site \"a\" is empty or there twice"));
        assert!(said("site,A,B\nA,0\n").ends_with("line 2: 1 round trips for 2 sites"));
        assert!(said("site,A,B\n\nA,0,x\n").contains("line 3: \"x\" is not a time in ms"));
        assert!(said("site,A,B\nA,0,-1\n").contains("line 2: \"-1\" is not a time in ms"));
        assert!(said("site,A,B\nC,0,1\n").ends_with("line 2: \"C\" is no site of the first line"));
        assert!(said("site,A,B\nA,0,1\nA,0,1\n").ends_with("line 3: A has a line already"));
        assert!(said("site,A,B\nA,0,\nB,,0\n").ends_with("no round trip between A and B"));
        let names: Vec<String> = (0..=SITES_MAX).map(|site| format!("s{site}")).collect();
        let rows: String = names.iter().map(|name| format!("{name}{}\n", ",1".repeat(names.len()))).collect();
        assert!(said(&format!("site,{}\n{rows}", names.join(","))).contains("17 sites"));
    }

    #[test]
    fn what_a_decision_takes_follows_from_the_longest_way() {
        let matrix = Matrix::table_5_7();
        let all: Vec<Site> = matrix.sites().collect();
        assert_eq!((matrix.decision_time_ms(&all), matrix.decision_time_ms(&[2, 4])), (718, 141));
    }

    #[test]
    fn a_site_beyond_another_is_as_far_from_everything_as_that_one_and_a_bit() {
        let matrix = Matrix::table_5_7().with_site_beyond("Canada", 4, RoundTrip { mean: 15.0, deviation: 0.0 });
        let canada = matrix.site("Canada").unwrap();
        assert_eq!(matrix.one_way(canada, 4), 7.5);
        assert_eq!(matrix.one_way(canada, 2), matrix.one_way(4, 2) + 7.5);
        assert_eq!(matrix.one_way(2, canada), matrix.one_way(canada, 2));
    }
}
