//! Where one block ends and the next begins: Fabric's cutting rules as one decision table.
//!
//! The table is [`row`]. It follows section 4 of the Fabric contract with correction C.12. The cutter has no clock: a
//! cut by time is an event like any other. Fabric's batch timer needs no state of its own here, because it runs exactly
//! while a cut is open: it starts when a cut opens, and a cut that overflows leaves the next one open and the timer
//! running.
//!
//! Of the batch size, `max_message_count` completes a cut (zero acts as one), and `preferred_max_bytes` is what a cut of
//! more than one entry stays within. `absolute_max_bytes` has no part here: it decides what is let in.
//!
//! Invariants: an event that adds an entry leaves fewer than `max_message_count` of them open, and `bytes` is the sum of
//! the sizes of what is open.

use fabric_channel::BatchSize;

/// The open cut of one channel. `T` is what a block's data is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cutter<T> {
    open: Vec<T>,
    bytes: u64,
    batch_size: BatchSize,
}

/// What one event completed: the data of so many blocks, in order; never an empty one. At most two.
pub type Cuts<T> = Vec<Vec<T>>;

/// What can happen to a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A normal envelope; its size is the length of its payload plus that of its signature.
    Envelope {
        /// In bytes.
        size: u64,
    },
    /// A CONFIG envelope.
    Config,
    /// The ordered wish to cut by time.
    Timeout,
}

/// What is done about it. An empty cut is never cut, so "cut what is open" may do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Cut what is open; what arrived is a block of its own.
    StandAlone,
    /// Cut what is open; what arrived opens the next cut.
    CutThenJoin,
    /// What arrived joins what is open.
    Join,
    /// Cut what is open; nothing arrived.
    Cut,
}

/// The decision table. The first row that fits counts; whatever joins a cut and makes it `max_message_count` long completes it.
///
/// | arrives  | size              | open bytes + size | row           |
/// |----------|-------------------|-------------------|---------------|
/// | CONFIG   |                   |                   | `StandAlone`  |
/// | timeout  |                   |                   | `Cut`         |
/// | envelope | above preferred   |                   | `StandAlone`  |
/// | envelope | up to preferred   | above preferred   | `CutThenJoin` |
/// | envelope | up to preferred   | up to preferred   | `Join`        |
#[must_use]
pub fn row(arrival: Arrival, open_bytes: u64, batch_size: BatchSize) -> Row {
    let preferred = u64::from(batch_size.preferred_max_bytes);
    match arrival {
        Arrival::Config => Row::StandAlone,
        Arrival::Timeout => Row::Cut,
        Arrival::Envelope { size } if size > preferred => Row::StandAlone,
        Arrival::Envelope { size } if open_bytes.saturating_add(size) > preferred => Row::CutThenJoin,
        Arrival::Envelope { .. } => Row::Join,
    }
}

impl<T> Cutter<T> {
    /// A cutter with nothing open.
    #[must_use]
    pub const fn new(batch_size: BatchSize) -> Self {
        Self { open: Vec::new(), bytes: 0, batch_size }
    }

    /// A cutter in which these entries, given with their sizes, are open already.
    #[must_use]
    pub fn resume(batch_size: BatchSize, open: Vec<(u64, T)>) -> Self {
        let bytes = open.iter().map(|(size, _)| size).sum();
        Self { open: open.into_iter().map(|(_, item)| item).collect(), bytes, batch_size }
    }

    /// A normal envelope arrives. `size` is the length of its payload plus that of its signature.
    pub fn on_envelope(&mut self, size: u64, item: T) -> Cuts<T> {
        self.apply(Arrival::Envelope { size }, Some((size, item)))
    }

    /// A CONFIG envelope arrives.
    pub fn on_config(&mut self, item: T) -> Cuts<T> {
        self.apply(Arrival::Config, Some((0, item)))
    }

    /// It is time to cut.
    pub fn on_timeout(&mut self) -> Cuts<T> {
        self.apply(Arrival::Timeout, None)
    }

    /// Other rules apply from the next event on; what is open stays as it is.
    pub fn set_batch_size(&mut self, batch_size: BatchSize) {
        self.batch_size = batch_size;
    }

    /// What is open, in order.
    #[must_use]
    pub fn open(&self) -> &[T] {
        &self.open
    }

    /// The sizes of what is open, added up.
    #[must_use]
    pub const fn open_bytes(&self) -> u64 {
        self.bytes
    }

