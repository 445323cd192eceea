//! The consenters of a configuration as `configtxlator` prints it, changed as administrators do it: in the JSON.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fabric_channel::bft_quorum;
use integration::material::ORDERER_MSP_ID;
use serde_json::{Value, json};

use crate::orderers::Orderers;
use crate::release::Release;

/// Adds a node with its own keys.
pub fn add(groups: &mut Value, release: Release, orderers: &Orderers, id: u16) {
    let entry = entry(release, orderers, id, id);
    change(groups, release, |entries| entries.push(entry));
}

/// Removes a node.
pub fn remove(groups: &mut Value, release: Release, orderers: &Orderers, id: u16) {
    change(groups, release, |entries| entries.retain(|entry| !is_at(entry, &orderers.address(id))));
}

/// Gives a node the certificates that are in the folder of another one, or the new ones in its own.
pub fn replace(groups: &mut Value, release: Release, orderers: &Orderers, id: u16, whose: u16) {
    let replacement = entry(release, orderers, id, whose);
    change(groups, release, |entries| {
        let entry = entries.iter_mut().find(|entry| is_at(entry, &orderers.address(id)));
        *entry.unwrap() = replacement;
    });
}

/// Where clients find the orderers.
pub fn endpoints(groups: &mut Value) -> &mut Vec<Value> {
    let endpoints = &mut groups["Orderer"]["groups"]["OrdererOrg"]["values"]["Endpoints"]["value"]["addresses"];
    endpoints.as_array_mut().unwrap()
}

/// On type BFT the policy that blocks have to satisfy follows from the consenters, and Fabric demands that both change
/// together. On type etcdraft it says nothing of single consenters.
fn change(groups: &mut Value, release: Release, change: impl FnOnce(&mut Vec<Value>)) {
    let values = &mut groups["Orderer"]["values"];
    let entries = match release {
        Release::V3 => &mut values["Orderers"]["value"]["consenter_mapping"],
        Release::V2_5 => &mut values["ConsensusType"]["value"]["metadata"]["consenters"],
    };
    let entries = entries.as_array_mut().unwrap();
    change(entries);
    if release == Release::V3 {
        let identity = |entry: &Value| {
            let principal = json!({ "mspid": entry["msp_id"], "id_bytes": entry["identity"] });
            json!({ "principal_classification": "IDENTITY", "principal": principal })
        };
        let identities: Vec<Value> = entries.iter().map(identity).collect();
        let rules: Vec<Value> = (0..entries.len()).map(|at| json!({ "signed_by": at })).collect();
        let rule = json!({ "n_out_of": { "n": bft_quorum(entries.len()), "rules": rules } });
        groups["Orderer"]["policies"]["BlockValidation"]["policy"]["value"] =
            json!({ "version": 0, "rule": rule, "identities": identities });
    }
}

fn entry(release: Release, orderers: &Orderers, id: u16, whose: u16) -> Value {
    let keys = orderers.keys.orderer(whose.into());
    let file = |path: &Path| BASE64_STANDARD.encode(std::fs::read(path).unwrap());
    let (address, tls) = (orderers.address(id), file(&keys.join("tls/server.crt")));
    let (host, port) = address.split_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let mut entry = json!({ "host": host, "port": port, "client_tls_cert": tls, "server_tls_cert": tls });
    if release == Release::V3 {
        let identity = keys.join(format!("msp/signcerts/o{whose}.orderer.example.com-cert.pem"));
        entry["id"] = id.into();
        entry["msp_id"] = ORDERER_MSP_ID.into();
        entry["identity"] = file(&identity).into();
    }
    entry
}

fn is_at(entry: &Value, address: &str) -> bool {
    format!("{}:{}", entry["host"].as_str().unwrap(), entry["port"]) == address
}
