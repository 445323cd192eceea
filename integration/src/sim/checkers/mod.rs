//! What must never be seen in a run, one property to a file.
//!
//! The world tells every checker what happens; a checker remembers what it needs and names what is wrong the moment it
//! is. Nothing here looks inside a replica, but for its own statement of its invariants.

mod accusation;
mod acknowledged;
mod agreement;
mod bounds;
mod certificate;
mod durability;
mod finality;
mod hash_chain;
mod liveness;
mod no_duplicate;
mod permission;
mod total_order;
mod validity;

use std::sync::Arc;

use blockcutter::CutBlock;
use fabric_channel::ChannelConfig;
use mod_smart::{
    Decision, Digest, InstanceId, Message, Misbehaviour, Record, Replica, ReplicaId, Request, RequestId, Sealed, Time,
    View, Voters,
};

use super::actor::BlockPush;

/// How far a replica may be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It follows the protocol and its disk keeps its word.
    #[default]
    Correct,
    /// It lies on purpose.
    Liar,
    /// It knows that its disk lost something it had synced, and is silent until it may speak again.
    Silenced,
    /// Its disk lost something it had synced, and it cannot know.
    Amnesiac,
}

/// Among whom something was seen, and when.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The members.
    pub view: &'a View,
    /// The time.
    pub now: Time,
    /// How far each replica may be believed.
    pub standings: &'a [Standing],
}

impl Scene<'_> {
    /// Does this replica count towards `f`?
    #[must_use]
    pub fn is_faulty(&self, replica: ReplicaId) -> bool {
        self.standings[replica.index()] != Standing::Correct
    }
}

/// Something that can be seen from outside. Of liars, nothing is shown.
#[derive(Debug)]
pub enum Observation<'a> {
    /// A client asks for this to be ordered.
    Submitted(&'a Sealed<Request>),
    /// A replica tells a client that it holds a request.
    Held(ReplicaId, RequestId, Digest),
    /// `f + 1` replicas have told a client so.
    Acknowledged(RequestId, Digest),
    /// A record is durable.
    Durable(ReplicaId, &'a Record),
    /// A message leaves a replica.
    Sent(ReplicaId, &'a Message),
    /// The application of a replica is given a decision.
    Delivered(ReplicaId, &'a Decision),
    /// A replica has cut a block.
    Cut(ReplicaId, &'a CutBlock),
    /// A replica signs a block that is tentative.
    Foretold(ReplicaId, &'a CutBlock),
    /// A frontend has enough signatures on a block.
    Certified(usize, &'a [(ReplicaId, BlockPush)]),
    /// The process of a replica begins from the state after this instance.
    Started(ReplicaId, InstanceId),
    /// A replica goes on from a state that others gave it.
    Installed(ReplicaId, InstanceId),
    /// A disk has lost what it had synced.
    Lost(ReplicaId),
    /// The state of a replica after an instance.
    State(ReplicaId, InstanceId, Digest),
    /// A replica has heard something and done what follows from it.
    Stepped(ReplicaId, &'a Replica),
    /// A replica accuses another, or itself.
    Reported(ReplicaId, Misbehaviour),
    /// How full the world is: frames under way and their bytes.
    Load(usize, usize),
    /// The end of the liveness phase. Whoever is not where all should be is named.
    Ended(&'a [String]),
}

/// A property of every run.
pub trait Checker {
    /// Its name, as it stands in failures.
    fn name(&self) -> &'static str;

    /// Looks at what happened.
    ///
    /// # Errors
    /// What must not have been seen.
    fn observe(&mut self, scene: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String>;
}

/// Every checker, for a channel that begins with this configuration. Liveness first: what is not over yet is not lost yet.
#[must_use]
pub fn all(config: Arc<ChannelConfig>) -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(liveness::Liveness),
        Box::new(accusation::Accusation),
        Box::new(acknowledged::Acknowledged::default()),
        Box::new(agreement::Agreement::default()),
        Box::new(bounds::Bounds::default()),
        Box::new(certificate::Certificate::default()),
        Box::new(durability::Durability::default()),
        Box::new(finality::Finality::default()),
        Box::new(hash_chain::HashChain::default()),
        Box::new(no_duplicate::NoDuplicate::default()),
        Box::new(permission::Permission::beginning(config)),
        Box::new(total_order::TotalOrder::default()),
        Box::new(validity::Validity::default()),
    ]
}

/// What must hold and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the property.
    pub property: &'static str,
    /// What was seen.
    pub what: String,
}

/// The first violation among all checkers.
pub(super) fn observe(
    checkers: &mut [Box<dyn Checker>],
    scene: &Scene<'_>,
    seen: &Observation<'_>,
) -> Option<Violation> {
    checkers.iter_mut().find_map(|checker| {
        let what = checker.observe(scene, seen).err()?;
        Some(Violation { property: checker.name(), what })
    })
}

/// Distinct members that sign, as a set.
fn signers(pushes: &[(ReplicaId, BlockPush)]) -> Voters {
    pushes.iter().map(|(replica, _)| *replica).collect()
}
