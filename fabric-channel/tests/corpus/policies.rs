//! Policies: those of a configuration by path, and those that come alone, against signers in their order.

use std::collections::BTreeMap;

use fabric_channel::config_tree::ConfigTree;
use fabric_channel::{Bundle, Identity, Policy, PolicyError, SignaturePolicy, SignedData};

use super::cases::{ConfigCase, PolicyCase, PolicyCorpus};
use super::tally::{Outcome, Tally};

pub fn check(corpus: &PolicyCorpus, tally: &mut Tally) {
    let bundles: BTreeMap<&str, Result<Bundle, String>> =
        corpus.configs.iter().map(|case| (case.name.as_str(), bundle(case))).collect();
    for case in &corpus.cases {
        tally.case(&case.id, || {
            let bundle = bundles.get(case.config.as_str()).ok_or("its configuration is not there")?;
            check_policy(case, bundle.as_ref()?)
        });
    }
}

/// The configuration of a case, taken apart.
pub fn bundle(case: &ConfigCase) -> Result<Bundle, String> {
    let failed = |error: &dyn std::fmt::Display| format!("configuration {}: {error}", case.name);
    let tree = ConfigTree::decode(&case.config.clone().into()).map_err(|error| failed(&error))?;
    Bundle::from_tree(&case.channel_id, tree).map_err(|error| failed(&error))
}

fn check_policy(case: &PolicyCase, bundle: &Bundle) -> Result<Outcome, String> {
    let signed: Vec<SignedData<'_>> = case
        .signed
        .iter()
        .map(|signed| SignedData { data: &signed.data, identity: &signed.identity, signature: &signed.signature })
        .collect();
    let signers = bundle.msps().distinct_signers(&signed);
    let (verdict, class) = match case.kind.as_str() {
        "path" => {
            let policy = bundle.policies().policy(&case.path);
            if policy.is_some() != case.is_found {
                return Err(format!("found: {}", policy.is_some()));
            }
            policy.map_or(("not_satisfied", "no_such_policy"), |policy| evaluate(policy, &signers))
        }
        "envelope" => match SignaturePolicy::from_bytes(&case.policy, bundle.msps()) {
            Ok(policy) => evaluate(&Policy::Signature(policy), &signers),
            Err(error) => ("invalid_policy", class_of(&error)),
        },
        kind => return Err(format!("cases of kind {kind} are not known")),
    };
    if verdict != case.verdict {
        return Err(format!("{verdict} instead of {}", case.verdict));
    }
    // Go panics where a path is that of a group; here nothing is found.
    if class != case.class && case.class != "go_panic" {
        return Err(format!("{class} instead of {}", case.class));
    }
    Ok(Outcome::Passed)
}

fn evaluate(policy: &Policy, signers: &[Identity]) -> (&'static str, &'static str) {
    match (policy.is_satisfied_by(signers), policy) {
        (true, _) => ("satisfied", "satisfied"),
        (false, Policy::Signature(_)) => ("not_satisfied", "signature_policy_not_satisfied"),
        (false, Policy::ImplicitMeta(_)) => ("not_satisfied", "implicit_meta_not_satisfied"),
    }
}

fn class_of(error: &PolicyError) -> &'static str {
    match error {
        PolicyError::Malformed => "policy_malformed",
        PolicyError::Version(_) => "policy_version",
        PolicyError::EmptyRule => "rule_empty",
        PolicyError::PrincipalIndex { .. } => "principal_index_out_of_range",
        _ => "policy_does_not_compile",
    }
}
