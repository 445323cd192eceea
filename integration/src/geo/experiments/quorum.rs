//! Smaller quorums by a spare replica (thesis, section 5.2.4, table 5.4).

use super::Conditions;
use super::variants::{Variant, compare};
use crate::geo::args::sites;
use crate::geo::deployment::{Deployment, Pattern, Replies};
use crate::geo::finding::Finding;
use crate::geo::matrix::Matrix;

pub fn run(conditions: &Conditions) -> anyhow::Result<Finding> {
    let matrix = Matrix::table_5_7();
    let five = sites(&matrix, &["Oregon", "Ireland", "Sydney", "Sao Paulo", "Virginia"])?;
    let four = sites(&matrix, &["Oregon", "Ireland", "Sydney", "Virginia"])?;
    let weighted = |replicas: &[usize], heavy: Vec<usize>, pattern: Pattern| {
        Deployment::weighted(replicas.to_vec(), heavy, 1, pattern).with_replies(Replies::Quorum)
    };
    let (standard, crash) = (Pattern::Standard, Pattern::Crash);
    let unsafe_five = Deployment { f: 1, ..Deployment::flat(five.clone(), standard) }.with_quorum(3);
    let unsafe_four = Deployment { f: 1, ..Deployment::flat(four.clone(), crash) }.with_quorum(2);
    let row = |name, deployment: Deployment, against, published| Variant {
        name,
        clients: deployment.replicas.clone(),
        deployment,
        against,
        published,
    };
    let variants = [
        row("lies 3/4", Deployment::flat(five[..4].to_vec(), standard), None, None),
        row("lies 3/5", unsafe_five, Some(0), Some((16, 15))),
        row("lies, weights 2-1-1-1-2", weighted(&five, vec![0, 4], standard), Some(0), None),
        row("crashes 2/3", Deployment::flat(four[..3].to_vec(), crash), None, None),
        row("crashes 2/4", unsafe_four, Some(3), Some((72, 49))),
        row("crashes, weights 1-1-1-2", weighted(&four, vec![3], crash), Some(3), None),
    ];
    compare(conditions, &matrix, &variants, Finding::new("quorum", "Smaller quorums by a spare replica", TEXT))
}

const TEXT: &str = "Table 5.4 over other distances: leader Oregon, and Virginia as the spare replica. Quorums of three of five (two of \
    four) need not meet and are not safe; they are counters of messages here. Weights make quorums as small and safe: what they \
    lose against the unsafe ones is the price of safety.";
