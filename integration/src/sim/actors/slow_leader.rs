//! *Attack.* A leader that does everything right and nothing in time: each PROPOSE leaves just before anybody would lose
//! patience. One that knows the rules listens to what the others report and stays under a limit of its choice; one that
//! is bold tries to move the limit.
//!
//! *Known from* Amir et al., *Byzantine replication under attack* (2008), and Clement et al., *Making Byzantine fault
//! tolerant systems tolerate Byzantine faults* (2009).
//!
//! *Answer.* The pace of a leader is compared with what the votes of the group take; one that is far slower over a window of
//! instances is stopped, and so is one that is a third slower over a long one. What is measured under a leader raises its
//! own limits so far and no farther.

use std::collections::BTreeMap;
use std::time::Duration;

use mod_smart::certificate::VoteKind;
use mod_smart::{InstanceId, Limits, Message, ReplicaId, Time, Voters};

use crate::sim::actor::{Actor, Hand};

#[derive(Debug)]
struct SlowLeader {
    delay: Duration,
    /// Does it hold SYNC back, too?
    holds_sync: bool,
}

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    let delay = Duration::from_millis(40 + seed % 350);
    Box::new(SlowLeader { delay, holds_sync: (seed / 350).is_multiple_of(4) })
}

impl Actor for SlowLeader {
    fn name(&self) -> &'static str {
        "slow-leader"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        match message {
            Message::Propose(_) => hand.send_later(self.delay, to, message),
            Message::Sync(_) if self.holds_sync => hand.send_later(self.delay, to, message),
            message => hand.send(to, message),
        }
    }
}

/// Takes nearly as long for each instance as the rules let it.
#[derive(Debug)]
struct Calculating {
    aim: Aim,
    /// What the others say that their votes take.
    reports: BTreeMap<ReplicaId, Duration>,
    /// The newest instance, when it could have been proposed, and for how long that was put off.
    newest: (InstanceId, Time, Duration),
    /// What an instance takes beside that, on average.
    fair: Duration,
}

/// Which limit it stays under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// Twice the timeout: *stalled* never fires.
    Timeout,
    /// The pace limit, too: *slow* does not either.
    Pace,
    /// Both, and both are moved: one correct replica is kept waiting, so that the others see votes that take long.
    Measure,
}

/// Stays under the timeout, and takes no heed of the pace.
pub(in crate::sim) fn under_the_timeout(_: u64) -> Box<dyn Actor> {
    Box::new(Calculating::new(Aim::Timeout))
}

/// Stays under the limit of the pace.
pub(in crate::sim) fn under_the_pace(_: u64) -> Box<dyn Actor> {
    Box::new(Calculating::new(Aim::Pace))
}

/// Stays under limits that it raises as far as it can.
pub(in crate::sim) fn under_raised_limits(_: u64) -> Box<dyn Actor> {
    Box::new(Calculating::new(Aim::Measure))
}

impl Calculating {
    const fn new(aim: Aim) -> Self {
        let newest = (InstanceId(0), Time(0), Duration::ZERO);
        Self { aim, reports: BTreeMap::new(), newest, fair: Duration::ZERO }
    }

    /// What honest replicas agree on at least: liars report as much as they can.
    fn agreed(&self, hand: &Hand<'_>) -> Option<Duration> {
        let honest = self.reports.iter().filter(|(id, _)| !hand.coalition.contains(**id));
        let mut reports: Vec<(Duration, ReplicaId)> = honest.map(|(id, time)| (*time, *id)).collect();
        reports.sort_unstable();
        let mut heard = Voters::NONE;
        let agreed = reports.into_iter().find(|(_, id)| heard.insert(*id) && hand.view.is_any_correct(heard));
        agreed.map(|(time, _)| time).filter(|time| !time.is_zero())
    }

    /// How long an instance may take in the first regency, when nothing was measured under others yet.
    fn aimed_at(&self, accept_time: Duration) -> Duration {
        let limits = Limits::default();
        let accept_time = accept_time.min(ACCEPT_TIME_UNSHOWN_MAX);
        let stalled = 2 * limits.request_timeout.max(accept_time * ACCEPT_TIMES_PER_TIMEOUT);
        let slow = (2 * limits.pace_floor).max(accept_time * ACCEPT_TIMES_PER_FAIR_INSTANCE);
        match self.aim {
            Aim::Timeout => stalled.mul_f64(SHARE_OF_TIMEOUT),
            Aim::Pace | Aim::Measure => slow.mul_f64(SHARE_OF_PACE),
        }
    }

    /// The honest replica could propose this now: how long to put it off.
    fn put_off(&mut self, instance: InstanceId, hand: &Hand<'_>) -> Duration {
        let (newest, since, put_off) = self.newest;
        if instance <= newest {
            return put_off;
        }
        let taken = Duration::from_nanos(hand.now.0 - since.0).saturating_sub(put_off);
        if instance == newest.next() && newest.0 > 0 {
            self.fair = if self.fair.is_zero() { taken } else { (self.fair * 7 + taken) / 8 };
        }
        let aimed_at = self.agreed(hand).map_or(Duration::ZERO, |time| self.aimed_at(time));
        self.newest = (instance, hand.now, aimed_at.saturating_sub(self.fair));
        self.newest.2
    }

    /// Who is kept waiting while the limits are raised: one is enough, if the liars keep their own ACCEPT back.
    fn is_kept_waiting(to: ReplicaId, hand: &Hand<'_>) -> bool {
        hand.view.replicas().filter(|id| !hand.coalition.contains(*id)).last() == Some(to)
    }
}

impl Actor for Calculating {
    fn name(&self) -> &'static str {
        match self.aim {
            Aim::Timeout => "slow-leader-under-the-timeout",
            Aim::Pace => "slow-leader-under-the-pace",
            Aim::Measure => "slow-leader-under-raised-limits",
        }
    }

    fn on_receive(&mut self, from: ReplicaId, message: &Message, _: &mut Hand<'_>) -> bool {
        if let Message::Status(status) = message {
            self.reports.insert(from, Duration::from_nanos(status.accept_time));
        }
        true
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        let (is_raising, is_waiting) = (self.aim == Aim::Measure, Self::is_kept_waiting(to, hand));
        match message {
            Message::Propose(propose) => {
                let put_off = self.put_off(propose.instance, hand);
                let delay = if is_raising && !is_waiting { Duration::ZERO } else { put_off };
                hand.send_later(delay, to, Message::Propose(propose));
            }
            Message::Vote(vote) if is_raising && (is_waiting || vote.vote.kind == VoteKind::Accept) => {
                hand.send_later(self.newest.2, to, Message::Vote(vote));
            }
            // It has the decision that the others wait for.
            Message::Decisions(_) if is_raising => {}
            Message::Status(mut status) => {
                status.accept_time = u64::MAX;
                hand.send(to, Message::Status(status));
            }
            message => hand.send(to, message),
        }
    }
}

/// The rules, as everybody can read them in the core's `patience`.
const ACCEPT_TIMES_PER_TIMEOUT: u32 = 16;
const ACCEPT_TIMES_PER_FAIR_INSTANCE: u32 = 4;
const ACCEPT_TIME_UNSHOWN_MAX: Duration = Duration::from_millis(50);

/// A single late instance would be one too many, so it leaves some room for what the network does.
const SHARE_OF_TIMEOUT: f64 = 0.85;

/// The pace is an average, and so is what it is compared with.
const SHARE_OF_PACE: f64 = 0.9;
