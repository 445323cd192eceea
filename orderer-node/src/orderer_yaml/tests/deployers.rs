//! What the common deployers set, over our sample file: every set loads, and means what its deployer means by it.

use super::*;

/// The sample file as an image would have it.
fn over_the_sample(folder: &str, variables: &[(&str, &str)]) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/orderer.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    parse(&text, &Path::new(folder).join("orderer.yaml"), &environment(variables)).unwrap()
}

/// What matters about a configuration, in words.
fn summary(config: &Resolved) -> Vec<String> {
    let http = |listener: &Option<crate::config::HttpListener>| {
        let listener = listener.as_ref().unwrap();
        let Some(tls) = &listener.tls else { return format!("{} in the clear", listener.address) };
        let clients = if tls.client_auth_required { "with" } else { "without" };
        let authorities: Vec<String> = tls.client_root_cas.iter().map(|ca| ca.display().to_string()).collect();
        format!(
            "{} {} {clients} clients of [{}]",
            listener.address,
            tls.server.certificate.display(),
            authorities.join(" ")
        )
    };
    let tls = config.tls.as_ref().unwrap();
    vec![
        format!("{} {} {}", config.listen_address, tls.server.certificate.display(), tls.server.key.display()),
        format!("client authentication {}", tls.client_auth_required),
        format!("{} {}", config.msp.id, config.msp.dir.display()),
        format!("{} {:?}", config.data_dir.display(), config.journal_dir),
        format!("admin {}", http(&config.admin)),
        format!("operations {}", http(&config.operations)),
        format!("{:?} {} {}", config.metrics, config.participation.enabled, config.log),
    ]
}

/// Names of variables that were said to mean nothing.
fn unknown(loaded: &Loaded) -> Vec<&str> {
    let unknown = loaded.notices.iter().filter_map(|notice| notice.text.split_once("mean nothing to this node: "));
    unknown.flat_map(|(_, names)| names.split(", ")).collect()
}

/// No deployer sets anything that is warned of, beyond the variables that mean nothing to Fabric either.
fn assert_no_other_warning(loaded: &Loaded) {
    let warnings = loaded.notices.iter().filter(|notice| notice.weight == Weight::Warning);
    let others: Vec<_> = warnings.filter(|notice| !notice.text.starts_with("these environment variables")).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// The variables that the compose files of the test network and of fablo have in common.
fn compose<'a>(port: &'a str, msp_id: &'a str, admin: &'a str, operations: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("FABRIC_LOGGING_SPEC", "INFO"),
        ("ORDERER_GENERAL_LISTENADDRESS", "0.0.0.0"),
        ("ORDERER_GENERAL_LISTENPORT", port),
        ("ORDERER_GENERAL_LOCALMSPID", msp_id),
        ("ORDERER_GENERAL_LOCALMSPDIR", "/var/hyperledger/orderer/msp"),
        ("ORDERER_GENERAL_TLS_ENABLED", "true"),
        ("ORDERER_GENERAL_TLS_PRIVATEKEY", "/var/hyperledger/orderer/tls/server.key"),
        ("ORDERER_GENERAL_TLS_CERTIFICATE", "/var/hyperledger/orderer/tls/server.crt"),
        ("ORDERER_GENERAL_TLS_ROOTCAS", "[/var/hyperledger/orderer/tls/ca.crt]"),
        ("ORDERER_GENERAL_CLUSTER_CLIENTCERTIFICATE", "/var/hyperledger/orderer/tls/server.crt"),
        ("ORDERER_GENERAL_CLUSTER_CLIENTPRIVATEKEY", "/var/hyperledger/orderer/tls/server.key"),
        ("ORDERER_GENERAL_CLUSTER_ROOTCAS", "[/var/hyperledger/orderer/tls/ca.crt]"),
        ("ORDERER_GENERAL_BOOTSTRAPMETHOD", "none"),
        ("ORDERER_CHANNELPARTICIPATION_ENABLED", "true"),
        ("ORDERER_ADMIN_TLS_ENABLED", "true"),
        ("ORDERER_ADMIN_TLS_CERTIFICATE", "/var/hyperledger/orderer/tls/server.crt"),
        ("ORDERER_ADMIN_TLS_PRIVATEKEY", "/var/hyperledger/orderer/tls/server.key"),
        ("ORDERER_ADMIN_TLS_ROOTCAS", "[/var/hyperledger/orderer/tls/ca.crt]"),
        ("ORDERER_ADMIN_TLS_CLIENTROOTCAS", "[/var/hyperledger/orderer/tls/ca.crt]"),
        ("ORDERER_ADMIN_LISTENADDRESS", admin),
        ("ORDERER_OPERATIONS_LISTENADDRESS", operations),
        ("ORDERER_METRICS_PROVIDER", "prometheus"),
    ]
}

