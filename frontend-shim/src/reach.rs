//! Which consenters of a coming configuration are in reach: a channel is not given to consenters that cannot go on with it.

use std::time::Duration;

use fabric_channel::{ChannelConfig, Consenter};
use futures::future::join_all;
use mod_smart::{ReplicaId, View, Voters};

use crate::directory::Directory;
use crate::group::{GroupError, OrderingGroup};
use crate::tls::ALPN_FRONTEND;
use crate::tls_identity::TlsIdentity;

/// What was found.
#[derive(Debug)]
pub(crate) struct Reach {
    /// The coming group.
    view: View,
    /// Who of it is in reach.
    there: Voters,
    /// Who is not, for people.
    missing: Vec<String>,
}

/// A consenter is in reach if there is a session with it as a present member, or if it can be dialled and shows the TLS key that
/// the configuration gives it. Members without a session are dialled too: theirs may just be on its way, as after a crash or a
/// move.
pub(crate) async fn reach(
    group: &OrderingGroup,
    connected: &[ReplicaId],
    directory: &Directory,
    identity: &TlsIdentity,
    next: &ChannelConfig,
) -> Result<Reach, GroupError> {
    let look = async |consenter: &Consenter| {
        let has_session = replica(group, consenter).is_some_and(|replica| connected.contains(&replica));
        let is_there = has_session || {
            let contact = directory.contact_to_come(consenter);
            let dialled = tokio::time::timeout(DIAL_MAX, contact.dial(identity, ALPN_FRONTEND)).await;
            dialled.is_ok_and(|dialled| dialled.is_ok())
        };
        (!is_there).then(|| format!("consenter {} at {}", consenter.id, consenter.address()))
    };
    let view = group.coming(next)?.view().clone();
    let found = join_all(next.consenters().iter().map(look)).await;
    let there = view.replicas().zip(&found).filter(|(_, missing)| missing.is_none()).map(|(replica, _)| replica);
    Ok(Reach { there: there.collect(), view, missing: found.into_iter().flatten().collect() })
}

impl Reach {
    /// A new group begins with a quorum; one that tolerates no fault hears everybody before it says anything (PROTOCOL.md, A
    /// lost disk).
    ///
    /// # Errors
    /// They could not order anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.view.is_founding_quorum(self.there) {
            return Ok(());
        }
        Err(format!(
            "it would leave the channel without a live quorum: of its {} consenters {} are in reach, which is too few; not in \
             reach: {}",
            self.view.n(),
            self.view.n() - self.missing.len(),
            self.missing.join(", ")
        ))
    }
}

fn replica(group: &OrderingGroup, consenter: &Consenter) -> Option<ReplicaId> {
    let is_one = |member: &&Consenter| member.pinned_key() == consenter.pinned_key();
    let member = group.consenters().iter().find(is_one)?;
    group.replica_of(member.id)
}

/// A node that works answers sooner.
const DIAL_MAX: Duration = Duration::from_secs(3);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mod_smart::GroupId;

    use super::*;

    #[test]
    fn a_quorum_has_to_be_in_reach_and_the_refusal_names_who_is_not() {
        let reach = |n: u16, missing: &[&str]| {
            let there = (0..n - missing.len() as u16).map(ReplicaId).collect();
            let missing = missing.iter().map(|&name| name.to_owned()).collect();
            Reach { view: View::flat(GroupId([1; 32]), usize::from(n)).unwrap(), there, missing }.check()
        };
        assert_eq!(reach(5, &["consenter 5 at a:1"]), Ok(()));
        assert_eq!(reach(3, &[]), Ok(()));
        assert!(reach(3, &["consenter 3 at a:1"]).is_err());
        let why = "it would leave the channel without a live quorum: of its 5 consenters 3 are in reach, which is too few; not \
                   in reach: consenter 4 at a:1, consenter 5 at b:2";
        assert_eq!(reach(5, &["consenter 4 at a:1", "consenter 5 at b:2"]), Err(why.to_owned()));
    }
}
