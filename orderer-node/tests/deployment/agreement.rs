//! Image, manifests and unit say the same of users, ports, folders and the version.

use std::collections::BTreeSet;

use orderer_node::config::ListenAddress;

use super::images::{stages, words};
use super::manifests::{Manifests, list, text};
use super::unit::Unit;
use super::{config, tree, understood};

fn images() -> Vec<super::images::Stage> {
    stages(&config("Containerfile")).into_iter().filter(|stage| stage.name != "build").collect()
}

#[test]
fn the_user_is_the_same_everywhere() {
    let mut users = BTreeSet::new();
    for image in images() {
        users.insert(image.one("USER").to_owned());
        users.extend(image.copies().into_iter().filter_map(|copied| copied.owner));
        for run in image.all("RUN") {
            let after = |flag: &str| run.split_once(flag).map(|(_, rest)| rest.split_whitespace().next().unwrap());
            users.insert(format!("{}:{}", after("--uid ").unwrap(), after("--gid ").unwrap()));
        }
    }
    let manifests = Manifests::of_org1();
    let context = &manifests.pod()["spec"]["securityContext"];
    users.insert(format!("{}:{}", context["runAsUser"], context["runAsGroup"]));
    users.insert(format!("{}:{}", context["runAsUser"], context["fsGroup"]));
    let unit = Unit::read();
    users.insert(format!("{}:{}", unit.of_service("User"), unit.of_service("Group")));
    assert_eq!(users, BTreeSet::from(["7051:7051".to_owned()]));
}

#[test]
fn the_ports_are_those_where_the_node_listens() {
    let manifests = Manifests::of_org1();
    let config = understood(&manifests.environment()).config;
    let everywhere =
        |address: ListenAddress, port: u16| assert_eq!(address, ListenAddress::new("0.0.0.0", port).unwrap());
    let named = |name: &str| {
        let ports = list(&manifests.container()["ports"]).iter();
        let mut ports = ports.filter(|port| port["name"] == name).map(|port| port["containerPort"].as_u64().unwrap());
        u16::try_from(ports.next().unwrap()).unwrap()
    };
    everywhere(config.listen_address, named("general"));
    everywhere(config.admin.unwrap().address, named("admin"));
    everywhere(config.operations.unwrap().address, named("operations"));
    assert_eq!(list(&manifests.container()["ports"]).len(), 3);
    let of_pod = ["general", "admin", "operations"].map(|name| named(name).to_string());
    for image in images() {
        assert_eq!(image.one("EXPOSE").split_whitespace().collect::<Vec<_>>(), of_pod);
    }
    // What the image asks of a node that is told nothing.
    let default = understood(&Vec::new()).config;
    let ports = [default.listen_address, default.admin.unwrap().address, default.operations.unwrap().address];
    for (address, port) in ports.iter().zip(&of_pod) {
        assert!(address.to_string().ends_with(&format!(":{port}")), "{address}");
    }
}

#[test]
fn the_data_lies_where_a_volume_is() {
    let default = understood(&Vec::new()).config.data_dir;
    let manifests = Manifests::of_org1();
    assert_eq!(understood(&manifests.environment()).config.data_dir, default);
    assert_eq!(understood(&Unit::read().environment()).config.data_dir, default);
    for image in images() {
        let volumes = words(image.one("VOLUME"));
        assert!(volumes.iter().any(|volume| default.starts_with(volume)), "{volumes:?}");
        // And belongs to the node there.
        let copied = image.copies().into_iter().find(|copied| default.starts_with(&copied.target)).unwrap();
        assert!(copied.owner.is_some(), "{copied:?}");
        let made = default.to_str().unwrap().replace(&copied.target, &copied.sources[0]);
        let build = stages(&config("Containerfile")).remove(0);
        assert!(build.all("RUN").iter().any(|run| run.starts_with("install -d") && run.ends_with(&made)), "{made}");
    }
}

#[test]
fn the_manifests_name_the_image_of_this_version_as_the_recipe_does() {
    let manifests = Manifests::of_org1();
    let image = text(&manifests.container()["image"]);
    let recipe = config("Containerfile");
    let tags: Vec<&str> = recipe.split(" -t ").skip(1).map(|rest| rest.split_whitespace().next().unwrap()).collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(tags, [format!("bft-orderer:{version}"), format!("bft-orderer:{version}-slim")]);
    assert!(tags.contains(&image), "{image}");
}

#[test]
fn the_operator_is_told_of_each_of_them() {
    let manual = std::fs::read_to_string(tree().join("OPERATIONS.md")).unwrap();
    for file in [
        "configs/Containerfile",
        "configs/kubernetes/common.yaml",
        "configs/kubernetes/org1.yaml",
        "configs/orderer.service",
    ] {
        assert!(manual.contains(&format!("]({file})")), "OPERATIONS.md does not link {file}");
    }
}
