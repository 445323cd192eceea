//! The least that a client waits for its envelope, by distances alone: everything else takes no time, and nothing is lost or
//! waits for anything else.

use orderer_node::dev::wan::matrix::Matrix;

/// A network to be judged.
#[derive(Clone, Debug)]
pub struct Floor {
    /// How far sites are from each other.
    pub matrix: Matrix,
    /// The site of each replica.
    pub replicas: Vec<usize>,
    /// What the vote of each weighs.
    pub weights: Vec<u32>,
    /// What a quorum weighs.
    pub quorum: u32,
    /// The replica that leads.
    pub leader: usize,
    /// Whether blocks are pushed after the WRITE quorum.
    pub is_tentative: bool,
}

impl Floor {
    /// A network in which every vote counts one, or in which those of `heavy` count more because there are `delta` replicas
    /// beyond `3f + 1`.
    #[must_use]
    pub fn new(matrix: Matrix, replicas: Vec<usize>, delta: usize, heavy: &[usize], is_tentative: bool) -> Self {
        let n = replicas.len();
        let f = n.saturating_sub(1 + delta) / 3;
        let (weights, quorum) = if heavy.is_empty() {
            (vec![1; n], (n + f + 1).div_ceil(2))
        } else {
            let weight = |at: usize| if heavy.contains(&at) { f + delta } else { f };
            ((0..n).map(|at| weight(at) as u32).collect(), 2 * f * (f + delta) + f)
        };
        Self { matrix, replicas, weights, quorum: quorum as u32, leader: 0, is_tentative }
    }

    /// The same under another leader.
    #[must_use]
    pub fn led_by(self, leader: usize) -> Self {
        Self { leader, ..self }
    }

    /// Milliseconds from when a frontend at a site is given an envelope until it has the certified block.
    #[must_use]
    pub fn latency_ms(&self, client: usize) -> f64 {
        let all = 0..self.replicas.len();
        let asked = |at: usize| self.ms(client, self.replicas[at]);
        // The envelope comes from the frontend, the proposal names it.
        let proposed = |at: usize| (asked(self.leader) + self.between(self.leader, at)).max(asked(at));
        let wrote: Vec<f64> = all.clone().map(proposed).collect();
        let certified: Vec<f64> = all.clone().map(|at| self.heard(&wrote, |from| self.between(from, at))).collect();
        let decided: Vec<f64> = if self.is_tentative {
            certified
        } else {
            all.map(|at| self.heard(&certified, |from| self.between(from, at))).collect()
        };
        let pushed: Vec<f64> = decided.iter().zip(&wrote).map(|(decided, has)| decided.max(*has)).collect();
        self.heard(&pushed, |from| self.ms(self.replicas[from], client))
    }

    /// When votes that left at these times have come with the weight of a quorum.
    fn heard(&self, left_at: &[f64], way: impl Fn(usize) -> f64) -> f64 {
        let mut arrivals: Vec<(f64, u32)> =
            left_at.iter().enumerate().map(|(from, at)| (at + way(from), self.weights[from])).collect();
        arrivals.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut weight = 0;
        let last = arrivals.iter().find(|(_, more)| {
            weight += more;
            weight >= self.quorum
        });
        last.map_or(f64::INFINITY, |(at, _)| *at)
    }

    fn between(&self, from: usize, to: usize) -> f64 {
        self.ms(self.replicas[from], self.replicas[to])
    }

    fn ms(&self, from: usize, to: usize) -> f64 {
        self.matrix.one_way(from, to).mean.as_secs_f64() * 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(sites: &[&str]) -> (Matrix, Vec<usize>) {
        let matrix = Matrix::table_5_7();
        let places = sites.iter().filter_map(|site| matrix.place(site)).collect();
        (matrix, places)
    }

    fn floors(floor: &Floor) -> Vec<f64> {
        floor.replicas.iter().map(|&site| (floor.latency_ms(site) * 100.0).round() / 100.0).collect()
    }

    /// A client waits for replies of a quorum where it waits for a certified block here: the least is the same.
    #[test]
    fn it_is_what_others_have_computed_for_the_thesis() {
        let (matrix, sites) = table(&["Oregon", "Ireland", "Sydney", "Sao Paulo"]);
        assert_eq!(floors(&Floor::new(matrix, sites, 0, &[], false)), [426.5, 508.25, 566.5, 515.75]);
        let (matrix, sites) = table(&["Oregon", "Ireland", "Sydney", "Sao Paulo", "Virginia"]);
        let wheat = Floor::new(matrix, sites, 1, &[0, 4], true);
        assert_eq!((wheat.quorum, &wheat.weights[..]), (5, &[2, 1, 1, 1, 2][..]));
        assert_eq!(floors(&wheat), [171.0, 342.0, 376.0, 388.0, 241.5]);
    }

    #[test]
    fn without_weights_five_replicas_need_four_votes() {
        let (matrix, sites) = table(&["Ireland", "Sao Paulo", "Oregon", "Sydney", "Virginia"]);
        let flat = Floor::new(matrix, sites, 0, &[], false);
        assert_eq!((flat.quorum, flat.weights.len()), (4, 5));
        let by_leader = (0..5).map(|leader| floors(&flat.clone().led_by(leader))).collect::<Vec<_>>();
        assert!(by_leader.iter().flatten().all(|ms| ms.is_finite() && *ms > 0.0), "{by_leader:?}");
        assert!(by_leader[0] != by_leader[2], "the leader matters");
    }
}
