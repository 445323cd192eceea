//! What moves the limits of a leader, and what does not.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::pace::Judged;
use crate::id::{GroupId, InstanceId, Regency, ReplicaId, Time};
use crate::limits::Limits;
use crate::quorum::View;
use crate::replica::Replica;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Replica 1 of four, in this regency. It and replica 2 see this accept time, replica 0 claims the longest there can be,
/// replica 3 sees a short one.
fn replica(regency: u64, accept_time: Duration) -> Replica {
    let view = View::flat(GroupId([1; 32]), 4).unwrap();
    let mut replica = Replica::new(ReplicaId(1), view, Limits::default());
    let accept_time = accept_time.as_nanos() as u64;
    replica.regencies.current = Regency(regency);
    replica.patience.accept_time = accept_time;
    for (peer, reported) in [(0, u64::MAX), (2, accept_time), (3, 1)] {
        replica.patience.reported(ReplicaId(peer), reported);
    }
    replica
}

fn judge(replica: &mut Replica, regency: u64, accept_time: Duration, pace: Duration) {
    replica.patience.judged.insert(Regency(regency), Judged { accept_time, pace: Some(pace) });
}

/// After how many instances that take so long each is the leader too slow?
fn instances_until_slow(replica: &mut Replica, each: Duration) -> Option<u64> {
    (1..=400).find(|instance| {
        let now = Time(0).after(each * *instance as u32);
        replica.patience.voted(now, InstanceId(*instance), Time(0));
        replica.patience.progressed(now, InstanceId(*instance));
        replica.is_leader_slow(now)
    })
}

#[test]
fn a_leader_cannot_raise_its_own_limits_far() {
    assert_eq!(replica(0, millis(40)).timeout(), millis(640), "sixteen times what is measured");
    let mut raised = replica(0, millis(5_000));
    assert_eq!(raised.timeout(), millis(800));
    assert_eq!(instances_until_slow(&mut raised, millis(601)), Some(16), "and twelve times as much for its pace");
}

#[test]
fn what_was_measured_under_others_raises_the_limits() {
    let mut shown = replica(3, millis(5_000));
    judge(&mut shown, 2, millis(200), millis(600));
    assert_eq!(shown.timeout(), millis(3_200));
    assert_eq!(instances_until_slow(&mut shown, millis(790)), None);
}

#[test]
fn what_was_measured_in_an_earlier_turn_of_the_same_leader_counts_no_more() {
    let mut returned = replica(4, millis(5_000));
    judge(&mut returned, 0, millis(5_000), millis(5_000));
    assert_eq!(returned.timeout(), millis(800));
}

#[test]
fn a_leader_slower_than_votes_explain_is_slow_over_a_long_window() {
    assert_eq!(instances_until_slow(&mut replica(0, millis(40)), millis(159)), None);
    assert_eq!(instances_until_slow(&mut replica(0, millis(40)), millis(161)), Some(128));
    assert_eq!(instances_until_slow(&mut replica(0, millis(40)), millis(481)), Some(16));
}

#[test]
fn a_group_in_which_everybody_had_a_turn_keeps_the_best_leader() {
    let tried = || {
        let mut tried = replica(3, millis(40));
        for (regency, pace) in [(0, 200), (1, 220), (2, 180)] {
            judge(&mut tried, regency, millis(40), millis(pace));
        }
        tried
    };
    assert_eq!(instances_until_slow(&mut tried(), millis(239)), None, "a third more than the best of the others");
    assert_eq!(instances_until_slow(&mut tried(), millis(241)), Some(128));
}

/// Between continents votes take longer than a leader is believed about, and the first leader would be replaced for it.
#[test]
fn what_operators_say_that_a_decision_takes_is_allowed_to_every_leader() {
    let far = |decision_time| {
        let mut far = replica(0, millis(200));
        far.limits.decision_time = decision_time;
        far
    };
    assert_eq!(instances_until_slow(&mut far(Duration::ZERO), millis(640)), Some(16));
    assert_eq!(instances_until_slow(&mut far(Duration::ZERO), millis(450)), Some(128));
    assert_eq!(instances_until_slow(&mut far(millis(720)), millis(950)), None, "a third more");
    assert_eq!(instances_until_slow(&mut far(millis(720)), millis(970)), Some(16));
    assert_eq!((far(millis(720)).timeout(), far(millis(1_000)).timeout()), (millis(800), millis(1_000)));
}
