//! A client: it asks all replicas, and waits until enough of them have pushed the same block.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use frontend_shim::node_limits::BODY_AFTER_MIN;
use mod_smart::{FrontendId, Regency, ReplicaId, Sequence, Time, View, Voters};

use super::frame::{Push, Standing};
use crate::geo::deployment::{Deployment, Pattern, Replies};
use crate::geo::floor::Scale;

/// What a client believes.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    enough: Enough,
    /// What BlockValidation wants beside it, in heads.
    signatures: usize,
}

#[derive(Clone, Debug)]
enum Enough {
    /// A quorum of the view.
    Quorum(View),
    /// Replies of this weight.
    Weight(Scale),
    /// So many replies.
    Heads(usize),
}

/// One client, or the frontend that stands for many.
#[derive(Debug)]
pub(super) struct Client {
    pub id: FrontendId,
    /// Of its next request.
    pub sequence: Sequence,
    rule: Rule,
    replicas: usize,
    /// The number of the next block; none if blocks do not follow each other.
    next: Option<u64>,
    tallies: BTreeMap<u64, BTreeMap<Bytes, Tally>>,
    outstanding: BTreeMap<Bytes, Time>,
    /// Since when the next block lacks nothing but its envelopes, and how often they were asked for.
    lacking: Option<(Time, u32)>,
    /// When something was asked for, and how long it took.
    pub answered: Vec<(Time, Duration)>,
}

#[derive(Debug, Default)]
struct Tally {
    decided: Voters,
    tentative: BTreeMap<Regency, Voters>,
    data: Option<Rc<Vec<Bytes>>>,
}

impl Rule {
    /// The rule for the clients of a deployment. Without a view its replicas are counters.
    pub fn of(deployment: &Deployment, view: Option<View>) -> Self {
        let enough = match (deployment.pattern, deployment.replies, view) {
            (Pattern::Speculative, ..) => Enough::Heads(deployment.n()),
            (_, Replies::Heads(heads), _) => Enough::Heads(heads),
            (_, Replies::Quorum, Some(view)) => Enough::Quorum(view),
            (_, Replies::Quorum, None) => Enough::Weight(Scale::of(deployment)),
        };
        Self { enough, signatures: deployment.signatures }
    }

    fn is_enough(&self, voters: Voters) -> bool {
        let is_believed = match &self.enough {
            Enough::Quorum(view) => view.is_quorum(voters),
            Enough::Weight(scale) => {
                let weights = voters.iter().filter_map(|voter| scale.weights.get(voter.index()));
                weights.sum::<u32>() >= scale.quorum
            }
            Enough::Heads(heads) => voters.len() >= *heads,
        };
        is_believed && voters.len() >= self.signatures
    }
}

impl Client {
    pub fn new(number: usize, rule: Rule, replicas: usize, is_in_order: bool) -> Self {
        Self {
            id: FrontendId([number as u8 + 1; 32]),
            sequence: Sequence(1),
            rule,
            replicas,
            next: is_in_order.then_some(1),
            tallies: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            lacking: None,
            answered: Vec::new(),
        }
    }

    /// An envelope goes out.
    pub fn on_asked(&mut self, envelope: Bytes, now: Time) {
        self.outstanding.insert(envelope, now);
    }

    /// How many envelopes wait for their blocks.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// A replica pushes a block. Gives how many envelopes of this client are answered by that.
    pub fn on_push(&mut self, from: usize, push: Push, now: Time) -> usize {
        if self.next.is_some_and(|next| push.number < next) {
            return 0;
        }
        let number = push.number;
        let tally = self.tallies.entry(number).or_default().entry(push.signed).or_default();
        let voters = match push.standing {
            Standing::Decided => &mut tally.decided,
            Standing::Tentative(regency) => tally.tentative.entry(regency).or_default(),
        };
        voters.insert(ReplicaId(from as u16));
        if tally.data.is_none() {
            tally.data = push.data;
        }
        match self.next {
            None => self.take(number, now).unwrap_or_default(),
            Some(_) => {
                let mut answered = 0;
                while let Some(more) = self.next.and_then(|next| self.take(next, now)) {
                    answered += more;
                    self.next = self.next.map(|next| next + 1);
                    self.lacking = None;
                }
                answered
            }
        }
    }

    /// Takes a block if it is final and here.
    fn take(&mut self, number: u64, now: Time) -> Option<usize> {
        let tallies = self.tallies.get(&number)?;
        let tally = tallies.values().find(|tally| self.is_final(tally))?;
        let Some(data) = tally.data.clone() else {
            self.lacking.get_or_insert((now, 0));
            return None;
        };
        // Late pushes of blocks that do not follow each other keep what they add up to.
        if self.next.is_some() {
            self.tallies.remove(&number);
        }
        let mut answered = 0;
        for asked in data.iter().filter_map(|envelope| self.outstanding.remove(envelope)) {
            self.answered.push((asked, Duration::from_nanos(now.0 - asked.0)));
            answered += 1;
        }
        Some(answered)
    }

    /// Decided by enough replicas, or written in one regency by enough of those that have not decided it yet.
    fn is_final(&self, tally: &Tally) -> bool {
        let with_decided = |tentative: Voters| Voters::from_bits(tentative.bits() | tally.decided.bits());
        self.rule.is_enough(tally.decided)
            || tally.tentative.values().any(|voters| self.rule.is_enough(with_decided(*voters)))
    }

    /// When it wants to be woken.
    pub fn deadline(&self) -> Option<Time> {
        self.lacking.map(|(since, asked)| since.after(BODY_AFTER_MIN * (asked + 1)))
    }

    /// Whom to ask now for the envelopes of which block: the replicas take turns.
    pub fn on_wake(&mut self, now: Time) -> Option<(usize, u64)> {
        let (next, deadline) = (self.next?, self.deadline()?);
        let (_, asked) = self.lacking.as_mut().filter(|_| deadline <= now)?;
        *asked += 1;
        let source = next.wrapping_add(u64::from(*asked)) % self.replicas as u64;
        Some((source as usize, next))
    }
}
