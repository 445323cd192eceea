//! The selection rule over every set of collects: what is decided stays selected.
//!
//! The inductive step of the safety argument, checked case by case. Let `X` be decided in epoch `e`: a quorum, the liars
//! counted, holds its certificate. Certificates of later epochs are for `X` (that is the induction), those of earlier ones
//! for anything. Then every n - f collects, the liars showing any valid certificate or none, select `X` and nothing else.

use mod_smart::quorum::{View, Voters};
use mod_smart::{GroupId, ReplicaId};

use super::{Certificate, Collect, Value, Values, select, subsets};
use crate::rules::Rules;

const X: Value = Value::X;

/// What a correct replica may report, given whether it is one of those that decided `X` in this epoch (of 0 and 1).
fn reports(decided_in: u8, has_decided: bool) -> Vec<Collect> {
    let certificate = |epoch, value| Some(Certificate { epoch, value });
    match (decided_in, has_decided) {
        (0, true) => vec![certificate(0, X), certificate(1, X)],
        (0, false) => vec![None, certificate(1, X)],
        (_, true) => vec![certificate(1, X)],
        (_, false) => vec![None, certificate(0, X), certificate(0, X.other())],
    }
}

/// What a liar may show: nothing, or any certificate that can exist.
fn shows(decided_in: u8) -> Vec<Collect> {
    let mut all = reports(decided_in, true);
    all.extend(reports(decided_in, false));
    all
}

/// All ways to take one of each.
fn product(options: &[Vec<Collect>]) -> Vec<Vec<Collect>> {
    options.iter().fold(vec![Vec::new()], |rows, column| {
        rows.iter().flat_map(|row| column.iter().map(move |&cell| [row.as_slice(), &[cell]].concat())).collect()
    })
}

/// Cases in which a decided value is forgotten, and all cases.
fn forgotten(rules: &Rules, view: &View) -> (usize, usize) {
    let all: Vec<ReplicaId> = view.replicas().collect();
    let (mut lost, mut cases) = (0, 0);
    for liars in subsets(&all, view.f()) {
        let is_liar = |replica: &ReplicaId| liars.contains(replica);
        for deciders in (0..1_u128 << view.n()).map(Voters::from_bits) {
            // Liars count as deciders wherever they are needed, so that only sets with all of them need a look.
            if !view.is_quorum(deciders) || !liars.iter().all(|&liar| deciders.contains(liar)) {
                continue;
            }
            for decided_in in 0..2 {
                for members in subsets(&all, view.n() - view.f()) {
                    let options: Vec<Vec<Collect>> = members
                        .iter()
                        .map(|member| match is_liar(member) {
                            true => shows(decided_in),
                            false => reports(decided_in, deciders.contains(*member)),
                        })
                        .collect();
                    for row in product(&options) {
                        let collects: Vec<(ReplicaId, Collect)> = members.iter().copied().zip(row).collect();
                        cases += 1;
                        lost += usize::from(select(rules, view, &collects) != Values::NONE.with(X));
                    }
                }
            }
        }
    }
    (lost, cases)
}

fn wheat(delta: usize) -> View {
    super::view(4 + delta, super::Weights::Wheat)
}

#[test]
fn every_set_of_collects_selects_what_is_decided() {
    let mut views = vec![wheat(0), wheat(1), wheat(2)];
    views.extend((4..=6).map(|n| View::flat(GroupId([1; 32]), n).unwrap()));
    for view in views {
        let (lost, cases) = forgotten(&Rules::ALL, &view);
        println!("HOLDS  selection, n = {}, {:?} to decide: {cases} sets of collects", view.n(), view.quorum_weight());
        assert_eq!(lost, 0, "{view:?}");
        assert!(cases > 1000);
    }
}

#[test]
fn a_quorum_of_heads_that_report_nothing_forgets_a_decided_value_from_two_spares_on() {
    let rules = Rules { one_certificate_binds: false, ..Rules::ALL };
    let lost: Vec<usize> = (0..=2).map(|delta| forgotten(&rules, &wheat(delta)).0).collect();
    println!("BREAKS without 'one certificate binds': sets that forget, for 0, 1 and 2 spares: {lost:?}");
    assert!(lost[0] == 0 && lost[1] == 0 && lost[2] > 0, "{lost:?}");
}

#[test]
fn nothing_encoded_as_epoch_zero_forgets_a_decided_value() {
    let rules = Rules { nothing_is_not_epoch_zero: false, ..Rules::ALL };
    let (lost, cases) = forgotten(&rules, &wheat(0));
    println!("BREAKS without 'nothing is not epoch 0': {lost} of {cases} sets forget");
    assert!(lost > 0);
}
