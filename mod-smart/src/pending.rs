//! Requests known but not yet delivered (the paper's *ToOrder*), bounded in bytes and fair among clients.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::{Client, Digest, InstanceId, RequestId, Sequence, SessionId, Time};
use crate::limits::Limits;
use crate::ordered_bodies::OrderedBodies;
use crate::request::Request;
use crate::seal::Sealed;
use crate::sessions::{Sessions, Standing};
use crate::surface::Answer;

/// The requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bodies: BTreeMap<Digest, Waiting>,
    /// The waiting requests by the time they came.
    ages: BTreeSet<(Time, Digest)>,
    /// The waiting requests by their turn.
    turns: BTreeSet<(u64, Digest)>,
    /// How many requests were delivered since this replica started.
    delivered: u64,
    clients: BTreeMap<Client, Queue>,
    bytes: usize,
    /// Where the last batch began its round of clients: the next one begins after it.
    served: Option<Client>,
    /// How many marks stand in the journal, as far as it was read or written.
    marks: u64,
    /// Bodies that wait no more and may still be named.
    pub(crate) ordered: OrderedBodies,
}

#[derive(Debug)]
struct Waiting {
    request: Sealed<Request>,
    since: Time,
    turn: Turn,
    /// After how many marks its newest record stands in the journal.
    marks: u64,
}

/// When a request's turn has come, counted in requests delivered. A fair leader comes to it after what stood before it:
/// everything that waited, and one request of every client for each of its client's own that stood before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    /// With so many requests delivered, its turn has passed.
    at: u64,
    /// How many were to come before it.
    distance: u64,
    /// When it was offered, its turn having passed once.
    offered: Option<Time>,
}

/// The requests of one client, in the order it numbered them. Two bodies can stand under one id until one is ordered.
#[derive(Debug, Default)]
struct Queue {
    requests: BTreeMap<(SessionId, Sequence), Vec<Digest>>,
    bytes: usize,
}

/// Why a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// A client asks. The bound of its share and of the whole apply.
    Asked,
    /// A batch needs it: only the whole bound with its reserve applies.
    Needed,
}

impl Pending {
    /// Nothing waits, and so many instances may be open at once.
    pub(crate) fn new(instances_open_max: u64) -> Self {
        Self { ordered: OrderedBodies::new(instances_open_max, InstanceId(0)), ..Self::default() }
    }

    /// Takes a request in. `Ok(true)` says that it is new and must be made durable.
    ///
    /// # Errors
    /// What to answer the client instead.
    pub(crate) fn admit(
        &mut self,
        now: Time,
        request: &Sealed<Request>,
        entrance: Entrance,
        sessions: &Sessions,
        limits: &Limits,
    ) -> Result<bool, Answer> {
        let id = request.value().id;
        match sessions.standing(id) {
            Standing::Fresh => {}
            Standing::Ordered | Standing::Ended if entrance == Entrance::Needed => {
                return Ok(self.ordered.keep(request.clone()));
            }
            Standing::Ordered => return Ok(false),
            Standing::Beyond => return Err(Answer::Window),
            Standing::Ended => return Err(Answer::Stale),
        }
        let digest = request.digest();
        if self.bodies.contains_key(&digest) {
            return Ok(false);
        }
        if !self.has_room(id.client, request.bytes().len(), entrance, limits) {
            return Err(Answer::Overloaded);
        }
        self.insert(now, digest, request.clone());
        Ok(true)
    }

    /// A request by its digest.
    pub(crate) fn body(&self, digest: Digest) -> Option<&Sealed<Request>> {
        let waiting = self.bodies.get(&digest).map(|waiting| &waiting.request);
        waiting.or_else(|| self.ordered.get(digest))
    }

    /// Since when the oldest request waits.
    pub(crate) fn oldest(&self) -> Option<Time> {
        self.ages.first().map(|(since, _)| *since)
    }

    /// Since when a request waits.
    pub(crate) fn since(&self, digest: Digest) -> Option<Time> {
        self.bodies.get(&digest).map(|waiting| waiting.since)
    }

    /// The requests that wait longest, at most so many.
    pub(crate) fn eldest(&self, count_max: usize) -> Vec<(RequestId, Digest)> {
        let eldest = self.ages.iter().take(count_max);
        eldest.filter_map(|(_, digest)| Some((self.bodies.get(digest)?.request.value().id, *digest))).collect()
    }

