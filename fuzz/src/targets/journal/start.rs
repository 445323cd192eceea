//! The file that says where a journal begins, in front of a journal that was not truncated.

use mod_smart::Record;
use orderer_node::disk::MemDisk;

use super::{PRISTINE, contents, open, open_and_go_on, size};
use crate::fixtures::GROUP;
use crate::outcome::Outcome;
use crate::sealed;
use crate::target::{Heap, Seed, Target};

pub const START: Target = Target {
    name: "journal_start",
    about: "where a journal begins, under a right checksum: segments from there on count, those before are deleted or set \
            aside, and nothing else happens to them",
    run: start,
    seeds: || {
        let seed = |name: &str, first: u32, aside: u32| Seed::new(name, content(first, aside));
        vec![
            seed("whole", 0, 0),
            seed("truncated", 2, 2),
            seed("set-aside", 4, 0),
            seed("truncated-and-set-aside", 3, 1),
            seed("beyond-the-end", 9, 9),
            seed("the-last-there-can-be", u32::MAX, u32::MAX),
            Seed::case("contradiction", content(1, 2)),
        ]
    },
    heap: Heap { base: 8 << 20, per_byte: 96 },
    test_runs: 6_000,
};

fn start(input: &[u8]) -> Outcome {
    let field = |at: usize| input.get(at..at + 4).and_then(|field| field.try_into().ok()).map(u32::from_be_bytes);
    let numbers = (field(FIRST_AT), field(FIRST_AT + 4));
    let disk = MemDisk::default();
    PRISTINE.files.iter().for_each(|(name, content)| disk.plant(name, content));
    disk.plant("journal.start", &sealed::summed_behind(input));
    let before = contents(&disk);
    let records: Vec<Record> = match open(&disk, 0) {
        Err(error) => {
            assert_eq!(contents(&disk), before, "a journal that does not open was changed");
            return Outcome::refused(error);
        }
        Ok((_, replay)) => replay.collect::<Result<_, _>>().expect("the first reading has verified it"),
    };
    let (Some(first), Some(aside)) = numbers else { panic!("a start without numbers was read") };
    assert_eq!(content(first, aside), input, "one start has one file");
    assert!(PRISTINE.records.ends_with(&records), "a record that was not written, or not in this order");
    assert_eq!(records.is_empty(), first as usize > PRISTINE.last, "another part of the journal than the file says");
    for (number, (name, content)) in (0..).zip(&PRISTINE.files) {
        let (here, kept) = (disk.content(name), disk.content(&format!("damaged-{first:06}-{name}")));
        let expected = match number {
            number if number < aside => (None, None),
            number if number < first => (None, Some(content.clone())),
            _ => (Some(content.clone()), None),
        };
        assert_eq!((here, kept), expected, "{name}");
    }
    let again = open_and_go_on(&disk, 0, false).expect("what was opened opens again");
    assert_eq!(again, records);
    Outcome::accepted(format_args!("{} records, something {}", size(records.len()), what_became(first, aside)))
}

/// The file without its checksum.
fn content(first: u32, aside: u32) -> Vec<u8> {
    [&b"bftjrns\n"[..], &1_u32.to_be_bytes(), &GROUP.0, &first.to_be_bytes(), &aside.to_be_bytes()].concat()
}

const fn what_became(first: u32, aside: u32) -> &'static str {
    match (aside > 0, first > aside) {
        (false, false) => "kept",
        (true, false) => "deleted",
        (false, true) => "set aside",
        (true, true) => "deleted and set aside",
    }
}

/// Where the number of the first segment stands.
const FIRST_AT: usize = 44;
