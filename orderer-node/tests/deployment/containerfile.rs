//! The container recipe: what it copies is there, what it builds exists, and its two images offer the same.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use super::images::{Stage, stages, words};
use super::{config, tree, understood};

/// The recipe's stages by name.
fn recipe() -> BTreeMap<String, Stage> {
    let stages = stages(&config("Containerfile"));
    let count = stages.len();
    let by_name: BTreeMap<String, Stage> = stages.into_iter().map(|stage| (stage.name.clone(), stage)).collect();
    assert_eq!(by_name.len(), count, "two stages have one name");
    by_name
}

#[test]
fn there_are_two_images_and_a_stage_that_builds_for_them() {
    let names: Vec<String> = stages(&config("Containerfile")).into_iter().map(|stage| stage.name).collect();
    assert_eq!(names, ["build", "slim", "shell"], "the last is what is built without a target");
    for stage in recipe().into_values() {
        let (image, tag) = stage.base.rsplit_once(':').unwrap_or_else(|| panic!("{} has no tag", stage.base));
        assert!(image.split('/').next().unwrap().contains('.') && !tag.is_empty(), "{} names no registry", stage.base);
        for from in stage.copies().into_iter().filter_map(|copied| copied.from) {
            assert_eq!(from, "build", "stage {} copies from it", stage.name);
        }
    }
}

/// A program that is compiled against one C library does not run on an older one.
#[test]
fn all_stages_stand_on_one_release_of_debian() {
    let releases: BTreeSet<&str> = recipe().into_values().map(|stage| release(&stage.base)).collect();
    assert_eq!(releases.len(), 1, "{releases:?}");
}

fn release(image: &str) -> &'static str {
    let known = [("bookworm", "12"), ("debian12", "12"), ("trixie", "13"), ("debian13", "13")];
    known.iter().find(|(name, _)| image.contains(name)).unwrap_or_else(|| panic!("which release is {image}?")).1
}

#[test]
fn the_compiler_is_one_that_the_workspace_takes() {
    let manifest = std::fs::read_to_string(tree().join("Cargo.toml")).unwrap();
    let needed = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    let base = recipe().remove("build").unwrap().base;
    let used = base.rsplit_once(":").unwrap().1.split('-').next().unwrap();
    let version =
        |text: &str| -> Vec<u32> { text.trim_matches('"').split('.').map(|part| part.parse().unwrap()).collect() };
    assert!(version(used) >= version(needed), "{used} is older than {needed}");
}

