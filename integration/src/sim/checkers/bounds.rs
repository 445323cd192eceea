//! Everything stays within its bounds, and no replica is busy with itself.

use std::collections::BTreeMap;

use mod_smart::{ReplicaId, Time};

use super::{Checker, Observation, Scene};

#[derive(Default)]
pub(super) struct Bounds {
    /// How often each replica was busy at one and the same time.
    busy: BTreeMap<ReplicaId, (Time, u32)>,
}

impl Checker for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn observe(&mut self, scene: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Stepped(id, replica) => {
                replica.invariants().map_err(|broken| format!("replica {id}: {broken}"))?;
                let (since, count) = self.busy.entry(*id).or_default();
                if *since != scene.now {
                    (*since, *count) = (scene.now, 0);
                }
                *count += 1;
                if *count > STEPS_AT_ONCE_MAX {
                    return Err(format!("replica {id} is busy with itself: {count} steps without time passing"));
                }
            }
            Observation::Load(frames, bytes) if *frames > FRAMES_MAX || *bytes > BYTES_MAX => {
                return Err(format!("{frames} frames with {bytes} bytes are under way"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A clogged link releases much at once, so this is far above what is usual.
const STEPS_AT_ONCE_MAX: u32 = 50_000;
const FRAMES_MAX: usize = 200_000;
const BYTES_MAX: usize = 256 << 20;