#[test]
fn compose_files_of_the_test_network() {
    let variables = compose("7050", "OrdererMSP", "0.0.0.0:7053", "orderer.example.com:9443");
    let loaded = over_the_sample("/etc/hyperledger/fabric", &variables);
    assert_no_other_warning(&loaded);
    assert!(unknown(&loaded).is_empty());
    assert_eq!(
        summary(&loaded.config),
        [
            "0.0.0.0:7050 /var/hyperledger/orderer/tls/server.crt /var/hyperledger/orderer/tls/server.key",
            "client authentication false",
            "OrdererMSP /var/hyperledger/orderer/msp",
            "/var/hyperledger/production/orderer None",
            "admin 0.0.0.0:7053 /var/hyperledger/orderer/tls/server.crt with clients of [/var/hyperledger/orderer/tls/ca.crt]",
            "operations orderer.example.com:9443 in the clear",
            "Prometheus true INFO",
        ]
    );
    assert_eq!(loaded.config.mesh_client_identity, loaded.config.mesh_identity);
}

#[test]
fn scripts_of_nano_bash() {
    let tls = "/w/crypto-config/orderer/tls";
    let (key, certificate, ca) = (format!("{tls}/server.key"), format!("{tls}/server.crt"), format!("{tls}/ca.crt"));
    let loaded = over_the_sample(
        "/w/../config",
        &[
            ("FABRIC_CFG_PATH", "/w/../config"),
            ("FABRIC_LOGGING_SPEC", "debug:cauthdsl,policies,msp,common.configtx,common.channelconfig=info"),
            ("ORDERER_GENERAL_LISTENPORT", "6050"),
            ("ORDERER_GENERAL_LOCALMSPID", "OrdererMSP"),
            ("ORDERER_GENERAL_LOCALMSPDIR", "/w/crypto-config/orderer/msp"),
            ("ORDERER_GENERAL_TLS_ENABLED", "true"),
            ("ORDERER_GENERAL_TLS_PRIVATEKEY", &key),
            ("ORDERER_GENERAL_TLS_CERTIFICATE", &certificate),
            ("ORDERER_GENERAL_TLS_ROOTCAS", &ca),
            ("ORDERER_GENERAL_BOOTSTRAPMETHOD", "none"),
            ("ORDERER_CHANNELPARTICIPATION_ENABLED", "true"),
            ("ORDERER_FILELEDGER_LOCATION", "/w/data/orderer"),
            ("ORDERER_CONSENSUS_TYPE", "BFT"),
            ("ORDERER_CONSENSUS_WALDIR", "/w/data/orderer/consensus/wal"),
            ("ORDERER_CONSENSUS_SNAPDIR", "/w/data/orderer/consensus/snap"),
            ("ORDERER_OPERATIONS_LISTENADDRESS", "127.0.0.1:8443"),
            ("ORDERER_ADMIN_LISTENADDRESS", "127.0.0.1:9443"),
        ],
    );
    assert_no_other_warning(&loaded);
    assert!(unknown(&loaded).is_empty());
    assert_eq!(
        summary(&loaded.config),
        [
            "127.0.0.1:6050 /w/crypto-config/orderer/tls/server.crt /w/crypto-config/orderer/tls/server.key",
            "client authentication false",
            "OrdererMSP /w/crypto-config/orderer/msp",
            "/w/data/orderer Some(\"/w/data/orderer/consensus/wal\")",
            "admin 127.0.0.1:9443 in the clear",
            "operations 127.0.0.1:8443 in the clear",
            "Disabled true debug:cauthdsl,policies,msp,common.configtx,common.channelconfig=info",
        ]
    );
}

