//! Frames on their way between places, and what a node looks at before its replica hears one.

use blockcutter::Verification;
use bytes::Bytes;
use mod_smart::{Event, Message, ReplicaId, Request, Sealed};

use super::checkers::Standing;
use super::keys::{Keys, checksum};
use super::node::describe;
use super::plan::GROUP;
use super::queue::{Frame, Happening, Place};
use super::world::World;

impl World {
    /// Something comes out of a link.
    pub fn arrive(&mut self, from: Place, to: Place, frame: Frame) {
        self.load.0 -= 1;
        self.load.1 -= frame.size();
        if to >= self.nodes.len() {
            return self.frontend_hears(to - self.nodes.len(), from, frame);
        }
        let node = &mut self.nodes[to];
        if node.process.is_none() {
            return;
        }
        if node.is_paused {
            // A socket holds so much, and then its sender's queue, and then nothing.
            if node.inbox.len() < INBOX_MAX {
                node.inbox.push_back((from, frame));
            }
            return;
        }
        self.take(to, from, frame);
    }

    /// A node reads a frame.
    pub fn take(&mut self, place: Place, from: Place, frame: Frame) {
        match frame {
            Frame::Message(bytes) => self.take_message(place, from, bytes),
            Frame::Submit(bytes) => {
                let Ok(request) = Sealed::<Request>::open(bytes, GROUP, &Keys) else { return };
                if !self.may_hold(place, &request) {
                    return;
                }
                self.nodes[place].remember(&request);
                self.hear(place, Event::Request(request));
            }
            Frame::Follow(number) => self.push_from(place, from, number),
            Frame::FetchBody(number) => self.push_body(place, from, number),
            Frame::Answer(..) | Frame::Push(_) => {}
        }
    }

    /// What a node checks of a message before its replica hears it: bodies as if their clients had sent them.
    fn is_passable(&mut self, place: Place, message: &Message) -> bool {
        let Message::Bodies(requests) = message else { return true };
        requests.iter().all(|request| self.may_hold(place, request))
    }

    /// Does the configuration in force at this node permit the body? What names a later one than that is lost here: the node
    /// program lets it wait, and who sends it must not rely on that.
    fn may_hold(&mut self, place: Place, request: &Sealed<Request>) -> bool {
        let Some(process) = &self.nodes[place].process else { return false };
        let sequence = process.application.config().map_or(0, |config| config.sequence());
        let of_body = (request.digest(), sequence);
        if let Some(known) = self.verdicts.get(&of_body) {
            return *known;
        }
        let (body, client) = (&request.value().body, request.value().id.client);
        let configurations = process.application.configurations();
        let permitted = blockcutter::judge(body, client, &configurations, Verification::Full).is_ok();
        self.verdicts.insert(of_body, permitted);
        permitted
    }

    fn take_message(&mut self, place: Place, from: Place, bytes: Bytes) {
        let sender = ReplicaId(from as u16);
        let sum = checksum(from as u64, &bytes[..bytes.len().min(96)]);
        let opened = Sealed::<Message>::open(bytes, sender, &self.plan.view, &Keys);
        let message = match opened {
            Ok(message) if self.is_passable(place, message.value()) => message,
            Ok(_) => return,
            Err(error) => {
                self.counts.rejected += 1;
                self.trace.note(self.now, [1, place as u64, from as u64, sum], || {
                    format!("{place} < {from}  rejected: {error}")
                });
                if !self.scene().is_faulty(sender) && self.standings[place] != Standing::Liar {
                    self.fail(
                        "certificate",
                        format!("a message of replica {sender}, which is correct, is refused: {error}"),
                    );
                }
                return;
            }
        };
        let trace = &mut self.trace;
        trace.note(self.now, [2, place as u64, from as u64, sum], || {
            format!("{place} < {from}  {}", describe(message.value()))
        });
        if self.nodes[place].actor.is_some() && !self.ask_actor(place, sender, message.value()) {
            return;
        }
        self.hear(place, Event::Message(message));
    }

    /// Sends a frame over a link.
    pub fn transmit(&mut self, from: Place, to: Place, frame: &Frame) {
        for at in self.network.arrivals(self.now, from, to).into_iter().flatten() {
            self.load.0 += 1;
            self.load.1 += frame.size();
            self.queue.at(at, Happening::Frame { from, to, frame: frame.clone() });
        }
    }
}

/// Frames that a node which does not run can be owed.
const INBOX_MAX: usize = 4_000;
