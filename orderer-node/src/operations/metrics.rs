//! The metrics, and their text in the format of Prometheus.
//!
//! Names and labels are Fabric's where the meaning is the same, so that dashboards and alerts go on to work; what Fabric's
//! orderer does not tell begins with `ordering_`. Labels of channels are those of channels joined here, labels of nodes those of
//! consenters, so there is a bound on every family.

mod channels;
pub(super) mod families;
mod frontend;
mod groups;
mod mesh;
mod stages;
mod surroundings;

use self::families::Families;
use super::Snapshot;

/// All families at the moment of the snapshot, as Prometheus reads them.
#[must_use]
pub fn render(snapshot: &Snapshot) -> String {
    families(snapshot).into_text()
}

/// All families at the moment of the snapshot.
pub(super) fn families(snapshot: &Snapshot) -> Families {
    let mut families = Families::default();
    surroundings::render(&mut families, snapshot);
    channels::render(&mut families, snapshot);
    groups::render(&mut families, &snapshot.node.groups);
    mesh::render(&mut families, &snapshot.node);
    frontend::render(&mut families, &snapshot.node);
    stages::render(&mut families, &snapshot.node.stages);
    families
}