    /// The requests whose turn has passed and that wait longer than this, at most so many; and whether for some of them
    /// that is so for the second time. Each is named once for each passing.
    pub(crate) fn take_overtaken(
        &mut self,
        now: Time,
        timeout: Duration,
        count_max: usize,
    ) -> (Vec<(RequestId, Digest)>, bool) {
        let passed = self.turns.range(..=(self.delivered, Digest([0xff; 32]))).map(|(_, digest)| *digest);
        let is_old = |digest: &Digest| {
            let waiting = self.bodies.get(digest);
            waiting.is_some_and(|waiting| now >= waiting.turn.offered.unwrap_or(waiting.since).after(timeout))
        };
        let passed: Vec<Digest> = passed.take(count_max).filter(is_old).collect();
        let mut offers = Vec::with_capacity(passed.len());
        let mut is_second = false;
        let waiting_now = TURN_SLACK + 2 * self.bodies.len() as u64;
        for digest in passed {
            let Some(waiting) = self.bodies.get_mut(&digest) else { continue };
            is_second |= waiting.turn.offered.is_some();
            offers.push((waiting.request.value().id, digest));
            self.turns.remove(&(waiting.turn.at, digest));
            waiting.turn.at = self.delivered + waiting.turn.distance.max(waiting_now);
            waiting.turn.offered = Some(now);
            self.turns.insert((waiting.turn.at, digest));
        }
        (offers, is_second)
    }

    /// Is there anything to order?
    pub(crate) fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// How many requests wait, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.bodies.len(), self.bytes)
    }

    /// The digests of the next batch: clients take turns, each in its own order, beginning after the client that began
    /// the last batch. What stands in an open instance is left out.
    pub(crate) fn next_batch(
        &mut self,
        proposed: &BTreeSet<Digest>,
        sessions: &Sessions,
        limits: &Limits,
    ) -> Vec<Digest> {
        let (before, after): (Vec<Client>, Vec<Client>) =
            self.clients.keys().partition(|client| self.served.is_some_and(|served| **client <= served));
        let order: Vec<Client> = after.into_iter().chain(before).collect();
        self.served = order.first().copied();
        let mut turns: Vec<_> =
            order.iter().filter_map(|c| self.clients.get(c).map(|q| (*c, q.requests.iter()))).collect();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while !turns.is_empty() {
            let mut at = 0;
            while at < turns.len() {
                let (client, requests) = &mut turns[at];
                let Some((&(session, sequence), digests)) = requests.next() else {
                    drop(turns.remove(at));
                    continue;
                };
                at += 1;
                let id = RequestId { client: *client, session, sequence };
                let taken = digests.iter().any(|digest| proposed.contains(digest));
                let Some(&digest) = digests.first() else { continue };
                if taken || sessions.standing(id) != Standing::Fresh {
                    continue;
                }
                let size = self.bodies.get(&digest).map_or(0, |waiting| waiting.request.bytes().len());
                if batch.len() == limits.batch_requests_max
                    || (!batch.is_empty() && bytes + size > limits.batch_bytes_max)
                {
                    return batch;
                }
                bytes += size;
                batch.push(digest);
            }
        }
        batch
    }

    /// Forgets every body under an id that was ordered.
    pub(crate) fn remove(&mut self, id: RequestId) {
        self.delivered += 1;
        let Some(queue) = self.clients.get_mut(&id.client) else { return };
        for digest in queue.requests.remove(&(id.session, id.sequence)).unwrap_or_default() {
            let Some(waiting) = self.bodies.remove(&digest) else { continue };
            self.ages.remove(&(waiting.since, digest));
            self.turns.remove(&(waiting.turn.at, digest));
            let size = waiting.request.bytes().len();
            queue.bytes -= size;
            self.bytes -= size;
            self.ordered.keep(waiting.request);
        }
        if queue.requests.is_empty() {
            self.clients.remove(&id.client);
        }
    }

    /// Forgets what will never be ordered: sessions that ended.
    pub(crate) fn remove_ended(&mut self, sessions: &Sessions) {
        let ended: Vec<RequestId> = self
            .bodies
            .values()
            .map(|waiting| waiting.request.value().id)
            .filter(|id| matches!(sessions.standing(*id), Standing::Ended | Standing::Ordered))
            .collect();
        for id in ended {
            self.remove(id);
        }
    }

    /// A mark is written. Names the requests whose newest record stands before the mark before it: they are written again.
    pub(crate) fn mark(&mut self) -> Vec<Sealed<Request>> {
        let previous = self.marks;
        self.marks += 1;
        let old = self.bodies.values_mut().filter(|waiting| waiting.marks < previous);
        old.map(|waiting| {
            waiting.marks = previous + 1;
            waiting.request.clone()
        })
        .chain(self.ordered.all().cloned())
        .collect()
    }

    /// A mark was read.
    pub(crate) const fn marked(&mut self) {
        self.marks += 1;
    }

    /// A request was read that is known already.
    pub(crate) fn renew(&mut self, digest: Digest) {
        if let Some(waiting) = self.bodies.get_mut(&digest) {
            waiting.marks = self.marks;
        }
    }

    fn insert(&mut self, now: Time, digest: Digest, request: Sealed<Request>) {
        let id = request.value().id;
        let size = request.bytes().len();
        let (waiting, clients) = (self.bodies.len(), self.clients.len() + 1);
        let queue = self.clients.entry(id.client).or_default();
        let before = queue.requests.len().saturating_mul(clients);
        let distance = TURN_SLACK + 2 * (waiting + before) as u64;
        let turn = Turn { at: self.delivered + distance, distance, offered: None };
        queue.requests.entry((id.session, id.sequence)).or_default().push(digest);
        queue.bytes += size;
        self.bytes += size;
        self.ages.insert((now, digest));
        self.turns.insert((turn.at, digest));
        self.bodies.insert(digest, Waiting { request, since: now, turn, marks: self.marks });
    }

    fn has_room(&self, client: Client, size: usize, entrance: Entrance, limits: &Limits) -> bool {
        let of_client = self.clients.get(&client).map_or(0, |queue| queue.bytes);
        match entrance {
            Entrance::Needed => self.bytes + size <= limits.pending_bytes_max,
            Entrance::Asked => {
                of_client + size <= limits.client_pending_bytes_max
                    && self.bytes + size + limits.fetched_bytes_reserve <= limits.pending_bytes_max
            }
        }
    }
}

