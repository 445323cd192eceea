//! What a peer is given in files: its `core.yaml`, and a builder for chaincodes that run as services.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::crypto_folder::PEER_DOMAIN;
use crate::material::PEER_MSP_ID;

/// Writes the programs of an external builder, as `bin` below this folder. There is nothing to build: where the chaincode
/// listens is handed on from the package to the peer.
pub(super) fn write_builder(folder: &Path) -> io::Result<()> {
    let folder = folder.join("bin");
    fs::create_dir_all(&folder)?;
    let programs = [
        ("detect", "grep -q '\"ccaas\"' \"$2/metadata.json\""),
        ("build", "cp \"$1/connection.json\" \"$3/\""),
        ("release", "mkdir -p \"$2/chaincode/server\" && cp \"$1/connection.json\" \"$2/chaincode/server/\""),
    ];
    for (name, commands) in programs {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{commands}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// What a peer must be told. It finds its orderers in the channel, and asks all of them: policy `cluster`. It leaves one
/// that keeps blocks from it which others have, after three seconds; in v2.5, that answers to nothing any more.
pub(super) fn configuration(folder: &Path, keys: &Path, port: u16) -> String {
    let (folder, keys) = (folder.display(), keys.display());
    let [chaincode, operations] = [port + 1, port + 2];
    format!(
        "peer:
  id: peer0.{PEER_DOMAIN}
  networkId: test
  address: 127.0.0.1:{port}
  listenAddress: 127.0.0.1:{port}
  chaincodeAddress: 127.0.0.1:{chaincode}
  chaincodeListenAddress: 127.0.0.1:{chaincode}
  localMspId: {PEER_MSP_ID}
  mspConfigPath: {keys}/msp
  fileSystemPath: {folder}/data
  tls:
    enabled: true
    cert: {{file: {keys}/tls/server.crt}}
    key: {{file: {keys}/tls/server.key}}
    rootcert: {{file: {keys}/tls/ca.crt}}
  authentication: {{timewindow: 15m}}
  BCCSP: {{Default: SW, SW: {{Hash: SHA2, Security: 256}}}}
  deliveryclient: {{policy: cluster, blockGossipEnabled: false, blockCensorshipTimeoutKey: 3s}}
  keepalive: {{deliveryClient: {{interval: 10s, timeout: 10s}}}}
  gossip:
    bootstrap: 127.0.0.1:{port}
    endpoint: 127.0.0.1:{port}
    externalEndpoint: 127.0.0.1:{port}
    useLeaderElection: false
    orgLeader: true
    pvtData:
      pullRetryThreshold: 60s
      transientstoreMaxBlockRetention: 20000
      reconcileBatchSize: 10
      reconcileSleepInterval: 1m
      implicitCollectionDisseminationPolicy: {{requiredPeerCount: 0, maxPeerCount: 1}}
  handlers:
    endorsers: {{escc: {{name: DefaultEndorsement}}}}
    validators: {{vscc: {{name: DefaultValidation}}}}
  discovery: {{enabled: true, authCacheEnabled: true, authCacheMaxSize: 1000, authCachePurgeRetentionRatio: 0.75}}
  gateway: {{enabled: true, endorsementTimeout: 30s, broadcastTimeout: 30s, dialTimeout: 2m}}
  maxRecvMsgSize: 104857600
  maxSendMsgSize: 104857600
chaincode:
  mode: net
  externalBuilders: [{{name: as_a_service, path: {folder}/builder}}]
  startuptimeout: 300s
  executetimeout: 30s
  installTimeout: 300s
  system: {{_lifecycle: enable, cscc: enable, qscc: enable}}
ledger:
  state: {{stateDatabase: goleveldb, totalQueryLimit: 10000}}
  history: {{enableHistoryDatabase: false}}
  pvtdataStore:
    collElgProcMaxDbBatchSize: 5000
    collElgProcDbBatchesInterval: 1000
    deprioritizedDataReconcilerInterval: 60m
    purgeInterval: 100
  snapshots: {{rootDir: {folder}/data/snapshots}}
operations: {{listenAddress: \"127.0.0.1:{operations}\"}}
metrics: {{provider: disabled}}
"
    )
}