/// Lays out what the build stage copies, and gives the programs of the workspace that this makes.
fn programs_of_what_is_copied(build: &Stage) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    for copied in build.copies() {
        assert_eq!(copied.from, None);
        for source in &copied.sources {
            let target = match copied.target.as_str() {
                "./" => dir.path().join(source),
                target => dir.path().join(target),
            };
            symlink(tree().canonicalize().unwrap().join(source), target).unwrap();
        }
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(dir.path());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let targets = packages.flat_map(|package| package["targets"].as_array().unwrap());
    let programs = targets.filter(|target| target["kind"][0] == "bin");
    programs.map(|program| program["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_copied_makes_a_workspace_with_the_programs_that_are_built() {
    let recipe = recipe();
    let build = &recipe["build"];
    let known = programs_of_what_is_copied(build);
    let run = build.all("RUN").into_iter().find(|run| run.starts_with("cargo build --release --locked")).unwrap();
    let built: BTreeSet<&str> = run.split(" --bin ").skip(1).map(str::trim).collect();
    assert!(built.iter().all(|program| known.contains(*program)), "{built:?} of {known:?}");
    for variant in ["slim", "shell"] {
        let copied = recipe[variant].programs();
        assert!(!copied.is_empty() && copied.iter().all(|program| built.contains(program.as_str())), "{copied:?}");
    }
}

/// Files come from the source tree, the programs from where cargo puts them, folders from where the build stage makes them.
#[test]
fn every_source_of_a_copy_exists() {
    let recipe = recipe();
    let build = &recipe["build"];
    let made = build.all("RUN").join(" ");
    for copied in recipe.values().flat_map(Stage::copies) {
        for source in &copied.sources {
            let exists = match &copied.from {
                None => tree().join(source).exists(),
                Some(_) if source.starts_with("/src/target/release/") => build.one("WORKDIR") == "/src",
                Some(_) => made.contains(&format!("{source}/")),
            };
            assert!(exists, "{source} is not there");
        }
    }
}

#[test]
fn the_two_images_offer_the_same_to_whoever_runs_them() {
    let recipe = recipe();
    let (slim, shell) = (&recipe["slim"], &recipe["shell"]);
    for instruction in ["CMD", "EXPOSE", "LABEL", "USER", "VOLUME"] {
        assert_eq!(slim.one(instruction), shell.one(instruction), "{instruction}");
    }
    assert_eq!(slim.environment(), shell.environment());
    assert!(slim.all("RUN").is_empty() && slim.all("HEALTHCHECK").is_empty(), "it has no program for that");
    understood(&slim.environment());
    for variant in [slim, shell] {
        // `command: orderer` of a compose file would be handed to an entry point as its argument.
        assert!(variant.all("ENTRYPOINT").is_empty());
        let command = words(variant.one("CMD"));
        assert!(variant.programs().contains(&command[0]), "{command:?}");
        let taken = Command::new(env!("CARGO_BIN_EXE_orderer")).args(&command[1..]).arg("--help").output().unwrap();
        assert!(taken.status.success(), "{command:?}: {}", String::from_utf8_lossy(&taken.stderr));
        let folder = variant.environment().into_iter().find(|(name, _)| name == "FABRIC_CFG_PATH").unwrap().1;
        let file = format!("{folder}/orderer.yaml");
        assert!(variant.copies().iter().any(|copied| copied.target == file), "no {file}");
        // What is changed below a volume after it was declared is lost.
        let volume = variant.steps.iter().position(|(name, _)| name == "VOLUME").unwrap();
        assert!(variant.steps[volume..].iter().all(|(name, _)| name != "COPY" && name != "RUN"));
    }
}

/// Runs the health check with a `curl` that tells what it was asked for.
fn asked(variables: &[(&str, &str)]) -> String {
    let recipe = recipe();
    let check = recipe["shell"].one("HEALTHCHECK").split_once("CMD ").unwrap().1.to_owned();
    let dir = tempfile::tempdir().unwrap();
    let curl = dir.path().join("curl");
    std::fs::write(&curl, "#!/bin/sh\necho \"$*\"\n").unwrap();
    std::fs::set_permissions(&curl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &check]).env_clear().env("PATH", dir.path()).envs(variables.iter().copied());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("--fail ") && told.contains("--insecure "), "{told}");
    told.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn the_health_check_asks_where_the_variables_say() {
    let address = ("ORDERER_OPERATIONS_LISTENADDRESS", "orderer.example.com:9443");
    let tls = |value| ("ORDERER_OPERATIONS_TLS_ENABLED", value);
    let default = understood(&Vec::new()).config.operations.unwrap().address;
    assert_eq!(asked(&[]), format!("http://{default}/healthz"));
    assert_eq!(asked(&[address, tls("false")]), "http://orderer.example.com:9443/healthz");
    assert_eq!(asked(&[address, tls("true")]), "https://orderer.example.com:9443/healthz");
}

#[test]
fn the_image_with_a_shell_installs_what_its_health_check_calls() {
    let installed = recipe()["shell"].all("RUN").join(" ");
    let packages = installed.split_once("--no-install-recommends ").unwrap().1.split("&&").next().unwrap();
    assert!(packages.split_whitespace().any(|package| package == "curl"), "{packages}");
}
