//! Reading corpora as they are published: JSON Lines in the folder that `FABRIC_CORPUS` names.
//!
//! Configurations and MSPs stand in `../shared` beside that folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;

use super::cases::{
    BlockCase, BlockCorpus, ConfigCase, IdentityCase, IdentityCorpus, MspCase, PolicyCase, PolicyCorpus, PrincipalCase,
    SignedCase, UpdateCase, UpdateCorpus,
};

/// The folder that holds the published corpora, if there is one.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("FABRIC_CORPUS").map(PathBuf::from)
}

pub fn read_blocks(folder: &Path) -> BlockCorpus {
    let cases: Vec<BlockCase> = lines(&folder.join("blocks.jsonl")).iter().map(block_case).collect();
    let configs = configs(folder, cases.iter().map(|case| case.config.as_str()));
    BlockCorpus { configs, cases }
}

pub fn read_policies(folder: &Path) -> PolicyCorpus {
    let cases: Vec<PolicyCase> = lines(&folder.join("policies.jsonl")).iter().map(policy_case).collect();
    let configs = configs(folder, cases.iter().map(|case| case.config.as_str()));
    PolicyCorpus { configs, cases }
}

pub fn read_identities(folder: &Path) -> IdentityCorpus {
    let cases: Vec<IdentityCase> = lines(&folder.join("identities.jsonl")).iter().map(identity_case).collect();
    let used: BTreeSet<&str> = cases.iter().map(|case| case.msp.as_str()).collect();
    let msps = lines(&folder.join("../shared/msps.jsonl"))
        .iter()
        .map(|line| MspCase {
            name: text(&line["name"]),
            version: text(&line["msp_version"]),
            config: base64(&line["msp_config"]),
        })
        .filter(|msp| used.contains(msp.name.as_str()))
        .collect();
    IdentityCorpus { msps, cases }
}

pub fn read_updates(folder: &Path) -> UpdateCorpus {
    let lines: Vec<Value> = (1..=3).flat_map(|n| lines(&folder.join(format!("config-updates-{n}.jsonl")))).collect();
    let configs = configs(folder, lines.iter().filter_map(|line| line["config"].as_str()));
    let by_name: BTreeMap<&str, &[u8]> =
        configs.iter().map(|config| (config.name.as_str(), &config.config[..])).collect();
    let cases = lines.iter().map(|line| update_case(line, by_name[line["config"].as_str().unwrap()])).collect();
    UpdateCorpus { configs, cases }
}

fn configs<'a>(folder: &Path, used: impl Iterator<Item = &'a str>) -> Vec<ConfigCase> {
    let used: BTreeSet<&str> = used.collect();
    lines(&folder.join("../shared/configs.jsonl"))
        .iter()
        .map(|line| ConfigCase {
            name: text(&line["name"]),
            channel_id: text(&line["channel_id"]),
            config: base64(&line["config"]),
        })
        .filter(|config| used.contains(config.name.as_str()))
        .collect()
}

fn block_case(line: &Value) -> BlockCase {
    BlockCase {
        id: text(&line["id"]),
        config: text(&line["config"]),
        last_number: line["last_number"].as_u64().unwrap(),
        last_header_hash: hex(&line["last_header_hash"]),
        block: base64(&line["block"]),
        class: text(&line["class"]),
        is_attestation_accepted: line["attestation_verdict"] == "accept",
        are_signatures_accepted: line["signatures_verdict"] == "accept",
    }
}

fn policy_case(line: &Value) -> PolicyCase {
    PolicyCase {
        id: text(&line["id"]),
        config: text(&line["config"]),
        path: text(&line["path"]),
        policy: base64(&line["policy"]),
        signed: elements(&line["signed"])
            .map(|signed| SignedCase {
                data: base64(&signed["data"]),
                identity: base64(&signed["identity"]),
                signature: base64(&signed["signature"]),
            })
            .collect(),
        verdict: text(&line["verdict"]),
    }
}

fn identity_case(line: &Value) -> IdentityCase {
    let signature = &line["signature"];
    IdentityCase {
        id: text(&line["id"]),
        msp: text(&line["msp"]),
        identity: base64(&line["identity"]),
        kind: text(&line["kind"]),
        is_valid: line["verdict"] == "valid",
        stage: text(&line["stage"]),
        identifier: hex(&line["identifier"]),
        reserialised_sha256: hex(&line["reserialized_sha256"]),
        units: elements(&line["ous"]).map(text).collect(),
        principals: elements(&line["principals"]).map(principal_case).collect(),
        data: base64(&signature["data"]),
        signature: base64(&signature["sig"]),
        is_signature_valid: signature["valid"] == true,
        high_s_signature: base64(&signature["sig_high_s"]),
        is_high_s_valid: signature["high_s_valid"] == true,
    }
}

fn update_case(line: &Value, base: &[u8]) -> UpdateCase {
    let is_validation = line["kind"] == "validate";
    let envelope = base64(&line["envelope"]);
    let several: Vec<String> = elements(&line["classes"]).map(text).collect();
    UpdateCase {
        id: text(&line["id"]),
        config: text(&line["config"]),
        content: spliced(&line["config_envelope"], base, &envelope),
        result: spliced(&line["result"], base, &envelope),
        envelope: if is_validation { Vec::new() } else { envelope },
        is_accepted: line["verdict"] == "accept",
        classes: if several.is_empty() { vec![text(&line["class"])] } else { several },
        is_authorised: line["propose"] == "accept",
        is_peer_valid: line["peer_validate"] == "accept",
        is_peer_bundle: line["peer_bundle"] == "accept",
        result_sha256: hex(&line["result_sha256"]),
    }
}

/// Bytes written as pieces of the base configuration, of the envelope, and of their own.
fn spliced(pieces: &Value, base: &[u8], envelope: &[u8]) -> Vec<u8> {
    let slice = |source: &[u8], range: &Value| {
        let [offset, length] = [0, 1].map(|index| range[index].as_u64().unwrap() as usize);
        source[offset..offset + length].to_vec()
    };
    elements(pieces)
        .flat_map(|piece| match (piece.get("b"), piece.get("e")) {
            (Some(range), _) => slice(base, range),
            (_, Some(range)) => slice(envelope, range),
            _ => base64(&piece["l"]),
        })
        .collect()
}

fn principal_case(principal: &Value) -> PrincipalCase {
    let is_own = principal["principal"] == "self";
    PrincipalCase {
        own: if is_own { "self".to_owned() } else { String::new() },
        principal: if is_own { Vec::new() } else { base64(&principal["principal"]) },
        is_satisfied: principal["satisfied"] == true,
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn base64(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap_or_default()).unwrap()
}
