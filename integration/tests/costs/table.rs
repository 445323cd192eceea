//! What each path is known to allocate. To move a figure on purpose, put the line here that the test prints, and say why in
//! the commit.

/// Allocations of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// How many.
    pub allocations: u64,
    /// Of how many bytes in all, given back or not.
    pub bytes: u64,
}

/// What one path is known to allocate for 100 envelopes of 1,226 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which path.
    pub name: &'static str,
    /// What was measured last.
    pub known: Figures,
}

/// In the order of [`super::rows::ALL`]: name, allocations, bytes.
pub const TABLE: [Row; 9] = [
    row("decoded and checked", 200, 7200),
    row("bundled", 8, 131630),
    row("sealed", 5, 123390),
    row("judged, frontends trusted", 215, 102856),
    row("judged in full", 1315, 196056),
    row("agreed on by four", 247, 553658),
    row("ordered into a block", 323, 164360),
    row("body of a block read", 8, 130988),
    row("stored and delivered", 31, 265534),
];

const fn row(name: &'static str, allocations: u64, bytes: u64) -> Row {
    Row { name, known: Figures { allocations, bytes } }
}

impl Figures {
    /// So many times as much.
    pub const fn times(self, factor: u64) -> Self {
        Self { allocations: self.allocations * factor, bytes: self.bytes * factor }
    }
}

impl Row {
    /// The row as it stands in the table with these figures, and what they come to.
    pub fn line(&self, measured: Figures) -> String {
        let each = |Figures { allocations, bytes }: Figures| (allocations as f64 / 100.0, bytes as f64 / 100.0);
        let ((allocations, bytes), (allocations_before, bytes_before)) = (each(measured), each(self.known));
        format!(
            "row({:?}, {}, {}), // {allocations:.2} allocations and {bytes:.0} bytes an envelope; before \
             {allocations_before:.2} and {bytes_before:.0}",
            self.name, measured.allocations, measured.bytes
        )
    }

    /// What is wrong with what was measured, a sentence for each figure.
    pub fn complaints(&self, measured: Figures) -> Vec<String> {
        let pairs = [
            ("allocations", self.known.allocations, measured.allocations),
            ("bytes", self.known.bytes, measured.bytes),
        ];
        pairs.into_iter().filter_map(|(what, known, measured)| self.complaint(what, known, measured)).collect()
    }

    fn complaint(&self, what: &str, known: u64, measured: u64) -> Option<String> {
        let limit = known + known / 2;
        let why = if measured > limit {
            format!("{measured} {what} are above the limit of {limit}, which is 1.5 times the {known} known")
        } else if limit > measured * 2 {
            format!("only {measured} {what}; the limit of {limit} would let them double unseen")
        } else {
            return None;
        };
        let name = self.name;
        Some(format!("{name}, 100 envelopes: {why}. If that is meant, put the line above into tests/costs/table.rs."))
    }
}
