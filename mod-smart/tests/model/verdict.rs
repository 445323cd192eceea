//! What the tests say about a search: it held, or it was broken, with the evidence printed.

use crate::explorer::{CounterExample, Coverage};

/// The search finished and found nothing; prints how much it saw. `states_min` guards against a model that is empty.
#[track_caller]
pub fn holds(what: &str, result: Result<Coverage, CounterExample>, states_min: usize) {
    match result {
        Ok(Coverage { states, depth }) => {
            println!("HOLDS  {what}: {states} states, depth {depth}");
            assert!(states >= states_min, "{what}: only {states} states, {states_min} were expected");
        }
        Err(found) => panic!("{what}: broken after {} states\n{found}", found.states),
    }
}

/// The search found a counter-example of exactly this many steps, the fewest possible; prints its trace.
#[track_caller]
pub fn breaks(without: &str, result: Result<Coverage, CounterExample>, depth: usize) -> CounterExample {
    match result {
        Ok(Coverage { states, .. }) => panic!("without '{without}' nothing broke in {states} states"),
        Err(found) => {
            println!("BREAKS without '{without}': depth {}, {} states\n{found}", found.steps.len(), found.states);
            assert_eq!(found.steps.len(), depth, "without '{without}': a counter-example of another length");
            found
        }
    }
}
