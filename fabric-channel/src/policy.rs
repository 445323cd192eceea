//! Rules over sets of signers: signature policies and implicit meta policies.
//!
//! Evaluation works on identities whose signatures have been verified, each at most once, in the order of their
//! signatures. That makes one evaluation serve both a block with all its signatures
//! ([`crate::msps::Msps::distinct_signers`]) and a collector that verifies signatures as they arrive
//! ([`crate::block_policy::BlockPolicy`]).
//!
//! Signature policies are greedy and never backtrack, exactly as in Fabric: a cleverer evaluation would accept
//! configurations that peers refuse. Contract §2.8, Appendix C 15.

use std::fmt;
use std::sync::Arc;

use fabric_proto::common::implicit_meta_policy::Rule as MetaRule;
use fabric_proto::common::signature_policy::{NOutOf, Type as RuleType};
use fabric_proto::common::{SignaturePolicy as RuleMessage, SignaturePolicyEnvelope};
use prost::Message as _;
use thiserror::Error;

use crate::identity::Identity;
use crate::limits::POLICY_DEPTH_MAX;
use crate::msps::Msps;
use crate::principal::Principal;

/// A compiled policy of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// A tree of thresholds over principals.
    Signature(SignaturePolicy),
    /// A threshold over the policies of child groups.
    ImplicitMeta(ImplicitMetaPolicy),
}

/// Why a policy does not compile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// The bytes do not parse as the message its type asks for.
    #[error("the policy does not parse")]
    Malformed,
    /// A version other than 0.
    #[error("signature policy version {0} is not known, only version 0 is")]
    Version(i32),
    /// A rule without content.
    #[error("the policy contains an empty rule")]
    EmptyRule,
    /// A leaf that points outside of the list of principals.
    #[error("the policy refers to principal {index} of {count}")]
    PrincipalIndex {
        /// The index as written.
        index: i32,
        /// How many principals the policy has.
        count: usize,
    },
    /// Nested too deeply.
    #[error("the policy is nested deeper than {POLICY_DEPTH_MAX} rules")]
    TooDeep,
    /// No policy under the key.
    #[error("the policy is empty")]
    Missing,
    /// Neither SIGNATURE nor IMPLICIT_META.
    #[error("policy type {0} is not supported")]
    Type(i32),
    /// A sub-policy that is the path of a child group, which makes Fabric's programs panic.
    #[error("its sub-policy {0:?} is the path of a group")]
    SubPolicyIsGroup(String),
}

impl Policy {
    /// True if these signers satisfy the policy. They must be distinct and their signatures verified; their order
    /// matters.
    #[must_use]
    pub fn is_satisfied_by(&self, signers: &[Identity]) -> bool {
        match self {
            Self::Signature(policy) => policy.is_satisfied_by(signers),
            Self::ImplicitMeta(policy) => policy.is_satisfied_by(signers),
        }
    }

    /// How many distinct signers satisfy it at best, whoever they are; none if no number does. Each child group is taken to
    /// have signers of its own.
    #[must_use]
    pub fn fewest_signers(&self) -> Option<usize> {
        match self {
            Self::Signature(policy) => policy.rule.fewest_signers(),
            Self::ImplicitMeta(policy) => policy.fewest_signers(),
        }
    }
}

/// A tree of thresholds whose leaves are principals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturePolicy {
    rule: Rule,
    principals: Vec<Principal>,
}

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Index into the principals.
    SignedBy(usize),
    /// A threshold over rules; below 1 it is always met.
    NOutOf { n: i32, rules: Vec<Rule> },
}

impl SignaturePolicy {
    /// Compiles a marshalled `SignaturePolicyEnvelope`.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn from_bytes(bytes: &[u8], msps: &Msps) -> Result<Self, PolicyError> {
        let envelope = SignaturePolicyEnvelope::decode(bytes).map_err(|_| PolicyError::Malformed)?;
        Self::compile(&envelope, msps)
    }

    /// Compiles a policy against the MSPs of a channel.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn compile(envelope: &SignaturePolicyEnvelope, msps: &Msps) -> Result<Self, PolicyError> {
        if envelope.version != 0 {
            return Err(PolicyError::Version(envelope.version));
        }
        let rule = envelope.rule.as_ref().ok_or(PolicyError::EmptyRule)?;
        Ok(Self {
            rule: Rule::compile(rule, envelope.identities.len(), 0)?,
            principals: envelope.identities.iter().map(|principal| Principal::compile(principal, msps)).collect(),
        })
    }

    pub(crate) const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What the leaves point at.
    pub(crate) fn principals(&self) -> &[Principal] {
        &self.principals
    }

    /// True if these distinct signers satisfy the policy.
    #[must_use]
    pub fn is_satisfied_by(&self, signers: &[Identity]) -> bool {
        let mut used = vec![false; signers.len()];
        self.evaluate(&self.rule, signers, &mut used)
    }

    /// Each leaf takes the first unused signer that fits; each threshold tries all its rules and keeps what succeeded.
    fn evaluate(&self, rule: &Rule, signers: &[Identity], used: &mut Vec<bool>) -> bool {
        match rule {
            Rule::SignedBy(index) => {
                let principal = &self.principals[*index];
                let found = signers
                    .iter()
                    .zip(used.iter())
                    .position(|(signer, is_used)| !is_used && principal.is_satisfied_by(signer));
                if let Some(position) = found {
                    used[position] = true;
                }
                found.is_some()
            }
            Rule::NOutOf { n, rules } => {
                let mut satisfied = 0;
                for rule in rules {
                    let mut attempt = used.clone();
                    if self.evaluate(rule, signers, &mut attempt) {
                        satisfied += 1;
                        *used = attempt;
                    }
                }
                satisfied >= *n
            }
        }
    }
}

