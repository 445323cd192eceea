//! A counter of messages: what a replica does for one request in a pattern, and nothing else.
//!
//! It stands for what the service does not have: patterns that are measured here and not used, and quorums that need not
//! meet. Each request is by itself, so there is no window to wait for.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use mod_smart::{Client, ReplicaId, Request, Sealed, Time, Voters};

use super::frame::{Asked, Frame, Push, Standing, Step};
use super::links::Place;
use super::node::{Node, Wish};
use crate::geo::deployment::{Deployment, Pattern};
use crate::geo::floor::Scale;

/// A replica; its number is its place. The first one leads.
pub(super) struct StepNode {
    me: usize,
    pattern: Pattern,
    scale: Scale,
    fast_quorum: usize,
    sign: Duration,
    requests: BTreeMap<u64, State>,
}

#[derive(Debug, Default)]
struct State {
    /// The request, once its client has brought it, and the client's place.
    body: Option<(Rc<Asked>, Place)>,
    is_proposed: bool,
    written: Voters,
    accepted: Voters,
    has_voted: bool,
    has_accepted: bool,
    is_executed: bool,
}

impl StepNode {
    pub fn new(me: usize, deployment: &Deployment, sign: Duration) -> Self {
        Self {
            me,
            pattern: deployment.pattern,
            scale: Scale::of(deployment),
            fast_quorum: (deployment.n() + 3 * deployment.f + 1).div_ceil(2),
            sign,
            requests: BTreeMap::new(),
        }
    }

    fn on_request(&mut self, from: Place, request: &Sealed<Request>, wishes: &mut Vec<Wish>) {
        let number = number_of(request.value());
        let asked = Rc::new(Asked { number, envelope: request.value().body.clone() });
        let state = self.requests.entry(number).or_default();
        if state.body.is_some() {
            return;
        }
        state.body = Some((Rc::clone(&asked), from));
        if self.me == 0 && self.pattern != Pattern::ReadOnly {
            state.is_proposed = true;
            self.tell(Step::Propose(asked), PROPOSE_BYTES, wishes);
        }
        self.advance(number, wishes);
    }

    fn on_step(&mut self, from: Place, step: Step, wishes: &mut Vec<Wish>) {
        let voter = ReplicaId(from as u16);
        let number = match step {
            Step::Propose(asked) => {
                self.requests.entry(asked.number).or_default().is_proposed = true;
                asked.number
            }
            Step::Write(number) => {
                self.requests.entry(number).or_default().written.insert(voter);
                number
            }
            Step::Accept(number) => {
                self.requests.entry(number).or_default().accepted.insert(voter);
                number
            }
        };
        self.advance(number, wishes);
    }

    /// Does whatever has become possible for a request.
    fn advance(&mut self, number: u64, wishes: &mut Vec<Wish>) {
        let me = ReplicaId(self.me as u16);
        let Some(state) = self.requests.get_mut(&number) else { return };
        let is_known = state.body.is_some() && (state.is_proposed || self.pattern == Pattern::ReadOnly);
        let writes = matches!(self.pattern, Pattern::Standard | Pattern::Tentative | Pattern::Fast);
        let mut said = Vec::new();
        if is_known && writes && !std::mem::replace(&mut state.has_voted, true) {
            state.written.insert(me);
            said.push(Step::Write(number));
        }
        let is_certified = weight(&self.scale, state.written) >= self.scale.quorum;
        let accepts = match self.pattern {
            Pattern::Crash => is_known,
            Pattern::Standard | Pattern::Tentative => is_certified,
            Pattern::Fast | Pattern::Speculative | Pattern::ReadOnly => false,
        };
        if accepts && !std::mem::replace(&mut state.has_accepted, true) {
            state.accepted.insert(me);
            said.push(Step::Accept(number));
        }
        let may_execute = match self.pattern {
            Pattern::Standard | Pattern::Crash => weight(&self.scale, state.accepted) >= self.scale.quorum,
            Pattern::Tentative => is_certified,
            Pattern::Fast => state.written.len() >= self.fast_quorum,
            Pattern::Speculative | Pattern::ReadOnly => true,
        };
        let reply = match &state.body {
            Some((asked, client)) if is_known && may_execute && !state.is_executed => Some((Rc::clone(asked), *client)),
            _ => None,
        };
        state.is_executed |= reply.is_some();
        for step in said {
            wishes.push(Wish::Worked(self.sign));
            self.tell(step, VOTE_BYTES, wishes);
        }
        if let Some((asked, client)) = reply {
            let signed = Bytes::copy_from_slice(&number.to_be_bytes());
            let data = Some(Rc::new(vec![asked.envelope.clone()]));
            let push = Push { number, signed, standing: Standing::Decided, data, is_data_free: false };
            wishes.push(Wish::Send(client, Frame::Push(push)));
        }
    }

    fn tell(&self, step: Step, size: usize, wishes: &mut Vec<Wish>) {
        let others = (0..self.scale.weights.len()).filter(|other| *other != self.me);
        wishes.extend(others.map(|other| Wish::Send(other, Frame::Step(step.clone(), size))));
    }
}

impl Node for StepNode {
    fn hear(&mut self, _now: Time, from: Place, frame: Frame, wishes: &mut Vec<Wish>) {
        match frame {
            Frame::Request(request) => self.on_request(from, &request, wishes),
            Frame::Step(step, _) => self.on_step(from, step, wishes),
            Frame::Message(..) | Frame::Push(_) | Frame::FetchBody(_) => {}
        }
    }

    fn synced(&mut self, _now: Time, _wishes: &mut Vec<Wish>) {}

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn wake(&mut self, _now: Time, _wishes: &mut Vec<Wish>) {}

    fn complaint(&self) -> Option<String> {
        None
    }
}

/// A number for every request of every client.
pub(super) fn number_of(request: &Request) -> u64 {
    let client = match request.id.client {
        Client::Frontend(frontend) => u64::from(frontend.0[0]),
        Client::Replica(_) => 0,
    };
    client << 48 | request.id.sequence.0
}

fn weight(scale: &Scale, voters: Voters) -> u32 {
    voters.iter().filter_map(|voter| scale.weights.get(voter.index())).sum()
}

const PROPOSE_BYTES: usize = 150;
const VOTE_BYTES: usize = 180;
