//! The ordering group of a channel: its consenters in the order of their ids are the replicas `0..n`.
//!
//! The group's id is the hash of the consenters' ids and pinned keys and of an incarnation, so channels with the same
//! consenters share one group, and a renewed certificate, host or port changes nothing. The incarnation counts how often
//! the chain has moved to other consenters ([`crate::eras`]), so a channel that comes back to a set comes to another group.
//! Settings that its members share ([`crate::group_settings`]) are hashed too, unless they are those of every group before
//! there were any. Nodes and frontends compute it from the same function.

use fabric_channel::{ChannelConfig, Consenter};
use mod_smart::codec::Writer;
use mod_smart::quorum::ViewError;
use mod_smart::{GroupId, ReplicaId, View, Voters};
use sha2::{Digest as _, Sha256};

use crate::group_settings::{FaultModel, GroupSettings, Misfit, PLAIN, Settled};
use crate::tls::Spki;

/// The members of an ordering group, as a channel's configuration writes them.
#[derive(Clone, Debug)]
pub struct OrderingGroup {
    view: View,
    moves: u64,
    consenters: Vec<Consenter>,
    /// The id of the group that the same consenters are under plain settings.
    plain_id: GroupId,
    /// What it goes by.
    settled: Settled,
    /// What that was settled from, for the groups that come after this one.
    configured: GroupSettings,
}

/// Why the consenters of a channel are no ordering group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Too many of them.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Two of them have one key, so one could speak as the other.
    #[error("consenters {0} and {1} have the same key")]
    SharedKey(u32, u32),
}

/// The group that the consenters of this configuration are if they have had no predecessors, under default settings: for
/// whoever wants to know the members alone.
///
/// # Errors
/// The consenters cannot form a group.
pub fn ordering_group(config: &ChannelConfig) -> Result<OrderingGroup, GroupError> {
    ordering_group_after(config, FIRST_INCARNATION, &GroupSettings::default())
}

/// The group that orders a channel of this configuration after so many moves to other consenters, where members are set up
/// like this.
///
/// # Errors
/// The consenters cannot form a group.
pub fn ordering_group_after(
    config: &ChannelConfig,
    moves: u64,
    settings: &GroupSettings,
) -> Result<OrderingGroup, GroupError> {
    let consenters = config.consenters().to_vec();
    for (at, second) in consenters.iter().enumerate() {
        if let Some(first) = consenters[..at].iter().find(|first| first.pinned_key() == second.pinned_key()) {
            return Err(GroupError::SharedKey(first.id, second.id));
        }
    }
    let ids: Vec<u32> = consenters.iter().map(|consenter| consenter.id).collect();
    let settled = settings.settle(&ids);
    let view = view(group_id(&consenters, moves, &settled.in_force), &ids, &settled.in_force)?;
    let plain_id = group_id(&consenters, moves, &PLAIN);
    Ok(OrderingGroup { view, moves, consenters, plain_id, settled, configured: settings.clone() })
}

fn view(group: GroupId, ids: &[u32], settings: &GroupSettings) -> Result<View, ViewError> {
    let is_heavy = |id: &u32| settings.heavy().contains(id);
    let heavy: Voters =
        (0..).map(ReplicaId).zip(ids).filter(|(_, id)| is_heavy(id)).map(|(replica, _)| replica).collect();
    let (n, faults, delta) = (ids.len(), settings.weighted_faults(), settings.delta());
    let view = match (settings.fault_model(), heavy.is_empty()) {
        (FaultModel::Byzantine, true) => View::flat(group, n),
        (FaultModel::Byzantine, false) => View::weighted(group, faults, delta, heavy),
        (FaultModel::Crash, true) => View::crash_only(group, n),
        (FaultModel::Crash, false) => View::crash_only_weighted(group, faults, delta, heavy),
    };
    let position = |leader: &u32| ids.iter().position(|id| id == leader);
    let leaders: Vec<_> = settings.leaders().iter().filter_map(position).map(|at| ReplicaId(at as u16)).collect();
    view?.with_leaders(&leaders)
}

