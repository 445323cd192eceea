//! Where the replicas of a group are, who leads, what their votes weigh, and which messages a request costs.

use super::matrix::{Matrix, Site};

/// One group over sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The site of each replica. The first one leads.
    pub replicas: Vec<Site>,
    /// The replicas whose votes weigh more, by their place in `replicas`; empty if all weigh the same.
    pub heavy: Vec<usize>,
    /// How many may fail.
    pub f: usize,
    /// Which messages a request costs.
    pub pattern: Pattern,
    /// What a client waits for.
    pub replies: Replies,
    /// So many votes (or their weight) make a quorum, instead of as many as safety asks for: for experiments with quorums
    /// that need not meet.
    pub quorum: Option<u32>,
    /// Signatures that the channel's BlockValidation wants of a block, one for each head, whatever votes weigh. With 0 those of
    /// any quorum are enough.
    pub signatures: usize,
}

/// Signatures that a channel of type BFT wants where its configuration names no other number (Fabric,
/// `EncodeBFTBlockVerificationPolicy`).
#[must_use]
pub const fn signatures_of_a_bft_channel(consenters: usize) -> usize {
    let f = consenters.saturating_sub(1) / 3;
    (consenters + f + 1).div_ceil(2)
}

/// Which messages a request costs (thesis, figure 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Pattern {
    /// Request, PROPOSE, WRITE, ACCEPT, reply: Mod-SMaRt.
    Standard,
    /// The reply leaves after the quorum of WRITEs: WHEAT.
    Tentative,
    /// Without WRITE: replicas may crash and do not lie.
    Crash,
    /// The reply leaves after more WRITEs, `ceil((n + 3f + 1) / 2)`, without ACCEPT.
    Fast,
    /// The reply leaves after PROPOSE, and the client waits for all replicas.
    Speculative,
    /// The client asks all replicas, and they answer.
    ReadOnly,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// A quorum, by weight.
    Quorum,
    /// So many replicas.
    Heads(usize),
}

impl Deployment {
    /// A group of equals with its leader at the first site.
    #[must_use]
    pub fn flat(replicas: Vec<Site>, pattern: Pattern) -> Self {
        let n = replicas.len().max(1);
        let f = if pattern == Pattern::Crash { (n - 1) / 2 } else { (n - 1) / 3 };
        Self { replicas, heavy: Vec::new(), f, pattern, replies: Replies::Quorum, quorum: None, signatures: 0 }
    }

    /// A group with spare replicas: the heavy ones are given by their place.
    #[must_use]
    pub fn weighted(replicas: Vec<Site>, heavy: Vec<usize>, f: usize, pattern: Pattern) -> Self {
        let replies = if pattern == Pattern::Crash { Replies::Heads(1) } else { Replies::Quorum };
        Self { replicas, heavy, f, pattern, replies, quorum: None, signatures: 0 }
    }

    /// The same, with another rule for clients.
    #[must_use]
    pub fn with_replies(self, replies: Replies) -> Self {
        Self { replies, ..self }
    }

    /// The same, with quorums of this weight.
    #[must_use]
    pub fn with_quorum(self, quorum: u32) -> Self {
        Self { quorum: Some(quorum), ..self }
    }

    /// The same, on a channel that wants so many signatures of a block.
    #[must_use]
    pub fn with_signatures(self, signatures: usize) -> Self {
        Self { signatures, ..self }
    }

    /// The same under another leader.
    #[must_use]
    pub fn led_by(&self, leader: usize) -> Self {
        let others = (0..self.n()).filter(|other| *other != leader);
        self.reordered(&[leader].into_iter().chain(others).collect::<Vec<_>>())
    }

    /// The same with the replicas in another order.
    #[must_use]
    pub fn reordered(&self, order: &[usize]) -> Self {
        let replicas = order.iter().map(|replica| self.replicas[*replica]).collect();
        let is_heavy = |at: &usize| self.heavy.contains(&order[*at]);
        let heavy = (0..order.len()).filter(is_heavy).collect();
        Self { replicas, heavy, ..self.clone() }
    }

    /// How many replicas there are.
    #[must_use]
    pub fn n(&self) -> usize {
        self.replicas.len()
    }

    /// Replicas beyond what `f` needs.
    #[must_use]
    pub fn delta(&self) -> usize {
        let least = if self.pattern == Pattern::Crash { 2 * self.f + 1 } else { 3 * self.f + 1 };
        self.n().saturating_sub(least)
    }

    /// The site of the leader.
    #[must_use]
    pub fn leader(&self) -> Site {
        self.replicas[0]
    }

    /// Can the service be run like this?
    #[must_use]
    pub const fn is_in_service(&self) -> bool {
        let is_known = matches!(self.pattern, Pattern::Standard | Pattern::Tentative | Pattern::Crash);
        is_known && self.quorum.is_none()
    }

    /// Where, who leads, who is heavy, in words.
    #[must_use]
    pub fn describe(&self, matrix: &Matrix) -> String {
        let name = |(replica, site): (usize, &Site)| {
            let sign = if self.heavy.contains(&replica) { " (heavy)" } else { "" };
            format!("{}{sign}", matrix.name(*site))
        };
        let names: Vec<String> = self.replicas.iter().enumerate().map(name).collect();
        format!("leader {}", names.join(", "))
    }
}

impl Pattern {
    /// A word for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Tentative => "tentative",
            Self::Crash => "crash-only",
            Self::Fast => "fast",
            Self::Speculative => "speculative",
            Self::ReadOnly => "read-only",
        }
    }
}
