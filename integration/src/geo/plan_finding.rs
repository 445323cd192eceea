//! A plan for people: what it promises, what the simulation says to that, what each failure does, and the configuration.

use std::fmt::Write as _;

use anyhow::ensure;
use serde_json::json;

use super::args::PlanArgs;
use super::deployment::{Deployment, Pattern};
use super::experiments::{Conditions, Measured, measure};
use super::finding::{Finding, distributions};
use super::floor::mean;
use super::matrix::Matrix;
use super::plan::{Goal, Plan, Search};
use super::stats::{p50, pair, percent_above};
use crate::page::Table;

/// Searches for the best plan, and confirms it by simulation.
///
/// # Errors
/// The question makes no sense, or a world went wrong.
pub fn plan(conditions: &Conditions, args: &PlanArgs) -> anyhow::Result<Finding> {
    let matrix = args.place.matrix()?;
    let clients = args.place.client_sites(&matrix)?;
    let PlanArgs { f, delta, goal, signatures, .. } = *args;
    let search = Search { f, delta, pattern: args.pattern(), clients, goal, signatures };
    ensure!(signatures <= search.n(), "{} replicas cannot give {signatures} signatures", search.n());
    let plan = search.best(&matrix)?;
    let measured = measure(conditions, &matrix, &plan.deployment, &search.clients)?;
    let text = text(&search, &matrix, &plan);
    let mut finding = Finding::new("plan", "Where to put leader, weights and spare replicas", &text);
    finding.tables.push(promises(&plan, &measured));
    finding.tables.push(failures(&search, &matrix, &plan));
    let toml = configuration(&matrix, &plan.deployment, conditions.window);
    let mut table = Table::new(&["Configuration of every node, and without decision_time_ms of every frontend"]);
    table.rows = toml.lines().filter(|line| !line.is_empty()).map(|line| vec![line.to_owned()]).collect();
    finding.tables.push(table);
    let series = measured.clients.iter().zip(&measured.windy);
    finding.charts.push(distributions("The plan, with jitter", series.map(|(name, values)| (&name[..], &values[..]))));
    let calm = mean(measured.calm.iter().copied()).unwrap_or(f64::NAN);
    let off = measured.deviation();
    finding.target("simulation against prediction, farthest of any site", "<= 3 %", format!("{off:.2} %"), off <= 3.0);
    let is_known = signatures == 0 && goal == Goal::Mean;
    if matrix == Matrix::table_5_7() && search.clients.len() == matrix.len() && is_known {
        finding.target(
            "best plan on table 5.7, mean over five sites",
            "<= 266 ms",
            format!("{calm:.1} ms"),
            calm <= 266.0,
        );
    }
    let failures = search.failures(&matrix, &plan);
    let failures: Vec<_> = failures
        .iter()
        .map(|failure| {
            let (left, quorum) = failure.left;
            json!({
                "site": matrix.name(failure.site), "leader": matrix.name(failure.leader), "weight_left": left,
                "quorum": quorum, "survived": failure.is_survived(), "mean_ms": failure.mean,
                "latencies_ms": failure.latencies,
            })
        })
        .collect();
    finding.data = json!({
        "deployment": plan.deployment.describe(&matrix), "considered": plan.considered, "mean_ms": plan.mean,
        "worst_ms": plan.worst, "clients": measured.json(), "failures": failures, "configuration": toml,
    });
    Ok(finding)
}

fn text(search: &Search, matrix: &Matrix, plan: &Plan) -> String {
    let goal = match search.goal {
        Goal::Mean => "the mean over the clients' sites",
        Goal::Worst => "the site that waits longest",
    };
    let signed = match search.signatures {
        0 => String::new(),
        signatures => format!(" and blocks with {signatures} signatures"),
    };
    format!(
        "Of {} deployments, the best for {goal}, by the floor of {} executions{signed}: {}. Then the same deployment simulated, over \
         distances alone and with jitter, and what is left when a site fails.",
        plan.considered,
        search.pattern.name(),
        plan.deployment.describe(matrix)
    )
}

fn promises(plan: &Plan, measured: &Measured) -> Table {
    let mut table =
        Table::new(&["Client", "Predicted p50 (ms)", "Simulated p50 (ms)", "Off", "With jitter p50/p90 (ms)"]);
    table.caption = Some("What clients wait".to_owned());
    for (at, client) in measured.clients.iter().enumerate() {
        let (predicted, calm) = (plan.latencies[at], measured.calm[at]);
        table.rows.push(vec![
            client.clone(),
            format!("{predicted:.1}"),
            format!("{calm:.1}"),
            format!("{:+.2} %", percent_above(calm, predicted)),
            pair(&measured.windy[at], 0.9),
        ]);
    }
    let average = |values: &mut dyn Iterator<Item = f64>| format!("{:.1}", mean(values).unwrap_or(f64::NAN));
    let windy = average(&mut measured.windy.iter().map(|values| p50(values)));
    let calm = average(&mut measured.calm.iter().copied());
    table.rows.push(vec!["Mean".to_owned(), format!("{:.1}", plan.mean), calm, String::new(), windy]);
    table
}

