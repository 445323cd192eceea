//! The application run ahead of the decisions: what the next blocks will be, unless a regency ends too early.
//!
//! Two copies of the state exist. One executes decisions and nothing else; everything that lasts comes from it. The other
//! executes what is delivered tentatively, and only its blocks are of use. To take something back is to drop the copy, so
//! no part of the state, the open cut for one, can be forgotten.

use mod_smart::{InstanceId, Tentative};

use crate::ordering::Ordering;
use crate::output::{CutBlock, Output};

/// The copy that runs ahead.
#[derive(Clone, Debug, Default)]
pub struct Ahead {
    /// The state after the last instance that was executed, which is named. None while nothing runs ahead.
    copy: Option<(Ordering, InstanceId)>,
    /// The last decision that was executed, if one was since the state was last replaced.
    delivered: Option<InstanceId>,
}

impl Ahead {
    /// Executes a batch that is likely to be decided, given the state after the last decision. Gives the blocks that it
    /// completes. A batch that brings a configuration or opens a channel has to wait for its decision, and so has
    /// everything behind it.
    pub fn execute(&mut self, decided: &Ordering, tentative: &Tentative) -> Vec<CutBlock> {
        let follows = |last: InstanceId| last.next() == tentative.instance;
        let mut ordering = match self.copy.take() {
            Some((copy, last)) if follows(last) => copy,
            _ if self.delivered.is_some_and(follows) => decided.clone(),
            _ => return Vec::new(),
        };
        let mut outputs = Vec::new();
        for request in &tentative.requests {
            let request = request.value();
            ordering.apply(tentative.instance, request.id.client, &request.body, &mut outputs);
        }
        if outputs.iter().any(has_to_wait) {
            return Vec::new();
        }
        self.copy = Some((ordering, tentative.instance));
        let blocks = outputs.into_iter().filter_map(|output| match output {
            Output::Block(block) => Some(block),
            _ => None,
        });
        blocks.collect()
    }

    /// A decision was executed. A copy that had executed it goes on.
    pub fn on_delivered(&mut self, instance: InstanceId) {
        self.delivered = Some(instance);
        self.copy.take_if(|(_, last)| *last < instance);
    }

    /// What was executed and is not decided need not come to be.
    pub fn retract(&mut self) {
        self.copy = None;
    }

    /// Another state takes the place of the decided one.
    pub fn on_restored(&mut self) {
        *self = Self::default();
    }
}

const fn has_to_wait(output: &Output) -> bool {
    match output {
        Output::Block(block) => block.is_config,
        Output::Opened { .. } | Output::TakenUp { .. } | Output::Configured { .. } | Output::Moved { .. } => true,
        Output::LeftOver { .. } | Output::CutOpened { .. } | Output::Skipped { .. } | Output::HandOver { .. } => false,
    }
}