    /// Is anything open? Fabric's batch timer runs exactly then.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn apply(&mut self, arrival: Arrival, entry: Option<(u64, T)>) -> Cuts<T> {
        let row = row(arrival, self.bytes, self.batch_size);
        let mut cuts = Vec::new();
        if row != Row::Join {
            self.cut(&mut cuts);
        }
        let Some((size, item)) = entry else { return cuts };
        if row == Row::StandAlone {
            cuts.push(vec![item]);
            return cuts;
        }
        self.open.push(item);
        self.bytes += size;
        if self.open.len() >= self.batch_size.max_message_count as usize {
            self.cut(&mut cuts);
        }
        cuts
    }

    fn cut(&mut self, cuts: &mut Cuts<T>) {
        if self.open.is_empty() {
            return;
        }
        cuts.push(std::mem::take(&mut self.open));
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: BatchSize = BatchSize { max_message_count: 3, absolute_max_bytes: 1000, preferred_max_bytes: 100 };

    #[derive(Clone, Copy)]
    enum Step {
        Envelope(u64),
        Config,
        Timeout,
        Sizes(u32, u32),
    }
    use Step::{Config, Envelope, Sizes, Timeout};

    /// Runs steps, numbering what arrives from 0. Gives the cuts of each step, and what is open in the end.
    fn run(steps: &[Step]) -> (Vec<Cuts<usize>>, Vec<usize>) {
        let mut cutter = Cutter::new(SIZES);
        let mut next = 0;
        let mut all = Vec::new();
        for &step in steps {
            let item = next;
            next += usize::from(matches!(step, Envelope(_) | Config));
            all.push(match step {
                Envelope(size) => cutter.on_envelope(size, item),
                Config => cutter.on_config(item),
                Timeout => cutter.on_timeout(),
                Sizes(max_message_count, preferred_max_bytes) => {
                    cutter.set_batch_size(BatchSize { max_message_count, preferred_max_bytes, ..SIZES });
                    Vec::new()
                }
            });
        }
        (all, cutter.open().to_vec())
    }

    macro_rules! table {
        ($($name:ident: [$($step:expr),*] => [$($cuts:expr),*], open $open:expr;)*) => {$(
            #[test]
            fn $name() {
                let cuts: Vec<Cuts<usize>> = vec![$($cuts),*];
                let open: Vec<usize> = $open.to_vec();
                assert_eq!(run(&[$($step),*]), (cuts, open));
            }
        )*};
    }

    const NOTHING: [usize; 0] = [];

    table! {
        the_count_completes_a_cut:
            [Envelope(1), Envelope(1), Envelope(1), Envelope(1)] => [vec![], vec![], vec![vec![0, 1, 2]], vec![]], open [3];
        preferred_bytes_may_be_reached:
            [Envelope(40), Envelope(60)] => [vec![], vec![]], open [0, 1];
        an_envelope_of_preferred_bytes_joins:
            [Envelope(100), Envelope(0)] => [vec![], vec![]], open [0, 1];
        preferred_bytes_may_not_be_exceeded_by_two:
            [Envelope(40), Envelope(61)] => [vec![], vec![vec![0]]], open [1];
        more_than_preferred_stands_alone:
            [Envelope(101), Envelope(1)] => [vec![vec![0]], vec![]], open [1];
        more_than_preferred_cuts_what_is_open_first:
            [Envelope(1), Envelope(101)] => [vec![], vec![vec![0], vec![1]]], open NOTHING;
        an_overflow_can_complete_the_next_cut_too:
            [Envelope(60), Sizes(1, 100), Envelope(60)] => [vec![], vec![], vec![vec![0], vec![1]]], open NOTHING;
        config_stands_alone:
            [Config, Envelope(1), Config] => [vec![vec![0]], vec![], vec![vec![1], vec![2]]], open NOTHING;
        time_cuts_what_is_open:
            [Envelope(1), Envelope(1), Timeout] => [vec![], vec![], vec![vec![0, 1]]], open NOTHING;
        time_never_makes_an_empty_block:
            [Timeout, Envelope(101), Timeout] => [vec![], vec![vec![0]], vec![]], open NOTHING;
        new_sizes_wait_for_the_next_event:
            [Envelope(1), Envelope(1), Sizes(2, 100), Envelope(1)] => [vec![], vec![], vec![], vec![vec![0, 1, 2]]], open NOTHING;
        smaller_preferred_bytes_overflow_at_the_next_event:
            [Envelope(50), Sizes(3, 10), Envelope(1)] => [vec![], vec![], vec![vec![0]]], open [1];
        a_count_of_zero_acts_as_one:
            [Sizes(0, 100), Envelope(1)] => [vec![], vec![vec![0]]], open NOTHING;
        empty_entries_count_too:
            [Envelope(0), Envelope(0), Envelope(0)] => [vec![], vec![], vec![vec![0, 1, 2]]], open NOTHING;
    }

    #[test]
    fn bytes_follow_what_is_open() {
        let mut cutter = Cutter::new(SIZES);
        cutter.on_envelope(40, 'a');
        assert_eq!((cutter.open_bytes(), cutter.is_open()), (40, true));
        cutter.on_envelope(61, 'b');
        assert_eq!(cutter.open_bytes(), 61);
        assert_eq!(cutter, Cutter::resume(SIZES, vec![(61, 'b')]));
        cutter.on_timeout();
        assert_eq!((cutter.open_bytes(), cutter.is_open()), (0, false));
    }
}
