//! Reading corpora as they are published: JSON Lines, with configurations and MSPs in a folder `shared` beside them.
//!
//! A line that does not read as a case is a failed case with a text, never the end of the test: other halves of the same
//! corpora may hold what these readers have not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use serde_json::Value;

use super::cases::{
    BlockCase, BlockCorpus, ConfigCase, IdentityCase, IdentityCorpus, MspCase, PolicyCase, PolicyCorpus, PrincipalCase,
    SignedCase, UpdateCase, UpdateCorpus,
};
use super::folder;

/// What could be read, and the lines that could not.
pub struct Read<C> {
    pub corpus: C,
    pub unreadable: Vec<String>,
}

pub fn read_blocks(folder: &Path) -> Read<BlockCorpus> {
    let mut unreadable = Vec::new();
    let cases = read(folder::lines(folder, "blocks"), &mut unreadable, block_case);
    let configs = configs(folder, cases.iter().map(|case| case.config.as_str()), &mut unreadable);
    Read { corpus: BlockCorpus { configs, cases }, unreadable }
}

pub fn read_policies(folder: &Path) -> Read<PolicyCorpus> {
    let mut unreadable = Vec::new();
    let cases = read(folder::lines(folder, "policies"), &mut unreadable, policy_case);
    let configs = configs(folder, cases.iter().map(|case| case.config.as_str()), &mut unreadable);
    Read { corpus: PolicyCorpus { configs, cases }, unreadable }
}

pub fn read_identities(folder: &Path) -> Read<IdentityCorpus> {
    let mut unreadable = Vec::new();
    let cases = read(folder::lines(folder, "identities"), &mut unreadable, identity_case);
    let used: BTreeSet<&str> = cases.iter().map(|case| case.msp.as_str()).collect();
    let mut msps = read(folder::shared_lines(folder, "msps"), &mut unreadable, |line| {
        Ok(MspCase {
            name: needed(line, "name")?,
            version: needed(line, "msp_version")?,
            config: base64(&line["msp_config"])?,
        })
    });
    msps.retain(|msp| used.contains(msp.name.as_str()));
    Read { corpus: IdentityCorpus { msps, cases }, unreadable }
}

pub fn read_updates(folder: &Path) -> Read<UpdateCorpus> {
    let mut unreadable = Vec::new();
    let parsed = read(folder::lines(folder, "config-updates"), &mut unreadable, |line| Ok(line.clone()));
    let configs = configs(folder, parsed.iter().filter_map(|line| line["config"].as_str()), &mut unreadable);
    let by_name: BTreeMap<&str, &[u8]> =
        configs.iter().map(|config| (config.name.as_str(), &config.config[..])).collect();
    let mut cases = Vec::new();
    for line in &parsed {
        // Without its configuration nothing can be put together; that it is not there is found out later.
        let base = line["config"].as_str().and_then(|name| by_name.get(name)).copied().unwrap_or_default();
        match update_case(line, base) {
            Ok(case) => cases.push(case),
            Err(why) => unreadable.push(format!("{}: {why}", line["id"])),
        }
    }
    Read { corpus: UpdateCorpus { configs, cases }, unreadable }
}

fn configs<'a>(folder: &Path, used: impl Iterator<Item = &'a str>, unreadable: &mut Vec<String>) -> Vec<ConfigCase> {
    let used: BTreeSet<&str> = used.collect();
    let mut configs = read(folder::shared_lines(folder, "configs"), unreadable, |line| {
        Ok(ConfigCase {
            name: needed(line, "name")?,
            channel_id: needed(line, "channel_id")?,
            config: base64(&line["config"])?,
        })
    });
    configs.retain(|config| used.contains(config.name.as_str()));
    configs
}

/// Reads every line; what is wrong with the others is noted.
fn read<T>(
    lines: Vec<(String, String)>,
    unreadable: &mut Vec<String>,
    case: impl Fn(&Value) -> Result<T, String>,
) -> Vec<T> {
    let mut cases = Vec::new();
    for (place, line) in lines {
        let parsed: Result<Value, String> = serde_json::from_str(&line).map_err(|error| error.to_string());
        match parsed.and_then(|value| case(&value)) {
            Ok(case) => cases.push(case),
            Err(why) => unreadable.push(format!("{place}: {why}")),
        }
    }
    cases
}

fn block_case(line: &Value) -> Result<BlockCase, String> {
    Ok(BlockCase {
        id: needed(line, "id")?,
        config: needed(line, "config")?,
        last_number: line["last_number"].as_u64().ok_or("last_number is no number")?,
        last_header_hash: hex(&line["last_header_hash"])?,
        block: base64(&line["block"])?,
        class: needed(line, "class")?,
        is_attestation_accepted: verdict(line, "attestation_verdict", "accept", "reject")?,
        are_signatures_accepted: verdict(line, "signatures_verdict", "accept", "reject")?,
        attestation_class: text(&line["attestation_class"]),
        header_hash: hex(&line["header_hash"])?,
        data_hash: hex(&line["computed_data_hash"])?,
        signatures: line["signatures"].as_u64().unwrap_or_default(),
    })
}

