//! Once faults have ended, everybody correct comes to the same place, with everything ordered, in bounded time.

use super::{Checker, Observation, Scene};

pub(super) struct Liveness;

impl Checker for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn observe(&mut self, _: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Ended(unsettled) if !unsettled.is_empty() => Err(unsettled.join("; ")),
            _ => Ok(()),
        }
    }
}
