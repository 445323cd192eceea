//! Fewer replies (thesis, section 5.2.3, table 5.3).

use super::Conditions;
use super::variants::{Variant, compare};
use crate::geo::args::sites;
use crate::geo::deployment::{Deployment, Pattern, Replies};
use crate::geo::finding::Finding;
use crate::geo::matrix::Matrix;

pub fn run(conditions: &Conditions) -> anyhow::Result<Finding> {
    let matrix = Matrix::table_5_7();
    let four = sites(&matrix, &["Oregon", "Ireland", "Sydney", "Sao Paulo"])?;
    let three = four[..3].to_vec();
    let byzantine = Deployment::flat(four.clone(), Pattern::Standard);
    let crash = Deployment::flat(three.clone(), Pattern::Crash);
    let variants = [
        Variant {
            name: "lies 3/4",
            deployment: byzantine.clone(),
            clients: four.clone(),
            against: None,
            published: None,
        },
        Variant {
            name: "lies 2/4",
            deployment: byzantine.with_replies(Replies::Heads(2)),
            clients: four,
            against: Some(0),
            published: Some((7, 9)),
        },
        Variant {
            name: "crashes 2/3",
            deployment: crash.clone(),
            clients: three.clone(),
            against: None,
            published: None,
        },
        Variant {
            name: "crashes 1/3",
            deployment: crash.with_replies(Replies::Heads(1)),
            clients: three,
            against: Some(2),
            published: Some((33, 30)),
        },
    ];
    compare(conditions, &matrix, &variants, Finding::new("replies", "Fewer replies", TEXT))
}

const TEXT: &str = "Table 5.3 over other distances: leader Oregon, with clients that wait for a quorum of replies or for as many as \
    one correct replica is among. Where replicas only crash, one reply spares the whole way to a second replica; where they \
    lie, it is the second reply instead of the third, which is near.";
