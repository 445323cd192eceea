//! How far sites are from each other: round-trip times, built in or from a CSV file.
//!
//! ```text
//! site,Ireland,Oregon,Sydney       the names of the sites
//! Ireland,,171/11,340              a line for each: milliseconds to each of them and back,
//! Oregon,171/14,,205/7             with the standard deviation behind a stroke where there is one
//! Sydney,336,,                     what is left away is as in the other direction
//! ```
//!
//! Empty lines and lines that begin with `#` are left out. The two directions may differ, as they do where each was
//! measured from its own end. Within a site nothing takes any time.

use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;

/// So many times the longest way is what a decision takes at most, whoever leads: a message to the farthest node and two
/// rounds of votes are three, and one more is for what a body takes to come.
pub const WAYS_PER_DECISION: u32 = 4;

/// Round-trip times between named sites.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    sites: Vec<String>,
    /// From the site of the row to that of the column and back.
    rows: Vec<Vec<RoundTrip>>,
}

/// A measured round trip, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoundTrip {
    /// The mean.
    pub mean_ms: f64,
    /// The standard deviation.
    pub deviation_ms: f64,
}

/// How long a byte is on its way between two sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OneWay {
    /// The mean.
    pub mean: Duration,
    /// The standard deviation.
    pub deviation: Duration,
}

/// What is wrong with the text of a matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// There is nothing.
    #[error("no line with the names of the sites")]
    Empty,
    /// A line that is not as it should be.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Two sites without a time between them.
    #[error("no round trip between {from} and {to}")]
    Missing {
        /// One.
        from: String,
        /// The other.
        to: String,
    },
}

impl Matrix {
    /// Five regions of EC2: Sousa's thesis of 2018, table 5.7.
    #[must_use]
    pub fn table_5_7() -> Self {
        let sites = TABLE_5_7_SITES.map(str::to_owned).to_vec();
        let cell = |(mean_ms, deviation_ms)| RoundTrip { mean_ms, deviation_ms };
        Self { sites, rows: TABLE_5_7.iter().map(|row| row.iter().copied().map(cell).collect()).collect() }
    }

    /// The matrix of a built-in name, as `table-5.7`, or that of a CSV file.
    ///
    /// # Errors
    /// The file cannot be read, or [`MatrixError`].
    pub fn find(name: &str) -> anyhow::Result<Self> {
        if name == TABLE_5_7_NAME {
            return Ok(Self::table_5_7());
        }
        let no_file = || format!("cannot read {name}, and the only built-in matrix is {TABLE_5_7_NAME}");
        fs::read_to_string(Path::new(name)).with_context(no_file)?.parse().with_context(|| name.to_owned())
    }

    /// The names of the sites.
    #[must_use]
    pub fn sites(&self) -> &[String] {
        &self.sites
    }

    /// The place of a site, however its name is capitalised.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.sites.iter().position(|site| site.eq_ignore_ascii_case(name.trim()))
    }

    /// The round trip that was measured at the first of two sites.
    ///
    /// # Panics
    /// There are not so many sites.
    #[must_use]
    pub fn round_trip(&self, from: usize, to: usize) -> RoundTrip {
        self.rows[from][to]
    }

    /// How long a byte takes between two sites, the same in both directions: half of the mean of the two round trips. Both
    /// halves of a trip vary alike, so that one of them has the deviation of the whole over the root of two.
    ///
    /// # Panics
    /// There are not so many sites.
    #[must_use]
    pub fn one_way(&self, from: usize, to: usize) -> OneWay {
        let (there, back) = (self.rows[from][to], self.rows[to][from]);
        let millis = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        OneWay {
            mean: millis((there.mean_ms + back.mean_ms) / 4.0),
            deviation: millis((there.deviation_ms + back.deviation_ms) / 2.0 / std::f64::consts::SQRT_2),
        }
    }
}

