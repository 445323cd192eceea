//! A node at work: its replica hears events, its disk makes records durable, and then what follows takes effect.

use mod_smart::checkpoint::Manifest;
use mod_smart::{
    Action, Answer, Client, Decision, Digest, Event, Message, Recipients, RequestId, StableCheckpoint, Statement,
};
use orderer_node::checkpoint::Checkpoint;
use std::time::Duration;

use super::actor::{BlockPush, Hand, Outgoing};
use super::checkers::{Observation, Standing};
use super::keys::Key;
use super::lifecycle::{End, TICK};
use super::node::{Batch, describe};
use super::plan::GROUP;
use super::queue::{Frame, Happening, Installing, Life, Place, Saving};
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
            process.replica.handle(self.now, event, &mut actions);
            process.enqueue(actions);
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
            Action::TakeCheckpoint { instance, sessions } => {
                let Some(process) = &mut self.nodes[place].process else { return };
                if std::mem::replace(&mut process.is_saving, true) {
                    return;
                }
                let checkpoint = Checkpoint { instance, sessions, application: process.application.snapshot() };
                let saving = Saving { checkpoint, height: process.application.blocks.len() };
                self.after_disk(place, |life| Happening::Saved(place, life, Box::new(saving)));
            }
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
                let installing = Installing { stable, checkpoint };
                self.after_disk(place, |life| Happening::Installing(place, life, Box::new(installing)));
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

    /// Plans what happens once the disk has written something outside of the journal.
    fn after_disk(&mut self, place: Place, happening: impl FnOnce(Life) -> Happening) {
        let wait = self.plan.sync.0 + Duration::from_micros(self.random.u64(..20_000));
        let node = &self.nodes[place];
        self.queue.after(self.now, wait + node.disk_delay, happening(node.life));
    }

    fn sign(&mut self, place: Place, to: Recipients, statement: Statement) {
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

    fn answer(&mut self, place: Place, id: RequestId, digest: Digest, answer: Answer) {
        let me = self.nodes[place].me;
        if answer == Answer::Held && self.is_believed(place) {
            self.observe(&Observation::Held(me, digest));
        }
        let Client::Frontend(frontend) = id.client else { return };
        if let Some(at) = self.frontends.iter().position(|known| known.id() == frontend) {
            self.transmit(place, self.nodes.len() + at, &Frame::Answer(id, digest, answer));
        }
    }

    fn deliver(&mut self, place: Place, decision: &Decision) {
        let me = self.nodes[place].me;
        if self.is_believed(place) {
            self.counts.on_delivered(decision);
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
        for block in blocks {
            if self.is_believed(place) {
                self.observe(&Observation::Cut(me, &block));
                self.chain.entry(block.header.number).or_insert_with(|| block.clone());
            }
            self.push_block(place, &block);
        }
        self.plan_cut_timer(place);
    }

    /// A checkpoint is durable.
    pub fn saved(&mut self, place: Place, life: Life, saving: Saving) {
        if !self.is_alive(place, life) {
            // The write belongs to a process that is gone, or waits with the one that is paused.
            if self.nodes[place].life == life && self.nodes[place].is_paused {
                self.queue.after(self.now, TICK, Happening::Saved(place, life, Box::new(saving)));
            }
            return;
        }
        let node = &mut self.nodes[place];
        let (Some(process), me) = (&mut node.process, node.me) else { return };
        process.is_saving = false;
        let instance = saving.checkpoint.instance;
        match process.store.save(&saving.checkpoint) {
            Ok(manifest) => {
                node.blocks_synced = node.blocks_synced.max(saving.height);
                self.counts.checkpoints += 1;
                self.observe_state(place, me, &manifest, instance);
                self.hear(place, Event::CheckpointTaken { instance, manifest });
            }
            Err(error) => {
                self.trace.say(self.now, || format!("{place} cannot save a checkpoint: {error}"));
                self.end(place, End::Killed);
            }
        }
    }

    fn observe_state(&mut self, place: Place, me: mod_smart::ReplicaId, manifest: &Manifest, at: mod_smart::InstanceId) {
        self.trace.note(self.now, [7, place as u64, at.0, 0], || format!("{place} has saved checkpoint {at} {}", manifest.digest()));
        if self.is_believed(place) {
            self.observe(&Observation::State(me, at, manifest.digest()));
        }
    }

    fn keep_stable(&mut self, place: Place, stable: &StableCheckpoint) {
        let Some(process) = &self.nodes[place].process else { return };
        if let Err(error) = process.store.keep_stable(stable) {
            self.trace.say(self.now, || format!("{place} cannot keep a certificate: {error}"));
            self.end(place, End::Killed);
        }
    }

    /// A state of others takes the place of our own.
    pub fn install(&mut self, place: Place, life: Life, installing: Installing) {
        if !self.is_alive(place, life) {
            if self.nodes[place].life == life && self.nodes[place].is_paused {
                self.queue.after(self.now, TICK, Happening::Installing(place, life, Box::new(installing)));
            }
            return;
        }
        let Installing { stable, checkpoint } = installing;
        let instance = stable.instance();
        let restored = self.restored_application(&checkpoint.application);
        let node = &mut self.nodes[place];
        let (Some(process), me) = (&mut node.process, node.me) else { return };
        if let Err(error) = process.store.install(&stable, &checkpoint) {
            self.trace.say(self.now, || format!("{place} cannot install a state: {error}"));
            self.end(place, End::Killed);
            return;
        }
        let mut application = match restored {
            Ok(application) => application,
            Err(error) => return self.fail("agreement", format!("a stable state does not decode: {error}")),
        };
        application.blocks = std::mem::take(&mut process.application.blocks);
        if !application.fill(&self.chain) {
            return self.fail("hash chain", format!("a state after {instance} speaks of blocks that nobody has cut"));
        }
        node.blocks_synced = application.blocks.len();
        process.application = application;
        self.counts.transfers += 1;
        self.trace.note(self.now, [8, place as u64, instance.0, 0], || format!("{place} goes on from the state after {instance}"));
        if self.is_believed(place) {
            self.observe(&Observation::Installed(me, instance));
        }
        self.hear(place, Event::StateInstalled(instance));
        self.plan_cut_timer(place);
    }

    /// A replica whose deadline has come is woken.
    pub fn wake(&mut self, place: Place, life: Life) {
        if !self.is_alive(place, life) {
            return;
        }
        let Some(process) = &mut self.nodes[place].process else { return };
        process.wake_at = None;
        if process.replica.deadline() <= self.now {
            self.hear(place, Event::Wake);
        } else {
            self.plan_wake(place);
        }
    }

    pub fn plan_wake(&mut self, place: Place) {
        let node = &mut self.nodes[place];
        let Some(process) = &mut node.process else { return };
        let deadline = process.replica.deadline().max(self.now);
        if process.wake_at.is_none_or(|planned| deadline < planned) {
            process.wake_at = Some(deadline);
            self.queue.at(deadline, Happening::Wake(place, node.life));
        }
    }

    /// Shows an actor something it decides on, and lets what it says leave.
    pub fn with_actor<T: Default>(
        &mut self,
        place: Place,
        act: impl FnOnce(&mut dyn super::actor::Actor, &mut Hand<'_>) -> T,
    ) -> T {
        let Some(mut actor) = self.nodes[place].actor.take() else { return T::default() };
        let mut sent = Vec::new();
        let node = &self.nodes[place];
        let mut hand = Hand {
            now: self.now,
            me: node.me,
            view: &self.plan.view,
            group: GROUP,
            random: &mut self.random,
            coalition: self.coalition,
            requests: node.seen(),
            sent: &mut sent,
        };
        let result = act(&mut *actor, &mut hand);
        self.nodes[place].actor = Some(actor);
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
    pub fn ask_actor(&mut self, place: Place, from: mod_smart::ReplicaId, message: &Message) -> bool {
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

/// Small, so that catching up takes more than one question.
const DECISIONS_MAX: usize = 6;
const DECISIONS_BYTES: usize = 16 << 10;
