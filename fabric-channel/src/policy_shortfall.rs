//! What a policy lacks, for administrators: who has signed and who has to.

use std::fmt::{self, Write as _};

use crate::identity::Identity;
use crate::limits::POLICY_TEXT_BYTES_MAX;
use crate::policy::{ImplicitMetaPolicy, Policy, SignaturePolicy};

/// Why signers do not satisfy a policy. Prints as the predicate of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortfall {
    /// A rule over principals, in words.
    Rule(String),
    /// A threshold over child groups.
    SubPolicies {
        /// The policy asked of each group.
        sub_policy: String,
        /// In how many groups it has to be satisfied.
        needed: usize,
        /// The groups in which it is.
        satisfied: Vec<String>,
        /// The groups in which it is not, and what is missing there.
        missing: Vec<SubShortfall>,
    },
}

/// What is missing in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubShortfall {
    /// Name of the group.
    pub group: String,
    /// Absent if the group has no such policy at all.
    pub why: Option<Shortfall>,
}

impl Policy {
    /// What these signers lack to satisfy the policy, which they do not.
    #[must_use]
    pub fn shortfall(&self, signers: &[Identity]) -> Shortfall {
        match self {
            Self::Signature(policy) => Shortfall::Rule(text_of(policy)),
            Self::ImplicitMeta(policy) => shortfall_of_children(policy, signers),
        }
    }
}

fn shortfall_of_children(policy: &ImplicitMetaPolicy, signers: &[Identity]) -> Shortfall {
    let mut satisfied = Vec::new();
    let mut missing = Vec::new();
    for (group, child) in policy.children() {
        match child {
            Some(child) if child.is_satisfied_by(signers) => satisfied.push(group.clone()),
            _ => {
                let why = child.as_ref().map(|child| child.shortfall(signers));
                missing.push(SubShortfall { group: group.clone(), why });
            }
        }
    }
    Shortfall::SubPolicies {
        sub_policy: policy.sub_policy().to_owned(),
        needed: policy.threshold(),
        satisfied,
        missing,
    }
}

/// The rule in words, cut off where it gets too long to read.
fn text_of(policy: &SignaturePolicy) -> String {
    let mut text = Bounded(String::new());
    if write!(text, "{policy}").is_err() {
        text.0.push('…');
    }
    text.0
}

/// Refuses to grow beyond a readable length.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > POLICY_TEXT_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(formatter, "needs {rule}"),
            Self::SubPolicies { sub_policy, needed, satisfied, missing } => {
                let groups = satisfied.len() + missing.len();
                write!(formatter, "needs {sub_policy} in {needed} of {groups} groups, has it in {}", satisfied.len())?;
                if !satisfied.is_empty() {
                    write!(formatter, " ({})", satisfied.join(", "))?;
                }
                for (position, part) in missing.iter().take(GROUPS_SHOWN_MAX).enumerate() {
                    let lead = if position == 0 { "; missing in " } else { ", in " };
                    write!(formatter, "{lead}{part}")?;
                }
                match missing.len().saturating_sub(GROUPS_SHOWN_MAX) {
                    0 => Ok(()),
                    more => write!(formatter, ", and in {more} more"),
                }
            }
        }
    }
}

impl fmt::Display for SubShortfall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Some(why) => write!(formatter, "{}, which {why}", self.group),
            None => write!(formatter, "{}, which has no such policy", self.group),
        }
    }
}

const GROUPS_SHOWN_MAX: usize = 16;
