//! What happens around the frontends: envelopes come in, wishes are granted.

use std::time::Duration;

use blockcutter::BundleBuilder;
use bytes::Bytes;
use mod_smart::ReplicaId;

use super::actor::BlockPush;
use super::checkers::Observation;
use super::frontend::Wish;
use super::genesis::{Writers, channel, envelope};
use super::members::signed_envelope;
use super::plan::Rhythm;
use super::queue::{Frame, Happening, Place};
use super::updates::config_envelope;
use super::world::{Phase, World};

impl World {
    /// Clients of a frontend want something ordered, and again after a while.
    pub fn submit(&mut self, at: usize) {
        let wait = match self.phase {
            Phase::Safety => self.plan.request_every,
            // Enough load for a replica whose disk was lost to be readmitted, and no more.
            Phase::Liveness(_) => self.plan.request_every * 4,
            Phase::Settled => return,
        };
        let spread = match self.plan.rhythm {
            Rhythm::Random => Duration::from_nanos(self.random.u64(..2 * wait.as_nanos() as u64)),
            Rhythm::Steady | Rhythm::Full => wait,
        };
        self.queue.after(self.now, spread, Happening::Submit(at));
        if matches!(self.phase, Phase::Liveness(_)) && !self.is_load_needed() {
            return;
        }
        while self.counts.requests < self.plan.requests_max {
            if !self.frontends[at].has_room(self.plan.frontend_window) {
                self.counts.refused += 1;
                return;
            }
            self.submit_one(at);
            if self.plan.rhythm != Rhythm::Full {
                return;
            }
        }
    }

    fn submit_one(&mut self, at: usize) {
        let mut bundle = BundleBuilder::new();
        let (least, most) = self.plan.envelopes;
        for _ in 0..self.random.usize(least..=most) {
            self.counts.envelopes += 1;
            let envelope = match self.plan.writers {
                Writers::Anybody => envelope(self.counts.envelopes, self.random.usize(1..200)),
                Writers::Members => match signed_envelope(self.counts.envelopes) {
                    Ok(signed) => signed,
                    Err(error) => return self.fail("set-up", error.to_string()),
                },
            };
            bundle.push(&channel(), self.frontends[at].sequence, envelope);
        }
        self.submit_body(at, bundle.finish());
    }

    fn submit_body(&mut self, at: usize, body: Bytes) {
        let mut wishes = Vec::new();
        let request = self.frontends[at].submit(body, self.now, &mut wishes);
        self.counts.requests += 1;
        self.outstanding.insert(request.value().id);
        self.observe(&Observation::Submitted(&request));
        self.grant(at, wishes);
    }

    /// An administrator changes how many envelopes make a block, through some frontend and the configuration that it knows.
    pub fn administer(&mut self) {
        let (Some(every), Phase::Safety) = (self.plan.update_every, self.phase) else { return };
        let wait = Duration::from_nanos(self.random.u64(..2 * every.as_nanos() as u64));
        self.queue.after(self.now, wait, Happening::Administer);
        let (at, count, number) =
            (self.random.usize(..self.frontends.len()), self.random.u32(2..7), self.random.u64(..));
        let sequence = self.frontends[at].sequence;
        let Some(config) = self.configurations.get(sequence as usize).cloned() else { return };
        if config.batch_size().max_message_count == count || !self.frontends[at].has_room(self.plan.frontend_window) {
            return;
        }
        match config_envelope(&config, count, number) {
            Ok(envelope) => {
                let mut bundle = BundleBuilder::new();
                bundle.push_config(&channel(), sequence, envelope);
                self.submit_body(at, bundle.finish());
            }
            Err(error) => self.fail("set-up", format!("an administrator's update is refused: {error}")),
        }
    }

    pub fn frontend_wake(&mut self, at: usize) {
        self.queue.after(self.now, Duration::from_millis(40), Happening::FrontendWake(at));
        let mut wishes = Vec::new();
        if self.frontends[at].is_session_ended() {
            self.begin_session(at, &mut wishes);
        }
        self.frontends[at].on_wake(self.now, &mut wishes);
        self.grant(at, wishes);
        if at == 0 {
            self.observe_load();
        }
    }

    /// A frontend begins again; what was not acknowledged is asked for under new numbers.
    pub fn begin_session(&mut self, at: usize, wishes: &mut Vec<Wish>) {
        // What was under way may be ordered under its old number, or may not.
        for id in self.frontends[at].unheld() {
            self.outstanding.remove(&id);
        }
        for body in self.frontends[at].begin_session() {
            let request = self.frontends[at].submit(body, self.now, wishes);
            self.outstanding.insert(request.value().id);
            self.observe(&Observation::Submitted(&request));
        }
    }

    pub fn frontend_hears(&mut self, at: usize, from: Place, frame: Frame) {
        let (from, mut wishes) = (ReplicaId(from as u16), Vec::new());
        match frame {
            Frame::Answer(id, digest, answer) => {
                wishes.extend(self.frontends[at].on_answer(from, id, digest, answer, self.now));
            }
            Frame::Push(push) => self.frontends[at].on_push(from, push, self.now, &mut wishes),
            _ => {}
        }
        self.grant(at, wishes);
    }

    pub fn grant(&mut self, at: usize, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Send(to, frame) => self.transmit(self.nodes.len() + at, to.index(), &frame),
                Wish::Acknowledged(id, digest) => {
                    self.counts.acknowledged += 1;
                    self.observe(&Observation::Acknowledged(id, digest));
                }
                Wish::Certified(pushes) => self.on_certified(at, &pushes),
            }
        }
    }

    fn on_certified(&mut self, at: usize, pushes: &[(ReplicaId, BlockPush)]) {
        self.counts.certified += 1;
        let number = pushes.first().map_or(0, |(_, push)| push.header.number);
        self.trace.note(self.now, [9, at as u64, number, pushes.len() as u64], || {
            format!("frontend {at} certifies block {number} with {} signatures", pushes.len())
        });
        self.observe(&Observation::Certified(at, pushes));
    }
}
