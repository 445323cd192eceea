//! The arithmetic that the safety argument rests on, over every set: flat views of 1 to 13 replicas, and weighted ones for
//! up to two faults and three spares; where replicas only crash, flat ones of 1 to 9 and the same weights.
//!
//! The argument. A decision implies a quorum that made its WRITE certificate durable; all but `f` heads of it are correct.
//! A new leader waits for `n - f` collects. Each such set holds a correct member of each such quorum, so the certificate is
//! reported; and no second value can have one in the same epoch, because two quorums share a correct replica, which wrote
//! once. Adding replicas to a set only helps, so smallest sets are enough.
//!
//! Where replicas only crash, a decision implies a quorum that holds the proposal durably, all of which remember it; so one
//! member in common is enough.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, missing_docs)]

use mod_smart::quorum::{View, Voters};
use mod_smart::{GroupId, ReplicaId};

const GROUP: GroupId = GroupId([3; 32]);

fn views() -> Vec<View> {
    let mut views: Vec<View> = (1..=13).map(|n| View::flat(GROUP, n).unwrap()).collect();
    for (f, delta) in (1..=2).flat_map(|f| (0..=3).map(move |delta| (f, delta))) {
        let n = 3 * f + 1 + delta;
        // Which replicas are heavy is a matter of names: first, last and mixed stand for all.
        let choices: [Vec<usize>; 3] =
            [(0..2 * f).collect(), (n - 2 * f..n).collect(), (0..2 * f).map(|i| (2 * i + 1) % n).collect()];
        for heavy in choices {
            let heavy = heavy.into_iter().map(|at| ReplicaId(at as u16)).collect();
            views.push(View::weighted(GROUP, f, delta, heavy).unwrap());
        }
    }
    views
}

fn crash_only_views() -> Vec<View> {
    let mut views: Vec<View> = (1..=9).map(|n| View::crash_only(GROUP, n).unwrap()).collect();
    for (f, delta) in (1..=2).flat_map(|f| (0..=3).map(move |delta| (f, delta))) {
        let n = 2 * f + 1 + delta;
        let choices: [Vec<usize>; 3] = [(0..f).collect(), (n - f..n).collect(), (0..f).map(|i| 2 * i + 1).collect()];
        for heavy in choices {
            let heavy = heavy.into_iter().map(|at| ReplicaId(at as u16)).collect();
            views.push(View::crash_only_weighted(GROUP, f, delta, heavy).unwrap());
        }
    }
    views
}

fn all_sets(view: &View) -> impl Iterator<Item = Voters> {
    (0..1_u128 << view.n()).map(Voters::from_bits)
}

fn sets_of(view: &View, heads: usize) -> Vec<Voters> {
    all_sets(view).filter(|set| set.len() == heads).collect()
}

/// Quorums that are none without any one of their members.
fn smallest_quorums(view: &View) -> Vec<Voters> {
    let is_smallest = |set: &Voters| {
        let without = |replica: ReplicaId| Voters::from_bits(set.bits() & !(1 << replica.0));
        view.is_quorum(*set) && set.iter().all(|replica| !view.is_quorum(without(replica)))
    };
    all_sets(view).filter(is_smallest).collect()
}

/// The smallest sets of collects that a leader may stop waiting at.
fn smallest_collects(view: &View) -> Vec<Voters> {
    if view.f() == 0 { smallest_quorums(view) } else { sets_of(view, view.n() - view.f()) }
}

fn both(a: Voters, b: Voters) -> Voters {
    Voters::from_bits(a.bits() & b.bits())
}

fn without(a: Voters, b: Voters) -> Voters {
    Voters::from_bits(a.bits() & !b.bits())
}

/// Whichever `f` replicas are faulty, one of these is correct. Literally where that is few sets, else by the count that it
/// amounts to: the worst `f` are members of the set.
fn holds_a_correct_replica(view: &View, set: Voters) -> bool {
    if view.n() > 7 {
        return set.len() > view.f();
    }
    sets_of(view, view.f()).into_iter().all(|faulty| !without(set, faulty).is_empty())
}

#[test]
fn two_certificates_of_one_epoch_share_a_correct_replica_that_wrote_once() {
    for view in views() {
        let quorums = smallest_quorums(&view);
        for &a in &quorums {
            for &b in &quorums {
                assert!(holds_a_correct_replica(&view, both(a, b)), "{view:?}: {a:?} and {b:?}");
            }
        }
    }
}

#[test]
fn every_collects_a_leader_may_stop_at_hold_a_correct_member_of_every_quorum() {
    for view in views() {
        let collects = smallest_collects(&view);
        for &deciders in &smallest_quorums(&view) {
            for &members in &collects {
                assert!(view.is_all_correct(members));
                assert!(holds_a_correct_replica(&view, both(deciders, members)), "{view:?}: {deciders:?}, {members:?}");
            }
        }
    }
}

