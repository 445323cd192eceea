//! Four replicas that decide, without disk and network: what they say is handed over as bytes, what they write is encoded.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use mod_smart::{
    Action, Client, Event, Keyring, Limits, Message, Recipients, Replica, ReplicaId, Request, RequestId, Sealed,
    Sequence, SessionId, Signature, Signer, Time, View,
};
use sha2::Digest as _;

use super::input::{FRONTEND, GROUP};

/// Signatures that are hashes: they cost no allocation and a different content has a different one.
pub struct Key(pub Client);

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Signature {
        let (kind, name) = match self.0 {
            Client::Frontend(frontend) => (0, frontend.0),
            Client::Replica(replica) => (1, [replica.0 as u8; 32]),
        };
        let hash = sha2::Sha256::new().chain_update([kind]).chain_update(name).chain_update(message).finalize();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&hash);
        Signature(signature)
    }
}

/// Knows everybody.
struct Keys;

impl Keyring for Keys {
    fn verify_replica(&self, replica: ReplicaId, message: &[u8], signature: &Signature) -> bool {
        Key(Client::Replica(replica)).sign(message) == *signature
    }

    fn verify_client(&self, client: Client, message: &[u8], signature: &Signature) -> bool {
        Key(client).sign(message) == *signature
    }
}

/// A request of the frontend with that number.
pub fn request(number: u64, body: Bytes) -> Request {
    Request { id: RequestId { client: FRONTEND, session: SessionId(1), sequence: Sequence(number) }, body }
}

/// What is on its way to a replica.
enum Arriving {
    Request(Bytes),
    Message(ReplicaId, Bytes),
}

/// Four replicas and what is on its way between them.
pub struct Group {
    view: View,
    replicas: Vec<Replica>,
    // These have room enough from the start: what is measured are the replicas.
    arriving: VecDeque<(ReplicaId, Arriving)>,
    /// What replicas say to themselves, which is there before anything else.
    own: VecDeque<(ReplicaId, Sealed<Message>)>,
    actions: Vec<Action>,
    now: Time,
    delivered: usize,
}

impl Group {
    /// A group that has decided nothing.
    pub fn new() -> Self {
        let view = View::flat(GROUP, 4).unwrap();
        let replica = |me| Replica::new(me, view.clone(), Limits::default());
        Self {
            replicas: view.replicas().map(replica).collect(),
            view,
            arriving: VecDeque::with_capacity(4096),
            own: VecDeque::with_capacity(64),
            actions: Vec::with_capacity(4096),
            now: Time(0),
            delivered: 0,
        }
    }

    /// Has every replica hear of a request and deliver it.
    pub fn decide(&mut self, request: &Bytes) {
        self.delivered = 0;
        for index in 0..self.replicas.len() {
            self.arriving.push_back((ReplicaId(index as u16), Arriving::Request(request.clone())));
        }
        while let Some((to, event)) = self.next_event() {
            self.now = self.now.after(Duration::from_micros(10));
            let mut actions = std::mem::take(&mut self.actions);
            self.replicas[to.index()].handle(self.now, event, &mut actions);
            actions.drain(..).for_each(|action| self.perform(to, action));
            self.actions = actions;
        }
        assert_eq!(self.delivered, self.replicas.len(), "each replica delivers the request");
    }

    fn next_event(&mut self) -> Option<(ReplicaId, Event)> {
        if let Some((me, message)) = self.own.pop_front() {
            return Some((me, Event::Message(message)));
        }
        let (to, arriving) = self.arriving.pop_front()?;
        let event = match arriving {
            Arriving::Request(bytes) => Event::Request(Sealed::<Request>::open(bytes, GROUP, &Keys).unwrap()),
            Arriving::Message(from, bytes) => {
                Event::Message(Sealed::<Message>::open(bytes, from, &self.view, &Keys).unwrap())
            }
        };
        Some((to, event))
    }

    fn perform(&mut self, me: ReplicaId, action: Action) {
        match action {
            Action::Persist(record) => drop(black_box(record.encode())),
            Action::Sign(to, statement) => {
                let message = statement.sign(GROUP, me, &Key(Client::Replica(me)));
                self.send(me, to, message);
            }
            Action::Send(to, message) => self.send(me, to, message),
            Action::Answer(..) => {}
            Action::Deliver(decision) => self.delivered += black_box(decision).requests.len(),
            other => panic!("not of the normal phase: {other:?}"),
        }
    }

    fn send(&mut self, me: ReplicaId, to: Recipients, message: Message) {
        let bytes = message.encode();
        let to_me = to == Recipients::All || to == Recipients::One(me);
        for index in 0..self.replicas.len() {
            let peer = ReplicaId(index as u16);
            if peer != me && (!matches!(to, Recipients::One(_)) || to == Recipients::One(peer)) {
                self.arriving.push_back((peer, Arriving::Message(me, bytes.clone())));
            }
        }
        if to_me {
            self.own.push_back((me, message.loop_back(me)));
        }
    }
}
