//! The first block of a channel of type etcdraft, as administrators of v2.5 make it: from a `configtx.yaml`, by `configtxgen`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use bytes::Bytes;

use super::{FabricNetwork, run};
use crate::material::{Cutting, ORDERER_MSP_ID, PEER_MSP_ID};

/// Who has to sign each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockSigners {
    /// Any writer of the orderers' organisation, as Fabric's own samples say.
    One,
    /// All but one of the four orderers.
    ThreeOfFour,
}

/// Makes the block.
///
/// # Errors
/// What the program says.
pub fn raft_genesis(
    programs: &Path,
    network: &FabricNetwork,
    channel: &str,
    signers: BlockSigners,
    cutting: &Cutting,
) -> anyhow::Result<Bytes> {
    let folder = network.folder.join("configtx");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("configtx.yaml"), configuration(network, signers, cutting)?)?;
    let block = folder.join("genesis.block");
    let mut command = Command::new(programs.join("configtxgen"));
    command.args(["-profile", "Raft", "-channelID", channel, "-configPath"]).arg(&folder);
    run(command.arg("-outputBlock").arg(&block))?;
    Ok(fs::read(&block)?.into())
}

fn configuration(network: &FabricNetwork, signers: BlockSigners, cutting: &Cutting) -> anyhow::Result<String> {
    let Cutting { message_count_max, block_bytes_preferred, timeout } = cutting;
    let timeout_ms = timeout.as_millis();
    let crypto = &network.crypto;
    let (orderers_msp, peers_msp) = (crypto.orderers_msp(), crypto.peers_msp());
    let (orderers_msp, peers_msp) = (orderers_msp.display(), peers_msp.display());
    let mut consenters = String::new();
    for (id, address) in (1..).zip(&network.orderers) {
        let (host, port) = address.split_once(':').context("host:port")?;
        let tls = crypto.orderer(id).join("tls/server.crt");
        let tls = tls.display();
        consenters.push_str(&format!(
            "          - {{Host: {host}, Port: {port}, ClientTLSCert: {tls}, ServerTLSCert: {tls}}}\n"
        ));
    }
    let endpoints = network.orderers.join(", ");
    let any = |roles: &str, msp_id: &str| {
        let roles: Vec<String> = roles.split(' ').map(|role| format!("'{msp_id}.{role}'")).collect();
        format!("{{Type: Signature, Rule: \"OR({})\"}}", roles.join(", "))
    };
    let orderer = any("admin orderer client", ORDERER_MSP_ID);
    let orderer_admin = any("admin", ORDERER_MSP_ID);
    let (reader, writer) = (any("admin peer client", PEER_MSP_ID), any("admin client", PEER_MSP_ID));
    let (admin, endorser) = (any("admin", PEER_MSP_ID), any("peer", PEER_MSP_ID));
    // A signature counts for one of them only.
    let one = format!("'{ORDERER_MSP_ID}.orderer'");
    let signers = match signers {
        BlockSigners::One => "{Type: ImplicitMeta, Rule: ANY Writers}".to_owned(),
        BlockSigners::ThreeOfFour => format!("{{Type: Signature, Rule: \"OutOf(3, {one}, {one}, {one}, {one})\"}}"),
    };
    Ok(format!(
        "Organizations:
  - &Orderers
    Name: OrdererOrg
    ID: {ORDERER_MSP_ID}
    MSPDir: {orderers_msp}
    Policies: {{Readers: {orderer}, Writers: {orderer}, Admins: {orderer_admin}}}
    OrdererEndpoints: [{endpoints}]
  - &Org1
    Name: Org1
    ID: {PEER_MSP_ID}
    MSPDir: {peers_msp}
    Policies: {{Readers: {reader}, Writers: {writer}, Admins: {admin}, Endorsement: {endorser}}}
Profiles:
  Raft:
    Capabilities: {{V2_0: true}}
    Policies: &Policies
      Readers: {{Type: ImplicitMeta, Rule: ANY Readers}}
      Writers: {{Type: ImplicitMeta, Rule: ANY Writers}}
      Admins: {{Type: ImplicitMeta, Rule: MAJORITY Admins}}
    Orderer:
      OrdererType: etcdraft
      BatchTimeout: {timeout_ms}ms
      BatchSize: {{MaxMessageCount: {message_count_max}, AbsoluteMaxBytes: 10 MB, PreferredMaxBytes: {block_bytes_preferred}}}
      Capabilities: {{V2_0: true}}
      Organizations: [*Orderers]
      Policies: {{<<: *Policies, BlockValidation: {signers}}}
      EtcdRaft:
        Options: {{TickInterval: 500ms, ElectionTick: 10, HeartbeatTick: 1, MaxInflightBlocks: 5, SnapshotIntervalSize: 16 MB}}
        Consenters:
{consenters}    Application:
      Capabilities: {{V2_5: true}}
      Organizations: [*Org1]
      Policies:
        <<: *Policies
        LifecycleEndorsement: {{Type: ImplicitMeta, Rule: MAJORITY Endorsement}}
        Endorsement: {{Type: ImplicitMeta, Rule: MAJORITY Endorsement}}
"
    ))
}
