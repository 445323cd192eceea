//! Which sets of consenters satisfy BlockValidation, beside which sets are a quorum of the protocol.
//!
//! A block that leaves before it is decided must not be believed by peers unless a quorum of the protocol has signed it, so
//! every set of signers that satisfies the policy has to be a quorum. And a quorum that does not satisfy the policy makes
//! peers wait for signatures which the protocol does not need.
//!
//! Policies are taken for more lenient than they are: a leaf may be given to any signer who could meet it, in whatever order
//! the signatures come. So what is said to need a quorum does.

use crate::config::ChannelConfig;
use crate::consenter::Consenter;
use crate::identity::Identity;
use crate::policy::{ImplicitMetaPolicy, Policy, Rule, SignaturePolicy};
use crate::principal::Principal;

/// How the policy of a channel and the quorums of its consenters go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFit {
    /// Ids of the fewest consenters who satisfy the policy and are no quorum, if there are such.
    pub lighter: Option<Vec<u32>>,
    /// Ids of the fewest consenters who are a quorum and cannot satisfy the policy, if there are such.
    pub wanting: Option<Vec<u32>>,
}

/// Why it cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFitError {
    /// Their sets are too many to be looked at.
    #[error("{0} consenters are too many to tell ({CONSENTERS_TOLD_MAX} at most)")]
    TooMany(usize),
    /// The policy can be satisfied in too many ways.
    #[error("the policy has too many rules to tell")]
    TooComplex,
}

/// Compares the policy of a channel with its quorums. `is_quorum` is asked about sets of consenters: bit `i` stands for the
/// `i`-th in the order of [`ChannelConfig::consenters`].
///
/// # Errors
/// [`PolicyFitError`].
pub fn policy_fit(config: &ChannelConfig, is_quorum: impl Fn(u32) -> bool) -> Result<PolicyFit, PolicyFitError> {
    let consenters = config.consenters();
    if consenters.len() > CONSENTERS_TOLD_MAX {
        return Err(PolicyFitError::TooMany(consenters.len()));
    }
    let signers: Vec<Signer> = consenters.iter().map(|consenter| Signer::of(consenter, config)).collect();
    let mut search = Search { signers: &signers, steps_left: STEPS_MAX };
    let satisfying = search.sets_of(config.block_policy().policy())?;
    let satisfied = satisfying.and_more();
    let is_minimal = |set: u32| bits(set).all(|bit| !is_quorum(set & !bit));
    let fewest = |sets: &mut dyn Iterator<Item = u32>| {
        let set = sets.min_by_key(|set| set.count_ones())?;
        let named = consenters.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0);
        Some(named.map(|(_, consenter)| consenter.id).collect())
    };
    let all = 0..1_u32 << consenters.len();
    Ok(PolicyFit {
        lighter: fewest(&mut satisfying.iter().filter(|&set| !is_quorum(set))),
        wanting: fewest(&mut all.filter(|&set| is_quorum(set) && is_minimal(set) && !satisfied.has(set))),
    })
}

/// Who a consenter is when it signs.
enum Signer {
    /// Its configured identity.
    Known(Identity),
    /// Somebody of this MSP: type etcdraft does not say who.
    Of(String),
    /// Somebody.
    Unknown,
}

impl Signer {
    fn of(consenter: &Consenter, config: &ChannelConfig) -> Self {
        let Some(msp_id) = &consenter.msp_id else { return Self::Unknown };
        let known = consenter.identity.as_ref().and_then(|it| config.msps().identity(msp_id, &it.pem).ok());
        known.map_or_else(|| Self::Of(msp_id.clone()), Self::Known)
    }

    /// Could its signature be the one that a leaf asks for?
    fn may_satisfy(&self, principal: &Principal) -> bool {
        match (self, principal) {
            (_, Principal::Never) => false,
            (Self::Known(identity), _) => principal.is_satisfied_by(identity),
            (Self::Of(ours), Principal::Role { msp_id, .. } | Principal::OrganizationalUnit { msp_id, .. }) => {
                ours == msp_id
            }
            (Self::Of(_), Principal::All(all)) => all.iter().all(|principal| self.may_satisfy(principal)),
            (Self::Of(_) | Self::Unknown, _) => true,
        }
    }
}

/// Sets of consenters, by their bits.
#[derive(Clone)]
struct Sets(Vec<bool>);

impl Sets {
    fn none(signers: usize) -> Self {
        Self(vec![false; 1 << signers])
    }

