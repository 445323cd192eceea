//! What a replica is told of the state it starts from.

use mod_smart::Restored;
use orderer_node::checkpoint::Found;

/// A checkpoint of the store as the core wants it.
pub(super) fn restored(found: Found) -> Restored {
    let Found { checkpoint, manifest, stable, older, .. } = found;
    Restored { instance: checkpoint.instance, sessions: checkpoint.sessions, manifest, stable, older }
}