fn policy_case(line: &Value) -> Result<PolicyCase, String> {
    Ok(PolicyCase {
        id: needed(line, "id")?,
        config: needed(line, "config")?,
        path: text(&line["path"]),
        policy: base64(&line["policy"])?,
        signed: elements(&line["signed"]).map(signed_case).collect::<Result<_, _>>()?,
        verdict: needed(line, "verdict")?,
        kind: needed(line, "kind")?,
        class: needed(line, "class")?,
        is_found: line["found"] == true,
    })
}

fn signed_case(signed: &Value) -> Result<SignedCase, String> {
    Ok(SignedCase {
        data: base64(&signed["data"])?,
        identity: base64(&signed["identity"])?,
        signature: base64(&signed["signature"])?,
    })
}

fn identity_case(line: &Value) -> Result<IdentityCase, String> {
    let signature = &line["signature"];
    Ok(IdentityCase {
        id: needed(line, "id")?,
        msp: needed(line, "msp")?,
        identity: base64(&line["identity"])?,
        kind: needed(line, "kind")?,
        is_valid: verdict(line, "verdict", "valid", "invalid")?,
        stage: text(&line["stage"]),
        identifier: hex(&line["identifier"])?,
        reserialised_sha256: hex(&line["reserialized_sha256"])?,
        units: elements(&line["ous"]).map(text).collect(),
        principals: elements(&line["principals"]).map(principal_case).collect::<Result<_, _>>()?,
        data: base64(&signature["data"])?,
        signature: base64(&signature["sig"])?,
        is_signature_valid: signature["valid"] == true,
        high_s_signature: base64(&signature["sig_high_s"])?,
        is_high_s_valid: signature["high_s_valid"] == true,
        class: needed(line, "class")?,
        expires_at_unix_s: line["expires_at"].as_i64(),
    })
}

fn update_case(line: &Value, base: &[u8]) -> Result<UpdateCase, String> {
    let envelope = base64(&line["envelope"])?;
    let several: Vec<String> = elements(&line["classes"]).map(text).collect();
    Ok(UpdateCase {
        id: needed(line, "id")?,
        config: needed(line, "config")?,
        kind: needed(line, "kind")?,
        content: spliced(&line["config_envelope"], base, &envelope)?,
        result: spliced(&line["result"], base, &envelope)?,
        envelope,
        is_accepted: verdict(line, "verdict", "accept", "reject")?,
        classes: if several.is_empty() { vec![needed(line, "class")?] } else { several },
        is_authorised: line["propose"] == "accept",
        is_peer_valid: line["peer_validate"] == "accept",
        is_peer_bundle: line["peer_bundle"] == "accept",
        result_sha256: hex(&line["result_sha256"])?,
    })
}

/// Bytes written as pieces of the base configuration, of the envelope, and of their own.
fn spliced(pieces: &Value, base: &[u8], envelope: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for piece in elements(pieces) {
        match (piece.get("b"), piece.get("e")) {
            (Some(range), _) => bytes.extend_from_slice(slice(base, range)?),
            (_, Some(range)) => bytes.extend_from_slice(slice(envelope, range)?),
            _ => bytes.extend(base64(&piece["l"])?),
        }
    }
    Ok(bytes)
}

fn slice<'a>(source: &'a [u8], range: &Value) -> Result<&'a [u8], String> {
    let number = |index: usize| range[index].as_u64().and_then(|number| usize::try_from(number).ok());
    let found = number(0).zip(number(1)).and_then(|(offset, length)| source.get(offset..offset.checked_add(length)?));
    found.ok_or_else(|| format!("{range} is no part of {} bytes", source.len()))
}

fn principal_case(principal: &Value) -> Result<PrincipalCase, String> {
    let is_own = principal["principal"] == "self";
    Ok(PrincipalCase {
        own: if is_own { "self".to_owned() } else { String::new() },
        principal: if is_own { Vec::new() } else { base64(&principal["principal"])? },
        is_satisfied: principal["satisfied"] == true,
    })
}

fn verdict(line: &Value, field: &str, yes: &str, no: &str) -> Result<bool, String> {
    match line[field].as_str() {
        Some(text) if text == yes => Ok(true),
        Some(text) if text == no => Ok(false),
        _ => Err(format!("{field} is {}, neither {yes} nor {no}", line[field])),
    }
}

/// A text that every case has.
fn needed(line: &Value, field: &str) -> Result<String, String> {
    line[field].as_str().map(str::to_owned).ok_or_else(|| format!("{} has no {field}", line["id"]))
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn base64(value: &Value) -> Result<Vec<u8>, String> {
    base64::engine::general_purpose::STANDARD
        .decode(value.as_str().unwrap_or_default())
        .map_err(|error| format!("base64: {error}"))
}

fn hex(value: &Value) -> Result<Vec<u8>, String> {
    hex::decode(value.as_str().unwrap_or_default()).map_err(|error| format!("hex: {error}"))
}
