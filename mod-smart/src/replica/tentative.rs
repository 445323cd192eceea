//! Tentative delivery (WHEAT, thesis 5.3.2): a batch is given to the application as soon as a quorum has written it, while
//! its ACCEPTs are under way.
//!
//! What is tentative may be taken back, once: when a regency ends before the decision. So the application keeps it apart
//! from what is decided. A certificate that a quorum of correct members has acted on binds the instance for ever (the
//! selection rule), which is why signatures of such a quorum, all of one regency, make a block final before it is decided.
//!
//! Three conditions, each found by the model (PROTOCOL.md): the certificate is durable before anything follows from it; the
//! instances below are delivered, or tentatively so in the same regency; and no SYNC has carried the instance over, for
//! signatures of several regencies over equal bytes would add up at a peer, who sees no regency.

use std::collections::VecDeque;

use super::Replica;
use crate::id::{Digest, InstanceId, Regency};
use crate::request::Request;
use crate::seal::Sealed;
use crate::sessions::Sessions;
use crate::surface::{Action, Tentative};

/// What was delivered tentatively, beyond what is delivered.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The batches, in instance order, the first one right after the last delivered instance.
    batches: VecDeque<(InstanceId, Digest)>,
    /// The sessions after the last of them. None before the first, and after anything was taken back.
    sessions: Option<Sessions>,
}

impl Replica {
    /// Gives the application what a quorum has written here in the current regency.
    pub(super) fn deliver_tentatively(&mut self, actions: &mut Vec<Action>) {
        if !self.limits.tentative || !self.is_voting() {
            return;
        }
        loop {
            let last = self.ahead.batches.back().map_or(self.delivered, |(instance, _)| *instance);
            let next = last.next();
            if !self.is_open(next) || self.is_carried_over(next) {
                return;
            }
            let Some((digest, batch)) = self.written_here(next) else { return };
            let sessions = self.ahead.sessions.get_or_insert_with(|| self.sessions.clone());
            let count = batch.len();
            let requests: Vec<_> =
                batch.into_iter().filter(|request| sessions.order(request.value().id, next)).collect();
            self.ahead.batches.push_back((next, digest));
            let (regency, skipped) = (self.regencies.current, count - requests.len());
            actions.push(Action::DeliverTentatively(Tentative { instance: next, regency, requests, skipped }));
        }
    }

    /// The batch that this replica has accepted in this epoch, so that its certificate is durable, if every body is here.
    fn written_here(&self, id: InstanceId) -> Option<(Digest, Vec<Sealed<Request>>)> {
        let (epoch, instance) = (self.epoch(), self.instances.get(&id)?);
        let digest = instance.certificate(epoch).filter(|_| instance.has_accepted(epoch))?.digest();
        let bodies = instance.batch(digest)?.iter().map(|digest| self.pending.body(*digest).cloned());
        Some((digest, bodies.collect::<Option<_>>()?))
    }

    /// Can this instance have been open when the current regency began? In the first regency none was.
    fn is_carried_over(&self, id: InstanceId) -> bool {
        self.regencies.current > Regency(0) && id.0 <= self.base().0 + self.limits.instances_open_max
    }

    /// An instance is about to be delivered with this batch. If it is not what was delivered tentatively, all of that is
    /// taken back.
    pub(super) fn settle(&mut self, instance: InstanceId, digest: Digest, actions: &mut Vec<Action>) {
        match self.ahead.batches.pop_front() {
            Some(front) if front == (instance, digest) => {}
            Some(front) => {
                self.ahead.batches.push_front(front);
                self.retract(actions);
            }
            None => self.ahead.sessions = None,
        }
    }

    /// The regency was left, or a state is taken over: what is not delivered need not come to be.
    pub(super) fn retract(&mut self, actions: &mut Vec<Action>) {
        if !self.ahead.batches.is_empty() {
            actions.push(Action::Retract);
            self.ahead = Ahead::default();
        }
    }
}
