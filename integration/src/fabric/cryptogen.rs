//! The keys of a network, as Fabric's `cryptogen` makes them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::run;
use crate::crypto_folder::{CryptoFolder, ORDERER_DOMAIN};
use crate::material::ORDERERS;

/// Makes the keys of four orderers, and of Org1 with a peer, an administrator and User1, in `crypto` below this folder.
///
/// # Errors
/// What the program says.
pub fn cryptogen(programs: &Path, folder: &Path) -> anyhow::Result<CryptoFolder> {
    let names: String = (1..=ORDERERS).map(|id| host(&format!("o{id}"))).collect();
    let peer = host("peer0");
    let text = format!(
        "OrdererOrgs:
  - Name: OrdererOrg
    Domain: {ORDERER_DOMAIN}
    EnableNodeOUs: true
    Specs:
{names}PeerOrgs:
  - Name: Org1
    Domain: org1.example.com
    EnableNodeOUs: true
    Users: {{Count: 1}}
    Specs:
{peer}"
    );
    let (config, crypto) = (folder.join("crypto-config.yaml"), folder.join("crypto"));
    fs::write(&config, text)?;
    let mut command = Command::new(programs.join("cryptogen"));
    run(command.arg("generate").arg("--config").arg(&config).arg("--output").arg(&crypto))?;
    Ok(CryptoFolder::at(&crypto))
}

fn host(name: &str) -> String {
    format!("      - {{Hostname: {name}, SANS: [localhost, 127.0.0.1]}}\n")
}
