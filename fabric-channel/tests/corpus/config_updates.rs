//! Configuration updates, from the envelope to the next configuration, and CONFIG transactions as peers see them.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use fabric_channel::config_change::ChangeError;
use fabric_channel::config_tree::ConfigTree;
use fabric_channel::update::{self, ProposedConfig};
use fabric_channel::{Bundle, ConfigChange, ConfigContent, ExpiryCheck};
use fabric_proto::Envelope;

use super::cases::{UpdateCase, UpdateCorpus};
use super::classes::{class_of_change, class_of_envelope, class_of_validation};
use super::policies::bundle;
use super::tally::{Outcome, Tally};

pub fn check(corpus: &UpdateCorpus, tally: &mut Tally) {
    let bundles: BTreeMap<&str, Result<Bundle, String>> =
        corpus.configs.iter().map(|case| (case.name.as_str(), bundle(case))).collect();
    for case in &corpus.cases {
        tally.case(&case.id, || {
            let current = bundles.get(case.config.as_str()).ok_or("its configuration is not there")?.as_ref()?;
            let class = match case.kind.as_str() {
                "propose" => check_update(case, current)?,
                "validate" => check_validation(case, current)?,
                kind => return Err(format!("cases of kind {kind} are not known")),
            };
            // Go walks maps, so which of several faults it names is chance.
            let is_known = case.classes.iter().any(|known| *known == class);
            let classes = case.classes.join(", ");
            Ok(if is_known { Outcome::Passed } else { Outcome::OtherClass(format!("{class} instead of {classes}")) })
        });
    }
}

/// The updates that Fabric accepts, under the name that says what they change, each with its configuration.
pub fn accepted<'a>(corpus: &'a UpdateCorpus, name: &str) -> Vec<(Bundle, Envelope)> {
    let is_named = |case: &&'a UpdateCase| case.id.split('/').nth(2) == Some(name);
    let is_accepted = |case: &&'a UpdateCase| case.is_accepted && case.kind == "propose";
    let cases = corpus.cases.iter().filter(is_named).filter(is_accepted);
    cases
        .map(|case| {
            let current = corpus.configs.iter().find(|config| config.name == case.config).unwrap();
            (bundle(current).unwrap(), Envelope::decode(case.envelope.clone().into()).unwrap())
        })
        .collect()
}

/// Returns the class of the verdict, or what went wrong.
fn check_update(case: &UpdateCase, current: &Bundle) -> Result<&'static str, String> {
    let envelope = match Envelope::decode(case.envelope.clone().into()) {
        Ok(envelope) => envelope,
        Err(_) if case.is_authorised => return Err("the envelope does not parse".to_owned()),
        Err(error) => return Ok(class_of_envelope(&error)),
    };
    match update::propose(current, &envelope) {
        Ok(proposed) => check_result(case, current, &proposed)?,
        Err(error) if case.is_authorised => return Err(format!("not authorised: {error}")),
        Err(_) => {}
    }
    let verdict = ConfigChange::evaluate(current, &envelope, ExpiryCheck::At { now_unix_s: NOW_UNIX_S });
    let is_bundle = !matches!(verdict, Err(ChangeError::Update(_) | ChangeError::Bundle(_)));
    if is_bundle != case.is_peer_bundle {
        return Err("another verdict of peers about the configuration".to_owned());
    }
    match verdict {
        Ok(change) if case.is_accepted => {
            // Once in a while is enough: the first half of it has just been compared.
            if case.id.len().is_multiple_of(RECOMPUTED_ONE_OF) {
                let content = Bytes::from(change.proposed().to_content().encode());
                ConfigChange::recompute(current, &content).map_err(|error| format!("recomputed: {error}"))?;
            }
            Ok("ok")
        }
        Err(error) if !case.is_accepted => match error.to_string().as_str() {
            "" => Err("refused without a word".to_owned()),
            _ => Ok(class_of_change(&error)),
        },
        Ok(_) => Err(format!("accepted instead of {}", case.classes.join(", "))),
        Err(error) => Err(error.to_string()),
    }
}

/// The first stage accepted: so did Fabric, and its result is ours, and its peers' verdicts are.
fn check_result(case: &UpdateCase, current: &Bundle, proposed: &ProposedConfig) -> Result<(), String> {
    if !case.is_authorised {
        return Err(format!("authorised instead of {}", case.classes.join(", ")));
    }
    let config = proposed.config();
    if case.result.is_empty() {
        // Only the hash of Go's deterministic encoding is packed, and ours is the same encoding.
        if digest(&SHA256, &config.encode()).as_ref() != case.result_sha256 {
            return Err("the result in other bytes".to_owned());
        }
    } else if ConfigTree::decode(&case.result.clone().into()).as_ref() != Ok(config) {
        return Err("another result".to_owned());
    }
    let content = ConfigContent::decode(&proposed.to_content().encode().into()).map_err(|error| error.to_string())?;
    if update::validate(current, &content).is_ok() != case.is_peer_valid {
        return Err("another verdict of peers about the transaction".to_owned());
    }
    Ok(())
}

fn check_validation(case: &UpdateCase, current: &Bundle) -> Result<&'static str, String> {
    let content = match ConfigContent::decode(&case.content.clone().into()) {
        Ok(content) => content,
        Err(error) if case.is_accepted => return Err(error.to_string()),
        Err(_) => return Ok("protobuf_malformed"),
    };
    match update::validate(current, &content) {
        Ok(()) if case.is_accepted => Ok("ok"),
        Err(error) if !case.is_accepted => Ok(class_of_validation(&error)),
        Ok(()) => Err(format!("accepted instead of {}", case.classes.join(", "))),
        Err(error) => Err(error.to_string()),
    }
}

/// When the cases were judged, nearly: August 2026.
const NOW_UNIX_S: i64 = 1_786_000_000;
const RECOMPUTED_ONE_OF: usize = 5;
