//! Model 1 explored: with all rules nothing breaks; without each of them, the shortest run that does.

use super::{BlockPolicy, OneInstance};
use crate::collects::{Weights, view};
use crate::explorer::explore;
use crate::rules::Rules;
use crate::verdict::{breaks, holds};
use mod_smart::ReplicaId;

fn among(n: u16, weights: Weights, liar: u16, rules: Rules, regencies: u8) -> OneInstance {
    let view = view(usize::from(n), weights);
    OneInstance { rules, view, liar: ReplicaId(liar), regencies, policy: BlockPolicy::Quorum }
}

fn four(rules: Rules, regencies: u8) -> OneInstance {
    among(4, Weights::Flat, 3, rules, regencies)
}

#[test]
fn four_replicas_agree_over_four_regencies() {
    holds("n = 4, 2 regencies", explore(&four(Rules::ALL, 2)), 200);
    holds("n = 4, 3 regencies", explore(&four(Rules::ALL, 3)), 3000);
    holds("n = 4, 4 regencies", explore(&four(Rules::ALL, 4)), 30_000);
}

/// A rule of another model is dropped, which changes nothing here but that the whole state is the key.
#[test]
fn leaving_out_dead_history_changes_no_verdict() {
    let rules = Rules { gaps_are_filled: false, ..Rules::ALL };
    holds("n = 4, 3 regencies, whole states", explore(&four(rules, 3)), 90_000);
}

#[test]
fn five_and_six_replicas_agree_flat_and_weighted_whoever_lies() {
    for (n, regencies) in [(5, 3), (6, 2)] {
        for (weights, name) in [(Weights::Flat, "flat"), (Weights::Wheat, "weighted")] {
            for (liar, place) in [(0, "first"), (n - 1, "last")] {
                let what = format!("n = {n} {name}, the {place} replica lies, {regencies} regencies");
                holds(&what, explore(&among(n, weights, liar, Rules::ALL, regencies)), 1000);
            }
        }
    }
}

#[test]
fn a_quorum_counted_over_messages_lets_a_liar_make_certificates_alone() {
    let rules = Rules { voters_are_distinct: false, ..Rules::ALL };
    breaks("voters are distinct", explore(&four(rules, 2)), 6);
}

#[test]
fn a_quorum_counted_over_pairs_of_replica_and_epoch_mixes_epochs() {
    let rules = Rules { votes_are_of_one_epoch: false, ..Rules::ALL };
    breaks("votes are of one epoch", explore(&four(rules, 2)), 9);
}

#[test]
fn an_epoch_outside_the_signature_lets_an_old_certificate_win() {
    let rules = Rules { epoch_is_signed: false, ..Rules::ALL };
    breaks("the epoch is signed", explore(&four(rules, 3)), 14);
}

#[test]
fn a_type_outside_the_signature_turns_a_certificate_into_a_proof() {
    let rules = Rules { type_is_signed: false, ..Rules::ALL };
    breaks("the message type is signed", explore(&four(rules, 3)), 8);
}

#[test]
fn an_unproven_last_decision_is_believed() {
    let rules = Rules { decision_is_proven: false, ..Rules::ALL };
    breaks("a decision is proven", explore(&four(rules, 2)), 4);
}

#[test]
fn a_replayed_stopdata_hides_a_later_decision() {
    let rules = Rules { stopdata_is_bound: false, ..Rules::ALL };
    breaks("STOPDATA is bound to its regency", explore(&four(rules, 3)), 12);
}

/// A certificate whose votes sign their epoch exists only if correct replicas ran that epoch: the bound is a second line of
/// defence here, and the first one wherever an epoch is only claimed.
#[test]
fn the_bound_on_epochs_is_a_second_line_behind_signed_epochs() {
    let rules = Rules { epoch_is_bounded: false, ..Rules::ALL };
    holds("n = 4, 3 regencies, epochs of collects not bounded", explore(&four(rules, 3)), 90_000);
}

#[test]
fn nothing_encoded_as_epoch_zero_forgets_a_decision() {
    let rules = Rules { nothing_is_not_epoch_zero: false, ..Rules::ALL };
    breaks("nothing is not epoch 0", explore(&four(rules, 2)), 10);
}

#[test]
fn a_choice_that_nobody_recomputes_is_the_liars() {
    let rules = Rules { choice_is_recomputed: false, ..Rules::ALL };
    breaks("the choice is recomputed", explore(&four(rules, 2)), 10);
}

#[test]
fn an_accept_after_stopdata_completes_a_decision_nobody_reported() {
    let rules = Rules { left_is_left: false, ..Rules::ALL };
    breaks("what is left is left", explore(&four(rules, 2)), 10);
}

#[test]
fn a_forgotten_write_makes_two_certificates_of_one_epoch() {
    let rules = Rules { write_is_durable: false, ..Rules::ALL };
    breaks("a WRITE is durable", explore(&four(rules, 2)), 12);
}

#[test]
fn a_forgotten_certificate_forgets_a_decision() {
    let rules = Rules { certificate_is_durable: false, ..Rules::ALL };
    breaks("a certificate is durable before the ACCEPT", explore(&four(rules, 2)), 11);
}

#[test]
fn heads_counted_in_certificates_forget_a_decision_from_two_spares_on() {
    let rules = Rules { certificates_are_weighed: false, ..Rules::ALL };
    holds("n = 5 weighted, certificates by heads", explore(&among(5, Weights::Wheat, 0, rules, 2)), 1000);
    breaks("certificates are weighed (n = 6)", explore(&among(6, Weights::Wheat, 0, rules, 2)), 15);
}

#[test]
fn heads_counted_as_silence_forget_a_decision_from_two_spares_on() {
    let rules = Rules { one_certificate_binds: false, ..Rules::ALL };
    holds("n = 5 weighted, silence by heads", explore(&among(5, Weights::Wheat, 0, rules, 2)), 1000);
    breaks("one certificate binds (n = 6)", explore(&among(6, Weights::Wheat, 0, rules, 2)), 12);
}

#[test]
fn a_weak_block_policy_gets_no_tentative_signatures() {
    let model = OneInstance { policy: BlockPolicy::AnyCorrect, ..four(Rules::ALL, 4) };
    holds("n = 4, weak block policy", explore(&model), 30_000);
}

#[test]
fn a_tentative_signature_satisfies_a_weak_block_policy_too_early() {
    let rules = Rules { tentative_needs_strong_policy: false, ..Rules::ALL };
    let model = OneInstance { policy: BlockPolicy::AnyCorrect, ..four(rules, 2) };
    breaks("tentative signatures need a strong policy", explore(&model), 9);
}

/// An honest frontend tallies tentative signatures per regency. A peer sees no regency: a lying frontend can hand it one
/// signature of regency 0 and one of regency 2 over a value that regency 3 then contradicts.
#[test]
fn tentative_signatures_of_several_regencies_satisfy_a_peer_too_early() {
    let rules = Rules { tentative_is_first_regency: false, ..Rules::ALL };
    holds("n = 4, 3 regencies, tentative in all", explore(&four(rules, 3)), 4000);
    breaks("tentative signatures in the first regency only", explore(&four(rules, 4)), 20);
}
