//! Twins: every schedule of a few rounds in which one replica of four is there twice.
//!
//! After Bano, Sonnino, Chursin, Perelman, Li, Ching and Malkhi, *Twins: BFT Systems Made Robust* (OPODIS 2021). Two copies
//! of a replica, with its name and its keys, both running correct code, do what liars do without anybody writing a liar:
//! they propose two batches, vote twice, and one knows nothing of what the other one has signed. All that is needed is to
//! part the network so that they hear different things, and to try every way of parting it.
//!
//! *A schedule.* Four replicas, one of them twinned, so five processes. In each round the network is parted in two sides, in
//! one of the 16 ways (one side may be empty), and each side gets a request of its own. A round is long enough for a
//! decision, or for a regency change and a decision. At most one round of a schedule is torn: it ends while the ACCEPTs
//! are on their way, so a batch may have been written by a quorum, decided by some, and be unknown to others. Then the
//! network is whole, for good, with one copy removed. Schedules without a torn round also end with both copies. All this
//! is enumerated, for the twin being the leader of the first regency, of the second, and of the fourth, which a
//! schedule reaches only by way of the others.
//!
//! *Symmetry* is used twice. A side has no name, so the first process may always be on the first one: the requests
//! change their names with the sides, and nothing else. And where both copies stay, the schedule in which they have changed
//! places is the same one: see [`schedule`].
//!
//! *Other groups* (fewer rounds, see [`settings`]): batches given to the applications before they are decided, windows of three
//! instances, weights, and all of it at once. And groups whose replicas only crash ([`crash_only`]): nobody is there twice;
//! instead a round may begin with any one process losing its memory, and in the end any one may be gone for good.
//!
//! *What must hold.* In every schedule: no two processes are given different decisions of one instance (not even a copy,
//! because its proof would convince anybody); no correct process delivers another history than one that a quorum, the twin in it,
//! gave to the application, decided or not, because a peer would take its blocks; what is given tentatively is delivered or taken
//! back; decisions come in order, and no request twice; regencies only grow; no
//! correct replica contradicts itself, across restarts too, or is named as a liar; no panic, and the parts of each replica fit. And once the
//! network is whole, everything that a correct replica holds is delivered by all of them within [`world::regained_max`].
//!
//! *It can fail.* With two replicas of four twinned, more than `f`, a single round suffices for a fork. And it has failed: it
//! found that a new leader left out requests that stood in a lost proposal of an earlier regency, for ever.
//!
//! Run `cargo test --release -p mod-smart --test twins -- --nocapture` to read the counts. `TWINS_ROUNDS=4` enumerates more
//! rounds than three; each costs about twenty times as much.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, missing_docs)]

mod keys;
mod schedule;
mod witness;
mod world;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mod_smart::{ReplicaId, View};
use schedule::{Group, Schedule, Space};
use witness::Violation;
use world::{Outcome, regained_max};

/// The first leader, the second leader, and a follower.
const PLACES: [u16; 3] = [0, 1, 3];

/// Rounds of a schedule, unless `TWINS_ROUNDS` asks for another number.
const ROUNDS: u32 = 3;

const WORKERS: usize = 2;

/// Four replicas as they are by default, these of them there twice.
fn four(twins: impl IntoIterator<Item = u16>) -> Group {
    let view = View::flat(keys::GROUP, 4).unwrap();
    Group { view, window: 1, is_tentative: false, twins: twins.into_iter().map(ReplicaId).collect() }
}

/// Rounds that `TWINS_ROUNDS` asks for, or so many.
fn rounds(default: u32) -> u32 {
    std::env::var("TWINS_ROUNDS").map_or(default, |text| text.parse().expect("a number of rounds"))
}

#[test]
fn in_every_schedule_of_three_rounds_one_twinned_replica_of_four_divides_nobody_and_delays_nothing_for_long() {
    let rounds = rounds(ROUNDS);
    for place in PLACES {
        let space = Space { group: four([place]), rounds };
        let totals = explore(&space);
        println!("replica {place} twice, {rounds} rounds: {totals} (bound: {:?})", regained_max(rounds));
        assert_eq!(totals.schedules, space.schedules());
        assert!(totals.decisions > totals.schedules && totals.regency_changes > 0);
        assert!(totals.conflicting > 0, "the twins never contradict each other: nothing is tested");
        let has_led = place < 2;
        assert!(
            !has_led || totals.proposals > 0 && totals.votes > 0 && totals.named > 0,
            "a leader's twins equivocate"
        );
    }
}

#[test]
fn two_twinned_replicas_of_four_divide_the_others_in_one_round() {
    let space = Space { group: four([0, 1]), rounds: 1 };
    let schedules: Vec<Schedule> = (0..space.numbers()).filter_map(|number| space.schedule(number)).collect();
    let forked: Vec<String> = schedules
        .iter()
        .filter(|schedule| {
            let violation = world::run(schedule).err();
            violation.is_some_and(|violation| matches!(violation, Violation::Fork { are_correct: true, .. }))
        })
        .map(ToString::to_string)
        .collect();
    println!("replicas 0 and 1 twice, 1 round: {} of {} schedules fork", forked.len(), schedules.len());
    let expected = "{0 1 2 | 0' 1' 3}, then whole without the second copies";
    assert!(forked.iter().any(|schedule| schedule == expected), "{forked:?}");
    assert!(forked.iter().all(|schedule| !schedule.contains("{0 0'")), "copies on one side do no harm: {forked:?}");
}