/// In words: `2 of (an admin of Org1MSP, a member of Org2MSP)`.
impl fmt::Display for SignaturePolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(&self.rule, formatter)
    }
}

impl SignaturePolicy {
    fn describe(&self, rule: &Rule, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match rule {
            Rule::SignedBy(index) => write!(formatter, "{}", self.principals[*index]),
            Rule::NOutOf { n, rules } => {
                write!(formatter, "{n} of (")?;
                for (position, rule) in rules.iter().enumerate() {
                    if position > 0 {
                        formatter.write_str(", ")?;
                    }
                    self.describe(rule, formatter)?;
                }
                formatter.write_str(")")
            }
        }
    }
}

impl Rule {
    fn fewest_signers(&self) -> Option<usize> {
        match self {
            Self::SignedBy(_) => Some(1),
            Self::NOutOf { n, rules } => {
                sum_of_smallest(usize::try_from(*n).unwrap_or(0), rules.iter().filter_map(Self::fewest_signers))
            }
        }
    }

    fn compile(rule: &RuleMessage, principals: usize, depth: usize) -> Result<Self, PolicyError> {
        if depth >= POLICY_DEPTH_MAX {
            return Err(PolicyError::TooDeep);
        }
        match rule.r#type.as_ref().ok_or(PolicyError::EmptyRule)? {
            RuleType::SignedBy(index) => usize::try_from(*index)
                .ok()
                .filter(|position| *position < principals)
                .map(Self::SignedBy)
                .ok_or(PolicyError::PrincipalIndex { index: *index, count: principals }),
            RuleType::NOutOf(NOutOf { n, rules }) => Ok(Self::NOutOf {
                n: *n,
                rules: rules.iter().map(|rule| Self::compile(rule, principals, depth + 1)).collect::<Result<_, _>>()?,
            }),
        }
    }
}

/// A threshold over one policy of every direct child group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImplicitMetaPolicy {
    sub_policy: String,
    threshold: usize,
    children: Vec<SubPolicy>,
}

/// A child group by name with its sub-policy; absent where the group has none, which then counts as not satisfied.
pub(crate) type SubPolicy = (String, Option<Arc<Policy>>);

impl ImplicitMetaPolicy {
    /// Compiles a marshalled `ImplicitMetaPolicy`. `children` resolves the name of the sub-policy in every child group.
    pub(crate) fn compile(
        bytes: &[u8],
        children: impl FnOnce(&str) -> Result<Vec<SubPolicy>, PolicyError>,
    ) -> Result<Self, PolicyError> {
        let message = fabric_proto::common::ImplicitMetaPolicy::decode(bytes).map_err(|_| PolicyError::Malformed)?;
        let children = children(&message.sub_policy)?;
        let threshold = match MetaRule::try_from(message.rule) {
            _ if children.is_empty() => 0,
            Ok(MetaRule::Any) => 1,
            Ok(MetaRule::All) => children.len(),
            Ok(MetaRule::Majority) => children.len() / 2 + 1,
            // Fabric leaves the threshold of a rule it does not know at zero, which only no satisfied child meets.
            Err(_) => 0,
        };
        Ok(Self { sub_policy: message.sub_policy, threshold, children })
    }

    /// The policy that is looked up in every child group.
    #[must_use]
    pub fn sub_policy(&self) -> &str {
        &self.sub_policy
    }

    /// In how many child groups it has to be satisfied.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    pub(crate) fn children(&self) -> &[SubPolicy] {
        &self.children
    }

    fn fewest_signers(&self) -> Option<usize> {
        let policies = self.children.iter().filter_map(|(_, policy)| policy.as_ref());
        sum_of_smallest(self.threshold, policies.filter_map(|policy| policy.fewest_signers()))
    }

    fn is_satisfied_by(&self, signers: &[Identity]) -> bool {
        let policies = self.children.iter().filter_map(|(_, policy)| policy.as_ref());
        let mut satisfied = policies.filter(|policy| policy.is_satisfied_by(signers));
        match self.threshold {
            0 => satisfied.next().is_none(),
            // Enough is enough: with many organizations most of them need not be asked.
            threshold => satisfied.take(threshold).count() == threshold,
        }
    }
}

fn sum_of_smallest(count: usize, numbers: impl Iterator<Item = usize>) -> Option<usize> {
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(..count).map(|smallest| smallest.iter().fold(0, |sum: usize, number| sum.saturating_add(*number)))
}
