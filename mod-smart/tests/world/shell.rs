//! Performs the actions of the replicas, and checks what every shell may rely on.

use std::collections::BTreeMap;

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::checkpoint::CheckpointVote;
use mod_smart::{
    Action, Answer, Client, Digest, Epoch, Event, InstanceId, Message, Recipients, Record, Regency, ReplicaId, Sealed,
    Statement, Tentative,
};

use super::disk::{self, Checkpoint};
use super::{GROUP, Name, Names, Own, Packet, World};

/// Everything a replica ever signed, through all losses of its disk: it must never contradict itself.
#[derive(Clone, Debug, Default)]
pub struct Said {
    votes: BTreeMap<(VoteKind, InstanceId, Epoch), Digest>,
    checkpoints: BTreeMap<InstanceId, Digest>,
    /// The highest regency of anything signed.
    highest: Option<Regency>,
    /// The same before the disk was lost.
    forgotten: Option<Regency>,
}

impl Said {
    /// The disk is lost: nothing of a regency that something was signed in may be signed again.
    pub fn forget(&mut self) {
        self.forgotten = self.highest;
    }

    pub fn votes(&self) -> usize {
        self.votes.len()
    }

    fn say(&mut self, me: ReplicaId, statement: &Statement) {
        let regency = match statement {
            Statement::Vote(Vote { kind, instance, epoch, digest }) => {
                let earlier = *self.votes.entry((*kind, *instance, *epoch)).or_insert(*digest);
                assert_eq!(earlier, *digest, "replica {me} votes twice in instance {instance}, epoch {epoch}");
                Regency(epoch.0)
            }
            Statement::StopData(data) => data.regency,
            Statement::Checkpoint(CheckpointVote { instance, digest }) => {
                let earlier = *self.checkpoints.entry(*instance).or_insert(*digest);
                assert_eq!(earlier, *digest, "replica {me} signs two states after instance {instance}");
                return;
            }
        };
        assert!(Some(regency) > self.forgotten, "replica {me} signs in regency {regency}, which it may have forgotten");
        self.highest = self.highest.max(Some(regency));
    }
}

/// What the application makes of a request to hand over. Whether its client may ask is the application's to know.
fn hand_over(request: &Sealed<mod_smart::Request>) -> Option<(Regency, ReplicaId)> {
    let text = std::str::from_utf8(&request.value().body).ok()?.strip_prefix("hand over ")?;
    let (regency, to) = text.split_once(" to ")?;
    Some((Regency(regency.parse().ok()?), ReplicaId(to.parse().ok()?)))
}

impl World {
    pub(super) fn perform(&mut self, me: ReplicaId, actions: Vec<Action>) {
        let is_silent = self.nodes[me.index()].replica.as_ref().is_some_and(mod_smart::Replica::is_silent);
        for action in actions {
            match action {
                Action::Persist(record) => self.nodes[me.index()].journal.push(record),
                Action::Sign(to, statement) => {
                    assert!(!is_silent, "a silent replica signs {statement:?}");
                    self.sign(me, to, statement);
                }
                Action::Send(to, message) => {
                    let speaks = matches!(message, Message::Propose(_));
                    assert!(!is_silent || !speaks, "a silent replica proposes");
                    self.send(me, to, message);
                }
                Action::Answer(id, digest, answer) => {
                    if answer == Answer::Held {
                        self.held.entry(digest).or_default().insert(me);
                    }
                    self.answers.push((me, id, answer));
                }
                Action::Deliver(decision) => {
                    decision.proof.verify(&self.view, &Names).unwrap();
                    for (regency, to) in decision.requests.iter().filter_map(hand_over) {
                        self.tell_itself(me, Own::HandOver(regency, to));
                    }
                    let digests = decision.requests.iter().map(Sealed::<mod_smart::Request>::digest).collect();
                    let node = &mut self.nodes[me.index()];
                    if !node.ahead.is_empty() {
                        let foretold = node.ahead.remove(0);
                        assert_eq!(foretold, (decision.instance, Vec::clone(&digests)), "not taken back");
                    }
                    node.delivered.push((decision.instance, digests));
                }
                Action::DeliverTentatively(tentative) => self.foretell(me, &tentative),
                Action::Retract => {
                    self.retractions += usize::from(!self.nodes[me.index()].ahead.is_empty());
                    self.nodes[me.index()].ahead.clear();
                }
                Action::SendDecisions { to, from } => {
                    let decisions = disk::read_decisions(&self.nodes[me.index()].journal, from, 20);
                    self.send(me, Recipients::One(to), Message::Decisions(decisions));
                }
                Action::TakeCheckpoint { instance, sessions } => {
                    let node = &self.nodes[me.index()];
                    assert_eq!(node.delivered.last().map(|(at, _)| *at), Some(instance), "taken in its place");
                    if node.skips_checkpoints {
                        continue;
                    }
                    let application = disk::snapshot(&node.delivered, node.padding);
                    self.tell_itself(me, Own::CheckpointWritten(Checkpoint { instance, sessions, application }));
                }
                Action::KeepStable(stable) => self.nodes[me.index()].checkpoints.stable = Some(stable),
                Action::Truncate(mark) => disk::truncate(&mut self.nodes[me.index()].journal, mark),
                Action::SendChunk { to, instance, index } => {
                    if let Some(chunk) = self.nodes[me.index()].checkpoints.chunk(instance, index) {
                        *self.chunks_sent.entry(me).or_default() += 1;
                        self.send(me, Recipients::One(to), Message::Chunk(instance, index, chunk));
                    }
                }
                Action::InstallState { checkpoint, sessions, application } => {
                    let state = Checkpoint { instance: checkpoint.instance(), sessions, application };
                    assert_eq!(state.manifest().digest(), checkpoint.digest(), "what is installed is what was agreed");
                    self.tell_itself(me, Own::StateWritten(state, checkpoint));
                }
                Action::Report(misbehaviour) => self.nodes[me.index()].reports.push(misbehaviour),
            }
        }
    }

