//! The least that messages cost, computed from distances alone and with nothing of the protocol's code.
//!
//! Every replica is at its best: it does everything at once, and no message is lost or late. What a client of a site then waits
//! for a single request is a chain of *quorum times*: the moment at which messages of enough weight have come. Three things are
//! ours and not the thesis's: clients send to all replicas, so a body travels beside the PROPOSE that names it; a replica
//! writes when it has both; and votes may be counted before the proposal has come, which matters where a detour is shorter
//! than the way (Oregon and Ireland by Virginia, in table 5.7).

use super::deployment::{Deployment, Pattern, Replies};
use super::matrix::{Matrix, Site};

/// What votes weigh in a deployment, and how much of it is a quorum (thesis, section 5.3.2 and appendix C). In integers:
/// everything is `f` times what the thesis says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Of each replica.
    pub weights: Vec<u32>,
    /// What a quorum weighs at least.
    pub quorum: u32,
}

impl Scale {
    /// Of a deployment.
    #[must_use]
    pub fn of(deployment: &Deployment) -> Self {
        let (n, f, delta) = (deployment.n(), deployment.f, deployment.delta());
        let scale = if deployment.heavy.is_empty() {
            let quorum = if deployment.pattern == Pattern::Crash { n / 2 + 1 } else { (n + f + 1).div_ceil(2) };
            Self { weights: vec![1; n], quorum: quorum as u32 }
        } else {
            let weigh = |replica: usize| if deployment.heavy.contains(&replica) { f + delta } else { f };
            let weights = (0..n).map(|replica| weigh(replica) as u32).collect();
            let forgotten = if deployment.pattern == Pattern::Crash { f * (f + delta) } else { 2 * f * (f + delta) };
            Self { weights, quorum: (forgotten + f) as u32 }
        };
        Self { quorum: deployment.quorum.unwrap_or(scale.quorum), ..scale }
    }

    /// What the replicas weigh that are not down.
    #[must_use]
    pub fn left(&self, down: &[usize]) -> u32 {
        self.weights.iter().enumerate().filter(|(replica, _)| !down.contains(replica)).map(|(_, weight)| weight).sum()
    }
}

/// How long a client at this site waits for one request, in milliseconds. The first replica leads, or the next one in order
/// that is not `down`. None if no quorum is left.
#[must_use]
pub fn floor(deployment: &Deployment, matrix: &Matrix, client: Site, down: &[usize]) -> Option<f64> {
    Steps::new(deployment, matrix, client, down)?.answered()
}

/// The way of one request.
struct Steps<'a> {
    deployment: &'a Deployment,
    matrix: &'a Matrix,
    client: Site,
    scale: Scale,
    up: Vec<usize>,
    leader: usize,
}

impl<'a> Steps<'a> {
    fn new(deployment: &'a Deployment, matrix: &'a Matrix, client: Site, down: &[usize]) -> Option<Self> {
        let up: Vec<usize> = (0..deployment.n()).filter(|replica| !down.contains(replica)).collect();
        let leader = *up.first()?;
        Some(Self { deployment, matrix, client, scale: Scale::of(deployment), up, leader })
    }

    fn answered(&self) -> Option<f64> {
        let (n, f) = (self.deployment.n(), self.deployment.f);
        let executed = match self.deployment.pattern {
            Pattern::ReadOnly => self.each(|replica| Some(self.asked(replica)))?,
            Pattern::Speculative => self.each(|replica| Some(self.proposed(replica)))?,
            Pattern::Standard => {
                let certified = self.certified(self.scale.quorum)?;
                self.each(|replica| Some(self.heard(replica, &certified)?.max(self.proposed(replica))))?
            }
            Pattern::Tentative => self.written(self.scale.quorum)?,
            Pattern::Fast => self.written((n + 3 * f + 1).div_ceil(2) as u32)?,
            Pattern::Crash => {
                let accepted = self.each(|replica| Some(self.proposed(replica)))?;
                self.each(|replica| Some(self.heard(replica, &accepted)?.max(self.proposed(replica))))?
            }
        };
        let site = |replica: usize| self.deployment.replicas[replica];
        let replies: Vec<(f64, usize)> =
            executed.iter().map(|(at, replica)| (at + self.way(site(*replica), self.client), *replica)).collect();
        let signed = heavy_enough(replies.clone(), self.deployment.signatures as u32, |_| 1)?;
        let believed = match (self.deployment.pattern, self.deployment.replies) {
            (Pattern::Speculative, _) => heavy_enough(replies, n as u32, |_| 1),
            (_, Replies::Heads(heads)) => heavy_enough(replies, heads as u32, |_| 1),
            (_, Replies::Quorum) => heavy_enough(replies, self.scale.quorum, |replica| self.scale.weights[replica]),
        }?;
        Some(believed.max(signed))
    }

    /// When each replica that is up has done something.
    fn each(&self, when: impl Fn(usize) -> Option<f64>) -> Option<Vec<(f64, usize)>> {
        self.up.iter().map(|replica| Some((when(*replica)?, *replica))).collect()
    }

    /// When a replica has the request from the client.
    fn asked(&self, replica: usize) -> f64 {
        self.way(self.client, self.deployment.replicas[replica])
    }

    /// When a replica has the proposal and the request that it names.
    fn proposed(&self, replica: usize) -> f64 {
        let site = |replica: usize| self.deployment.replicas[replica];
        let proposal = self.asked(self.leader) + self.way(site(self.leader), site(replica));
        proposal.max(self.asked(replica))
    }

    /// When each replica has heard WRITEs of this weight.
    fn certified(&self, weight: u32) -> Option<Vec<(f64, usize)>> {
        let written = self.each(|replica| Some(self.proposed(replica)))?;
        self.each(|replica| self.heard_of(replica, &written, weight))
    }

