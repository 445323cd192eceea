//! Blocks on their way from nodes to frontends, and the timers that cut them.

use blockcutter::Command;
use fabric_proto::common::BlockHeader;
use frontend_shim::certainty::Certainty;
use frontend_shim::frame::body_source;
use mod_smart::{Event, Message, Recipients, Signature};

use super::actor::BlockPush;
use super::checkers::Observation;
use super::keys::Key;
use super::plan::GROUP;
use super::queue::{Happening, Life, Place, SharedBlock};
use super::world::World;

impl World {
    /// Tells every frontend about a block.
    pub fn push_block(&mut self, place: Place, certainty: Certainty, block: &SharedBlock) {
        for frontend in 0..self.frontends.len() {
            let push = self.push_of(place, frontend, (certainty, block), false);
            self.push(place, push);
        }
    }

    /// A frontend says that it lacks the blocks from this number on.
    pub fn push_from(&mut self, place: Place, from: Place, number: u64) {
        let frontend = from - self.nodes.len();
        let Some(process) = &self.nodes[place].process else { return };
        let known = |number| process.application.known(number).map(|(certainty, block)| (certainty, block.clone()));
        let known = (number..number + PUSHES_MAX).map_while(known);
        for (certainty, block) in known.collect::<Vec<_>>() {
            let push = self.push_of(place, frontend, (certainty, &block), false);
            self.push(place, push);
        }
    }

    /// A frontend asks for a body.
    pub fn push_body(&mut self, place: Place, from: Place, number: u64) {
        let Some(process) = &self.nodes[place].process else { return };
        let Some((certainty, block)) = process.application.known(number) else { return };
        let push = self.push_of(place, from - self.nodes.len(), (certainty, block), true);
        self.push(place, push);
    }

    fn push_of(
        &self,
        place: Place,
        frontend: usize,
        (certainty, block): (Certainty, &SharedBlock),
        is_asked: bool,
    ) -> BlockPush {
        let me = self.nodes[place].me;
        let source = body_source(self.frontends[frontend].id(), block.header.number, &self.plan.view);
        let header = BlockHeader { ..block.header.clone() };
        let mut push = BlockPush {
            frontend,
            certainty,
            header,
            metadata_value: block.metadata_value.clone(),
            data: (is_asked || source == me).then(|| block.data.clone()),
            signature: Signature([0; 64]),
        };
        push.sign(me);
        push
    }

    pub fn plan_cut_timer(&mut self, place: Place) {
        let node = &mut self.nodes[place];
        let Some(process) = &mut node.process else { return };
        let Some(at) = process.application.timer() else { return };
        if process.timer_at.is_none_or(|planned| at < planned) {
            process.timer_at = Some(at);
            self.queue.at(at.max(self.now), Happening::CutTimer(place, node.life));
        }
    }

    /// The timer of an open cut fires: the node asks for the cut, as a client of its own.
    pub fn cut_timer(&mut self, place: Place, life: Life) {
        if !self.is_alive(place, life) {
            return;
        }
        let node = &mut self.nodes[place];
        let Some(process) = &mut node.process else { return };
        process.timer_at = None;
        let expired = process.application.take_expired(self.now);
        if !expired.is_empty() {
            let asks = expired.into_iter().map(|(channel, number)| Command::CutAfterTimeout { channel, number });
            self.ask(place, &asks.collect::<Vec<_>>());
        }
        self.plan_cut_timer(place);
    }

    /// A node asks for something as a client of its own.
    pub fn ask(&mut self, place: Place, commands: &[Command]) {
        let node = &mut self.nodes[place];
        let (Some(process), me) = (&mut node.process, node.me) else { return };
        let requests = process.own_requests.ask(GROUP, &Key::vote(me), commands);
        for request in &requests {
            self.observe(&Observation::Submitted(request));
        }
        self.send(place, Recipients::Others, Message::Bodies(requests.clone()));
        for request in requests {
            self.hear(place, Event::Request(request));
        }
    }
}

/// Blocks that a node pushes again at a time.
const PUSHES_MAX: u64 = 8;
