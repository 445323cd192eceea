//! The planner: of all ways to place a group over sites, the one whose clients wait least, by the [`mod@floor`].

use super::deployment::{Deployment, Pattern, Replies};
use super::floor::{Scale, floor, mean};
use super::matrix::{Matrix, Site};

/// What is asked of the planner.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// How many replicas may fail.
    pub f: usize,
    /// Spare replicas beyond what `f` needs.
    pub delta: usize,
    /// Which messages a request costs: [`Pattern::Standard`], [`Pattern::Tentative`] or [`Pattern::Crash`].
    pub pattern: Pattern,
    /// Where clients are.
    pub clients: Vec<Site>,
    /// What is to be small.
    pub goal: Goal,
    /// See [`Deployment::signatures`].
    pub signatures: usize,
}

/// What is to be small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Goal {
    /// The mean over the clients' sites.
    Mean,
    /// The latency at the site that waits longest.
    Worst,
}

/// A deployment, and what it promises.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The leader first, and after it who is to follow it.
    pub deployment: Deployment,
    /// In milliseconds, in the order of the clients' sites.
    pub latencies: Vec<f64>,
    /// Over the clients' sites.
    pub mean: f64,
    /// Over the clients' sites.
    pub worst: f64,
    /// How many deployments were looked at.
    pub considered: u64,
}

/// What the loss of a site does.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Which site.
    pub site: Site,
    /// Who leads then.
    pub leader: Site,
    /// What votes weigh that are left, and what a quorum weighs.
    pub left: (u32, u32),
    /// How many can sign that are left, and how many have to.
    pub signers: (usize, usize),
    /// Latencies at the clients' sites in milliseconds; none at the lost site, and none anywhere if nothing can be ordered.
    pub latencies: Vec<Option<f64>>,
    /// Of those sites that are left.
    pub mean: Option<f64>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The group is larger than the matrix.
    #[error("f = {f} with {delta} spare replicas takes {needed} sites, and there are {sites}")]
    Sites {
        /// As asked.
        f: usize,
        /// As asked.
        delta: usize,
        /// How many replicas that is.
        needed: usize,
        /// How many sites the matrix has.
        sites: usize,
    },
    /// A group that tolerates nothing is not planned, and weights are not defined for it.
    #[error("f is 1 or more")]
    Faults,
    /// Nobody to be quick for.
    #[error("no site has clients")]
    Clients,
    /// It would take too long.
    #[error("{0} deployments are more than the {SEARCHED_MAX} that are searched: leave out sites")]
    Many(u64),
}

/// More are not looked at: a minute or two.
const SEARCHED_MAX: u64 = 2_000_000;

impl Search {
    /// How many replicas the group has.
    #[must_use]
    pub const fn n(&self) -> usize {
        let least = if matches!(self.pattern, Pattern::Crash) { 2 * self.f + 1 } else { 3 * self.f + 1 };
        least + self.delta
    }

    /// How many of them are heavy.
    #[must_use]
    pub const fn heavy(&self) -> usize {
        match (self.delta, self.pattern) {
            (0, _) => 0,
            (_, Pattern::Crash) => self.f,
            _ => 2 * self.f,
        }
    }

    /// Looks at every choice of sites, leader and heavy replicas. Of equals, the first in the order of the matrix wins.
    ///
    /// # Errors
    /// The question makes no sense, or has too many answers.
    pub fn best(&self, matrix: &Matrix) -> Result<Plan, PlanError> {
        let (n, sites) = (self.n(), matrix.len());
        if self.f == 0 {
            return Err(PlanError::Faults);
        }
        if n > sites {
            return Err(PlanError::Sites { f: self.f, delta: self.delta, needed: n, sites });
        }
        if self.clients.is_empty() {
            return Err(PlanError::Clients);
        }
        let count = choices(sites, n).saturating_mul(n as u64).saturating_mul(choices(n, self.heavy()));
        if count > SEARCHED_MAX {
            return Err(PlanError::Many(count));
        }
        let mut best: Option<Plan> = None;
        for chosen in subsets(sites, n) {
            for leader in 0..n {
                let mut replicas = chosen.clone();
                replicas[..=leader].rotate_right(1);
                for heavy in subsets(n, self.heavy()) {
                    let plan = self.judge(matrix, self.deployment(replicas.clone(), heavy), count);
                    if let Some(plan) = plan
                        && best.as_ref().is_none_or(|best| self.value(&plan) < self.value(best) - EQUAL_WITHIN_MS)
                    {
                        best = Some(plan);
                    }
                }
            }
        }
        let plan = best.ok_or(PlanError::Clients)?;
        let deployment = self.with_followers(matrix, plan.deployment);
        Ok(Plan { deployment, ..plan })
    }