#[test]
fn config_maps_of_the_kubernetes_sample() {
    let loaded = over_the_sample(
        "/var/hyperledger/fabric/config",
        &[
            ("FABRIC_CFG_PATH", "/var/hyperledger/fabric/config"),
            ("FABRIC_LOGGING_SPEC", "INFO"),
            ("ORDERER_GENERAL_LISTENADDRESS", "0.0.0.0"),
            ("ORDERER_GENERAL_LISTENPORT", "6050"),
            ("ORDERER_GENERAL_LOCALMSPID", "OrdererMSP"),
            ("ORDERER_GENERAL_LOCALMSPDIR", "/var/hyperledger/fabric/organizations/org0-orderer1/msp"),
            ("ORDERER_GENERAL_TLS_ENABLED", "true"),
            ("ORDERER_GENERAL_TLS_CERTIFICATE", "/var/hyperledger/fabric/config/tls/tls.crt"),
            ("ORDERER_GENERAL_TLS_ROOTCAS", "/var/hyperledger/fabric/config/tls/ca.crt"),
            ("ORDERER_GENERAL_TLS_PRIVATEKEY", "/var/hyperledger/fabric/config/tls/tls.key"),
            ("ORDERER_GENERAL_BOOTSTRAPMETHOD", "none"),
            ("ORDERER_CHANNELPARTICIPATION_ENABLED", "true"),
            ("ORDERER_ADMIN_TLS_ENABLED", "true"),
            ("ORDERER_ADMIN_TLS_CERTIFICATE", "/var/hyperledger/fabric/config/tls/tls.crt"),
            ("ORDERER_ADMIN_TLS_ROOTCAS", "/var/hyperledger/fabric/config/tls/ca.crt"),
            ("ORDERER_ADMIN_TLS_PRIVATEKEY", "/var/hyperledger/fabric/config/tls/tls.key"),
            (
                "ORDERER_ADMIN_TLS_CLIENTROOTCAS",
                "[/var/hyperledger/fabric/organizations/org0-orderer1/msp/cacerts/ca.pem]",
            ),
            ("ORDERER_FILELEDGER_LOCATION", "/var/hyperledger/fabric/data/orderer1"),
            ("ORDERER_CONSENSUS_WALDIR", "/var/hyperledger/fabric/data/orderer1/etcdraft/wal"),
            ("ORDERER_CONSENSUS_SNAPDIR", "/var/hyperledger/fabric/data/orderer1/etcdraft/wal"),
            ("ORDERER_OPERATIONS_LISTENADDRESS", "0.0.0.0:8443"),
            ("ORDERER_ADMIN_LISTENADDRESS", "0.0.0.0:9443"),
            ("ORG0_ORDERER1_PORT", "tcp://10.96.0.1:6050"),
        ],
    );
    assert_no_other_warning(&loaded);
    assert!(unknown(&loaded).is_empty());
    assert_eq!(
        summary(&loaded.config),
        [
            "0.0.0.0:6050 /var/hyperledger/fabric/config/tls/tls.crt /var/hyperledger/fabric/config/tls/tls.key",
            "client authentication false",
            "OrdererMSP /var/hyperledger/fabric/organizations/org0-orderer1/msp",
            "/var/hyperledger/fabric/data/orderer1 Some(\"/var/hyperledger/fabric/data/orderer1/etcdraft/wal\")",
            "admin 0.0.0.0:9443 /var/hyperledger/fabric/config/tls/tls.crt with clients of \
             [/var/hyperledger/fabric/organizations/org0-orderer1/msp/cacerts/ca.pem]",
            "operations 0.0.0.0:8443 in the clear",
            "Disabled true INFO",
        ]
    );
}

