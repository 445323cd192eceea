//! The Kubernetes manifests as objects, and the node's pod in them.

use serde_json::Value;

use super::{Variables, config, tree, yaml};

/// Everything that is applied for one organisation.
#[derive(Debug)]
pub struct Manifests(pub Vec<Value>);

impl Manifests {
    /// The files as they are: for organisation Org1.
    pub fn of_org1() -> Self {
        Self::made_from(&[config("kubernetes/common.yaml"), config("kubernetes/org1.yaml")])
    }

    /// As for another organisation, in the way that the file says.
    pub fn of_org2() -> Self {
        let own = config("kubernetes/org1.yaml");
        assert!(own.contains("sed 's/org1/org2/g; s/Org1/Org2/g' org1.yaml"));
        Self::made_from(&[config("kubernetes/common.yaml"), own.replace("org1", "org2").replace("Org1", "Org2")])
    }

    fn made_from(texts: &[String]) -> Self {
        Self(texts.iter().flat_map(|text| yaml::documents(text)).collect())
    }

    /// All objects of a kind.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The object of this kind and name.
    pub fn named(&self, kind: &str, name: &str) -> &Value {
        let mut found = self.all(kind).into_iter().filter(|object| object["metadata"]["name"] == name);
        found.next().unwrap_or_else(|| panic!("no {kind} of the name {name}"))
    }

    pub fn stateful_set(&self) -> &Value {
        let sets = self.all("StatefulSet");
        assert_eq!(sets.len(), 1);
        sets[0]
    }

    pub fn pod(&self) -> &Value {
        &self.stateful_set()["spec"]["template"]
    }

    pub fn container(&self) -> &Value {
        let containers = list(&self.pod()["spec"]["containers"]);
        assert_eq!(containers.len(), 1);
        &containers[0]
    }

    /// The variables of the container: from config maps, then its own.
    pub fn environment(&self) -> Variables {
        let mut variables = Variables::new();
        for source in list(&self.container()["envFrom"]) {
            let map = self.named("ConfigMap", text(&source["configMapRef"]["name"]));
            for (name, value) in map["data"].as_object().unwrap() {
                // Kubernetes refuses a number or a truth value here.
                let value = value.as_str().unwrap_or_else(|| panic!("{name} must be quoted"));
                variables.push((name.clone(), value.to_owned()));
            }
        }
        for variable in list(&self.container()["env"]) {
            variables.push((text(&variable["name"]).to_owned(), text(&variable["value"]).to_owned()));
        }
        variables
    }

    /// Where a volume is mounted, with what is mounted there: an entry of `volumes`, or a claim.
    pub fn mounts(&self) -> Vec<(String, &Value)> {
        let volumes = list(&self.pod()["spec"]["volumes"]).iter();
        let claims = list(&self.stateful_set()["spec"]["volumeClaimTemplates"]).iter();
        let volumes = volumes.map(|volume| (&volume["name"], volume));
        let claims = claims.map(|claim| (&claim["metadata"]["name"], claim));
        let by_name: Vec<(&Value, &Value)> = volumes.chain(claims).collect();
        let mounts = list(&self.container()["volumeMounts"]);
        assert_eq!(mounts.len(), by_name.len(), "volumes and mounts");
        let what = |mount: &Value| by_name.iter().find(|(name, _)| **name == mount["name"]).unwrap().1;
        mounts.iter().map(|mount| (text(&mount["mountPath"]).to_owned(), what(mount))).collect()
    }

    /// What is mounted where this path leads to, with the path below it.
    pub fn mounted_at(&self, path: &str) -> (&Value, String) {
        let below = |mount: &str| path.strip_prefix(mount).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let found = self.mounts().into_iter().find_map(|(mount, what)| Some((what, below(&mount)?.to_owned())));
        let (what, rest) = found.unwrap_or_else(|| panic!("nothing is mounted at {path}"));
        (what, rest.trim_start_matches('/').to_owned())
    }

    /// The probes with their names.
    pub fn probes(&self) -> Vec<(&'static str, &Value)> {
        ["startupProbe", "livenessProbe", "readinessProbe"]
            .map(|name| (name, &self.container()[name]["httpGet"]))
            .into()
    }
}

/// Every file of the folder, so that none is left out of the tests.
pub fn files() -> Vec<String> {
    let entries = std::fs::read_dir(tree().join("configs/kubernetes")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}
