//! Who may give the lead away.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use blockcutter::{Command, Ordering, Output, SkipReason, command};
use bytes::Bytes;
use mod_smart::{Client, InstanceId, Regency, ReplicaId};
use world::{FRONTEND, replica, view};

fn hand_over(client: Client, regency: u64, to: u16) -> Vec<Output> {
    let mut ordering = Ordering::new(view(4).with_leaders(&[ReplicaId(2)]).unwrap());
    let body: Bytes = command::encode(&[Command::HandOver { regency: Regency(regency), to: ReplicaId(to) }]);
    let mut out = Vec::new();
    ordering.apply(InstanceId(1), client, &body, &mut out);
    out
}

#[test]
fn the_leader_of_a_regency_hands_it_over_to_a_member() {
    // They take turns in the order 2, 0, 1, 3.
    for (leader, regency, to) in [(2, 0, 3), (0, 1, 2), (3, 3, 0), (2, 4, 1), (1, 2, 1)] {
        let out = hand_over(replica(leader), regency, to);
        let [Output::HandOver { regency: of, to: next }] = out[..] else { panic!("{out:?}") };
        assert_eq!((of, next), (Regency(regency), ReplicaId(to)));
    }
}

#[test]
fn nobody_else_hands_over_and_nobody_hands_over_to_a_stranger() {
    let asks = [(FRONTEND, 0, 3), (replica(0), 0, 3), (replica(2), 1, 3), (replica(200), 0, 3), (replica(2), 0, 4)];
    for (client, regency, to) in asks {
        let out = hand_over(client, regency, to);
        let is_skipped = matches!(&out[..], [Output::Skipped { channel: None, reason: SkipReason::NotAllowed }]);
        assert!(is_skipped, "{client:?} {regency} {to}: {out:?}");
    }
}
