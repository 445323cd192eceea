//! The numbers that views come to.
#![allow(clippy::unwrap_used)]

use super::*;

const GROUP: GroupId = GroupId([7; 32]);

fn views() -> Vec<View> {
    let mut views: Vec<View> = (1..=10).map(|n| View::flat(GROUP, n).unwrap()).collect();
    for f in 1..=2 {
        for delta in 0..=3 {
            let heavy = (0..2 * f as u16).map(ReplicaId).collect();
            views.push(View::weighted(GROUP, f, delta, heavy).unwrap());
        }
    }
    views
}

/// Fabric's own table, `common/policies/bft.go`: n = 1..13.
#[test]
fn flat_quorums_equal_the_counts_fabric_derives() {
    let expected = [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9];
    for (n, quorum) in (1..).zip(expected) {
        assert_eq!(View::flat(GROUP, n).unwrap().quorum_weight(), Weight(quorum), "n = {n}");
    }
}

#[test]
fn any_two_quorums_share_a_correct_replica() {
    for view in views() {
        let quorums: Vec<u128> = (0..1_u128 << view.n()).filter(|&s| view.is_quorum(Voters::from_bits(s))).collect();
        let minimal: Vec<u128> = quorums
            .iter()
            .copied()
            .filter(|s| (0..view.n()).all(|i| !quorums.contains(&(s & !(1 << i))) || s & (1 << i) == 0))
            .collect();
        for a in &minimal {
            for b in &minimal {
                assert!((a & b).count_ones() as usize > view.f(), "{view:?} {a:b} {b:b}");
            }
        }
    }
}

#[test]
fn the_survivors_of_any_f_crashes_are_a_quorum() {
    for view in views() {
        let all = (1_u128 << view.n()) - 1;
        for dead in (0..=all).filter(|s| s.count_ones() as usize == view.f()) {
            assert!(view.is_quorum(Voters::from_bits(all & !dead)), "{view:?} {dead:b}");
        }
    }
}

#[test]
fn five_replicas_with_a_spare_decide_with_the_two_heavy_and_one_more() {
    let view = View::weighted(GROUP, 1, 1, [ReplicaId(0), ReplicaId(1)].into_iter().collect()).unwrap();
    assert!(view.is_quorum([0, 1, 4].map(ReplicaId).into_iter().collect()));
    assert!(!view.is_quorum([2, 3, 4].map(ReplicaId).into_iter().collect()));
}

#[test]
fn where_replicas_only_crash_a_majority_is_a_quorum() {
    for (n, (quorum, f)) in (1..).zip([(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (4, 2), (4, 3)]) {
        let view = View::crash_only(GROUP, n).unwrap();
        assert_eq!((view.quorum_weight(), view.f()), (Weight(quorum), f), "n = {n}");
    }
}

/// Figure 5.10b of the thesis: two of four replicas decide, if one of them is the heavy one.
#[test]
fn the_heavy_one_of_four_replicas_that_only_crash_decides_with_any_other() {
    let view = View::crash_only_weighted(GROUP, 1, 1, [ReplicaId(2)].into_iter().collect()).unwrap();
    assert!(view.is_quorum([0, 2].map(ReplicaId).into_iter().collect()));
    assert!(!view.is_quorum([0, 1].map(ReplicaId).into_iter().collect()));
    assert!(view.is_quorum([0, 1, 3].map(ReplicaId).into_iter().collect()));
}

/// Published hole 6: what is enough where nobody lies must never be where somebody may.
#[test]
fn one_vote_binds_and_delivers_nothing_where_anybody_may_lie() {
    let one: Voters = [ReplicaId(0)].into_iter().collect();
    for view in views() {
        assert!(!view.is_certificate(Voters::NONE) && view.has_writes());
        assert_eq!(view.is_certificate(one), view.is_quorum(one));
        assert_eq!(view.is_delivery_quorum(one), view.is_quorum(one));
    }
    let view = View::crash_only(GROUP, 3).unwrap();
    assert!(view.is_certificate(Voters::NONE) && view.is_delivery_quorum(one) && !view.has_writes());
    assert!(!view.is_delivery_quorum([ReplicaId(7)].into_iter().collect()), "no member");
}

#[test]
fn leaders_take_turns_in_the_order_named_and_the_others_after_them() {
    let view = View::flat(GROUP, 5).unwrap().with_leaders(&[ReplicaId(3), ReplicaId(1)]).unwrap();
    let leaders: Vec<u16> = (0..7).map(|regency| view.leader(Regency(regency)).0).collect();
    assert_eq!(leaders, [3, 1, 0, 2, 4, 3, 1]);
    assert_eq!(view.next_led_by(ReplicaId(3), Regency(0)), Some(Regency(5)));
    assert_eq!(view.next_led_by(ReplicaId(4), Regency(4)), Some(Regency(9)));
    assert_eq!(view.next_led_by(ReplicaId(9), Regency(4)), None);
    assert_eq!(view.next_led_by(ReplicaId(1), Regency(u64::MAX)), None);
}

#[test]
fn an_order_of_leaders_names_members_once() {
    let view = || View::flat(GROUP, 4).unwrap();
    assert_eq!(view().with_leaders(&[]), Ok(view()));
    assert_eq!(view().with_leaders(&[ReplicaId(4)]), Err(ViewError::Leaders(ReplicaId(4))));
    let twice = [ReplicaId(1), ReplicaId(1)];
    assert_eq!(view().with_leaders(&twice), Err(ViewError::Leaders(ReplicaId(1))));
}

#[test]
fn wrong_weights_are_refused() {
    let heavy = [ReplicaId(0)].into_iter().collect();
    assert_eq!(View::weighted(GROUP, 1, 1, heavy), Err(ViewError::Weights { heavy_expected: 2, heavy: 1 }));
    assert_eq!(View::crash_only_weighted(GROUP, 2, 1, heavy), Err(ViewError::Weights { heavy_expected: 2, heavy: 1 }));
    assert_eq!(View::flat(GROUP, 0), Err(ViewError::Size(0)));
    assert_eq!(View::crash_only(GROUP, 0), Err(ViewError::Size(0)));
}