    /// The set of nobody.
    fn nobody(signers: usize) -> Self {
        let mut sets = Self::none(signers);
        sets.add(0);
        sets
    }

    fn add(&mut self, set: u32) {
        self.0[set as usize] = true;
    }

    fn has(&self, set: u32) -> bool {
        self.0[set as usize]
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.0).filter(|(_, is_in)| **is_in).map(|(set, _)| set)
    }

    /// These sets and all that contain one of them.
    fn and_more(&self) -> Self {
        let mut more = self.clone();
        // A set without one of its members is a smaller number, so it has been looked at.
        for set in 0..self.0.len() as u32 {
            if bits(set).any(|bit| more.has(set & !bit)) {
                more.add(set);
            }
        }
        more
    }
}

struct Search<'a> {
    signers: &'a [Signer],
    steps_left: u64,
}

impl Search<'_> {
    /// The sets of signers that a policy can be satisfied by, each without anybody who is not needed.
    fn sets_of(&mut self, policy: &Policy) -> Result<Sets, PolicyFitError> {
        match policy {
            Policy::Signature(policy) => self.sets_of_rule(policy, policy.rule()),
            Policy::ImplicitMeta(policy) => self.sets_of_children(policy),
        }
    }

    fn sets_of_rule(&mut self, policy: &SignaturePolicy, rule: &Rule) -> Result<Sets, PolicyFitError> {
        match rule {
            Rule::SignedBy(index) => {
                let mut sets = Sets::none(self.signers.len());
                for (at, signer) in self.signers.iter().enumerate() {
                    if signer.may_satisfy(&policy.principals()[*index]) {
                        sets.add(1 << at);
                    }
                }
                Ok(sets)
            }
            Rule::NOutOf { n, rules } => {
                let sets = rules.iter().map(|rule| self.sets_of_rule(policy, rule)).collect::<Result<Vec<_>, _>>()?;
                // One signer serves one leaf.
                self.some_of(usize::try_from(*n).unwrap_or(0), &sets, |one, other| one & other == 0)
            }
        }
    }

    /// Fabric holds a threshold of none for met while no child is, which nobody can rely on: it may be met by nobody.
    fn sets_of_children(&mut self, policy: &ImplicitMetaPolicy) -> Result<Sets, PolicyFitError> {
        let children = policy.children().iter().filter_map(|(_, child)| child.as_ref());
        let sets = children.map(|child| self.sets_of(child)).collect::<Result<Vec<_>, _>>()?;
        // One signer may serve every child.
        self.some_of(policy.threshold(), &sets, |_, _| true)
    }

    /// The unions of sets of so many of the parts.
    fn some_of(
        &mut self,
        count: usize,
        parts: &[Sets],
        go_together: impl Fn(u32, u32) -> bool,
    ) -> Result<Sets, PolicyFitError> {
        let signers = self.signers.len();
        if count > parts.len() {
            return Ok(Sets::none(signers));
        }
        self.take_steps((count as u64 + 1) << signers)?;
        let mut by_count = vec![Sets::none(signers); count + 1];
        by_count[0] = Sets::nobody(signers);
        for part in parts {
            let part: Vec<u32> = part.iter().collect();
            for have in (0..count).rev() {
                self.take_steps(1 << signers)?;
                for one in by_count[have].clone().iter() {
                    self.take_steps(part.len() as u64)?;
                    for other in part.iter().filter(|other| go_together(one, **other)) {
                        by_count[have + 1].add(one | other);
                    }
                }
            }
        }
        Ok(by_count.swap_remove(count))
    }

    fn take_steps(&mut self, steps: u64) -> Result<(), PolicyFitError> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(PolicyFitError::TooComplex)?;
        Ok(())
    }
}

/// The bits of a set, one at a time.
fn bits(set: u32) -> impl Iterator<Item = u32> {
    (0..u32::BITS).map(|at| 1 << at).filter(move |bit| set & bit != 0)
}

/// For people: `consenters 1, 2 and 5`.
#[must_use]
pub fn name_consenters(ids: &[u32]) -> String {
    let mut names: Vec<String> = ids.iter().map(u32::to_string).collect();
    let last = names.pop();
    match (last, names.is_empty()) {
        (None, _) => "nobody".to_owned(),
        (Some(only), true) => format!("consenter {only}"),
        (Some(last), false) => format!("consenters {} and {last}", names.join(", ")),
    }
}

/// There are 65,536 sets of so many.
const CONSENTERS_TOLD_MAX: usize = 16;

/// Takes a second at most.
const STEPS_MAX: u64 = 200_000_000;
