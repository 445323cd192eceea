//! How far sites are from each other: round trips with their deviations, built in or read from a file.

use std::collections::BTreeSet;

/// The number of a site: its place in the matrix.
pub type Site = usize;

/// Round trips between sites, in both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    names: Vec<String>,
    /// Row by row: from the site of the row to that of the column.
    trips: Vec<RoundTrip>,
}

/// A measured round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoundTrip {
    /// Its mean, in milliseconds.
    pub mean: f64,
    /// Its standard deviation, in milliseconds.
    pub deviation: f64,
}

/// Why a file is no matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// There is no line with names.
    #[error("the file is empty: its first line names the sites, as `site,Oregon,Ireland`")]
    Empty,
    /// The first line is not what it should be.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Something of a site is not said anywhere.
    #[error("nothing says how far {from} is from {to}")]
    Missing {
        /// One site.
        from: String,
        /// The other.
        to: String,
    },
}

/// More sites than these are no matrix that the planner could search.
pub const SITES_MAX: usize = 16;

/// A round trip around the world is a third of a second; this is a slip of the pen.
const ROUND_TRIP_MAX_MS: f64 = 10_000.0;

impl Matrix {
    /// Five regions of Amazon EC2 as the thesis measured them (Sousa 2018, table 5.7).
    #[must_use]
    pub fn table_5_7() -> Self {
        let trip = |(mean, deviation): (f64, f64)| RoundTrip { mean, deviation };
        Self { names: NAMES.map(str::to_owned).to_vec(), trips: TRIPS.into_iter().flatten().map(trip).collect() }
    }

    /// Reads comma-separated text: `site,A,B,...`, then a line for each site, its name first, then the round trip to each
    /// site in milliseconds, as `211` or with its standard deviation as `211/10`. An empty field says what the other
    /// direction says. Lines that are empty or begin with `#` say nothing.
    ///
    /// # Errors
    /// Names the line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MatrixError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let (first, head) = lines.next().ok_or(MatrixError::Empty)?;
        let names = parse_head(first, head)?;
        let n = names.len();
        let mut known: Vec<Option<RoundTrip>> = vec![None; n * n];
        let mut seen = BTreeSet::new();
        for (number, line) in lines {
            let wrong = |what: String| MatrixError::Line { line: number, what };
            let mut fields = line.split(',').map(str::trim);
            let name = fields.next().unwrap_or_default();
            let row = names.iter().position(|known| known == name);
            let row = row.ok_or_else(|| wrong(format!("`{name}` is no site of the first line")))?;
            if !seen.insert(row) {
                return Err(wrong(format!("{name} has a line already")));
            }
            let fields: Vec<&str> = fields.collect();
            if fields.len() != n {
                return Err(wrong(format!("{} round trips for {n} sites", fields.len())));
            }
            for (column, field) in fields.into_iter().enumerate().filter(|(column, _)| *column != row) {
                let parsed = parse_field(field);
                known[row * n + column] = parsed.map_err(|what| wrong(format!("to {}: {what}", names[column])))?;
            }
        }
        let mut trips = Vec::with_capacity(n * n);
        for (row, column) in (0..n).flat_map(|row| (0..n).map(move |column| (row, column))) {
            let said = known[row * n + column].or(known[column * n + row]);
            trips.push(match said {
                _ if row == column => RoundTrip::default(),
                Some(trip) => trip,
                None => return Err(MatrixError::Missing { from: names[row].clone(), to: names[column].clone() }),
            });
        }
        Ok(Self { names, trips })
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

fn parse_head(line: usize, head: &str) -> Result<Vec<String>, MatrixError> {
    let wrong = |what: String| MatrixError::Line { line, what };
    let mut fields = head.split(',').map(str::trim);
    if fields.next() != Some("site") {
        return Err(wrong("the first line names the sites, as `site,Oregon,Ireland`".to_owned()));
    }
    let names: Vec<String> = fields.map(str::to_owned).collect();
    if names.is_empty() || names.len() > SITES_MAX {
        return Err(wrong(format!("{} sites are named, of 1 to {SITES_MAX}", names.len())));
    }
    if names.iter().any(String::is_empty) {
        return Err(wrong("a site has no name".to_owned()));
    }
    let distinct: BTreeSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    if distinct.len() != names.len() {
        return Err(wrong("two sites have one name".to_owned()));
    }
    Ok(names)
}

fn parse_field(field: &str) -> Result<Option<RoundTrip>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    let (mean, deviation) = field.split_once('/').unwrap_or((field, "0"));
    let number = |text: &str| {
        let value: f64 = text.trim().parse().map_err(|_| format!("`{text}` is no number of milliseconds"))?;
        let is_usual = (0.0..=ROUND_TRIP_MAX_MS).contains(&value);
        if is_usual { Ok(value) } else { Err(format!("{text} ms is not within 0 to {ROUND_TRIP_MAX_MS}")) }
    };
    Ok(Some(RoundTrip { mean: number(mean)?, deviation: number(deviation)? }))
}

/// The regions of table 5.7.
const NAMES: [&str; 5] = ["Ireland", "Sao Paulo", "Oregon", "Sydney", "Virginia"];

/// Mean and standard deviation in milliseconds, row by row as in table 5.7.
const TRIPS: [[(f64, f64); 5]; 5] = [
    [(0.0, 0.0), (211.0, 10.0), (171.0, 11.0), (340.0, 11.0), (88.0, 10.0)],
    [(208.0, 14.0), (0.0, 0.0), (217.0, 19.0), (359.0, 4.0), (123.0, 3.0)],
    [(171.0, 14.0), (217.0, 11.0), (0.0, 0.0), (205.0, 7.0), (70.0, 12.0)],
    [(336.0, 26.0), (359.0, 4.0), (205.0, 10.0), (0.0, 0.0), (255.0, 12.0)],
    [(88.0, 10.0), (123.0, 4.0), (71.0, 13.0), (256.0, 5.0), (0.0, 0.0)],
];

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
        let matrix = Matrix::parse(text).unwrap();
        assert_eq!(matrix.trip(0, 1), RoundTrip { mean: 10.0, deviation: 2.0 });
        assert_eq!(matrix.trip(1, 0), matrix.trip(0, 1));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_line() {
        let said = |text: &str| Matrix::parse(text).unwrap_err().to_string();
        assert!(said("").contains("empty"));
        assert!(said("A,B\n").starts_with("line 1: the first line names the sites"));
        assert!(said("site,A,a\n").starts_with("line 1: two sites have one name"));
        assert!(said("site,A,B\nA,0\n").starts_with("line 2: 1 round trips for 2 sites"));
        assert_eq!(said("site,A,B\n\nA,0,x\n"), "line 3: to B: `x` is no number of milliseconds");
        assert!(said("site,A,B\nA,0,-1\n").contains("-1 ms is not within"));
        assert_eq!(said("site,A,B\nC,0,1\n"), "line 2: `C` is no site of the first line");
        assert_eq!(said("site,A,B\nA,0,1\nA,0,1\n"), "line 3: A has a line already");
        assert_eq!(said("site,A,B\nA,0,\nB,,0\n"), "nothing says how far A is from B");
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
