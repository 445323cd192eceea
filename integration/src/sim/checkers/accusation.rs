//! Nobody correct is accused: what is reported as misbehaviour is what no correct replica does.

use mod_smart::surface::MisbehaviourKind;

use super::{Checker, Observation, Scene};

pub(super) struct Accusation;

impl Checker for Accusation {
    fn name(&self) -> &'static str {
        "accusation"
    }

    fn observe(&mut self, scene: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Reported(by, found) if found.kind == MisbehaviourKind::Diverged && by == &found.replica => {
                Err(format!("replica {by} finds that its own state is not the quorum's"))
            }
            Observation::Reported(by, found) if !scene.is_faulty(found.replica) && !scene.is_faulty(*by) => {
                Err(format!("replica {by} accuses replica {}, which is correct: {}", found.replica, found.kind))
            }
            _ => Ok(()),
        }
    }
}