impl OrderingGroup {
    /// The membership as the protocol knows it.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Names the group.
    #[must_use]
    pub const fn id(&self) -> GroupId {
        self.view.group()
    }

    /// How often its channels had moved to other consenters before they came to it.
    #[must_use]
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// The settings that it goes by.
    #[must_use]
    pub const fn settings(&self) -> &GroupSettings {
        &self.settled.in_force
    }

    /// Why the weights that were configured are not in force here, if they are not.
    #[must_use]
    pub const fn misfit(&self) -> Option<&Misfit> {
        self.settled.misfit.as_ref()
    }

    /// What the same consenters are called under the settings of every group before there were any: groups that share it
    /// differ in their settings alone.
    #[must_use]
    pub const fn plain_id(&self) -> GroupId {
        self.plain_id
    }

    /// The group that a channel of this one goes to with this configuration.
    ///
    /// # Errors
    /// Its consenters cannot form a group.
    pub fn coming(&self, next: &ChannelConfig) -> Result<Self, GroupError> {
        ordering_group_after(next, self.moves + 1, &self.configured)
    }

    /// The consenters in replica order.
    #[must_use]
    pub fn consenters(&self) -> &[Consenter] {
        &self.consenters
    }

    /// The consenter that a replica is.
    #[must_use]
    pub fn consenter(&self, replica: ReplicaId) -> Option<&Consenter> {
        self.consenters.get(replica.index())
    }

    /// The replica that the consenter with this id is.
    #[must_use]
    pub fn replica_of(&self, consenter: u32) -> Option<ReplicaId> {
        self.position(|member| member.id == consenter)
    }

    /// The replica whose client or server TLS certificate has this key: whom an accepted connection comes from.
    #[must_use]
    pub fn replica_by_tls_key(&self, key: &Spki) -> Option<ReplicaId> {
        let key = key.der();
        self.position(|member| member.client_tls_cert.spki_der() == key || member.server_tls_cert.spki_der() == key)
    }

    /// Does this configuration name the members of this group, wherever they are reached now?
    #[must_use]
    pub fn is_of(&self, config: &ChannelConfig) -> bool {
        let is_same =
            |(ours, theirs): (&Consenter, &Consenter)| ours.id == theirs.id && ours.pinned_key() == theirs.pinned_key();
        let theirs = config.consenters();
        theirs.len() == self.consenters.len() && self.consenters.iter().zip(theirs).all(is_same)
    }

    /// How log lines call a replica.
    #[must_use]
    pub fn name(&self, replica: ReplicaId) -> String {
        match self.consenter(replica) {
            Some(consenter) => format!("node {} at {}", consenter.id, consenter.address()),
            None => format!("replica {replica}"),
        }
    }

    fn position(&self, is_wanted: impl Fn(&Consenter) -> bool) -> Option<ReplicaId> {
        self.consenters.iter().position(is_wanted).map(|index| ReplicaId(index as u16))
    }
}

/// The hash that names a group: of every member's id and pinned key, in order, the incarnation, and the settings if they are
/// not plain.
fn group_id(consenters: &[Consenter], incarnation: u64, settings: &GroupSettings) -> GroupId {
    let mut hash = Sha256::new();
    hash.update(b"ordering group 1");
    hash.update((consenters.len() as u32).to_be_bytes());
    for consenter in consenters {
        let key = consenter.pinned_key();
        hash.update(consenter.id.to_be_bytes());
        hash.update((key.len() as u32).to_be_bytes());
        hash.update(key);
    }
    hash.update(incarnation.to_be_bytes());
    if *settings != PLAIN {
        let mut writer = Writer::default();
        settings.encode(&mut writer);
        hash.update(b"settings");
        hash.update(writer.finish());
    }
    GroupId(hash.finalize().into())
}