impl Matrix {
    /// What nodes at these sites should be told that a decision takes (`decision_time_ms`): see [`WAYS_PER_DECISION`].
    ///
    /// # Panics
    /// There are not so many sites.
    #[must_use]
    pub fn decision_time(&self, sites: &[usize]) -> Duration {
        let ways = sites.iter().flat_map(|&from| sites.iter().map(move |&to| self.one_way(from, to).mean));
        ways.max().unwrap_or_default() * WAYS_PER_DECISION
    }
}

impl FromStr for Matrix {
    type Err = MatrixError;

    fn from_str(text: &str) -> Result<Self, MatrixError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let mut lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
        let (line, header) = lines.next().ok_or(MatrixError::Empty)?;
        let sites = read_header(header).map_err(|what| MatrixError::Line { line, what })?;
        let mut written: Vec<Option<Vec<Option<RoundTrip>>>> = vec![None; sites.len()];
        for (line, text) in lines {
            let wrong = |what: String| MatrixError::Line { line, what };
            let (name, cells) = text.split_once(',').unwrap_or((text, ""));
            let row = sites.iter().position(|site| site == name.trim());
            let row = row.ok_or_else(|| wrong(format!("{name:?} is no site of the first line")))?;
            let cells = cells.split(',').map(read_cell).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
            if cells.len() != sites.len() {
                return Err(wrong(format!("{} round trips for {} sites", cells.len(), sites.len())));
            }
            if written[row].replace(cells).is_some() {
                return Err(wrong(format!("{name} has a line already")));
            }
        }
        let cell = |from: usize, to: usize| written[from].as_ref().and_then(|row| row[to]);
        let find = |from: usize, to: usize| {
            if from == to {
                return Ok(RoundTrip::default());
            }
            let missing = || MatrixError::Missing { from: sites[from].clone(), to: sites[to].clone() };
            cell(from, to).or_else(|| cell(to, from)).ok_or_else(missing)
        };
        let all = 0..sites.len();
        let rows = all.clone().map(|from| all.clone().map(|to| find(from, to)).collect()).collect::<Result<_, _>>()?;
        Ok(Self { sites, rows })
    }
}

fn read_header(text: &str) -> Result<Vec<String>, String> {
    let mut names = text.split(',').map(str::trim);
    if names.next() != Some("site") {
        return Err("the first line names the sites, as site,Oregon,Ireland".to_owned());
    }
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.is_empty() || names.len() > SITES_MAX {
        return Err(format!("{} sites, of 1 to {SITES_MAX}", names.len()));
    }
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() || names[..at].iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(format!("site {name:?} is empty or there twice"));
        }
    }
    Ok(names)
}

fn read_cell(cell: &str) -> Result<Option<RoundTrip>, String> {
    let cell = cell.trim();
    if cell.is_empty() {
        return Ok(None);
    }
    let millis = |text: &str| {
        let ms = text.trim().parse::<f64>().ok().filter(|ms| (0.0..=ROUND_TRIP_MS_MAX).contains(ms));
        ms.ok_or_else(|| format!("{cell:?} is not a time in ms from 0 to {ROUND_TRIP_MS_MAX}, as 171 or 171/11"))
    };
    let (mean, deviation) = cell.split_once('/').or_else(|| cell.split_once("+-")).unwrap_or((cell, "0"));
    Ok(Some(RoundTrip { mean_ms: millis(mean)?, deviation_ms: millis(deviation)? }))
}