    fn foretell(&mut self, me: ReplicaId, tentative: &Tentative) {
        let node = &mut self.nodes[me.index()];
        let is_certified = |record: &Record| match record {
            Record::Certified(certificate) => {
                certificate.instance() == tentative.instance && certificate.epoch() == tentative.regency.into()
            }
            _ => false,
        };
        assert!(node.journal.iter().any(is_certified), "the certificate is durable first");
        let digests = tentative.requests.iter().map(Sealed::<mod_smart::Request>::digest).collect();
        node.ahead.push((tentative.instance, digests));
        let known = node.delivered.iter().chain(&node.ahead);
        assert!(known.clone().map(|(at, _)| at.0).eq(1..=tentative.instance.0), "in order and without gaps");
        let history = known.flat_map(|(_, digests)| digests.clone()).collect();
        self.foretold.entry((tentative.instance, history)).or_default().insert(me, tentative.regency);
    }

    fn sign(&mut self, me: ReplicaId, to: Recipients, statement: Statement) {
        let node = &mut self.nodes[me.index()];
        let record = match &statement {
            Statement::Vote(vote) => Some(Record::Voted(*vote)),
            Statement::Checkpoint(vote) => Some(Record::Checkpointed(*vote)),
            Statement::StopData(_) => None,
        };
        assert!(record.is_none_or(|record| node.journal.contains(&record)), "said before it is durable: {statement:?}");
        node.said.say(me, &statement);
        let signed = statement.sign(GROUP, me, &Name(Client::Replica(me)));
        if to == Recipients::All || to == Recipients::One(me) {
            self.tell_itself(me, Own::Loop(signed.clone().loop_back(me)));
        }
        let others = if to == Recipients::All { Recipients::Others } else { to };
        self.send(me, others, signed);
    }

    /// Something a node began itself is done.
    pub(super) fn do_own(&mut self, me: ReplicaId, own: Own) -> Event {
        let node = &mut self.nodes[me.index()];
        match own {
            Own::Loop(message) => Event::Message(message),
            Own::CheckpointWritten(checkpoint) => {
                let (instance, manifest) = (checkpoint.instance, checkpoint.manifest());
                node.checkpoints.save(checkpoint);
                Event::CheckpointTaken { instance, manifest }
            }
            Own::StateWritten(state, stable) => {
                let instance = state.instance;
                node.delivered = disk::restore(state.application.clone());
                node.checkpoints.save(state);
                node.checkpoints.stable = Some(stable);
                self.tell_itself(me, Own::StateInstalled(instance));
                // Until that arrives, whatever the replica hears must not make it deliver.
                Event::Wake
            }
            Own::StateInstalled(instance) => Event::StateInstalled(instance),
            Own::HandOver(regency, to) => Event::HandOver { regency, to },
        }
    }

    fn send(&mut self, me: ReplicaId, to: Recipients, message: Message) {
        let lie = self.nodes[me.index()].lie;
        let Some(message) = lie.map_or(Some(message.clone()), |lie| lie(message)) else { return };
        let bytes = message.encode();
        for peer in self.view.clone().replicas() {
            let wanted = match to {
                Recipients::All | Recipients::Others => peer != me,
                Recipients::One(one) => peer == one && peer != me,
            };
            if wanted && !self.cut.contains(&(me, peer)) && self.random(100) >= self.loss_percent {
                self.post(peer, Packet::Sent(me, self.nodes[me.index()].life, bytes.clone()));
            }
        }
    }
}
