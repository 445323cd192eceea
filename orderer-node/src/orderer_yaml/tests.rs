//! Whole files with whole environments.
#![allow(clippy::unwrap_used)]

mod deployers;
mod refusals;

use std::path::Path;
use std::time::Duration;

use blockcutter::Verification;
use mod_smart::Limits;

use super::*;
use crate::config::{
    Authentication, CertificateFiles, GrpcLimits, MetricsProvider, Participation, Sockets, StatsdNetwork, Throttling,
};
use crate::journal::Durability;

/// The least that a node needs.
const MINIMAL: &str = "General:\n  TLS:\n    Enabled: true\n    Certificate: tls/server.crt\n    PrivateKey: tls/server.key\n\
                       Admin:\n  ListenAddress: 127.0.0.1:9443\n";

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().copied().collect()
}

fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, OrdererYamlError> {
    parse(text, Path::new("/etc/fabric/orderer.yaml"), &environment(variables))
}

/// The configuration of a text that gives no notices.
fn config(text: &str) -> Resolved {
    let loaded = parse_with(text, &[]).unwrap();
    assert_eq!(loaded.notices, []);
    loaded.config
}

/// What is said about a text and an environment.
fn notices(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    parse_with(text, variables).unwrap().notices.into_iter().map(|notice| notice.text).collect()
}

fn pair(certificate: &str, key: &str) -> CertificateFiles {
    CertificateFiles { certificate: certificate.into(), key: key.into() }
}

#[test]
fn the_documented_sample_shows_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/orderer.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut sample = config(&text);
    let operations = sample.operations.take().unwrap();
    assert_eq!((operations.address.to_string(), operations.tls), ("127.0.0.1:8443".to_owned(), None));
    assert_eq!(sample, config(MINIMAL));
}

#[test]
fn every_key_that_is_read_stands_in_the_sample() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/orderer.yaml");
    let sample = tree::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut shown = Vec::new();
    collect_keys("", &sample, &mut shown);
    let mut missing: Vec<String> = keys::variables().filter(|variable| !shown.contains(variable)).collect();
    // The old name of General.BootstrapMethod.
    missing.retain(|variable| variable != "ORDERER_GENERAL_GENESISMETHOD");
    assert_eq!(missing, [] as [String; 0]);
}

fn collect_keys(section: &str, node: &tree::Node, shown: &mut Vec<String>) {
    if let tree::Content::Section(entries) = &node.content {
        for entry in entries {
            let path = keys::join(section, &entry.key);
            collect_keys(&path, &entry.value, shown);
            shown.push(keys::variable_of(&path));
        }
    }
}

#[test]
fn what_is_not_set_has_fabrics_default() {
    let config = config(MINIMAL);
    assert_eq!(config.listen_address.to_string(), "127.0.0.1:7050");
    assert_eq!(config.msp.dir, Path::new("/etc/fabric/msp"));
    assert_eq!(config.msp.keystore, Path::new("/etc/fabric/msp/keystore"));
    assert_eq!(config.msp.id, "SampleOrg");
    assert_eq!(config.data_dir, Path::new("/var/hyperledger/production/orderer"));
    assert_eq!((config.journal_dir, config.cluster, config.operations), (None, None, None));
    assert_eq!(config.mesh_identity, Some(pair("/etc/fabric/tls/server.crt", "/etc/fabric/tls/server.key")));
    assert_eq!(config.mesh_client_identity, config.mesh_identity);
    assert_eq!((config.durability, config.verification), (Durability::Full, Verification::Full));
    assert_eq!((config.limits, config.sockets, config.channels), (Limits::default(), Sockets::default(), Vec::new()));
    assert_eq!((config.metrics, config.participation), (MetricsProvider::Disabled, Participation::default()));
    assert_eq!((config.authentication, config.grpc), (Authentication::default(), GrpcLimits::default()));
    assert_eq!(config.throttling, Throttling::default());
    assert_eq!(config.certificate_expiry_warning, Duration::from_secs(168 * 3600));
    assert_eq!((config.log.as_str(), config.log_format.as_str()), ("info", ""));
    assert!(config.embedded_frontend && config.stage_times);
}

