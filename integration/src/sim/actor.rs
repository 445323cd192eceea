//! What a Byzantine replica may do.
//!
//! A liar is a whole honest replica with somebody at its mouth and its ears: an [`Actor`] decides what of its speech
//! really leaves, and what else does. It can sign as itself and as every other liar of its world, it never holds the key
//! of an honest replica or of a frontend, and what it sends goes through the same bytes, seals and network as everything
//! else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::common::BlockHeader;
use fastrand::Rng;
use frontend_shim::certainty::Certainty;
use mod_smart::{GroupId, Message, ReplicaId, Request, Sealed, Signature, Signer as _, Time, View, Voters};

use super::keys::Key;

/// A liar: an honest replica runs inside it, and this decides what of its speech really leaves, and what else does.
pub trait Actor {
    /// A short name, unique among the actors: it selects the actor on the command line and stands in traces.
    fn name(&self) -> &'static str;

    /// The honest replica wants to send `message` to `to` (already signed). Push what really leaves into `hand`.
    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>);

    /// Something arrived from another replica, before the honest replica hears it. Returns whether it may hear it.
    fn on_receive(&mut self, _from: ReplicaId, _message: &Message, _hand: &mut Hand<'_>) -> bool {
        true
    }

    /// Called about every 10 ms of virtual time.
    fn on_tick(&mut self, _hand: &mut Hand<'_>) {}

    /// A block signature is about to leave: push what really does into `hand`.
    fn on_push(&mut self, push: BlockPush, hand: &mut Hand<'_>) {
        hand.push(push);
    }
}

/// What a replica tells a frontend about a block: a signed header, and from one of the replicas the whole block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPush {
    /// Which frontend it is for.
    pub frontend: usize,
    /// How sure the replica is of it.
    pub certainty: Certainty,
    /// The header of the block.
    pub header: BlockHeader,
    /// What the signature covers beside the header.
    pub metadata_value: Bytes,
    /// The envelopes, if the whole block is sent.
    pub data: Option<Vec<Bytes>>,
    /// The replica's signature; see [`BlockPush::sign`].
    pub signature: Signature,
}

impl BlockPush {
    /// Signs header and metadata value as `signer`, in place of whatever signature stood there.
    pub fn sign(&mut self, signer: ReplicaId) {
        self.signature = Key::block(signer).sign(&self.preimage());
    }

    /// Did this replica sign it?
    #[must_use]
    pub fn is_signed_by(&self, signer: ReplicaId) -> bool {
        self.signature == Key::block(signer).sign(&self.preimage())
    }

    fn preimage(&self) -> Vec<u8> {
        [&self.header.der()[..], &self.metadata_value].concat()
    }
}

/// What a liar has in its hand.
#[derive(Debug)]
pub struct Hand<'a> {
    /// What time it is.
    pub now: Time,
    /// Who the liar is.
    pub me: ReplicaId,
    /// Among whom.
    pub view: &'a View,
    /// Which group every signature is made for.
    pub group: GroupId,
    /// The only source of chance: everything from one seed.
    pub random: &'a mut Rng,
    /// All liars of this world, this one included: whoever lies has the keys of all of them.
    pub coalition: Voters,
    /// The clients' requests it has seen lately, oldest first, at most [`REQUESTS_SEEN_MAX`].
    pub requests: &'a [Sealed<Request>],
    /// The configurations that were in force, the present one last.
    pub configurations: &'a [Arc<ChannelConfig>],
    pub(super) sent: &'a mut Vec<Outgoing>,
    /// What it has tried, for those who count it.
    pub(super) tricks: &'a mut Vec<&'static str>,
}

/// How many requests a liar remembers.
pub const REQUESTS_SEEN_MAX: usize = 64;

/// Something that leaves a liar.
#[derive(Clone, Debug)]
pub(super) enum Outgoing {
    Message { delay: Duration, to: ReplicaId, bytes: Bytes },
    Push { delay: Duration, push: BlockPush },
}

impl Hand<'_> {
    /// The vote key of this liar.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::vote(self.me)
    }

    /// The vote key of a liar of this world; none of an honest replica.
    #[must_use]
    pub fn key_of(&self, replica: ReplicaId) -> Option<Key> {
        self.coalition.contains(replica).then(|| Key::vote(replica))
    }

    /// Every replica but this one, in order.
    #[must_use]
    pub fn others(&self) -> Vec<ReplicaId> {
        self.view.replicas().filter(|replica| *replica != self.me).collect()
    }

    /// Sends a message now.
    pub fn send(&mut self, to: ReplicaId, message: Message) {
        self.send_later(Duration::ZERO, to, message);
    }

    /// Sends a message after a delay, if the liar still runs then.
    pub fn send_later(&mut self, delay: Duration, to: ReplicaId, message: Message) {
        self.sent.push(Outgoing::Message { delay, to, bytes: message.encode() });
    }

    /// Sends any bytes as if they were a message.
    pub fn send_bytes(&mut self, to: ReplicaId, bytes: Bytes) {
        self.sent.push(Outgoing::Message { delay: Duration::ZERO, to, bytes });
    }

    /// Tells a frontend about a block.
    pub fn push(&mut self, push: BlockPush) {
        self.push_later(Duration::ZERO, push);
    }

    /// Tells a frontend about a block after a delay, if the liar still runs then.
    pub fn push_later(&mut self, delay: Duration, push: BlockPush) {
        self.sent.push(Outgoing::Push { delay, push });
    }
}