    /// A deployment of the kind that is looked for.
    #[must_use]
    pub fn deployment(&self, replicas: Vec<Site>, heavy: Vec<usize>) -> Deployment {
        let replies = if self.pattern == Pattern::Crash { Replies::Heads(1) } else { Replies::Quorum };
        Deployment {
            replicas,
            heavy,
            f: self.f,
            pattern: self.pattern,
            replies,
            quorum: None,
            signatures: self.signatures,
        }
    }

    /// What a deployment promises; none if nothing can be ordered.
    #[must_use]
    pub fn judge(&self, matrix: &Matrix, deployment: Deployment, considered: u64) -> Option<Plan> {
        let latencies: Option<Vec<f64>> =
            self.clients.iter().map(|client| floor(&deployment, matrix, *client, &[])).collect();
        let latencies = latencies?;
        let worst = latencies.iter().copied().fold(0.0, f64::max);
        let mean = mean(latencies.iter().copied())?;
        Some(Plan { deployment, latencies, mean, worst, considered })
    }

    fn value(&self, plan: &Plan) -> f64 {
        match self.goal {
            Goal::Mean => plan.mean,
            Goal::Worst => plan.worst + plan.mean * WORST_TIE,
        }
    }

    /// Puts those who follow the leader in order: who serves the clients best while all before it are down comes first.
    fn with_followers(&self, matrix: &Matrix, deployment: Deployment) -> Deployment {
        let cost = |replica: usize| {
            let mut order: Vec<usize> = (0..deployment.n()).filter(|other| *other != replica && *other != 0).collect();
            order.splice(0..0, [replica, 0]);
            let moved = deployment.reordered(&order);
            mean(self.clients.iter().filter_map(|client| floor(&moved, matrix, *client, &[1]))).unwrap_or(f64::INFINITY)
        };
        let mut followers: Vec<(f64, usize)> = (1..deployment.n()).map(|replica| (cost(replica), replica)).collect();
        followers.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let order: Vec<usize> = [0].into_iter().chain(followers.into_iter().map(|(_, replica)| replica)).collect();
        deployment.reordered(&order)
    }

    /// What the loss of each site with a replica does to a plan.
    #[must_use]
    pub fn failures(&self, matrix: &Matrix, plan: &Plan) -> Vec<Failure> {
        let (deployment, scale) = (&plan.deployment, Scale::of(&plan.deployment));
        let failure = |down: usize| {
            let site = deployment.replicas[down];
            let latency = |client: &Site| {
                if *client == site { None } else { floor(deployment, matrix, *client, &[down]) }
            };
            let latencies: Vec<Option<f64>> = self.clients.iter().map(latency).collect();
            Failure {
                site,
                leader: deployment.replicas[usize::from(down == 0)],
                left: (scale.left(&[down]), scale.quorum),
                signers: (deployment.n() - 1, deployment.signatures),
                mean: mean(latencies.iter().copied().flatten()),
                latencies,
            }
        };
        (0..deployment.n()).map(failure).collect()
    }
}

impl Failure {
    /// Is what is left a quorum, and are its blocks valid?
    #[must_use]
    pub const fn is_survived(&self) -> bool {
        self.left.0 >= self.left.1 && self.signers.0 >= self.signers.1
    }
}

/// All ways to choose `size` of `0..of`, in order.
fn subsets(of: usize, size: usize) -> Vec<Vec<usize>> {
    let masks = (0..1_u32 << of).filter(|mask| mask.count_ones() as usize == size);
    let mut subsets: Vec<Vec<usize>> =
        masks.map(|mask| (0..of).filter(|item| mask & (1 << item) != 0).collect()).collect();
    subsets.sort_unstable();
    subsets
}