#[test]
fn the_chart_of_bevel() {
    let loaded = over_the_sample(
        "/var/hyperledger/fabric/config",
        &[
            ("FABRIC_CFG_PATH", "/var/hyperledger/fabric/config"),
            ("FABRIC_LOGGING_SPEC", "info"),
            ("ORDERER_GENERAL_LEDGERTYPE", "file"),
            ("ORDERER_FILELEDGER_LOCATION", "/var/hyperledger/ledger"),
            ("ORDERER_GENERAL_BATCHTIMEOUT", "1s"),
            ("ORDERER_GENERAL_BATCHSIZE_MAXMESSAGECOUNT", "10"),
            ("ORDERER_GENERAL_MAXWINDOWSIZE", "1000"),
            ("ORDERER_GENERAL_ORDERERTYPE", "etcdraft"),
            ("ORDERER_GENERAL_LISTENADDRESS", "0.0.0.0"),
            ("ORDERER_GENERAL_LISTENPORT", "7050"),
            ("ORDERER_GENERAL_LOGLEVEL", "info"),
            ("ORDERER_GENERAL_LOCALMSPDIR", "/var/hyperledger/msp"),
            ("ORDERER_GENERAL_LOCALMSPID", "OrdererMSP"),
            ("ORDERER_GENERAL_BOOTSTRAPMETHOD", "none"),
            ("ORDERER_GENERAL_GENESISFILE", "/hl_config/genesis/genesis.block"),
            ("ORDERER_GENERAL_GENESISPROFILE", "initial"),
            ("ORDERER_GENERAL_TLS_ENABLED", "true"),
            ("ORDERER_GENERAL_TLS_CERTIFICATE", "/var/hyperledger/tls/server/pair/tls.crt"),
            ("ORDERER_GENERAL_TLS_PRIVATEKEY", "/var/hyperledger/tls/server/pair/tls.key"),
            ("ORDERER_GENERAL_TLS_ROOTCAS", "/var/hyperledger/tls/server/cert/cacert.pem"),
            ("ORDERER_GENERAL_TLS_CLIENTAUTHREQUIRED", "false"),
            ("ORDERER_GENERAL_CLUSTER_CLIENTCERTIFICATE", "/var/hyperledger/tls/server/pair/tls.crt"),
            ("ORDERER_GENERAL_CLUSTER_CLIENTPRIVATEKEY", "/var/hyperledger/tls/server/pair/tls.key"),
            ("ORDERER_GENERAL_CLUSTER_ROOTCAS", "/var/hyperledger/tls/server/cert/cacert.pem"),
            // Its script makes the list from a folder, and `[]` of one that is empty.
            ("ORDERER_GENERAL_TLS_CLIENTROOTCAS", "[]"),
            ("ORDERER_CHANNELPARTICIPATION_ENABLED", "true"),
            ("ORDERER_ADMIN_TLS_ENABLED", "true"),
            ("ORDERER_ADMIN_TLS_CERTIFICATE", "/var/hyperledger/admin/tls.crt"),
            ("ORDERER_ADMIN_TLS_PRIVATEKEY", "/var/hyperledger/admin/tls.key"),
            ("ORDERER_ADMIN_TLS_ROOTCAS", "[/var/hyperledger/admin/cacert.crt]"),
            ("ORDERER_ADMIN_TLS_CLIENTROOTCAS", "[/var/hyperledger/admin/clientcacert.crt]"),
            ("ORDERER_ADMIN_LISTENADDRESS", "0.0.0.0:7053"),
            ("ORDERER_METRICS_PROVIDER", "prometheus"),
            ("ORDERER_OPERATIONS_TLS_ENABLED", "false"),
            ("ORDERER_OPERATIONS_LISTENADDRESS", "0.0.0.0:9444"),
        ],
    );
    assert_no_other_warning(&loaded);
    assert_eq!(
        unknown(&loaded),
        [
            "ORDERER_GENERAL_BATCHSIZE_MAXMESSAGECOUNT",
            "ORDERER_GENERAL_BATCHTIMEOUT",
            "ORDERER_GENERAL_MAXWINDOWSIZE",
            "ORDERER_GENERAL_ORDERERTYPE",
        ]
    );
    assert_eq!(
        summary(&loaded.config),
        [
            "0.0.0.0:7050 /var/hyperledger/tls/server/pair/tls.crt /var/hyperledger/tls/server/pair/tls.key",
            "client authentication false",
            "OrdererMSP /var/hyperledger/msp",
            "/var/hyperledger/ledger None",
            "admin 0.0.0.0:7053 /var/hyperledger/admin/tls.crt with clients of [/var/hyperledger/admin/clientcacert.crt]",
            "operations 0.0.0.0:9444 in the clear",
            "Prometheus true info",
        ]
    );
    assert!(loaded.config.tls.unwrap().client_root_cas.is_empty());
}

