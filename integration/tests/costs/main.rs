//! A guard of cost that does not need a quiet machine: how often and how much the crates on the path of an envelope
//! allocate.
//!
//! The inputs are fixed, there is one thread, and nothing of the paths measured depends on time or chance, so the figures
//! are the same on every run. A figure that has doubled fails; so does a limit that would let one double.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod group;
mod input;
mod rows;
mod table;

use allocation_counter::AllocationInfo;

use table::{Figures, Row, TABLE};

/// What `work` allocates in this thread, for each `items` hundreds of envelopes, rounded up.
fn measure(items: u64, work: impl FnOnce()) -> Figures {
    let AllocationInfo { count_total, bytes_total, .. } = allocation_counter::measure(work);
    Figures { allocations: count_total.div_ceil(items), bytes: bytes_total.div_ceil(items) }
}

#[test]
fn no_path_of_an_envelope_allocates_much_more_than_it_did() {
    let mut complaints = Vec::new();
    for (row, measure) in TABLE.iter().zip(rows::ALL) {
        let measured = measure();
        println!("{}", row.line(measured));
        complaints.extend(row.complaints(measured));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_line_that_is_printed_fits_into_the_table() {
    let row = Row { name: "a path", known: Figures { allocations: 400, bytes: 900 } };
    let line = row.line(Figures { allocations: 150, bytes: 1_000 });
    assert_eq!(line, "row(\"a path\", 150, 1000), // 1.50 allocations and 10 bytes an envelope; before 4.00 and 9");
}

#[test]
fn the_figures_are_the_same_on_every_run() {
    for (row, measure) in TABLE.iter().zip(rows::ALL) {
        assert_eq!(measure(), measure(), "{}", row.name);
    }
}

#[test]
fn every_row_is_measured_and_has_a_name_of_its_own() {
    assert_eq!(TABLE.len(), rows::ALL.len());
    for (index, row) in TABLE.iter().enumerate() {
        assert!(TABLE[..index].iter().all(|other| other.name != row.name), "{} twice", row.name);
    }
}

#[test]
fn a_figure_that_has_doubled_fails_and_says_how_to_move_it() {
    let row = Row { name: "a path", known: Figures { allocations: 100, bytes: 5_000 } };
    assert!(row.complaints(row.known).is_empty());
    let twice = row.complaints(Figures { allocations: 200, bytes: 5_000 });
    assert_eq!(twice.len(), 1);
    for part in ["a path", "200 allocations", "limit of 150", "1.5 times the 100", "costs/table.rs"] {
        assert!(twice[0].contains(part), "{part}: {}", twice[0]);
    }
    let twice = row.complaints(Figures { allocations: 100, bytes: 10_000 });
    assert!(twice.len() == 1 && twice[0].contains("10000 bytes"), "{twice:?}");
    assert_eq!(TABLE.iter().filter(|row| row.complaints(row.known.times(2)).is_empty()).count(), 0);
}

#[test]
fn a_figure_may_grow_by_half_and_not_more() {
    let row = Row { name: "a path", known: Figures { allocations: 100, bytes: 1_000 } };
    assert!(row.complaints(Figures { allocations: 150, bytes: 1_500 }).is_empty());
    assert_eq!(row.complaints(Figures { allocations: 151, bytes: 1_501 }).len(), 2);
    let free = Row { name: "no allocation", known: Figures { allocations: 0, bytes: 0 } };
    assert_eq!(free.complaints(Figures { allocations: 1, bytes: 8 }).len(), 2, "what was free stays free");
}

#[test]
fn a_limit_that_would_let_a_figure_double_is_to_be_lowered() {
    let row = Row { name: "a path", known: Figures { allocations: 100, bytes: 1_000 } };
    assert!(row.complaints(Figures { allocations: 75, bytes: 750 }).is_empty());
    let complaints = row.complaints(Figures { allocations: 74, bytes: 1_000 });
    assert!(complaints.len() == 1 && complaints[0].contains("only 74 allocations; the limit of 150"), "{complaints:?}");
}