    /// When each replica can execute what was written with this weight.
    fn written(&self, weight: u32) -> Option<Vec<(f64, usize)>> {
        let certified = self.certified(weight)?;
        Some(certified.into_iter().map(|(at, replica)| (at.max(self.proposed(replica)), replica)).collect())
    }

    fn heard(&self, replica: usize, said: &[(f64, usize)]) -> Option<f64> {
        self.heard_of(replica, said, self.scale.quorum)
    }

    /// When a replica has heard so much weight of what replicas said at these times.
    fn heard_of(&self, replica: usize, said: &[(f64, usize)], weight: u32) -> Option<f64> {
        let site = |replica: usize| self.deployment.replicas[replica];
        let arrivals = said.iter().map(|(at, from)| (at + self.way(site(*from), site(replica)), *from)).collect();
        heavy_enough(arrivals, weight, |from| self.scale.weights[from])
    }

    fn way(&self, from: Site, to: Site) -> f64 {
        self.matrix.one_way(from, to)
    }
}

/// When what has come weighs enough.
fn heavy_enough(mut arrivals: Vec<(f64, usize)>, enough: u32, weigh: impl Fn(usize) -> u32) -> Option<f64> {
    arrivals.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut weight = 0;
    for (at, from) in arrivals {
        weight += weigh(from);
        if weight >= enough {
            return Some(at);
        }
    }
    None
}

/// The mean of some values; none of none.
#[must_use]
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.into_iter().fold((0, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::geo::deployment::signatures_of_a_bft_channel;

    fn sites(matrix: &Matrix, names: &[&str]) -> Vec<Site> {
        names.iter().map(|name| matrix.site(name).unwrap()).collect()
    }

    fn floors(deployment: &Deployment, clients: &[&str]) -> Vec<f64> {
        let matrix = Matrix::table_5_7();
        let clients = sites(&matrix, clients);
        clients.into_iter().map(|client| floor(deployment, &matrix, client, &[]).unwrap()).collect()
    }

    const CLIENTS: [&str; 5] = ["Oregon", "Ireland", "Sydney", "Sao Paulo", "Virginia"];

    /// The floors that others have computed for this matrix.
    #[test]
    fn floors_of_table_5_7_are_the_known_ones() {
        let matrix = Matrix::table_5_7();
        let four = sites(&matrix, &CLIENTS[..4]);
        let standard = floors(&Deployment::flat(four, Pattern::Standard), &CLIENTS[..4]);
        assert_eq!(standard, [426.5, 508.25, 566.5, 515.75]);
        let five = sites(&matrix, &CLIENTS);
        let wheat = floors(&Deployment::weighted(five, vec![0, 4], 1, Pattern::Tentative), &CLIENTS);
        assert_eq!(wheat, [171.0, 342.0, 376.0, 388.0, 241.5]);
        assert!((mean(wheat).unwrap() - 304.0).abs() < 0.5);
    }

    /// Oregon leads with the heavy votes of Virginia and its own, and hears a fourth signature last of all.
    #[test]
    fn a_channel_that_wants_more_signatures_than_a_quorum_has_heads_waits_for_them() {
        let matrix = Matrix::table_5_7();
        let wheat = Deployment::weighted(sites(&matrix, &CLIENTS), vec![0, 4], 1, Pattern::Tentative);
        assert_eq!(floors(&wheat.clone().with_signatures(3), &CLIENTS), floors(&wheat, &CLIENTS));
        let of_bft = wheat.clone().with_signatures(signatures_of_a_bft_channel(5));
        let added: Vec<f64> =
            floors(&of_bft, &CLIENTS).iter().zip(floors(&wheat, &CLIENTS)).map(|(a, b)| a - b).collect();
        assert_eq!(added, [46.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(floor(&of_bft, &matrix, 0, &[1, 2]), None, "three cannot give four signatures");
    }

    #[test]
    fn the_leader_matters() {
        let matrix = Matrix::table_5_7();
        let flat = Deployment::flat(sites(&matrix, &CLIENTS), Pattern::Standard);
        let by_leader: Vec<Vec<f64>> = (0..5).map(|leader| floors(&flat.led_by(leader), &CLIENTS)).collect();
        assert_eq!(by_leader[0], floors(&flat, &CLIENTS));
        assert!(by_leader[0] != by_leader[2] && by_leader.iter().flatten().all(|ms| *ms > 0.0), "{by_leader:?}");
    }

    #[test]
    fn a_crash_only_group_waits_for_one_reply_and_a_majority() {
        let matrix = Matrix::table_5_7();
        let four = sites(&matrix, &["Oregon", "Ireland", "Sydney", "Virginia"]);
        let wheat = Deployment::weighted(four, vec![3], 1, Pattern::Crash);
        assert_eq!(Scale::of(&wheat), Scale { weights: vec![1, 1, 1, 2], quorum: 3 });
        assert_eq!(floors(&wheat, &["Oregon", "Virginia"]), [70.5, 70.5]);
    }

    #[test]
    fn without_a_quorum_there_is_no_answer() {
        let matrix = Matrix::table_5_7();
        let five = sites(&matrix, &CLIENTS);
        let wheat = Deployment::weighted(five, vec![0, 4], 1, Pattern::Tentative);
        let without = |down: &[usize]| floor(&wheat, &matrix, 0, down);
        assert!((0..5).all(|replica| without(&[replica]).is_some()));
        assert_eq!(without(&[0, 4]), None);
        assert_eq!((Scale::of(&wheat).left(&[0]), Scale::of(&wheat).left(&[2])), (5, 6));
    }
}