#[test]
fn every_value_can_be_set_in_the_file() {
    let text = "
general:
  listenaddress: orderer.example.com
  LISTENPORT: '7051'
  TLS: {Enabled: T, Certificate: /a.crt, PrivateKey: a.key, ClientAuthRequired: 1, ClientRootCAs: [ca.crt, /b.crt], TLSHandshakeTimeShift: 48h}
  Keepalive: {ServerInterval: 1h2m, ServerTimeout: 1.5s}
  ConnectionTimeout: 9s
  MaxRecvMsgSize: 10 MB
  MaxSendMsgSize: 20971520
  Throttling: {Rate: 500, InactivityTimeout: 7s}
  Cluster:
    ListenAddress: 0.0.0.0
    ListenPort: 7060
    ServerCertificate: c.crt
    ServerPrivateKey: c.key
    ClientCertificate: d.crt
    ClientPrivateKey: d.key
    CertExpirationWarningThreshold: 24h
  BootstrapMethod: none
  LocalMSPDir: /msp
  LocalMSPID: OrdererMSP
  BCCSP: {Default: SW, SW: {Hash: SHA2, Security: 256, FileKeyStore: {KeyStore: keys}}}
  Authentication: {TimeWindow: 5m, NoExpirationChecks: true}
FileLedger: {Location: data}
Operations: {ListenAddress: ':8443', TLS: {Enabled: true, Certificate: o.crt, PrivateKey: o.key}}
Metrics: {Provider: statsd, Statsd: {Network: tcp, Address: 's.example.com:8125', WriteInterval: 10s, Prefix: o1}}
Admin:
  ListenAddress: 0.0.0.0:9443
  TLS: {Enabled: true, Certificate: m.crt, PrivateKey: m.key, ClientAuthRequired: true, ClientRootCAs: mca.crt}
ChannelParticipation: {Enabled: true, MaxRequestBodySize: 10 KB}
Consensus: {WALDir: /wal}
BFT:
  Durability: none
  Verification: frontends
  EmbeddedFrontend: true
  StageTimes: false
  Channels: [c1.block]
  Ordering:
    {RequestTimeout: 1s, RequestTimeoutMax: 1m, CheckpointInterval: 7, BatchRequestsMax: 9, FaultModel: byzantine, Delta: 1,
     Heavy: [2, 1], Leaders: '[3, 1]', Window: 4, Tentative: true}
  Sockets: {Broadcast: run/b.sock, Status: run/s.sock}
";
    let config = config(text);
    assert_eq!(config.listen_address.to_string(), "orderer.example.com:7051");
    assert!(!config.stage_times);
    let tls = config.tls.unwrap();
    assert_eq!((tls.server, tls.client_auth_required), (pair("/a.crt", "/etc/fabric/a.key"), true));
    assert_eq!(tls.client_root_cas, [Path::new("/etc/fabric/ca.crt"), Path::new("/b.crt")]);
    let seconds = Duration::from_secs;
    assert_eq!(tls.time_shift, seconds(48 * 3600));
    let keepalive = config.grpc.keepalive;
    assert_eq!(keepalive.server_interval, seconds(3720));
    assert_eq!((keepalive.server_timeout, config.grpc.connection_timeout), (Duration::from_millis(1500), seconds(9)));
    assert_eq!((config.grpc.max_recv_message_size, config.grpc.max_send_message_size), (10 << 20, 20 << 20));
    assert_eq!(config.throttling, Throttling { rate: 500, inactivity_timeout: seconds(7) });
    assert_eq!(config.cluster.unwrap().listen_address.to_string(), "0.0.0.0:7060");
    assert_eq!(config.mesh_identity, Some(pair("/etc/fabric/c.crt", "/etc/fabric/c.key")));
    assert_eq!(config.mesh_client_identity, Some(pair("/etc/fabric/d.crt", "/etc/fabric/d.key")));
    assert_eq!(config.certificate_expiry_warning, seconds(24 * 3600));
    assert_eq!((config.msp.dir.as_path(), config.msp.id.as_str()), (Path::new("/msp"), "OrdererMSP"));
    assert_eq!(config.msp.keystore, Path::new("/etc/fabric/keys"));
    assert_eq!(config.authentication, Authentication { time_window: seconds(300), no_expiration_checks: true });
    assert_eq!(config.data_dir, Path::new("/etc/fabric/data"));
    assert_eq!(config.journal_dir.as_deref(), Some(Path::new("/wal")));
    let operations = config.operations.unwrap();
    assert_eq!(operations.address.to_string(), "0.0.0.0:8443");
    let tls = operations.tls.unwrap();
    assert_eq!((tls.server, tls.client_auth_required), (pair("/etc/fabric/o.crt", "/etc/fabric/o.key"), false));
    let MetricsProvider::Statsd(statsd) = config.metrics else { unreachable!() };
    assert_eq!((statsd.network, statsd.address.to_string()), (StatsdNetwork::Tcp, "s.example.com:8125".to_owned()));
    assert_eq!((statsd.write_interval, statsd.prefix.as_str()), (seconds(10), "o1"));
    let admin = config.admin.unwrap().tls.unwrap();
    assert!(admin.client_auth_required);
    assert_eq!(admin.client_root_cas, [Path::new("/etc/fabric/mca.crt")]);
    assert_eq!(config.participation, Participation { enabled: true, max_request_body_size: 10 << 10 });
    assert_eq!((config.durability, config.verification), (Durability::None, Verification::Frontends));
    assert_eq!(config.channels, [Path::new("/etc/fabric/c1.block")]);
    let limits = config.limits;
    assert_eq!((limits.request_timeout, limits.request_timeout_max), (seconds(1), seconds(60)));
    assert_eq!((limits.checkpoint_interval, limits.batch_requests_max), (7, 9));
    let shared = "window 4; delta 1, heavy 1, 2; led first by 3, 1; tentative";
    assert_eq!(config.group_settings.to_string(), shared);
    assert_eq!(config.sockets.broadcast.as_deref(), Some(Path::new("/etc/fabric/run/b.sock")));
}

