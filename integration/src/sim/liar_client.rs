//! A client that lies: two bodies under one number, numbers far ahead, old sessions, requests for some replicas only,
//! requests again and again, and garbage. None of it may harm anybody else.

use blockcutter::BundleBuilder;
use bytes::Bytes;
use fastrand::Rng;
use mod_smart::{Client, FrontendId, Request, RequestId, Sealed, Sequence, SessionId};

use super::checkers::Observation;
use super::genesis::{channel, envelope};
use super::keys::Key;
use super::plan::GROUP;
use super::queue::{Frame, Happening};
use super::world::{Phase, World};

/// The client, and what it has sent.
#[derive(Debug)]
pub(super) struct LiarClient {
    pub random: Rng,
    session: SessionId,
    next: Sequence,
    sent: Vec<Bytes>,
}

const ID: FrontendId = FrontendId([0xee; 32]);

impl LiarClient {
    pub const fn new(random: Rng) -> Self {
        Self { random, session: SessionId(7), next: Sequence(1), sent: Vec::new() }
    }

    fn request(&mut self, session: SessionId, sequence: Sequence, (config, envelope): (u64, Bytes)) -> Sealed<Request> {
        let id = RequestId { client: Client::Frontend(ID), session, sequence };
        let mut bundle = BundleBuilder::new();
        // It may name any configuration; what it names decides who judges its envelope, and when.
        let named = [config, config, config + 1, config.saturating_sub(1)][self.random.usize(..4)];
        bundle.push(&channel(), named, envelope);
        Request { id, body: bundle.finish() }.seal(GROUP, &Key::frontend(ID))
    }

    /// What it sends next: the bodies of one trick.
    fn trick(&mut self, envelopes: &mut dyn FnMut() -> (u64, Bytes)) -> Vec<Sealed<Request>> {
        let (session, sequence) = (self.session, self.next);
        match self.random.u8(..6) {
            0 => {
                self.next = sequence.next();
                vec![self.request(session, sequence, envelopes()), self.request(session, sequence, envelopes())]
            }
            1 => vec![self.request(session, Sequence(sequence.0 + 100_000), envelopes())],
            2 => vec![self.request(SessionId(1), sequence, envelopes())],
            3 => {
                self.session = SessionId(session.0 + 1);
                self.next = Sequence(1);
                Vec::new()
            }
            _ => {
                self.next = sequence.next();
                vec![self.request(session, sequence, envelopes())]
            }
        }
    }
}

impl World {
    /// The lying client does something, and again after a while.
    pub fn client_lies(&mut self) {
        if self.phase != Phase::Safety {
            return;
        }
        let Some(mut liar) = self.liar_client.take() else { return };
        let wait = std::time::Duration::from_millis(liar.random.u64(20..400));
        self.queue.after(self.now, wait, Happening::ClientLies);
        let (config, counts) = (self.configurations.len() as u64 - 1, &mut self.counts);
        let requests = liar.trick(&mut || {
            counts.envelopes += 1;
            (config, envelope(counts.envelopes, 40))
        });
        let from = self.nodes.len() + self.frontends.len();
        for request in requests {
            self.observe(&Observation::Submitted(&request));
            self.trace.say(self.now, || format!("the lying client sends {}", request.value().id));
            for to in 0..self.nodes.len() {
                if liar.random.u8(..3) > 0 {
                    self.transmit(from, to, &Frame::Submit(request.bytes().clone()));
                }
            }
            liar.sent.push(request.bytes().clone());
        }
        if let Some(again) = liar.random.choice(&liar.sent).cloned() {
            let to = liar.random.usize(..self.nodes.len());
            self.transmit(from, to, &Frame::Submit(again.clone()));
            let mut garbage = again.to_vec();
            let at = liar.random.usize(..garbage.len());
            garbage[at] = !garbage[at];
            self.transmit(from, to, &Frame::Submit(garbage.into()));
        }
        self.liar_client = Some(liar);
    }
}
