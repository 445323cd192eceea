//! Which group orders each channel now, as far as this node takes part: where its envelopes go.

use std::collections::BTreeMap;
use std::sync::Arc;

use fabric_proto::ChannelId;
use frontend_shim::broadcast::Submit;
use frontend_shim::router::Router;
use mod_smart::GroupId;
use tokio::sync::watch;

use crate::embedded::EmbeddedFrontend;
use crate::left_over::Destinations;

/// The groups of the channels. Clones share them.
#[derive(Clone, Default)]
pub(super) struct ChannelDestinations(watch::Sender<Known>);

#[derive(Default)]
struct Known {
    /// Once every channel that was joined before the node started is among them, who is missing is not ordered here.
    is_complete: bool,
    by_id: BTreeMap<ChannelId, (GroupId, Arc<dyn Submit>)>,
}

impl ChannelDestinations {
    pub(super) fn set(&self, channel: ChannelId, group: GroupId, way: Arc<dyn Submit>) {
        self.0.send_modify(|known| drop(known.by_id.insert(channel, (group, way))));
    }

    pub(super) fn remove(&self, channel: &ChannelId) {
        self.0.send_modify(|known| drop(known.by_id.remove(channel)));
    }

    pub(super) fn complete(&self) {
        self.0.send_modify(|known| known.is_complete = true);
    }

    /// Lets the envelopes that wait for a channel go to its new group, once enough members of it are in reach.
    pub(super) async fn route(self, id: ChannelId, group: GroupId, frontend: EmbeddedFrontend, router: Arc<Router>) {
        let mut known = self.0.subscribe();
        let is_elsewhere = |known: &Known| known.by_id.get(&id).is_none_or(|(now, _)| *now != group);
        tokio::select! {
            () = frontend.is_taking(&id) => {
                tracing::info!(channel = %id, %group, "envelopes of the channel go to its new ordering group");
                router.add(id.clone(), frontend.as_submit());
            }
            // It was removed, or has moved on.
            _ = known.wait_for(is_elsewhere) => {}
        }
    }
}

impl std::fmt::Debug for ChannelDestinations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.borrow().by_id.keys()).finish()
    }
}

impl Destinations for ChannelDestinations {
    async fn after(&self, channel: &ChannelId, group: GroupId) -> Option<Arc<dyn Submit>> {
        let mut changes = self.0.subscribe();
        let is_known = |known: &Known| match known.by_id.get(channel) {
            Some((now, _)) => *now != group,
            None => known.is_complete,
        };
        let known = changes.wait_for(is_known).await.ok()?;
        known.by_id.get(channel).map(|(_, way)| Arc::clone(way))
    }
}
