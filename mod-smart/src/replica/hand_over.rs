//! A leader hands over to a named replica: an ordered command, and then the ordinary synchronization phase.
//!
//! Nobody is accused, and nothing rests on it: a replica that obeys wants the regency that the named one leads next, and the
//! regency is entered when a quorum wants it. Whoever is in another regency by the time it hears of it has nothing to do.
//!
//! A leader is judged over a window of instances. Two that hand over to each other could escape that for ever, so each is
//! obeyed once in a while only.

use std::collections::BTreeMap;

use super::Replica;
use super::patience::StopReason;
use crate::id::{Regency, ReplicaId, Time};
use crate::surface::Action;

/// When this replica last obeyed each of the others: at most one entry for each.
#[derive(Debug, Default)]
pub(crate) struct HandOvers {
    obeyed: BTreeMap<ReplicaId, Time>,
}

impl Replica {
    /// The leader of this regency asked, in the decided sequence, that `to` lead instead.
    pub(super) fn on_hand_over(&mut self, now: Time, regency: Regency, to: ReplicaId, actions: &mut Vec<Action>) {
        let leader = self.leader();
        if regency != self.regencies.current || to == leader || self.is_silent() {
            return;
        }
        let Some(wished) = self.view.next_led_by(to, regency) else { return };
        if self.regencies.wants(self.me) >= wished || !self.may_obey(now, leader) {
            return;
        }
        self.hand_overs.obeyed.insert(leader, now);
        self.regencies.reason = Some(StopReason::HandedOver);
        self.want(wished, actions);
        self.follow_stops(now, actions);
    }

    fn may_obey(&self, now: Time, leader: ReplicaId) -> bool {
        self.hand_overs.obeyed.get(&leader).is_none_or(|at| now >= at.after(self.limits.hand_over_interval))
    }
}