#[test]
fn variables_override_the_file_and_empty_ones_do_not() {
    let variables = [
        ("ORDERER_GENERAL_LISTENPORT", "7777"),
        ("ORDERER_GENERAL_LISTENADDRESS", ""),
        ("ORDERER_GENERAL_TLS_CLIENTROOTCAS", "[a.crt, /b.crt]"),
        ("ORDERER_BFT_ORDERING_REQUESTTIMEOUT", "20s"),
        ("ORDERER_CHANNELPARTICIPATION_MAXREQUESTBODYSIZE", "2 MB"),
        ("FABRIC_LOGGING_SPEC", "debug"),
        ("FABRIC_LOGGING_FORMAT", "json"),
        ("PATH", "/usr/bin"),
    ];
    let Loaded { config, notices, .. } = parse_with(MINIMAL, &variables).unwrap();
    assert_eq!(config.listen_address.to_string(), "127.0.0.1:7777");
    assert_eq!(config.tls.unwrap().client_root_cas, [Path::new("/etc/fabric/a.crt"), Path::new("/b.crt")]);
    assert_eq!((config.limits.request_timeout.as_secs(), config.limits.request_timeout_max.as_secs()), (20, 20));
    assert_eq!(config.participation.max_request_body_size, 2 << 20);
    assert_eq!((config.log.as_str(), config.log_format.as_str()), ("debug", "json"));
    assert_eq!(notices, []);
}

#[test]
fn unknown_keys_are_said_once_with_the_nearest_known_one() {
    let text = format!("{MINIMAL}Generell:\n  a: 1\nbft:\n  Durabilty: full\n  sockets:\n    Zzzzzz: a\n");
    assert_eq!(
        notices(&text, &[]),
        [
            "/etc/fabric/orderer.yaml:8: unknown key `Generell`, which is ignored; did you mean `General`?",
            "/etc/fabric/orderer.yaml:11: unknown key `BFT.Durabilty`, which is ignored; did you mean `Durability`?",
            "/etc/fabric/orderer.yaml:13: unknown key `BFT.Sockets.Zzzzzz`, which is ignored",
        ]
    );
}

#[test]
fn unknown_variables_are_said_in_one_line() {
    let variables = [
        ("ORDERER_GENERAL_MAXWINDOWSIZE", "1000"),
        ("ORDERER_GENERAL_LISTENPROT", "1"),
        ("ORDERER_GENERAL_TLS", "x"),
        ("ORDERER_PORT_7050_TCP", "tcp://10.0.0.1:7050"),
    ];
    assert_eq!(
        notices(MINIMAL, &variables),
        ["these environment variables mean nothing to this node: ORDERER_GENERAL_LISTENPROT (did you mean \
          ORDERER_GENERAL_LISTENPORT?), ORDERER_GENERAL_MAXWINDOWSIZE, ORDERER_GENERAL_TLS, ORDERER_PORT_7050_TCP"]
    );
}