/// The incarnation of the set that a channel begins with.
const FIRST_INCARNATION: u64 = 0;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_proto::common::Block;
    use prost::Message as _;

    use super::*;
    use crate::tls_identity::parse_certificates;

    fn group() -> OrderingGroup {
        ordering_group(&config()).unwrap()
    }

    fn config() -> ChannelConfig {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chain/0.block");
        let genesis = Block::decode(bytes::Bytes::from(std::fs::read(path).unwrap())).unwrap();
        ChannelConfig::from_block(&genesis).unwrap()
    }

    #[test]
    fn replicas_are_the_consenters_in_the_order_of_their_ids() {
        let group = group();
        assert_eq!((group.view().n(), group.view().f()), (4, 1));
        for (replica, id) in (0..4).map(ReplicaId).zip(1..) {
            assert_eq!(group.replica_of(id), Some(replica));
            assert_eq!(group.consenter(replica).unwrap().id, id);
            let key = Spki::from_der(group.consenter(replica).unwrap().server_tls_cert.spki_der().clone());
            assert_eq!(group.replica_by_tls_key(&key), Some(replica));
        }
        assert_eq!((group.replica_of(5), group.replica_of(0)), (None, None));
        assert_eq!(group.name(ReplicaId(2)), "node 3 at 127.0.0.1:7152");
    }

    /// What the channel configuration pins and what TLS sees are read by two parsers.
    #[test]
    fn keys_of_the_configuration_are_those_that_tls_sees() {
        for consenter in group().consenters() {
            let certificate = parse_certificates(consenter.server_tls_cert.to_pem().as_bytes()).unwrap().remove(0);
            assert_eq!(Spki::of_certificate(&certificate).unwrap().der(), consenter.server_tls_cert.spki_der());
        }
    }

    #[test]
    fn the_id_depends_on_ids_keys_and_incarnation_and_nothing_else() {
        let group = group();
        let mut consenters = group.consenters().to_vec();
        consenters[1].host = "elsewhere.example.com".to_owned();
        consenters[1].port += 1;
        let id = |consenters: &[Consenter], incarnation| group_id(consenters, incarnation, &PLAIN);
        assert_eq!(id(&consenters, 0), group.plain_id());
        assert_ne!(id(&consenters, 1), group.plain_id());
        assert_ne!(id(&consenters[..3], 0), group.plain_id());
        consenters[3].id = 9;
        assert_ne!(id(&consenters, 0), group.plain_id());
        consenters[3].id = 4;
        consenters[3].identity = consenters[2].identity.clone();
        assert_ne!(id(&consenters, 0), group.plain_id());
    }

    fn under(settings: &str) -> OrderingGroup {
        ordering_group_after(&config(), 0, &toml::from_str(settings).unwrap()).unwrap()
    }

    /// Groups that were founded before there were settings go on.
    #[test]
    fn plain_settings_do_not_change_the_id_and_every_other_setting_does() {
        let plain = under("window = 1");
        assert_eq!(plain.id(), plain.plain_id());
        let known = "GROUPID";
        assert_eq!(plain.id().to_string(), known);
        let all =
            ["window = 4", "tentative = true\nwindow = 1", "leaders = [3]\nwindow = 1", "fault_model = \"crash\""];
        let mut ids: Vec<GroupId> = all.into_iter().map(|settings| under(settings).id()).collect();
        assert!(all.into_iter().all(|settings| under(settings).plain_id() == plain.id()));
        ids.push(plain.id());
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 5);
    }

    #[test]
    fn weights_of_other_consenters_leave_the_group_flat_and_its_id_says_so() {
        let misfit = under("delta = 1\nheavy = [1, 2]\nwindow = 4");
        assert!(misfit.misfit().is_some());
        assert_eq!((misfit.id(), misfit.view().n()), (under("window = 4").id(), 4));
        assert_eq!(misfit.settings(), under("window = 4").settings());
    }

    #[test]
    fn the_named_lead_first_and_the_group_that_comes_is_settled_anew() {
        let group = under("leaders = [3, 2]\nwindow = 4");
        let leaders: Vec<ReplicaId> = (0..5).map(|regency| group.view().leader(mod_smart::Regency(regency))).collect();
        assert_eq!(leaders, [2, 1, 0, 3, 2].map(ReplicaId));
        let coming = group.coming(&config()).unwrap();
        assert_eq!((coming.moves(), coming.settings()), (1, group.settings()));
        assert_ne!(coming.id(), group.id());
    }
}
