//! What a place that answers requests can do.

use std::time::Duration;

use mod_smart::Time;

use super::frame::Frame;
use super::links::Place;

/// A replica, of whichever make.
pub(super) trait Node {
    /// Something has come.
    fn hear(&mut self, now: Time, from: Place, frame: Frame, wishes: &mut Vec<Wish>);

    /// What was to be made durable is.
    fn synced(&mut self, now: Time, wishes: &mut Vec<Wish>);

    /// When it wants to be woken.
    fn deadline(&self) -> Option<Time>;

    /// That time has come.
    fn wake(&mut self, now: Time, wishes: &mut Vec<Wish>);

    /// What must not happen in a world without faults, and did.
    fn complaint(&self) -> Option<String>;
}

/// What a node wants to be done, in order.
#[derive(Debug)]
pub(super) enum Wish {
    Send(Place, Frame),
    /// It has worked for so long; what follows leaves afterwards.
    Worked(Duration),
    /// It wants to hear of it when what it has written is durable.
    Sync,
}
