//! Dashboard and alerts ask for nothing that a node does not tell.

use std::collections::BTreeSet;
use std::path::Path;

use frontend_shim::stages::{OTHER, Stage};
use orderer_node::operations::render;

use super::exposition::Exposition;
use super::node::well;

fn config(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The queries of all panels and variables.
fn dashboard_queries() -> Vec<String> {
    let dashboard: serde_json::Value = serde_json::from_str(&config("grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let exprs = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.filter_map(|variable| variable["query"].as_str()?.strip_prefix("label_values("));
    exprs.chain(variables.map(|query| query.split(',').next().unwrap().to_owned())).collect()
}

/// The names of the alerts, each with its query.
fn alerts() -> Vec<(String, String)> {
    let text = config("prometheus-alerts.yml");
    let values = |key: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
        lines.map(|value| value.trim().to_owned()).collect()
    };
    let (names, queries) = (values("alert:"), values("expr:"));
    assert_eq!(names.len(), queries.len());
    names.into_iter().zip(queries).collect()
}

/// The metrics that a query names: what is no function, keyword, label or text.
fn metrics_in(query: &str) -> BTreeSet<String> {
    let mut bare = String::new();
    let (mut braces, mut in_text, mut in_range) = (0, false, false);
    for character in query.chars() {
        match character {
            '"' => in_text = !in_text,
            '{' if !in_text => braces += 1,
            '}' if !in_text => braces -= 1,
            '[' => in_range = true,
            ']' => in_range = false,
            _ if braces == 0 && !in_text && !in_range => bare.push(character),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    let mut rest = bare.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        rest = &rest[start..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if ["by", "on", "without", "ignoring", "group_right", "group_left"].contains(&word) {
            // A list of labels follows.
            rest = after.split_once(')').map_or("", |(_, after)| after);
        } else if (word.contains('_') || word == "up") && !after.trim_start().starts_with('(') {
            found.insert(word.to_owned());
        }
    }
    found
}

#[test]
fn metrics_are_found_in_queries() {
    let found = metrics_in("sum by (a_b) (rate(x_sum{c_d=~\"e_f\"}[5m])) / on (g_h) y_count > 1 and up == 0");
    assert_eq!(found, ["up", "x_sum", "y_count"].map(str::to_owned).into());
}

#[test]
fn every_metric_that_dashboard_and_alerts_name_is_exported() {
    let mut exported = Exposition::parse(&render(&well())).names();
    // Prometheus tells this one itself.
    exported.insert("up".to_owned());
    let alerts = alerts();
    assert!(alerts.len() >= 20, "{}", alerts.len());
    let queries = dashboard_queries().into_iter().chain(alerts.into_iter().map(|(_, query)| query));
    for query in queries {
        let named = metrics_in(&query);
        assert!(!named.is_empty(), "{query} names no metric");
        for name in named {
            assert!(exported.contains(&name), "{query} asks for {name}");
        }
    }
}

#[test]
fn every_stage_is_explained_to_the_operator() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../OPERATIONS.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    for name in Stage::ALL.map(Stage::name).into_iter().chain([OTHER]) {
        assert!(manual.contains(&format!("| `{name}` |")), "OPERATIONS.md does not speak of {name}");
    }
}

#[test]
fn every_alert_is_explained_to_the_operator() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../OPERATIONS.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    for (name, _) in alerts() {
        assert!(manual.contains(&format!("`{name}`")), "OPERATIONS.md does not speak of {name}");
    }
}