/// How many ways there are to choose `size` of `of`.
fn choices(of: usize, size: usize) -> u64 {
    (1..=size as u64).fold(1, |count, at| count * (of as u64 + 1 - at) / at)
}

/// Nearer latencies are equal.
const EQUAL_WITHIN_MS: f64 = 1e-9;

/// Of two plans that are as good at the site that waits longest, the one with the smaller mean is better.
const WORST_TIE: f64 = 1e-6;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn search(matrix: &Matrix) -> Search {
        let clients = matrix.sites().collect();
        Search { f: 1, delta: 1, pattern: Pattern::Tentative, clients, goal: Goal::Mean, signatures: 0 }
    }

    #[test]
    fn the_best_plan_on_table_5_7_has_its_leader_in_virginia() {
        let matrix = Matrix::table_5_7();
        let search = search(&matrix);
        let plan = search.best(&matrix).unwrap();
        let names = |replicas: &[usize]| -> Vec<&str> {
            replicas.iter().map(|replica| matrix.name(plan.deployment.replicas[*replica])).collect()
        };
        assert_eq!((names(&[0]), plan.considered), (vec!["Virginia"], 50));
        assert_eq!(names(&plan.deployment.heavy), ["Virginia", "Oregon"]);
        assert!(plan.mean <= 265.0, "{plan:?}");
        let judged = search.judge(&matrix, plan.deployment.clone(), 0).unwrap();
        assert_eq!(judged.latencies, plan.latencies, "who follows the leader costs nothing while it leads");
    }

    #[test]
    fn the_loss_of_any_site_is_survived_and_said_with_the_next_leader() {
        let matrix = Matrix::table_5_7();
        let search = search(&matrix);
        let plan = search.best(&matrix).unwrap();
        let failures = search.failures(&matrix, &plan);
        assert_eq!(failures.len(), 5);
        for failure in &failures {
            assert!(failure.is_survived() && failure.latencies.iter().flatten().count() == 4, "{failure:?}");
            assert_ne!(failure.leader, failure.site);
        }
        assert_eq!(failures[0].leader, plan.deployment.replicas[1]);
        assert!(failures[0].mean > Some(plan.mean), "a heavy site and the leader are missed");
    }

    #[test]
    fn a_channel_that_wants_every_signature_survives_no_loss_and_one_of_type_bft_any() {
        let matrix = Matrix::table_5_7();
        for (signatures, is_survived) in [(4, true), (5, false)] {
            let search = Search { signatures, ..search(&matrix) };
            let plan = search.best(&matrix).unwrap();
            assert!(plan.mean > 265.0, "{plan:?}");
            for failure in search.failures(&matrix, &plan) {
                assert_eq!((failure.is_survived(), failure.mean.is_some()), (is_survived, is_survived), "{failure:?}");
            }
        }
    }

    #[test]
    fn a_small_worst_latency_is_another_goal() {
        let matrix = Matrix::table_5_7();
        let pairs = matrix.sites().flat_map(|one| (one + 1..matrix.len()).map(move |other| vec![one, other]));
        let mut differ = 0;
        for clients in pairs {
            let search = Search { clients, ..search(&matrix) };
            let by_mean = search.best(&matrix).unwrap();
            let by_worst = Search { goal: Goal::Worst, ..search }.best(&matrix).unwrap();
            assert!(by_worst.worst <= by_mean.worst && by_worst.mean >= by_mean.mean, "{by_worst:?} {by_mean:?}");
            differ += usize::from(by_worst.worst < by_mean.worst);
        }
        assert!(differ > 0);
    }

    #[test]
    fn questions_without_an_answer_are_refused() {
        let matrix = Matrix::table_5_7();
        let said = |search: Search| search.best(&matrix).unwrap_err().to_string();
        assert!(said(Search { f: 2, ..search(&matrix) }).contains("takes 8 sites, and there are 5"));
        assert!(said(Search { clients: Vec::new(), ..search(&matrix) }).contains("no site has clients"));
        assert!(said(Search { f: 0, ..search(&matrix) }).contains("1 or more"));
    }

    #[test]
    fn every_choice_is_made_once() {
        assert_eq!(subsets(3, 2), [[0, 1], [0, 2], [1, 2]]);
        assert_eq!((subsets(5, 2).len() as u64, subsets(4, 0).len()), (choices(5, 2), 1));
    }
}
