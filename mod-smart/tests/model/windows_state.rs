//! The state of model 2, and what can happen in it.

use std::fmt;

use mod_smart::ReplicaId;
use mod_smart::quorum::Voters;

/// Most instances and most regencies of a model.
pub const MAX: usize = 3;

/// Correct replicas.
pub const CORRECT: usize = 3;

const LIAR: ReplicaId = ReplicaId(3);

/// What is proposed for an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Batch {
    #[default]
    None,
    NoOp,
    Request(u8),
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "nothing"),
            Self::NoOp => write!(f, "[no-op]"),
            Self::Request(request) => write!(f, "[{}]", char::from(b'a' + request - 1)),
        }
    }
}

/// One bit per (regency, instance).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marks(u16);

impl Marks {
    const fn bit(regency: u8, instance: u8) -> u16 {
        1 << (regency as usize * MAX + instance as usize - 1)
    }

    pub const fn has(self, regency: u8, instance: u8) -> bool {
        self.0 & Self::bit(regency, instance) != 0
    }

    pub fn set(&mut self, regency: u8, instance: u8) {
        self.put(regency, instance, true);
    }

    pub fn put(&mut self, regency: u8, instance: u8, value: bool) {
        self.0 &= !Self::bit(regency, instance);
        self.0 |= u16::from(value) * Self::bit(regency, instance);
    }
}

/// A correct replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica {
    pub regency: u8,
    pub delivered: u8,
    /// What its STOPDATA for each regency says it had delivered.
    pub reported: [u8; MAX],
    pub wrote: Marks,
    /// Certificates, each with the ACCEPT that follows.
    pub held: Marks,
}

/// A state of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// By regency and instance.
    pub proposed: [[Batch; MAX]; MAX],
    /// Proposed because a certificate binds.
    pub bound: Marks,
    /// How many regencies are under way: a SYNC was sent, or none is needed.
    pub synced: [bool; MAX],
    /// By regency: the highest instance that its SYNC proves delivered.
    pub base: [u8; MAX],
    /// By regency: the highest instance of which its SYNC knows a proof or a certificate.
    pub top: [u8; MAX],
    pub replicas: [Replica; CORRECT],
}

impl State {
    /// What the leader of a regency proposed for an instance.
    pub fn batch(&self, regency: u8, instance: u8) -> Batch {
        self.proposed[usize::from(regency)][usize::from(instance) - 1]
    }
}

/// What happens.
#[derive(Clone, Copy)]
pub enum Step {
    Propose { regency: u8, instance: u8, batch: Batch, by_liar: bool },
    Accept { replica: usize, regency: u8, instance: u8, batch: Batch, by_correct: bool },
    Deliver { replica: usize, instance: u8, by_correct: bool },
    Enter { replica: usize, regency: u8 },
    EnterAll { regency: u8 },
    Sync { regency: u8, base: u8, bound: [Batch; MAX], with_liar: bool },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Propose { regency, instance, batch, .. } => {
                write!(f, "the leader of regency {regency} proposes {batch} for instance {instance}; who may, WRITEs")
            }
            Self::Accept { replica, regency, instance, batch, .. } => {
                write!(
                    f,
                    "replica {replica} holds a certificate of {batch} for instance {instance}, epoch {regency}; ACCEPTs"
                )
            }
            Self::Deliver { replica, instance, .. } => write!(f, "replica {replica} delivers instance {instance}"),
            Self::Enter { replica, regency } => write!(f, "replica {replica} sends STOPDATA for regency {regency}"),
            Self::EnterAll { regency } => write!(f, "all correct replicas send STOPDATA for regency {regency}"),
            Self::Sync { regency, base, bound, with_liar } => {
                let who = if with_liar { "two correct replicas and the liar" } else { "all correct replicas" };
                write!(f, "SYNC of regency {regency} with the collects of {who}: instances after {base}; bound:")?;
                let bound = (1..).zip(bound).filter(|&(_, batch)| batch != Batch::None);
                bound.into_iter().try_for_each(|(instance, batch)| write!(f, " {instance}={batch}"))
            }
        }
    }
}

/// STOPDATA for the next regency leaves.
pub fn enter(me: &mut Replica) {
    me.regency += 1;
    me.reported[usize::from(me.regency)] = me.delivered;
}

/// The correct replicas for which this holds, and the liar if it is asked.
pub fn voters(state: &State, with_liar: bool, says: impl Fn(&Replica) -> bool) -> Voters {
    let correct = (0..CORRECT).filter(|&at| says(&state.replicas[at])).map(|at| ReplicaId(at as u16));
    correct.chain(with_liar.then_some(LIAR)).collect()
}
