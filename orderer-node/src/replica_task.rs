//! The one task that owns a replica: events in, batches of actions out to the disk thread.
//!
//! It takes no decision of its own. Everything that a run of events asks to be persisted is one batch of records, and
//! what else they ask for follows when the records are durable: nothing overtakes a barrier.

use std::time::{Instant, SystemTime};

use mod_smart::replica::StopReason;
use mod_smart::{Action, Event, InstanceId, Regency, Replica, ReplicaId};
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::disk_thread::Batch;

/// Where a replica stands, for status displays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplicaStanding {
    /// The regency it is in.
    pub regency: Regency,
    /// Has that regency begun here?
    pub is_synced: bool,
    /// How and when it came to be in it, unless that was before the node started.
    pub changed: Option<RegencyChange>,
    /// Regencies that began here since the node started, by reason.
    pub changes: RegencyChanges,
    /// Who leads it.
    pub leader: ReplicaId,
    /// The last instance it delivered.
    pub delivered: InstanceId,
    /// When it delivered that, unless that was before the node started.
    pub progressed: Option<Instant>,
    /// Does it stay silent, because its disk was lost?
    pub is_silent: bool,
    /// Is it taking over a state, because the log no longer leads to that of the others?
    pub is_transferring: bool,
    /// The highest instance that another replica claims to have delivered.
    pub highest_claimed: InstanceId,
    /// Requests that wait.
    pub pending_requests: usize,
    /// Bytes of them.
    pub pending_bytes: usize,
    /// Since when the one that waits longest has waited, by the replica's clock.
    pub pending_since: Option<Instant>,
}

/// How many regencies began here for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegencyChanges([u64; REGENCY_REASONS.len() + 1]);

impl RegencyChanges {
    fn count(&mut self, reason: Option<StopReason>) {
        let known = REGENCY_REASONS.iter().position(|(known, _)| Some(*known) == reason);
        self.0[known.unwrap_or(REGENCY_REASONS.len())] += 1;
    }

    /// The counts with a word for each reason, those that are zero included.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let words = REGENCY_REASONS.iter().map(|(_, word)| *word).chain([UNKNOWN_REASON]);
        words.zip(self.0)
    }
}

/// Each reason with a word for labels.
const REGENCY_REASONS: [(StopReason, &str); 7] = [
    (StopReason::Stalled, "stalled"),
    (StopReason::Overtaken, "overtaken"),
    (StopReason::Slow, "slow"),
    (StopReason::Joined, "joined"),
    (StopReason::Readmission, "readmission"),
    (StopReason::Shown, "shown"),
    (StopReason::HandedOver, "handed over"),
];

/// The word for a change whose reason the replica does not know.
const UNKNOWN_REASON: &str = "unknown";

/// A change of regency, as this replica saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegencyChange {
    /// Why it asked for it, or went along.
    pub reason: Option<StopReason>,
    /// When the new regency began here.
    pub at: SystemTime,
}

/// The two ways events come in.
#[derive(Debug)]
pub struct Inbox {
    /// From sockets, after the verify pool. Bounded: who sends waits.
    pub outside: mpsc::Receiver<Event>,
    /// What the replica says to itself, and what its shell tells it. Bounded by the protocol (votes, STOPDATA and checkpoints of its
    /// own, and its own requests), and separate, because a full outside must never keep a replica from hearing itself.
    pub own: mpsc::Receiver<Event>,
}

/// Most events handled before what they ask for is handed on.
const EVENTS_PER_BATCH_MAX: usize = 256;

/// Runs a replica until nobody can send it events any more or the disk thread has stopped.
pub async fn run(
    mut replica: Replica,
    clock: Clock,
    mut inbox: Inbox,
    batches: mpsc::Sender<Batch<Vec<Action>>>,
    standing: watch::Sender<ReplicaStanding>,
) {
    let mut actions = Vec::new();
    let mut begun = Begun::now(&replica);
    loop {
        let deadline = clock.instant(replica.deadline());
        let event = tokio::select! {
            biased;
            Some(event) = inbox.own.recv() => event,
            event = inbox.outside.recv() => match event {
                Some(event) => event,
                None => return,
            },
            () = tokio::time::sleep_until(deadline) => Event::Wake,
        };
        replica.handle(clock.now(), event, &mut actions);
        for _ in 1..EVENTS_PER_BATCH_MAX {
            let Ok(event) = inbox.own.try_recv().or_else(|_| inbox.outside.try_recv()) else { break };
            replica.handle(clock.now(), event, &mut actions);
        }
        for batch in split(std::mem::take(&mut actions)).into_iter().flatten() {
            if batches.send(batch).await.is_err() {
                return;
            }
        }
        begun.follow(&replica);
        standing.send_if_modified(|known| {
            let pending_since = replica.oldest_pending().map(|since| clock.past(since));
            let current = ReplicaStanding {
                changed: begun.changed,
                changes: begun.changes,
                progressed: begun.progressed,
                pending_since,
                ..stand(&replica)
            };
            std::mem::replace(known, current) != current
        });
    }
}

