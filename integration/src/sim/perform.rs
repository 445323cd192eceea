//! A node at work: its replica hears events, its disk makes records durable, and then what follows takes effect.

use std::time::Duration;

use frontend_shim::certainty::Certainty;
use mod_smart::{Action, Decision, Event, Message, Recipients, Tentative};
use orderer_node::checkpoint::Checkpoint;

use super::checkers::Observation;
use super::lifecycle::End;
use super::node::Batch;
use super::queue::{Happening, Installing, Life, Place, SharedBlock};
use super::world::World;

impl World {
    /// The replica of a running node hears an event, and the node does what it can about it.
    pub fn hear(&mut self, place: Place, event: Event) {
        let Some(process) = &mut self.nodes[place].process else { return };
        process.own.push_back(event);
        self.work(place);
    }

    /// Does everything that need not wait.
    pub fn work(&mut self, place: Place) {
        loop {
            let Some(process) = &mut self.nodes[place].process else { return };
            if process.syncing.is_none()
                && let Some(batch) = process.waiting.pop_front()
            {
                if batch.records.is_empty() {
                    self.perform_all(place, batch.then);
                } else {
                    let batches: Vec<Batch> = [batch].into_iter().chain(process.waiting.drain(..)).collect();
                    process.syncing = Some(batches);
                    self.plan_sync(place);
                }
                continue;
            }
            let Some(event) = process.own.pop_front() else { break };
            let mut actions = Vec::new();
            process.replica.handle(process.clock(self.now), event, &mut actions);
            process.enqueue(actions);
            self.readmit(place);
            if self.is_believed(place) {
                self.observe_step(place);
            }
        }
        self.plan_wake(place);
    }

    fn observe_step(&mut self, place: Place) {
        let node = &mut self.nodes[place];
        let (me, process) = (node.me, node.process.take());
        if let Some(process) = process {
            let regency = process.replica.regency();
            self.counts.on_regency(regency);
            self.observe(&Observation::Stepped(me, &process.replica));
            self.nodes[place].process = Some(process);
        }
    }

    fn plan_sync(&mut self, place: Place) {
        let (least, spread) = self.plan.sync;
        let wait = least + Duration::from_nanos(self.random.u64(..=spread.as_nanos() as u64));
        let node = &self.nodes[place];
        self.queue.after(self.now, wait + node.disk_delay, Happening::Synced(place, node.life));
    }

    /// The disk has done what it was working on.
    pub fn synced(&mut self, place: Place, life: Life) {
        if !self.is_alive(place, life) {
            return;
        }
        let node = &mut self.nodes[place];
        let (Some(process), me) = (&mut node.process, node.me) else { return };
        let Some(batches) = process.syncing.take() else { return };
        let records = || batches.iter().flat_map(|batch| &batch.records);
        let appended = records().try_for_each(|record| process.journal.append(record));
        if let Err(error) = appended.and_then(|()| process.journal.commit().map(|_| ())) {
            self.trace.say(self.now, || format!("{place} cannot write its journal: {error}"));
            self.end(place, End::Killed);
            return;
        }
        if self.is_believed(place) {
            for record in records() {
                self.observe(&Observation::Durable(me, record));
            }
        }
        for batch in batches {
            self.perform_all(place, batch.then);
            if !self.is_alive(place, life) {
                return;
            }
        }
        self.work(place);
    }

    fn perform_all(&mut self, place: Place, actions: Vec<Action>) {
        for action in actions {
            match &mut self.nodes[place].dies_in {
                Some(0) => {
                    self.end(place, End::PowerLost);
                    return;
                }
                Some(left) => *left -= 1,
                None => {}
            }
            self.perform(place, action);
            if self.nodes[place].process.is_none() {
                return;
            }
        }
    }

