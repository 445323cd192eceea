//! A frontend as the service's client: it sends requests to every node until enough of them hold one, and collects signed
//! blocks until a quorum has signed the same.
//!
//! The rules are those of the frontend program (`frontend-shim`: in_flight, tally, body_search) without its sockets and
//! keys; the shortened times suit a world that lives for seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use fabric_proto::block::data_hash;
use fabric_proto::common::BlockHeader;
use frontend_shim::certainty::{Certainty, Support};
use mod_smart::{
    Answer, Client, Digest, FrontendId, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId, Time, View, Voters,
};

use super::actor::BlockPush;
use super::keys::Key;
use super::plan::GROUP;
use super::queue::Frame;

/// One frontend.
#[derive(Debug)]
pub(super) struct Frontend {
    at: usize,
    view: View,
    session: SessionId,
    next: Sequence,
    requests: BTreeMap<Sequence, Outstanding>,
    /// Who says that the session has ended.
    stale: Voters,
    /// The number that is collected, and the hash of the header before it.
    number: u64,
    before: Option<[u8; 32]>,
    /// Configurations that it has seen come into force.
    pub sequence: u64,
    /// What replicas have pushed: for each number the first of each that is decided, and the tentative one of its latest
    /// regency.
    pushes: BTreeMap<u64, BTreeMap<(ReplicaId, bool), BlockPush>>,
    is_body_missing_since: Option<Time>,
    advanced_at: Time,
}

#[derive(Debug)]
struct Outstanding {
    sealed: Bytes,
    digest: Digest,
    held: Voters,
    /// Since when enough replicas hold it.
    settled: Option<Time>,
    sent_at: Time,
    /// Who is not to be sent it before this time.
    later: BTreeMap<ReplicaId, Time>,
}

/// What a frontend wants to be done.
#[derive(Debug)]
pub(super) enum Wish {
    Send(ReplicaId, Frame),
    Acknowledged(RequestId, Digest),
    Certified(Vec<(ReplicaId, BlockPush)>),
}

impl Frontend {
    pub fn new(at: usize, view: View) -> Self {
        Self {
            at,
            view,
            session: SessionId(1),
            next: Sequence(1),
            requests: BTreeMap::new(),
            stale: Voters::NONE,
            number: 1,
            before: None,
            sequence: 0,
            pushes: BTreeMap::new(),
            is_body_missing_since: None,
            advanced_at: Time(0),
        }
    }

    pub fn id(&self) -> FrontendId {
        FrontendId([self.at as u8 + 1; 32])
    }

    /// How many requests wait for an acknowledgement.
    pub fn waiting(&self) -> usize {
        self.requests.values().filter(|request| request.settled.is_none()).count()
    }

    /// Requests that wait for an acknowledgement.
    pub fn unheld(&self) -> impl Iterator<Item = RequestId> {
        let client = Client::Frontend(self.id());
        let unheld = self.requests.iter().filter(|(_, request)| request.settled.is_none());
        unheld.map(move |(sequence, _)| RequestId { client, session: self.session, sequence: *sequence })
    }

    /// May another request go out? The window of a session reaches so far beyond the lowest that is not held.
    pub fn has_room(&self, window: u64) -> bool {
        let unheld = self.requests.iter().find(|(_, request)| request.settled.is_none()).map(|(sequence, _)| *sequence);
        self.waiting() < UNHELD_MAX && self.next.0 - unheld.unwrap_or(self.next).0 < window
    }

    /// The number of the last block that is certified.
    pub const fn height(&self) -> u64 {
        self.number - 1
    }

    /// Numbers a body, seals it and sends it to everybody.
    pub fn submit(&mut self, body: Bytes, now: Time, wishes: &mut Vec<Wish>) -> Sealed<Request> {
        let id = RequestId { client: Client::Frontend(self.id()), session: self.session, sequence: self.next };
        self.next = self.next.next();
        let sealed = Request { id, body }.seal(GROUP, &Key::frontend(self.id()));
        let outstanding = Outstanding {
            sealed: sealed.bytes().clone(),
            digest: sealed.digest(),
            held: Voters::NONE,
            settled: None,
            sent_at: now,
            later: BTreeMap::new(),
        };
        self.requests.insert(id.sequence, outstanding);
        wishes.extend(self.view.replicas().map(|to| Wish::Send(to, Frame::Submit(sealed.bytes().clone()))));
        sealed
    }

    pub fn on_answer(
        &mut self,
        from: ReplicaId,
        id: RequestId,
        digest: Digest,
        answer: Answer,
        now: Time,
    ) -> Option<Wish> {
        let request = self.requests.get_mut(&id.sequence).filter(|request| request.digest == digest)?;
        if id.session != self.session {
            return None;
        }
        match answer {
            Answer::Held => {
                request.held.insert(from);
                if request.settled.is_none() && self.view.is_any_correct(request.held) {
                    request.settled = Some(now);
                    return Some(Wish::Acknowledged(id, digest));
                }
            }
            Answer::Overloaded | Answer::Window => drop(request.later.insert(from, now.after(RETRY_AFTER))),
            Answer::Stale => drop(self.stale.insert(from)),
        }
        None
    }

    /// Have enough replicas said that the session has ended?
    pub fn is_session_ended(&self) -> bool {
        self.view.is_any_correct(self.stale)
    }