/// The regency that began last, for log lines.
struct Begun {
    regency: Regency,
    leader: ReplicaId,
    is_synced: bool,
    is_silent: bool,
    changed: Option<RegencyChange>,
    changes: RegencyChanges,
    delivered: InstanceId,
    progressed: Option<Instant>,
}

impl Begun {
    fn now(replica: &Replica) -> Self {
        Self {
            regency: replica.regency(),
            leader: replica.leader(),
            is_synced: replica.is_synced(),
            is_silent: replica.is_silent(),
            changed: None,
            changes: RegencyChanges::default(),
            delivered: replica.delivered(),
            progressed: None,
        }
    }

    /// One line for each regency that begins, and a quiet one for each that is entered and has not begun.
    fn follow(&mut self, replica: &Replica) {
        if replica.delivered() != self.delivered {
            (self.delivered, self.progressed) = (replica.delivered(), Some(Instant::now()));
        }
        let (regency, leader, is_synced) = (replica.regency(), replica.leader(), replica.is_synced());
        if self.is_silent && !replica.is_silent() {
            tracing::info!(delivered = %replica.delivered(), %regency, "this replica speaks: whatever it may have forgotten can do no harm");
        }
        self.is_silent = replica.is_silent();
        if (regency, is_synced) == (self.regency, self.is_synced) {
            return;
        }
        let reason = replica.last_stop_reason();
        let why = reason.map_or_else(|| "unknown".to_owned(), |reason| reason.to_string());
        if !is_synced {
            tracing::debug!(%regency, %leader, reason = why, "left the regency before");
            // The leader of the regency that began last is the one that is replaced.
            (self.regency, self.is_synced) = (regency, is_synced);
            return;
        }
        tracing::info!(%regency, old_leader = %self.leader, new_leader = %leader, reason = why, "a new regency began");
        self.changed = Some(RegencyChange { reason, at: SystemTime::now() });
        self.changes.count(reason);
        (self.regency, self.leader, self.is_synced) = (regency, leader, is_synced);
    }
}

/// Where this replica stands.
#[must_use]
pub fn stand(replica: &Replica) -> ReplicaStanding {
    let (pending_requests, pending_bytes) = replica.pending();
    ReplicaStanding {
        regency: replica.regency(),
        is_synced: replica.is_synced(),
        changed: None,
        changes: RegencyChanges::default(),
        progressed: None,
        is_silent: replica.is_silent(),
        is_transferring: replica.is_transferring(),
        leader: replica.leader(),
        delivered: replica.delivered(),
        highest_claimed: replica.highest_claimed(),
        pending_requests,
        pending_bytes,
        pending_since: None,
    }
}

/// What comes before the first barrier waits for nothing; then all records of the run, and after them all the rest in
/// order. That is stricter than the barriers ask for, and one sync covers the run.
#[must_use]
pub fn split(actions: Vec<Action>) -> [Option<Batch<Vec<Action>>>; 2] {
    let is_record = |action: &Action| matches!(action, Action::Persist(_));
    let barrier = actions.iter().position(is_record).unwrap_or(actions.len());
    let (mut before, mut records, mut then) = (Vec::with_capacity(barrier), Vec::new(), Vec::new());
    for (at, action) in actions.into_iter().enumerate() {
        match action {
            Action::Persist(record) => records.push(record),
            free if at < barrier => before.push(free),
            held => then.push(held),
        }
    }
    let free = (!before.is_empty()).then_some(Batch { records: Vec::new(), then: before });
    let held = (!records.is_empty()).then_some(Batch { records, then });
    [free, held]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mod_smart::certificate::{Vote, VoteKind};
    use mod_smart::surface::MisbehaviourKind;
    use mod_smart::{Digest, Epoch, Misbehaviour, Recipients, Record, Statement};

    use super::*;

    #[test]
    fn nothing_overtakes_a_barrier() {
        let vote = Vote { kind: VoteKind::Write, instance: InstanceId(1), epoch: Epoch(0), digest: Digest([0; 32]) };
        let status = || Action::Report(Misbehaviour { replica: ReplicaId(1), kind: MisbehaviourKind::DoubleVote });
        let sign = || Action::Sign(Recipients::All, Statement::Vote(vote));
        let [free, held] =
            split(vec![status(), Action::Persist(Record::Voted(vote)), sign(), status()]).map(Option::unwrap);
        assert!(free.records.is_empty());
        assert_eq!(free.then, [status()]);
        assert_eq!(held.records, [Record::Voted(vote)]);
        assert_eq!(held.then, [sign(), status()]);
        assert!(split(Vec::new()).iter().all(Option::is_none));
    }

    #[test]
    fn changes_of_regency_are_counted_by_reason_and_those_without_one_as_well() {
        let mut changes = RegencyChanges::default();
        for reason in [Some(StopReason::Slow), Some(StopReason::Shown), None, Some(StopReason::Slow)] {
            changes.count(reason);
        }
        let counted: Vec<_> = changes.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("slow", 2), ("shown", 1), ("unknown", 1)]);
    }
}
