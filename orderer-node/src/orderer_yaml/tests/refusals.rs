//! What is refused, with the text that says why.

use super::*;

fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
    parse_with(text, variables).unwrap_err().to_string()
}

#[test]
fn impossible_values_are_refused_with_their_line_or_variable() {
    for (variable, value, expected) in [
        ("GENERAL_LISTENPORT", "70500", "General.ListenPort = \"70500\" is not a port, a number from 0 to 65535"),
        ("GENERAL_LISTENADDRESS", "a b", "General.ListenAddress = \"a b\" is neither an IP address nor a name"),
        ("GENERAL_TLS_ENABLED", "yes", "General.TLS.Enabled = \"yes\" is neither true nor false"),
        (
            "GENERAL_KEEPALIVE_SERVERTIMEOUT",
            "20",
            "General.Keepalive.ServerTimeout = \"20\" is not a duration, as in 500ms, 20s or 1h2m",
        ),
        (
            "GENERAL_MAXRECVMSGSIZE",
            "1 TB",
            "General.MaxRecvMsgSize = \"1 TB\" is not a size, as in 1048576, 10 KB or 1 MB",
        ),
        ("GENERAL_MAXRECVMSGSIZE", "2 GB", "General.MaxRecvMsgSize is more than 2147483647 bytes"),
        ("GENERAL_THROTTLING_RATE", "-1", "General.Throttling.Rate = \"-1\" is not a number in range"),
        (
            "OPERATIONS_LISTENADDRESS",
            "localhost",
            "Operations.ListenAddress = \"localhost\" is not a host with a port, as in 0.0.0.0:7050 or \
             orderer.example.com:9443",
        ),
        ("GENERAL_BCCSP_SW_SECURITY", "384", "General.BCCSP.SW.Security = \"384\" is not 256"),
        ("GENERAL_BCCSP_DEFAULT", "HSM", "General.BCCSP.Default = \"HSM\" is not a provider of cryptography; SW is"),
        ("BFT_DURABILITY", "some", "BFT.Durability = \"some\" is not full or none"),
        ("BFT_ORDERING_REQUESTTIMEOUT", "1ns", "BFT.Ordering.RequestTimeout must be at least a millisecond"),
        ("BFT_ORDERING_BATCHREQUESTSMAX", "4097", "BFT.Ordering.BatchRequestsMax must be from 1 to 4096"),
    ] {
        let variable = format!("ORDERER_{variable}");
        assert_eq!(refusal(MINIMAL, &[(&variable, value)]), format!("{variable}: {expected}"));
    }
    let text = format!("{MINIMAL}BFT:\n  Verification: half\n");
    let expected = "/etc/fabric/orderer.yaml:9: BFT.Verification = \"half\" is not full or frontends";
    assert_eq!(refusal(&text, &[]), expected);
}

