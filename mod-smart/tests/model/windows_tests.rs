//! Model 2 explored: with all rules nothing breaks or gets stuck; without each of them, the shortest run that does.

use super::{Pace, Windows};
use crate::collects::{Weights, view};
use crate::explorer::{CounterExample, Coverage, always_possible, explore};
use crate::rules::Rules;
use crate::verdict::{breaks, holds};

/// Two regencies, two instances open at once, this many requests.
fn pair(rules: Rules, requests: u8) -> Windows {
    let view = view(4, Weights::Flat);
    Windows { rules, view, alpha: 2, instances: 2, regencies: 2, requests, pace: Pace::Free }
}

/// One open instance at a time, two instances, three regencies, blocks of two requests and one of another channel.
fn chain(rules: Rules) -> Windows {
    let view = view(4, Weights::Flat);
    Windows { rules, view, alpha: 1, instances: 2, regencies: 3, requests: 3, pace: Pace::Together }
}

fn finishes(model: &Windows) -> Result<Coverage, CounterExample> {
    always_possible(model, |state| model.is_finished(state))
}

#[test]
fn two_open_instances_agree_and_finish() {
    holds("alpha = 2, 2 instances", finishes(&pair(Rules::ALL, 2)), 110_000);
}

#[test]
fn a_window_that_slides_agrees_and_finishes() {
    let model = Windows { instances: 3, pace: Pace::Together, ..pair(Rules::ALL, 2) };
    holds("alpha = 2, 3 instances", finishes(&model), 100_000);
}

#[test]
fn three_open_instances_agree_and_finish() {
    let model = Windows { alpha: 3, instances: 3, pace: Pace::Together, ..pair(Rules::ALL, 1) };
    holds("alpha = 3, 3 instances", finishes(&model), 900_000);
}

#[test]
fn no_block_that_satisfies_a_peer_is_contradicted_over_three_regencies() {
    holds("alpha = 1, 2 instances, blocks", explore(&chain(Rules::ALL)), 500_000);
}

#[test]
fn collects_of_the_first_open_instance_alone_forget_the_second() {
    let rules = Rules { window_is_reported: false, ..Rules::ALL };
    breaks("collects cover the window", explore(&pair(rules, 2)), 10);
}

#[test]
fn a_certificate_of_another_instance_wins() {
    let rules = Rules { instance_is_signed: false, ..Rules::ALL };
    breaks("the instance is signed", explore(&pair(rules, 2)), 9);
}

/// Instance 1 decides `[a]`, instance 2 is bound to `[a]`: who has delivered instance 1 would refuse instance 2 for ever.
#[test]
fn a_bound_batch_refused_as_stale_can_never_finish() {
    let rules = Rules { bound_is_exempt: false, ..Rules::ALL };
    breaks("a bound batch is exempt", finishes(&pair(rules, 1)), 6);
}

/// Instance 2 is bound to the only request there is, and nothing is left for instance 1.
#[test]
fn a_gap_that_nothing_fills_can_never_finish() {
    let rules = Rules { gaps_are_filled: false, ..Rules::ALL };
    breaks("gaps are filled", finishes(&pair(rules, 1)), 2);
}

#[test]
fn a_repeat_that_is_not_skipped_is_delivered_twice() {
    let rules = Rules { repeats_are_skipped: false, ..Rules::ALL };
    breaks("repeats are skipped", explore(&pair(rules, 1)), 8);
}

/// Equal headers can come of different instances: the same request, tentatively in instance 1 of regency 0 and in instance 2
/// of regency 1, is the same block to a peer, and neither instance decided it.
#[test]
fn tentative_signatures_of_several_instances_satisfy_a_peer_too_early() {
    let rules = Rules { block_names_its_instance: false, ..Rules::ALL };
    breaks("the signed value names its instance", explore(&chain(rules)), 16);
}
