//! What is ordered was asked for: by a client that says so, or by a replica that lies.

use std::collections::BTreeSet;

use mod_smart::{Client, Digest};

use super::{Checker, Observation, Scene};

#[derive(Default)]
pub(super) struct Validity(BTreeSet<Digest>);

impl Checker for Validity {
    fn name(&self) -> &'static str {
        "validity"
    }

    fn observe(&mut self, scene: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Submitted(request) => {
                self.0.insert(request.digest());
            }
            Observation::Delivered(replica, decision) => {
                let invented = decision.requests.iter().find(|request| {
                    let is_liars = matches!(request.value().id.client, Client::Replica(id) if scene.is_faulty(id));
                    !is_liars && !self.0.contains(&request.digest())
                });
                if let Some(request) = invented {
                    return Err(format!("replica {replica} is given {}, which nobody asked for", request.value().id));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