#[test]
fn contradictions_are_refused_as_fabric_refuses_them() {
    let with = |more: &str| format!("{MINIMAL}{more}");
    let admin = "  TLS:\n    Enabled: true\n    Certificate: a\n    PrivateKey: b\n";
    for (text, variables, expected) in [
        (
            with(admin),
            vec![],
            "/etc/fabric/orderer.yaml: Admin.TLS.ClientAuthRequired must be true, because Admin.TLS.Enabled is",
        ),
        (
            with(admin),
            vec![("ORDERER_ADMIN_TLS_CLIENTAUTHREQUIRED", "false")],
            "ORDERER_ADMIN_TLS_CLIENTAUTHREQUIRED: Admin.TLS.ClientAuthRequired must be true",
        ),
        (String::new(), vec![], "General.TLS.Enabled must be true, because nodes connect to each other with TLS"),
        (
            MINIMAL.replace("    PrivateKey: tls/server.key\n", ""),
            vec![],
            "General.TLS.PrivateKey is missing, and General.TLS.Enabled is true",
        ),
        (
            MINIMAL.to_owned(),
            vec![("ORDERER_GENERAL_CLUSTER_LISTENPORT", "7060")],
            "General.Cluster.ListenAddress is missing: a listener of its own needs all of General.Cluster.ListenAddress, \
             General.Cluster.ListenPort, General.Cluster.ServerCertificate, General.Cluster.ServerPrivateKey",
        ),
        (
            MINIMAL.to_owned(),
            vec![("ORDERER_GENERAL_CLUSTER_CLIENTCERTIFICATE", "a")],
            "General.Cluster.ClientPrivateKey is missing, ClientCertificate is there",
        ),
        (
            MINIMAL.to_owned(),
            vec![("ORDERER_GENERAL_CLUSTER_CLIENTPRIVATEKEY", "a")],
            "General.Cluster.ClientCertificate is missing, ClientPrivateKey is there",
        ),
        (
            MINIMAL.to_owned(),
            vec![
                ("ORDERER_GENERAL_CLUSTER_LISTENADDRESS", "127.0.0.1"),
                ("ORDERER_GENERAL_CLUSTER_LISTENPORT", "7050"),
                ("ORDERER_GENERAL_CLUSTER_SERVERCERTIFICATE", "a"),
                ("ORDERER_GENERAL_CLUSTER_SERVERPRIVATEKEY", "b"),
            ],
            "ORDERER_GENERAL_CLUSTER_LISTENPORT: General.Cluster.ListenPort is that of General.ListenPort",
        ),
        (
            MINIMAL.to_owned(),
            vec![("ORDERER_METRICS_PROVIDER", "statsd")],
            "Metrics.Statsd.Address is missing, and Metrics.Provider is statsd",
        ),
        (
            MINIMAL.to_owned(),
            vec![("ORDERER_BFT_SOCKETS_STATUS", "s"), ("ORDERER_BFT_SOCKETS_BROADCAST", "s")],
            "ORDERER_BFT_SOCKETS_STATUS: BFT.Sockets.Status is the same socket as that of Broadcast",
        ),
        (
            MINIMAL.to_owned(),
            vec![("ORDERER_BFT_EMBEDDEDFRONTEND", "false"), ("ORDERER_BFT_SOCKETS_BROADCAST", "s")],
            "BFT.Sockets.Broadcast is served by the embedded frontend, which is switched off",
        ),
        (
            MINIMAL.to_owned(),
            vec![("ORDERER_BFT_ORDERING_REQUESTTIMEOUTMAX", "1ms")],
            "BFT.Ordering.RequestTimeoutMax is less than the request timeout",
        ),
    ] {
        let error = refusal(&text, &variables);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn nodes_may_have_a_listener_of_their_own_while_clients_come_in_the_clear() {
    let variables = [
        ("ORDERER_GENERAL_CLUSTER_LISTENADDRESS", "0.0.0.0"),
        ("ORDERER_GENERAL_CLUSTER_LISTENPORT", "7060"),
        ("ORDERER_GENERAL_CLUSTER_SERVERCERTIFICATE", "/a.crt"),
        ("ORDERER_GENERAL_CLUSTER_SERVERPRIVATEKEY", "/a.key"),
    ];
    let config = parse_with("", &variables).unwrap().config;
    assert_eq!(config.tls, None);
    assert_eq!(
        (config.mesh_identity.clone(), config.mesh_client_identity),
        (config.mesh_identity, Some(pair("/a.crt", "/a.key")))
    );
}

#[test]
fn a_system_channel_is_refused_with_what_to_do() {
    for variable in ["ORDERER_GENERAL_BOOTSTRAPMETHOD", "ORDERER_GENERAL_GENESISMETHOD"] {
        let error = refusal(MINIMAL, &[(variable, "file")]);
        assert!(error.starts_with(&format!("{variable}: General.")), "{error}");
        assert!(error.contains("ORDERER_GENERAL_BOOTSTRAPMETHOD=none") && error.contains("osnadmin"), "{error}");
    }
    let both = [("ORDERER_GENERAL_BOOTSTRAPMETHOD", "none"), ("ORDERER_GENERAL_GENESISMETHOD", "file")];
    parse_with(MINIMAL, &both).unwrap();
}

#[test]
fn keys_in_hardware_are_refused_with_what_to_do() {
    let error = refusal(MINIMAL, &[("ORDERER_GENERAL_BCCSP_DEFAULT", "PKCS11")]);
    assert!(error.contains("PKCS11 is not supported") && error.contains("set SW"), "{error}");
}

#[test]
fn what_is_not_the_shape_of_an_orderer_yaml_is_refused_with_its_line() {
    for (text, expected) in [
        ("General: [a\n", ":"),
        ("a\n", ":1: the file is not a list of sections"),
        ("General:\n  TLS: true\n", ":2: General.TLS is a section of keys, not a value"),
        ("General:\n  ListenPort:\n    a: 1\n", ":2: General.ListenPort is a value, not a section of keys"),
        ("General:\n  ListenPort: [1]\n", ":2: General.ListenPort is a list, one value is expected"),
        (
            "General:\n  TLS:\n    ClientRootCAs:\n      - a: 1\n",
            ":4: General.TLS.ClientRootCAs is a list of values only",
        ),
        ("General:\n  ListenPort: 1\n  listenport: 2\n", ":3: `listenport` stands in line 2 already"),
    ] {
        let error = refusal(text, &[]);
        assert!(error.starts_with(&format!("/etc/fabric/orderer.yaml{expected}")), "{text:?}: {error}");
    }
}
