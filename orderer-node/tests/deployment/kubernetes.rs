//! The Kubernetes manifests: what refers to something finds it, a node can be found before it is ready, and it may do no more
//! than it has to.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::manifests::{Manifests, files, list, text};
use super::{config, understood};

#[test]
fn every_file_is_of_objects_that_kubernetes_knows() {
    assert_eq!(files(), ["common.yaml", "org1.yaml"]);
    let known = [
        ("ConfigMap", "v1"),
        ("PodDisruptionBudget", "policy/v1"),
        ("Service", "v1"),
        ("Service", "v1"),
        ("StatefulSet", "apps/v1"),
    ];
    let manifests = Manifests::of_org1();
    let mut kinds: Vec<_> =
        manifests.0.iter().map(|object| (text(&object["kind"]), text(&object["apiVersion"]))).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, known);
}

#[test]
fn its_variables_are_those_of_this_program() {
    let config = understood(&Manifests::of_org1().environment()).config;
    assert_eq!(config.msp.id, "Org1OrdererMSP");
    assert_eq!(understood(&Manifests::of_org2().environment()).config.msp.id, "Org2OrdererMSP");
    let (admin, operations) = (config.admin.unwrap(), config.operations.unwrap());
    assert!(admin.tls.unwrap().client_auth_required && !operations.tls.unwrap().client_auth_required);
}

/// An organisation's objects are its own; the rest is the same object, whoever applies it.
#[test]
fn two_organisations_share_nothing_but_the_common_file() {
    let keys = |manifests: &Manifests| -> BTreeSet<String> {
        manifests
            .0
            .iter()
            .map(|object| format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"])))
            .collect()
    };
    let (one, two) = (Manifests::of_org1(), Manifests::of_org2());
    let (names_of_one, names_of_two) = (keys(&one), keys(&two));
    let shared: Vec<&String> = names_of_one.intersection(&names_of_two).collect();
    assert_eq!(shared, ["ConfigMap orderer-environment", "PodDisruptionBudget ordering-service"]);
    let secrets = |manifests: &Manifests| -> BTreeSet<String> {
        let volumes = list(&manifests.pod()["spec"]["volumes"]).iter();
        volumes.filter_map(|volume| volume["secret"]["secretName"].as_str().map(str::to_owned)).collect()
    };
    assert!(secrets(&one).is_disjoint(&secrets(&two)), "two nodes with one key");
    assert_ne!(one.stateful_set()["spec"]["selector"], two.stateful_set()["spec"]["selector"]);
}

#[test]
fn what_is_referred_to_is_there() {
    let manifests = Manifests::of_org1();
    let (set, pod) = (manifests.stateful_set(), manifests.pod());
    let selects = |selector: &Value| {
        let labels = &pod["metadata"]["labels"];
        let pairs = selector.as_object().unwrap();
        assert!(!pairs.is_empty() && pairs.iter().all(|(name, value)| labels[name] == *value), "{selector}");
    };
    selects(&set["spec"]["selector"]["matchLabels"]);
    let budget = manifests.named("PodDisruptionBudget", "ordering-service");
    selects(&budget["spec"]["selector"]["matchLabels"]);
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    let ports: Vec<&Value> = list(&manifests.container()["ports"]).iter().collect();
    for service in manifests.all("Service") {
        selects(&service["spec"]["selector"]);
        for port in list(&service["spec"]["ports"]) {
            let target = ports.iter().find(|known| known["name"] == port["targetPort"]).unwrap();
            assert_eq!(target["containerPort"], port["port"], "{port}");
        }
    }
    for (name, probe) in manifests.probes() {
        assert!(ports.iter().any(|port| port["name"] == probe["port"]), "{name}: {probe}");
    }
    let spread = &list(&pod["spec"]["topologySpreadConstraints"])[0];
    selects(&spread["labelSelector"]["matchLabels"]);
    let service = manifests.named("Service", text(&set["spec"]["serviceName"]));
    assert_eq!(service["spec"]["clusterIP"], "None", "the pod would have no name of its own");
}

/// A node gets ready when it is linked with a quorum, and channels open when a quorum has joined: both need to reach nodes that
/// are not ready. Clients do not.
#[test]
fn a_node_is_found_by_others_before_it_is_ready_and_by_clients_after_that() {
    let manifests = Manifests::of_org1();
    let headless = manifests.named("Service", "orderer-org1-nodes");
    assert_eq!(headless["spec"]["publishNotReadyAddresses"], true);
    let ports: Vec<&str> = list(&headless["spec"]["ports"]).iter().map(|port| text(&port["name"])).collect();
    assert_eq!(ports, ["general", "admin", "operations"]);
    let clients = manifests.named("Service", "orderer-org1");
    assert_eq!(clients["spec"]["publishNotReadyAddresses"], Value::Null);
    let ports: Vec<&str> = list(&clients["spec"]["ports"]).iter().map(|port| text(&port["name"])).collect();
    assert_eq!(ports, ["general"]);
}

#[test]
fn a_consenter_is_one_process_at_a_time() {
    let manifests = Manifests::of_org1();
    let spec = &manifests.stateful_set()["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(spec["volumeClaimTemplates"][0]["spec"]["accessModes"], json!(["ReadWriteOncePod"]));
}

#[test]
fn probes_ask_for_health_and_readiness_as_the_endpoint_speaks() {
    let manifests = Manifests::of_org1();
    let asked: Vec<(&str, &str)> =
        manifests.probes().into_iter().map(|(name, probe)| (name, text(&probe["path"]))).collect();
    assert_eq!(asked, [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]);
    let operations = understood(&manifests.environment()).config.operations.unwrap();
    for (name, probe) in manifests.probes() {
        assert_eq!(probe["scheme"] == "HTTPS", operations.tls.is_some(), "{name}");
    }
}

#[test]
fn the_pod_may_do_no_more_than_it_has_to() {
    let manifests = Manifests::of_org1();
    let spec = &manifests.pod()["spec"];
    let of_pod = &spec["securityContext"];
    assert_eq!((&of_pod["runAsNonRoot"], &of_pod["seccompProfile"]["type"]), (&json!(true), &json!("RuntimeDefault")));
    let expected = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    });
    assert_eq!(manifests.container()["securityContext"], expected);
    assert_eq!(spec["automountServiceAccountToken"], false);
    // Services become variables otherwise, and those of ours begin with ORDERER_.
    assert_eq!(spec["enableServiceLinks"], false);
    for dangerous in ["hostNetwork", "hostPID", "hostIPC"] {
        assert_eq!(spec[dangerous], Value::Null);
    }
}