const TABLE_5_7_NAME: &str = "table-5.7";
const TABLE_5_7_SITES: [&str; 5] = ["Ireland", "Sao Paulo", "Oregon", "Sydney", "Virginia"];
/// Mean and standard deviation in ms, from the row to the column.
const TABLE_5_7: [[(f64, f64); 5]; 5] = [
    [(0.0, 0.0), (211.0, 10.0), (171.0, 11.0), (340.0, 11.0), (88.0, 10.0)],
    [(208.0, 14.0), (0.0, 0.0), (217.0, 19.0), (359.0, 4.0), (123.0, 3.0)],
    [(171.0, 14.0), (217.0, 11.0), (0.0, 0.0), (205.0, 7.0), (70.0, 12.0)],
    [(336.0, 26.0), (359.0, 4.0), (205.0, 10.0), (0.0, 0.0), (255.0, 12.0)],
    [(88.0, 10.0), (123.0, 4.0), (71.0, 13.0), (256.0, 5.0), (0.0, 0.0)],
];
/// More would be more links than one process can hold.
const SITES_MAX: usize = 128;
/// Nobody is farther away on this planet.
const ROUND_TRIP_MS_MAX: f64 = 10_000.0;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_way_is_half_of_the_mean_of_both_directions() {
        let matrix = Matrix::table_5_7();
        let [ireland, sao_paulo] = ["IRELAND", " sao paulo"].map(|name| matrix.place(name).unwrap());
        let there = matrix.one_way(ireland, sao_paulo);
        assert_eq!(there.mean, Duration::from_micros(104_750));
        assert_eq!(there.deviation.as_micros(), 8_485);
        assert_eq!(there, matrix.one_way(sao_paulo, ireland));
        assert_eq!(matrix.one_way(ireland, ireland), OneWay::default());
        assert_eq!(matrix.decision_time(&[ireland, sao_paulo]), Duration::from_millis(419));
        assert_eq!(matrix.decision_time(&[]), Duration::ZERO);
        assert_eq!(matrix.round_trip(3, 0), RoundTrip { mean_ms: 336.0, deviation_ms: 26.0 });
    }

    #[test]
    fn a_file_may_have_comments_and_deviations_and_leave_a_direction_away() {
        let text = "# made up\n\nsite,a, b,c\nb,9.5/3,7,30\n\na , 0,10.5+-1,20\n";
        let matrix: Matrix = text.parse().unwrap();
        assert_eq!(matrix.sites(), ["a", "b", "c"]);
        assert_eq!(matrix.one_way(0, 1).mean, Duration::from_millis(5));
        assert_eq!(matrix.round_trip(1, 0), RoundTrip { mean_ms: 9.5, deviation_ms: 3.0 });
        assert_eq!(matrix.round_trip(2, 1), matrix.round_trip(1, 2), "c has no line");
        assert_eq!(matrix.round_trip(1, 1), RoundTrip::default(), "within a site");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let error = |text: &str| text.parse::<Matrix>().unwrap_err().to_string();
        assert_eq!(error("\n# nothing"), "no line with the names of the sites");
        assert_eq!(error("a,b"), "line 1: the first line names the sites, as site,Oregon,Ireland");
        assert_eq!(error("site,a,b,A\n"), "line 1: site \"A\" is empty or there twice");
        assert_eq!(error("site,a,,b\n"), "line 1: site \"\" is empty or there twice");
        assert_eq!(error("site,a,b\na,0,1\n\nb,1\n"), "line 4: 1 round trips for 2 sites");
        assert_eq!(error("site,a,b\nc,0,1\n"), "line 2: \"c\" is no site of the first line");
        assert_eq!(error("site,a,b\na,0,1\na,0,1\n"), "line 3: a has a line already");
        assert_eq!(error("site,a,b\na,0,\n"), "no round trip between a and b");
        for cell in ["x", "-1", "nan", "inf", "1/", "10001", "1/x", "/1"] {
            assert!(error(&format!("site,a,b\na,0,{cell}\n")).starts_with("line 2: "), "{cell}");
        }
        assert!(error(&format!("site{}", ",x".repeat(129))).starts_with("line 1: 129 sites"));
    }

    #[test]
    fn a_matrix_is_built_in_or_in_a_file() {
        assert_eq!(Matrix::find("table-5.7").unwrap(), Matrix::table_5_7());
        let error = format!("{:#}", Matrix::find("no such file").unwrap_err());
        assert!(error.starts_with("cannot read no such file, and the only built-in matrix is table-5.7"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.csv");
        fs::write(&file, "site,a\na,b\n").unwrap();
        let error = format!("{:#}", Matrix::find(file.to_str().unwrap()).unwrap_err());
        assert!(
            error.ends_with("m.csv: line 2: \"b\" is not a time in ms from 0 to 10000, as 171 or 171/11"),
            "{error}"
        );
    }
}