#[test]
fn config_maps_of_fabric_operator() {
    let (certificate, key) = ("/certs/tls/signcerts/cert.pem", "/certs/tls/keystore/key.pem");
    let authority = "/certs/msp/tlscacerts/cacert-0.pem";
    let loaded = over_the_sample(
        "/certs/",
        &[
            ("FABRIC_CFG_PATH", "/certs/"),
            ("LICENSE", "accept"),
            ("ORDERER_GENERAL_LISTENADDRESS", "0.0.0.0"),
            ("ORDERER_GENERAL_LISTENPORT", "7050"),
            ("ORDERER_GENERAL_LEDGERTYPE", "file"),
            ("ORDERER_FILELEDGER_LOCATION", "/ordererdata/ledger/ibporderer"),
            ("ORDERER_GENERAL_TLS_ENABLED", "true"),
            ("ORDERER_GENERAL_LOCALMSPDIR", "/certs/msp"),
            ("ORDERER_GENERAL_LOCALMSPID", "Org0MSP"),
            ("ORDERER_GENERAL_GENESISPROFILE", "Initial"),
            ("ORDERER_GENERAL_BOOTSTRAPMETHOD", "none"),
            ("ORDERER_GENERAL_KEEPALIVE_SERVERMININTERVAL", "25s"),
            ("ORDERER_GENERAL_TLS_PRIVATEKEY", key),
            ("ORDERER_GENERAL_TLS_CERTIFICATE", certificate),
            ("ORDERER_GENERAL_TLS_ROOTCAS", authority),
            ("ORDERER_OPERATIONS_LISTENADDRESS", "0.0.0.0:8443"),
            ("ORDERER_OPERATIONS_TLS_ENABLED", "true"),
            ("ORDERER_OPERATIONS_TLS_CERTIFICATE", certificate),
            ("ORDERER_OPERATIONS_TLS_PRIVATEKEY", key),
            ("ORDERER_OPERATIONS_TLS_CLIENTAUTHREQUIRED", "false"),
            ("ORDERER_OPERATIONS_TLS_ROOTCAS", authority),
            ("ORDERER_OPERATIONS_TLS_CLIENTROOTCAS", authority),
            ("ORDERER_CONSENSUS_WALDIR", "/ordererdata/raft/ibporderer/wal"),
            ("ORDERER_CONSENSUS_SNAPDIR", "/ordererdata/raft/ibporderer/snapshot"),
            ("ORDERER_GENERAL_CLUSTER_CLIENTCERTIFICATE", certificate),
            ("ORDERER_GENERAL_CLUSTER_CLIENTPRIVATEKEY", key),
            ("ORDERER_GENERAL_CLUSTER_ROOTCAS", authority),
            ("ORDERER_GENERAL_CLUSTER_SENDBUFFERSIZE", "100"),
            ("ORDERER_CHANNELPARTICIPATION_ENABLED", "true"),
            ("ORDERER_ADMIN_TLS_ENABLED", "true"),
            ("ORDERER_ADMIN_TLS_CERTIFICATE", certificate),
            ("ORDERER_ADMIN_TLS_PRIVATEKEY", key),
            ("ORDERER_ADMIN_TLS_CLIENTAUTHREQUIRED", "true"),
            ("ORDERER_ADMIN_LISTENADDRESS", "0.0.0.0:9443"),
            ("ORDERER_ADMIN_TLS_ROOTCAS", authority),
            ("ORDERER_ADMIN_TLS_CLIENTROOTCAS", authority),
        ],
    );
    assert_no_other_warning(&loaded);
    assert!(unknown(&loaded).is_empty());
    assert_eq!(
        summary(&loaded.config),
        [
            "0.0.0.0:7050 /certs/tls/signcerts/cert.pem /certs/tls/keystore/key.pem",
            "client authentication false",
            "Org0MSP /certs/msp",
            "/ordererdata/ledger/ibporderer Some(\"/ordererdata/raft/ibporderer/wal\")",
            "admin 0.0.0.0:9443 /certs/tls/signcerts/cert.pem with clients of [/certs/msp/tlscacerts/cacert-0.pem]",
            "operations 0.0.0.0:8443 /certs/tls/signcerts/cert.pem without clients of [/certs/msp/tlscacerts/cacert-0.pem]",
            "Disabled true info",
        ]
    );
}