/// With a root file system that is read only, what is not mounted cannot be written.
#[test]
fn what_the_node_reads_and_writes_is_mounted_from_where_it_belongs() {
    let manifests = Manifests::of_org1();
    let config = understood(&manifests.environment()).config;
    let kind = |path: &Path| -> &str {
        let (what, _) = manifests.mounted_at(path.to_str().unwrap());
        let kinds = ["secret", "emptyDir", "spec"];
        kinds.into_iter().find(|kind| !what[*kind].is_null()).unwrap()
    };
    let tls = config.tls.unwrap();
    let (admin, operations) = (config.admin.unwrap().tls.unwrap(), config.operations.unwrap().tls.unwrap());
    for tls in [&tls, &admin, &operations] {
        let read = [&tls.server.certificate, &tls.server.key].into_iter().chain(&tls.client_root_cas);
        for file in read {
            assert_eq!(kind(file), "secret", "{}", file.display());
        }
    }
    assert_eq!((kind(&config.msp.dir), kind(&config.msp.keystore)), ("secret", "secret"));
    assert_eq!(kind(&config.data_dir), "spec", "data that does not outlive the pod");
    assert_eq!(config.journal_dir, None);
    assert_eq!(kind(config.sockets.status.as_deref().unwrap()), "emptyDir");
    for (path, what) in manifests.mounts() {
        let mounts = list(&manifests.container()["volumeMounts"]);
        let mount = mounts.iter().find(|mount| mount["mountPath"] == *path).unwrap();
        assert_eq!(mount["readOnly"] == true, !what["secret"].is_null(), "{path}");
    }
}

#[test]
fn no_secret_stands_in_a_file() {
    let deployment = files().into_iter().map(|name| format!("kubernetes/{name}"));
    for name in deployment.chain(["Containerfile".to_owned(), "orderer.service".to_owned()]) {
        let text = config(&name);
        for secret in ["-----BEGIN", "kind: Secret", "stringData", "PASSWORD", "TOKEN="] {
            assert!(!text.contains(secret), "{name} holds {secret}");
        }
    }
}