    fn perform(&mut self, place: Place, action: Action) {
        match action {
            Action::Persist(_) => {}
            Action::Sign(to, statement) => self.sign(place, to, statement),
            Action::Send(to, message) => self.send(place, to, message),
            Action::Answer(id, digest, answer) => self.answer(place, id, digest, answer),
            Action::Deliver(decision) => self.deliver(place, &decision),
            Action::DeliverTentatively(tentative) => self.deliver_tentatively(place, &tentative),
            Action::Retract => self.retract(place),
            Action::SendDecisions { to, from } => {
                let Some(process) = &self.nodes[place].process else { return };
                match process.reader.read_decisions(from, DECISIONS_BYTES, DECISIONS_MAX) {
                    Ok(batches) if batches.is_empty() => {}
                    Ok(batches) => self.send(place, Recipients::One(to), Message::Decisions(batches)),
                    Err(error) => {
                        self.trace.say(self.now, || format!("{place} cannot read decisions from {from} on: {error}"));
                    }
                }
            }
            Action::TakeCheckpoint { instance, sessions } => self.take_checkpoint(place, instance, sessions),
            Action::KeepStable(stable) => self.keep_stable(place, &stable),
            Action::Truncate(instance) => {
                let Some(process) = &self.nodes[place].process else { return };
                if let Err(error) = process.journal.truncator().truncate(instance) {
                    self.trace.say(self.now, || format!("{place} cannot truncate its journal: {error}"));
                    self.end(place, End::Killed);
                }
            }
            Action::SendChunk { to, instance, index } => {
                let Some(process) = &self.nodes[place].process else { return };
                if let Ok(Some(chunk)) = process.store.read_chunk(instance, index) {
                    self.counts.chunks += 1;
                    self.send(place, Recipients::One(to), Message::Chunk(instance, index, chunk));
                }
            }
            Action::InstallState { checkpoint: stable, sessions, application } => {
                let checkpoint = Checkpoint { instance: stable.instance(), sessions, application };
                self.install_later(place, Installing { stable, checkpoint });
            }
            Action::Report(misbehaviour) => {
                self.counts.reports += 1;
                let me = self.nodes[place].me;
                self.trace.say(self.now, || format!("{place} accuses {}: {}", misbehaviour.replica, misbehaviour.kind));
                if self.is_believed(place) {
                    self.observe(&Observation::Reported(me, misbehaviour));
                }
            }
        }
    }

    fn deliver(&mut self, place: Place, decision: &Decision) {
        let me = self.nodes[place].me;
        if self.is_believed(place) {
            self.counts.on_delivered(decision);
            for request in &decision.requests {
                self.outstanding.remove(&request.value().id);
            }
            self.observe(&Observation::Delivered(me, decision));
        }
        self.trace.note(self.now, [6, place as u64, decision.instance.0, decision.epoch.0], || {
            format!("{place} delivers {} [{}] of epoch {}", decision.instance, decision.requests.len(), decision.epoch)
        });
        let Some(process) = &mut self.nodes[place].process else { return };
        let blocks = match process.application.deliver(decision, self.now) {
            Ok(blocks) => blocks,
            Err(diverged) => {
                if self.is_believed(place) {
                    self.fail("hash chain", format!("node {place} cuts another block {} than it has", diverged.0));
                }
                return;
            }
        };
        let hand_over = process.application.take_hand_over();
        process.own.extend(hand_over);
        let config = process.application.config().cloned();
        if let Some(config) = config.filter(|config| config.sequence() == self.configurations.len() as u64)
            && self.is_believed(place)
        {
            self.counts.configurations += 1;
            self.configurations.push(config);
        }
        for block in blocks {
            self.note_cut(place, &block);
            self.push_block(place, Certainty::Decided, &block);
        }
        self.plan_cut_timer(place);
    }

    /// A node has cut a block that it did not have, now or while it recovers.
    pub(super) fn note_cut(&mut self, place: Place, block: &SharedBlock) {
        if self.is_believed(place) {
            self.observe(&Observation::Cut(self.nodes[place].me, block));
            self.chain.entry(block.header.number).or_insert_with(|| block.clone());
        }
    }

    fn deliver_tentatively(&mut self, place: Place, tentative: &Tentative) {
        let me = self.nodes[place].me;
        let Some(process) = &mut self.nodes[place].process else { return };
        for block in process.application.deliver_tentatively(tentative) {
            self.trace.note(self.now, [10, place as u64, block.header.number, tentative.regency.0], || {
                format!("{place} foretells block {} in r{}", block.header.number, tentative.regency)
            });
            if self.is_believed(place) {
                self.counts.foretold += 1;
                self.observe(&Observation::Foretold(me, &block));
            }
            self.push_block(place, Certainty::Tentative(tentative.regency), &block);
        }
    }

    fn retract(&mut self, place: Place) {
        let Some(process) = &mut self.nodes[place].process else { return };
        process.application.retract();
        self.counts.retractions += 1;
        self.trace.say(self.now, || format!("{place} takes back what was tentative"));
    }

    /// A replica whose deadline has come is woken.
    pub fn wake(&mut self, place: Place, life: Life) {
        if !self.is_alive(place, life) {
            return;
        }
        let Some(process) = &mut self.nodes[place].process else { return };
        process.wake_at = None;
        if process.deadline() <= self.now {
            self.hear(place, Event::Wake);
        } else {
            self.plan_wake(place);
        }
    }

    pub fn plan_wake(&mut self, place: Place) {
        let node = &mut self.nodes[place];
        let Some(process) = &mut node.process else { return };
        let deadline = process.deadline().max(self.now);
        if process.wake_at.is_none_or(|planned| deadline < planned) {
            process.wake_at = Some(deadline);
            self.queue.at(deadline, Happening::Wake(place, node.life));
        }
    }
}

/// Small, so that catching up takes more than one question.
const DECISIONS_MAX: usize = 6;
const DECISIONS_BYTES: usize = 16 << 10;
