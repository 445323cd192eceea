//! Speaking to replicas over a real link, with lies in it.

use std::time::Duration;

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::message::Propose;
use mod_smart::{Digest, Message, Sealed, Signature};
use orderer_node::mesh::MeshEvent;

use super::false_node::FalseNode;

impl FalseNode {
    /// Answers every proposal that it hears with all that a follower must not say.
    pub async fn vote_falsely(mut self) {
        while let Some(event) = self.events.recv().await {
            let MeshEvent::Frame { from, message, credit } = event else { continue };
            drop(credit);
            let Ok(heard) = Sealed::<Message>::open(message, from, &self.view, &*self.keyring) else { continue };
            if let Message::Propose(propose) = heard.value() {
                self.answer_falsely(propose);
            }
        }
    }

    fn answer_falsely(&self, heard: &Propose) {
        let (group, me) = (self.view.group(), self.me);
        let vote = |kind, digest| Vote { kind, instance: heard.instance, epoch: heard.epoch, digest };
        for kind in [VoteKind::Write, VoteKind::Accept] {
            for digest in [Digest([1; 32]), Digest([2; 32])] {
                self.say(&Message::Vote(vote(kind, digest).sign(group, me, &*self.vote_key)));
            }
            let mut forged = vote(kind, heard.digest()).sign(group, me, &*self.vote_key);
            forged.signature = Signature([3; 64]);
            self.say(&Message::Vote(forged));
        }
        self.say(&Message::Propose(Propose { requests: vec![Digest([4; 32])], ..heard.clone() }));
    }

    /// Sends bytes that are no message, again and again.
    pub async fn talk_garbage(mut self) {
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                event = self.events.recv() => if event.is_none() { return },
                _ = pause.tick() => self.mesh.send_others(b"garbage"),
            }
        }
    }

    fn say(&self, message: &Message) {
        self.mesh.send_others(&message.encode());
    }
}
