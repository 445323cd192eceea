//! Fewer communication steps (thesis, section 5.2.2, table 5.2).

use super::Conditions;
use super::variants::{Variant, compare};
use crate::geo::args::sites;
use crate::geo::deployment::{Deployment, Pattern};
use crate::geo::finding::Finding;
use crate::geo::matrix::Matrix;

/// Each pattern, and by how much it was quicker than the first.
const PATTERNS: [(Pattern, Option<(u32, u32)>); 5] = [
    (Pattern::Standard, None),
    (Pattern::ReadOnly, Some((56, 55))),
    (Pattern::Speculative, Some((36, 34))),
    (Pattern::Tentative, Some((19, 19))),
    (Pattern::Fast, Some((16, 10))),
];

pub fn run(conditions: &Conditions) -> anyhow::Result<Finding> {
    let matrix = Matrix::table_5_7();
    let replicas = sites(&matrix, &["Oregon", "Ireland", "Sydney", "Sao Paulo"])?;
    let variant = |(pattern, published): (Pattern, Option<(u32, u32)>)| Variant {
        name: pattern.name(),
        deployment: Deployment::flat(replicas.clone(), pattern),
        clients: replicas.clone(),
        against: published.map(|_| 0),
        published,
    };
    let variants = PATTERNS.map(variant);
    compare(conditions, &matrix, &variants, Finding::new("steps", "Fewer communication steps", TEXT))
}

const TEXT: &str = "Table 5.2 over other distances (the thesis gives none for PlanetLab): four replicas, leader Oregon. Standard and \
    tentative executions are those of the service; the others are counters of messages, for comparison only. A fast execution \
    waits for the slowest replica, and a speculative one for the slowest reply, so over distances as unequal as these they \
    gain less than their saved steps promise.";