fn failures(search: &Search, matrix: &Matrix, plan: &Plan) -> Table {
    let mut table = Table::new(&["Lost site", "Next leader", "Votes left, quorum", "Goes on", "Mean (ms)"]);
    table.caption = Some("What the loss of a site does: predicted p50 at each client (ms)".to_owned());
    table.head.extend(search.clients.iter().map(|client| matrix.name(*client).to_owned()));
    for failure in search.failures(matrix, plan) {
        let (left, quorum) = failure.left;
        let goes_on = if failure.is_survived() { "yes" } else { "no" };
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
        let mut row = vec![
            matrix.name(failure.site).to_owned(),
            matrix.name(failure.leader).to_owned(),
            format!("{left}, {quorum}"),
            goes_on.to_owned(),
            number(failure.mean),
        ];
        row.extend(failure.latencies.iter().map(|latency| number(*latency)));
        table.rows.push(row);
    }
    table
}

/// The section of a node's configuration (frontends have no `decision_time_ms`). Consenters are numbered in the order of the
/// matrix, from 1 on.
#[must_use]
pub fn configuration(matrix: &Matrix, deployment: &Deployment, window: u64) -> String {
    let mut sites = deployment.replicas.clone();
    sites.sort_unstable();
    let id = |replica: usize| {
        let site = deployment.replicas[replica];
        sites.iter().position(|known| *known == site).unwrap_or_default() + 1
    };
    let list = |replicas: &mut dyn Iterator<Item = usize>| {
        replicas.map(|replica| id(replica).to_string()).collect::<Vec<_>>().join(", ")
    };
    let named: Vec<String> =
        (1..).zip(&sites).map(|(id, site): (usize, _)| format!("{id} {}", matrix.name(*site))).collect();
    let mut text = String::new();
    let is_crash = deployment.pattern == Pattern::Crash;
    // Writing to a String does not fail.
    let _ = writeln!(text, "# Consenter ids: {}", named.join(", "));
    let _ = writeln!(text, "[ordering]");
    let _ = writeln!(text, "fault_model = \"{}\"", if is_crash { "crash" } else { "byzantine" });
    let _ = writeln!(text, "delta = {}", deployment.delta());
    let _ = writeln!(text, "heavy = [{}]", list(&mut deployment.heavy.iter().copied()));
    let _ = writeln!(text, "leaders = [{}]", list(&mut (0..deployment.n())));
    let _ = writeln!(text, "decision_time_ms = {}", matrix.decision_time_ms(&deployment.replicas));
    let _ = writeln!(text, "window = {window}");
    let _ = writeln!(text, "tentative = {}", deployment.pattern == Pattern::Tentative);
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_leader_and_weights_by_consenter() {
        let matrix = Matrix::table_5_7();
        let site = |name: &str| matrix.site(name).unwrap();
        let replicas = ["Virginia", "Oregon", "Ireland", "Sao Paulo", "Sydney"].map(site).to_vec();
        let deployment = Deployment::weighted(replicas, vec![0, 1], 1, Pattern::Tentative);
        let text = configuration(&matrix, &deployment, 8);
        assert!(
            text.starts_with("# Consenter ids: 1 Ireland, 2 Sao Paulo, 3 Oregon, 4 Sydney, 5 Virginia\n[ordering]\n")
        );
        let table: toml::Table = text.parse().unwrap();
        let section = table["ordering"].as_table().unwrap();
        let ids = |key: &str| section[key].as_array().unwrap().iter().map(|id| id.as_integer().unwrap()).collect();
        let (heavy, leaders): (Vec<i64>, Vec<i64>) = (ids("heavy"), ids("leaders"));
        assert_eq!((heavy, leaders), (vec![5, 3], vec![5, 3, 1, 2, 4]));
        assert_eq!(section["fault_model"].as_str(), Some("byzantine"));
        assert_eq!((section["delta"].as_integer(), section["window"].as_integer()), (Some(1), Some(8)));
        assert_eq!(section["tentative"].as_bool(), Some(true));
        assert_eq!(section["decision_time_ms"].as_integer(), Some(718));
    }
}
