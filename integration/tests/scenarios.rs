//! The worlds set by hand: what they must show holds.
#![allow(clippy::unwrap_used, missing_docs)]

use integration::sim::scenarios::Scenario;

fn holds(name: &str) {
    let scenario = Scenario::all().iter().find(|scenario| scenario.name == name).unwrap();
    let report = scenario.run().unwrap();
    for (figure, value) in &report.figures {
        println!("{figure}: {value}");
    }
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
}

#[test]
fn an_idle_hour_changes_no_leader() {
    holds("idle");
}

#[test]
fn an_idle_hour_changes_no_leader_of_a_weighted_group() {
    holds("idle-weighted");
}

#[test]
fn an_hour_at_twice_the_load_changes_no_leader() {
    holds("overload");
}

#[test]
fn a_leader_just_under_the_timeout_costs_little_once_it_is_noticed() {
    holds("slow-leader");
}

#[test]
fn two_leaders_just_under_the_timeout_cost_little_once_they_are_noticed() {
    holds("slow-leaders");
}

#[test]
fn a_leader_just_under_the_limit_of_the_pace_costs_a_quarter_at_most() {
    holds("slow-leader-pace");
}

#[test]
fn a_leader_that_raises_its_own_limits_costs_a_bounded_share() {
    holds("slow-leader-raised");
}