/// Tentative batches, windows and weights: what each is called, and who is there twice in turn.
fn settings() -> Vec<(&'static str, Group, Vec<u16>)> {
    let weighted = |delta| {
        let heavy = [0, 1].map(ReplicaId).into_iter().collect();
        View::weighted(keys::GROUP, 1, delta, heavy).unwrap()
    };
    let foretelling = Group { is_tentative: true, ..four([]) };
    let wide = |group: &Group| Group { window: 3, ..group.clone() };
    vec![
        ("a window of three", wide(&four([])), PLACES.to_vec()),
        ("tentative batches", foretelling.clone(), PLACES.to_vec()),
        ("tentative batches, a window of three", wide(&foretelling), PLACES.to_vec()),
        ("weights 2 2 1 1 1, all of it", Group { view: weighted(1), ..wide(&foretelling) }, vec![0, 4]),
        ("weights 3 3 1 1 1 1, tentative batches", Group { view: weighted(2), ..foretelling }, vec![1]),
    ]
}

#[test]
fn in_every_schedule_of_two_rounds_no_twin_makes_a_block_final_that_is_not_decided() {
    for (what, group, places) in settings() {
        for place in places {
            let space = Space { group: Group { twins: vec![ReplicaId(place)], ..group.clone() }, rounds: rounds(2) };
            let totals = explore(&space);
            println!("{what}, replica {place} twice, {} rounds: {totals}", space.rounds);
            assert_eq!(totals.schedules, space.schedules());
            assert!(totals.decisions > totals.schedules && totals.regency_changes > 0 && totals.conflicting > 0);
            assert_eq!(totals.foretold > 0 && totals.taken_back > 0, group.is_tentative);
        }
    }
}

fn crash_only() -> Vec<(&'static str, Group, u32)> {
    let of = |n| Group { view: View::crash_only(keys::GROUP, n).unwrap(), ..four([]) };
    let heavy = std::iter::once(ReplicaId(0)).collect();
    let weighted = View::crash_only_weighted(keys::GROUP, 1, 1, heavy).unwrap();
    vec![
        ("three replicas", of(3), 2),
        ("three replicas, a window of three", Group { window: 3, ..of(3) }, 2),
        ("four replicas", of(4), 2),
        ("weights 2 1 1 1", Group { view: weighted, ..of(4) }, 2),
    ]
}

#[test]
fn in_every_schedule_of_a_few_rounds_crashes_divide_nobody_and_lose_nothing() {
    for (what, group, default) in crash_only() {
        let space = Space { group, rounds: rounds(default) };
        let totals = explore(&space);
        println!("{what} that only crash, {} rounds: {totals}", space.rounds);
        assert_eq!(totals.schedules, space.schedules());
        assert!(totals.decisions > totals.schedules && totals.regency_changes > 0);
        assert_eq!((totals.conflicting, totals.named), (0, 0), "nobody lies");
    }
}

/// Runs all schedules of a space, on as many threads as are worth it.
fn explore(space: &Space) -> Totals {
    let next = AtomicU64::new(0);
    let work = || {
        let mut totals = Totals::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= space.numbers() {
                return totals;
            }
            let Some(schedule) = space.schedule(number).map(Named) else { continue };
            match world::run(&schedule.0) {
                Ok(outcome) => totals.add(&outcome),
                Err(violation) => panic!("{violation:?}"),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let totals = workers.into_iter().map(|worker| worker.join().expect("no schedule fails"));
        totals.reduce(Totals::merge).unwrap_or_default()
    })
}

/// Says in which schedule something went wrong, whoever noticed it.
struct Named(Schedule);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the schedule was {}", self.0);
        }
    }
}

/// What came of many schedules.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    schedules: u64,
    decisions: u64,
    regency_changes: u64,
    /// Schedules in which the copies contradicted each other in any way.
    conflicting: u64,
    proposals: u64,
    votes: u64,
    stop_data: u64,
    /// Schedules in which a correct replica named the twin as a liar.
    named: u64,
    /// Batches given to an application before their decision, and how often some were taken back.
    foretold: u64,
    taken_back: u64,
    regained_max: Duration,
}

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        let conflicts = outcome.conflicts;
        self.schedules += 1;
        self.decisions += outcome.decisions as u64;
        self.regency_changes += outcome.regency.0;
        self.conflicting += u64::from(conflicts.proposals || conflicts.votes || conflicts.stop_data);
        self.proposals += u64::from(conflicts.proposals);
        self.votes += u64::from(conflicts.votes);
        self.stop_data += u64::from(conflicts.stop_data);
        self.named += u64::from(outcome.has_named_twin);
        self.foretold += outcome.foretold.batches;
        self.taken_back += outcome.foretold.taken_back;
        self.regained_max = self.regained_max.max(outcome.regained);
    }

    fn merge(self, other: Self) -> Self {
        Self {
            schedules: self.schedules + other.schedules,
            decisions: self.decisions + other.decisions,
            regency_changes: self.regency_changes + other.regency_changes,
            conflicting: self.conflicting + other.conflicting,
            proposals: self.proposals + other.proposals,
            votes: self.votes + other.votes,
            stop_data: self.stop_data + other.stop_data,
            named: self.named + other.named,
            foretold: self.foretold + other.foretold,
            taken_back: self.taken_back + other.taken_back,
            regained_max: self.regained_max.max(other.regained_max),
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedules, decisions, regency_changes, conflicting, proposals, votes, stop_data, named, .. } = self;
        write!(
            f,
            "{schedules} schedules, {decisions} decisions, {regency_changes} regency changes; the copies contradict each other in \
             {conflicting} ({proposals} proposals, {votes} votes, {stop_data} STOPDATA), and are named in {named}; \
             {} batches foretold, taken back {} times; live again after at most {:?}",
            self.foretold, self.taken_back, self.regained_max
        )
    }
}
