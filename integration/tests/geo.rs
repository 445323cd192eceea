//! The geo-distribution laboratory: its worlds against its floors, its planner, its page.

use clap::Parser as _;
use integration::geo::args::{GeoArgs, GeoCommand};
use integration::geo::command;
use integration::geo::deployment::{Deployment, Pattern};
use integration::geo::experiments::{Conditions, Experiment};
use integration::geo::finding::Finding;
use integration::geo::floor::floor;
use integration::geo::matrix::{Matrix, Site};
use integration::geo::plan_finding::plan;
use integration::geo::stats::p50;
use integration::geo::world::{Cost, Engine, Load, Setup, Weather, run};
use std::time::Duration;

/// The leader first.
const SITES: [&str; 5] = ["Oregon", "Ireland", "Sydney", "Sao Paulo", "Virginia"];

fn sites(matrix: &Matrix, names: &[&str]) -> Vec<Site> {
    names.iter().map(|name| matrix.site(name).unwrap_or_else(|| panic!("{name} is in the matrix"))).collect()
}

fn bft_smart(matrix: &Matrix) -> Deployment {
    Deployment::flat(sites(matrix, &SITES[..4]), Pattern::Standard)
}

fn wheat(matrix: &Matrix) -> Deployment {
    Deployment::weighted(sites(matrix, &SITES), vec![0, 4], 1, Pattern::Tentative)
}

fn calm(deployment: Deployment) -> Setup {
    let clients = deployment.replicas.clone();
    Setup { lasts: Duration::from_secs(40), ..Setup::calm(Matrix::table_5_7(), deployment, clients) }
}

fn conditions() -> Conditions {
    GeoArgs::parse_from(["geo", "plan", "--requests", "20"]).world.conditions().expect("defaults make sense")
}

fn finding(name: &str) -> Finding {
    let known = |experiment: &&Experiment| experiment.name == name;
    let experiment = integration::geo::experiments::ALL.iter().find(known).expect("an experiment");
    (experiment.run)(&conditions()).expect("a world without faults")
}

#[test]
fn the_core_is_as_quick_as_the_distances_allow_at_every_site() {
    let matrix = Matrix::table_5_7();
    for deployment in [bft_smart(&matrix), wheat(&matrix)] {
        let setup = calm(deployment.clone());
        let outcome = run(&setup).expect("a world without faults");
        for (client, latencies) in setup.clients.iter().zip(&outcome.latencies) {
            let floor = floor(&deployment, &matrix, *client, &[]).expect("a quorum");
            let ours = p50(latencies);
            assert!((ours / floor - 1.0).abs() <= 0.03, "{}: {ours} against {floor}", matrix.name(*client));
        }
    }
}

#[test]
fn counters_and_the_core_agree_on_what_a_request_costs() {
    let matrix = Matrix::table_5_7();
    for deployment in [bft_smart(&matrix), wheat(&matrix)] {
        let medians = [Engine::Core, Engine::Steps].map(|engine| {
            let outcome = run(&Setup { engine, ..calm(deployment.clone()) }).expect("a world without faults");
            outcome.latencies.iter().map(|latencies| p50(latencies)).collect::<Vec<f64>>()
        });
        assert_eq!(medians[0], medians[1]);
    }
}

#[test]
fn a_world_that_is_run_twice_is_the_same_and_another_seed_is_another_world() {
    let weather = Weather { jitter: 1.0, loss: 0.01, mbit: Some(100.0), is_directed: true };
    let world = |seed| {
        let deployment = wheat(&Matrix::table_5_7());
        let load = Load::Closed(3);
        let setup = Setup { weather, cost: Cost::measured(), load, window: 4, seed, ..calm(deployment) };
        run(&setup).expect("a world without faults")
    };
    let (first, second, other) = (world(1), world(1), world(2));
    assert_eq!(first, second);
    assert_ne!(first.hash, other.hash);
    assert!(first.latencies.iter().all(|latencies| latencies.len() > 50));
}

#[test]
fn wheat_meets_its_targets_and_its_page_has_its_charts() {
    let finding = finding("wheat");
    assert!(finding.targets.iter().all(|target| target.is_met), "{:?}", finding.targets);
    assert_eq!((finding.tables.len(), finding.charts.len()), (4, 2));
    let html = command::page(&conditions(), &[finding]).render();
    for title in ["All clients, with jitter: lies tolerated", "All clients, with jitter: crashes only"] {
        assert!(html.contains(&format!("{title}: Share of requests")), "a drawing says what it shows");
    }
    assert!(html.contains("WHEAT, leader Oregon") && html.contains("587/605"), "the published figures stand beside");
}

#[test]
fn the_plan_for_table_5_7_is_confirmed_by_simulation() {
    let args = GeoArgs::parse_from(["geo", "plan", "--clients", "Oregon,Ireland,Sydney,sao paulo,Virginia"]);
    let GeoCommand::Plan(args) = args.command else { panic!("a plan was asked for") };
    let finding = plan(&conditions(), &args).expect("a plan");
    assert!(finding.targets.len() == 2 && finding.targets.iter().all(|target| target.is_met), "{:?}", finding.targets);
    assert!(finding.console().contains("leaders = [5, "), "{}", finding.console());
}

#[test]
fn a_site_that_is_in_no_matrix_is_named() {
    let args = GeoArgs::parse_from(["geo", "plan", "--clients", "Oregon,Atlantis"]);
    let GeoCommand::Plan(args) = args.command else { panic!("a plan was asked for") };
    let error = plan(&conditions(), &args).expect_err("no such site").to_string();
    assert!(error.contains("no site is called Atlantis: Ireland, Sao Paulo"), "{error}");
}
