//! Which consenters of a coming configuration are in reach: a channel is not given to consenters that cannot go on with it.

use std::collections::BTreeMap;
use std::time::Duration;

use fabric_channel::{ChannelConfig, Consenter, bft_quorum};
use futures::future::join_all;
use mod_smart::ReplicaId;

use crate::directory::Contact;
use crate::group::OrderingGroup;
use crate::tls::ALPN_FRONTEND;
use crate::tls_identity::TlsIdentity;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    consenters: usize,
    /// Who is not in reach, for people.
    missing: Vec<String>,
}

/// Present members are in reach if they have a session with us, others if they can be dialled and show the TLS key that the
/// configuration gives them.
pub(crate) async fn reach(
    group: &OrderingGroup,
    connected: &[ReplicaId],
    identity: &TlsIdentity,
    next: &ChannelConfig,
) -> Reach {
    let look = async |consenter: &Consenter| {
        let is_there = match replica(group, consenter) {
            Some(replica) => connected.contains(&replica),
            None => {
                let contact = Contact::of(consenter, &BTreeMap::new());
                let dialled = tokio::time::timeout(DIAL_MAX, contact.dial(identity, ALPN_FRONTEND)).await;
                dialled.is_ok_and(|dialled| dialled.is_ok())
            }
        };
        (!is_there).then(|| format!("consenter {} at {}", consenter.id, consenter.address()))
    };
    let missing = join_all(next.consenters().iter().map(look)).await;
    Reach { consenters: next.consenters().len(), missing: missing.into_iter().flatten().collect() }
}

impl Reach {
    /// # Errors
    /// They could not order anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (there, needed) = (self.consenters - self.missing.len(), founders(self.consenters));
        if there >= needed {
            return Ok(());
        }
        Err(format!(
            "it would leave the channel without a live quorum: of its {} consenters {there} are in reach and {needed} are \
             needed; not in reach: {}",
            self.consenters,
            self.missing.join(", ")
        ))
    }
}

/// A new group begins with a quorum. One that tolerates no fault hears everybody before it says anything (PROTOCOL.md, A lost
/// disk).
fn founders(consenters: usize) -> usize {
    if consenters < 4 { consenters } else { bft_quorum(consenters) }
}

fn replica(group: &OrderingGroup, consenter: &Consenter) -> Option<ReplicaId> {
    let is_one = |member: &&Consenter| member.pinned_key() == consenter.pinned_key();
    let member = group.consenters().iter().find(is_one)?;
    group.replica_of(member.id)
}

/// A node that works answers sooner.
const DIAL_MAX: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_has_to_be_in_reach_and_the_refusal_names_who_is_not() {
        let reach = |consenters, missing: &[&str]| {
            let missing = missing.iter().map(|&name| name.to_owned()).collect();
            Reach { consenters, missing }.check()
        };
        assert_eq!(reach(5, &["consenter 5 at a:1"]), Ok(()));
        assert_eq!(reach(3, &[]), Ok(()));
        assert!(reach(3, &["consenter 3 at a:1"]).is_err());
        let why = "it would leave the channel without a live quorum: of its 5 consenters 3 are in reach and 4 are needed; \
                   not in reach: consenter 4 at a:1, consenter 5 at b:2";
        assert_eq!(reach(5, &["consenter 4 at a:1", "consenter 5 at b:2"]), Err(why.to_owned()));
    }
}
