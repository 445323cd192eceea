//! Whether the signatures of an update satisfy the `mod_policy` of every element that it changes.
//!
//! A new element has no policy to satisfy: what protects it is the group that has to list it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::element::{Element, ElementKey, Elements};
use super::error::UpdateError;
use super::reading::Signatures;
use crate::bundle::Bundle;
use crate::identity::Identity;
use crate::limits::UNAUTHORISED_SHOWN_MAX;
use crate::msps::{Msps, SignedData};
use crate::policy::Policy;
use crate::policy_shortfall::Shortfall;

/// Which elements an update may not change, and what its signatures are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unauthorised {
    /// The elements, the first few of them. Never empty.
    pub elements: Vec<UnauthorisedElement>,
    /// How many more there are.
    pub more: usize,
    /// The signatures of the update in order, the first few of them.
    pub signatures: Vec<SignatureReport>,
    /// How many more there are.
    pub more_signatures: usize,
}

/// An element whose policy is not satisfied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnauthorisedElement {
    /// The element.
    pub element: ElementKey,
    /// Its present `mod_policy`, as written.
    pub mod_policy: String,
    /// The policy's absolute path.
    pub policy_path: String,
    /// What is missing.
    pub shortfall: Shortfall,
}

/// One signature of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureReport {
    /// Who claims to have signed: MSP and subject, as far as they can be read.
    pub signer: String,
    /// Why the signature does not count; none if it does.
    pub flaw: Option<String>,
}

/// Checks every changed element against its present policy.
pub(super) fn check(
    current: &Bundle,
    delta: &Elements<'_>,
    present: &Elements<'_>,
    signatures: &Signatures,
) -> Result<(), UpdateError> {
    let policies = find_policies(current, delta, present)?;
    let signed = signatures.signed_data();
    let signers = current.msps().distinct_signers(&signed);
    let mut verdicts = Verdicts { signers: &signers, by_policy: BTreeMap::new() };
    let mut elements = Vec::new();
    let mut count = 0;
    for (key, mod_policy, policy) in policies {
        if verdicts.is_satisfied(policy) {
            continue;
        }
        count += 1;
        if elements.len() < UNAUTHORISED_SHOWN_MAX {
            elements.push(UnauthorisedElement {
                element: key.clone(),
                mod_policy: mod_policy.to_owned(),
                policy_path: absolute_path(key, mod_policy),
                shortfall: policy.shortfall(&signers),
            });
        }
    }
    if elements.is_empty() {
        return Ok(());
    }
    let more = count - elements.len();
    let signatures: Vec<SignatureReport> =
        signed.iter().take(UNAUTHORISED_SHOWN_MAX).map(|entry| report(current.msps(), entry)).collect();
    let more_signatures = signed.len() - signatures.len();
    Err(UpdateError::NotAuthorised(Box::new(Unauthorised { elements, more, signatures, more_signatures })))
}

/// A changed element with its present `mod_policy`, as written and as found.
type Governed<'a> = (&'a ElementKey, &'a str, &'a Arc<Policy>);

fn find_policies<'a>(
    current: &'a Bundle,
    delta: &'a Elements<'_>,
    present: &'a Elements<'_>,
) -> Result<Vec<Governed<'a>>, UpdateError> {
    let existing = delta.keys().filter_map(|key| present.get(key).map(|element| (key, element)));
    existing.map(|(key, element)| find_policy(current, key, element)).collect()
}

/// An absolute path is looked up from the root, a relative one from the element's group.
fn find_policy<'a>(
    current: &'a Bundle,
    key: &'a ElementKey,
    element: &'a Element<'_>,
) -> Result<Governed<'a>, UpdateError> {
    let mod_policy = element.mod_policy();
    let tree = current.policies();
    let found = if mod_policy.starts_with('/') {
        tree.policy(mod_policy)
    } else {
        tree.group(key.policy_group()).and_then(|group| group.policy(mod_policy))
    };
    let missing = || UpdateError::ModPolicyMissing { element: key.clone(), mod_policy: mod_policy.to_owned() };
    found.map(|policy| (key, mod_policy, policy)).ok_or_else(missing)
}

fn absolute_path(key: &ElementKey, mod_policy: &str) -> String {
    if mod_policy.starts_with('/') { mod_policy.to_owned() } else { format!("{}/{mod_policy}", key.policy_group()) }
}

/// Each policy is evaluated once, however many elements it governs.
struct Verdicts<'a> {
    signers: &'a [Identity],
    by_policy: BTreeMap<*const Policy, bool>,
}

impl Verdicts<'_> {
    fn is_satisfied(&mut self, policy: &Arc<Policy>) -> bool {
        let signers = self.signers;
        *self.by_policy.entry(Arc::as_ptr(policy)).or_insert_with(|| policy.is_satisfied_by(signers))
    }
}

fn report(msps: &Msps, entry: &SignedData<'_>) -> SignatureReport {
    let identity = match msps.deserialise(entry.identity) {
        Ok(identity) => identity,
        Err(error) => return SignatureReport { signer: "unknown signer".to_owned(), flaw: Some(error.to_string()) },
    };
    let signer = identity.to_string();
    let flaw = match (identity.verify(entry.data, entry.signature), identity.validity()) {
        (Err(error), _) => Some(error.to_string()),
        (Ok(()), Err(error)) => Some(error.to_string()),
        (Ok(()), Ok(())) => None,
    };
    SignatureReport { signer, flaw }
}

impl fmt::Display for Unauthorised {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, element) in self.elements.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{element}")?;
        }
        if self.more > 0 {
            write!(formatter, "; and {} more elements", self.more)?;
        }
        if self.signatures.is_empty() {
            return formatter.write_str(". The update is not signed by anybody");
        }
        for (position, signature) in self.signatures.iter().enumerate() {
            let separator = if position == 0 { ". Signed by " } else { ", " };
            write!(formatter, "{separator}{signature}")?;
        }
        match self.more_signatures {
            0 => Ok(()),
            more => write!(formatter, ", and {more} more"),
        }
    }
}

impl std::error::Error for Unauthorised {}

impl fmt::Display for UnauthorisedElement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "policy for {} not satisfied: {} {}", self.element, self.policy_path, self.shortfall)
    }
}

impl fmt::Display for SignatureReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.flaw {
            None => formatter.write_str(&self.signer),
            Some(flaw) => write!(formatter, "{} (does not count: {flaw})", self.signer),
        }
    }
}
