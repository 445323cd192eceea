//! *Attack.* Asks for cuts that are not due: of the open block, of later ones, of none that can be, again and again, in
//! session after session, under the names of all liars.
//!
//! *Answer.* A cut needs `f + 1` distinct replicas that ask for the number that is open, so liars alone never cause one; other
//! numbers are dropped. Sessions and windows of a client are bounded, and one client fills its own share of a batch and of
//! the queues only.

use blockcutter::command::{self, Command};
use bytes::Bytes;
use fabric_proto::ChannelId;
use mod_smart::{Client, Message, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId};

use crate::sim::actor::{Actor, BlockPush, Hand};

#[derive(Debug, Default)]
struct EarlyCutter {
    channel: Option<ChannelId>,
    /// The last block that was cut here.
    number: u64,
    session: u64,
    sequence: u64,
    /// How many requests it sends in a tick.
    burst: u8,
    /// How often it asked.
    asked: u32,
}

/// Then it has made its point: what never ends would keep a world from coming to rest.
const ASKED_MAX: u32 = 300;

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    Box::new(EarlyCutter { burst: [1, 1, 4][(seed % 3) as usize], ..EarlyCutter::default() })
}

impl Actor for EarlyCutter {
    fn name(&self) -> &'static str {
        "early-cutter"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        hand.send(to, message);
    }

    fn on_tick(&mut self, hand: &mut Hand<'_>) {
        self.channel = self.channel.take().or_else(|| hand.requests.iter().find_map(channel_of));
        let Some(channel) = self.channel.clone() else { return };
        if self.asked < ASKED_MAX && hand.random.u8(..16) == 0 {
            (0..self.burst).for_each(|_| self.ask(&channel, hand));
        }
    }

    fn on_push(&mut self, push: BlockPush, hand: &mut Hand<'_>) {
        self.number = self.number.max(push.header.number);
        hand.push(push);
    }
}

impl EarlyCutter {
    fn ask(&mut self, channel: &ChannelId, hand: &mut Hand<'_>) {
        let next = self.number + 1;
        let wild = hand.random.u64(..);
        let Some(number) = hand.random.choice([next, next, next + 1, next + 2, self.number, wild, u64::MAX]) else {
            return;
        };
        if hand.random.u8(..16) == 0 {
            self.session = self.session.wrapping_add(hand.random.u64(1..1_000));
            self.sequence = 0;
        }
        self.sequence += 1;
        self.asked += 1;
        let body = command::encode(&[Command::CutAfterTimeout { channel: channel.clone(), number }]);
        // Sessions far above those of the honest replica inside, which goes on asking when it is due.
        let session = SessionId((1 << 60) + self.session);
        let requests = hand.coalition.iter().filter_map(|liar| {
            let id = RequestId { client: Client::Replica(liar), session, sequence: Sequence(self.sequence) };
            hand.key_of(liar).map(|key| Request { id, body: body.clone() }.seal(hand.group, &key))
        });
        let requests: Vec<Sealed<Request>> = requests.collect();
        for to in hand.others() {
            hand.send(to, Message::Bodies(requests.clone()));
        }
    }
}

fn channel_of(request: &Sealed<Request>) -> Option<ChannelId> {
    let body: Bytes = request.value().body.clone();
    let commands = command::decode(body).ok()?;
    commands.into_iter().find_map(|command| match command {
        Command::Envelopes { channel, .. }
        | Command::Config { channel, .. }
        | Command::CutAfterTimeout { channel, .. }
        | Command::OpenChannel { channel, .. }
        | Command::TakeUpChannel { channel, .. } => Some(channel),
        Command::HandOver { .. } => None,
    })
}
