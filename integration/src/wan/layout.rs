//! Who is where, and what messages between them cost at least.

use anyhow::Context as _;

use super::args::SettingArgs;
use crate::geo::deployment::{Deployment, Pattern, signatures_of_a_bft_channel};
use crate::geo::floor::floor;
use crate::geo::matrix::{Matrix, Site};

/// The nodes of a network, in the order of their numbers, on a channel of type BFT.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// How far sites are from each other.
    pub(super) matrix: Matrix,
    deployment: Deployment,
}

impl Layout {
    /// As the command line says.
    ///
    /// # Errors
    /// There is no such matrix or site.
    pub(super) fn of(setting: &SettingArgs) -> anyhow::Result<Self> {
        let matrix = Matrix::find(&setting.matrix)?;
        let site =
            |name: &String| matrix.site(name).with_context(|| format!("{name:?} is no site of {}", setting.matrix));
        let replicas: Vec<Site> = if setting.sites.is_empty() {
            matrix.sites().collect()
        } else {
            setting.sites.iter().map(site).collect::<anyhow::Result<_>>()?
        };
        let n = replicas.len();
        let pattern = if setting.tentative { Pattern::Tentative } else { Pattern::Standard };
        let deployment = if setting.heavy.is_empty() {
            Deployment::flat(replicas, pattern)
        } else {
            let f = n.saturating_sub(1 + usize::from(setting.delta.unwrap_or(0))) / 3;
            let heavy = setting.heavy.iter().map(|id| usize::from(*id).saturating_sub(1)).collect();
            Deployment::weighted(replicas, heavy, f, pattern)
        };
        Ok(Self { matrix, deployment: deployment.with_signatures(signatures_of_a_bft_channel(n)) })
    }

    /// Where the nodes are.
    pub(super) fn sites(&self) -> &[Site] {
        &self.deployment.replicas
    }

    /// What the sites of the nodes are called.
    pub(super) fn names(&self) -> Vec<&str> {
        self.sites().iter().map(|site| self.matrix.name(*site)).collect()
    }

    /// Milliseconds from when a frontend at a site is given an envelope until it has the certified block, while this
    /// node leads.
    pub(super) fn floor_ms(&self, leader: usize, client: Site) -> anyhow::Result<f64> {
        floor(&self.deployment.led_by(leader), &self.matrix, client, &[]).context("all nodes together are no quorum")
    }
}
