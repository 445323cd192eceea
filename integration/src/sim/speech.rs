//! What a node says, and what a liar makes of it.

use std::time::Duration;

use mod_smart::{Answer, Client, Digest, Event, Message, Recipients, ReplicaId, RequestId, Statement};

use super::actor::{Actor, BlockPush, Hand, Outgoing};
use super::checkers::{Observation, Standing};
use super::keys::Key;
use super::lifecycle::TICK;
use super::node::describe;
use super::plan::GROUP;
use super::queue::{Frame, Happening, Life, Place};
use super::world::World;

impl World {
    pub fn sign(&mut self, place: Place, to: Recipients, statement: Statement) {
        let me = self.nodes[place].me;
        let message = statement.sign(GROUP, me, &Key::vote(me));
        self.send(place, to, message);
    }

    pub fn send(&mut self, place: Place, to: Recipients, message: Message) {
        let me = self.nodes[place].me;
        if to == Recipients::All || to == Recipients::One(me) {
            self.say_to_itself(place, Event::Message(message.clone().loop_back(me)));
        }
        let peers = self.plan.view.replicas().filter(|peer| *peer != me);
        let peers: Vec<_> = peers.filter(|peer| !matches!(to, Recipients::One(one) if one != *peer)).collect();
        if !self.is_believed(place) {
            for peer in peers {
                self.with_actor(place, |actor, hand| actor.on_send(peer, message.clone(), hand));
            }
            return;
        }
        self.observe(&Observation::Sent(me, &message));
        self.trace.say(self.now, || {
            let to: Vec<String> = peers.iter().map(ToString::to_string).collect();
            format!("{place} > {}  {}", if to.len() > 1 { "*".to_owned() } else { to.join(",") }, describe(&message))
        });
        let frame = Frame::Message(message.encode());
        for peer in peers {
            self.transmit(place, peer.index(), &frame);
        }
    }

    fn say_to_itself(&mut self, place: Place, event: Event) {
        if let Some(process) = &mut self.nodes[place].process {
            process.own.push_back(event);
        }
    }

    pub fn answer(&mut self, place: Place, id: RequestId, digest: Digest, answer: Answer) {
        let me = self.nodes[place].me;
        if answer == Answer::Held && self.is_believed(place) {
            self.observe(&Observation::Held(me, id, digest));
        }
        if let Some(process) = &mut self.nodes[place].process {
            process.own_requests.on_answer(id, answer);
        }
        let Client::Frontend(frontend) = id.client else { return };
        if let Some(at) = self.frontends.iter().position(|known| known.id() == frontend) {
            self.transmit(place, self.nodes.len() + at, &Frame::Answer(id, digest, answer));
        }
    }

    /// Shows an actor something it decides on, and lets what it says leave.
    pub fn with_actor<T: Default>(&mut self, place: Place, act: impl FnOnce(&mut dyn Actor, &mut Hand<'_>) -> T) -> T {
        let Some(mut actor) = self.nodes[place].actor.take() else { return T::default() };
        let (mut sent, mut tricks) = (Vec::new(), Vec::new());
        let node = &self.nodes[place];
        let mut hand = Hand {
            now: self.now,
            me: node.me,
            view: &self.plan.view,
            group: GROUP,
            random: &mut self.random,
            coalition: self.coalition,
            requests: node.seen(),
            configurations: &self.configurations,
            sent: &mut sent,
            tricks: &mut tricks,
        };
        let result = act(&mut *actor, &mut hand);
        self.nodes[place].actor = Some(actor);
        for trick in tricks {
            self.trace.say(self.now, || format!("{place} smuggles: {trick}"));
            self.counts.trick(trick);
        }
        let life = self.nodes[place].life;
        for outgoing in sent {
            let (Outgoing::Message { delay, .. } | Outgoing::Push { delay, .. }) = &outgoing;
            let delay = *delay;
            if delay.is_zero() {
                self.leave(place, outgoing);
            } else {
                self.queue.after(self.now, delay, Happening::Leaving(place, life, outgoing));
            }
        }
        result
    }

    /// Something that a liar says leaves it.
    pub fn leave(&mut self, place: Place, outgoing: Outgoing) {
        let (since, count) = &mut self.nodes[place].sent_lately;
        if since.after(LIAR_SPAN) <= self.now {
            (*since, *count) = (self.now, 0);
        }
        *count += 1;
        if *count > LIAR_FRAMES_MAX {
            return;
        }
        match outgoing {
            Outgoing::Message { to, bytes, .. } if to.index() < self.nodes.len() && to.index() != place => {
                self.transmit(place, to.index(), &Frame::Message(bytes));
            }
            Outgoing::Message { .. } => {}
            Outgoing::Push { push, .. } if push.frontend < self.frontends.len() => {
                self.transmit(place, self.nodes.len() + push.frontend, &Frame::Push(push));
            }
            Outgoing::Push { .. } => {}
        }
    }

    /// May the honest replica inside a liar hear this?
    pub fn ask_actor(&mut self, place: Place, from: ReplicaId, message: &Message) -> bool {
        self.with_actor(place, |actor, hand| actor.on_receive(from, message, hand))
    }

    pub fn tick(&mut self, place: Place, life: Life) {
        if self.is_alive(place, life) && self.standings[place] == Standing::Liar {
            self.with_actor(place, |actor, hand| actor.on_tick(hand));
            self.queue.after(self.now, TICK, Happening::Tick(place, life));
        }
    }

    /// A block goes to every frontend, from here with the body if it is this node's turn.
    pub fn push(&mut self, place: Place, push: BlockPush) {
        if self.is_believed(place) {
            self.transmit(place, self.nodes.len() + push.frontend, &Frame::Push(push));
        } else {
            self.with_actor(place, |actor, hand| actor.on_push(push, hand));
        }
    }
}

/// What the line of a liar carries: two of them that answer each other would otherwise fill the world.
const LIAR_FRAMES_MAX: u32 = 1_000;
const LIAR_SPAN: Duration = Duration::from_millis(100);