#[test]
fn what_older_versions_and_raft_left_over_is_ignored_in_one_line_for_each_reason() {
    let text = format!(
        "{MINIMAL}Kafka:\n  Retry:\n    ShortInterval: 5s\n  Version:\nRAMLedger:\n  HistorySize:\n\
         FileLedger:\n  Prefix: hyperledger\nConsensus:\n  SnapDir: /snap\n  EvictionSuspicion: 10m\n  WhatEver:\n    a: 1\n"
    );
    let variables = [("ORDERER_GENERAL_GENESISPROFILE", "initial"), ("ORDERER_KAFKA_VERBOSE", "true")];
    assert_eq!(
        notices(&text, &variables),
        [
            "Consensus.SnapDir, Consensus.EvictionSuspicion, Consensus.WhatEver: not needed: they belong to Raft",
            "Kafka, FileLedger.Prefix, ORDERER_GENERAL_GENESISPROFILE, ORDERER_KAFKA_VERBOSE: left over from older \
             versions of Fabric",
        ]
    );
}

#[test]
fn what_weakens_the_node_is_warned_of() {
    let text = MINIMAL.replace("Admin:\n  ListenAddress: 127.0.0.1:9443\n", "");
    assert!(notices(&text, &[])[0].starts_with("Admin.ListenAddress is not set: "));
    let variables = [("ORDERER_CHANNELPARTICIPATION_ENABLED", "false"), ("ORDERER_METRICS_PROVIDER", "promtheus")];
    let loaded = parse_with(MINIMAL, &variables).unwrap();
    assert!(!loaded.config.participation.enabled);
    assert_eq!(loaded.config.metrics, MetricsProvider::Disabled);
    assert!(loaded.notices.iter().all(|notice| notice.weight == Weight::Warning));
    assert!(
        loaded.notices[0].text.starts_with("ORDERER_METRICS_PROVIDER: Metrics.Provider = \"promtheus\" is unknown")
    );
    assert!(loaded.notices[1].text.starts_with("ChannelParticipation.Enabled is false"));
}

#[test]
fn the_journal_follows_the_ledger_unless_the_operator_says_where() {
    let wal = "Consensus:\n  WALDir: /var/hyperledger/production/orderer/etcdraft/wal\n";
    let text = format!("{MINIMAL}{wal}");
    let stock = parse_with(&text, &[]).unwrap();
    assert_eq!(
        stock.config.journal_dir.as_deref(),
        Some(Path::new("/var/hyperledger/production/orderer/etcdraft/wal"))
    );
    let moved = parse_with(&text, &[("ORDERER_FILELEDGER_LOCATION", "/data")]).unwrap();
    assert_eq!(moved.config.journal_dir, None);
    assert!(moved.notices[0].text.ends_with("journals are kept in /data"), "{:?}", moved.notices);
    let meant = [
        ("ORDERER_FILELEDGER_LOCATION", "/data"),
        ("ORDERER_CONSENSUS_WALDIR", "/var/hyperledger/production/orderer/etcdraft/wal"),
    ];
    assert!(parse_with(&text, &meant).unwrap().config.journal_dir.is_some());
}

#[test]
fn the_file_is_looked_for_where_fabric_looks() {
    let (named, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |dir: &tempfile::TempDir, name: &str| dir.path().join(name);
    let of = environment(&[("FABRIC_CFG_PATH", named.path().to_str().unwrap())]);
    let error = load(&of, here.path()).unwrap_err().to_string();
    for folder in [named.path(), here.path(), Path::new("/etc/hyperledger/fabric")] {
        assert!(error.contains(&format!("{}, ", folder.join("orderer.yaml").display())), "{error}");
    }
    std::fs::write(path(&here, "orderer.yml"), MINIMAL).unwrap();
    assert_eq!(load(&of, here.path()).unwrap().path, path(&here, "orderer.yml"));
    std::fs::write(path(&named, "orderer.yaml"), MINIMAL).unwrap();
    let loaded = load(&of, here.path()).unwrap();
    assert_eq!(loaded.path, path(&named, "orderer.yaml"));
    assert_eq!(loaded.config.msp.dir, path(&named, "msp"));
    assert_eq!(load(&environment(&[]), here.path()).unwrap().path, path(&here, "orderer.yml"));
    std::fs::remove_file(path(&named, "orderer.yaml")).unwrap();
    std::fs::create_dir(path(&named, "orderer.yaml")).unwrap();
    assert!(matches!(load(&of, here.path()), Err(OrdererYamlError::Read { .. })));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[aA01:.,~<>|&*!?#%@'\"\\[\\]{}\\\\ \n\t-]{0,120}", value in ".{0,40}") {
        let in_a_section = format!("General:\n  TLS:\n    Enabled: {text}\n");
        for text in [text, in_a_section] {
            let _ = parse_with(&text, &[("ORDERER_GENERAL_LISTENADDRESS", &value), ("ORDERER_GENERAL_CONNECTIONTIMEOUT", &value)]);
        }
    }
}