#[test]
fn compose_files_of_fablo() {
    let variables = compose("7030", "OrdererMSP", "0.0.0.0:7053", "orderer0.group1.root.com:9443");
    let loaded = over_the_sample("/etc/hyperledger/fabric", &variables);
    assert_no_other_warning(&loaded);
    assert!(unknown(&loaded).is_empty());
    let summary = summary(&loaded.config);
    assert!(summary[0].starts_with("0.0.0.0:7030 "), "{summary:?}");
    assert_eq!(summary[5], "operations orderer0.group1.root.com:9443 in the clear");
}

/// Microfab begins with a system channel, which Fabric v3 does not do any more either; without that, its set loads.
#[test]
fn processes_of_microfab() {
    let mut variables = vec![
        ("FABRIC_LOGGING_SPEC", "info"),
        ("ORDERER_GENERAL_LOCALMSPDIR", "/opt/microfab/data/orderer/msp"),
        ("ORDERER_GENERAL_LOCALMSPID", "OrdererMSP"),
        ("ORDERER_GENERAL_BOOTSTRAPMETHOD", "file"),
        ("ORDERER_GENERAL_BOOTSTRAPFILE", "/opt/microfab/data/orderer/config/genesisblock"),
        ("ORDERER_FILELEDGER_LOCATION", "/opt/microfab/data/orderer/data"),
        ("ORDERER_CONSENSUS_WALDIR", "/opt/microfab/data/orderer/data/etcdraft/wal"),
        ("ORDERER_CONSENSUS_SNAPDIR", "/opt/microfab/data/orderer/data/etcdraft/snapshot"),
        ("ORDERER_METRICS_PROVIDER", "prometheus"),
        ("ORDERER_GENERAL_LISTENADDRESS", "0.0.0.0"),
        ("ORDERER_GENERAL_LISTENPORT", "2000"),
        ("ORDERER_OPERATIONS_LISTENADDRESS", "0.0.0.0:2001"),
        ("ORDERER_GENERAL_TLS_ENABLED", "true"),
        ("ORDERER_GENERAL_TLS_CERTIFICATE", "/opt/microfab/data/orderer/tls/cert.pem"),
        ("ORDERER_GENERAL_TLS_PRIVATEKEY", "/opt/microfab/data/orderer/tls/key.pem"),
        ("ORDERER_GENERAL_TLS_ROOTCAS", "/opt/microfab/data/orderer/tls/ca.pem"),
        ("ORDERER_OPERATIONS_TLS_ENABLED", "true"),
        ("ORDERER_OPERATIONS_TLS_CERTIFICATE", "/opt/microfab/data/orderer/tls/cert.pem"),
        ("ORDERER_OPERATIONS_TLS_PRIVATEKEY", "/opt/microfab/data/orderer/tls/key.pem"),
    ];
    let error = parse_with(MINIMAL, &variables).unwrap_err().to_string();
    assert!(error.starts_with("ORDERER_GENERAL_BOOTSTRAPMETHOD: General.BootstrapMethod = \"file\""), "{error}");
    variables.retain(|(name, _)| *name != "ORDERER_GENERAL_BOOTSTRAPMETHOD");
    let loaded = over_the_sample("/etc/hyperledger/fabric", &variables);
    assert_no_other_warning(&loaded);
    assert!(unknown(&loaded).is_empty());
    assert_eq!(
        summary(&loaded.config),
        [
            "0.0.0.0:2000 /opt/microfab/data/orderer/tls/cert.pem /opt/microfab/data/orderer/tls/key.pem",
            "client authentication false",
            "OrdererMSP /opt/microfab/data/orderer/msp",
            "/opt/microfab/data/orderer/data Some(\"/opt/microfab/data/orderer/data/etcdraft/wal\")",
            "admin 127.0.0.1:9443 in the clear",
            "operations 0.0.0.0:2001 /opt/microfab/data/orderer/tls/cert.pem without clients of []",
            "Prometheus true info",
        ]
    );
}