#[test]
fn whoever_may_be_waited_for_is_a_quorum_and_always_there() {
    for view in views() {
        for faulty in sets_of(&view, view.f()) {
            let all = Voters::from_bits((1 << view.n()) - 1);
            let correct = without(all, faulty);
            assert!(view.is_all_correct(correct) && view.is_quorum(correct), "{view:?}: without {faulty:?}");
        }
    }
}

#[test]
fn any_correct_is_the_fewest_heads_that_cannot_all_lie() {
    for view in views() {
        for enough in sets_of(&view, view.f() + 1) {
            assert!(view.is_any_correct(enough) && holds_a_correct_replica(&view, enough), "{view:?}: {enough:?}");
        }
        for too_few in sets_of(&view, view.f()) {
            assert!(!view.is_any_correct(too_few) && !holds_a_correct_replica(&view, too_few), "{view:?}: {too_few:?}");
        }
    }
}

/// So a regency that one correct replica has installed is joined by all: the STOPs of the correct ones among the quorum are
/// enough for the others to join, and then all correct replicas are a quorum.
#[test]
fn a_quorum_of_stops_contains_enough_correct_heads_for_the_others_to_join() {
    for view in views() {
        for stops in smallest_quorums(&view) {
            for faulty in sets_of(&view, view.f()) {
                assert!(view.is_any_correct(without(stops, faulty)), "{view:?}: {stops:?} without {faulty:?}");
            }
        }
    }
}

/// Weights speed things up by making some quorums smaller; they never let fewer than `2f + 1` heads decide.
#[test]
fn no_weights_let_fewer_than_two_f_plus_one_heads_decide() {
    for view in views() {
        let fewest = smallest_quorums(&view).iter().map(|quorum| quorum.len()).min();
        assert!(fewest >= Some(2 * view.f() + 1), "{view:?}: {fewest:?}");
    }
}

#[test]
fn where_replicas_only_crash_two_quorums_and_all_collects_meet() {
    for view in crash_only_views() {
        let quorums = smallest_quorums(&view);
        for &deciders in &quorums {
            assert!(quorums.iter().all(|&others| !both(deciders, others).is_empty()), "{view:?}: {deciders:?}");
            for members in smallest_collects(&view) {
                assert!(!both(deciders, members).is_empty(), "{view:?}: {deciders:?} and {members:?}");
            }
        }
    }
}

#[test]
fn where_replicas_only_crash_those_that_are_left_decide_begin_regencies_and_acknowledge() {
    for view in crash_only_views() {
        for dead in sets_of(&view, view.f()) {
            let left = without(Voters::from_bits((1 << view.n()) - 1), dead);
            assert!(
                view.is_quorum(left) && view.is_all_correct(left) && view.is_any_correct(left),
                "{view:?}: {left:?}"
            );
        }
    }
}

/// So whatever is decided was durable at one replica more than may crash, and a regency that was entered is joined by whoever
/// hears of it.
#[test]
fn where_replicas_only_crash_fewer_than_f_plus_one_heads_decide_nothing() {
    for view in crash_only_views() {
        for quorum in smallest_quorums(&view) {
            assert!(view.is_any_correct(quorum), "{view:?}: {quorum:?}");
        }
    }
}

/// A replica that lost its disk asks so many that one of them remembers, whichever quorum it was a member of.
#[test]
fn where_replicas_only_crash_witnesses_meet_every_quorum_in_another_than_the_one_that_forgot() {
    for view in crash_only_views().into_iter().filter(|view| view.f() > 0) {
        let quorums = smallest_quorums(&view);
        for witnesses in all_sets(&view).filter(|set| view.is_quorum_of_witnesses(*set)) {
            for forgetful in witnesses.iter() {
                let others = without(witnesses, [forgetful].into_iter().collect());
                let meets = |&quorum: &Voters| !both(quorum, others).is_empty();
                assert!(quorums.iter().all(meets), "{view:?}: {witnesses:?} without {forgetful}");
            }
        }
        let all = Voters::from_bits((1 << view.n()) - 1);
        assert!(view.is_quorum_of_witnesses(all), "{view:?}: all of them are enough");
        assert!(!view.is_quorum_of_witnesses(Voters::NONE) && view.is_founding_quorum(all));
    }
}

/// A lost disk counts towards `f`; so many others may be out of reach that with it they are `f`.
#[test]
fn where_replicas_only_crash_witnesses_are_left_when_one_forgot_and_the_other_faulty_ones_are_dead() {
    for view in crash_only_views().into_iter().filter(|view| view.f() > 0) {
        for dead in sets_of(&view, view.f() - 1) {
            let there = without(Voters::from_bits((1 << view.n()) - 1), dead);
            assert!(view.is_quorum_of_witnesses(there), "{view:?}: without {dead:?}");
        }
    }
}
