//! What will happen, in the order of virtual time. What is due at one time happens in the order it was planned in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use blockcutter::CutBlock;
use bytes::Bytes;
use mod_smart::{Answer, Digest, RequestId, StableCheckpoint, Time};
use orderer_node::checkpoint::Checkpoint;

use super::actor::{BlockPush, Outgoing};
use super::nemesis::Relief;

/// A replica (`0..n`) or a frontend (from `n` on).
pub type Place = usize;

/// Which run of a replica's process something belongs to: what was planned in an earlier one does not happen any more.
pub type Life = u32;

/// Something that happens.
#[derive(Debug)]
pub(super) enum Happening {
    Frame {
        from: Place,
        to: Place,
        frame: Frame,
    },
    /// The link between two replicas is up again, at both ends.
    Reconnected(Place, Place),
    Start(Place),
    Resume(Place),
    Wake(Place, Life),
    Tick(Place, Life),
    Synced(Place, Life),
    Saved(Place, Life, Box<Saving>),
    Installing(Place, Life, Box<Installing>),
    CutTimer(Place, Life),
    Leaving(Place, Life, Outgoing),
    Submit(usize),
    FrontendWake(usize),
    /// An administrator changes the channel's configuration.
    Administer,
    /// The lead is given away.
    HandOver,
    ClientLies,
    Fault,
    Relief(Relief),
    /// The end of the liveness phase may have been reached.
    Settled,
}

/// A checkpoint on its way to the disk.
#[derive(Debug)]
pub(super) struct Saving {
    pub checkpoint: Checkpoint,
    /// The height of the chain it speaks of.
    pub height: usize,
}

/// A state that was taken over from others.
#[derive(Debug)]
pub(super) struct Installing {
    pub stable: StableCheckpoint,
    pub checkpoint: Checkpoint,
}

/// What travels over a link.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    /// Between replicas.
    Message(Bytes),
    /// A sealed request of a frontend.
    Submit(Bytes),
    /// To a frontend.
    Answer(RequestId, Digest, Answer),
    /// "I lack the blocks from this number on."
    Follow(u64),
    /// "I lack the body of this block."
    FetchBody(u64),
    /// A signed header, perhaps with the body.
    Push(BlockPush),
}

impl Frame {
    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Message(bytes) | Self::Submit(bytes) => bytes.len(),
            Self::Answer(..) | Self::Follow(_) | Self::FetchBody(_) => 100,
            Self::Push(push) => 200 + push.data.iter().flatten().map(Bytes::len).sum::<usize>(),
        }
    }
}

/// A block as all who hold it share it.
pub(super) type SharedBlock = Rc<CutBlock>;

#[derive(Debug)]
struct Planned {
    key: Reverse<(Time, u64)>,
    happening: Happening,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// The future.
#[derive(Debug, Default)]
pub(super) struct Queue {
    planned: BinaryHeap<Planned>,
    count: u64,
}

impl Queue {
    pub fn at(&mut self, time: Time, happening: Happening) {
        self.count += 1;
        self.planned.push(Planned { key: Reverse((time, self.count)), happening });
    }

    pub fn after(&mut self, now: Time, wait: Duration, happening: Happening) {
        self.at(now.after(wait), happening);
    }

    pub fn pop(&mut self) -> Option<(Time, Happening)> {
        let Planned { key: Reverse((time, _)), happening } = self.planned.pop()?;
        Some((time, happening))
    }

    pub fn len(&self) -> usize {
        self.planned.len()
    }
}