    /// Ends the session, or the life of the frontend. What is not acknowledged is given back, to be asked for anew.
    pub fn begin_session(&mut self) -> Vec<Bytes> {
        self.session = SessionId(self.session.0 + 1);
        self.next = Sequence(1);
        self.stale = Voters::NONE;
        let requests = std::mem::take(&mut self.requests).into_values().filter(|request| request.settled.is_none());
        requests
            .filter_map(|request| Some(Sealed::<Request>::trusted(request.sealed).ok()?.value().body.clone()))
            .collect()
    }

    /// Sends again what is due and asks for what is missing.
    pub fn on_wake(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        for request in self.requests.values_mut() {
            if now < request.sent_at.after(RESEND_AFTER) {
                continue;
            }
            request.sent_at = now;
            let lacking = self.view.replicas().filter(|to| !request.held.contains(*to));
            let lacking = lacking.filter(|to| request.later.get(to).is_none_or(|later| *later <= now));
            wishes.extend(lacking.map(|to| Wish::Send(to, Frame::Submit(request.sealed.clone()))));
        }
        self.requests.retain(|_, request| request.settled.is_none_or(|since| now < since.after(SETTLED_KEPT)));
        if self.is_body_missing_since.is_some_and(|since| since.after(BODY_AFTER) <= now) {
            self.is_body_missing_since = Some(now);
            let holders: BTreeSet<ReplicaId> =
                self.pushes.get(&self.number).into_iter().flat_map(BTreeMap::keys).map(|(id, _)| *id).collect();
            wishes.extend(holders.into_iter().map(|to| Wish::Send(to, Frame::FetchBody(self.number))));
        } else if self.advanced_at.after(FOLLOW_AFTER) <= now {
            self.advanced_at = now;
            wishes.extend(self.view.replicas().map(|to| Wish::Send(to, Frame::Follow(self.number))));
        }
    }

    /// A replica tells of a block. The first push of a replica for a number is the one that counts; a body that was asked for
    /// may come later.
    pub fn on_push(&mut self, from: ReplicaId, push: BlockPush, now: Time, wishes: &mut Vec<Wish>) {
        let number = push.header.number;
        if number < self.number || number >= self.number + WINDOW_BLOCKS || !push.is_signed_by(from) {
            return;
        }
        let place = (from, push.certainty == Certainty::Decided);
        let known = self.pushes.entry(number).or_default().entry(place).or_insert_with(|| push.clone());
        if push.certainty > known.certainty {
            *known = push;
        } else if known.data.is_none() && known.header == push.header {
            known.data = push.data;
        }
        while let Some(certified) = self.certified(now) {
            self.advanced_at = now;
            wishes.push(Wish::Certified(certified));
        }
    }

    /// The next block, if as many as must have signed it and its body is here.
    fn certified(&mut self, now: Time) -> Option<Vec<(ReplicaId, BlockPush)>> {
        let pushes = self.pushes.get_mut(&self.number)?;
        let follows = |header: &BlockHeader| self.before.is_none_or(|hash| header.previous_hash[..] == hash[..]);
        let mut candidates: Vec<(&BlockHeader, &Bytes, Support)> = Vec::new();
        for ((replica, _), push) in pushes.iter().filter(|(_, push)| follows(&push.header)) {
            let same = |(header, value, _): &(&BlockHeader, &Bytes, Support)| {
                (*header, *value) == (&push.header, &push.metadata_value)
            };
            let at = candidates.iter().position(same).unwrap_or_else(|| {
                candidates.push((&push.header, &push.metadata_value, Support::default()));
                candidates.len() - 1
            });
            candidates[at].2.add(*replica, push.certainty);
        }
        let is_final = |support: &Support| support.together().find(|voters| self.view.is_delivery_quorum(*voters));
        let (header, value, voters) =
            candidates.iter().find_map(|(header, value, support)| Some((*header, *value, is_final(support)?)))?;
        let (header, value) = (header.clone(), value.clone());
        let (hash, expected) = (header.hash(), header.data_hash.clone());
        let (mut has_body, mut is_config) = (false, false);
        for push in pushes.values_mut().filter(|push| push.header.data_hash == expected) {
            match &push.data {
                Some(data) if data_hash(data)[..] == expected[..] => {
                    (has_body, is_config) = (true, fabric_proto::block::is_config(data));
                }
                _ => push.data = None,
            }
        }
        if !has_body {
            self.is_body_missing_since.get_or_insert(now);
            return None;
        }
        let pushes = self.pushes.remove(&self.number)?;
        self.number += 1;
        self.sequence += u64::from(is_config);
        self.before = Some(hash);
        self.is_body_missing_since = None;
        let is_same = |push: &BlockPush| push.header == header && push.metadata_value == value;
        let signed: BTreeMap<ReplicaId, BlockPush> = pushes
            .into_iter()
            .filter(|((replica, _), push)| voters.contains(*replica) && is_same(push))
            .map(|((replica, _), push)| (replica, push))
            .collect();
        Some(signed.into_iter().collect())
    }
}

const UNHELD_MAX: usize = 16;
const RESEND_AFTER: Duration = Duration::from_millis(400);
const RETRY_AFTER: Duration = Duration::from_millis(50);
const SETTLED_KEPT: Duration = Duration::from_millis(1_500);
const BODY_AFTER: Duration = Duration::from_millis(120);
const FOLLOW_AFTER: Duration = Duration::from_millis(300);
const WINDOW_BLOCKS: u64 = 16;
