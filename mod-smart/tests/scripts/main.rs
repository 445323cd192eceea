//! Golden scripts: the protocol told by example, and checked word for word.
//!
//! Each file in `golden/` is a play on a small stage. A line at the margin makes something happen; the lines indented
//! under it are what the real core does then. Read the files in the order of the list below. A change of the protocol
//! shows as a change of these texts: run with `UPDATE_GOLDEN=1` and look at the difference.
#![forbid(unsafe_code)]
#![allow(missing_docs)]

mod command;
mod golden;
mod keys;
mod name;
mod node;
mod notation;
mod stage;
mod trace;

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { golden::run(stringify!($name)); })*
        const SCRIPTS: &[&str] = &[$(stringify!($name)),*];
    };
}

scripts! {
    normal_case,
    late_replica,
    missing_body,
    equivocation,
    restart_in_the_middle_of_a_vote,
    mute_leader,
    stop_storm,
    written_by_a_quorum,
    decided_by_one_replica,
    bound_by_the_sync,
    unbound_instance,
    old_leader_returns,
    stopdata_replay,
    checkpoint,
    transfer,
    wiped_replica,
    weights,
    window,
    slow_leader,
    starved_client,
    tentative,
}

#[test]
fn every_script_in_the_folder_is_run() {
    let files: Vec<String> = golden::files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(files, SCRIPTS);
}