/// Requests that other replicas hold and this one does not stand before every request.
const TURN_SLACK: u64 = 64;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::{FrontendId, GroupId};
    use crate::seal::{Signature, Signer};

    struct NoKey;

    impl Signer for NoKey {
        fn sign(&self, _: &[u8]) -> Signature {
            Signature([0; 64])
        }
    }

    fn request(client: u8, sequence: u64, body: &'static [u8]) -> Sealed<Request> {
        let id = RequestId {
            client: Client::Frontend(FrontendId([client; 32])),
            session: SessionId(1),
            sequence: Sequence(sequence),
        };
        Request { id, body: Bytes::from_static(body) }.seal(GroupId([0; 32]), &NoKey)
    }

    fn admit(pending: &mut Pending, request: &Sealed<Request>, limits: &Limits) -> Result<bool, Answer> {
        pending.admit(Time(0), request, Entrance::Asked, &Sessions::new(10), limits)
    }

    #[test]
    fn a_batch_takes_clients_in_turn_and_each_in_its_order() {
        let limits = Limits { batch_requests_max: 4, ..Limits::default() };
        let mut pending = Pending::default();
        for (client, sequence) in [(1, 2), (1, 1), (1, 3), (2, 1), (1, 4)] {
            assert_eq!(admit(&mut pending, &request(client, sequence, b"x"), &limits), Ok(true));
        }
        let batch = pending.next_batch(&BTreeSet::new(), &Sessions::new(10), &limits);
        let expected = [(1, 1), (2, 1), (1, 2), (1, 3)].map(|(c, s)| request(c, s, b"x").digest());
        assert_eq!(batch, expected);
        let again = pending.next_batch(&batch.iter().copied().collect(), &Sessions::new(10), &limits);
        assert_eq!(again, [request(1, 4, b"x").digest()], "what is proposed is left out");
    }

    #[test]
    fn one_client_cannot_fill_the_room_of_the_others() {
        let size = request(1, 1, b"x").bytes().len();
        let limits = Limits {
            client_pending_bytes_max: 2 * size,
            pending_bytes_max: 4 * size,
            fetched_bytes_reserve: size,
            ..Limits::default()
        };
        let mut pending = Pending::default();
        assert_eq!(admit(&mut pending, &request(1, 1, b"x"), &limits), Ok(true));
        assert_eq!(admit(&mut pending, &request(1, 1, b"x"), &limits), Ok(false), "known already");
        assert_eq!(admit(&mut pending, &request(1, 2, b"x"), &limits), Ok(true));
        assert_eq!(admit(&mut pending, &request(1, 3, b"x"), &limits), Err(Answer::Overloaded));
        assert_eq!(admit(&mut pending, &request(2, 1, b"x"), &limits), Ok(true));
        assert_eq!(admit(&mut pending, &request(3, 1, b"x"), &limits), Err(Answer::Overloaded), "the reserve");
        let needed = pending.admit(Time(0), &request(3, 1, b"x"), Entrance::Needed, &Sessions::new(10), &limits);
        assert_eq!(needed, Ok(true));
        pending.remove(request(1, 1, b"x").value().id);
        assert_eq!(pending.size(), (3, 3 * size));
    }

    #[test]
    fn of_two_bodies_under_one_id_the_ordered_one_wins_and_both_are_forgotten() {
        let limits = Limits::default();
        let mut pending = Pending::default();
        let mut sessions = Sessions::new(10);
        admit(&mut pending, &request(1, 1, b"one"), &limits).unwrap();
        admit(&mut pending, &request(1, 1, b"two"), &limits).unwrap();
        let batch = pending.next_batch(&BTreeSet::new(), &sessions, &limits);
        assert_eq!(batch.len(), 1);
        sessions.order(request(1, 1, b"one").value().id, InstanceId(1));
        pending.remove(request(1, 1, b"one").value().id);
        assert!(pending.is_empty());
        assert_eq!(pending.admit(Time(0), &request(1, 1, b"two"), Entrance::Asked, &sessions, &limits), Ok(false));
    }
}
