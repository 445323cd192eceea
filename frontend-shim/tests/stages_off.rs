//! Stages that are switched off: a process of its own, for that cannot be undone.
#![allow(clippy::unwrap_used)]

use frontend_shim::stages::{Stage, StageReport, switch_off};

#[test]
fn what_is_entered_after_switching_off_is_not_counted_and_what_was_entered_before_is_left_in_order() {
    let outer = Stage::Order.enter();
    switch_off();
    assert_eq!(Stage::Cut.within(|| 7), 7);
    drop(outer);
    let report = StageReport::now();
    let counted: Vec<_> = report.stages.iter().filter(|stage| stage.entries + stage.processor_ns > 0).collect();
    assert_eq!((counted.len(), counted[0].stage.as_str(), counted[0].entries), (1, "order", 1));
    assert!(counted[0].processor_ns > 0);
    assert!(report.process_ns > 0 && report.other_ns() > 0, "the process is told all the same");
}
