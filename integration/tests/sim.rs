//! A sample of simulated worlds, as many as fit into the test command, each twice: nothing that must not be is seen, and the
//! sample is worth counting.
#![allow(clippy::unwrap_used, missing_docs)]

use integration::sim::Options;
use integration::sim::campaign::Campaign;

#[test]
fn two_hundred_worlds_hold_every_property_and_come_to_rest() {
    let campaign = Campaign {
        from: 0,
        seeds: if cfg!(debug_assertions) { 20 } else { 200 },
        jobs: 2,
        is_once: false,
        options: Options::default(),
        failures_max: 3,
    };
    let summary = campaign.run(|_| {}).unwrap();
    println!("{}", summary.report());
    let failures: Vec<String> =
        summary.failures.iter().map(|(seed, failure)| format!("{failure}\n  {}", campaign.replay(*seed))).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    summary.check_averages().unwrap();
}
